"""Critical widths that keep the order of budgets and tolerances.

A descent that meets a tolerance within a budget meets it within any larger budget too, and meets any
looser tolerance. So the counts of success rise with both, and a critical width must not. The isotonic
fit obeys that by itself, but curves need not: another success far from the transition can make a curve
flatter, and move its crossing to wider networks.

So the crossings of a cell are brought into order at all budgets at which its counts change, whichever
of them are asked for: an answer does not depend on the other questions. A curve's crossing is limited
by the isotonic ones of harder and of easier criteria. It is then the middle (in log k) of the greatest
crossing at easier criteria and the least at harder ones, which is isotonic regression in the maximum
norm. Crossings that are in order already stay as they are, and so do all isotonic ones.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import xarray as xr

from analysis.success.rules import STEPS, Rule
from analysis.transitions.crossings import crossings
from analysis.transitions.disorder import falls
from analysis.transitions.scales import RISING, Scale
from pipeline.trial_status import Status

__all__ = ["ordered_locations"]

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

MOST = 1000
"""The most budgets of a cell, beside those asked for, that are brought into order. Between two of more
the counts hardly differ, and the crossings of all would take longer than their intervals."""


def ordered_locations(
    ds: xr.Dataset,
    rule: Rule,
    succeeded: xr.DataArray,
    counted: xr.DataArray,
    link: str,
    values: xr.DataArray,
    scale: Scale = RISING,
) -> Floats:
    """Return the log critical widths of all cells, in order along budgets and tolerances.

    Parameters
    ----------
    ds
        A store, loaded.
    rule
        Its rule of success.
    succeeded, counted
        From `analysis.success.rules.outcomes`.
    link
        A key of `analysis.transitions.curves.LINKS`.
    values, scale
        The values of the axis before `seed`, those of k along the width, and their scale.

    Returns
    -------
    numpy.ndarray
        The shape of the cells. NaN where no critical width is located, and everywhere if success is
        not that of descent within a budget.
    """
    shape, criteria = succeeded.shape[:-2], [d for d in succeeded.dims if d not in ds.status.dims]
    found = np.full(shape, np.nan)
    if not rule.within_budget or not set(criteria) <= {"tolerance", "budget"}:
        return found
    own, axis = [dim for dim in succeeded.dims[:-2] if dim not in criteria], succeeded.dims[-2]
    steps = ds[STEPS].where(ds.status == Status.DONE, np.inf)
    steps = steps if "tolerance" in steps.dims else steps.expand_dims("tolerance")
    steps = steps.transpose(*own, "tolerance", axis, "seed")
    tried = counted.isel(dict.fromkeys(criteria, 0)).transpose(*own, axis, "seed").values
    k = values.broadcast_like(ds.status.isel(seed=0, drop=True)).transpose(*own, axis).values
    x = scale.covariate(k)
    asked = succeeded.budget.values.astype(float) if "budget" in criteria else np.array([rule.limit])
    by_ease = np.argsort(-steps.tolerance.values) if "tolerance" in steps.coords else None
    found = np.full((*steps.shape[:-2], len(asked)), np.nan)
    for cell in np.ndindex(*steps.shape[:-3]):
        found[cell] = _of_cell(steps.values[cell], tried[cell], x[cell], asked, by_ease, link)
    if rule.tolerance is not None:  # a condition names it, and its order is that among all of them
        found = found[..., rule.tolerance, :]
    return found.reshape(shape)


def _of_cell(
    steps: Floats,
    tried: Bools,
    x: Floats,
    asked: Floats,
    by_ease: npt.NDArray[np.intp] | None,
    link: str,
) -> Floats:
    """Return the log critical widths (tolerance, budget) of one cell, NaN where there is none."""
    known = np.flatnonzero(tried.any(axis=1))
    known = known[np.argsort(x[known], kind="stable")]
    if not len(known):
        return np.full((len(steps), len(asked)), np.nan)
    log_k, tried = x[known], tried[known]
    steps = np.where(tried, steps[:, known], np.inf)
    budgets = _budgets(steps, asked)
    rows = [_along(each, tried, log_k, budgets, link) for each in steps]
    location, isotonic = (np.stack(part) for part in zip(*rows, strict=True))
    if by_ease is not None and _are_nested(steps[by_ease]):
        location[by_ease] = _ordered(location[by_ease], isotonic[by_ease])
    else:  # no order of tolerances is known
        for at in range(len(steps)):
            location[at] = _ordered(location[[at]], isotonic[[at]])[0]
    return location[:, np.searchsorted(budgets, asked, side="right") - 1]


def _budgets(steps: Floats, asked: Floats) -> Floats:
    """Return 0 and the budgets at which counts change; of too many, `MOST` and those asked for."""
    levels = np.unique(np.concatenate([[0.0], steps[np.isfinite(steps)]]))
    if len(levels) <= MOST:
        return levels
    kept = levels[np.linspace(0, len(levels) - 1, MOST).round().astype(int)]
    return np.unique(np.concatenate([kept, asked]))


def _are_nested(steps: Floats) -> bool:
    """Return True if no trial meets a harder tolerance before an easier one."""
    return bool((steps[1:] >= steps[:-1]).all())


def _along(
    steps: Floats, tried: Bools, log_k: Floats, budgets: Floats, link: str
) -> tuple[Floats, Bools]:
    """Return the crossings of one tolerance at each budget, and which of them are isotonic."""
    won = np.stack([np.searchsorted(np.sort(row), budgets, side="right") for row in steps], axis=1)
    won[np.isinf(budgets)] = np.isfinite(steps).sum(axis=1)
    counts, row_of = np.unique(won, axis=0, return_inverse=True)
    trials = np.broadcast_to(tried.sum(axis=1).astype(float), counts.shape)
    found = crossings(log_k, counts.astype(float), trials, link)
    row_of = row_of.ravel()
    # Success that falls again has no critical width, and none that others must keep in order with.
    location = np.where(falls(counts.astype(float), trials), np.nan, found.location)
    return location[row_of], found.isotonic[row_of]


def _ordered(location: Floats, isotonic: Bools) -> Floats:
    """Bring crossings into order: (tolerance, budget), from loose to tight and from short to long."""
    known = np.isfinite(location)
    least = _easiest(np.where(known & isotonic, location, -np.inf))
    most = _hardest(np.where(known & isotonic, location, np.inf))
    limited = np.clip(location, least, most)
    above = _easiest(np.where(known, limited, -np.inf))
    below = _hardest(np.where(known, limited, np.inf))
    with np.errstate(invalid="ignore"):
        return np.where(known, (above + below) / 2, np.nan)


def _easiest(values: Floats) -> Floats:
    """Return the greatest value at the same criterion and all easier ones."""
    along = np.maximum.accumulate(values[:, ::-1], axis=1)[:, ::-1]
    return np.maximum.accumulate(along, axis=0)


def _hardest(values: Floats) -> Floats:
    """Return the least value at the same criterion and all harder ones."""
    along = np.minimum.accumulate(values, axis=1)
    return np.minimum.accumulate(along[::-1], axis=0)[::-1]
