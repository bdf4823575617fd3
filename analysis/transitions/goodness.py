"""Does the fitted curve describe the outcomes? Its deviance, against tables that it would make.

With nested widths the outcomes of one seed hang together, so that no chi-square law describes the
deviance. It is compared instead with that of simulated tables, fitted anew: with nested widths each
seed fails up to a threshold of its own, drawn from the curve, and succeeds from there on; with
independent redraws every trial is a toss of its own. Each seed is simulated at the widths that it was
tried at.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from analysis.transitions.curves import LINKS, deviance, fit_curves
from analysis.transitions.separation import first, last, separated

__all__ = ["fit_p"]

Floats = npt.NDArray[np.float64]


def fit_p(
    log_k: Floats,
    tried: Floats,
    curve: tuple[float, float],
    observed: float,
    link: str,
    nested: bool,
    entropy: int,
    tables: int,
) -> float:
    """Share of simulated tables, the data among them, whose deviance is at least the observed one.

    Parameters
    ----------
    log_k
        (widths,) the covariate.
    tried
        (seeds, widths) which trials count.
    curve
        Intercept and slope of the fitted curve.
    observed
        Its deviance.
    link
        A key of `analysis.transitions.curves.LINKS`.
    nested
        Whether a seed's outcomes at all widths come from one draw.
    entropy
        Seed of the simulation.
    tables
        How many are simulated; the least p-value is 1 / (1 + tables).
    """
    chance = LINKS[link].chance(curve[0] + curve[1] * log_k)
    trials = tried.sum(axis=0)
    rng = np.random.default_rng([entropy, 1])
    if nested:
        passed = rng.random((tables, len(tried), 1)) <= chance
        successes = np.einsum("tsw,sw->tw", passed, tried)
    else:
        successes = rng.binomial(trials.astype(int), chance, size=(tables, len(log_k))).astype(float)
    simulated = _deviances(log_k, successes, np.broadcast_to(trials, successes.shape), link, curve)
    # Rounding must not tell a table from one with the same counts.
    return float((1 + (simulated >= observed - 1e-7).sum()) / (1 + tables))


def _deviances(
    log_k: Floats, successes: Floats, trials: Floats, link: str, start: tuple[float, float]
) -> Floats:
    """Deviance of each table from its own best curve; a separated table has one that is exact."""
    failures = trials - successes
    exact = separated(successes, failures) | (last(successes > 0) <= first(failures > 0))
    found, rest = np.zeros(len(successes)), ~exact
    if rest.any():
        intercept, slope = fit_curves(log_k, successes[rest], trials[rest], link, start)
        found[rest] = deviance(log_k, intercept, slope, successes[rest], trials[rest], link)
    return found
