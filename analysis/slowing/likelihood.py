"""The marginal likelihood of the times to a tolerance, with a level and threshold for every seed.

Far from the threshold the time of a seed hardly depends on the width, but it differs several times over
between seeds, since their data differ. Near the threshold, times of one seed scatter far more, since
every width has its own draw of new neurons. So the time T of a trial of width k follows

    log T = a + omega z + h + scatter,  h = -log(1 - s b x) / s,  x = (k / k_0)^-beta exp(beta kappa z),

with standard normal z of its seed: a slow seed may need wider networks too. k_0 is the narrowest width.
One number, s, says how times grow as k falls. If s > 0 they diverge as (1 - (k_inf/k)^beta)^-gamma at
k_inf = k_0 (s b)^(1/beta), with gamma = 1/s. If s = 0 they grow as exp(b x), ever more steeply, and yet
are finite at every width. So the data show a threshold if they exclude s = 0.

The scatter has one source far from the threshold, a factor on T whose logarithm has the standard
deviation sigma, and one near it: a trial has a threshold of its own, whose logarithm has the standard
deviation rho / beta, and that moves h by rho (exp(s h) - 1) / s. A trial is normal in the variable in
which the joint variance of both is constant, which is asinh(tau) / sqrt(rho^2 + sigma^2 s^2) with
tau = rho/sigma (1 - q)/s - sigma s q / rho and q = exp(-s h). It holds below the threshold too, where
q = 1 - s b x is negative: at k_inf a trial arrives ever with probability 1/2.

A trial that did not arrive is censored at its budget. The integral over z is a sum on an even grid,
which converges faster than any power of its step. A fit needs few nodes: `Marginal` puts them where the
trials of each seed allow its z to be, and moves them as the parameters move. z makes the trials of a
seed dependent, but nested weights more so: networks of neighbouring widths share most neurons, and so
their scatter (in real descents its correlation is near 0.5). Only seeds are independent, see
`fitting.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

__all__ = ["NAMES", "NODES", "Marginal", "Trials", "log_likelihood", "posterior", "standardised"]

Floats = NDArray[np.float64]

NAMES = ("a", "s", "log_b", "log_omega", "kappa", "log_sigma", "log_rho", "log_beta")
"""The parameters, in the order of every vector of them."""

NODES = np.linspace(-4, 4, 81)
LOG_NORM = float(logsumexp(-(NODES**2) / 2)) + np.log(NODES[1] - NODES[0])

OUTSIDE, LEFT_OUT = 1e-9, 1e-6
"""Nodes lie where a seed's z has more than the first share, and move when an end has the second."""

MARGIN = 0.1
"""Nodes reach so much farther at each end, as a share of their range, since parameters move."""

STEP, COARSEST = 0.8, 1.0
"""Standard deviations of z between two nodes, and the most: there a sum is exact to some 1e-8."""

S = NAMES.index("s")

LEAST_S = 1e-7
"""A smaller s would divide by zero, and is as good as none."""


@dataclass(frozen=True)
class Trials:
    """The trials of a cell.

    Attributes
    ----------
    log_k, log_time
        Arrays (seed, width); the time of a trial that is censored is that of the last step it took.
    arrived, counted
        Booleans (seed, width): whether the trial met the tolerance, and whether it has run at all.
    """

    log_k: Floats
    log_time: Floats
    arrived: NDArray[np.bool_]
    counted: NDArray[np.bool_]

    @cached_property
    def listed(self) -> Listed:
        """The trials that have run, in a list, ordered by their seed."""
        kept, ends = self.counted, self.counted.sum(axis=1).cumsum()
        above = (self.log_k - self.log_k.min())[kept]
        return Listed(above, self.log_time[kept], self.arrived[kept], np.append(0, ends))


class Listed(NamedTuple):
    """Trials in a list: log k/k_0, log T, whether each arrived; where each seed begins, and the end."""

    above: Floats
    log_time: Floats
    arrived: NDArray[np.bool_]
    starts: NDArray[np.int64]


class Grid(NamedTuple):
    """The nodes of every seed's z, (seed, node), and the logarithms of their weights."""

    nodes: Floats
    log_weights: Floats


def _even(low: Floats, high: Floats, number: int) -> Grid:
    """Return even nodes; those at the ends of `NODES` stand for as much of the line beyond as there."""
    step, beyond = (high - low) / (number - 1), NODES[1] - NODES[0]
    nodes = low[:, None] + step[:, None] * np.arange(number)
    nodes[:, -1] = high
    steps = np.repeat(step[:, None], number, axis=1)
    steps[low == NODES[0], 0] = (steps[low == NODES[0], 0] + beyond) / 2
    steps[high == NODES[-1], -1] = (steps[high == NODES[-1], -1] + beyond) / 2
    return Grid(nodes, np.log(steps) - nodes**2 / 2 - LOG_NORM)


@cache
def _whole(seeds: int) -> Grid:
    return _even(np.full(seeds, NODES[0]), np.full(seeds, NODES[-1]), len(NODES))


def standardised(theta: Floats, above: Floats, log_time: Floats, z: Floats) -> Floats:
    """Return how late a time is, in standard deviations, for log k/k_0 and z; arrays are broadcast."""
    a, s, log_b, log_omega, kappa, log_sigma, log_rho, log_beta = theta
    s = s if abs(s) > LEAST_S else LEAST_S
    ratio, norm = np.exp(log_rho - log_sigma), np.exp(2 * (log_rho - log_sigma)) + s**2
    rise = np.exp(_within(log_b + np.exp(log_beta) * (kappa * z - above)))  # b x
    less = np.expm1(_within(-s * (log_time - a - np.exp(log_omega) * z)))  # q - 1
    place = (rise * norm - s) / ratio
    time = -less * (ratio / s) - (1 + less) * (s / ratio)
    late: Floats = (np.arcsinh(time) - np.arcsinh(place)) / (np.exp(log_sigma) * np.sqrt(norm))
    return late


def _within(exponent: Floats) -> Floats:
    """Return an exponent that neither overflows nor gives 0."""
    return np.clip(exponent, -50.0, 50.0)


def log_likelihood(theta: Floats, trials: Trials, grid: Grid | None = None) -> tuple[float, Floats]:
    """Return the log-likelihood of the trials, and its gradient for every seed, (seed, parameter)."""
    grid = _whole(len(trials.log_k)) if grid is None else grid
    whole, _, scores = _integrals(theta, trials, grid)
    return whole, scores


def posterior(theta: Floats, trials: Trials) -> tuple[Floats, float]:
    """Return the probability of each of `NODES` for the z of a seed, and the log-likelihood."""
    whole, share, _ = _integrals(theta, trials, _whole(len(trials.log_k)), sloped=False)
    return share, whole


def _integrals(
    theta: Floats, trials: Trials, grid: Grid, *, sloped: bool = True
) -> tuple[float, Floats, Floats]:
    """Return the log-likelihood, the probability of each node, and the gradient if it is wanted."""
    from analysis.slowing.sums import integrals  # numba loads in half a second

    share = np.empty_like(grid.nodes)
    if abs(theta[S]) <= LEAST_S:
        theta = np.where(np.arange(len(NAMES)) == S, LEAST_S, theta)
    scores = np.zeros((len(share) if sloped else 0, len(NAMES)))
    whole = integrals(theta, *trials.listed, *grid, share, scores)
    if not np.isfinite(whole):
        return -np.inf, share, np.zeros_like(scores)
    return whole, share, scores


class Marginal:
    """The log-likelihood of some trials and its gradient, from few nodes that follow the parameters."""

    def __init__(self, trials: Trials) -> None:
        self._trials = trials
        self._grid: Grid | None = None

    def __call__(self, theta: Floats) -> tuple[float, Floats]:
        """Return what `log_likelihood` does."""
        trials = self._trials
        if self._grid is not None:
            whole, share, scores = _integrals(theta, trials, self._grid)
            if np.isfinite(whole) and _resolves(self._grid, share):
                return whole, scores
        self._grid = _around(posterior(theta, trials)[0])
        return log_likelihood(theta, trials, self._grid)


def _resolves(grid: Grid, share: Floats) -> bool:
    """Return whether the nodes hold the posterior of every seed, and part it finely enough."""
    nodes = grid.nodes
    for end, limit in ((0, NODES[0]), (-1, NODES[-1])):
        if (share[:, end] * (nodes[:, end] != limit)).max() > LEFT_OUT:
            return False
    return bool((nodes[:, 1] - nodes[:, 0] <= COARSEST * _spread(nodes, share)).all())


def _spread(nodes: Floats, share: Floats) -> Floats:
    """Return the standard deviation of every seed's z."""
    weighted = share * nodes
    square = (weighted * nodes).sum(axis=-1) - weighted.sum(axis=-1) ** 2
    spread: Floats = np.sqrt(np.maximum(square, 0.0))
    return spread


def _around(share: Floats) -> Grid:
    """Return few nodes for every seed, over those of `NODES` that have a share."""
    kept, between = share > OUTSIDE, NODES[1] - NODES[0]
    low = NODES[kept.argmax(axis=1)]
    high = NODES[len(NODES) - 1 - kept[:, ::-1].argmax(axis=1)]
    margin = MARGIN * (high - low) + between
    low, high = np.maximum(low - margin, NODES[0]), np.minimum(high + margin, NODES[-1])
    spread = np.maximum(_spread(NODES, share), between / 2)  # it may be too narrow for `NODES`
    number = int(np.ceil(((high - low) / (STEP * spread)).max())) + 1
    return _even(low, high, min(number, len(NODES)))
