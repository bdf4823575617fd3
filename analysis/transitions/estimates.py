"""One cell: from a table of outcomes to its critical width.

All resamples of a cell are one matrix product (counts of the drawn seeds times their outcomes) and one
Newton iteration over all their curves.
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

__all__ = ["Estimate", "Settings", "estimate"]

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Answers = dict[str, Any]


class Settings(NamedTuple):
    """The settings of all cells, as for `analysis.critical_widths`."""

    nested: bool
    link: str
    interval: str
    confidence: float
    resamples: int
    tables: int
    entropy: int


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


def estimate(
    succeeded: Bools, counted: Bools, k: npt.NDArray[np.int64], settings: Settings
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
    """
    if not counted.any():
        return Estimate()
    table = _table(succeeded, counted, k, settings)
    found = _parametric(table, settings)
    found |= _named("k50_isotonic", *_widths(*_isotonic(table, settings.confidence)))
    if settings.nested:
        bounds = crossing_bounds(table.won > 0, table.tried > 0, table.k)
        found |= _named("k_crossing", *median_of_bounds(*bounds, settings.confidence))
    return Estimate(**found)


def _table(succeeded: Bools, counted: Bools, k: npt.NDArray[np.int64], settings: Settings) -> _Table:
    order = np.flatnonzero(counted.any(axis=1))
    order = order[np.argsort(k[order], kind="stable")]
    seeds = np.flatnonzero(counted.any(axis=0))
    # (seed, width), as resampling seeds needs it
    won, tried = (a[np.ix_(order, seeds)].T.astype(float) for a in (succeeded & counted, counted))
    drawn = draws(len(seeds), settings.resamples, settings.entropy)
    return _Table(k[order].astype(float), won, tried, drawn @ won, drawn @ tried)


def _named(name: str, value: float, low: float, high: float) -> Answers:
    return {name: float(value), f"{name}_low": float(low), f"{name}_high": float(high)}


def _widths(*log_k: float) -> list[float]:
    """Return the widths of log widths."""
    return [float(np.exp(value)) for value in log_k]


# --- the curve ---------------------------------------------------------------------------------


def _parametric(table: _Table, settings: Settings) -> Answers:
    """Return the outcome, the bracketing widths, and the estimates of the curve."""
    log_k, won, lost = table.log_k, table.successes[0], table.trials[0] - table.successes[0]
    low, high = (ends[0] for ends in brackets(log_k, won[None], lost[None]))
    if whole := bool(separated(won[None], lost[None])[0]):
        location = float(_middle(low, high))
    else:
        curve, location = _fitted_curve(table, settings.link)
    if np.isnan(location):
        return _bracketed("unordered", low, high)
    if np.isinf(location):
        side = (-np.inf, log_k[0]) if location < 0 else (log_k[-1], np.inf)
        return _bracketed("censored", *side)
    if whole:
        ends = _separated_interval(table, settings.confidence)
        return _bracketed("separated", low, high) | _named("k50", *_widths(location, *ends))
    return _bracketed("fitted", low, high) | _of_curve(table, curve, location, settings)


def _bracketed(outcome: str, low: float, high: float) -> Answers:
    bracket = _widths(low, high)
    return {"outcome": outcome, "bracket_low": bracket[0], "bracket_high": bracket[1]}


def _middle(low: Floats, high: Floats) -> Floats:
    """Return the middle of brackets; NaN for a single width at which half of the trials succeed."""
    with np.errstate(invalid="ignore"):  # -inf + inf
        middle: Floats = (low + high) / 2
    return middle


def _fitted_curve(table: _Table, link: str) -> tuple[tuple[float, float], float]:
    """Return the curve of the data and its crossing of 1/2; NaN if success does not rise."""
    won, tried = table.successes[:1], table.trials[:1]
    if last(won > 0)[0] <= first(tried - won > 0)[0]:
        return (0.0, np.nan), np.nan
    intercept, slope = fit_curves(table.log_k, won, tried, link)
    return (intercept[0], slope[0]), _crossings(intercept, slope, table.log_k)[0]


def _crossings(intercept: Floats, slope: Floats, log_k: Floats) -> Floats:
    """Return the crossings of 1/2 of rising curves; beyond the grid only the side is known."""
    with np.errstate(divide="ignore", invalid="ignore"):
        x = -intercept / slope
    x = np.where(x < log_k[0], -np.inf, np.where(x > log_k[-1], np.inf, x))
    return np.where(slope > 0, x, np.nan)


def _separated_interval(table: _Table, confidence: float) -> Interval:
    """Return the range of widths at which some seeds fail and others succeed, given enough seeds.

    All seeds lie on one side of the population's median with probability 2^(1 - seeds).
    """
    if 2.0 ** (1 - table.seeds) > 1 - confidence:
        return -np.inf, np.inf
    won, tried = table.successes[0], table.trials[0]
    return mixed_range(table.log_k, won, tried - won)


def _of_curve(
    table: _Table, curve: tuple[float, float], location: float, settings: Settings
) -> Answers:
    """Return the estimates of the curve with their intervals."""
    log_k, slope = table.log_k, curve[1]
    if settings.interval == "profile":
        sums = table.successes[0], table.trials[0]
        ends = profile_interval(log_k, *sums, settings.link, curve, settings.confidence)
    else:
        ends = robust_interval(log_k, table.won, table.tried, settings.link, curve, settings.confidence)
        locations = _resampled(table, curve, settings.link)
        ends = _opened(ends, percentiles(locations, settings.confidence, table.seeds))
    steep = slope_interval(log_k, table.won, table.tried, settings.link, curve, settings.confidence)
    spread = [_ratio(s, settings.link) for s in (slope, steep[1], steep[0])]
    a, b = np.array(curve)[:, None]
    lack = float(deviance(log_k, a, b, table.successes[:1], table.trials[:1], settings.link)[0])
    model = settings.link, settings.nested, settings.entropy, settings.tables
    p = fit_p(log_k, table.tried, curve, lack, *model) if settings.tables else np.nan
    return {
        **_named("k50", *_widths(location, *ends)),
        **_named("slope", slope, *steep),
        **_named("transition_width", *spread),
        "deviance": max(lack, 0.0),
        "fit_p": p,
    }


def _opened(ends: Interval, resampled: Interval) -> Interval:
    """Open an interval at the ends where resamples leave the grid or do not rise."""
    low, high = (e if np.isfinite(r) else r for e, r in zip(ends, resampled, strict=True))
    return low, high


def _ratio(slope: float, link: str) -> float:
    """Return the width of 90% success over that of 10%."""
    if slope <= 0:
        return np.inf
    return float(np.exp(min(2 * LINKS[link].ninety / slope, 700.0)))


def _resampled(table: _Table, curve: tuple[float, float], link: str) -> Floats:
    """Return the location in every resample: infinite beyond the grid, NaN if success does not rise."""
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
    """Return the crossing of 1/2 of the isotonic fit, with its interval; NaN if there is none."""
    crossings = isotonic_crossings(table.log_k, table.successes, table.trials)
    if not np.isfinite(crossings[0]):
        return np.nan, np.nan, np.nan
    if separated(table.successes[:1], table.trials[:1] - table.successes[:1])[0]:
        # Resamples do not locate the transition within the bracket.
        return crossings[0], *_separated_interval(table, confidence)
    return crossings[0], *percentiles(crossings[1:], confidence, table.seeds)
