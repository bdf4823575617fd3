"""One cell: from a table of outcomes to its critical width.

All resamples of a cell are one matrix product (how often each seed was drawn, times its outcomes) and
one Newton iteration over all their curves at once.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from analysis.transitions.curves import LINKS, deviance, fit_curves
from analysis.transitions.goodness import fit_p
from analysis.transitions.intervals import (
    Interval,
    crossing_bounds,
    draws,
    median_of_bounds,
    percentiles,
    profile_interval,
    robust_interval,
    slope_interval,
)
from analysis.transitions.isotonic import isotonic_crossings
from analysis.transitions.separation import brackets, first, last, mixed_range, separated

__all__ = ["Estimate", "How", "estimate"]

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Answers = dict[str, Any]


class How(NamedTuple):
    """What is asked of every cell, as for `analysis.critical_widths`."""

    nested: bool
    link: str
    interval: str
    confidence: float
    resamples: int
    tables: int
    entropy: int


class Estimate(NamedTuple):
    """A cell's answer; the fields are the names of the variables."""

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


class _Table(NamedTuple):
    """The counted trials of a cell, and their sums over the resampled seeds."""

    k: Floats  # (widths,), ascending
    won: Floats  # (seeds, widths), 0 or 1
    tried: Floats
    successes: Floats  # (1 + resamples, widths); the first row is the data itself
    trials: Floats

    @property
    def seeds(self) -> int:
        return len(self.won)

    @property
    def log_k(self) -> Floats:
        return np.log(self.k)


def estimate(succeeded: Bools, counted: Bools, k: npt.NDArray[np.int64], how: How) -> Estimate:
    """Estimate a cell.

    Parameters
    ----------
    succeeded, counted
        (widths, seeds) outcomes, and which of them count.
    k
        (widths,) in any order.
    how
        What is asked.
    """
    if not counted.any():
        return Estimate()
    table = _table(succeeded, counted, k, how)
    found = _parametric(table, how)
    found |= _named("k50_isotonic", *_widths(*_isotonic(table, how.confidence)))
    if how.nested:
        bounds = crossing_bounds(table.won > 0, table.tried > 0, table.k)
        found |= _named("k_crossing", *median_of_bounds(*bounds, how.confidence))
    return Estimate(**found)


def _table(succeeded: Bools, counted: Bools, k: npt.NDArray[np.int64], how: How) -> _Table:
    order = np.flatnonzero(counted.any(axis=1))
    order = order[np.argsort(k[order], kind="stable")]
    seeds = np.flatnonzero(counted.any(axis=0))
    # (seed, width), the shape that resampling seeds wants
    won, tried = (a[np.ix_(order, seeds)].T.astype(float) for a in (succeeded & counted, counted))
    drawn = draws(len(seeds), how.resamples, how.entropy)
    return _Table(k[order].astype(float), won, tried, drawn @ won, drawn @ tried)


def _named(name: str, value: float, low: float, high: float) -> Answers:
    return {name: float(value), f"{name}_low": float(low), f"{name}_high": float(high)}


def _widths(*places: float) -> list[float]:
    """From log widths to widths."""
    return [float(np.exp(place)) for place in places]


# --- the curve ---------------------------------------------------------------------------------


def _parametric(table: _Table, how: How) -> Answers:
    """How the transition was found, between which widths, and where by the curve."""
    log_k, won, lost = table.log_k, table.successes[0], table.trials[0] - table.successes[0]
    low, high = (ends[0] for ends in brackets(log_k, won[None], lost[None]))
    if whole := bool(separated(won[None], lost[None])[0]):
        location = float(_middle(low, high))
    else:
        curve, location = _fitted_curve(table, how.link)
    if np.isnan(location):
        return _met("unordered", low, high)
    if np.isinf(location):
        side = (-np.inf, log_k[0]) if location < 0 else (log_k[-1], np.inf)
        return _met("censored", *side)
    if whole:
        ends = _separated_interval(table, how.confidence)
        return _met("separated", low, high) | _named("k50", *_widths(location, *ends))
    return _met("fitted", low, high) | _of_curve(table, curve, location, how)


def _met(outcome: str, low: float, high: float) -> Answers:
    bracket = _widths(low, high)
    return {"outcome": outcome, "bracket_low": bracket[0], "bracket_high": bracket[1]}


def _middle(low: Floats, high: Floats) -> Floats:
    """Of brackets; NaN for one width alone at which half succeed, which lies on neither side."""
    with np.errstate(invalid="ignore"):  # -inf + inf
        middle: Floats = (low + high) / 2
    return middle


def _fitted_curve(table: _Table, link: str) -> tuple[tuple[float, float], float]:
    """The curve of the data and where it passes 1/2; NaN where success does not rise."""
    won, tried = table.successes[:1], table.trials[:1]
    if last(won > 0)[0] <= first(tried - won > 0)[0]:
        return (0.0, np.nan), np.nan
    intercept, slope = fit_curves(table.log_k, won, tried, link)
    return (intercept[0], slope[0]), _crossings(intercept, slope, table.log_k)[0]


def _crossings(intercept: Floats, slope: Floats, log_k: Floats) -> Floats:
    """Where rising curves pass 1/2; beyond the grid only the side is kept."""
    with np.errstate(divide="ignore", invalid="ignore"):
        x = -intercept / slope
    x = np.where(x < log_k[0], -np.inf, np.where(x > log_k[-1], np.inf, x))
    return np.where(slope > 0, x, np.nan)


def _separated_interval(table: _Table, confidence: float) -> Interval:
    """The widths at which some seeds fail and others succeed, where there are seeds enough.

    All seeds lie on one side of the population's median with probability 2^(1 - seeds).
    """
    if 2.0 ** (1 - table.seeds) > 1 - confidence:
        return -np.inf, np.inf
    won, tried = table.successes[0], table.trials[0]
    return mixed_range(table.log_k, won, tried - won)


def _of_curve(table: _Table, curve: tuple[float, float], location: float, how: How) -> Answers:
    """What the curve says, with its intervals."""
    log_k, slope = table.log_k, curve[1]
    if how.interval == "profile":
        sums = table.successes[0], table.trials[0]
        ends = profile_interval(log_k, *sums, how.link, curve, how.confidence)
    else:
        ends = robust_interval(log_k, table.won, table.tried, how.link, curve, how.confidence)
        locations = _resampled(table, curve, how.link)
        ends = _opened(ends, percentiles(locations, how.confidence, table.seeds))
    steep = slope_interval(log_k, table.won, table.tried, how.link, curve, how.confidence)
    spread = [_ratio(s, how.link) for s in (slope, steep[1], steep[0])]
    a, b = np.array(curve)[:, None]
    lack = float(deviance(log_k, a, b, table.successes[:1], table.trials[:1], how.link)[0])
    model = how.link, how.nested, how.entropy, how.tables
    p = fit_p(log_k, table.tried, curve, lack, *model) if how.tables else np.nan
    return {
        **_named("k50", *_widths(location, *ends)),
        **_named("slope", slope, *steep),
        **_named("transition_width", *spread),
        "deviance": max(lack, 0.0),
        "fit_p": p,
    }


def _opened(ends: Interval, resampled: Interval) -> Interval:
    """An interval without the ends beyond which resamples leave the grid, or do not rise."""
    low, high = (e if np.isfinite(r) else r for e, r in zip(ends, resampled, strict=True))
    return low, high


def _ratio(slope: float, link: str) -> float:
    """The width of 90% success over that of 10%."""
    if slope <= 0:
        return np.inf
    return float(np.exp(min(2 * LINKS[link].ninety / slope, 700.0)))


def _resampled(table: _Table, curve: tuple[float, float], link: str) -> Floats:
    """Location in every resample; infinite beyond the grid, and NaN where success does not rise."""
    won, tried, log_k = table.successes[1:], table.trials[1:], table.log_k
    lost = tried - won
    whole = separated(won, lost)
    falling = ~whole & (last(won > 0) <= first(lost > 0))
    location = np.full(len(won), np.nan)
    location[whole] = _middle(*brackets(log_k, won[whole], lost[whole]))
    rest = ~whole & ~falling
    if rest.any():
        location[rest] = _crossings(*fit_curves(log_k, won[rest], tried[rest], link, curve), log_k)
    return location


# --- without a curve ---------------------------------------------------------------------------


def _isotonic(table: _Table, confidence: float) -> tuple[float, float, float]:
    """Where the isotonic fit passes 1/2, with its interval; NaN where it does not."""
    places = isotonic_crossings(table.log_k, table.successes, table.trials)
    if not np.isfinite(places[0]):
        return np.nan, np.nan, np.nan
    if separated(table.successes[:1], table.trials[:1] - table.successes[:1])[0]:
        # Where in the bracket the transition lies, no resample knows.
        return places[0], *_separated_interval(table, confidence)
    return places[0], *percentiles(places[1:], confidence, table.seeds)
