"""The width at which success passes 1/2, for many rows of counts at once.

It is the crossing of the likeliest curve where a curve can be fitted. Otherwise it is that of the
isotonic fit, which assumes only that success rises with width. There are two such cases:

- Separated counts: failures end where successes begin, so the likelihood has no maximum.
- A curve that contradicts the counts: its crossing lies where the isotonic fit is below 1/4 or above
  3/4. That happens where success falls again, such as at widths that need more steps than the budget
  has: the curve is flat then, and its crossing is drawn far away from the rise.

With a lapse rate the levels 1/2, 1/4 and 3/4 are shares of the upper end of success: the crossing is
where the curve without lapses passes 1/2.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from analysis.transitions.curves import Link, fit_curves, link_of
from analysis.transitions.isotonic import isotonic_crossings
from analysis.transitions.separation import first, last, separated

__all__ = ["Crossings", "crossings"]

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

BELIEVED = (0.25, 0.75)
"""Values of the isotonic fit between which a curve may pass 1/2."""


class Crossings(NamedTuple):
    """The crossings of rows of counts.

    Attributes
    ----------
    location
        (rows,) covariate of the crossing. -inf or inf beyond the widths, NaN if success does not rise.
    isotonic
        (rows,) True where it is the crossing of the isotonic fit.
    intercept, slope
        (rows,) the curve; NaN where there is none.
    """

    location: Floats
    isotonic: Bools
    intercept: Floats
    slope: Floats


def crossings(
    x: Floats,
    successes: Floats,
    trials: Floats,
    link: str | Link = "logistic",
    start: tuple[float, float] | None = None,
) -> Crossings:
    """Return the crossing of 1/2 of each row, or of half of the upper end of a link with lapses.

    Parameters
    ----------
    x
        (widths,) ascending.
    successes, trials
        (rows, widths) counts; a width without trials is ignored.
    link, start
        As for `analysis.transitions.curves.fit_curves`.
    """
    link = link_of(link)
    failures = trials - successes
    whole = separated(successes, failures)
    rest = np.flatnonzero(~whole & (last(successes > 0) > first(failures > 0)))
    location, intercept, slope = np.full((3, len(whole)), np.nan)
    isotonic = whole.copy()
    if whole.any():
        location[whole] = isotonic_crossings(x, successes[whole], trials[whole], link.top / 2)
    if len(rest):
        won, tried = successes[rest], trials[rest]
        intercept[rest], slope[rest] = fit_curves(x, won, tried, link, start)
        location[rest], isotonic[rest] = _believed(
            x, won, tried, intercept[rest], slope[rest], link.top
        )
    return Crossings(location, isotonic, intercept, slope)


def _believed(
    x: Floats, successes: Floats, trials: Floats, intercept: Floats, slope: Floats, top: float
) -> tuple[Floats, Bools]:
    """Return the crossings of curves, or of the isotonic fit where a rising curve contradicts it."""
    with np.errstate(divide="ignore", invalid="ignore"):
        at = -intercept / slope
    # Beyond the widths only the side is known.
    at = np.where(at < x[0], -np.inf, np.where(at > x[-1], np.inf, at))
    low, high = (isotonic_crossings(x, successes, trials, top * level) for level in BELIEVED)
    instead = (slope > 0) & ~((low <= at) & (at <= high))
    at = np.where(slope > 0, at, np.nan)
    if instead.any():
        at[instead] = isotonic_crossings(x, successes[instead], trials[instead], top / 2)
    return at, instead
