"""The critical width at a longer budget, predicted from the trials of a shorter one.

The prediction is a distribution: parameters are drawn from the likelihood (by importance resampling
from Student's t around the best fit), the level and threshold of each seed given its trials, and the
time of each censored trial given that it exceeds the budget. So a prediction has the same seeds and
widths as the measurement, and its interval allows for all that is not known.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray
from scipy.special import log_ndtr

from analysis.slowing.cells import near, obstacle, restricted, trials_of
from analysis.slowing.fitting import BOUNDS, S, log_prior, maximise, worth
from analysis.slowing.likelihood import NODES, Trials, posterior, standardised
from analysis.success.budgets import budget_of
from analysis.transitions.isotonic import isotonic_crossings
from pipeline.errors import ParameterError

__all__ = ["held_out_test", "predicted_k50", "predictive_k50"]

Floats = NDArray[np.float64]

SHAPE = (0.5, 0.3)
"""Mean and standard deviation of s before any trial of a cell is seen.

A short budget cannot tell s = 0 from s = 0.5, though they foretell different numbers of arrivals. In 16
cells that were trained five times as long, s lay between 0 and 0.82.
"""

HELD_BACK = 5
"""The held-out test predicts so many times the budget that it fits."""

PROPOSALS, DRAWS = 400, 250

FREEDOM = 4
"""Degrees of freedom of Student's t from which parameters are proposed."""


def predicted_k50(
    ds: xr.Dataset, budget: int, longer: int | None = None, *, entropy: int = 0
) -> pd.DataFrame:
    """Return the critical width at a longer budget, predicted and measured.

    Parameters
    ----------
    ds
        An opened store of a sweep that descends.
    budget
        The steps to which the model is fitted: what happened later is hidden from it.
    longer
        The steps for which it predicts; all steps of the store by default.
    entropy
        Seed of the random stream.

    Returns
    -------
    pandas.DataFrame
        One row for each cell and tolerance that can be fitted, and of whose trials it is known whether
        they arrive within the longer budget: its axes, `longer`, `predicted` with `low` and `high`
        (95%), `measured` (both from isotonic fits), `inside`, `at_end`: whether `measured` is an end of
        the widths, so that `inside` says little, and `at_edge` as in `infinite_budget`.

    Raises
    ------
    ParameterError
        A budget that is not below the longer one.
    """
    longer = budget_of(ds) if longer is None else longer
    if budget >= longer:
        raise ParameterError("budget", f"got {budget}; expected less than the longer one, {longer}")
    rng = np.random.default_rng(entropy)
    rows = []
    pairs = zip(trials_of(ds, budget), trials_of(ds, longer), strict=True)
    for (axes, trials, diverged, edge), (_, later, _, _) in pairs:
        widths = near(trials)
        if obstacle(trials, widths) is not None or not _known(later, diverged, longer)[:, widths].all():
            continue
        seeds = trials.counted[:, widths].any(axis=1)
        never = diverged[np.ix_(seeds, widths)]
        draws = predictive_k50(restricted(trials, widths), float(np.log(longer)), never, rng)
        compared = _compared(draws, restricted(later, widths)) | {"at_edge": edge}
        rows.append(axes | {"longer": longer} | compared)
    return pd.DataFrame(rows)


def held_out_test(ds: xr.Dataset) -> pd.DataFrame:
    """Return `predicted_k50` from a fifth of the steps of a store, which tests the model on it.

    Raises
    ------
    InputError
        The store has no times to a tolerance.
    """
    budget = budget_of(ds)
    return predicted_k50(ds, budget // HELD_BACK) if budget >= HELD_BACK else pd.DataFrame()


def _known(later: Trials, diverged: NDArray[np.bool_], longer: int) -> NDArray[np.bool_]:
    """Return the trials of which it is known whether they arrive within the longer budget."""
    whole = later.log_time >= np.log(longer)
    known: NDArray[np.bool_] = later.arrived | diverged | whole | ~later.counted
    return known


def _compared(draws: Floats, later: Trials) -> dict[str, Any]:
    low, middle, high = np.quantile(draws, [0.025, 0.5, 0.975])
    measured = float(_k50(later.arrived, later))
    row = {"predicted": middle, "low": low, "high": high, "measured": measured}
    ends = np.exp(later.log_k[0, [0, -1]])
    return row | {
        "inside": bool(low <= measured <= high),
        "at_end": bool(np.isclose(measured, ends).any()),
    }


def _k50(arrived: NDArray[np.bool_], trials: Trials) -> Floats:
    """Return the width at which the isotonic fit passes 1/2; an end of the widths if it does not.

    The leading axes of `arrived` are kept.
    """
    tried, log_k = trials.counted.sum(axis=0).astype(float), trials.log_k[0]
    won = (arrived & trials.counted).sum(axis=-2).reshape(-1, len(log_k)).astype(float)
    crossings = isotonic_crossings(log_k, won, np.broadcast_to(tried, won.shape))
    found: Floats = np.exp(np.clip(crossings, log_k[0], log_k[-1])).reshape(arrived.shape[:-2])
    return found


def predictive_k50(
    trials: Trials, log_budget: float, never: NDArray[np.bool_], rng: np.random.Generator
) -> Floats:
    """Return draws of the k50 that the same seeds and widths would have at a longer budget."""
    arrivals = [
        _arrivals(theta, shares, trials, log_budget, rng) for theta, shares in _parameters(trials, rng)
    ]
    return _k50(np.array(arrivals) & ~never, trials)


def _parameters(trials: Trials, rng: np.random.Generator) -> list[tuple[Floats, Floats]]:
    """Return draws from the likelihood of the parameters, at its worth and within their bounds.

    Each comes with the `posterior` of the seeds.
    """
    best, (low, high) = maximise(trials), BOUNDS.T
    share, covariance = worth(best, trials)
    drawn, log_density = _near(best.theta, 1.5 * covariance, rng)
    inside = ((drawn >= low) & (drawn <= high)).all(axis=1)
    drawn = drawn[inside] if inside.any() else np.clip(drawn, low, high)  # the best fit is a corner
    log_density = log_density[inside] if inside.any() else log_density
    known = [posterior(theta, trials) for theta in drawn]
    log_weight = share * np.array([value for _, value in known])
    log_weight += log_prior(drawn) - (((drawn[:, S] - SHAPE[0]) / SHAPE[1]) ** 2) / 2
    log_weight -= log_density
    weight = np.exp(log_weight - log_weight.max())
    chosen = rng.choice(len(drawn), DRAWS, p=weight / weight.sum())
    return [(drawn[index], known[index][0]) for index in chosen]


def _near(middle: Floats, shape: Floats, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Draw from Student's t, and return the logarithms of its density, but for a constant.

    These are the draws of `scipy.stats.multivariate_t`, whose import takes a second.
    """
    squares = rng.chisquare(FREEDOM, size=PROPOSALS) / FREEDOM
    normal = rng.multivariate_normal(np.zeros(len(middle)), shape, size=PROPOSALS)
    away = normal / np.sqrt(squares)[:, None]
    distance = (away * np.linalg.solve(shape, away.T).T).sum(axis=1)
    return middle + away, -(FREEDOM + len(middle)) / 2 * np.log1p(distance / FREEDOM)


def _arrivals(
    theta: Floats, shares: Floats, trials: Trials, log_budget: float, rng: np.random.Generator
) -> NDArray[np.bool_]:
    """Draw which trials arrive within the longer budget: those that had, and some of the others."""
    chances = np.cumsum(shares, axis=1)
    nodes = (chances < rng.random((len(chances), 1))).sum(axis=1).clip(0, len(NODES) - 1)
    z = NODES[nodes][:, None]
    above = trials.log_k - trials.log_k.min()
    budgets = (trials.log_time, np.full_like(trials.log_time, log_budget))
    shorter, longer = (log_ndtr(-standardised(theta, above, at, z).residual) for at in budgets)
    later = rng.random(shorter.shape) > np.exp(longer - shorter)
    return trials.arrived | (later & trials.counted)
