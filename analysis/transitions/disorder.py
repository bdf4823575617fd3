"""Counts in which success falls from above 1/2 to below it: no single width is the critical one.

The claim is tested that success is at most 1/2 up to some width and at least 1/2 from there on. It is
refused if success is surely above 1/2 at one width and surely below 1/2 at a later one. Whatever that
width of the claim is, one of these two signs contradicts it, so a sign test at each width, at 5% over
the number of widths, refuses a true claim in at most 5% of tables. A sign test needs seeds that are
independent, and nothing else: trials of a seed may depend on one another in any way. In simulations of
a curve that rises through 1/2, true claims were refused in under 1% of tables.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import xarray as xr
from scipy import special

from analysis.axes import label

__all__ = ["Fall", "disorder_words", "fall_of", "fall_words", "falls", "of_cells"]

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

SIGNIFICANCE = 0.05
"""The largest share of tables with a single transition that are refused."""


class Fall(NamedTuple):
    """The covariates between which success is lost: the last success, failures, the next success.

    Attributes
    ----------
    last
        The last one at which most succeed before the fall.
    low, high
        The first and the last one at which most fail.
    back
        The first one at which success is surely back; NaN if it is not, and `high` too.
    """

    last: float
    low: float
    high: float
    back: float


def falls(successes: Floats, trials: Floats, level: float = 0.5) -> Bools:
    """Return the rows in which success is surely above a level, and surely below it later.

    Parameters
    ----------
    successes, trials
        (rows, widths) counts of independent seeds, over ascending covariates.
    level
        1/2, or half of the upper end of success with lapses.
    """
    above, below = _signs(successes, trials, level)
    after = np.logical_or.accumulate(above, axis=1) & below
    found: Bools = np.asarray(after.any(axis=1))
    return found


def fall_of(x: Floats, successes: Floats, trials: Floats, level: float = 0.5) -> Fall | None:
    """Return where success falls and rises in one row of counts; None if it does not surely fall."""
    above, below = (row[0] for row in _signs(successes[None], trials[None], level))
    after = np.flatnonzero(np.logical_or.accumulate(above) & below)
    if not len(after):
        return None
    tried, at = trials > 0, np.arange(len(x))
    many, few = tried & (successes > level * trials), tried & (successes < level * trials)
    last = np.flatnonzero(many & (at < after[0]))[-1]
    low = np.flatnonzero(few & (at > last))[0]
    again = np.flatnonzero(above & (at > after[0]))
    if not len(again):
        return Fall(float(x[last]), float(x[low]), np.nan, np.nan)
    high = np.flatnonzero(few & (at < again[0]))[-1]
    back = np.flatnonzero(many & (at > high))[0]
    return Fall(*(float(x[place]) for place in (last, low, high, back)))


def _signs(successes: Floats, trials: Floats, level: float) -> tuple[Bools, Bools]:
    """Return where success is surely above a level, and where it is surely below."""
    tests = np.maximum((trials > 0).sum(axis=1, keepdims=True), 1)
    # Chances of so many successes or more, and of so few or fewer, at the level itself.
    whole = trials.astype(np.int64)  # SciPy refuses other numbers of trials
    many = np.where(successes > 0, special.bdtrc(np.maximum(successes - 1, 0), whole, level), 1.0)
    few = special.bdtr(successes, whole, level)
    some = trials > 0
    return some & (many <= SIGNIFICANCE / tests), some & (few <= SIGNIFICANCE / tests)


def disorder_words(widths: xr.Dataset, along: str, symbol: str) -> tuple[str, ...]:
    """Return a sentence on each place of falls, with the number of cells that have it.

    Parameters
    ----------
    widths
        From `analysis.critical_widths`.
    along, symbol
        The axis of the transition and the letter of its values, "width" and k for a width.
    """
    found: dict[str, list[str]] = {}
    for place in np.ndindex(*widths.outcome.shape):
        cell = widths.isel(dict(zip(widths.outcome.dims, place, strict=True)))
        if str(cell.outcome.item()) == "unordered":
            dims = [str(dim) for dim in widths.outcome.dims if widths.sizes[dim] > 1]
            name = ", ".join(filter(None, (label(dim, cell[dim].item()) for dim in dims)))
            found.setdefault(_words(cell, along, symbol), []).append(name)
    return tuple(of_cells(cells, words) for words, cells in found.items())


def fall_words(cell: xr.Dataset, along: str, symbol: str, falling: bool) -> str | None:
    """Return where success of one cell falls and rises, as a sentence; None if it does not surely fall.

    Success that does not come back may be one that falls, which is a question of its own.

    Parameters
    ----------
    cell
        One cell of `analysis.critical_widths`.
    along, symbol
        The axis of the transition and the letter of its values, "width" and k for a width.
    falling
        Whether success was taken to fall along the axis.
    """
    places = {"falls": float(cell.falls_from), "rises": float(cell.rises_from)}
    known = [f"{verb} from {symbol} = {at:.6g} on" for verb, at in places.items() if not np.isnan(at)]
    if not known:
        return None
    other = ("falling", "falls") if not falling else ("rising", "rises")
    turned = f" (--direction {other[0]} if it {other[1]} all along)" if len(known) == 1 else ""
    return f"success {' and '.join(known)}, so no single {along} is critical{turned}"


def of_cells(cells: list[str], words: str) -> str:
    """Return a sentence on cells, headed by their names, or by the first of many with their number.

    A cell without a name is the only one, and needs none.
    """
    names = "; ".join(cells) if len(cells) <= 3 else f"{cells[0]} and {len(cells) - 1} more cells"
    return f"{names}: {words}" if names else words


def _words(cell: xr.Dataset, along: str, symbol: str) -> str:
    if fall := fall_words(cell, along, symbol, cell.attrs["direction"] == "falling"):
        return f"{fall}; restrict it by a condition"
    return f"success does not change with {along} as it should, so no {along} is critical"
