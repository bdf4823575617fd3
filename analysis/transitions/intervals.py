"""Intervals of a critical width and of a slope: over seeds, from their crossings, from a profile.

Intervals of a width are in log k. An end that the data do not determine is infinite.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy import special

from analysis.transitions.curves import Link, fit_curves, link_of, log_likelihood, profile
from analysis.transitions.scales import RISING, Scale

__all__ = [
    "Interval",
    "crossing_bounds",
    "draws",
    "interval_reach",
    "median_of_bounds",
    "percentiles",
    "profile_interval",
    "robust_interval",
    "slope_interval",
]

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Interval = tuple[float, float]

FEWEST = 4
"""The fewest seeds with an interval of k50."""

_POINTS = 9
_ROUNDS = 3
_PART = 0.75  # the share of a seed's trials that the jackknife takes out


@lru_cache(4)
def draws(seeds: int, resamples: int, entropy: int) -> Floats:
    """Return the number of times each seed is drawn, (1 + resamples, seeds); row 0 is the data."""
    rng = np.random.default_rng(entropy)
    drawn = rng.multinomial(seeds, np.full(seeds, 1 / seeds), size=resamples)
    counts = np.concatenate([np.ones((1, seeds)), drawn])
    counts.setflags(write=False)  # the cells share it
    return counts


def percentiles(values: Floats, confidence: float, seeds: int) -> Interval:
    """Return the expanded percentile interval: percentiles widened to make up for few seeds.

    Parameters
    ----------
    values
        (resamples,) values of an estimate. A NaN could lie anywhere, so it widens both ends.
    confidence
        Level of the interval.
    seeds
        Number of seeds that were resampled. One seed gives no interval.
    """
    if seeds < 2:
        return -np.inf, np.inf
    tail = _tail(confidence, seeds)
    known = ~np.isnan(values)
    low = np.quantile(np.where(known, values, -np.inf), tail, method="lower")
    high = np.quantile(np.where(known, values, np.inf), 1 - tail, method="higher")
    return float(low), float(high)


@lru_cache
def _tail(confidence: float, seeds: int) -> float:
    """Return the share of resamples beyond each end that gives a normal mean Student's interval."""
    reach = special.stdtrit(seeds - 1, (1 + confidence) / 2) * np.sqrt(seeds / (seeds - 1))
    return float(special.ndtr(-reach))


@lru_cache
def _rank(confidence: float, seeds: int) -> int:
    """Return the rank of the order statistic at the lower end of a median's interval; 0 for none."""
    tail = (1 - confidence) / 2
    rank = int(np.ceil(special.bdtrik(tail, seeds, 0.5)))
    return rank - 1 if rank and special.bdtr(rank - 1, seeds, 0.5) >= tail else rank


def robust_interval(
    log_k: Floats,
    won: Floats,
    tried: Floats,
    times: Floats,
    link: str | Link,
    curve: tuple[float, float],
    confidence: float,
) -> Interval:
    """Return Student's interval of the crossing of 1/2, robust to dependence within a seed.

    Parameters
    ----------
    log_k
        (widths,) the covariate.
    won, tried
        (rows, widths) outcomes, 0 or 1.
    times
        (rows,) number of seeds of each row.
    link
        As for `analysis.transitions.curves.link_of`.
    curve
        Intercept and slope of the fitted curve.
    confidence
        Level of the interval.

    Notes
    -----
    Each seed moves the estimate by its influence, linear in its scores; their sum of squares is the
    cluster-robust (sandwich) variance, the jackknife over seeds to first order. Fewer than `FEWEST`
    seeds do not determine it: with independent widths, intervals contained the truth in 2 to 25% of
    simulated cells of two seeds, in 76 to 92% of three, in 93 to 96% of four to six.
    """
    if times.sum() < FEWEST:
        return -np.inf, np.inf
    intercept, slope = curve
    away = log_k + intercept / slope
    _, score, weight = link_of(link).terms(slope * away, won, tried)
    h0, h1, h2 = ((weight @ away**power * times).sum() for power in range(3))
    influence = score @ (h2 - h1 * away) / (h0 * h2 - h1**2) / slope
    middle, reach = -intercept / slope, interval_reach(influence, times, confidence)
    low, high = float(middle - reach), float(middle + reach)
    # No extrapolation.
    return low if low >= log_k[0] else -np.inf, high if high <= log_k[-1] else np.inf


def slope_interval(
    log_k: Floats,
    won: Floats,
    tried: Floats,
    times: Floats,
    link: str | Link,
    curve: tuple[float, float],
    confidence: float,
) -> Interval:
    """Return Student's interval of a curve's slope, robust to dependence within a seed.

    Parameters
    ----------
    log_k, won, tried, times, link, confidence
        As for `robust_interval`.
    curve
        Intercept and slope of the best curve, which rises.

    Returns
    -------
    low, high
        0 and inf for fewer than three seeds, and if the curve does not rise without a part of one
        seed. 0 if the seeds do not exclude that success is equally likely at all widths.

    Notes
    -----
    A jackknife of log slope: the curve is refitted without three quarters of one seed's trials, for
    each seed in turn. To second order, removing a share w moves log slope by -w I + w^2 Q / 2. So the
    moves are w times the influences I, and their sum over w^2 is the bias: few seeds make curves too
    steep (log slope by 0.07 at 20 nested seeds, 0.04 at 40). The interval lies around log slope minus
    its bias. Only a part of a seed is removed, because a whole one may be all that keeps failures and
    successes from being separated, and the curve without it would have no slope.
    """
    if times.sum() < 3:
        return 0.0, np.inf
    won_less, tried_less = (times @ table - _PART * table for table in (won, tried))
    _, slopes = fit_curves(log_k, won_less, tried_less, link, curve)
    if (slopes <= 0).any():
        return 0.0, np.inf
    moves = np.log(slopes / curve[1])
    total = (moves * times).sum()
    middle = np.log(curve[1]) - total / _PART**2
    reach = interval_reach((moves - total / times.sum()) / _PART, times, confidence)
    with np.errstate(over="ignore"):
        low, high = float(np.exp(middle - reach)), float(np.exp(middle + reach))
    return low if _rises(log_k, won, tried, times, confidence) else 0.0, high


def _rises(log_k: Floats, won: Floats, tried: Floats, times: Floats, confidence: float) -> bool:
    """Test by the scores of the seeds (Student) whether success depends on width."""
    trials = (times @ tried).sum()
    share, centre = (times @ won).sum() / trials, (tried @ log_k * times).sum() / trials
    scores = (won - share * tried) @ (log_k - centre)
    total = (scores * times).sum()
    return bool(total > interval_reach(scores - total / times.sum(), times, confidence))


def interval_reach(influence: Floats, times: Floats, confidence: float) -> float:
    """Return half the length of Student's interval, from the influence of the seeds of each row.

    If few seeds carry most of the variance there are fewer degrees of freedom: Satterthwaite's number,
    from the fourth powers, and at most one less than the seeds.
    """
    square = (influence**2 * times).sum()
    if square < 1e-18:
        return np.inf  # identical seeds show no spread
    equal = np.clip(3 * square**2 / (influence**4 * times).sum(), 2, times.sum())
    return float(
        special.stdtrit(equal - 1, (1 + confidence) / 2) * np.sqrt(square * equal / (equal - 1))
    )


def profile_interval(
    log_k: Floats,
    successes: Floats,
    trials: Floats,
    link: str | Link,
    curve: tuple[float, float],
    confidence: float,
) -> Interval:
    """Return the crossings of 1/2 that the likelihood ratio does not reject, if trials are independent.

    Parameters
    ----------
    log_k, successes, trials
        (widths,) covariate and counts of the whole table.
    link
        As for `analysis.transitions.curves.link_of`.
    curve
        Intercept and slope of the best curve, which rises through 1/2 within the widths.
    confidence
        Level of the interval.
    """
    a, b = np.array(curve)[:, None]
    best = log_likelihood(log_k, a, b, successes, trials, link)[0]
    least = best - special.gammaincinv(0.5, confidence)
    middle = -curve[0] / curve[1]
    low, high = (
        _level_crossing(log_k, successes, trials, link, curve[1], least, (middle, end))
        for end in (log_k[0], log_k[-1])
    )
    return low, high


def _level_crossing(
    log_k: Floats,
    successes: Floats,
    trials: Floats,
    link: str | Link,
    slope: float,
    least: float,
    between: Interval,
) -> float:
    """Return the point at which the profile falls to a level; infinite if that is beyond the end."""
    inner, outer = between
    side = np.inf if outer > inner else -np.inf
    for _ in range(_ROUNDS):
        points = np.linspace(inner, outer, _POINTS)
        spare = profile(log_k, successes, trials, link, points, slope) - least
        # The profile has one maximum, so it falls all the way.
        kept = max(int((spare >= 0).sum()), 1)
        if kept == _POINTS:
            return side
        inner, outer = points[kept - 1], points[kept]
    return float(np.interp(0, spare[[kept, kept - 1]], [outer, inner]))


# --- the crossings of the seeds -----------------------------------------------------------------


def crossing_bounds(won: Bools, tried: Bools, k: Floats, least: float = 0.0) -> tuple[Floats, Floats]:
    """Return bounds of each seed's crossing: the first width from which it always succeeds.

    Parameters
    ----------
    won, tried
        (seeds, widths) outcomes; only tried ones count.
    k
        (widths,) ascending.
    least
        The value that stands for all below the grid.

    Returns
    -------
    low, high
        (seeds,) widths of the grid; `least` if the crossing may lie below it, inf if above. Both are
        equal if the seed was tried at the widths on both sides. Between the last width at which it
        failed and the next at which it was tried, it is assumed to fail up to its crossing and to
        succeed from there on.
    """
    widths = np.arange(len(k))
    failed = np.where(tried & ~won, widths, -1).max(axis=1)
    later = tried & (widths > failed[:, None])
    succeeded = np.where(later.any(axis=1), later.argmax(axis=1), len(k))
    padded = np.concatenate([k, [np.inf]])
    # A seed that never failed crosses below the grid if it was tried at the narrowest width.
    low = np.where(failed < 0, least, padded[failed + 1])
    high = np.where(succeeded == 0, least, padded[succeeded])
    return low, high


def median_of_bounds(
    low: Floats, high: Floats, confidence: float, scale: Scale = RISING
) -> tuple[float, float, float]:
    """Return the median of quantities between bounds, and its interval by order statistics.

    Parameters
    ----------
    low, high
        (seeds,) bounds.
    confidence
        Level of the interval. Ranks are whole numbers, so its coverage is at least that.
    scale
        The scale of the axis, which says what lies below all of it, and what a middle is.

    Returns
    -------
    median, low, high
        The median is NaN if the bounds leave it open, and if it lies beyond the grid.
    """
    seeds = len(low)
    if not seeds:
        return np.nan, np.nan, np.nan
    low, high = np.sort(low), np.sort(high)
    rank = _rank(confidence, seeds)
    ends = [scale.least, *low][rank], [*high, np.inf][seeds - rank]
    pair = [(seeds - 1) // 2, seeds // 2]
    below, above = low[pair]
    known = (low[pair] == high[pair]).all() and below > scale.least and np.isfinite(above)
    median = scale.middle(below, above) if known else np.nan
    return float(median), float(ends[0]), float(ends[1])
