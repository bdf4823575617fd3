"""Maximum likelihood of the model of times, and profile likelihood intervals.

Intervals hold the parameters whose deviance from the best fit stays below the quantile of chi-squared.
If that is so even at a threshold far below all widths, where the law is a plain power law, the data
show no finite threshold and its lower end is 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq, minimize
from scipy.stats import chi2

from analysis.slowing.likelihood import NAMES, Trials, log_likelihood

__all__ = ["FAR", "Fit", "maximise", "profile"]

Floats = NDArray[np.float64]

FAR = 6.0
"""A log threshold so far below the narrowest width leaves a plain power law, to a part in 400."""

LIMITS = np.log([[0.02, 30.0], [1e-3, 2.0], [1e-2, 3.0]])
"""Least and largest gamma, tau and sigma."""


@dataclass(frozen=True)
class Fit:
    """The best parameters, in the order of `NAMES`, and their log-likelihood."""

    theta: Floats
    value: float


def maximise(trials: Trials, law: str = "diverging", fixed: dict[int, float] | None = None,
             start: Floats | None = None) -> Fit:  # fmt: skip
    """Return the best fit; parameters in `fixed`, by their index, keep the values given."""
    fixed = fixed or {}
    starts = [start] if start is not None else _starts(trials, law)
    found = [_climb(trials, law, fixed, one) for one in starts]
    return max(found, key=lambda fit: fit.value)


def _starts(trials: Trials, law: str) -> list[Floats]:
    """Return starts with thresholds at several places below the widths that arrive."""
    arrived = trials.arrived & trials.counted
    z, y = trials.log_k[arrived], trials.log_time[arrived]
    found = []
    for below in (0.05, 0.2, 0.6, 2.0):
        m = z.min() - below
        if law == "bent":
            found.append(np.array([y.min() - 0.5, np.log(2.0), m + 0.5 + below, -2.5, -1.5]))
            continue
        reach = -np.log(np.expm1(z - m))
        slope, level = np.polyfit(reach, y, 1)
        found.append(np.array([level, np.log(np.clip(slope, 0.1, 20)), m, -2.5, -1.5]))
    return found


def _climb(trials: Trials, law: str, fixed: dict[int, float], start: Floats) -> Fit:
    lowest, highest = trials.log_k.min(), trials.log_k.max()
    bounds = [(-50.0, 80.0), LIMITS[0], (lowest - FAR, highest + 1), LIMITS[1], LIMITS[2]]
    free = [index for index in range(len(NAMES)) if index not in fixed]
    theta = np.array(start, dtype=float)
    for index, value in fixed.items():
        theta[index] = value

    def negative(part: Floats) -> tuple[float, Floats]:
        theta[free] = part
        value, gradient = log_likelihood(theta, trials, law)
        return (1e10, 0 * part) if not np.isfinite(value) else (-value, -gradient[free])

    own = [tuple(bounds[index]) for index in free]
    begin = np.clip(theta[free], [low for low, _ in own], [high for _, high in own])
    done = minimize(negative, begin, jac=True, method="L-BFGS-B", bounds=own, options={"maxiter": 300})
    theta[free] = done.x
    return Fit(theta.copy(), -float(done.fun))


def profile(trials: Trials, best: Fit, index: int, ends: tuple[float, float],
            confidence: float = 0.95) -> tuple[float, float]:  # fmt: skip
    """Return the interval of a parameter; an end beyond `ends` is infinite."""
    allowed = chi2.ppf(confidence, 1)
    low, high = (_end(trials, best, index, end, allowed) for end in ends)
    return low, high


def _end(trials: Trials, best: Fit, index: int, end: float, allowed: float) -> float:
    """Walk from the best value in growing steps until the deviance passes, then find where."""
    sign = 1.0 if end > best.theta[index] else -1.0
    last = {"theta": best.theta}

    def excess(value: float) -> float:
        fit = maximise(trials, fixed={index: value}, start=last["theta"])
        last["theta"] = fit.theta
        return 2 * (best.value - fit.value) - allowed

    here, step = best.theta[index], 0.02
    while True:
        there = here + sign * step
        if sign * (there - end) > 0:
            return sign * np.inf
        if excess(there) > 0:
            return float(brentq(excess, here, there, xtol=1e-4)) if excess(here) < 0 else here
        here, step = there, step * 1.8
