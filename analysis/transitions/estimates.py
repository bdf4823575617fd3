"""One cell: from a table of outcomes to its critical width.

All resamples of a cell are one matrix product (counts of the drawn seeds times their outcomes) and one
Newton iteration over all their curves.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from analysis.transitions.crossings import crossings
from analysis.transitions.curves import LINKS, deviance
from analysis.transitions.goodness import fit_p
from analysis.transitions.intervals import (
    FEWEST,
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
from analysis.transitions.separation import brackets, mixed_range, separated

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
    succeeded: Bools,
    counted: Bools,
    k: npt.NDArray[np.int64],
    settings: Settings,
    ordered: float = np.nan,
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
    """
    if not counted.any():
        return Estimate()
    table = _table(succeeded, counted, k, settings)
    isotonic = _isotonic(table, settings.confidence)
    found = _located(table, settings, isotonic, ordered)
    found |= _named("k50_isotonic", *_widths(*isotonic))
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


# --- the critical width ------------------------------------------------------------------------


def _located(
    table: _Table, settings: Settings, isotonic: tuple[float, float, float], ordered: float
) -> Answers:
    """Return the outcome, the bracketing widths, the critical width and the numbers of the curve."""
    log_k, won, tried = table.log_k, table.successes[:1], table.trials[:1]
    low, high = (ends[0] for ends in brackets(log_k, won, tried - won))
    whole = bool(separated(won, tried - won)[0])
    found = crossings(log_k, won, tried, settings.link)
    location = float(found.location[0])
    if np.isnan(location):
        return _bracketed("unordered", low, high)
    if np.isinf(location):
        side = (-np.inf, log_k[0]) if location < 0 else (log_k[-1], np.inf)
        return _bracketed("censored", *side)
    if whole:
        ends = _separated_interval(table, settings.confidence)
        return _bracketed("separated", low, high) | _named("k50", *_widths(location, *ends))
    curve = float(found.intercept[0]), float(found.slope[0])
    if found.isotonic[0]:
        ends = isotonic[1:] if table.seeds >= FEWEST else (-np.inf, np.inf)
    else:
        ends = _curve_interval(table, curve, settings)
        if np.isfinite(ordered):
            ends = _moved(ends, ordered - location, log_k)
            location = ordered
    width = _named("k50", *_widths(location, *ends))
    return _bracketed("fitted", low, high) | width | _of_curve(table, curve, settings)


def _bracketed(outcome: str, low: float, high: float) -> Answers:
    bracket = _widths(low, high)
    return {"outcome": outcome, "bracket_low": bracket[0], "bracket_high": bracket[1]}


def _separated_interval(table: _Table, confidence: float) -> Interval:
    """Return the range of widths at which some seeds fail and others succeed, given enough seeds.

    All seeds lie on one side of the population's median with probability 2^(1 - seeds).
    """
    if 2.0 ** (1 - table.seeds) > 1 - confidence:
        return -np.inf, np.inf
    won, tried = table.successes[0], table.trials[0]
    return mixed_range(table.log_k, won, tried - won)


def _curve_interval(table: _Table, curve: tuple[float, float], settings: Settings) -> Interval:
    """Return the interval of the crossing of a curve."""
    log_k, link, confidence = table.log_k, settings.link, settings.confidence
    if settings.interval == "profile":
        sums = table.successes[0], table.trials[0]
        return profile_interval(log_k, *sums, link, curve, confidence)
    ends = robust_interval(log_k, table.won, table.tried, link, curve, confidence)
    drawn = crossings(log_k, table.successes[1:], table.trials[1:], link, curve).location
    return _opened(ends, percentiles(drawn, confidence, table.seeds))


def _opened(ends: Interval, resampled: Interval) -> Interval:
    """Open an interval at the ends where resamples leave the grid or do not rise."""
    low, high = (e if np.isfinite(r) else r for e, r in zip(ends, resampled, strict=True))
    return low, high


def _moved(ends: Interval, by: float, log_k: Floats) -> Interval:
    """Move an interval, and open it at an end that leaves the grid."""
    low, high = (end + by for end in ends)
    return low if low >= log_k[0] else -np.inf, high if high <= log_k[-1] else np.inf


def _of_curve(table: _Table, curve: tuple[float, float], settings: Settings) -> Answers:
    """Return the numbers of the curve: its slope, with an interval, and how well it fits."""
    log_k, slope = table.log_k, curve[1]
    steep = slope_interval(log_k, table.won, table.tried, settings.link, curve, settings.confidence)
    spread = [_ratio(s, settings.link) for s in (slope, steep[1], steep[0])]
    a, b = np.array(curve)[:, None]
    lack = float(deviance(log_k, a, b, table.successes[:1], table.trials[:1], settings.link)[0])
    model = settings.link, settings.nested, settings.entropy, settings.tables
    p = fit_p(log_k, table.tried, curve, lack, *model) if settings.tables else np.nan
    return {
        **_named("slope", slope, *steep),
        **_named("transition_width", *spread),
        "deviance": max(lack, 0.0),
        "fit_p": p,
    }


def _ratio(slope: float, link: str) -> float:
    """Return the width of 90% success over that of 10%."""
    if slope <= 0:
        return np.inf
    return float(np.exp(min(2 * LINKS[link].ninety / slope, 700.0)))


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
