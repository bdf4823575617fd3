"""The figure of critical slowing down: times against the distance from the threshold, and its limit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes

from analysis.figures.looks.chart import Chart, styled
from analysis.figures.looks.parts import legend_below, log_abscissa
from analysis.figures.looks.style import grid_of, line, log_ordinate, only_text, series_look
from analysis.figures.looks.typography import mathtext
from analysis.slowing.cells import Cell, trials_of
from analysis.study import Study
from analysis.success.budgets import budget_grid

__all__ = ["slowing_figure"]

MOST_CELLS = 8


def slowing_figure(study: Study) -> Chart:
    """Steps to a tolerance against 1 − (k∞/k)^β, and the critical width against the budget.

    Left, points are medians over seeds at widths where most trials arrive, divided by the level of the
    law of their cell; a line ends at the widest network to which its law is fitted. Right, critical
    widths are divided by k∞; the grey line is the limit, and the shade its 95% interval. Cells
    without a finite threshold are left out.
    """
    table = study.thresholds
    known = table[table.verdict == "threshold"]
    with styled():
        figure, panels = grid_of(2, width=4.6, height=4.2 + 0.3 * min(len(known), MOST_CELLS))
        if known.empty:
            only_text(figure, "no finite threshold seen in any cell")
            return figure
        cells = trials_of(study.ds)
        widths = study.at_budgets(budget_grid(study.ds)).widths
        for index, (row, fit) in enumerate(known.head(MOST_CELLS).iterrows()):
            axes, look = cells[int(str(row))], series_look(index)
            _draw_times(panels[0, 0], axes, fit, look)
            _draw_limit(panels[0, 1], widths, axes[0], fit, look)
        _label(panels[0, 0], panels[0, 1])
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
    last = min(distance[above].max(), 1 - (fit.k_inf / fit.widest) ** fit.beta)
    ends = np.array([distance[above].min(), last])  # the law is fitted no farther
    axes.plot(ends, ends**-fit.gamma, color=look["color"], linewidth=0.9, label="_law")


def _draw_limit(
    axes: Axes, widths: xr.Dataset, at: dict[str, Any], fit: pd.Series[Any], look: dict[str, Any]
) -> None:
    part = widths.sel(
        {name: value for name, value in at.items() if name in widths.dims and name != "budget"}
    )
    line(axes, part.budget.values, part.k50.values / fit.k_inf, label=f"_{_name(at)}", **look)
    axes.fill_between(
        part.budget.values, fit.k_inf_low / fit.k_inf, fit.k_inf_high / fit.k_inf,
        color=look["color"], alpha=0.12, linewidth=0,
    )  # fmt: skip


def _label(times: Axes, limit: Axes) -> None:
    times.set(xlabel="1 − (k∞/k)$^{β}$", ylabel="steps to the tolerance / level", title="Slowing down")
    limit.set(xlabel="budget, steps", ylabel=mathtext("critical width / k∞"), title="Limit")
    limit.axhline(1, color="0.5", linewidth=0.9, zorder=0)
    for axes in (times, limit):
        log_abscissa(axes)
        log_ordinate(axes)
