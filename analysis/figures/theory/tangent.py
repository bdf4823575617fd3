"""The figure of the linearised theory: the least eigenvalue of the NTK against the width."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from analysis.figures.looks.chart import Chart, dot, stroke, styled
from analysis.figures.looks.parts import grid_of_parts, legend_below, log_abscissa, titled
from analysis.figures.looks.style import (
    PREDICTED,
    PREDICTION,
    grey,
    line,
    only_text,
    panels_of,
    parts_along,
    series_look,
)
from analysis.figures.looks.typography import mathtext, powers
from analysis.study import Study
from pipeline.trial_status import Status

__all__ = ["tangent_figure"]

MOST_SERIES = 8
"""Lines of one panel."""


def tangent_figure(study: Study) -> Chart:
    """Least eigenvalue of the empirical NTK at the start over that of the population NTK.

    Lines are medians over seeds, and the band holds 80% of the seeds. The abscissa is the number of
    weights of the first layer, kd, over n: with W trained, the eigenvalue is 0 to the left of 1. The
    dashed line is the left edge that random matrix theory predicts, with nothing fitted.
    """
    ds = study.ds[["ntk_min", "ntk_edge", "ntk_population", "status"]].load()  # medians need all
    known = (ds.status == Status.DONE) & (ds.ntk_population > 0)
    share = (ds[["ntk_min", "ntk_edge"]] / ds.ntk_population).where(known).assign(k=ds.k)
    every = list(panels_of(share))
    parts = [(title, part) for title, part in every if bool(np.isfinite(part.ntk_min).any())]
    with styled():
        figure, panels = grid_of_parts(len(parts), 3, width=4.2, height=3.6)
        for axes, (title, part) in zip(panels, parts, strict=False):
            _draw(axes, part)
            titled(axes, title, 44)
        if not parts:
            panels[0].clear()
            only_text(figure, "no trial with a regular population NTK is done yet")
        legend_below(figure, *panels[: len(parts)], columns=4)
        return figure


def _draw(axes: Axes, part: xr.Dataset) -> None:
    for index, (label, cell) in enumerate(list(parts_along(part, ("d", "n")))[:MOST_SERIES]):
        x = np.asarray(cell.k * cell.d / cell.n, dtype=float)
        tried = np.isfinite(cell.ntk_min.transpose("width", "seed").values).any(axis=1)
        if not tried.any():
            continue
        shown = cell.isel(width=np.flatnonzero(tried))
        low, middle, high = (shown.ntk_min.quantile(q, "seed").values for q in (0.1, 0.5, 0.9))
        look: Any = series_look(index)
        axes.fill_between(x[tried], low, high, color=look["color"], alpha=0.2, linewidth=0,
                          label=f"_{label}, 80% of seeds")  # fmt: skip
        axes.plot(
            x[tried], middle, **look, linewidth=stroke(1.3), markersize=dot(4), label=powers(label)
        )
        predicted = shown.ntk_edge.median("seed").values
        line(axes, x[tried], predicted, color=look["color"], linewidth=stroke(1),
             linestyle=PREDICTION, label=f"_{label}, predicted")  # fmt: skip
    axes.plot([], [], color=grey(0.5), linestyle=PREDICTION, label=PREDICTED["k_edge"])
    axes.axhline(0.5, color=grey(0.65), linewidth=stroke(0.8), zorder=0)
    axes.set(xlabel="weights per sample kd / n", ylim=(-0.03, max(1.03, axes.get_ylim()[1])))
    axes.set_ylabel(mathtext("λ_min(NTK) / λ_min(E NTK)"))
    log_abscissa(axes)
