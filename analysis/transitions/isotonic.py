"""The isotonic fit of success and its crossings, for many rows of counts at once.

The rising sequence nearest to the shares of success (pool adjacent violators) lies below a level up to
the minimum of the cumulative sum of successes - level * trials, and above it from there on. So one pass
over the widths finds the crossing of the level, and the fit's values on its two sides are the extreme
means of the blocks that end and begin there.

The fit rises wherever the counts rise. So more successes never move a crossing to wider networks, which
is not true of a fitted curve.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["isotonic_crossings"]

Floats = npt.NDArray[np.float64]


def isotonic_crossings(x: Floats, successes: Floats, trials: Floats, level: float = 0.5) -> Floats:
    """Return the x at which each row's isotonic fit passes a level, by linear interpolation.

    Parameters
    ----------
    x
        (widths,) ascending.
    successes, trials
        (rows, widths) counts; a width without trials is ignored.
    level
        The share of success.

    Returns
    -------
    numpy.ndarray
        (rows,). If the fit is at the level over several widths, their middle. -inf if the fit is never
        below the level, inf if it is never above, NaN if neither.
    """
    won, tried = (_cumulative(counts) for counts in (successes, trials))
    walk = won - level * tried
    below = walk.argmin(axis=1)  # widths before it lie below the level
    above = len(x) - walk[:, ::-1].argmin(axis=1)  # widths from it on lie above
    location = _interpolated(x, won, tried, below, above, level)
    location = np.where(below == 0, -np.inf, location)
    location = np.where(above == len(x), np.inf, location)
    return np.where((below == 0) & (above == len(x)), np.nan, location)


def _cumulative(counts: Floats) -> Floats:
    return np.concatenate([np.zeros((len(counts), 1)), counts.cumsum(axis=1)], axis=1)


def _interpolated(
    x: Floats,
    won: Floats,
    tried: Floats,
    below: npt.NDArray[np.intp],
    above: npt.NDArray[np.intp],
    level: float,
) -> Floats:
    """Interpolate from the last width below the level to the first above; at it, take the middle."""
    rows, at = np.arange(len(won)), np.arange(won.shape[1])
    low_end, high_end = won[rows, below, None], won[rows, above, None]
    low_of, high_of = tried[rows, below, None], tried[rows, above, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        ending = np.where(at < below[:, None], (low_end - won) / (low_of - tried), -np.inf)
        beginning = np.where(at > above[:, None], (won - high_end) / (tried - high_of), np.inf)
        low, high = np.nanmax(ending, axis=1), np.nanmin(beginning, axis=1)
        share = (level - low) / (high - low)
    left, right = x[np.maximum(below - 1, 0)], x[np.minimum(above, len(x) - 1)]
    # The widths at the level, from the first to the last that has trials.
    first, last = (tried <= low_of).sum(axis=1) - 1, (tried < high_of).sum(axis=1) - 1
    middle = (x[np.minimum(first, len(x) - 1)] + x[np.maximum(last, 0)]) / 2
    return np.where(low_of[:, 0] < high_of[:, 0], middle, left + share * (right - left))
