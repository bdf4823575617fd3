"""An answer from the estimates of its cells: named after its axis, and blank where undefined."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import xarray as xr

from analysis.success.rules import Rule, undefined
from analysis.transitions.descriptions import described, renamed
from analysis.transitions.estimates import Estimate, Settings
from analysis.transitions.lapses import Lapses
from analysis.transitions.scales import Along, Scale
from analysis.transitions.summaries import with_summaries

__all__ = ["INTERVALS", "answer_from"]

INTERVALS = {
    "seeds": "Student's t of log k50, robust to dependence within a seed",
    "profile": "profile likelihood of independent trials",
}


def answer_from(
    estimates: list[Estimate],
    rates: list[Lapses],
    ds: xr.Dataset,
    rule: Rule,
    outcomes: tuple[xr.DataArray, xr.DataArray],
    along: Along,
    settings: Settings,
    lapse: bool | str,
) -> xr.Dataset:
    """Return the answer of all cells.

    Parameters
    ----------
    estimates, rates
        From `estimates_of`.
    ds, rule
        The store, loaded, and its rule of success.
    outcomes
        Successes, and the trials that count, over (cells, axis of the transition, seed).
    along, settings, lapse
        The question.
    """
    succeeded, counted = outcomes
    out = _assemble(estimates, succeeded, settings, rule)
    if rates:
        out = _with_rates(out, rates).assign_attrs(lapse_by="cell" if lapse == "cell" else "group")
    against = [("alpha", rule.against_alpha), ("ntk_population", rule.against_population)]
    if any(asked and along.axis not in _sources(ds, name) for name, asked in against):
        out = _blank_degenerate(out, undefined(ds, rule, succeeded))
    return _named(with_summaries(out, ds, counted, rule.threshold), ds, along, settings.scale)


def _with_rates(out: xr.Dataset, rates: list[Lapses]) -> xr.Dataset:
    """Add the lapse rate of each cell's group."""
    columns = {
        "lapse": [lapses.rate for lapses in rates],
        "lapse_low": [lapses.low for lapses in rates],
        "lapse_high": [lapses.high for lapses in rates],
        "lapse_delta_aicc": [lapses.delta_aicc for lapses in rates],
    }
    shape = out.k50.shape
    return out.assign(
        {name: (out.k50.dims, np.array(values).reshape(shape)) for name, values in columns.items()}
    )


def _assemble(
    estimates: list[Estimate], succeeded: xr.DataArray, settings: Settings, rule: Rule
) -> xr.Dataset:
    cells, shape = succeeded.dims[:-2], succeeded.shape[:-2]
    columns = zip(Estimate._fields, zip(*estimates, strict=True), strict=True)
    variables = {name: (cells, np.array(values).reshape(shape)) for name, values in columns}
    coords = {name: c for name, c in succeeded.coords.items() if set(c.dims) <= set(cells)}
    attrs = {
        "confidence": settings.confidence,
        "resamples": settings.resamples,
        "nested": int(settings.nested),
        "link": str(settings.link),
        "interval_method": INTERVALS[settings.interval],
    }
    return xr.Dataset(variables, coords, attrs | rule.attrs)


def _blank_degenerate(out: xr.Dataset, degenerate: xr.DataArray) -> xr.Dataset:
    """Blank the numbers of cells in which success is undefined."""
    numbers = out.drop_vars("outcome").where(~degenerate)
    words = xr.where(degenerate, "degenerate", out.outcome)
    return numbers.assign(outcome=words)[list(out.data_vars)].assign_attrs(out.attrs)


def _sources(ds: xr.Dataset, name: str) -> tuple[str, ...]:
    """Return the dims of a variable other than the width, along which a cell is blank as a whole."""
    return tuple(str(dim) for dim in ds[name].dims if dim != "width")


def _named(out: xr.Dataset, ds: xr.Dataset, along: Along, scale: Scale) -> xr.Dataset:
    """Name the answer after its axis, and tell that and the width of each cell."""
    snapped = out if along.is_width else _snapped(out, ds[along.axis].values)
    named = snapped.rename({str(name): renamed(str(name), along) for name in out.data_vars})
    if not along.is_width:
        k = ds.k.isel({along.axis: 0}, drop=True) if along.axis in ds.k.dims else ds.k
        named = named.assign_coords(k=k.reset_coords(drop=True))
        named.attrs["unit"] = str(ds[along.axis].attrs.get("units", "1"))
    value = ("log " if scale.logarithmic else "") + renamed("k50", along)
    named.attrs["interval_method"] = str(named.attrs["interval_method"]).replace("log k50", value)
    named.attrs["along"] = along.axis
    named.attrs["direction"] = "falling" if scale.falling else "rising"
    named.attrs["scale"] = "log" if scale.logarithmic else "linear"
    return described(named, along, scale)


def _snapped(out: xr.Dataset, values: npt.NDArray[np.generic]) -> xr.Dataset:
    """Make values of the grid exact again that went through a logarithm or an inverse."""
    grid = np.sort(values.astype(float))

    def nearest(array: xr.DataArray) -> xr.DataArray:
        near = grid[np.abs(array.values[..., None] - grid).argmin(axis=-1)]
        return array.copy(data=np.where(np.isclose(near, array.values, 1e-9, 0), near, array.values))

    ends = (
        "bracket_low",
        "bracket_high",
        "falls_from",
        "rises_from",
        "k_crossing",
        "k_crossing_low",
        "k_crossing_high",
    )
    return out.assign({name: nearest(out[name]) for name in ends})
