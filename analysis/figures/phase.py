"""The phase diagram: the share of seeds that succeed, over n and the width."""

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
    draw_success,
    grid_of_parts,
    left_out,
    legend_below,
    log_abscissa,
    mark_critical,
    with_missing,
    wrapped,
)
from analysis.figures.style import (
    MOST_PANELS,
    PREDICTED,
    STYLE,
    error_bars,
    grid_of,
    log_ordinate,
    panels_of,
    parts_along,
    series_look,
    show_text,
)
from analysis.signs import signs
from analysis.study import Study
from pipeline.axes import optional

__all__ = ["phase_figure"]

FAMILIES = (*(axis.name for axis in optional()), "d")
"""Axes whose values are lines of one panel if the store has a single n."""

OUTLINE: list[AbstractPathEffect] = [withStroke(linewidth=3, foreground="black")]
"""Makes white marks visible on yellow."""

BLANK: Any = {"facecolor": "white", "edgecolor": "0.35", "zorder": 0}
UNTRIED = BLANK | {"hatch": "//////", "label": "no trial: not requested, or not yet run"}
DEGENERATE = BLANK | {"hatch": ".....", "label": "α = 0"}


def phase_figure(study: Study) -> Figure:
    """Share of successes over n and k, with the fitted and the predicted critical width.

    A store with a single n has lines instead of a map: the share over k for each d, depth and set of
    trained weights. Points are the shares of seeds, the line is the fitted curve, or the isotonic fit
    where no curve fits, and the critical width is marked on it at one half.
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
            show_text(grid[0, 0], f"no success to count: {with_missing('cells', widths)}")
        if mesh is not None:
            label = fill(f"share of seeds with {signs(widths.attrs['rule'])}", 32)
            figure.colorbar(mesh, ax=grid, label=label, shrink=0.8)
            legend_below(figure, *grid.ravel()[: len(parts)], columns=3)
        if total > MOST_PANELS:
            figure.suptitle(left_out(total - MOST_PANELS), fontsize=9)
        return figure


def _draw_phase(axes: Axes, part: xr.Dataset) -> Any:
    """Draw a column of cells for each n, since each n has its own widths."""
    mesh = None
    degenerate = part.outcome.values.astype(str) == "degenerate"
    shown = part.share.notnull().any("width").values | degenerate
    columns = part.n.values[shown]
    for index, n in enumerate(columns):
        cell = part.sel(n=n)
        k = np.broadcast_to(cell.k.values, cell.share.shape).astype(float)
        middle = np.sqrt(k[1:] * k[:-1])
        first, last = (middle[0], middle[-1]) if len(middle) else (k[0] * 1.05, k[0] / 1.05)
        edges = np.concatenate([[k[0] ** 2 / first], middle, [k[-1] ** 2 / last]])
        if cell.share.isnull().any():
            look = DEGENERATE if degenerate[shown][index] else UNTRIED
            axes.fill_between([index - 0.5, index + 0.5], edges[0], edges[-1], linewidth=0, **look)
        mesh = axes.pcolormesh(
            [index - 0.5, index + 0.5],
            edges,
            cell.share.values[:, None],
            vmin=0,
            vmax=1,
            cmap="cividis",
        )
    at = np.arange(len(columns))
    chosen = part.sel(n=columns)
    if "k_edge_finite" in chosen:  # descent has no prediction
        axes.plot(at, chosen.k_edge_finite, "w--", linewidth=2.4)
        axes.plot(at, chosen.k_edge_finite, "k--", linewidth=1.2, label=PREDICTED["k_edge_finite"])
    for artist in error_bars(axes, at, chosen, color="white", marker="o", label="fitted k*, 95%"):
        for drawn in artist.get_children() or [artist]:
            drawn.set_path_effects(OUTLINE)
    axes.set(xlabel="samples n", ylabel="width k")
    log_ordinate(axes)
    axes.set_xticks(at, [str(n) for n in columns])
    return mesh


# --- a single n -----------------------------------------------------------------------------------


def _lines_figure(study: Study) -> Figure:
    """Draw the share of successes over k, a panel for each activation, data set and criterion."""
    counts = study.counts
    share = counts.successes / counts.trials.where(counts.trials > 0)
    whole = study.widths.assign(share=share, trials_at=counts.trials, k=study.ds.k).isel(n=0)
    every = parts_along(whole, [dim for dim in PANEL if dim not in FAMILIES])
    parts = [(name, part) for name, part in every if part.share.notnull().any()]
    with mpl.rc_context(STYLE):
        figure, panels = grid_of_parts(len(parts), 3, width=4.2, height=3.4)
        for axes, (name, part) in zip(panels, parts, strict=False):
            _draw_lines(axes, part)
            axes.set_title(wrapped(", ".join(filter(None, [name, f"n = {int(part.n)}"])), 44))
            if axes.get_subplotspec().is_first_col():
                axes.set_ylabel(fill(f"share of seeds with {signs(study.widths.attrs['rule'])}", 32))
        if not parts:
            panels[0].clear()
            show_text(panels[0], f"no success to count: {with_missing('cells', study.widths)}")
        legend_below(figure, *panels[: len(parts)], columns=4)
        return figure


def _draw_lines(axes: Axes, part: xr.Dataset) -> None:
    for index, (name, cell) in enumerate(parts_along(part, FAMILIES)):
        k = np.broadcast_to(cell.k.values, cell.share.shape).astype(float)
        look = series_look(index)
        draw_success(axes, cell, cell.share, cell.trials_at, k, k, color=look["color"])
        mark_critical(axes, cell, k, k, **look)
        if "k_edge_finite" in cell:
            axes.axvline(float(cell.k_edge_finite), color=look["color"], linestyle=":", linewidth=1)
        axes.plot([], [], label=name, **look)
    axes.axhline(0.5, color="0.85", linewidth=0.8, zorder=0)
    axes.set(xlabel="width k", ylim=(-0.04, 1.04))
    log_abscissa(axes)
