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
which converges faster than any power of its step. z makes the trials of a seed dependent, but nested
weights more so: networks of neighbouring widths share most neurons, and so their scatter (in real
descents its correlation is near 0.5). Only seeds are independent, see `fitting.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_ndtr, logsumexp

__all__ = ["NAMES", "NODES", "Trials", "log_likelihood", "posterior", "standardised"]

Floats = NDArray[np.float64]

NAMES = ("a", "s", "log_b", "log_omega", "kappa", "log_sigma", "log_rho", "log_beta")
"""The parameters, in the order of every vector of them."""

NODES = np.linspace(-4, 4, 81)
LOG_WEIGHTS = -(NODES**2) / 2 - logsumexp(-(NODES**2) / 2)
HALF_LOG_2PI = 0.5 * np.log(2 * np.pi)


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


@dataclass(frozen=True)
class Scored:
    """Standard normal residuals of times, and the log of how fast these grow with log T.

    `slopes` computes the derivatives of both in each of `NAMES`, which only a gradient needs.
    """

    residual: Floats
    log_speed: Floats
    slopes: Callable[[], tuple[list[Floats], list[Floats]]]


def standardised(theta: Floats, log_k: Floats, log_time: Floats, z: Floats) -> Scored:
    """Return how late a time is, in standard deviations, for a seed's z; arrays are broadcast."""
    a, s, log_b, log_omega, kappa, log_sigma, log_rho, log_beta = theta
    s = s if abs(s) > 1e-7 else 1e-7
    beta, omega, ratio = np.exp([log_beta, log_omega, log_rho - log_sigma])
    norm = ratio**2 + s**2
    scale = np.exp(log_sigma) * np.sqrt(norm)
    x = kappa * z - (log_k - log_k.min())
    y = log_time - a - omega * z
    rise = np.exp(np.clip(log_b + beta * x, -50.0, 50.0))  # b x
    q = np.exp(np.clip(-s * y, -50.0, 50.0))
    place = rise * norm / ratio - s / ratio
    time = ratio * (1 - q) / s - s * q / ratio
    residual = (np.arcsinh(time) - np.arcsinh(place)) / scale
    bend = time / (1 + time**2)
    log_speed = np.log(q * np.sqrt(norm)) - log_rho - np.log1p(time**2) / 2

    def slopes() -> tuple[list[Floats], list[Floats]]:
        by_place = -1 / (scale * np.sqrt(1 + place**2))
        by_time = 1 / (scale * np.sqrt(1 + time**2))
        time_y = q * norm / ratio
        time_s = ratio * _curve(s, y, q) + (s * y - 1) * q / ratio
        time_ratio = ratio * (1 - q) / s + s * q / ratio
        place_s, place_ratio = (2 * s * rise - 1) / ratio, rise * (ratio - s**2 / ratio) + s / ratio
        by_s = by_time * time_s + by_place * place_s - residual * s / norm
        by_ratio = by_time * time_ratio + by_place * place_ratio - residual * ratio**2 / norm
        by_a, by_b, none = -by_time * time_y, by_place * rise * norm / ratio, np.zeros_like(time)
        speed_a, speed_ratio = s + bend * time_y, ratio**2 / norm - bend * time_ratio
        return (
            [by_a, by_s, by_b, by_a * omega * z, by_b * beta * z, -by_ratio - residual, by_ratio,
             by_b * beta * x],
            [speed_a, s / norm - y - bend * time_s, none, speed_a * omega * z, none, -speed_ratio,
             speed_ratio - 1, none],
        )  # fmt: skip

    return Scored(residual, log_speed, slopes)


def _curve(s: float, y: Floats, q: Floats) -> Floats:
    """Return the derivative of (1 - q) / s in s, by its series where that loses digits."""
    small = np.abs(s * y) < 1e-4
    return np.where(small, -(y**2) / 2 + s * y**3 / 3, (y * q - (1 - q) / s) / s)


def log_likelihood(theta: Floats, trials: Trials) -> tuple[float, Floats]:
    """Return the log-likelihood of the trials, and its gradient for every seed, (seed, parameter)."""
    scored = _scored(theta, trials)
    share, whole = _posterior(scored, trials)
    if not np.isfinite(whole):
        return -np.inf, np.zeros((len(trials.log_k), len(NAMES)))
    e, met, lost = scored.residual, trials.counted & trials.arrived, trials.counted & ~trials.arrived
    pull = np.zeros_like(e)
    pull[met] = -e[met]
    pull[lost] = -np.exp(-(e[lost] ** 2) / 2 - HALF_LOG_2PI - log_ndtr(-e[lost]))
    pairs = zip(*scored.slopes(), strict=True)
    slopes = [
        ((pull * by + met[:, :, None] * speed).sum(axis=1) * share).sum(axis=1) for by, speed in pairs
    ]
    return whole, np.stack(slopes, axis=1)


def posterior(theta: Floats, trials: Trials) -> tuple[Floats, float]:
    """Return the probability of each node of a seed's z given its trials, and the log-likelihood."""
    return _posterior(_scored(theta, trials), trials)


def _scored(theta: Floats, trials: Trials) -> Scored:
    return standardised(theta, trials.log_k[:, :, None], trials.log_time[:, :, None], NODES)


def _posterior(scored: Scored, trials: Trials) -> tuple[Floats, float]:
    e, met, lost = scored.residual, trials.counted & trials.arrived, trials.counted & ~trials.arrived
    score = np.zeros_like(e)
    score[met] = scored.log_speed[met] - e[met] ** 2 / 2 - HALF_LOG_2PI
    score[lost] = log_ndtr(-e[lost])
    weighted = score.sum(axis=1) + LOG_WEIGHTS
    each = logsumexp(weighted, axis=1, keepdims=True)
    return np.exp(weighted - each), float(each.sum())
