"""The phase diagram: which share of the seeds succeeds at which width."""

from __future__ import annotations

from textwrap import fill
from typing import Any

import matplotlib as mpl
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import AbstractPathEffect, withStroke

from analysis.axes import PANEL
from analysis.figures.parts import (
    grid_of_parts,
    legend_below,
    log_abscissa,
    mark_critical,
    more_panels,
    tally,
    wrapped,
)
from analysis.figures.style import (
    MOST_PANELS,
    STYLE,
    error_bars,
    grid_of,
    log_ordinate,
    panels_of,
    parts_along,
    say,
    series_look,
)
from analysis.signs import signs
from analysis.study import Study
from pipeline.axes import optional

__all__ = ["phase_figure"]

FAMILIES = (*(axis.name for axis in optional()), "d")
"""Axes whose values are lines of one panel where there is a single n."""

OUTLINE: list[AbstractPathEffect] = [withStroke(linewidth=3, foreground="black")]
"""White on yellow is not seen."""

BLANK: Any = {"facecolor": "white", "edgecolor": "0.35", "zorder": 0}
UNTRIED = BLANK | {"hatch": "//////", "label": "no trial: not requested, or not yet run"}
DEGENERATE = BLANK | {"hatch": ".....", "label": "α = 0"}


def phase_figure(study: Study) -> Figure:
    """Share of successes over (n, k), with the fitted critical width and the predicted one.

    With a single n there is no map to draw: the share over k is a line for each d, depth and set of
    trained weights, its critical width marked at one half.
    """
    if study.ds.sizes["n"] == 1:
        return _lines_figure(study)
    counts, widths = study.counts, study.widths
    share = counts.successes / counts.trials.where(counts.trials > 0)
    parts = [
        (f"{name}{', ' if name else ''}d = {d}", part.sel(d=d))
        for name, part in panels_of(widths.assign(share=share, k=study.ds.k))
        for d in widths.d.values
        if part.share.sel(d=d).notnull().any()
    ]
    total = len(parts)
    parts = parts[:MOST_PANELS]
    columns = min(4, max(1, len(parts)))
    with mpl.rc_context(STYLE):
        figure, grid = grid_of(columns, -(-max(1, len(parts)) // columns), 3.4, 3.4)
        mesh = None
        for axes, (title, part) in zip(grid.ravel(), parts, strict=False):
            mesh = _draw_phase(axes, part)
            axes.set_title(wrapped(title, 36))
        for axes in grid.ravel()[len(parts) :]:
            axes.set_axis_off()
        if not parts:
            say(grid[0, 0], f"no success to count: {tally('cells', widths)}")
        if mesh is not None:
            label = fill(f"share of seeds with {signs(widths.attrs['rule'])}", 32)
            figure.colorbar(mesh, ax=grid, label=label, shrink=0.8)
            legend_below(figure, *grid.ravel()[: len(parts)], columns=3)
        if total > MOST_PANELS:
            figure.suptitle(more_panels(total), fontsize=9)
        return figure


def _draw_phase(axes: Axes, part: xr.Dataset) -> Any:
    """One column of cells per n: every n has widths of its own."""
    mesh = None
    degenerate = part.outcome.values.astype(str) == "degenerate"
    there = part.share.notnull().any("width").values | degenerate
    columns = part.n.values[there]
    for place, n in enumerate(columns):
        cell = part.sel(n=n)
        k = np.broadcast_to(cell.k.values, cell.share.shape).astype(float)
        middle = np.sqrt(k[1:] * k[:-1])
        first, last = (middle[0], middle[-1]) if len(middle) else (k[0] * 1.05, k[0] / 1.05)
        edges = np.concatenate([[k[0] ** 2 / first], middle, [k[-1] ** 2 / last]])
        if cell.share.isnull().any():
            look = DEGENERATE if degenerate[there][place] else UNTRIED
            axes.fill_between([place - 0.5, place + 0.5], edges[0], edges[-1], linewidth=0, **look)
        mesh = axes.pcolormesh(
            [place - 0.5, place + 0.5],
            edges,
            cell.share.values[:, None],
            vmin=0,
            vmax=1,
            cmap="cividis",
        )
    at = np.arange(len(columns))
    chosen = part.sel(n=columns)
    if "k_edge_finite" in chosen:  # a prediction of conditioning; descent has none
        axes.plot(at, chosen.k_edge_finite, "w--", linewidth=2.4)
        axes.plot(at, chosen.k_edge_finite, "k--", linewidth=1.2, label="predicted (edge, finite n)")
    for artist in error_bars(axes, at, chosen, color="white", marker="o", label="fitted k*, 95%"):
        for drawn in artist.get_children() or [artist]:
            drawn.set_path_effects(OUTLINE)
    axes.set(xlabel="samples n", ylabel="width k")
    log_ordinate(axes)
    axes.set_xticks(at, [str(n) for n in columns])
    return mesh


# ---- a single n


def _lines_figure(study: Study) -> Figure:
    counts = study.counts
    share = counts.successes / counts.trials.where(counts.trials > 0)
    whole = study.widths.assign(share=share, k=study.ds.k).isel(n=0)
    panels = parts_along(whole, [dim for dim in PANEL if dim not in FAMILIES])
    parts = [(name, part) for name, part in panels if part.share.notnull().any()]
    with mpl.rc_context(STYLE):
        figure, axes = grid_of_parts(len(parts), 3, width=4.2, height=3.4)
        for place, (name, part) in zip(axes, parts, strict=False):
            _draw_lines(place, part)
            place.set_title(wrapped(", ".join(filter(None, [name, f"n = {int(part.n)}"])), 44))
            if place.get_subplotspec().is_first_col():
                place.set_ylabel(fill(f"share of seeds with {signs(study.widths.attrs['rule'])}", 32))
        if not parts:
            axes[0].clear()
            say(axes[0], f"no success to count: {tally('cells', study.widths)}")
        legend_below(figure, *axes[: len(parts)], columns=4)
        return figure


def _draw_lines(axes: Axes, part: xr.Dataset) -> None:
    for place, (name, cell) in enumerate(parts_along(part, FAMILIES)):
        k = np.broadcast_to(cell.k.values, cell.share.shape).astype(float)
        look = series_look(place)
        there = np.isfinite(cell.share.values)
        axes.plot(k[there], cell.share.values[there], color=look["color"], linewidth=1.3)
        mark_critical(axes, cell, k, k, **look)
        if "k_edge_finite" in cell:
            axes.axvline(float(cell.k_edge_finite), color=look["color"], linestyle=":", linewidth=1)
        axes.plot([], [], label=name, **look)
    axes.axhline(0.5, color="0.85", linewidth=0.8, zorder=0)
    axes.set(xlabel="width k", ylim=(-0.04, 1.04))
    log_abscissa(axes)
