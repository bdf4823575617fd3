"""Figures of the critical width of training: against the budget, and against n/d."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from numpy.typing import NDArray
from scipy.optimize import isotonic_regression

from analysis.cells import located
from analysis.experiments.input import SUFFICIENT, looseness
from analysis.figures.looks.chart import Chart, dot, em, stroke, styled
from analysis.figures.looks.parts import (
    axes_as_in,
    grid_of_parts,
    is_beyond,
    legend_below,
    log_abscissa,
    mark_beyond,
    parts_of,
    titled,
    with_axes,
)
from analysis.figures.looks.scales import tick_every
from analysis.figures.looks.style import (
    MARKERS,
    MOST_PANELS,
    aside,
    error_bars,
    grey,
    grid_of,
    line,
    log_ordinate,
    only_text,
    series_look,
    show_text,
    side_by_side,
)
from analysis.figures.looks.typography import mathtext, number
from analysis.slowing.cells import share_at_edge
from analysis.study import Study
from analysis.success.budgets import budget_grid, budget_of

__all__ = ["budget_figure", "budgeted", "thresholds_figure"]


def budget_figure(study: Study) -> Chart:
    """Critical width of training against the budget of steps of gradient descent.

    Colours and markers are tolerances of the relative loss. Widths are in units of n/d if W is
    trained (on the grey line there are as many weights as samples), and in units of n if v is
    trained. A triangle marks the longest budget for which the widest network is too narrow, and rings
    mark cells whose trials run at the edge of stability, so that times are chaotic.
    """
    ds = study.ds
    widths = budgeted(study).widths.assign(at_edge=share_at_edge(ds))
    parts = parts_of(widths)
    with styled():
        figure, panels = grid_of_parts(len(parts), 3)
        for axes, (name, part) in zip(panels, parts, strict=False):
            _draw_budgets(axes, part, ds.attrs["experiment"] == "input")
            titled(axes, name)
        legend_below(figure, *panels[: len(parts)])
        return figure


def budgeted(study: Study) -> Study:
    """Return the study of the same store at the budgets of the figure."""
    return study.at_budgets(study.success.budgets or budget_grid(study.ds))


def _draw_budgets(axes: Axes, part: xr.Dataset, inputs: bool) -> None:
    part = part.sel(budget=part.budget > 0)
    if not part.sizes["budget"]:
        show_text(axes, "the budget is 0: no step was taken")
        return
    scale = float(part.d) / float(part.n) if inputs else 1 / float(part.n)
    budgets = part.budget.values.astype(float)
    shifts = side_by_side(len(part.tolerance), 2.5)
    for index, (tolerance, beside) in enumerate(zip(part.tolerance.values, shifts, strict=True)):
        cells, look = part.sel({"tolerance": tolerance}), series_look(index)
        name = mathtext(f"relative loss ≤ {tolerance:g}")
        k50 = np.where(located(cells), cells.k50.values, np.nan) * scale
        moved: Any = {"transform": aside(axes, beside, budgets, k50), "color": look["color"]}
        line(axes, budgets, k50, linewidth=stroke(1), **moved)
        error_bars(axes, budgets, cells, scale, beside=beside, label=name, **look)
        # Mark only the longest of the budgets that are too short for the widest network.
        last = np.flatnonzero(is_beyond(cells))[-1:]
        above = f"_{name}, above the widest tried"
        far = cells.isel(budget=last)
        aside(axes, beside, budgets[last], far.bracket_low * scale)
        mark_beyond(axes, budgets[last], far, scale, label=above, **moved)
    axes.axhline(
        1, color=grey(0.65), linewidth=stroke(0.9), zorder=0, label="kd = n" if inputs else "k = n"
    )
    axes.set(xlabel="budget (steps)", xlim=(budgets[0] / 1.7, budgets[-1] * 1.7))
    log_abscissa(axes)
    axes.set_ylabel(f"critical width, {'kd/n' if inputs else 'k/n'}")
    log_ordinate(axes)


def thresholds_figure(study: Study) -> Chart:
    """Critical width of training against n/d, and the looseness of sufficient conditions.

    First panel: the critical width k* at the full budget; colours are tolerances, markers are d,
    and the line is kd = n. A triangle is a k* above the widest network tried, and a ring marks a cell
    whose trials run at the edge of stability, so that times are chaotic. Second: the
    conditions n²/d (smooth activations) and n⁴/d³ (ReLU) with constant 1, over the k* at the finest
    tolerance. Both are sufficient conditions: a large factor means that they are loose, not wrong.
    """
    ds = with_axes(study.ds, "activation")
    found = study.default.widths.assign(at_edge=share_at_edge(study.ds))
    widths = axes_as_in(ds, found, "activation")
    parts = parts_of(widths, "d", "n")
    rows = max(1, min(len(parts), MOST_PANELS // 2))
    with styled():
        figure, grid = grid_of(2, rows, width=5.0, height=3.8)
        for row, (name, part) in zip(grid, parts, strict=False):
            _draw_thresholds(row[0], part)
            titled(row[0], f"{name}: {budget_of(ds):,} steps")
            _draw_looseness(row[1], part.isel(tolerance=-1))
            titled(row[1], f"{name}: sufficient over measured width", 56)
        if not parts:
            only_text(figure, "no trial is done yet")
        legend_below(figure, *grid.ravel(), columns=5)
        return figure


def _ratios(part: xr.Dataset) -> NDArray[np.float64]:
    """Return n/d of the cells with results, increasing; of all cells if there are none.

    Sub-grids leave cells out, and axes that reach to their n/d would squeeze the others.
    """
    ratio = part.n / part.d
    others = [dim for dim in part.seeds.dims if dim not in ratio.dims]
    done = ratio.where((part.seeds > 0).any(others)).values
    return np.unique(done[np.isfinite(done)] if np.isfinite(done).any() else ratio.values)


def _draw_thresholds(axes: Axes, part: xr.Dataset) -> None:
    """Draw critical widths: colours are tolerances, markers are d."""
    shifts = side_by_side(len(part.tolerance))
    for index, (tolerance, beside) in enumerate(zip(part.tolerance.values, shifts, strict=True)):
        colour, name = series_look(index)["color"], mathtext(f"relative loss ≤ {tolerance:g}")
        axes.plot([], [], color=colour, linewidth=stroke(3), label=name)
        for d_index, d in enumerate(part.d.values):
            cells = part.sel({"d": d, "tolerance": tolerance})
            x, marker = cells.n.values / d, MARKERS[d_index % len(MARKERS)]
            series = f"_{name}, d = {d}"
            error_bars(axes, x, cells, beside=beside, color=colour, marker=marker, label=series)
            above = f"{series}, above the widest tried"
            moved = aside(axes, beside, x, cells.bracket_low.where(is_beyond(cells)))
            mark_beyond(axes, x, cells, color=colour, transform=moved, label=above)
    for d_index, d in enumerate(part.d.values):
        marker = MARKERS[d_index % len(MARKERS)]
        axes.plot([], [], linestyle="none", color=grey(0.5), marker=marker, label=f"d = {d}")
    ratio = _ratios(part)
    ends = np.array([ratio[0] / 1.1, ratio[-1] * 1.1])
    axes.plot(ends, ends, color=grey(0.35), linewidth=stroke(1), label="kd = n")
    axes.set(xlabel="samples over dimension n/d", ylabel=mathtext("critical width k*"))
    tick_every(axes.xaxis, ratio)
    log_ordinate(axes)


def _write_factors(axes: Axes, factors: xr.Dataset) -> None:
    """Write the factor of each law and d at its largest n/d beside the panel, none on another one."""
    known = (factors[law].sel(d=d).dropna("n") for law in factors for d in factors.d.values)
    ends = sorted((float(row[-1]), float(row.n[-1] / row.d)) for row in known if row.sizes["n"])
    low, high = np.log(axes.get_ylim())
    shares = np.array([(np.log(factor) - low) / (high - low) for factor, _ in ends])
    line_to: Any = {"arrowstyle": "-", "color": grey(0.8), "linewidth": stroke(0.6), "relpos": (0, 0.5)}
    for (factor, at), share in zip(ends, _apart(shares, _letter_of(axes)), strict=True):
        axes.annotate(f"× {number(float(f'{factor:.2g}'))}", (at, factor), (1.03, share),
                      textcoords="axes fraction", va="center", fontsize="x-small",
                      arrowprops=line_to)  # fmt: skip


def _apart(shares: NDArray[np.float64], gap: float) -> NDArray[np.float64]:
    """Move ascending heights as little as possible, so that a gap is left between any two."""
    if not len(shares):
        return shares
    room = gap * np.arange(len(shares))
    moved: NDArray[np.float64] = isotonic_regression(shares - room).x + room
    return moved - max(0.0, moved[-1] - 1)


def _letter_of(axes: Axes) -> float:
    """Return the height of a line of small words as a share of the panel, about: it is not laid out."""
    panel = 0.8 * axes.get_position().height * axes.figure.bbox.height / 72
    return float(10 * em() / 72 / panel)


def _draw_looseness(axes: Axes, part: xr.Dataset) -> None:
    """Draw the factor of each condition and d: dark points for smooth activations, pale for ReLU."""
    factors = looseness(part[["k50"]].where(located(part)))
    for (law, activation), shade in zip(SUFFICIENT.items(), (0.1, 0.55), strict=True):
        factor = factors[law].transpose("n", "d")
        look: Any = {"color": grey(shade), "markersize": dot(6)}
        label = mathtext(f"{law}, sufficient for {activation}")
        axes.plot([], [], linewidth=stroke(3), color=look["color"], label=label)
        for d_index, d in enumerate(part.d.values):
            x, heights = part.n.values / d, factor.sel(d=d).values
            line(axes, x, heights, linewidth=stroke(0.8), marker=MARKERS[d_index % len(MARKERS)],
                 label=f"_{label}, d = {d}", **look)  # fmt: skip
    axes.axhline(1, color=grey(0.65), linewidth=stroke(0.9), zorder=0)
    ratio = _ratios(part)
    axes.set_xlabel("samples over dimension n/d")
    axes.set_ylabel(mathtext(f"condition / k*,\nrelative loss ≤ {float(part.tolerance):g}"))
    tick_every(axes.xaxis, ratio)
    log_ordinate(axes)
    axes.set(xlim=(ratio[0] / 1.15, ratio[-1] * 1.15), ylim=(0.7, 1.5 * axes.get_ylim()[1]))
    _write_factors(axes, factors)
