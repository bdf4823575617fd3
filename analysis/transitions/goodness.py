"""Goodness of fit: the deviance of the curve, compared with that of tables simulated from it.

With nested widths the outcomes of one seed are dependent, so the deviance follows no chi-square law. It
is compared instead with the deviance of simulated tables, each with a curve of its own. With nested
widths each seed fails up to a threshold, drawn from the curve, and succeeds from there on; with
independent widths every trial is drawn by itself. Each seed is simulated at the widths at which it was
tried.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from analysis.transitions.curves import Link, deviance, fit_curves, link_of
from analysis.transitions.separation import first, last, separated

__all__ = ["fit_p"]

Floats = npt.NDArray[np.float64]


def fit_p(
    log_k: Floats,
    tried: Floats,
    times: Floats,
    curve: tuple[float, float],
    observed: float,
    link: str | Link,
    nested: bool,
    entropy: int,
    tables: int,
) -> float:
    """Return the share of tables, simulated and observed, that deviate at least as much as observed.

    Parameters
    ----------
    log_k
        (widths,) the covariate.
    tried
        (rows, widths) 1 for the trials that count.
    times
        (rows,) number of seeds of each row.
    curve
        Intercept and slope of the fitted curve.
    observed
        Its deviance.
    link
        As for `analysis.transitions.curves.link_of`.
    nested
        True if a seed's outcomes at all widths come from one draw.
    entropy
        Seed of the simulation.
    tables
        Number of simulated tables; the smallest p-value is 1 / (1 + tables).
    """
    chance = link_of(link).chance(curve[0] + curve[1] * log_k)
    trials = times @ tried
    rng = np.random.default_rng([entropy, 1])
    if nested and (times == 1).all():
        passed = rng.random((tables, len(tried), 1)) <= chance
        successes = np.einsum("tsw,sw->tw", passed, tried)
    elif nested:
        successes = _many_thresholds(rng, chance, tried, times, tables)
    else:
        successes = rng.binomial(trials.astype(int), chance, size=(tables, len(log_k))).astype(float)
    simulated = _deviances(log_k, successes, np.broadcast_to(trials, successes.shape), link, curve)
    # Rounding must not distinguish tables with the same counts.
    return float((1 + (simulated >= observed - 1e-7).sum()) / (1 + tables))


def _many_thresholds(
    rng: np.random.Generator, chance: Floats, tried: Floats, times: Floats, tables: int
) -> Floats:
    """Return successes (tables, widths): seeds that were tried at the same widths are drawn at once."""
    between = np.diff(chance, prepend=0.0, append=1.0)
    distinct, row_of = np.unique(tried, axis=0, return_inverse=True)
    seeds = np.bincount(row_of.ravel(), weights=times).astype(int)
    found = np.zeros((tables, len(chance)))
    for row, count in zip(distinct, seeds, strict=True):
        found += rng.multinomial(count, between, size=tables)[:, :-1].cumsum(axis=1) * row
    return found


def _deviances(
    log_k: Floats, successes: Floats, trials: Floats, link: str | Link, start: tuple[float, float]
) -> Floats:
    """Return the deviance of each table from its best curve, which is exact for a separated table."""
    failures = trials - successes
    exact = separated(successes, failures) | (last(successes > 0) <= first(failures > 0))
    found, rest = np.zeros(len(successes)), ~exact
    if rest.any():
        intercept, slope = fit_curves(log_k, successes[rest], trials[rest], link, start)
        found[rest] = deviance(log_k, intercept, slope, successes[rest], trials[rest], link)
    return found
