"""The figure of critical slowing down: times against the distance from the threshold, and its limit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes

from analysis.experiments.chaos import CHAOTIC
from analysis.figures.looks.chart import Chart, styled
from analysis.figures.looks.parts import legend_below, log_abscissa
from analysis.figures.looks.style import (
    grid_of,
    line,
    log_ordinate,
    only_text,
    paper,
    ring,
    series_look,
)
from analysis.figures.looks.typography import mathtext
from analysis.slowing.cells import Cell, trials_of
from analysis.study import Study
from analysis.success.budgets import budget_grid

__all__ = ["slowing_figure"]

MOST_CELLS = 8

BEYOND = 1.35
"""Factor on the budget from one bar of a limit to the next."""


def slowing_figure(study: Study) -> Chart:
    """Steps to a tolerance against 1 − (k∞/k)^β, and the critical width against the budget.

    Left, points are medians over seeds at widths where most trials arrive, divided by the level of the
    law of their cell; a line ends at the widest network to which its law is fitted. Right, critical
    widths are divided by k∞; the grey line is the limit, whose 95% interval for each cell is a bar
    beyond the longest budget. Rings mark cells whose trials run at the edge of stability, so that
    times are chaotic. Cells without a finite threshold are left out.
    """
    table = study.default.thresholds  # they depend on no success
    known = table[table.verdict == "threshold"]
    with styled():
        figure, panels = grid_of(2, width=4.6, height=4.2 + 0.3 * min(len(known), MOST_CELLS))
        if known.empty:
            only_text(figure, "no finite threshold seen in any cell")
            return figure
        cells = trials_of(study.ds)
        widths = study.at_budgets(budget_grid(study.ds)).widths
        shown = known.head(MOST_CELLS)
        beyond = float(widths.budget.max()) * BEYOND ** np.arange(2, 2 + len(shown))
        for index, (row, fit) in enumerate(shown.iterrows()):
            axes, look = cells[int(str(row))], series_look(index)
            _draw_times(panels[0, 0], axes, fit, look)
            _draw_limit(panels[0, 1], widths, axes[0], fit, look)
            _draw_interval(panels[0, 1], beyond[index], fit, look | {"label": f"_{_name(axes[0])}"})
        _label(panels[0, 0], panels[0, 1], float(widths.budget.max()))
        legend_below(figure, panels[0, 0], panels[0, 1])
        return figure


def _name(axes: dict[str, Any]) -> str:
    shown = {name: value for name, value in axes.items() if name != "budget"}
    return ", ".join(
        f"{name} = {value:g}" if isinstance(value, int | float) else str(value)
        for name, value in shown.items()
    )


def _draw_times(axes: Axes, cell: Cell, fit: pd.Series[Any], look: dict[str, Any]) -> None:
    trials = cell[1]
    most = 2 * trials.arrived.sum(axis=0) > trials.counted.sum(axis=0)
    censored = np.where(trials.arrived, trials.log_time, np.where(trials.counted, np.inf, np.nan))
    distance = 1 - (fit.k_inf / np.exp(trials.log_k[0, most])) ** fit.beta
    times = np.exp(np.nanmedian(censored[:, most], axis=0) - fit.level)
    above = (distance > 0) & np.isfinite(times)
    line(axes, distance[above], times[above], label=_name(cell[0]), linestyle="none", **look)
    if fit.at_edge > CHAOTIC:
        ring(axes, distance[above], times[above])
    last = min(distance[above].max(), 1 - (fit.k_inf / fit.widest) ** fit.beta)
    ends = np.array([distance[above].min(), last])  # the law is fitted no farther
    axes.plot(ends, ends**-fit.gamma, color=look["color"], linewidth=0.9, label="_law")


def _draw_limit(
    axes: Axes, widths: xr.Dataset, at: dict[str, Any], fit: pd.Series[Any], look: dict[str, Any]
) -> None:
    part = widths.sel(
        {name: value for name, value in at.items() if name in widths.dims and name != "budget"}
    )
    shares = part.k50.values / fit.k_inf
    line(axes, part.budget.values, shares, label=f"_{_name(at)}", **look)
    if fit.at_edge > CHAOTIC:
        ring(axes, part.budget.values, shares)


def _draw_interval(axes: Axes, at: float, fit: pd.Series[Any], look: dict[str, Any]) -> None:
    """Draw the interval of a limit beyond the longest budget, where no bar lies on another."""
    low, high = fit.k_inf_low / fit.k_inf, fit.k_inf_high / fit.k_inf
    axes.errorbar(
        at, 1.0, [[1 - low], [high - 1]], markerfacecolor=paper(), capsize=2.5, linewidth=1.2, **look,
    )  # fmt: skip


def _label(times: Axes, limit: Axes, longest: float) -> None:
    times.set(xlabel="1 − (k∞/k)$^{β}$", ylabel="steps to the tolerance / level", title="Slowing down")
    limit.set(xlabel="budget, steps", ylabel=mathtext("critical width / k∞"), title="Limit")
    limit.axhline(1, color="0.5", linewidth=0.9, zorder=0)
    limit.axvline(longest * BEYOND, color="0.7", linewidth=0.9, linestyle=":", zorder=0)
    limit.text(
        longest * BEYOND**1.4, 0.98, "no limit\non steps", va="top", fontsize="small",
        transform=limit.get_xaxis_transform(),
    )  # fmt: skip
    for axes in (times, limit):
        log_abscissa(axes)
        log_ordinate(axes)
    for minor in (True, False):  # bars of limits stand at no budget
        ticks = limit.get_xticks(minor=minor)
        limit.set_xticks(ticks[ticks <= longest], minor=minor)
