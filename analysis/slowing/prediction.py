"""The critical width at a longer budget, predicted from the trials of a shorter one.

The prediction is a distribution: parameters are drawn from their posterior, the level and threshold of
each seed given its trials, and the scatter of each censored trial given that it exceeds the budget, and
given the scatters of its seed at the widths beside it: nested networks share neurons, so these are
alike. So a prediction has the same seeds and widths as the measurement, and its interval allows for all
that is not known.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from analysis.slowing.cells import near, obstacle, restricted, trials_of
from analysis.slowing.likelihood import NODES, Trials, posterior, standardised
from analysis.slowing.sampling import parameters
from analysis.success.budgets import budget_of
from analysis.transitions.isotonic import isotonic_crossings
from pipeline.errors import ParameterError

__all__ = ["held_out_test", "predicted_k50", "predictive_k50"]

Floats = NDArray[np.float64]

HELD_BACK = 5
"""The held-out test predicts so many times the budget that it fits."""

DRAWS = 250
"""Draws of parameters, and so of critical widths."""

FEWEST_PAIRS, MOST_ALIKE = 10, 0.95
"""Pairs of neighbouring trials that arrived, to tell how alike their scatters are; and the most."""

SWEEPS = 10
"""Times that the scatter of each trial is drawn."""


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
    drawn = parameters(trials, DRAWS, rng)
    known = [_residuals(theta, trials, log_budget, rng) for theta in drawn]
    now, then = (np.array(part) for part in zip(*known, strict=True))
    alike = _likeness(now, trials)
    scatter = _scatters(now, trials, alike, rng)
    later = trials.counted & ~never & (scatter <= then)
    return _k50(trials.arrived | later, trials)


def _residuals(
    theta: Floats, trials: Trials, log_budget: float, rng: np.random.Generator
) -> tuple[Floats, Floats]:
    """Draw the z of each seed; return the residuals of its times, and those of the longer budget."""
    chances = np.cumsum(posterior(theta, trials)[0], axis=1)
    nodes = (chances < rng.random((len(chances), 1))).sum(axis=1).clip(0, len(NODES) - 1)
    z, above = NODES[nodes][:, None], trials.log_k - trials.log_k.min()
    budgets = (trials.log_time, np.full_like(trials.log_time, log_budget))
    now, then = (standardised(theta, above, at, z) for at in budgets)
    return now, then


def _likeness(residuals: Floats, trials: Trials) -> Floats:
    """Return the correlation of the scatters of a seed at each width and the next.

    It falls as a power of the ratio of the widths, which nested networks share. The trials that arrived
    tell the power.
    """
    gaps = np.diff(trials.log_k[0])
    both = trials.arrived[:, 1:] & trials.arrived[:, :-1]
    left, right = residuals[:, :, :-1][:, both], residuals[:, :, 1:][:, both]
    if both.sum() < FEWEST_PAIRS:
        return np.zeros(len(gaps))
    share = 2 * (left * right).mean() / (left**2 + right**2).mean()
    gap = np.broadcast_to(gaps, both.shape)[both].mean()
    power = -np.log(np.clip(share, 1e-6, MOST_ALIKE)) / gap
    alike: Floats = np.exp(-power * gaps)
    return alike


def _scatters(now: Floats, trials: Trials, alike: Floats, rng: np.random.Generator) -> Floats:
    """Draw the scatter of every trial, (draw, seed, width): known if it arrived, else later than now.

    Each is drawn given its neighbours, in turn (Gibbs sampling).
    """
    waiting = ~trials.arrived
    scatter = np.where(waiting, _later(now, 0.0, 1.0, rng), now)
    before, after = np.append(0.0, alike), np.append(alike, 0.0)
    for _, column in itertools.product(range(SWEEPS), range(scatter.shape[2])):
        b, a = before[column], after[column]
        left = scatter[:, :, column - 1] if b else 0.0
        right = scatter[:, :, column + 1] if a else 0.0
        whole = 1 - (a * b) ** 2
        mean = (b * (1 - a**2) * left + a * (1 - b**2) * right) / whole
        spread = np.sqrt((1 - a**2) * (1 - b**2) / whole)
        at = waiting[:, column]
        drawn = _later(now[:, :, column], mean, spread, rng)
        scatter[:, at, column] = drawn[:, at]
    return scatter


def _later(least: Floats, mean: Floats | float, spread: float, rng: np.random.Generator) -> Floats:
    """Draw from a normal distribution above a least value."""
    beyond = np.maximum(ndtr((mean - least) / spread), 1e-300)
    drawn: Floats = mean - spread * ndtri(beyond * rng.random(least.shape))
    return np.maximum(drawn, least)
