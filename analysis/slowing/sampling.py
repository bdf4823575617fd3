"""Parameters of the model of times, drawn from what the trials of a cell leave possible.

The posterior is a bent ridge: a short budget hardly tells how sharply times diverge, and along beta all
other parameters move with it. Random walks, Hamiltonian flights and proposals around the best fit stay
on a part of the ridge. So the ridge is followed first: at each beta of a grid the other parameters are
fitted. Proposals then draw beta from its marginal by Laplace's approximation, and the others around
the ridge, from Student's t. Weights make them draws from the posterior (importance resampling).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from analysis.slowing.fitting import BOUNDS, PRIOR, SCALES, maximise, worth
from analysis.slowing.likelihood import NAMES, Marginal, Trials, posterior

__all__ = ["EXPECTED", "parameters"]

Floats = NDArray[np.float64]
Target = Callable[[Floats], tuple[float, Floats]]

EXPECTED = {
    "s": (0.5, 0.3),
    "log_omega": (-2.4, 1.0),
    "kappa": (0.02, 0.1),
    "log_sigma": (-3.0, 1.0),
    "log_rho": (-3.0, 1.2),
    "log_beta": PRIOR,
}
"""Mean and standard deviation of parameters before any trial of a cell is seen.

A short budget cannot tell s = 0 from s = 0.5, though they foretell different numbers of arrivals. In 16
cells that were trained five times as long, s lay between 0 and 0.82. That of beta is the one of every
fit, and the others are as in 24 cells with a threshold (`.readme/input-scaling/thresholds.csv`).
"""

PLACES = [NAMES.index(name) for name in EXPECTED]
MEANS, SPREADS = np.array(list(EXPECTED.values())).T

BETA = NAMES.index("log_beta")
REST = np.arange(len(NAMES)) != BETA

STOPS = PRIOR[0] + PRIOR[1] * np.linspace(-2.5, 2.5, 9)
"""The values of log beta at which the ridge is found."""

ROUGHLY = {"maxiter": 60, "ftol": 1e-6}
"""The ridge need not be exact: weights mend what proposals miss."""

PROPOSALS = 800

FREEDOM, WIDER = 4, 1.2
"""Degrees of freedom of Student's t around the ridge, and by what it is wider than the posterior."""

FLATTER = 0.7
"""The marginal of beta is raised to this power, so that proposals reach beyond it."""

LEAST_CURVATURE = 1 / 4
"""The least curvature in the units of `SCALES`: a direction with less is known from its prior only."""


@dataclass(frozen=True)
class Ridge:
    """The best other parameters at each of `STOPS`, and how the posterior falls off around them.

    Attributes
    ----------
    middles, roots
        The parameters but beta, (stop, parameter), and square roots of their covariance.
    log_marginal
        The logarithm of the marginal of beta, but for a constant.
    """

    middles: Floats
    roots: Floats
    log_marginal: Floats

    def draw(self, number: int, rng: np.random.Generator) -> tuple[Floats, Floats]:
        """Return draws, (number, parameter), and the logarithms of their density but for a constant."""
        betas, log_density = self._betas(number, rng)
        nearest = np.abs(betas[:, None] - STOPS).argmin(axis=1)
        squares = rng.chisquare(FREEDOM, size=number) / FREEDOM
        normal = rng.standard_normal((number, REST.sum())) / np.sqrt(squares)[:, None]
        middle = np.stack([np.interp(betas, STOPS, column) for column in self.middles.T], axis=1)
        drawn = np.empty((number, len(NAMES)))
        drawn[:, BETA] = betas
        drawn[:, REST] = middle + np.einsum("npq,nq->np", self.roots[nearest], normal)
        log_density -= np.linalg.slogdet(self.roots[nearest])[1]
        log_density -= (FREEDOM + REST.sum()) / 2 * np.log1p((normal**2).sum(axis=1) / FREEDOM)
        return drawn, log_density

    def _betas(self, number: int, rng: np.random.Generator) -> tuple[Floats, Floats]:
        """Draw log beta, with a density that is even between two stops."""
        height = np.exp(FLATTER * (self.log_marginal - self.log_marginal.max()))
        between = (height[1:] + height[:-1]) / 2
        between = between / between.sum() + 0.02
        between /= between.sum()
        at = rng.choice(len(between), number, p=between)
        betas = STOPS[at] + np.diff(STOPS)[at] * rng.random(number)
        return betas, np.log(between[at])


def parameters(trials: Trials, number: int, rng: np.random.Generator) -> Floats:
    """Return draws from the posterior of the parameters, (number, parameter), within their bounds.

    The log-likelihood counts by its `worth`, and the prior is that of `EXPECTED`.
    """
    best = maximise(trials)
    share = worth(best, trials)[0]
    drawn, log_density = _ridge(_target(trials, share), best.theta).draw(PROPOSALS, rng)
    possible = ((drawn >= BOUNDS[:, 0]) & (drawn <= BOUNDS[:, 1])).all(axis=1)
    drawn, log_density = drawn[possible], log_density[possible]
    log_weight = share * np.array([posterior(one, trials)[1] for one in drawn]) - log_density
    log_weight -= (_away(drawn) ** 2).sum(axis=1) / 2
    weight = np.exp(log_weight - log_weight.max())
    return drawn[rng.choice(len(drawn), number, p=weight / weight.sum())]


def _away(theta: Floats) -> Floats:
    """Return by how many standard deviations parameters differ from those `EXPECTED`."""
    away: Floats = (theta[..., PLACES] - MEANS) / SPREADS
    return away


def _target(trials: Trials, share: float) -> Target:
    """Return the log of the posterior density, but for a constant, with its gradient."""
    likelihood = Marginal(trials)

    def target(theta: Floats) -> tuple[float, Floats]:
        value, scores = likelihood(theta)
        slope, away = share * scores.sum(axis=0), _away(theta)
        slope[PLACES] -= away / SPREADS
        return share * value - float(away @ away) / 2, slope

    return target


def _ridge(target: Target, start: Floats) -> Ridge:
    """Follow the ridge from the beta of a fit to both sides."""
    first = int(np.abs(STOPS - start[BETA]).argmin())
    found: dict[int, Floats] = {}
    for side in (range(first, len(STOPS)), range(first - 1, -1, -1)):
        here = found.get(first, start)
        for stop in side:
            here = found[stop] = _climbed(target, here, STOPS[stop])
    tops = np.array([found[stop] for stop in range(len(STOPS))])
    roots = np.array([_root(target, top) for top in tops])
    heights = np.array([target(top)[0] for top in tops])
    return Ridge(tops[:, REST], roots, heights + np.linalg.slogdet(roots)[1])


def _climbed(target: Target, start: Floats, log_beta: float) -> Floats:
    """Return the best parameters with a given beta."""

    def cost(scaled: Floats) -> tuple[float, Floats]:
        value, slope = target(scaled * SCALES)
        return -value, -slope * SCALES

    begin = start.copy()
    begin[BETA] = log_beta
    bounds = BOUNDS.copy()
    bounds[BETA] = log_beta
    inside = np.clip(begin, *bounds.T) / SCALES
    limits = list(zip(*(bounds.T / SCALES), strict=True))
    result = minimize(cost, inside, jac=True, method="L-BFGS-B", bounds=limits, options=ROUGHLY)
    return np.asarray(np.clip(result.x * SCALES, *bounds.T))


def _root(target: Target, top: Floats) -> Floats:
    """Return a square root of the covariance of the other parameters at a given beta."""
    step, rows = 1e-3, []
    inner = np.clip(top, BOUNDS[:, 0] + step, BOUNDS[:, 1] - step)  # slopes end at a bound
    for index in np.flatnonzero(REST):
        shift = np.zeros(len(top))
        shift[index] = step * SCALES[index]
        ends = [target(inner + sign * shift)[1][REST] for sign in (-1, 1)]
        rows.append((ends[0] - ends[1]) / (2 * step))
    curvature = np.array(rows) * SCALES[REST]
    values, vectors = np.linalg.eigh((curvature + curvature.T) / 2)
    spread = 1 / np.sqrt(np.maximum(values, LEAST_CURVATURE))
    root: Floats = WIDER * SCALES[REST][:, None] * vectors * spread
    return root
