"""The figure of the proof of Theorem 2: each step next to the measurement that it bounds."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from analysis.experiments.proof import proof_steps
from analysis.figures.looks.chart import Chart, dot, scaled, stroke, styled, uncaptioned
from analysis.figures.looks.parts import legend_below, log_abscissa, parts_of, titled
from analysis.figures.looks.style import (
    BOUND,
    MOST_PANELS,
    PREDICTED,
    PREDICTION,
    error_bars,
    grey,
    grid_of,
    ink,
    log_ordinate,
    only_text,
    sample_ticks,
    series_look,
    show_text,
)
from analysis.figures.looks.typography import mathtext
from analysis.study import Study

__all__ = ["proof_figure"]


def proof_figure(study: Study) -> Chart:
    """Looseness of the steps of the proof of Theorem 2: norms, truncation, and sufficient width.

    Colours are n. First panel: the largest squared norm among k rows of the features over n;
    markers are medians over seeds, bands reach from the least to the largest value. Second: bound
    on the share of α² that truncation costs; stars are at the sufficient width, and the black line
    is the limit up to which the proof holds. Third: the sufficient width, next to the measured k*
    and the predicted one (dashed); the numbers are their ratios. Dotted lines are bounds of the
    proof.
    """
    parts = parts_of(study.ds.load(), "n")  # a median over all of a Dask array is not to be had
    steps = proof_steps(study.ds, study.widths)
    rows = max(1, min(len(parts), MOST_PANELS // 3))
    with styled():
        figure, grid = grid_of(3, rows, width=4.4, height=4.0)
        for row, (name, part) in zip(grid, parts, strict=False):
            cell = {dim: part[dim].item() for dim in study.widths.dims if dim != "n"}
            _draw_norms(row[0], part)
            _draw_truncation(row[1], part)
            _draw_widths(row[2], part, study.widths.sel(cell), steps.sel(cell))
            titles = ("norms of rows", "cost of truncation", "sufficient width")
            for axes, title in zip(row, titles, strict=True):
                titled(axes, ", ".join(filter(None, [name, uncaptioned(title)])))
        if not parts:
            only_text(figure, "no trial is done yet")
        legend_below(figure, *grid.ravel())
        return figure


def _draw_norms(axes: Axes, part: xr.Dataset) -> None:
    for index, n in enumerate(part.n.values):
        cell, look = part.sel(n=n), series_look(index)
        k = cell.k.values
        norm = cell.feature_norm
        axes.fill_between(k, norm.min("seed"), norm.max("seed"), color=look["color"], alpha=0.2,
                          linewidth=0, label=f"_n = {n}, range")  # fmt: skip
        axes.plot(
            k, norm.median("seed"), linewidth=stroke(1), markersize=dot(4), label=f"n = {n}", **look
        )
        axes.plot(k, cell.delta_squared.median("seed"), linestyle=BOUND, color=look["color"],
                  label=f"_n = {n}, bound")  # fmt: skip
    axes.plot([], [], color=grey(0.5), linestyle=BOUND, label="bound of the proof")
    axes.set(xlabel="width k", ylabel="largest ‖φ(z)‖² / n of k rows", ylim=(0, None))
    log_abscissa(axes)


STAR: Any = {"marker": "*", "markersize": 8, "linestyle": "none"}
TRUNCATION = ("truncated_alpha_squared", "truncated_at_sufficient", "sufficient_width")


def _draw_truncation(axes: Axes, part: xr.Dataset) -> None:
    """Draw the bound on the share that truncation costs: above 1/2 the step proves nothing."""
    if not (part.alpha > 0).any():
        show_text(axes, "α = 0")
        return
    part = part[["alpha", *TRUNCATION]].where(part.alpha > 0)
    for index, n in enumerate(part.n.values):
        cell, look = part.sel(n=n), series_look(index)
        lost = 1 - cell.truncated_alpha_squared / cell.alpha**2
        end = 1 - cell.truncated_at_sufficient / cell.alpha**2
        enough = cell.sufficient_width.median("seed").item()
        known = lost.median("seed").values
        axes.plot(np.append(cell.k.values, enough), np.append(known, end.median("seed").item()),
                  linewidth=stroke(0.8), linestyle=BOUND, color=look["color"])  # fmt: skip
        axes.plot(cell.k.values, known, markersize=dot(4), linestyle="none", label=f"_n = {n}", **look)
        axes.plot(cell.sufficient_width.values, end.values, color=look["color"], **scaled(STAR),
                  label=f"_n = {n}, at the sufficient width")  # fmt: skip
    axes.plot([], [], color=grey(0.5), **scaled(STAR), label="at the sufficient width")
    axes.axhline(0.5, color=ink(), linewidth=stroke(0.8), zorder=0, label="limit of the proof")
    axes.set(xlabel="width k", ylabel=mathtext("bound on the share of α² lost"))
    log_abscissa(axes)
    log_ordinate(axes)


def _draw_widths(axes: Axes, part: xr.Dataset, widths: xr.Dataset, steps: xr.Dataset) -> None:
    n = part.n.values.astype(float)
    if not (part.alpha > 0).any():
        show_text(axes, "α = 0: no width suffices")
        return
    axes.plot(n, part.sufficient_width.median("seed"), color=grey(0.4), marker="s", linestyle=BOUND,
              label="sufficient width")  # fmt: skip
    axes.plot(n, widths.k_edge_finite, color=ink(), linestyle=PREDICTION,
              label=PREDICTED["k_edge_finite"])  # fmt: skip
    error_bars(axes, n, widths, label=mathtext("measured k*, 95%"), **series_look(3))
    for at, factor in zip(n, steps.width_factor.values, strict=True):
        if np.isfinite(factor):
            middle = np.sqrt(factor) * float(widths.k50.sel(n=at))
            axes.text(at, middle, f" × {float(f'{factor:.2g}'):,.0f}", va="center", fontsize="small")
            axes.vlines(at, float(widths.k50.sel(n=at)), factor * float(widths.k50.sel(n=at)),
                        color=grey(0.7), linewidth=stroke(0.8), zorder=0)  # fmt: skip
    axes.set(ylabel="width k")
    log_ordinate(axes)
    sample_ticks(axes, n)
    axes.margins(x=0.25)
