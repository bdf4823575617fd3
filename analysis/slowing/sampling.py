"""Parameters of the model of times, drawn from what the trials of a cell leave possible.

The posterior is far from normal: a short budget hardly tells how sharply times diverge, and beta, b and
the scatters bend with that. So parameters are drawn by adaptive multiple importance sampling (Cornuet
and others, 2012). Each round proposes from Student's t with the mean and the covariance of all draws so
far, and weighs every draw against the mixture of all proposals. An early proposal that fits badly thus
costs draws, but gives none a wrong weight.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln, logsumexp

from analysis.slowing.fitting import BOUNDS, log_prior, maximise, worth
from analysis.slowing.likelihood import NAMES, Trials, posterior

__all__ = ["parameters"]

Floats = NDArray[np.float64]

EXPECTED = {
    "s": (0.5, 0.3),
    "log_omega": (-2.4, 1.0),
    "kappa": (0.02, 0.1),
    "log_sigma": (-3.0, 1.0),
    "log_rho": (-3.0, 1.2),
}
"""Mean and standard deviation of parameters before any trial of a cell is seen.

A short budget cannot tell s = 0 from s = 0.5, though they foretell different numbers of arrivals. In 16
cells that were trained five times as long, s lay between 0 and 0.82. The others are as in 24 cells with
a threshold (`.readme/input-scaling/thresholds.csv`).
"""

PLACES = [NAMES.index(name) for name in EXPECTED]
MEANS, SPREADS = np.array(list(EXPECTED.values())).T

ROUNDS, PROPOSALS = 5, 300

FREEDOM = 4
"""Degrees of freedom of Student's t from which parameters are proposed."""

ENOUGH = 60.0
"""Effective number of draws from which a proposal learns; fewer are weighed more evenly until then."""

FLOOR = 0.05
"""A proposal is at least so wide as this share of the first, in every direction."""


@dataclass(frozen=True)
class Proposal:
    """Student's t with a mean and a shape matrix."""

    mean: Floats
    shape: Floats

    def draw(self, number: int, rng: np.random.Generator) -> Floats:
        """Return draws, (number, parameter)."""
        # `scipy.stats.multivariate_t` does the same, but its import takes a second.
        squares = rng.chisquare(FREEDOM, size=number) / FREEDOM
        normal = rng.multivariate_normal(np.zeros(len(self.mean)), self.shape, size=number)
        drawn: Floats = self.mean + normal / np.sqrt(squares)[:, None]
        return drawn

    def log_density(self, drawn: Floats) -> Floats:
        """Return the logarithms of the density at some draws."""
        dims, away = len(self.mean), drawn - self.mean
        distance = (away * np.linalg.solve(self.shape, away.T).T).sum(axis=1)
        norm = gammaln((FREEDOM + dims) / 2) - gammaln(FREEDOM / 2) - dims / 2 * np.log(FREEDOM * np.pi)
        norm -= np.linalg.slogdet(self.shape)[1] / 2
        density: Floats = norm - (FREEDOM + dims) / 2 * np.log1p(distance / FREEDOM)
        return density


def parameters(trials: Trials, number: int, rng: np.random.Generator) -> Floats:
    """Return draws from the posterior of the parameters, (number, parameter), within their bounds.

    The log-likelihood counts by its `worth`. Besides the prior of beta that every fit has, there
    are those of `EXPECTED`.
    """
    best = maximise(trials)
    share, covariance = worth(best, trials)
    proposals = [Proposal(best.theta, covariance)]
    drawn, log_target = np.empty((0, len(best.theta))), np.empty(0)
    while True:
        new = proposals[-1].draw(PROPOSALS, rng)
        drawn = np.concatenate([drawn, new])
        log_target = np.concatenate([log_target, [_log_target(one, trials, share) for one in new]])
        mixture = logsumexp([one.log_density(drawn) for one in proposals], axis=0) - np.log(
            len(proposals)
        )
        log_weight = log_target - mixture
        if len(proposals) == ROUNDS:
            weight = np.exp(log_weight - log_weight.max())
            return drawn[rng.choice(len(drawn), number, p=weight / weight.sum())]
        proposals.append(_learned(drawn, log_weight, FLOOR * covariance))


def _log_target(theta: Floats, trials: Trials, share: float) -> float:
    """Return the logarithm of the posterior density, but for a constant."""
    low, high = BOUNDS.T
    if (theta < low).any() or (theta > high).any():
        return -np.inf
    prior = float(log_prior(theta)) - (((theta[PLACES] - MEANS) / SPREADS) ** 2).sum() / 2
    return share * posterior(theta, trials)[1] + prior


def _learned(drawn: Floats, log_weight: Floats, least: Floats) -> Proposal:
    """Return a proposal with the mean and covariance of weighted draws."""
    weight = _tempered(log_weight)
    mean = weight @ drawn
    away = drawn - mean
    return Proposal(mean, (weight[:, None] * away).T @ away + least)


def _tempered(log_weight: Floats) -> Floats:
    """Return weights whose sum is 1, raised to a power at which enough draws count."""
    power = 1.0
    while True:
        weight = np.exp(power * (log_weight - log_weight.max()))
        weight /= weight.sum()
        if 1 / (weight**2).sum() >= min(ENOUGH, 0.5 * np.isfinite(log_weight).sum()):
            return weight
        power *= 0.8
