"""One cell: from a table of outcomes to its critical width, or its critical value along another axis.

The names are those of the width; `widths` names the answer after the axis. In between, everything is a
covariate in which success rises (`scales`).

All resamples of a cell are one matrix product (counts of the drawn seeds times their outcomes) and one
Newton iteration over all their curves.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from analysis.transitions.crossings import crossings
from analysis.transitions.curves import Link, deviance, link_of
from analysis.transitions.disorder import fall_of
from analysis.transitions.goodness import fit_p
from analysis.transitions.intervals import (
    FEWEST,
    Interval,
    crossing_bounds,
    median_of_bounds,
    percentiles,
    profile_interval,
    robust_interval,
    slope_interval,
)
from analysis.transitions.isotonic import isotonic_crossings
from analysis.transitions.scales import Scale
from analysis.transitions.separation import brackets, mixed_range, separated
from analysis.transitions.tables import Table, table_of

__all__ = ["Estimate", "Settings", "estimate"]

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Answers = dict[str, Any]


class Settings(NamedTuple):
    """The settings of cells, as for `analysis.critical_widths`; `link` may have lapses."""

    nested: bool
    link: str | Link
    interval: str
    confidence: float
    resamples: int
    tables: int
    entropy: int
    scale: Scale = Scale()


class Estimate(NamedTuple):
    """The answer of a cell; its fields are the names of the variables."""

    k50: float = np.nan
    k50_low: float = np.nan
    k50_high: float = np.nan
    slope: float = np.nan
    slope_low: float = np.nan
    slope_high: float = np.nan
    transition_width: float = np.nan
    transition_width_low: float = np.nan
    transition_width_high: float = np.nan
    bracket_low: float = np.nan
    bracket_high: float = np.nan
    outcome: str = "empty"
    deviance: float = np.nan
    fit_p: float = np.nan
    k50_isotonic: float = np.nan
    k50_isotonic_low: float = np.nan
    k50_isotonic_high: float = np.nan
    k_crossing: float = np.nan
    k_crossing_low: float = np.nan
    k_crossing_high: float = np.nan
    falls_from: float = np.nan
    rises_from: float = np.nan


class _Resampled(NamedTuple):
    """The table of a cell, and its sums over the resampled seeds."""

    table: Table
    successes: Floats  # (1 + resamples, widths); the first row is the data itself
    trials: Floats

    @property
    def rows(self) -> tuple[Floats, Floats, Floats, Floats]:
        """The covariate, and successes, trials and number of seeds by row."""
        return self.table.x, self.table.won, self.table.tried, self.table.times


def estimate(
    succeeded: Bools,
    counted: Bools,
    k: npt.NDArray[np.generic],
    settings: Settings,
    ordered: float = np.nan,
    reach: float | None = None,
) -> Estimate:
    """Estimate a cell.

    Parameters
    ----------
    succeeded, counted
        (widths, seeds) outcomes, and the trials that count.
    k
        (widths,) in any order.
    settings
        Those of all cells.
    ordered
        The log critical width that keeps the order of budgets and tolerances (`order`); NaN for that
        of the cell alone.
    reach
        Half the length of the interval of the crossing of the curve, if that follows from
        several cells together (`lapses`); None for the cell alone.
    """
    if not counted.any():
        return Estimate()
    table = table_of(succeeded, counted, k, settings.scale)
    sums = _Resampled(table, *table.resampled(settings.resamples, settings.entropy))
    isotonic = _isotonic(sums, settings)
    found = _located(sums, settings, isotonic, ordered, reach)
    found |= _named("k50_isotonic", *settings.scale.interval(*isotonic))
    if settings.nested:
        found |= _named("k_crossing", *_crossing(table, settings.confidence))
    return Estimate(**found)


def _named(name: str, value: float, low: float, high: float) -> Answers:
    return {name: float(value), f"{name}_low": float(low), f"{name}_high": float(high)}


def _crossing(table: Table, confidence: float) -> tuple[float, float, float]:
    """Return the median over seeds of the first value from which they always succeed."""
    scale = table.scale
    ends = crossing_bounds(table.won > 0, table.tried > 0, scale.upright(table.k), scale.least)
    low, high = (np.repeat(end, table.times.astype(int)) for end in ends)
    middle, *bounds = scale.upright(median_of_bounds(low, high, confidence, scale)).tolist()
    return middle, *(reversed(bounds) if scale.falling else bounds)


# --- the critical width ------------------------------------------------------------------------


def _located(
    sums: _Resampled,
    settings: Settings,
    isotonic: tuple[float, float, float],
    ordered: float,
    reach: float | None,
) -> Answers:
    """Return the outcome, the bracketing widths, the critical width and the numbers of the curve."""
    x, won, tried = sums.table.x, sums.successes[:1], sums.trials[:1]
    scale = settings.scale
    low, high = (ends[0] for ends in brackets(x, won, tried - won))
    if (fall := fall_of(x, won[0], tried[0], link_of(settings.link).top / 2)) is not None:
        ends = (fall.back, fall.low) if scale.falling else (fall.last, fall.high)
        places = {
            name: scale.value(u) for name, u in zip(("falls_from", "rises_from"), ends, strict=True)
        }
        return _bracketed("unordered", low, high, scale) | places
    whole = bool(separated(won, tried - won)[0])
    found = crossings(x, won, tried, settings.link)
    location = float(found.location[0])
    if np.isnan(location):
        return _bracketed("unordered", low, high, scale)
    if np.isinf(location):
        side = (-np.inf, x[0]) if location < 0 else (x[-1], np.inf)
        return _bracketed("censored", side[0], side[1], scale)
    if whole:
        ends = _separated_interval(sums, settings.confidence)
        width = _named("k50", *scale.interval(location, *ends))
        return _bracketed("separated", *_enclosing(low, high, location, x), scale) | width
    curve = float(found.intercept[0]), float(found.slope[0])
    if link_of(settings.link).top < 1 and (step := _step(x, curve)) is not None:
        location = isotonic[0] if step[0] <= isotonic[0] <= step[1] else sum(step) / 2
        ends = step if _many(sums, settings.confidence) else (-np.inf, np.inf)
        width = _named("k50", *scale.interval(location, *ends))
        return _bracketed("separated", *_enclosing(low, high, location, x), scale) | width
    numbers = _of_curve(sums, curve, settings)
    location, ends = _of_fitted(
        sums, (location, low, high), curve, isotonic, ordered, numbers["fit_p"], settings, reach
    )
    width = _named("k50", *scale.interval(location, *ends))
    return _bracketed("fitted", *_enclosing(low, high, location, x), scale) | width | numbers


def _of_fitted(
    sums: _Resampled,
    found: tuple[float, float, float],
    curve: tuple[float, float],
    isotonic: tuple[float, float, float],
    ordered: float,
    p: float,
    settings: Settings,
    reach: float | None,
) -> tuple[float, Interval]:
    """Return the crossing of a cell that has a curve, and its interval.

    It is that of the isotonic fit where the curve contradicts the counts (`crossings`) or crosses
    outside the bracket, and `fit_p` says so too. Without `fit_p` the first is enough: at values of few
    trials, as `refine` adds them, the isotonic fit is at 0 or 1 by chance right beside the crossing of
    the true curve, and its interval is far too narrow.
    """
    (location, low, high), x, at = found, sums.table.x, -curve[0] / curve[1]
    contradicts = location != at
    fits = p > BAD and x[0] <= at <= x[-1]
    free = not np.isfinite(ordered)
    if (contradicts and not fits) or (free and not low <= location <= high and p <= BAD):
        return isotonic[0], isotonic[1:] if sums.table.seeds >= FEWEST else (-np.inf, np.inf)
    ends = _curve_interval(sums, curve, settings, reach)
    if free:
        return at, ends
    if contradicts:  # the order holds for the isotonic fit, which is no better known than the curve
        return location, (min(ends[0], isotonic[1]), max(ends[1], isotonic[2]))
    return ordered, _moved(ends, ordered - location, x)


def _enclosing(low: float, high: float, location: float, x: Floats) -> Interval:
    """Widen a bracket to enclose a critical width, which a curve may put a little beside it.

    Up to a lower width most trials fail as well, and from a higher one on most succeed.
    """
    low = low if low <= location else float(x[x <= location].max(initial=-np.inf))
    return low, high if high >= location else float(x[x >= location].min(initial=np.inf))


BAD = 0.01
"""`fit_p` up to which a curve that crosses outside the bracket is not believed."""


def _bracketed(outcome: str, low: float, high: float, scale: Scale) -> Answers:
    bracket = scale.interval(low, high)
    return {"outcome": outcome, "bracket_low": bracket[0], "bracket_high": bracket[1]}


STEEP = 5.0
"""The linear predictor beyond which a curve is at its end: 1 - F is below 0.7%."""


def _step(x: Floats, curve: tuple[float, float]) -> Interval | None:
    """Return the covariates between which a curve goes from end to end; None if it takes several.

    As in separated counts, at most one covariate lies in between, so that any steeper curve fits as
    well. With lapses the failures beyond a step do not show it in the counts.
    """
    eta = curve[0] + curve[1] * x
    below, above = x[eta < -STEEP], x[eta > STEEP]
    if curve[1] <= 0 or not len(below) or not len(above) or (np.abs(eta) <= STEEP).sum() > 1:
        return None
    return float(below.max()), float(above.min())


def _separated_interval(sums: _Resampled, confidence: float) -> Interval:
    """Return the range of widths at which some seeds fail and others succeed, given enough seeds.

    All seeds lie on one side of the population's median with probability 2^(1 - seeds).
    """
    if not _many(sums, confidence):
        return -np.inf, np.inf
    won, tried = sums.successes[0], sums.trials[0]
    return mixed_range(sums.table.x, won, tried - won)


def _many(sums: _Resampled, confidence: float) -> bool:
    """Return True if it is unlikely that all seeds lie on one side of the median."""
    return 2.0 ** (1 - sums.table.seeds) <= 1 - confidence


def _curve_interval(
    sums: _Resampled,
    curve: tuple[float, float],
    settings: Settings,
    reach: float | None,
) -> Interval:
    """Return the interval of the crossing of a curve."""
    log_k, link, confidence = sums.table.x, settings.link, settings.confidence
    if settings.interval == "profile":
        data = sums.successes[0], sums.trials[0]
        return profile_interval(log_k, *data, link, curve, confidence)
    if reach is None:
        ends = robust_interval(*sums.rows, link, curve, confidence)
    else:
        middle = -curve[0] / curve[1]
        ends = _moved((middle - reach, middle + reach), 0.0, log_k)
    drawn = crossings(log_k, sums.successes[1:], sums.trials[1:], link, curve).location
    return _opened(ends, percentiles(drawn, confidence, sums.table.seeds))


def _opened(ends: Interval, resampled: Interval) -> Interval:
    """Open an interval at the ends where resamples leave the grid or do not rise."""
    low, high = (e if np.isfinite(r) else r for e, r in zip(ends, resampled, strict=True))
    return low, high


def _moved(ends: Interval, by: float, log_k: Floats) -> Interval:
    """Move an interval, and open it at an end that leaves the grid."""
    low, high = (end + by for end in ends)
    return low if low >= log_k[0] else -np.inf, high if high <= log_k[-1] else np.inf


def _of_curve(sums: _Resampled, curve: tuple[float, float], settings: Settings) -> Answers:
    """Return the numbers of the curve: its slope, with an interval, and how well it fits."""
    (log_k, _, tried, times), slope = sums.rows, curve[1]
    steep = slope_interval(*sums.rows, settings.link, curve, settings.confidence)
    spread = [_ratio(s, settings) for s in (slope, steep[1], steep[0])]
    signed = (-slope, -steep[1], -steep[0]) if settings.scale.falling else (slope, *steep)
    a, b = np.array(curve)[:, None]
    lack = float(deviance(log_k, a, b, sums.successes[:1], sums.trials[:1], settings.link)[0])
    model = settings.link, settings.nested, settings.entropy, settings.tables
    p = fit_p(log_k, tried, times, curve, lack, *model) if settings.tables else np.nan
    return {
        **_named("slope", *signed),
        **_named("transition_width", *spread),
        "deviance": max(lack, 0.0),
        "fit_p": p,
    }


def _ratio(slope: float, settings: Settings) -> float:
    """Return the value of 90% success over that of 10%, the greater over the lesser.

    On a linear axis it is their difference.
    """
    if slope <= 0:
        return np.inf
    apart = 2 * link_of(settings.link).ninety / slope
    return float(np.exp(min(apart, 700.0))) if settings.scale.logarithmic else apart


# --- without a curve ---------------------------------------------------------------------------


def _isotonic(sums: _Resampled, settings: Settings) -> tuple[float, float, float]:
    """Return the crossing of 1/2 of the isotonic fit, with its interval; NaN if there is none."""
    level = link_of(settings.link).top / 2
    crossings = isotonic_crossings(sums.table.x, sums.successes, sums.trials, level)
    if not np.isfinite(crossings[0]):
        return np.nan, np.nan, np.nan
    if separated(sums.successes[:1], sums.trials[:1] - sums.successes[:1])[0]:
        # Resamples do not locate the transition within the bracket.
        return crossings[0], *_separated_interval(sums, settings.confidence)
    return crossings[0], *percentiles(crossings[1:], settings.confidence, sums.table.seeds)
