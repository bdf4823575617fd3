"""The figure of linear regression: the limit of descent, the distance to it, and the rate."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from analysis.figures.looks.chart import Chart, dot, stroke, styled, uncaptioned
from analysis.figures.looks.parts import legend_below, log_abscissa, parts_of, titled
from analysis.figures.looks.scales import name_ticks
from analysis.figures.looks.style import (
    MOST_PANELS,
    grey,
    grid_of,
    log_ordinate,
    only_text,
    series_look,
    show_text,
)
from analysis.figures.looks.typography import mathtext, number
from analysis.study import Study
from pipeline.trial_status import Status

__all__ = ["regression_figure"]


REGRESSION = ("limit_error", "distance_ratio", "length_ratio", "rate", "rate_predicted", "tolerance")


def regression_figure(study: Study) -> Chart:
    """Linear regression: the limit of gradient descent, the distance travelled, and its rate.

    Each point is a trial. First panel: distance between the last iterate and θ_∞ = θ† + Π_null θ₀,
    over the distance between θ_∞ and θ₀; the grey line is the root of the last tolerance. Second:
    distance travelled over ‖X†(y − Xθ₀)‖ and, as the paper prints it, over ‖X†y‖. Third: the
    measured against the predicted rate of the slowest mode; on the line they are equal.
    """
    parts = parts_of(study.ds, "d", "n")
    rows = max(1, min(len(parts), MOST_PANELS // 3))
    with styled():
        figure, grid = grid_of(3, rows, width=4.4, height=3.9)
        for row, (name, part) in zip(grid, parts, strict=False):
            ran = part[list(REGRESSION)].where(part.status == Status.DONE)
            limit = mathtext("the limit is θ† + Π_null θ₀")
            titles = (limit, "distance travelled", "rate of the slowest mode")
            for axes, title, draw in zip(row, titles, _REGRESSION_PANELS, strict=True):
                titled(axes, ", ".join(filter(None, [name, uncaptioned(title)])))
                if (part.status == Status.DONE).any():
                    draw(axes, ran)
                else:
                    show_text(axes, "no trial is done: descent diverged")
        if not parts:
            only_text(figure, "no trial is done yet")
        legend_below(figure, *grid[0])
        return figure


def _strips(axes: Axes, part: xr.Dataset, name: str, **look: Any) -> None:
    """Draw all seeds of each n/d, side by side."""
    values = part[name].stack(cell=("d", "n", "width")).transpose("cell", "seed")
    ratios, place = np.unique((values.n / values.d).values, return_inverse=True)
    x = place[:, None] + np.linspace(-0.2, 0.2, values.sizes["seed"])
    axes.plot(
        x.ravel(), values.values.ravel(), linestyle="none", markersize=dot(3.5), alpha=0.8, **look
    )
    axes.set(xlabel="samples over dimension n/d", xlim=(-0.5, len(ratios) - 0.5))
    name_ticks(axes.xaxis, [number(ratio) for ratio in ratios], ratios)


def _draw_limit(axes: Axes, part: xr.Dataset) -> None:
    _strips(axes, part, "limit_error", label="_distance to the limit", color=grey(0.35),
            marker="o")  # fmt: skip
    axes.axhline(np.sqrt(part.tolerance.values[-1]), color=grey(0.8), linewidth=stroke(3), zorder=0,
                 label="root of the last tolerance")  # fmt: skip
    axes.set_ylabel(mathtext("‖θ_T − θ_∞‖ / ‖θ_∞ − θ₀‖"))
    log_ordinate(axes)


def _draw_lengths(axes: Axes, part: xr.Dataset) -> None:
    off = float(np.abs(part.distance_ratio - 1).max())
    label = mathtext("distance over ‖X†y‖ (as printed)")
    _strips(axes, part, "length_ratio", label=label, **series_look(1))
    label = mathtext(f"distance over ‖X†(y − Xθ₀)‖: 1 to within {off:.0e}")
    _strips(axes, part, "distance_ratio", label=label, **series_look(0))
    axes.axhline(1, color=grey(0.55), linewidth=stroke(0.8), zorder=0)
    axes.set_ylabel("distance travelled, ratio")


def _draw_rates(axes: Axes, part: xr.Dataset) -> None:
    stacked = part[["rate", "rate_predicted"]].stack(cell=("d", "n", "width"))
    for index, at in enumerate(range(stacked.sizes["cell"])):
        cell = stacked.isel(cell=at)
        label = f"n/d = {float(cell.n) / float(cell.d):g}"
        axes.plot(1 - cell.rate_predicted, 1 - cell.rate, linestyle="none", markersize=dot(4),
                  label=label, **series_look(index + 2))  # fmt: skip
    predicted = (1 - stacked.rate_predicted).values
    if not np.isfinite(predicted).any():
        show_text(axes, "no rate was measured")
        return
    ends = np.array([np.nanmin(predicted), np.nanmax(predicted)]) * [0.8, 1.25]
    axes.plot(
        ends, ends, color=grey(0.35), linewidth=stroke(0.8), zorder=0, label="measured = predicted"
    )
    axes.set_xlabel(mathtext("predicted 1 − rate: η σ_min²"))
    axes.set_ylabel(mathtext("measured 1 − ‖r_T‖ / ‖r_{T−1}‖"))
    log_abscissa(axes)
    log_ordinate(axes)


_REGRESSION_PANELS = (_draw_limit, _draw_lengths, _draw_rates)
