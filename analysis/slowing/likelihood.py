"""The marginal likelihood of the times to a tolerance, with a threshold of its own for every seed.

The time T of a trial of width k follows log T = a + h(log k - u) + sigma e, where e is standard normal
and u, the log threshold of the seed, is normal with mean m and standard deviation tau. Two laws h share
that form and the number of parameters:

- `diverging`: h(x) = -gamma log(expm1(x)), so T is proportional to (k/k_inf - 1)^-gamma; below its
  threshold a seed never arrives.
- `bent`: h(x) = exp(-gamma x), which rises ever more steeply and yet is finite at every width.

As m falls, the first becomes the power law T ~ k^-gamma, in which no threshold is left. A trial that
did not arrive is censored at its budget. The random effect also makes the trials of a seed dependent,
as nested weights do. It has one dimension, so the integral over it is a sum on a fixed grid: that sum
converges faster than any power of its step, and unlike Laplace's method it allows for the hard end of u
at the narrowest width that arrived.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_ndtr, logsumexp

__all__ = ["LAWS", "NAMES", "Trials", "log_likelihood", "posterior_nodes", "shape"]

Floats = NDArray[np.float64]

NAMES = ("a", "log_gamma", "m", "log_tau", "log_sigma")
"""The parameters, in the order of every vector of them."""

LAWS = ("diverging", "bent")

NODES = np.linspace(-5, 5, 81)
LOG_WEIGHTS = -(NODES**2) / 2 - logsumexp(-(NODES**2) / 2)


@dataclass(frozen=True)
class Trials:
    """The trials of a cell.

    Attributes
    ----------
    log_k, log_time
        Arrays (seed, width); the time of a trial that is censored is its budget.
    arrived, counted
        Booleans (seed, width): whether the trial met the tolerance, and whether it has run at all.
    """

    log_k: Floats
    log_time: Floats
    arrived: NDArray[np.bool_]
    counted: NDArray[np.bool_]


def shape(law: str, x: Floats, gamma: float) -> tuple[Floats, Floats, Floats]:
    """Return h(x) with its derivatives in x and in log gamma; h is inf where a seed never arrives."""
    if law == "bent":
        h = np.exp(np.minimum(-gamma * x, 30.0))
        return h, -gamma * h, -gamma * x * h
    inside = x > 0
    above = np.expm1(np.where(inside, x, 1.0))
    h = np.where(inside, -gamma * np.log(above), np.inf)
    return h, np.where(inside, -gamma * (above + 1) / above, 0.0), np.where(inside, h, 0.0)


def log_likelihood(theta: Floats, trials: Trials, law: str = "diverging") -> tuple[float, Floats]:
    """Return the log-likelihood of the trials and its gradient."""
    whole, scores = _at_nodes(theta, trials, law)
    weighted = whole + LOG_WEIGHTS
    each = logsumexp(weighted, axis=1)
    if not np.isfinite(each).all():
        return -np.inf, np.zeros(len(NAMES))
    share = np.exp(weighted - each[:, None])
    return float(each.sum()), np.array([float((share * score).sum()) for score in scores])


def posterior_nodes(theta: Floats, trials: Trials, law: str) -> Floats:
    """Return the probability of each node of a seed's threshold given its trials, (seed, node)."""
    weighted = _at_nodes(theta, trials, law)[0] + LOG_WEIGHTS
    chance: Floats = np.exp(weighted - logsumexp(weighted, axis=1, keepdims=True))
    return chance


def _at_nodes(theta: Floats, trials: Trials, law: str) -> tuple[Floats, list[Floats]]:
    """Return the log-likelihood of each seed at each node, and its derivatives."""
    a, log_gamma, m, log_tau, log_sigma = theta
    tau, sigma = np.exp(log_tau), np.exp(log_sigma)
    x = trials.log_k[:, :, None] - (m + tau * NODES)
    h, by_x, by_gamma = shape(law, x, np.exp(log_gamma))
    known = np.isfinite(h)
    e = (trials.log_time[:, :, None] - a - np.where(known, h, 0.0)) / sigma
    arrived = trials.arrived[:, :, None]
    survived = log_ndtr(-e)
    hazard = np.exp(-(e**2) / 2 - 0.5 * np.log(2 * np.pi) - survived)
    value = np.where(
        arrived, np.where(known, -log_sigma - e**2 / 2, -np.inf), np.where(known, survived, 0)
    )
    slope = np.where(known & trials.counted[:, :, None], np.where(arrived, e, hazard) / sigma, 0.0)
    spread = np.where(arrived, e**2 - 1, hazard * e) * (known & trials.counted[:, :, None])
    by_u = -slope * by_x
    total = np.where(trials.counted[:, :, None], value, 0.0).sum(axis=1)
    sums = [s.sum(axis=1) for s in (slope, slope * by_gamma, by_u, spread)]
    return total, [sums[0], sums[1], sums[2], sums[2] * tau * NODES, sums[3]]
