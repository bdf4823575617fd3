"""Figures of the width at which training succeeds: against the budget, and against n/d."""

from __future__ import annotations

from typing import Any

import matplotlib as mpl
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.cells import located
from analysis.experiments.input import SUFFICIENT, looseness
from analysis.figures.parts import (
    grid_of_parts,
    is_beyond,
    legend_below,
    mark_beyond,
    parts_of,
    with_axes,
)
from analysis.figures.style import (
    MARKERS,
    MOST_PANELS,
    STYLE,
    error_bars,
    grid_of,
    line,
    log_ordinate,
    say,
    series_look,
)
from analysis.study import Study
from analysis.success.budgets import budget_grid, budget_of
from analysis.transitions import critical_widths

__all__ = ["budget_figure", "thresholds_figure"]


def budget_figure(study: Study) -> Figure:
    """Critical width against the budget of steps, a line for each tolerance.

    Widths are in units of n/d where W is trained (the grey line has as many weights as samples), and
    of n where v is. A triangle marks the longest budget for which the widest network is too narrow. A
    budget of no step has no place on a logarithmic axis and is left out.
    """
    ds = study.ds
    widths = critical_widths(ds, budgets=study.success.budgets or budget_grid(ds))
    parts = parts_of(widths)
    with mpl.rc_context(STYLE):
        figure, axes = grid_of_parts(len(parts), 3)
        for place, (name, part) in zip(axes, parts, strict=False):
            _draw_budgets(place, part, ds.attrs["experiment"] == "input")
            place.set_title(name)
        legend_below(figure, *axes[: len(parts)])
        return figure


def _draw_budgets(axes: Axes, part: xr.Dataset, inputs: bool) -> None:
    part = part.sel(budget=part.budget > 0)
    if not part.sizes["budget"]:
        say(axes, "the budget is 0: no step was taken")
        return
    scale = float(part.d) / float(part.n) if inputs else 1 / float(part.n)
    budgets = part.budget.values.astype(float)
    spread = np.linspace(-0.04, 0.04, len(part.tolerance)) if len(part.tolerance) > 1 else [0.0]
    for place, tolerance in enumerate(part.tolerance.values):
        cells, look = part.sel({"tolerance": tolerance}), series_look(place)
        moved = budgets * np.exp(spread[place])  # side by side, so that no interval hides another
        k50 = np.where(located(cells), cells.k50.values, np.nan) * scale
        line(axes, moved, k50, color=look["color"], linewidth=1)
        error_bars(axes, moved, cells, scale, label=f"relative loss ≤ {tolerance:g}", **look)
        # Of the budgets that are too short for the widest network, the longest says it all.
        last = np.flatnonzero(is_beyond(cells))[-1:]
        mark_beyond(axes, moved[last], cells.isel(budget=last), scale, color=look["color"])
    axes.axhline(1, color="0.65", linewidth=0.9, zorder=0, label="kd = n" if inputs else "k = n")
    axes.set(xscale="log", xlabel="budget (steps)", xlim=(budgets[0] / 1.3, budgets[-1] * 1.3))
    axes.set_ylabel(f"critical width, {'kd/n' if inputs else 'k/n'}")
    log_ordinate(axes)


def thresholds_figure(study: Study) -> Figure:
    """Critical width against n/d, and by what factor the sufficient conditions are loose.

    Left: at the full budget, for every tolerance; the line is kd = n. Right: the conditions n²/d
    (smooth) and n⁴/d³ (ReLU), through the constant 1, over the width measured at the finest tolerance.
    Both are sufficient: a large factor says that they are loose, not that they are wrong.
    """
    ds = with_axes(study.ds, "activation")
    widths = critical_widths(ds)
    parts = parts_of(widths, "d", "n")
    rows = max(1, min(len(parts), MOST_PANELS // 2))
    with mpl.rc_context(STYLE):
        figure, grid = grid_of(2, rows, width=5.0, height=3.8)
        for row, (name, part) in zip(grid, parts, strict=False):
            _draw_thresholds(row[0], part)
            row[0].set_title(f"{name}: {budget_of(ds):,} steps")
            _draw_looseness(row[1], part.isel(tolerance=-1))
            row[1].set_title(f"{name}: sufficient over measured width")
        if not parts:
            say(grid[0, 0], "no trial is done yet")
        legend_below(figure, *grid.ravel(), columns=5)
        return figure


def _draw_thresholds(axes: Axes, part: xr.Dataset) -> None:
    """Colours are tolerances, markers are d."""
    for place, tolerance in enumerate(part.tolerance.values):
        words = f"relative loss ≤ {tolerance:g}"
        axes.plot([], [], color=series_look(place)["color"], linewidth=3, label=words)
    spread = np.linspace(-0.02, 0.02, len(part.tolerance)) if len(part.tolerance) > 1 else [0.0]
    for place, tolerance in enumerate(part.tolerance.values):
        colour = series_look(place)["color"]
        for d_place, d in enumerate(part.d.values):
            cells = part.sel({"d": d, "tolerance": tolerance})
            x = cells.n.values / d * np.exp(spread[place])
            error_bars(axes, x, cells, color=colour, marker=MARKERS[d_place % len(MARKERS)])
            mark_beyond(axes, x, cells, color=colour)
    for d_place, d in enumerate(part.d.values):
        marker = MARKERS[d_place % len(MARKERS)]
        axes.plot([], [], linestyle="none", color="grey", marker=marker, label=f"d = {d}")
    ratio = np.unique((part.n / part.d).values)
    ends = np.array([ratio[0] / 1.1, ratio[-1] * 1.1])
    axes.plot(ends, ends, color="0.35", linewidth=1, label="kd = n")
    axes.set(xscale="log", xlabel="samples over dimension n/d", ylabel="critical width k*")
    _ratio_ticks(axes, ratio)
    log_ordinate(axes)


def _draw_looseness(axes: Axes, part: xr.Dataset) -> None:
    """Points for each condition and d, with their factors; dark and full, or light and hollow."""
    factors = looseness(part[["k50"]].where(located(part)))
    for (law, activation), face in zip(SUFFICIENT.items(), ("0.25", "white"), strict=True):
        factor = factors[law].transpose("n", "d")
        label = f"{law}, enough for {activation}"
        axes.plot([], [], "o", color="0.25", markerfacecolor=face, label=label)
        for d_place, d in enumerate(part.d.values):
            x, heights = part.n.values / d, factor.sel(d=d).values
            line(axes, x, heights, color="0.25", linewidth=0.8, markerfacecolor=face, markersize=6,
                 marker=MARKERS[d_place % len(MARKERS)])  # fmt: skip
            for at, height in zip(x[np.isfinite(heights)], heights[np.isfinite(heights)], strict=True):
                axes.annotate(f"× {float(f'{height:.2g}'):,.0f}", (at, height), (0, 7), fontsize=7,
                              textcoords="offset points", ha="center")  # fmt: skip
    axes.axhline(1, color="0.65", linewidth=0.9, zorder=0)
    ratio = np.unique((part.n / part.d).values)
    axes.set(xscale="log", yscale="log", xlabel="samples over dimension n/d")
    axes.set(xlim=(ratio[0] / 1.15, ratio[-1] * 1.15), ylim=(0.7, 4 * axes.get_ylim()[1]))
    axes.set_ylabel(f"condition / k*, relative loss ≤ {float(part.tolerance):g}")
    _ratio_ticks(axes, ratio)


def _ratio_ticks(axes: Axes, ratio: Any) -> None:
    axes.set_xticks(ratio, [f"{value:g}" for value in ratio])
    axes.set_xticks([], minor=True)
