"""The figure of `widthlaw width`: successes on one's own data against the width, and k*."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from scipy import special

from analysis.cells import located
from analysis.figures.looks.chart import Chart, stroke, styled
from analysis.figures.looks.parts import log_abscissa
from analysis.figures.looks.style import (
    BOUND,
    PREDICTED,
    PREDICTION,
    grid_of,
    pale,
    series_look,
)
from analysis.figures.looks.typography import formula, mathtext
from analysis.signs import RAISED
from analysis.study import Study
from analysis.transitions.curves import RISE

__all__ = ["own_data_figure"]


def own_data_figure(study: Study, sufficient: float = np.nan) -> Chart:
    """Draw the share of successes of a store of one cell, the fitted curve, and predicted widths.

    Parameters
    ----------
    study
        A store of conditioning or of the proof of Theorem 2, with one cell.
    sufficient
        The width that the proof shows to be sufficient; omitted if it is not finite.
    """
    cell = study.widths.squeeze()
    counts = study.counts.assign_coords(k=study.ds.k).squeeze()
    with styled():
        figure, grid = grid_of(1, width=7.2, height=4.4)
        axes = grid[0, 0]
        _draw_shares(axes, counts)
        if located(cell):
            _draw_critical(axes, cell, counts.k.values.astype(float))
        colour = series_look(1)["color"]
        for (name, label), shade in zip(PREDICTED.items(), (pale(colour), colour), strict=True):
            if np.isfinite(cell[name]):
                look = {"color": shade, "linestyle": PREDICTION, "linewidth": stroke(1.4)}
                axes.axvline(float(cell[name]), label=label, **look)
        low, high = float(counts.k.min()), float(counts.k.max())
        shown = bool(high < sufficient < FAR * high)
        if shown:
            look = {"color": series_look(2)["color"], "linestyle": BOUND, "linewidth": stroke(1.8)}
            axes.axvline(sufficient, label="Theorem 2: sufficient", **look)
        axes.set_xlim(low / 1.1, 1.1 * (sufficient if shown else high))
        log_abscissa(axes)
        axes.set(xlabel="width k", ylabel=f"share of draws with {formula(study.widths.attrs['rule'])}",
                 ylim=(-0.04, 1.04))  # fmt: skip
        axes.set_title(mathtext(_title(cell, sufficient)))
        axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
        return figure


FAR = 20
"""A sufficient width that exceeds the widest one tried by this factor is written, not drawn."""


def _draw_shares(axes: Axes, counts: xr.Dataset) -> None:
    """Draw a point for each width that was tried; its area grows with the number of draws."""
    tried = counts.trials.values > 0
    trials = counts.trials.values[tried]
    share = counts.successes.values[tried] / trials
    sizes = 14 + 90 * trials / max(1, trials.max(initial=1))
    colour = series_look(0)["color"]
    axes.scatter(counts.k.values[tried], share, sizes, color=colour, alpha=0.7, label="measured")


def _draw_critical(axes: Axes, cell: xr.Dataset, k: np.ndarray) -> None:
    """Draw the critical width with its interval, and the fitted curve if there is one."""
    k50, low, high = (float(cell[name]) for name in ("k50", "k50_low", "k50_high"))
    colour = series_look(0)["color"]
    if float(cell.transition_width) > 1:
        at = np.geomspace(k.min(), k.max(), 400)
        slope = RISE / np.log(float(cell.transition_width))
        curve = special.expit(slope * np.log(at / k50))
        axes.plot(at, curve, color=colour, linewidth=stroke(1.2), label="fitted")
    axes.axvspan(max(low, k.min()), min(high, k.max()), color=colour, alpha=0.2, linewidth=0)
    label = mathtext(f"k* = {k50:,.0f} [{low:,.0f}, {high:,.0f}]")
    axes.axvline(k50, color=colour, linewidth=stroke(1.6), label=label)


def _title(cell: xr.Dataset, sufficient: float) -> str:
    if not located(cell):
        return f"No critical width: {cell.outcome.item()}"
    k50 = float(cell.k50)
    if not np.isfinite(sufficient):
        return f"k* = {k50:,.0f}"
    enough, times = _rounded(sufficient), _rounded(sufficient / k50)
    return f"k* = {k50:,.0f}; Theorem 2 shows {enough} units to be enough, {times} times k*"


def _rounded(value: float) -> str:
    """Return a number with two digits: `4.2`, `83,000`, `5.1 million`, `7.3 × 10¹²`."""
    rounded = float(f"{value:.2g}")
    if rounded >= 1e9:
        mantissa, _, power = f"{value:.1e}".partition("e")
        return f"{mantissa} × 10{str(int(power)).translate(RAISED)}"
    if rounded >= 1e6:
        return f"{rounded / 1e6:g} million"
    return f"{rounded:,.0f}" if rounded >= 10 else f"{rounded:g}"
