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
    series_line,
    series_look,
)
from analysis.figures.looks.typography import mathtext, powers
from analysis.study import Study
from pipeline.descent.architecture import parameter_count
from pipeline.trial_status import Status

__all__ = ["tangent_figure"]

MOST_SERIES = 8
"""Lines of one panel."""

COUNTS = {"input": "kd/n", "output": "k/n", "both": "k(d + 1)/n"}
"""The number of weights that `parameter_count` counts, over n, by the layers that are trained."""


def tangent_figure(study: Study) -> Chart:
    """Least eigenvalue of the empirical NTK at the start over that of the population NTK.

    Lines are medians over seeds, and the band holds 80% of the seeds. The abscissa is the number of
    trained weights over n: kd/n with W trained, k/n with v trained, and k(d + 1)/n with both. To the
    left of 1 the eigenvalue is 0. The dashed line is the left edge that random matrix theory predicts,
    with nothing fitted. The grey line is half of the population value.
    """
    ds = study.ds[["ntk_min", "ntk_edge", "ntk_population", "status"]].load()  # medians need all
    known = (ds.status == Status.DONE) & (ds.ntk_population > 0)
    share = (ds[["ntk_min", "ntk_edge"]] / ds.ntk_population).where(known).assign(k=ds.k)
    every = list(panels_of(share))
    parts = [(title, part) for title, part in every if bool(np.isfinite(part.ntk_min).any())]
    with styled():
        figure, panels = grid_of_parts(len(parts), 3, width=4.2, height=3.6)
        for axes, (title, part) in zip(panels, parts, strict=False):
            _draw(axes, part, _trained(study.ds, part))
            titled(axes, title, 44)
        if not parts:
            panels[0].clear()
            only_text(figure, "no trial with a regular population NTK is done yet")
        legend_below(figure, *panels[: len(parts)], columns=4)
        return figure


def _trained(ds: xr.Dataset, part: xr.Dataset) -> str:
    """Return which layers a panel trains: a store of one choice has no axis of them."""
    if "trained" in part.coords:
        return str(part.trained.item())
    return str(ds.attrs["identity_fields"]["trained"][0])


def _draw(axes: Axes, part: xr.Dataset, trained: str) -> None:
    for index, (label, cell) in enumerate(list(parts_along(part, ("d", "n")))[:MOST_SERIES]):
        x = np.asarray(parameter_count(cell.k, cell.d, trained=trained) / cell.n, dtype=float)
        tried = np.isfinite(cell.ntk_min.transpose("width", "seed").values).any(axis=1)
        if not tried.any():
            continue
        shown = cell.isel(width=np.flatnonzero(tried))
        low, middle, high = (shown.ntk_min.quantile(q, "seed").values for q in (0.1, 0.5, 0.9))
        look: Any = series_look(index) | {"linestyle": series_line(index)}
        axes.fill_between(x[tried], low, high, color=look["color"], alpha=0.2, linewidth=0,
                          label=f"_{label}, 80% of seeds")  # fmt: skip
        axes.plot(
            x[tried], middle, **look, linewidth=stroke(1.3), markersize=dot(4), label=powers(label)
        )
        predicted = shown.ntk_edge.median("seed").values
        line(axes, x[tried], predicted, color=look["color"], linewidth=stroke(1),
             linestyle=PREDICTION, label=f"_{label}, predicted")  # fmt: skip
    axes.plot([], [], color=grey(0.5), linestyle=PREDICTION, label=PREDICTED["k_edge"])
    axes.fill_between([], [], color=grey(0.5), alpha=0.2, linewidth=0, label="80% of seeds")
    half: Any = {"color": grey(0.65), "linewidth": stroke(0.8), "label": "half of the population value"}
    axes.axhline(0.5, zorder=0, **half)
    axes.set(xlabel=f"trained weights per sample {COUNTS[trained]}")
    axes.set(ylim=(-0.03, max(1.03, axes.get_ylim()[1])))
    axes.set_ylabel(mathtext("λ_min(NTK) / λ_min(E NTK)"))
    log_abscissa(axes)
