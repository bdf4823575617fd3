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
from scipy.special import log_ndtr, logsumexp

__all__ = ["NAMES", "NODES", "Marginal", "Trials", "log_likelihood", "posterior", "standardised"]

Floats = NDArray[np.float64]

NAMES = ("a", "s", "log_b", "log_omega", "kappa", "log_sigma", "log_rho", "log_beta")
"""The parameters, in the order of every vector of them."""

NODES = np.linspace(-4, 4, 81)
LOG_NORM = float(logsumexp(-(NODES**2) / 2)) + np.log(NODES[1] - NODES[0])
HALF_LOG_2PI = 0.5 * np.log(2 * np.pi)

OUTSIDE, LEFT_OUT = 1e-9, 1e-6
"""Nodes lie where a seed's z has more than the first share, and move when an end has the second."""

MARGIN = 0.1
"""Nodes reach so much farther at each end, as a share of their range, since parameters move."""

STEP, COARSEST = 0.8, 1.0
"""Standard deviations of z between two nodes, and the most: there a sum is exact to some 1e-8."""

LEAST_S = 1e-7
"""A smaller s would divide by zero, and is as good as none."""

S, OMEGA, SIGMA, RHO, BETA = (
    NAMES.index(name) for name in ("s", "log_omega", "log_sigma", "log_rho", "log_beta")
)


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
        """The trials that have run, in a list that begins with those that arrived."""
        met, lost = (np.nonzero(self.counted & own) for own in (self.arrived, ~self.arrived))
        seeds, widths = (np.concatenate(pair) for pair in zip(met, lost, strict=True))
        own = seeds == np.arange(len(self.log_k))[:, None]
        log_k, log_time = ((array[seeds, widths])[:, None] for array in (self.log_k, self.log_time))
        return Listed(log_k - self.log_k.min(), log_time, seeds, own.astype(float), len(met[0]))


class Listed(NamedTuple):
    """Trials as columns: log k/k_0, log T, the row of the seed, and 1 in its row (seed, trial)."""

    above: Floats
    log_time: Floats
    seeds: NDArray[np.intp]
    own: Floats
    arrived: int


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


class Scored(NamedTuple):
    """Standard normal residuals of times, and what their slopes are made of."""

    residual: Floats
    z: Floats
    x: Floats
    y: Floats
    rise: Floats
    q: Floats
    time: Floats
    time_root: Floats
    place_root: Floats


def standardised(theta: Floats, above: Floats, log_time: Floats, z: Floats) -> Scored:
    """Return how late a time is, in standard deviations, for log k/k_0 and z; arrays are broadcast."""
    a, _, log_b, log_omega, kappa, log_sigma, _, log_beta = theta
    s, ratio, norm = _shape(theta)
    beta, omega, sigma = np.exp([log_beta, log_omega, log_sigma])
    x = kappa * z - above
    y = log_time - a - omega * z
    rise = np.exp(_within(log_b + beta * x))  # b x
    q = np.exp(_within(-s * y))
    place = rise * (norm / ratio) - s / ratio
    time = ratio / s - q * (ratio / s + s / ratio)
    (far, time_root), (near, place_root) = _inverse_sinh(time), _inverse_sinh(place)
    residual = (far - near) / (sigma * np.sqrt(norm))
    return Scored(residual, z, x, y, rise, q, time, time_root, place_root)


def _shape(theta: Floats) -> tuple[float, float, float]:
    """Return s, rho/sigma, and the sum of their squares."""
    s, ratio = float(theta[S]), float(np.exp(theta[RHO] - theta[SIGMA]))
    s = s if abs(s) > LEAST_S else LEAST_S
    return s, ratio, ratio**2 + s**2


def _within(exponent: Floats) -> Floats:
    """Return an exponent that neither overflows nor gives 0; twice as fast as `numpy.clip`."""
    bounded: Floats = np.minimum(np.maximum(exponent, -50.0), 50.0)
    return bounded


def _inverse_sinh(t: Floats) -> tuple[Floats, Floats]:
    """Return asinh(t) to an absolute 1e-15, faster than `numpy.arcsinh`, and the root in it."""
    root = np.sqrt(1 + t**2)
    return np.copysign(np.log(np.abs(t) + root), t), root


def _slopes(theta: Floats, scored: Scored, arrived: int) -> tuple[Floats, Floats]:
    """Return slopes in a, s, b and rho/sigma, (4, trial, node), of residuals and of log speeds.

    The second holds the trials that arrived, since others have no speed.
    """
    s, ratio, norm = _shape(theta)
    residual, _, _, y, rise, q, time, time_root, place_root = scored
    scale = np.exp(theta[SIGMA]) * np.sqrt(norm)
    by_time, by_place = (1 / scale) / time_root, (-1 / scale) / place_root
    time_y = q * (norm / ratio)
    time_s = ratio * _curve(s, y, q) + (s * y - 1) * (q / ratio)
    time_ratio = time + q * (2 * s / ratio)
    place_s, place_ratio = rise * (2 * s / ratio) - 1 / ratio, rise * (ratio - s**2 / ratio) + s / ratio
    met = slice(arrived)
    bend = time[met] / time_root[met] ** 2
    late, early = np.empty((4, *residual.shape)), np.zeros((4, *bend.shape))
    late[0] = -by_time * time_y
    late[1] = by_time * time_s + by_place * place_s - residual * (s / norm)
    late[2] = by_place * rise * (norm / ratio)
    late[3] = by_time * time_ratio + by_place * place_ratio - residual * (ratio**2 / norm)
    early[0] = s + bend * time_y[met]
    early[1] = s / norm - y[met] - bend * time_s[met]
    early[3] = ratio**2 / norm - bend * time_ratio[met]
    return late, early


def _curve(s: float, y: Floats, q: Floats) -> Floats:
    """Return the derivative of (1 - q) / s in s, by its series where that loses digits."""
    small = np.abs(y) < 1e-4 / abs(s)
    curve: Floats = (y * q - (1 - q) / s) / s
    if small.any():
        curve = np.where(small, -(y**2) / 2 + s * y**3 / 3, curve)
    return curve


def log_likelihood(theta: Floats, trials: Trials, grid: Grid | None = None) -> tuple[float, Floats]:
    """Return the log-likelihood of the trials, and its gradient for every seed, (seed, parameter)."""
    grid = _whole(len(trials.log_k)) if grid is None else grid
    scored = _scored(theta, trials, grid)
    share, whole = _posterior(theta, scored, trials, grid)
    if not np.isfinite(whole):
        return -np.inf, np.zeros((len(trials.log_k), len(NAMES)))
    return whole, _gradient(theta, scored, trials, grid, share)


def _gradient(theta: Floats, scored: Scored, trials: Trials, grid: Grid, share: Floats) -> Floats:
    """Return the gradient for every seed: a mean over the posterior of its z."""
    listed, e = trials.listed, scored.residual
    met, late = listed.arrived, e[listed.arrived :]
    pull = -e
    pull[met:] = -np.exp(-(late**2) / 2 - HALF_LOG_2PI - log_ndtr(-late))
    late_slopes, speeds = _slopes(theta, scored, met)
    late_slopes *= pull
    late_slopes[:, :met] += speeds
    by = late_slopes[[0, 1, 2, 3, 0, 2, 2, 3]]  # a, s, b, rho, and what follows from them below
    omega, beta = np.exp(theta[[OMEGA, BETA]])
    by[4] *= omega * scored.z
    by[5] *= beta * scored.z
    by[6] *= beta * scored.x
    by[7] = -by[7] - pull * e
    means = np.einsum("ptn,tn->pt", by, share[listed.seeds]) @ listed.own.T
    means[3] -= listed.own[:, :met].sum(axis=1)
    a, s, b, rho, log_omega, kappa, log_beta, sigma = means
    return np.stack([a, s, b, log_omega, kappa, sigma, rho, log_beta], axis=1)


def posterior(theta: Floats, trials: Trials) -> tuple[Floats, float]:
    """Return the probability of each of `NODES` for the z of a seed, and the log-likelihood."""
    grid = _whole(len(trials.log_k))
    return _posterior(theta, _scored(theta, trials, grid), trials, grid)


def _scored(theta: Floats, trials: Trials, grid: Grid) -> Scored:
    listed = trials.listed
    return standardised(theta, listed.above, listed.log_time, grid.nodes[listed.seeds])


def _posterior(theta: Floats, scored: Scored, trials: Trials, grid: Grid) -> tuple[Floats, float]:
    met, e = trials.listed.arrived, scored.residual
    score = np.empty_like(e)
    score[:met] = _log_speed(theta, scored, met) - e[:met] ** 2 / 2 - HALF_LOG_2PI
    score[met:] = log_ndtr(-e[met:])
    weighted = trials.listed.own @ score + grid.log_weights
    most = weighted.max(axis=1, keepdims=True)
    share = np.exp(weighted - most)
    each = share.sum(axis=1, keepdims=True)
    share /= each
    return share, float((most + np.log(each)).sum())


def _log_speed(theta: Floats, scored: Scored, arrived: int) -> Floats:
    """Return the log of how fast the residuals of the trials that arrived grow with log T."""
    met = slice(arrived)
    speed: Floats = np.log(scored.q[met] / scored.time_root[met])
    return speed + (np.log(_shape(theta)[2]) / 2 - theta[RHO])


class Marginal:
    """The log-likelihood of some trials and its gradient, from few nodes that follow the parameters."""

    def __init__(self, trials: Trials) -> None:
        self._trials = trials
        self._grid: Grid | None = None

    def __call__(self, theta: Floats) -> tuple[float, Floats]:
        """Return what `log_likelihood` does."""
        trials = self._trials
        if self._grid is not None:
            scored = _scored(theta, trials, self._grid)
            share, whole = _posterior(theta, scored, trials, self._grid)
            if np.isfinite(whole) and _resolves(self._grid, share):
                return whole, _gradient(theta, scored, trials, self._grid, share)
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
