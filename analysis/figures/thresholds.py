"""Figures of the critical width of training: against the budget, and against n/d."""

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
    series_look,
    show_text,
)
from analysis.study import Study
from analysis.success.budgets import budget_grid, budget_of
from analysis.transitions import critical_widths

__all__ = ["budget_figure", "thresholds_figure"]


def budget_figure(study: Study) -> Figure:
    """Critical width against the budget of steps, a line for each tolerance.

    Widths are in units of n/d if W is trained (on the grey line there are as many weights as samples),
    and in units of n if v is trained. A triangle marks the longest budget for which the widest network
    is too narrow. A budget of 0 steps is omitted, because the axis is logarithmic.
    """
    ds = study.ds
    widths = critical_widths(ds, budgets=study.success.budgets or budget_grid(ds))
    parts = parts_of(widths)
    with mpl.rc_context(STYLE):
        figure, panels = grid_of_parts(len(parts), 3)
        for axes, (name, part) in zip(panels, parts, strict=False):
            _draw_budgets(axes, part, ds.attrs["experiment"] == "input")
            axes.set_title(name)
        legend_below(figure, *panels[: len(parts)])
        return figure


def _draw_budgets(axes: Axes, part: xr.Dataset, inputs: bool) -> None:
    part = part.sel(budget=part.budget > 0)
    if not part.sizes["budget"]:
        show_text(axes, "the budget is 0: no step was taken")
        return
    scale = float(part.d) / float(part.n) if inputs else 1 / float(part.n)
    budgets = part.budget.values.astype(float)
    spread = np.linspace(-0.04, 0.04, len(part.tolerance)) if len(part.tolerance) > 1 else [0.0]
    for index, tolerance in enumerate(part.tolerance.values):
        cells, look = part.sel({"tolerance": tolerance}), series_look(index)
        moved = budgets * np.exp(spread[index])  # so that no interval hides another
        k50 = np.where(located(cells), cells.k50.values, np.nan) * scale
        line(axes, moved, k50, color=look["color"], linewidth=1)
        error_bars(axes, moved, cells, scale, label=f"relative loss ≤ {tolerance:g}", **look)
        # Mark only the longest of the budgets that are too short for the widest network.
        last = np.flatnonzero(is_beyond(cells))[-1:]
        mark_beyond(axes, moved[last], cells.isel(budget=last), scale, color=look["color"])
    axes.axhline(1, color="0.65", linewidth=0.9, zorder=0, label="kd = n" if inputs else "k = n")
    axes.set(xscale="log", xlabel="budget (steps)", xlim=(budgets[0] / 1.3, budgets[-1] * 1.3))
    axes.set_ylabel(f"critical width, {'kd/n' if inputs else 'k/n'}")
    log_ordinate(axes)


def thresholds_figure(study: Study) -> Figure:
    """Critical width against n/d, and the factors by which the sufficient conditions are loose.

    Left: the critical width at the full budget, for each tolerance; the line is kd = n. Right: the
    conditions n²/d (smooth) and n⁴/d³ (ReLU) with constant 1, over the width measured at the finest
    tolerance. Both are sufficient conditions: a large factor means that they are loose, not wrong.
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
            show_text(grid[0, 0], "no trial is done yet")
        legend_below(figure, *grid.ravel(), columns=5)
        return figure


def _draw_thresholds(axes: Axes, part: xr.Dataset) -> None:
    """Draw critical widths: colours are tolerances, markers are d."""
    for index, tolerance in enumerate(part.tolerance.values):
        label = f"relative loss ≤ {tolerance:g}"
        axes.plot([], [], color=series_look(index)["color"], linewidth=3, label=label)
    spread = np.linspace(-0.02, 0.02, len(part.tolerance)) if len(part.tolerance) > 1 else [0.0]
    for index, tolerance in enumerate(part.tolerance.values):
        colour = series_look(index)["color"]
        for d_index, d in enumerate(part.d.values):
            cells = part.sel({"d": d, "tolerance": tolerance})
            x = cells.n.values / d * np.exp(spread[index])
            error_bars(axes, x, cells, color=colour, marker=MARKERS[d_index % len(MARKERS)])
            mark_beyond(axes, x, cells, color=colour)
    for d_index, d in enumerate(part.d.values):
        marker = MARKERS[d_index % len(MARKERS)]
        axes.plot([], [], linestyle="none", color="grey", marker=marker, label=f"d = {d}")
    ratio = np.unique((part.n / part.d).values)
    ends = np.array([ratio[0] / 1.1, ratio[-1] * 1.1])
    axes.plot(ends, ends, color="0.35", linewidth=1, label="kd = n")
    axes.set(xscale="log", xlabel="samples over dimension n/d", ylabel="critical width k*")
    _ratio_ticks(axes, ratio)
    log_ordinate(axes)


def _draw_looseness(axes: Axes, part: xr.Dataset) -> None:
    """Draw the factor of each condition and d: full points for smooth activations, hollow for ReLU."""
    factors = looseness(part[["k50"]].where(located(part)))
    for (law, activation), face in zip(SUFFICIENT.items(), ("0.25", "white"), strict=True):
        factor = factors[law].transpose("n", "d")
        label = f"{law}, sufficient for {activation}"
        axes.plot([], [], "o", color="0.25", markerfacecolor=face, label=label)
        for d_index, d in enumerate(part.d.values):
            x, heights = part.n.values / d, factor.sel(d=d).values
            line(axes, x, heights, color="0.25", linewidth=0.8, markerfacecolor=face, markersize=6,
                 marker=MARKERS[d_index % len(MARKERS)])  # fmt: skip
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
