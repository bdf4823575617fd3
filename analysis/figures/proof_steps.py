"""The figure of the proof of Theorem 2: each step next to the measurement that it bounds."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.experiments.proof import proof_steps
from analysis.figures.parts import legend_below, parts_of
from analysis.figures.style import (
    MOST_PANELS,
    PREDICTED,
    STYLE,
    error_bars,
    grid_of,
    sample_ticks,
    series_look,
    show_text,
)
from analysis.study import Study

__all__ = ["proof_figure"]


def proof_figure(study: Study) -> Figure:
    """Looseness of the steps of the proof: norms of the rows, truncation, and the sufficient width.

    Left: largest norm among k rows, with its bound. Middle: bound on the share of α² that truncation
    costs. Right: the sufficient width next to the measured and the predicted one.
    """
    ds = study.ds
    parts = parts_of(ds, "n")
    steps = proof_steps(ds, study.widths)
    rows = max(1, min(len(parts), MOST_PANELS // 3))
    with mpl.rc_context(STYLE):
        figure, grid = grid_of(3, rows, width=4.4, height=4.0)
        for row, (name, part) in zip(grid, parts, strict=False):
            cell = {dim: part[dim].item() for dim in study.widths.dims if dim != "n"}
            _draw_norms(row[0], part)
            _draw_truncation(row[1], part)
            _draw_widths(row[2], part, study.widths.sel(cell), steps.sel(cell))
            titles = ("norms of rows", "cost of truncation", "sufficient width")
            for axes, title in zip(row, titles, strict=True):
                axes.set_title(", ".join(filter(None, [name, title])))
        if not parts:
            show_text(grid[0, 0], "no trial is done yet")
        legend_below(figure, *grid.ravel())
        return figure


def _draw_norms(axes: Axes, part: xr.Dataset) -> None:
    for index, n in enumerate(part.n.values):
        cell, look = part.sel(n=n), series_look(index)
        k = cell.k.values
        norm = cell.feature_norm
        axes.fill_between(k, norm.min("seed"), norm.max("seed"), color=look["color"], alpha=0.2,
                          linewidth=0)  # fmt: skip
        axes.plot(k, norm.median("seed"), linewidth=1, markersize=4, label=f"n = {n}", **look)
        axes.plot(k, cell.delta_squared.median("seed"), linestyle="--", color=look["color"])
    axes.plot([], [], color="grey", linestyle="--", label="bound of the proof")
    axes.set(xscale="log", xlabel="width k", ylabel="largest ‖φ(z)‖² / n of k rows", ylim=(0, None))


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
                  linewidth=0.8, linestyle=":", color=look["color"])  # fmt: skip
        axes.plot(cell.k.values, known, linewidth=1, markersize=4, **look)
        axes.plot(cell.sufficient_width.values, end.values, linestyle="none", markersize=5,
                  markerfacecolor="none", **look)  # fmt: skip
    axes.plot([], [], "o", color="grey", markerfacecolor="none", label="at the sufficient width")
    axes.axhline(0.5, color="black", linewidth=0.8, zorder=0, label="limit of the proof")
    axes.set(xscale="log", yscale="log", xlabel="width k", ylabel="bound on the share of α² lost")
    axes.yaxis.set_major_formatter("{x:g}")


def _draw_widths(axes: Axes, part: xr.Dataset, widths: xr.Dataset, steps: xr.Dataset) -> None:
    n = part.n.values.astype(float)
    if not (part.alpha > 0).any():
        show_text(axes, "α = 0: no width suffices")
        return
    axes.plot(n, part.sufficient_width.median("seed"), color="0.4", marker="s", linestyle="--",
              label="sufficient width")  # fmt: skip
    axes.plot(n, widths.k_edge_finite, color="black", linestyle=":", label=PREDICTED["k_edge_finite"])
    error_bars(axes, n, widths, color="#D55E00", marker="o", label="measured k*, 95%")
    for at, factor in zip(n, steps.width_factor.values, strict=True):
        if np.isfinite(factor):
            middle = np.sqrt(factor) * float(widths.k50.sel(n=at))
            axes.text(at, middle, f" × {float(f'{factor:.2g}'):,.0f}", va="center", fontsize=8)
            axes.vlines(at, float(widths.k50.sel(n=at)), factor * float(widths.k50.sel(n=at)),
                        color="0.7", linewidth=0.8, zorder=0)  # fmt: skip
    axes.set(yscale="log", ylabel="width k")
    sample_ticks(axes, n)
    axes.margins(x=0.25)
