"""The figure of an experiment of one's own: each number that its trials return, over the sizes."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from analysis.axes import PANEL, own_axes
from analysis.figures.looks.chart import Chart, styled
from analysis.figures.looks.parts import grid_of_parts, legend_below, log_abscissa, titled
from analysis.figures.looks.style import (
    only_text,
    parts_along,
    sample_ticks,
    series_look,
)
from analysis.figures.looks.typography import mathtext, powers
from analysis.signs import literal
from analysis.study import Study
from pipeline.store.names import SECONDS
from pipeline.trial_status import Status

__all__ = ["own_numbers", "values_figure"]

MOST_SERIES = 8
"""Lines of one panel."""


def own_numbers(ds: xr.Dataset) -> list[str]:
    """Return the variables of an experiment of one's own that are one number a trial."""
    if "own" not in ds.attrs:
        return []
    trial = set(map(str, ds.status.dims))
    numbers = [str(name) for name, one in ds.data_vars.items() if one.dtype.kind == "f"]
    return [name for name in numbers if name != SECONDS and set(ds[name].dims) == trial]


def values_figure(study: Study) -> Chart:
    """Each number that a trial returns, as its median over seeds.

    The band holds 80% of the seeds. Trials that failed or diverged do not count.
    """
    names = own_numbers(study.ds)
    done = study.ds[names].where(study.ds.status == Status.DONE).assign(k=study.ds.k)
    along = _abscissa(study.ds)
    apart = [dim for dim in (*PANEL, *own_axes(study.ds)) if dim != along]
    parts = [
        (name, title, part)
        for (title, part), name in itertools.product(parts_along(done, apart), names)
        if bool(np.isfinite(part[name]).any())
    ]
    with styled():
        figure, panels = grid_of_parts(len(parts), 3, width=4.2, height=3.4)
        for axes, (name, title, part) in zip(panels, parts, strict=False):
            _draw(axes, part, name, along)
            meaning = literal(str(study.ds[name].attrs.get("long_name", name)))
            titled(axes, ", ".join(filter(None, [meaning, title])), 44)
            axes.set_ylabel(_with_units(name, study.ds[name].attrs))
        if not parts:
            panels[0].clear()
            only_text(figure, "no trial has returned a finite number")
        legend_below(figure, *panels[: len(parts)], columns=4)
        return figure


def _abscissa(ds: xr.Dataset) -> str:
    """Return the dimension to draw along: the width, or the first other size that varies."""
    numbers = [dim for dim in own_axes(ds) if ds[dim].dtype.kind in "if"]
    return next((dim for dim in ("width", "n", "d", *numbers) if ds.sizes[dim] > 1), "width")


def _draw(axes: Axes, part: xr.Dataset, name: str, along: str) -> None:
    others = [dim for dim in ("d", "n", "width") if dim != along and part.sizes.get(dim, 1) > 1]
    series = list(parts_along(part, others))[:MOST_SERIES]
    for index, (label, one) in enumerate(series):
        one = one.squeeze([dim for dim in one.dims if dim not in (along, "seed")])
        x = np.asarray(one.k if along == "width" else one[along], float)
        low, middle, high = (one[name].quantile(q, "seed").values for q in (0.1, 0.5, 0.9))
        look: Any = series_look(index)
        axes.fill_between(x, low, high, color=look["color"], alpha=0.2, linewidth=0,
                          label=f"_{label}, 80% of seeds")  # fmt: skip
        axes.plot(x, middle, **look, label=powers(label) if label else "median over seeds")
    axes.set_xlabel({"width": "width k", "n": "samples n", "d": "input dimension d"}.get(along, along))
    if along == "n":
        sample_ticks(axes, part.n.values)
    elif along == "width":
        log_abscissa(axes)


def _with_units(name: str, attrs: dict[str, Any]) -> str:
    units = str(attrs.get("units", "1"))
    return mathtext(literal(name if units == "1" else f"{name} ({units})"))
