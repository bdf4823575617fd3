"""Fit a model of laws or exponents to points whose errors are known only in part.

A point is y with an error s, from its interval. Its residual has variance s^2 + tau^2, where tau is the
scatter that the intervals do not explain, one for each model and estimated from the points: precise
points weigh more, yet none decides alone. Models are compared by AICc, with tau as a parameter.

Intervals are those of Knapp and Hartung for meta-analysis: the covariance of weighted least squares is
scaled by the mean weighted square of the residuals and used with Student's distribution. They are exact
if the errors are known up to a common factor, and nearly so if tau is estimated. The residuals of
brackets say nothing about their errors, for all cells share one grid of widths and can be off by one
factor. So the scale is at least the brackets' share of the weight: 1 if all points are brackets.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import optimize, special

__all__ = ["Fit", "Model", "fit_model", "parameters_of"]

Floats = npt.NDArray[np.float64]

FLOOR = 1e-12  # of a variance in log k: far below the rounding of any width to an integer
LEAST = 1 + 1e-6  # log a of the least a for which k = a log k has a root, by a hair


@dataclass(frozen=True)
class Model:
    """The model y = offset + design @ theta; with `log_k`, y is the larger root of y - log y = that.

    Attributes
    ----------
    names
        Names of the parameters; the first one is the constant.
    build
        Maps a table to its offset (points,) and its design matrix (points, parameters).
    log_k
        y is log k, and the law contains it (see `laws`).
    """

    names: tuple[str, ...]
    build: Callable[[pd.DataFrame], tuple[Floats, Floats]]
    log_k: bool = False

    def predict(self, theta: Floats, table: pd.DataFrame) -> tuple[Floats, Floats]:
        """Return the predicted log k (points,) and its derivative in theta (points, p)."""
        return self.at(theta, *self.build(table))

    def at(self, theta: Floats, offset: Floats, design: Floats) -> tuple[Floats, Floats]:
        """Return the same from the result of `build`, which a fit calls once."""
        linear = offset + design @ theta
        if not self.log_k:
            return linear, design
        log_k = _solve_log_k(linear)
        slope = np.where(linear < LEAST - 1e-9, 0.0, 1 / (1 - 1 / log_k))
        return log_k, design * slope[:, None]


def _solve_log_k(log_a: Floats) -> Floats:
    """Return the larger root m = log k of k = a log k; for a below e, without a root, that of e."""
    # e^m = a m reads -m e^-m = -1/a; just above e the derivative of m stays finite.
    a = np.maximum(log_a, LEAST)
    root: Floats = -special.lambertw(-np.exp(-a), -1).real
    return root


@dataclass(frozen=True)
class Fit:
    """A fitted model.

    Attributes
    ----------
    theta
        (p,) parameters; the first is the log of the constant.
    tau
        Scatter beyond the errors, in y.
    information
        (p, p) information of the parameters at that scatter.
    residuals, variance
        (points,) residuals of y, and their variances.
    bracketed
        (points,) True where y is the middle of a bracket.
    log_likelihood
        The maximum, from which `aicc` follows.
    """

    model: Model
    theta: Floats
    tau: float
    information: Floats
    residuals: Floats
    variance: Floats
    bracketed: npt.NDArray[np.bool_]
    log_likelihood: float

    @property
    def aicc(self) -> float:
        """Akaike's criterion for small samples, with tau as a parameter."""
        points, p = len(self.residuals), len(self.theta) + 1
        if points - p - 1 <= 0:
            return np.inf
        return 2 * p - 2 * self.log_likelihood + 2 * p * (p + 1) / (points - p - 1)

    @property
    def freedom(self) -> int:
        """Number of points minus number of parameters."""
        return len(self.residuals) - len(self.theta)

    @property
    def restricted(self) -> float:
        """The restricted log likelihood: that of the residuals, independent of the parameters."""
        return self.log_likelihood - 0.5 * float(np.linalg.slogdet(self.information)[1])

    @property
    def covariance(self) -> Floats:
        """The covariance of theta (p, p); infinite if no point is left to estimate the scatter."""
        if self.freedom <= 0:
            return np.full(self.information.shape, np.inf)
        excess = np.sum(self.residuals**2 / self.variance) / self.freedom
        least = np.average(self.bracketed, weights=1 / self.variance)
        covariance: Floats = np.linalg.pinv(self.information) * max(excess, least)
        return covariance

    def interval(self, index: int, confidence: float = 0.95) -> tuple[float, float]:
        """Return the ends of the interval of one parameter."""
        arm = np.inf
        if self.freedom > 0:
            reach = float(special.stdtrit(self.freedom, (1 + confidence) / 2))
            arm = reach * float(np.sqrt(self.covariance[index, index]))
        return float(self.theta[index]) - arm, float(self.theta[index]) + arm

    def prediction(self, table: pd.DataFrame) -> tuple[Floats, Floats]:
        """Return the predicted y (rows,) and the standard error of that mean."""
        mean, jacobian = self.model.predict(self.theta, table)
        variance = np.einsum("ij,jk,ik->i", jacobian, self.covariance, jacobian)
        return mean, np.sqrt(variance)


def fit_model(model: Model, table: pd.DataFrame) -> Fit:
    """Fit a model to a table with columns y, s and those that the model reads.

    Points are brackets where an optional column `bracket` is true.

    The parameters and tau maximise the restricted likelihood, which accounts for the degrees of freedom
    of tau; models are compared by the maximum of the full likelihood.
    """
    at, low, high = _by_scatter(model, table)
    most = at(_minimise(lambda x: -at(x).log_likelihood, low, high)).log_likelihood
    return replace(_restricted(at, low, high), log_likelihood=most)


def parameters_of(model: Model, table: pd.DataFrame) -> Floats:
    """Return theta of `fit_model` alone, in half the time."""
    return _restricted(*_by_scatter(model, table)).theta


def _restricted(at: Callable[[float], Fit], low: float, high: float) -> Fit:
    return at(_minimise(lambda x: -at(x).restricted, low, high))


def _by_scatter(model: Model, table: pd.DataFrame) -> tuple[Callable[[float], Fit], float, float]:
    """Return the best fit at each log tau, and the interval of log tau to be searched."""
    y, s = table["y"].to_numpy(float), table["s"].to_numpy(float)
    built = model.build(table)
    bracketed = table["bracket"].to_numpy(bool) if "bracket" in table else np.zeros(len(y), bool)

    @cache  # both likelihoods are scanned over the same grid
    def at(log_tau: float) -> Fit:
        variance = s**2 + np.exp(2 * log_tau)
        theta = _solve(model, y, built, variance)
        mean, jacobian = model.at(theta, *built)
        residuals = y - mean
        information = jacobian.T @ (jacobian / variance[:, None])
        likelihood = _log_likelihood(residuals, variance)
        tau = float(np.exp(log_tau))
        return Fit(model, theta, tau, information, residuals, variance, bracketed, likelihood)

    return at, np.log(FLOOR) / 2, np.log(np.ptp(y) + 10)


def _minimise(cost: Callable[[float], float], low: float, high: float) -> float:
    """Return the minimum of a cost over an interval: a scan for its valley, then a polish."""
    grid = np.linspace(low, high, 17)
    costs = [cost(x) for x in grid]
    best = int(np.argmin(costs))
    around = grid[max(best - 1, 0)], grid[min(best + 1, len(grid) - 1)]
    polished = optimize.minimize_scalar(cost, bounds=around, method="bounded", options={"xatol": 1e-6})
    return float(polished.x if polished.fun < costs[best] else grid[best])


def _log_likelihood(residuals: Floats, variance: Floats) -> float:
    return float(-0.5 * np.sum(np.log(2 * np.pi * variance) + residuals**2 / variance))


def _solve(model: Model, y: Floats, built: tuple[Floats, Floats], variance: Floats) -> Floats:
    """Solve weighted least squares; for a law with log k, by Gauss-Newton or else by a scan."""
    root = 1 / np.sqrt(variance)
    if not model.log_k:
        return _least_squares(built[1], y - built[0], root)
    # Start from the measured k.
    theta = _least_squares(built[1], y - np.log(np.maximum(y, 1.1)) - built[0], root)
    for _ in range(20):
        if (built[0] + built[1] @ theta < LEAST).any():
            break
        mean, jacobian = model.at(theta, *built)
        step = _least_squares(jacobian, y - mean, root)
        theta = theta + step
        if np.abs(step).max() < 1e-13 * (1 + np.abs(theta).max()):
            return theta
    return _scanned(y, built[0], root)


def _scanned(y: Floats, offset: Floats, root: Floats) -> Floats:
    """Return the constant (1,) of a law with log k that has no root at some points.

    There the prediction is flat, so the sum of squares has kinks, and a step by slopes goes astray.
    """

    def cost(constant: Floats) -> Floats:
        misses = (y - _solve_log_k(np.asarray(constant)[..., None] + offset)) * root
        squares: Floats = np.sum(misses**2, axis=-1)
        return squares

    # Each point alone would have its best constant between these two.
    exact = np.maximum(y - np.log(np.maximum(y, 1.0)), LEAST) - offset
    grid = np.union1d(np.linspace(exact.min(), exact.max(), 65), exact)
    best = int(np.argmin(cost(grid)))
    around = grid[max(best - 1, 0)], grid[min(best + 1, len(grid) - 1)]
    polished = optimize.minimize_scalar(cost, bounds=around, method="bounded", options={"xatol": 1e-9})
    return np.array([polished.x if polished.fun < cost(grid[best]) else grid[best]])


def _least_squares(design: Floats, y: Floats, root: Floats) -> Floats:
    design, y = design * root[:, None], y * root
    if design.shape[1] == 1:  # most laws, in a sixth of the time of the general solution
        one = design[:, 0]
        return np.array([one @ y / (one @ one)])
    return np.asarray(np.linalg.lstsq(design, y, rcond=None)[0], dtype=np.float64)
