"""Figures of singular values: Figure 1 of the paper, and the spectrum as a function of n, k and d."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from analysis.cells import UNITS, width_unit
from analysis.experiments.spectrum import levels_of
from analysis.figures.looks.chart import Chart, dot, scaled, stroke, styled, uncaptioned
from analysis.figures.looks.parts import grid_with_residuals, legend_below, share_abscissa, titled
from analysis.figures.looks.scales import tick_every
from analysis.figures.looks.style import (
    MOST_PANELS,
    PREDICTION,
    RESIDUAL,
    grid_of,
    ink,
    log_ordinate,
    only_text,
    outlined,
    panels_of,
    series_look,
    show_text,
)
from analysis.figures.looks.typography import mathtext
from analysis.study import Study
from pipeline.theory import marchenko_pastur
from pipeline.trial_status import Status

__all__ = ["evolution_figure", "spectra_of", "spectrum_figure"]


def spectrum_figure(study: Study) -> Chart:
    """Singular values of the features Φ against rank: outliers, then the bulk, as in Figure 1.

    Colours and markers are n, and the ranks of each n are stretched to the same length, as in the
    paper. One seed is drawn, the first that is done. Thin dashes are the deterministic equivalent
    of random matrix theory, computed from the kernel. The bar at their end is the predicted σ_min,
    the square root of k times the spectral edge. The panel below shows the measured over the
    predicted value, minus 1. Nothing is fitted.
    """
    parts = spectra_of(study.ds)[:MOST_PANELS]
    columns = min(3, max(1, len(parts)))
    with styled():
        figure, pairs = grid_with_residuals(columns, max(1, len(parts)), 5.2, 5.4)
        for (axes, below), (name, part) in zip(pairs, parts, strict=False):
            _draw_spectra(axes, below, part)
            title = f"{name or 'spectrum of Φ'}: d = {int(part.d)}, {_width(study.ds, 0)}"
            titled(axes, title + uncaptioned("; 1 + d outliers, then the bulk"), 64)
            share_abscissa(axes, below)
        if not parts:
            only_text(figure, "no trial is done yet")
        legend_below(figure, *(axes for axes, _ in pairs[: len(parts)]))
        return figure


def spectra_of(ds: xr.Dataset) -> list[tuple[str, xr.Dataset]]:
    """Return the name and the part of a store of one width for each panel and d with a spectrum."""
    return [
        (name, part.sel(d=d).isel(width=0))
        for name, part in panels_of(ds)
        for d in part.d.values
        if (part.status.sel(d=d) == Status.DONE).any()
    ]


def _width(ds: xr.Dataset, index: int) -> str:
    """Return the label of a width by its index, in the unit of the store."""
    unit = {"k": "k = {}", "k_per_n": "k = {} n", "kd_per_n": "k = {} n/d", "k_per_d": "k = {} d"}
    return unit[width_unit(ds)].format(f"{ds.width.values[index]:g}")


BAR: Any = {"marker": "_", "markersize": 15, "markeredgewidth": 2.2, "linestyle": "none"}
"""Look of a predicted value at the end of a spectrum."""


def _draw_spectra(axes: Axes, below: Axes, ds: xr.Dataset) -> None:
    longest = int(ds.n.max())
    for index, n in enumerate(ds.n.values):
        done = np.flatnonzero(ds.status.sel(n=n) == Status.DONE)
        if not len(done):
            continue
        cell = ds.sel(n=n).isel(seed=done[0])
        values, k = cell.singular_values.values[:n], float(cell.k)
        rank = np.arange(1, n + 1) * longest / n
        look = series_look(index)
        axes.plot(rank, values, linewidth=stroke(2), markersize=dot(5), markevery=(0.03 * index, 0.15),
                  label=f"n = {n}", **look)  # fmt: skip
        expected = marchenko_pastur.quantiles(cell.kernel_eigenvalues.values[:n], k)[::-1]
        expected = np.sqrt(k * np.maximum(expected, 0))
        axes.plot(rank, expected, color=ink(), linewidth=stroke(0.8), linestyle=PREDICTION, zorder=3,
                  path_effects=outlined(0.8), label=f"_n = {n}, predicted")  # fmt: skip
        positive = (expected > 0) & (values > 0)
        below.plot(rank[positive], values[positive] / expected[positive] - 1, linewidth=stroke(0.9),
                   color=look["color"], label=f"_n = {n}")  # fmt: skip
        # A logarithmic axis cannot show an edge of 0, and the bar is not clipped.
        end = np.sqrt(k * float(cell.edge)) or np.nan
        axes.plot([longest], [end], clip_on=False, zorder=4, color=look["color"], **scaled(BAR),
                  label=f"_n = {n}, predicted σ_min")  # fmt: skip
    axes.plot(
        [],
        [],
        color=ink(),
        linewidth=stroke(0.8),
        linestyle=PREDICTION,
        label="deterministic equivalent",
    )
    axes.plot([], [], color=ink(), **scaled(BAR), label=mathtext("predicted σ_min = √(k·edge)"))
    axes.set(xlabel=f"rank, stretched to 1–{longest}", ylabel="singular value of Φ")
    log_ordinate(axes)
    below.set_ylabel(RESIDUAL)


def evolution_figure(study: Study) -> Chart:
    """Singular values of the features Φ over √k: outliers, bulk and ends, against n, the width and d.

    In each panel one coordinate varies and the two others stay in the middle of the grid. Markers are
    medians over seeds. The dashed line is σ_min as predicted from the spectral edge; nothing is fitted.
    """
    parts = [(name, part) for name, part in panels_of(study.ds) if (part.status == Status.DONE).any()]
    parts = parts[: MOST_PANELS // 3]
    with styled():
        figure, grid = grid_of(3, max(1, len(parts)))
        for row, (name, part) in zip(grid, parts, strict=False):
            _draw_cuts(row, name, part)
        if not parts:
            only_text(figure, "no trial is done yet")
        legend_below(figure, *grid.ravel())
        return figure


def _draw_cuts(row: Any, name: str, part: xr.Dataset) -> None:
    d, n, width = (part[dim].values[len(part[dim]) // 2] for dim in ("d", "n", "width"))
    k = _width(part, len(part.width) // 2)
    cuts = {
        "n": (part.sel(d=d, width=width), f"d = {d}, {k}", "samples n"),
        "width": (part.sel(d=d, n=n), f"d = {d}, n = {n}", f"width, as {UNITS[width_unit(part)]}"),
        "d": (part.sel(n=n, width=width), f"n = {n}, {k}", "input dimension d"),
    }
    for axes, (dim, (cut, fixed, label)) in zip(row, cuts.items(), strict=True):
        titled(axes, ", ".join(filter(None, [name, fixed])))
        if not (cut.status == Status.DONE).any():
            show_text(axes, "no trial is done yet")
            continue
        _draw_levels(axes, cut, dim)
        axes.set(xlabel=label, ylabel="singular value of Φ / √k, median")
        log_ordinate(axes)
        tick_every(axes.xaxis, cut[dim].values)


def _draw_levels(axes: Axes, cut: xr.Dataset, dim: str) -> None:
    points = [_levels(cut.sel({dim: value})) for value in cut[dim].values]
    for index, name in enumerate(points[0]):
        heights = [level[name] for level in points]
        predicted = name.startswith("√edge")
        look = {"color": ink(), "linestyle": PREDICTION} if predicted else series_look(index)
        x = cut[dim].values
        axes.plot(x, heights, label=mathtext(name), linewidth=stroke(1.4), markersize=dot(5), **look)


def _levels(cell: xr.Dataset) -> dict[str, float]:
    """Return the levels of one cell by the labels of their lines."""
    found = levels_of(cell)
    return {
        "σ_max": found.sigma_max,
        "d outliers, median": found.outliers,
        "bulk, top": found.bulk_top,
        "bulk, median": found.bulk,
        "σ_min": found.sigma_min,
        "√edge, predicted σ_min": found.edge,
    }
