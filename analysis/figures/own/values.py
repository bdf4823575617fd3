"""The figure of an experiment of one's own: each number that its trials return, over the sizes.

A number that is 0 or 1 is drawn as the share of seeds that have 1, any other as its median with a band.
Infinite values count in the quantiles, as the largest or least that there are; missing ones do not.
"""

from __future__ import annotations

import itertools
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import xarray as xr
from matplotlib.axes import Axes

from analysis.axes import PANEL, own_axes
from analysis.figures.looks.chart import Chart, styled
from analysis.figures.looks.data import stands_for
from analysis.figures.looks.parts import grid_of_parts, legend_below, log_abscissa, titled
from analysis.figures.looks.scales import plain_ticks
from analysis.figures.looks.style import (
    grey,
    log_ordinate,
    only_text,
    parts_along,
    sample_ticks,
    series_line,
    series_look,
)
from analysis.figures.looks.typography import mathtext, powers
from analysis.signs import literal
from analysis.study import Study
from analysis.transitions.scales import checked
from pipeline.store.names import SECONDS
from pipeline.trial_status import Status

__all__ = ["own_numbers", "values_figure"]

Floats = npt.NDArray[np.float64]

MOST_SERIES = 8
"""Lines of one panel."""

BAND = "10% to 90% of seeds"
SHARE = (0.0, 1.0)
"""The values of a number that is drawn as a share."""

LONG = 1e3
"""The ratio of the largest to the least value from which on an ordinate is logarithmic."""


class _Number(NamedTuple):
    """The look of one of the numbers, which is alike in all its panels."""

    name: str
    along: str
    is_share: bool
    is_long: bool


def own_numbers(ds: xr.Dataset) -> list[str]:
    """Return the variables of an experiment of one's own that are one number a trial, as declared."""
    if "own" not in ds.attrs:
        return []
    trial = set(map(str, ds.status.dims))
    numbers = [str(name) for name, one in ds.data_vars.items() if one.dtype.kind == "f"]
    found = [name for name in numbers if name != SECONDS and set(ds[name].dims) == trial]
    declared = [str(one["name"]) for one in ds.attrs["own"].get("variables", [])]
    return sorted(found, key=lambda name: declared.index(name) if name in declared else -1)


def values_figure(study: Study) -> Chart:
    """Each number that a trial returns, as its median over seeds.

    The band goes from 10% to 90% of the seeds. An arrow head stands where the median is infinite. A
    number that is 0 or 1 is shown as the share of seeds that have 1. Trials that failed or diverged do
    not count.
    """
    done = study.ds[own_numbers(study.ds)].where(study.ds.status == Status.DONE)
    done = done.assign(k=study.ds.k).compute()
    along = _abscissa(study)
    apart = [dim for dim in (*PANEL, *own_axes(study.ds)) if dim != along]
    numbers = [_number(done, name, along) for name in own_numbers(study.ds)]
    parts = [
        (number, title, part)
        for (title, part), number in itertools.product(parts_along(done, apart), numbers)
        if bool(part[number.name].notnull().any())
    ]
    with styled():
        figure, panels = grid_of_parts(len(parts), 3, width=4.2, height=3.4)
        for axes, (number, title, part) in zip(panels, parts, strict=False):
            _draw(axes, part, number)
            meaning = literal(str(study.ds[number.name].attrs.get("long_name", number.name)))
            titled(axes, ", ".join(filter(None, [meaning, title])), 44)
            axes.set_ylabel(_ordinate(number, study.ds[number.name].attrs))
        for number in numbers:
            _alike(
                [axes for axes, part in zip(panels, parts, strict=False) if part[0] == number], number
            )
        if not parts:
            panels[0].clear()
            only_text(figure, "no trial has returned a number")
        legend_below(figure, *panels[: len(parts)], columns=4)
        return figure


def _abscissa(study: Study) -> str:
    """Return the dimension to draw along: the one asked for, the width, or the first that varies."""
    ds = study.ds
    if not study.along.is_width:
        return checked(ds, study.along, None, None).axis
    numbers = [dim for dim in own_axes(ds) if ds[dim].dtype.kind in "if"]
    return next((dim for dim in ("width", "n", "d", *numbers) if ds.sizes[dim] > 1), "width")


def _number(ds: xr.Dataset, name: str, along: str) -> _Number:
    values = np.asarray(ds[name].values, dtype=float)
    finite = values[np.isfinite(values)]
    is_share = len(finite) == (~np.isnan(values)).sum() and set(np.unique(finite)) == set(SHARE)
    is_long = bool(len(finite) and finite.min() > 0 and finite.max() / finite.min() > LONG)
    return _Number(name, along, is_share, is_long)


# --- panels ---------------------------------------------------------------------------------------


def _draw(axes: Axes, part: xr.Dataset, number: _Number) -> None:
    along = number.along
    others = [dim for dim in ("d", "n", "width") if dim != along and part.sizes.get(dim, 1) > 1]
    series = list(parts_along(part, others))[:MOST_SERIES]
    for index, (label, one) in enumerate(series):
        one = one.squeeze([dim for dim in one.dims if dim not in (along, "seed")])
        x = np.asarray(one.k if along == "width" else one[along], float)
        values = np.asarray(one[number.name].transpose(..., "seed").values, dtype=float)
        look = series_look(index) | {"linestyle": series_line(index)}
        if number.is_share:
            _draw_share(axes, x, values, label, look)
        else:
            _draw_spread(axes, x, values, label, look)
    if not number.is_share:  # one entry of the legend for all bands
        axes.fill([], [], color=grey(0.5), alpha=0.3, linewidth=0, label=BAND)
    axes.set_xlabel({"width": "width k", "n": "samples n", "d": "input dimension d"}.get(along, along))
    if along == "n":
        sample_ticks(axes, part.n.values)
    elif along == "width":
        log_abscissa(axes)


def _draw_share(axes: Axes, x: Floats, values: Floats, label: str, look: Any) -> None:
    known = ~np.isnan(values)
    trials = known.sum(axis=1)
    share = np.where(trials > 0, np.where(known, values, 0).sum(axis=1) / np.maximum(trials, 1), np.nan)
    axes.plot(x, share, **look, label=powers(label) if label else "share of seeds")


def _draw_spread(axes: Axes, x: Floats, values: Floats, label: str, look: Any) -> None:
    """Draw the medians and the band, and arrow heads at the edge where a median is infinite."""
    low, middle, high = (_quantile(values, level) for level in (0.1, 0.5, 0.9))
    finite = values[np.isfinite(values)]
    if len(finite):
        ends = np.clip(low, finite.min(), finite.max()), np.clip(high, finite.min(), finite.max())
        band = axes.fill_between(x, *ends, where=np.isfinite(middle), color=look["color"], alpha=0.2,
                                 linewidth=0)  # fmt: skip
        stands_for(band, ", ".join(filter(None, [label, BAND])), x=x, y_low=low, y_high=high)
    name = powers(label) if label else "median over seeds"
    axes.plot(x, np.where(np.isfinite(middle), middle, np.nan), **look, label=name)
    for end, marker, height in ((np.inf, "^", 0.98), (-np.inf, "v", 0.02)):
        at = middle == end
        if at.any():
            (heads,) = axes.plot(x[at], np.full(at.sum(), height), color=look["color"], marker=marker,
                                 linestyle="", transform=axes.get_xaxis_transform())  # fmt: skip
            stands_for(
                heads, ", ".join(filter(None, [label, "infinite median"])), x=x[at], y=middle[at]
            )


def _quantile(values: Floats, level: float) -> Floats:
    """Return the quantile of each row, between neighbours if both are finite; NaN of no number."""
    ordered = np.sort(values, axis=1)  # missing numbers come last
    known = (~np.isnan(values)).sum(axis=1)
    place = level * np.maximum(known - 1, 0)
    rows, below = np.arange(len(values)), np.floor(place).astype(int)
    low, high = ordered[rows, below], ordered[rows, np.ceil(place).astype(int)]
    share = place - below
    with np.errstate(invalid="ignore"):  # inf - inf, which is not taken
        between = low + share * (high - low)
    at_one = np.where(share == 0, low, high)  # the end that is infinite, if one is
    either = np.where(np.isfinite(low), at_one, np.where(np.isfinite(high), low, at_one))
    found = np.where(np.isfinite(low) & np.isfinite(high), between, either)
    return np.where(known > 0, found, np.nan)


def _alike(panels: list[Axes], number: _Number) -> None:
    """Give all panels of a number the same ordinate."""
    for axes in panels if number.is_long else ():
        log_ordinate(axes)
    ends = [(-0.04, 1.04)] if number.is_share else [axes.get_ylim() for axes in panels]
    for axes in panels:
        axes.set_ylim(min(low for low, _ in ends), max(high for _, high in ends))
        if not number.is_long:
            plain_ticks(axes.yaxis)


def _ordinate(number: _Number, attrs: dict[str, Any]) -> str:
    """Return the name of a number, with its unit or as a share."""
    if number.is_share:
        return mathtext(literal(f"share with {number.name}"))
    units = str(attrs.get("units", "1"))
    return mathtext(literal(number.name if units == "1" else f"{number.name} ({units})"))
