"""The phase diagram: the share of seeds that succeed, over n and the width."""

from __future__ import annotations

from textwrap import fill
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.patheffects import AbstractPathEffect, withStroke

from analysis.axes import PANEL, own_axes
from analysis.figures.looks.chart import Chart, chosen, is_column, stroke, styled
from analysis.figures.looks.data import stands_for
from analysis.figures.looks.parts import (
    draw_success,
    grid_of_parts,
    left_out,
    legend_below,
    log_abscissa,
    mark_critical,
    titled,
    with_missing,
)
from analysis.figures.looks.scales import name_ticks
from analysis.figures.looks.style import (
    MOST_PANELS,
    PREDICTED,
    PREDICTION,
    error_bars,
    grey,
    grid_of,
    log_ordinate,
    only_text,
    panels_of,
    paper,
    parts_along,
    series_look,
)
from analysis.figures.looks.typography import mathtext, powers
from analysis.signs import signs
from analysis.study import Study
from pipeline.axes import optional

__all__ = ["phase_caption", "phase_figure"]

FAMILIES = (*(axis.name for axis in optional()), "d")
"""Axes whose values are lines of one panel if the store has a single n."""

BLACK_ROUND: list[AbstractPathEffect] = [withStroke(linewidth=3, foreground="black")]
WHITE_ROUND: list[AbstractPathEffect] = [withStroke(linewidth=3, foreground="white")]
"""Outlines that make marks visible on all colours of the map, whatever the style."""

FITTED_WIDTH = mathtext("fitted k*, 95%")
UNTRIED: Any = {"hatch": "//////", "label": "no trial: not requested, or not yet run"}
DEGENERATE: Any = {"hatch": ".....", "label": "α = 0"}


def phase_figure(study: Study) -> Chart:
    """Share of seeds that succeed against the width k, with the critical width k*."""
    if _is_of_one_n(study):
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
    with styled():
        figure, grid = grid_of(columns, -(-max(1, len(parts)) // columns), 3.4, 3.4, max(1, len(parts)))
        mesh = None
        for axes, (title, part) in zip(grid.ravel(), parts, strict=False):
            mesh = _draw_phase(axes, part)
            titled(axes, title, 36)
        if not parts:
            only_text(figure, f"no success to count: {with_missing('cells', widths)}")
        if mesh is not None:
            figure.colorbar(mesh, ax=grid, label=_share_of(widths), **_bar())
            legend_below(figure, *grid.ravel()[: len(parts)], columns=3)
        if total > MOST_PANELS:
            figure.suptitle(left_out(total - MOST_PANELS))
        return figure


def _is_of_one_n(study: Study) -> bool:
    """Return True if the figure has lines instead of a map."""
    return bool(study.ds.sizes["n"] == 1)


def phase_caption(study: Study) -> str:
    """Describe the map over n and k; or the lines over k, if the store has a single n."""
    known = "k_edge_finite" in study.widths
    if _is_of_one_n(study):
        dashes = " Dashed vertical lines are the predicted k*." * known
        return (
            "Points are shares of seeds; lines are the fitted curve, or the isotonic fit where no "
            f"curve fits; markers at one half are critical widths k*.{dashes}"
        )
    dashes = (
        " The dashed line is k* as predicted from the spectral edge of the kernel, shifted by the "
        "median of the Tracy-Widom law for finite n; nothing in it is fitted."
    ) * known
    outcomes = study.widths.outcome.values.astype(str)
    dots = " Dotted cells have α = 0." * bool((outcomes == "degenerate").any())
    return (
        "Each column is one n and each of its cells one width; colour is the share of seeds. White "
        f"markers are the fitted k*.{dashes}{dots} Hatched cells, if any, have no trial."
    )


def _bar() -> dict[str, Any]:
    """Return the place of the colour bar: above the panels of a figure that has no room beside them."""
    if is_column():
        return {"location": "top", "aspect": 40, "shrink": 0.9, "pad": 0.01}
    return {"shrink": 0.8}


def _share_of(widths: xr.Dataset) -> str:
    """Return the label of the share of successes."""
    return mathtext(f"share of seeds with\n{fill(signs(widths.attrs['rule']), 32)}")


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
            blank: Any = {"facecolor": paper(), "edgecolor": grey(0.35), "zorder": 0, "linewidth": 0}
            area = axes.fill_between([index - 0.5, index + 0.5], edges[0], edges[-1], **blank | look)
            stands_for(area, look["label"])  # without numbers
            area.set_label(look["label"])
        mesh = axes.pcolormesh(
            [index - 0.5, index + 0.5],
            edges,
            cell.share.values[:, None],
            vmin=0,
            vmax=1,
            cmap=chosen("image.cmap", "cividis"),
        )
        shares = cell.share.values
        known = np.isfinite(shares)
        stands_for(mesh, "share", x=[int(n)] * int(known.sum()), y=k[known], value=shares[known])
    at = np.arange(len(columns))
    fitted = part.sel(n=columns)
    if "k_edge_finite" in fitted:  # descent has no prediction
        axes.plot(at, fitted.k_edge_finite, color="black", linestyle=PREDICTION, linewidth=stroke(1.4),
                  path_effects=WHITE_ROUND, label=PREDICTED["k_edge_finite"])  # fmt: skip
    for artist in error_bars(axes, at, fitted, color="white", marker="o", label=FITTED_WIDTH):
        for drawn in artist.get_children() or [artist]:
            drawn.set_path_effects(BLACK_ROUND)
    axes.set(xlabel="samples n", ylabel="width k")
    log_ordinate(axes)
    name_ticks(axes.xaxis, columns)
    return mesh


# --- a single n -----------------------------------------------------------------------------------


def _lines_figure(study: Study) -> Chart:
    """Draw the share of successes over k, a panel for each activation, data set and criterion."""
    counts = study.counts
    share = counts.successes / counts.trials.where(counts.trials > 0)
    whole = study.widths.assign(share=share, trials_at=counts.trials, k=study.ds.k).isel(n=0)
    every = parts_along(whole, [dim for dim in (*PANEL, *own_axes(whole)) if dim not in FAMILIES])
    parts = [(name, part) for name, part in every if part.share.notnull().any()]
    with styled():
        figure, panels = grid_of_parts(len(parts), 3, width=4.2, height=3.4)
        for axes, (name, part) in zip(panels, parts, strict=False):
            _draw_lines(axes, part)
            titled(axes, ", ".join(filter(None, [name, f"n = {int(part.n)}"])), 44)
            if axes.get_subplotspec().is_first_col():
                axes.set_ylabel(_share_of(study.widths))
        if not parts:
            panels[0].clear()
            only_text(figure, f"no success to count: {with_missing('cells', study.widths)}")
        legend_below(figure, *panels[: len(parts)], columns=4)
        return figure


def _draw_lines(axes: Axes, part: xr.Dataset) -> None:
    for index, (name, cell) in enumerate(parts_along(part, FAMILIES)):
        k = np.broadcast_to(cell.k.values, cell.share.shape).astype(float)
        look = series_look(index)
        draw_success(axes, cell, cell.share, cell.trials_at, k, k, name=name, color=look["color"])
        mark_critical(axes, cell, k, k, label=f"_{name}, k*", **look)
        if "k_edge_finite" in cell:
            axes.axvline(float(cell.k_edge_finite), color=look["color"], linestyle=PREDICTION,
                         linewidth=stroke(1), label=f"_{name}, predicted k*")  # fmt: skip
        axes.plot([], [], label=powers(name), **look)
    if "k_edge_finite" in part:
        proxy: Any = {"color": grey(0.5), "linestyle": PREDICTION, "label": PREDICTED["k_edge_finite"]}
        axes.plot([], [], **proxy)
    axes.axhline(0.5, color=grey(0.85), linewidth=stroke(0.8), zorder=0)
    axes.set(xlabel="width k", ylim=(-0.04, 1.04))
    log_abscissa(axes)
