"""The estimates of all cells of an answer: one by one, or with a lapse rate that several share.

Without lapses a cell is estimated alone, at the place that the order of budgets gives it. With them the
cells of all n and d first find their rate together (`lapses`).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import xarray as xr

from analysis.axes import SIZES
from analysis.success.rules import Rule
from analysis.transitions.curves import lapsed
from analysis.transitions.disorder import falls
from analysis.transitions.estimates import Estimate, Settings, estimate
from analysis.transitions.lapses import Lapses, Outcomes, lapses_of
from analysis.transitions.order import ordered_locations
from analysis.transitions.scales import Scale

__all__ = ["estimates_of"]

Floats = npt.NDArray[np.float64]


def estimates_of(
    ds: xr.Dataset,
    rule: Rule,
    succeeded: xr.DataArray,
    counted: xr.DataArray,
    places: xr.DataArray,
    settings: Settings,
    lapse: bool | str,
) -> tuple[list[Estimate], list[Lapses]]:
    """Return the estimate of every cell, and with lapses the rate of each.

    Parameters
    ----------
    ds, rule
        A store, loaded, and its rule of success.
    succeeded, counted
        Outcomes, and the trials that count, over (cells, axis of the transition, seed).
    places
        The values of the axis.
    settings
        Those of all cells.
    lapse
        As for `analysis.critical_widths`.
    """
    values = places.broadcast_like(succeeded.isel(seed=0, drop=True))
    values = values.transpose(*succeeded.dims[:-1])
    if lapse:
        return _with_lapses(succeeded, counted, values, settings, lapse == "cell")
    ordered = ordered_locations(
        ds, rule, succeeded, counted, str(settings.link), places, settings.scale
    )
    rows = zip(_rows(succeeded), _rows(counted), _rows(values), ordered.ravel(), strict=True)
    return [estimate(won, counts, at, settings, order) for won, counts, at, order in rows], []


def _rows(array: xr.DataArray) -> npt.NDArray[np.generic]:
    """Join the cell dims into one: (cells, width[, seed])."""
    kept = 2 if "seed" in array.dims else 1
    values: npt.NDArray[np.generic] = array.values.reshape(-1, *array.shape[-kept:])
    return values


def _with_lapses(
    succeeded: xr.DataArray,
    counted: xr.DataArray,
    values: xr.DataArray,
    settings: Settings,
    alone: bool,
) -> tuple[list[Estimate], list[Lapses]]:
    """Return the estimate of each cell, and the lapses of its group or of it alone."""
    dims, sizes = succeeded.dims[:-2], succeeded.shape[:-2]
    apart = [at for at, dim in enumerate(dims) if alone or dim not in SIZES]
    groups: dict[tuple[int, ...], list[int]] = {}
    for number, place in enumerate(np.ndindex(*sizes)):
        groups.setdefault(tuple(place[at] for at in apart), []).append(number)
    won, tried, at = _rows(succeeded), _rows(counted), _rows(values)
    found: dict[int, tuple[Estimate, Lapses]] = {}
    for members in groups.values():
        cells = [
            _ordered_outcomes(won[cell], tried[cell], at[cell], settings.scale) for cell in members
        ]
        lapses = lapses_of(cells, str(settings.link), settings.confidence)
        own = settings._replace(link=lapsed(settings.link, np.nan_to_num(lapses.rate)))
        for cell, reach in zip(members, lapses.reaches, strict=True):
            found[cell] = estimate(won[cell], tried[cell], at[cell], own, reach=reach), lapses
    each = [found[number] for number in range(len(found))]
    return [estimate for estimate, _ in each], [lapses for _, lapses in each]


def _ordered_outcomes(
    won: npt.NDArray[np.generic], tried: npt.NDArray[np.generic], values: Floats, scale: Scale
) -> Outcomes:
    """Return the outcomes of a cell, none where success falls again: those are no lapses."""
    found = _outcomes(won, tried, values, scale)
    trials = found.tried.sum(axis=1).astype(float)
    wins = (found.won & found.tried).sum(axis=1).astype(float)
    if falls(wins[None], trials[None])[0]:
        return found._replace(tried=np.zeros_like(found.tried))
    return found


def _outcomes(
    won: npt.NDArray[np.generic], tried: npt.NDArray[np.generic], values: Floats, scale: Scale
) -> Outcomes:
    """Return the outcomes of a cell where it was tried, in the order of the covariate."""
    known = np.flatnonzero(tried.any(axis=1))
    x = scale.covariate(values[known])
    known, x = known[np.argsort(x, kind="stable")], np.sort(x)
    return Outcomes(x, won[known].astype(bool), tried[known].astype(bool))
