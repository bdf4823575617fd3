"""Maximum likelihood of the model of times, and profile likelihood intervals.

Intervals hold the values whose deviance from the best fit stays below the quantile of chi-squared. That
of the threshold comes from fits with a given k_inf, in which s follows from the other parameters.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq, minimize
from scipy.stats import chi2

from analysis.slowing.likelihood import NAMES, Trials, log_likelihood

__all__ = ["BOUNDS", "Fit", "S", "interval", "log_threshold", "maximise"]

Floats = NDArray[np.float64]

_LIMITS = {
    "a": (-400.0, 80.0),
    "s": (-4.0, 12.0),
    "log_b": (-12.0, 12.0),
    "log_omega": np.log([0.01, 3.0]),
    "kappa": (-1.0, 1.0),
    "log_sigma": np.log([0.01, 3.0]),
    "log_rho": np.log([0.003, 5.0]),
    "log_beta": np.log([0.2, 12.0]),
}

BOUNDS = np.array([_LIMITS[name] for name in NAMES])
"""The least and largest value of every parameter, a row each."""

S, LOG_B, LOG_BETA = (NAMES.index(name) for name in ("s", "log_b", "log_beta"))


@dataclass(frozen=True)
class Fit:
    """The best parameters, in the order of `NAMES`, and their log-likelihood."""

    theta: Floats
    value: float


def log_threshold(theta: Floats, trials: Trials) -> float:
    """Return log k_inf, which is minus infinity where times are finite at every width."""
    if theta[S] <= 0:
        return -np.inf
    above = (np.log(theta[S]) + theta[LOG_B]) / np.exp(theta[LOG_BETA])
    return float(trials.log_k.min() + above)


def maximise(
    trials: Trials, start: Floats | None = None, s: float | None = None, threshold: float | None = None
) -> Fit:
    """Return the best fit, with a given s or a given log k_inf if any."""
    starts = [start] if start is not None else _starts(trials)
    found = [_climb(trials, one, s, threshold) for one in starts]
    return max(found, key=lambda fit: fit.value)


def _starts(trials: Trials) -> list[Floats]:
    """Return starts that fit the level of the quicker trials, and rise at the widths that arrive."""
    arrived = trials.arrived & trials.counted
    above = float(trials.log_k[arrived].min() - trials.log_k.min())
    level = float(np.quantile(trials.log_time[arrived], 0.25)) - 0.2
    shapes = ((0.7, 1.5), (0.1, 4.0), (-0.3, 2.0))
    return [
        np.array([level, s, beta * above, -1.5, 0.0, -2.0, -2.0, np.log(beta)]) for s, beta in shapes
    ]


def _climb(trials: Trials, start: Floats, s: float | None, threshold: float | None) -> Fit:
    """Climb from a start along the parameters that are free; s is not where it or k_inf is given."""
    tied = s is not None or threshold is not None
    free = [index for index in range(len(NAMES)) if not (tied and index == S)]
    far = 0.0 if threshold is None else threshold - trials.log_k.min()

    def whole(part: Floats) -> Floats:
        theta = np.array(start, dtype=float)
        theta[free] = part
        if s is not None:
            theta[S] = s
        elif threshold is not None:
            theta[S] = np.exp(np.clip(far * np.exp(theta[LOG_BETA]) - theta[LOG_B], -50, 5))
        return theta

    def negative(part: Floats) -> tuple[float, Floats]:
        theta = whole(part)
        value, gradient = log_likelihood(theta, trials)
        if not np.isfinite(value):
            return 1e10, 0 * part
        if threshold is not None:
            gradient[LOG_B] -= gradient[S] * theta[S]
            gradient[LOG_BETA] += gradient[S] * theta[S] * far * np.exp(theta[LOG_BETA])
        return -value, -gradient[free]

    own = BOUNDS[free]
    begin = np.clip(np.asarray(start)[free], *own.T)
    done = minimize(negative, begin, jac=True, method="L-BFGS-B", bounds=own, options={"maxiter": 200})
    return Fit(whole(done.x), -float(done.fun))


def interval(
    best: Fit, at: Callable[[float, Floats], Fit], value: float, ends: tuple[float, float],
    confidence: float = 0.95, step: float = 0.05,
) -> tuple[float, float]:  # fmt: skip
    """Return the interval of a quantity; an end beyond `ends` is infinite.

    `at` fits with a given value of the quantity from a start.
    """
    allowed = chi2.ppf(confidence, 1)
    low, high = (_end(best, at, value, end, allowed, step) for end in ends)
    return low, high


def _end(best: Fit, at: Callable[[float, Floats], Fit], value: float, end: float, allowed: float,
         step: float) -> float:  # fmt: skip
    """Walk from the best value in growing steps until the deviance passes, then find where."""
    sign = 1.0 if end > value else -1.0
    last = {"theta": best.theta}

    def excess(there: float) -> float:
        fit = at(there, last["theta"])
        last["theta"] = fit.theta
        return float(2 * (best.value - fit.value) - allowed)

    here = value
    while True:
        there = here + sign * step
        if sign * (there - end) > 0:
            return sign * np.inf
        if excess(there) > 0:
            return float(brentq(excess, here, there, xtol=1e-3)) if excess(here) < 0 else here
        here, step = there, step * 1.8
