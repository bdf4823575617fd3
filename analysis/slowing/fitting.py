"""Maximum likelihood of the model of times, and profile likelihood intervals.

Intervals hold the values whose deviance from the best fit stays below the quantile of chi-squared. That
of the threshold comes from fits with a given k_inf, in which s follows from the other parameters.

The likelihood takes the scatter of trials as independent, and nested weights make it dependent within a
seed. So it counts the same evidence several times over. How often, the seeds tell, since they are
independent: if the likelihood were right, the scores of the seeds would vary as its curvature says. The
ratio of the two is the `worth` of a unit of log-likelihood, by which every deviance is multiplied (the
magnitude adjustment of composite likelihoods).

Over a decade of times beta, gamma and k_inf trade off against each other. So every fit has a weak
prior: log beta is normal around log 2.5 with standard deviation 0.55, as in long descents.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq, minimize

from analysis.slowing.likelihood import NAMES, Marginal, Trials

__all__ = [
    "BOUNDS",
    "Fit",
    "S",
    "finite",
    "interval",
    "log_prior",
    "log_threshold",
    "maximise",
    "spread_of_threshold",
    "worth",
]

Floats = NDArray[np.float64]

_LIMITS = {
    "a": (-400.0, 80.0),
    "s": (0.0, 12.0),
    "log_b": (-12.0, 12.0),
    "log_omega": np.log([0.01, 3.0]),
    "kappa": (-1.0, 1.0),
    "log_sigma": np.log([0.01, 3.0]),
    "log_rho": np.log([0.003, 5.0]),
    "log_beta": np.log([0.3, 8.0]),
}

BOUNDS = np.array([_LIMITS[name] for name in NAMES])
"""The least and largest value of every parameter, a row each."""

CLOSE = 2e-3
"""An end of an interval lies where the root of the deviance is so close to its limit, as a share."""

SCALES = np.array([0.1, 0.2, 0.2, 0.3, 0.05, 0.2, 0.3, 0.2])
"""Changes of the parameters that change the likelihood about equally: the optimiser's units."""

ALIKE = float(np.log(0.05))
"""The logarithm of omega below which seeds have about the same level."""

FINE, ROUGH = 1e-8, 1e-6
"""The optimiser stops at a step that gains less."""

PRIOR = (float(np.log(2.5)), 0.55)
"""Mean and standard deviation of log beta before any trial is seen."""

LEAST_CURVATURE = 1 / 9
"""A direction with less is not known from the trials: its standard deviation is taken as 3."""

S, LOG_B, LOG_OMEGA, KAPPA, LOG_BETA = (
    NAMES.index(name) for name in ("s", "log_b", "log_omega", "kappa", "log_beta")
)


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
    """Return the best fit, with a given s or a given log k_inf if any.

    A start stands for a fit with nearby values, whose likelihood is wanted to a hundredth only.
    Without one, several starts are tried.
    """
    if start is not None:
        return _climb(trials, start, s, threshold, ROUGH)
    best = _higher([_climb(trials, one, s, threshold) for one in _starts(trials)])
    return _higher([best, *(_climb(trials, one, s, threshold) for one in _mirrored(best.theta))])


def spread_of_threshold(theta: Floats, covariance: Floats) -> float:
    """Return the standard deviation of `log_threshold`, given the covariance of the parameters."""
    beta = np.exp(theta[LOG_BETA])
    slope = np.zeros(len(theta))
    slope[[S, LOG_B]] = 1 / (beta * theta[S]), 1 / beta
    slope[LOG_BETA] = -(np.log(theta[S]) + theta[LOG_B]) / beta
    return float(np.sqrt(slope @ covariance @ slope))


def finite(trials: Trials, best: Fit) -> Fit:
    """Return the best fit of a law that is finite at every width."""
    starts = [best.theta, *_mirrored(best.theta)]
    return _higher([_climb(trials, one, 0.0, None) for one in starts])


def _higher(fits: list[Fit]) -> Fit:
    return max(fits, key=lambda fit: fit.value)


def _mirrored(theta: Floats) -> list[Floats]:
    """Return a start on the other side of kappa = 0; none where seeds differ enough to tell the side.

    Where the levels of seeds hardly differ, z is their thresholds alone, of either sign.
    """
    if theta[LOG_OMEGA] > ALIKE:
        return []
    other = theta.copy()
    other[KAPPA], other[LOG_OMEGA] = -theta[KAPPA], ALIKE
    return [other]


def _starts(trials: Trials) -> list[Floats]:
    """Return starts that fit the level of the quicker trials, and rise at the widths that arrive."""
    arrived = trials.arrived & trials.counted
    above = float(trials.log_k[arrived].min() - trials.log_k.min())
    level = float(np.quantile(trials.log_time[arrived], 0.25)) - 0.2
    shapes = ((0.7, 1.5), (0.1, 3.5))
    return [
        np.array([level, s, beta * above, -1.5, 0.0, -2.0, -2.0, np.log(beta)]) for s, beta in shapes
    ]


def _climb(
    trials: Trials, start: Floats, s: float | None, threshold: float | None, least: float = FINE
) -> Fit:
    """Climb from a start along the parameters that are free; s is not where it or k_inf is given."""
    tied = s is not None or threshold is not None
    free = [index for index in range(len(NAMES)) if not (tied and index == S)]
    far = 0.0 if threshold is None else threshold - trials.log_k.min()
    likelihood, units = Marginal(trials), SCALES[free]

    def whole(part: Floats) -> Floats:
        theta = np.array(start, dtype=float)
        theta[free] = part * units
        if s is not None:
            theta[S] = s
        elif threshold is not None:
            theta[S] = np.exp(np.clip(far * np.exp(theta[LOG_BETA]) - theta[LOG_B], -50, 5))
        return theta

    def negative(part: Floats) -> tuple[float, Floats]:
        theta = whole(part)
        value, scores = likelihood(theta)
        gradient = scores.sum(axis=0)
        gradient[LOG_BETA] -= (theta[LOG_BETA] - PRIOR[0]) / PRIOR[1] ** 2
        value += float(log_prior(theta))
        if not np.isfinite(value):
            return 1e10, 0 * part
        if threshold is not None:
            gradient[LOG_B] -= gradient[S] * theta[S]
            gradient[LOG_BETA] += gradient[S] * theta[S] * far * np.exp(theta[LOG_BETA])
        return -value, -gradient[free] * units

    own = BOUNDS[free]
    begin = np.clip(np.asarray(start)[free], *own.T) / units
    done = minimize(
        negative, begin, jac=True, method="SLSQP", bounds=own / units[:, None],
        options={"maxiter": 200, "ftol": least},
    )  # fmt: skip
    return Fit(whole(done.x), -float(done.fun))


def log_prior(theta: Floats) -> Floats:
    """Return the logarithm of the prior, but for a constant; the parameters are the last axis."""
    misfit: Floats = -(((theta[..., LOG_BETA] - PRIOR[0]) / PRIOR[1]) ** 2) / 2
    return misfit


def worth(best: Fit, trials: Trials) -> tuple[float, Floats]:
    """Return the worth of a unit of log-likelihood, at most 1, and the covariance at that worth."""
    likelihood = Marginal(trials)
    values, vectors = np.linalg.eigh(_curvature(best.theta, likelihood))
    scores = likelihood(best.theta)[1] @ vectors
    scores -= scores.mean(axis=0)  # a parameter at its bound has a slope
    known = values > LEAST_CURVATURE
    excess = (scores**2).sum(axis=0)[known] / values[known]
    share = min(1.0, float(known.sum() / excess.sum()))
    precision = (vectors * np.maximum(share * values, LEAST_CURVATURE)) @ vectors.T
    precision[LOG_BETA, LOG_BETA] += PRIOR[1] ** -2
    return share, np.linalg.inv(precision)


def _curvature(theta: Floats, likelihood: Marginal) -> Floats:
    """Return minus the second derivatives of the log-likelihood."""
    step = 1e-4
    rows = []
    for index in range(len(theta)):
        shift = np.zeros(len(theta))
        shift[index] = step
        ends = [likelihood(theta + sign * shift)[1].sum(axis=0) for sign in (-1, 1)]
        rows.append((ends[0] - ends[1]) / (2 * step))
    whole: Floats = (np.array(rows) + np.array(rows).T) / 2
    return whole


def interval(
    best: Fit,
    at: Callable[[float, Floats], Fit],
    value: float,
    spread: float,
    ends: tuple[float, float],
    allowed: float,
) -> tuple[float, float]:
    """Return the values with a deviance of less than `allowed`; an end beyond `ends` is infinite.

    `at` fits with a given value of the quantity from a start, and `spread` is about how far from the
    best value the deviance is 1.
    """
    low, high = ends
    steps = spread * float(np.sqrt(allowed))
    return (
        _end(best, at, (value, low), -steps, allowed),
        _end(best, at, (value, high), steps, allowed),
    )


def _end(
    best: Fit,
    at: Callable[[float, Floats], Fit],
    ends: tuple[float, float],
    step: float,
    allowed: float,
) -> float:
    """Walk from the best value to the other end until the deviance passes, and find where.

    The root of the deviance is nearly linear in the value, so it tells how far to step.
    """
    sign, limit = float(np.sign(step)), float(np.sqrt(allowed))
    path = [(ends[0], best.theta)]
    known = {ends[0]: -1.0}  # a fit is not repeated: another start may end elsewhere

    def excess(there: float) -> float:
        if there not in known:
            fit = at(there, _ahead(path, there))
            path.append((there, fit.theta))
            share = float(np.sqrt(max(2 * (best.value - fit.value), 0.0))) / limit - 1
            known[there] = share if abs(share) > CLOSE else 0.0
        return known[there]

    here = ends[0]
    while True:
        there = sign * min(sign * (here + step), sign * ends[1])
        if excess(there) >= 0:
            return float(brentq(excess, here, there, xtol=1e-4))
        if there == ends[1]:
            return sign * np.inf
        gain = excess(there) - excess(here)
        step *= float(np.clip(-1.05 * excess(there) / gain, 0.1, 4.0)) if gain > 0 else 4.0
        here = there


def _ahead(path: list[tuple[float, Floats]], there: float) -> Floats:
    """Return a start for the fit at a value: on the line through the two that are nearest."""
    near = sorted(path, key=lambda one: abs(one[0] - there))[:2]
    if len(near) < 2 or near[0][0] == near[1][0]:
        return near[0][1]
    share = (there - near[0][0]) / (near[1][0] - near[0][0])
    line: Floats = near[0][1] + np.clip(share, -2.0, 1.0) * (near[1][1] - near[0][1])
    return line
