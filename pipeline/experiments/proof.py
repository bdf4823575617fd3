"""The proof of Theorem 2, step by step: how loose is each bound?

Each of the k rows of features is the vector phi(z), z = X w. (6): by Gaussian concentration of the
||X||-Lipschitz norm and a union bound, all k have norm at most
delta sqrt(n) = sqrt(n) + ||X|| sqrt(2 log(k/p)) with probability 1 - p. Truncation: dropping the rows
beyond it takes from K at most the expected square beyond, bounded here by the same concentration;
the proof needs alpha^2 / 2 to be left. Matrix Chernoff at half the mean: a sum of k truncated rows has
least eigenvalue below k alpha^2 / 4 with probability at most n exp(-k alpha^2 / (16 delta^2 n)).
Dropped rows could only have raised it, so with p = 1/2 the width k = 16 delta(k)^2 n log(n/p) / alpha^2
suffices in half of all draws.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pipeline.experiments.base import FLOAT, Experiment, SeedResult, SeedTrial, Variable
from pipeline.experiments.conditioning import gram_seconds
from pipeline.experiments.features import SHARED_VARIABLES, run_widths
from pipeline.numerics.activations import ACTIVATIONS
from pipeline.sweep import Cell, Descent

if TYPE_CHECKING:
    from pipeline.numerics.random_features import RandomFeatures

__all__ = ["EXPERIMENT", "delta", "sufficient_width"]

Array = NDArray[np.float64]

CHANCE = 0.5
"""p: the probability of failure that the proof allows for."""

VARIABLES = (
    *SHARED_VARIABLES,
    Variable("delta_squared", ("width",), "delta^2 of (6): bound on ||phi(z)||^2 / n for all k rows"),
    Variable("feature_norm", ("width",), "largest ||phi(z)||^2 / n of the k rows"),
    Variable("truncated_alpha_squared", ("width",), "lower bound on lambda_min of the truncated K"),
    Variable("sufficient_width", (), "width that matrix Chernoff shows to suffice; inf if alpha = 0"),
    Variable("truncated_at_sufficient", (), "truncated_alpha_squared at that width"),
)


def delta(n: int, norm: float, k: float) -> float:
    """Return delta of (6), for n samples, ||X|| and k rows."""
    return float(1 + norm * np.sqrt(2 * np.log(k / CHANCE) / n))


def sufficient_width(n: int, norm: float, alpha: float) -> float:
    """Return the k that solves k = 16 delta(k)^2 n log(n/p) / alpha^2; inf where alpha is 0."""
    from scipy import optimize

    if alpha == 0:
        return np.inf
    scale = 16 * n * np.log(n / CHANCE) / alpha**2

    def excess(log_k: float) -> float:
        return log_k - np.log(scale) - 2 * np.log(delta(n, norm, np.exp(log_k)))

    low = np.log(scale)
    return float(np.exp(optimize.brentq(excess, low, low + 50, xtol=1e-12)))


def _run_seed(trial: SeedTrial) -> SeedResult:
    norm = float(np.linalg.norm(trial.inputs(), 2))

    def steps(features: RandomFeatures, k: int, floor: float) -> Mapping[str, float]:
        sigma_min, sigma_max = features.extremes(k, floor)
        bound = delta(trial.n, norm, k)
        return {
            "sigma_min": sigma_min,
            "sigma_max": sigma_max,
            "delta_squared": bound**2,
            "feature_norm": float(np.square(features.features(k)).sum(axis=1).max() / trial.n),
        }

    result = run_widths(trial, VARIABLES, steps)
    alpha = float(result.values["alpha"])
    enough = sufficient_width(trial.n, norm, alpha)
    left = [
        alpha**2 - _square_beyond(trial.n, norm, delta(trial.n, norm, k))
        for k in (*trial.widths, enough)
    ]
    result.values["truncated_alpha_squared"][:] = left[:-1]
    result.values["sufficient_width"][...] = enough
    result.values["truncated_at_sufficient"][...] = left[-1]
    return result


def _square_beyond(n: int, norm: float, bound: float) -> float:
    """Return a bound on E[||z||^2; ||z|| > s] at s = delta sqrt(n).

    P(||z|| > sqrt(n) + t) is at most e^(-t^2 / 2 norm^2). The expectation is s^2 P(||z|| > s) plus the
    integral of 2 u P(||z|| > u) from s on, and that is at most 2 norm^2 e^(-t^2 / 2 norm^2) times
    1 + sqrt(n) / t.
    """
    t = (bound - 1) * np.sqrt(n)
    chance = np.exp(-(t**2) / (2 * norm**2))
    return float(chance * (n * bound**2 + 2 * norm**2 * (1 + np.sqrt(n) / t)))


def _memory(cell: Cell, descent: Descent | None) -> float:
    """Estimate the memory: the rows of Phi, and their squares, and matrices of shape (n, n)."""
    return FLOAT * cell.n * (2.0 * max(cell.widths) + 4.0 * cell.n)


EXPERIMENT = Experiment(
    VARIABLES,
    _run_seed,
    gram_seconds,
    _memory,
    unit_norm=True,
    why_not_own="the proof of Theorem 2 covers activations whose bound (6) is proven",
    activations=tuple(name for name, activation in ACTIVATIONS.items() if activation.concentrates),
)
