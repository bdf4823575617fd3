"""The figure of the limiting density over histograms of the eigenvalues; nothing is fitted."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from analysis.figures.looks.chart import Chart, dot, stroke, styled
from analysis.figures.looks.parts import (
    grid_with_residuals,
    left_out,
    legend_below,
    log_abscissa,
    share_abscissa,
    titled,
)
from analysis.figures.looks.scales import room_of
from analysis.figures.looks.style import (
    MOST_PANELS,
    PREDICTION,
    RESIDUAL,
    grey,
    ink,
    only_text,
    series_look,
)
from analysis.figures.looks.typography import mathtext
from analysis.figures.spectra.singular_values import spectra_of
from analysis.study import Study
from pipeline.theory import marchenko_pastur
from pipeline.trial_status import Status

__all__ = ["bulk_counts", "density_figure"]

BINS = 24
FINE = 12
"""Number of points of the density in each bin."""

SPREAD = 30.0
"""Ratio of largest to least eigenvalue above which the 1 + d largest, the outliers, are omitted."""

SMALL = 2.0
"""Width in inches below which a panel has short labels."""


def density_figure(study: Study) -> Chart:
    """Density of the eigenvalues of ΦᵀΦ/k, with the generalised Marchenko-Pastur law.

    Each panel is one n and pools the bulk of all seeds on a logarithmic axis; bars are the
    histogram. The dashed line is the mean of the limiting densities of the seeds, computed from the
    kernel; nothing is fitted. The panel below shows the number of eigenvalues in each bin over the
    expected number, minus 1; bars are standard errors over seeds.
    """
    parts = [
        (name, part.sel(n=n))
        for name, part in spectra_of(study.ds)
        for n in part.n.values
        if (part.status.sel(n=n) == Status.DONE).any()
    ]
    shown = parts[:MOST_PANELS]
    columns = min(4, max(1, len(shown)))
    with styled():
        width = 3.7 if columns > 1 else 5.6
        figure, pairs = grid_with_residuals(columns, max(1, len(shown)), width, 4.2)
        for (axes, below), (name, part) in zip(pairs, shown, strict=False):
            index = int(np.flatnonzero(study.ds.n.values == int(part.n))[0])
            _draw_density(axes, below, part, series_look(index)["color"])
            size = f"d = {int(part.d)}, n = {int(part.n)}, k = {int(part.k)}"
            titled(axes, ", ".join(filter(None, [name, size])), 40)
        if not shown:
            only_text(figure, "no trial is done yet")
        if len(parts) > len(shown):
            figure.suptitle(left_out(len(parts) - len(shown)))
        legend_below(figure, pairs[0][0])
        return figure


def _shorten_labels(axes: Axes, below: Axes) -> None:
    """Give a small panel short labels; the panels of a row name their ordinates once."""
    axes.set(xlabel="eigenvalue x", ylabel="density")
    place = axes.get_subplotspec()
    if place is not None and not place.is_first_col():
        axes.set_ylabel("")
        below.set_ylabel("")


def bulk_counts(cell: xr.Dataset) -> xr.Dataset:
    """Return the eigenvalues of Phi^T Phi / k counted in bins over the bulk, and the expected counts.

    Parameters
    ----------
    cell
        One n, d and width of a spectrum store, with all seeds.

    Returns
    -------
    xarray.Dataset
        `counts` and `expected` (seed, bin); `density` (bin, fine), the mean over seeds per unit of
        log x, at `x`; and the coordinate `edge`, the ends of the bins.
    """
    n, d, k = int(cell.n), int(cell.d), float(cell.k)
    cell = cell.isel(seed=np.flatnonzero(cell.status == Status.DONE))
    values = cell.singular_values.transpose("seed", "index").values[:, :n] ** 2 / k
    spectra = cell.kernel_eigenvalues.transpose("seed", "index").values[:, :n]
    # If k < n the law has an atom at 0, which does not belong to the density.
    positive = [row[row > n * np.finfo(float).eps * row.max()] for row in values]
    if max(row[0] / row[-1] for row in positive) > SPREAD:
        positive = [row[1 + d :] if len(row) > 2 * (1 + d) else row for row in positive]
    low, high = min(row[-1] for row in positive), max(row[0] for row in positive)
    edge = np.geomspace(low / 1.03, high * 1.03, BINS + 1)
    share = (np.arange(FINE) + 0.5) / FINE
    x = edge[:-1, None] * (edge[1:] / edge[:-1])[:, None] ** share
    laws = np.stack([x * marchenko_pastur.density(spectrum, k, x) for spectrum in spectra])
    expected = n * laws.mean(axis=2) * np.log(edge[1:] / edge[:-1])
    counts = np.stack([np.histogram(row, edge)[0] for row in positive])
    return xr.Dataset(
        {
            "counts": (("seed", "bin"), counts),
            "expected": (("seed", "bin"), expected),
            "density": (("bin", "fine"), laws.mean(axis=0)),
            "x": (("bin", "fine"), x),
        },
        {"edge": ("end", edge)},
    )


def _draw_density(axes: Axes, below: Axes, cell: xr.Dataset, colour: Any) -> None:
    found = bulk_counts(cell)
    edge, n = found.edge.values, int(cell.n)
    heights = found.counts.mean("seed").values / n / np.log(edge[1:] / edge[:-1])
    axes.stairs(heights, edge, fill=True, color=colour, alpha=0.45, label="_eigenvalues")
    axes.plot([], [], color=grey(0.5), linewidth=stroke(7), alpha=0.45,
              label=mathtext("eigenvalues of ΦᵀΦ / k, all seeds"))  # fmt: skip
    axes.plot(found.x.values.ravel(), found.density.values.ravel(), color=ink(), linewidth=stroke(1.2),
              linestyle=PREDICTION,
              label="generalised Marchenko–Pastur density, nothing fitted")  # fmt: skip
    # The ratio of a bin is too noisy if less than one eigenvalue is expected there in all seeds.
    enough = found.expected.sum("seed").values >= 1
    ratio = found.counts / found.expected.mean("seed").where(enough)
    middle = np.sqrt(edge[1:] * edge[:-1])
    error = (
        ratio.std("seed", ddof=1) / np.sqrt(ratio.sizes["seed"]) if ratio.sizes["seed"] > 1 else None
    )
    below.errorbar(middle, ratio.mean("seed") - 1, error, color=colour, linestyle="none", marker="o",
                   markersize=dot(3), linewidth=stroke(0.9), label="_eigenvalues")  # fmt: skip
    axes.set(xlabel=mathtext("eigenvalue x of ΦᵀΦ / k"), ylabel="density of log x", ylim=(0, None))
    below.set(ylabel=RESIDUAL, ylim=(-0.6, 0.6))
    if room_of(axes) < SMALL:
        _shorten_labels(axes, below)
    log_abscissa(axes)
    share_abscissa(axes, below)
