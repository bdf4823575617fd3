"""The figure of generalisation: the gap between test and training loss, against n and distance."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from analysis.cells import UNITS, width_unit
from analysis.experiments.generalisation import gap_slope, gaps, local_slopes
from analysis.figures.looks.chart import Chart, dot, stroke, styled, uncaptioned
from analysis.figures.looks.parts import left_out, legend_below, log_abscissa, parts_of
from analysis.figures.looks.style import (
    BOUND,
    grey,
    grid_of,
    ground,
    log_ordinate,
    only_text,
    sample_ticks,
    series_look,
    show_text,
)
from analysis.figures.looks.typography import mathtext
from analysis.study import Study
from pipeline.trial_status import Status

__all__ = ["generalisation_figure"]

MOST_SERIES = 6


def generalisation_figure(study: Study) -> Chart:
    """Gap between test and training loss, and the distance Γ = ‖θ_T − θ₀‖ that the weights travel.

    First panel: gap against n; second: gap over Γ against n. Points are means over seeds, bars
    reach from the least to the largest seed, and solid lines are fitted powers of n, whose slopes
    are in the legend with 95% intervals. Third: gap against Γ/√n, a point for each trial; the line
    joins the means of each n. Dotted lines have the slope of the bound of theory.
    """
    series = [
        (_series_name(name, part, width), part.sel(width=width))
        for name, part in parts_of(study.ds, "n")
        for width in part.width.values
    ]
    series = [(name, part) for name, part in series if bool((gaps(part).mean("seed") > 0).any())]
    shown = series[:MOST_SERIES]
    with styled():
        figure, grid = grid_of(3, width=4.4, height=4.2 + 0.35 * len(shown))
        for index, (name, part) in enumerate(shown):
            look = series_look(index)
            _draw_gap(grid[0, 0], part, False, name, look)
            if (part.distance > 0).any():
                _draw_gap(grid[0, 1], part, True, name, look)
                _draw_against(grid[0, 2], part, look, name, alone=len(shown) == 1)
        _label_gaps(grid[0], study.ds.n.values)
        if not series:
            only_text(figure, "no n has a mean gap above 0")
        for axes in grid[0]:
            if series and not axes.lines:
                show_text(axes, "Γ = 0: no step was taken")
        if len(series) > len(shown):
            figure.suptitle(left_out(len(series) - len(shown), "series"))
        legend_below(figure, *grid[0])
        return figure


def _label_gaps(row: Any, n: Any) -> None:
    alone, over, against = row
    alone.set(ylabel="gap: test − training loss (clipped)", title=uncaptioned("Gap"))
    over.set(ylabel="gap / Γ")
    over.set_title(uncaptioned(mathtext("Gap over distance Γ = ‖θ_T − θ₀‖")))
    against.set(xlabel="Γ / √n", ylabel="gap: test − training loss")
    against.set_title(uncaptioned("Gap against Γ/√n"))
    log_abscissa(against)
    for axes in row:
        log_ordinate(axes)
    for axes in (alone, over):
        sample_ticks(axes, n)


def _series_name(name: str, part: xr.Dataset, width: float) -> str:
    return f"{name}, {UNITS[width_unit(part)]} = {width:g}"


def _draw_gap(axes: Axes, part: xr.Dataset, scaled: bool, name: str, look: dict[str, Any]) -> None:
    gap, n = gaps(part, scaled=scaled), part.n.values.astype(float)
    mean = gap.mean("seed").values
    reach = [mean - gap.min("seed").values, gap.max("seed").values - mean]
    axes.errorbar(
        n, mean, yerr=reach, linestyle="none", capsize=2, markersize=dot(5), label=name, **look
    )
    fit, local = gap_slope(part, scaled=scaled), local_slopes(part, scaled=scaled)
    if not np.isfinite(fit["slope"]):
        return
    label = f"{'gap / Γ' if scaled else 'gap'}: slope {fit['slope']:.2f}"
    if np.isfinite(fit["low"]):
        label += f", 95% {fit['low']:.2f} to {fit['high']:.2f}"
    if len(local) > 1:
        label += f"\n(first two n: {local[0]:.2f}, last two: {local[-1]:.2f})"
    label = label.replace("-", "−")
    axes.plot(
        n, fit["level"] * n ** fit["slope"], color=look["color"], linewidth=stroke(1.1), label=label
    )
    middle, centre = _log_mean(mean), _log_mean(np.where(mean > 0, n, np.nan))
    axes.plot(n, middle * np.sqrt(centre / n), color=grey(0.4), linestyle=BOUND, linewidth=stroke(1.2),
              label="slope −1/2", zorder=0)  # fmt: skip


def _log_mean(values: Any) -> float:
    """Return the geometric mean of the positive values: a mean gap can be negative by chance."""
    return float(np.exp(np.log(values[values > 0]).mean()))


def _draw_against(axes: Axes, part: xr.Dataset, look: Any, name: str, alone: bool) -> None:
    """Draw all trials, and the mean of each n, which is labelled if there is only one series."""
    gap, n = gaps(part), part.n.values.astype(float)
    x = (part.distance.where(part.status == Status.DONE) / np.sqrt(part.n)).transpose(*gap.dims)
    axes.plot(x.values.ravel(), gap.values.ravel(), linestyle="none", alpha=0.5, markersize=dot(3),
              label=f"_{name}, trials", **look)  # fmt: skip
    middle, mean, top = x.mean("seed").values, gap.mean("seed").values, gap.max("seed").values
    label = "means, by n" if alone else f"_{name}, means by n"
    axes.plot(middle, mean, color=look["color"], linewidth=stroke(1.2), label=label)
    for at, height, size in zip(middle, top, n, strict=True):
        if alone and height > 0:
            axes.annotate(f"n = {size:.0f}", (at, height), (0, 6), textcoords="offset points", zorder=5,
                          fontsize="x-small", ha="center", bbox=ground())  # fmt: skip
    known = mean > 0
    ends = np.array([np.nanmin(x), np.nanmax(x)])
    level = _log_mean(mean[known]) / _log_mean(middle[known])
    axes.plot(ends, level * ends, color=grey(0.4), linestyle=BOUND, linewidth=stroke(1.2),
              label="gap ∝ Γ/√n", zorder=0)  # fmt: skip
