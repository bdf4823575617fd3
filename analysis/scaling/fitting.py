"""Fit a model to points whose errors are known in part: what laws and exponents are fitted by.

A point is y with an error s, from its interval. Its residual has variance s^2 + tau^2, where tau, one
for each model and estimated from the points, is the scatter that the intervals do not explain:
precise points weigh more, yet none decides alone. Models compare by AICc, tau counted as a parameter.

Intervals are those of Knapp and Hartung for meta-analysis: the covariance of weighted least squares
is scaled by the mean weighted square of the residuals and read by Student's distribution. That is
exact where the errors are known up to a common factor, and close to it where tau is estimated.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import optimize, special, stats

__all__ = ["Fit", "Model", "fit_model"]

Floats = npt.NDArray[np.float64]

FLOOR = 1e-12  # of a variance in log k: far below the rounding of any width to an integer


@dataclass(frozen=True)
class Model:
    """y = offset + design @ theta; or, of y = log k, the larger root of y - log y = that."""

    names: tuple[str, ...]
    build: Callable[[pd.DataFrame], tuple[Floats, Floats]]  # offset (points,), design (points, p)
    log_k: bool = False

    def predict(self, theta: Floats, table: pd.DataFrame) -> tuple[Floats, Floats]:
        """Predicted log k (points,) and its derivative in theta (points, p)."""
        return self.at(theta, *self.build(table))

    def at(self, theta: Floats, offset: Floats, design: Floats) -> tuple[Floats, Floats]:
        """The same from what `build` returned, which a fit asks for once."""
        linear = offset + design @ theta
        if not self.log_k:
            return linear, design
        log_k = _solve_log_k(linear)
        return log_k, design / (1 - 1 / log_k)[:, None]


def _solve_log_k(log_a: Floats) -> Floats:
    """The larger root m = log k of k = a log k; a below e has none, and takes the root of e."""
    # e^m = a m reads -m e^-m = -1/a; just above e the derivative of m stays finite.
    a = np.maximum(log_a, 1 + 1e-6)
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
        (p, p) of the parameters at that scatter.
    residuals, variance
        (points,) of y.
    log_likelihood
        At its maximum, from which `aicc` follows.
    """

    model: Model
    theta: Floats
    tau: float
    information: Floats
    residuals: Floats
    variance: Floats
    log_likelihood: float

    @property
    def aicc(self) -> float:
        """Akaike's criterion for small samples; tau is a parameter too."""
        points, p = len(self.residuals), len(self.theta) + 1
        if points - p - 1 <= 0:
            return np.inf
        return 2 * p - 2 * self.log_likelihood + 2 * p * (p + 1) / (points - p - 1)

    @property
    def freedom(self) -> int:
        """Points beyond the parameters."""
        return len(self.residuals) - len(self.theta)

    @property
    def restricted(self) -> float:
        """Log likelihood of the residuals alone, whatever the parameters."""
        return self.log_likelihood - 0.5 * float(np.linalg.slogdet(self.information)[1])

    @property
    def covariance(self) -> Floats:
        """Of theta (p, p): infinite where no point is left to judge the scatter by."""
        if self.freedom <= 0:
            return np.full(self.information.shape, np.inf)
        excess = np.sum(self.residuals**2 / self.variance) / self.freedom
        covariance: Floats = np.linalg.pinv(self.information) * excess
        return covariance

    def interval(self, place: int, confidence: float = 0.95) -> tuple[float, float]:
        """Ends of the interval of one parameter."""
        arm = np.inf
        if self.freedom > 0:
            reach = float(stats.t.ppf((1 + confidence) / 2, self.freedom))
            arm = reach * float(np.sqrt(self.covariance[place, place]))
        return float(self.theta[place]) - arm, float(self.theta[place]) + arm

    def prediction(self, table: pd.DataFrame) -> tuple[Floats, Floats]:
        """Predicted y (rows,) and the standard error of that mean."""
        mean, jacobian = self.model.predict(self.theta, table)
        variance = np.einsum("ij,jk,ik->i", jacobian, self.covariance, jacobian)
        return mean, np.sqrt(variance)


def fit_model(model: Model, table: pd.DataFrame) -> Fit:
    """Fit a model to a table with columns y, s and those that the model reads.

    The parameters and tau are those of restricted maximum likelihood, which leaves tau its degrees of
    freedom; models are compared by the likelihood at its own maximum.
    """
    y, s = table["y"].to_numpy(float), table["s"].to_numpy(float)
    built = model.build(table)

    def at(log_tau: float) -> Fit:
        variance = s**2 + np.exp(2 * log_tau)
        theta = _solve(model, y, built, variance)
        mean, jacobian = model.at(theta, *built)
        residuals = y - mean
        information = jacobian.T @ (jacobian / variance[:, None])
        likelihood = _log_likelihood(residuals, variance)
        return Fit(model, theta, float(np.exp(log_tau)), information, residuals, variance, likelihood)

    low, high = np.log(FLOOR) / 2, np.log(np.ptp(y) + 10)
    most = at(_minimise(lambda x: -at(x).log_likelihood, low, high)).log_likelihood
    best = at(_minimise(lambda x: -at(x).restricted, low, high))
    return replace(best, log_likelihood=most)


def _minimise(cost: Callable[[float], float], low: float, high: float) -> float:
    """Least cost over an interval: a scan for the right valley, then a polish."""
    grid = np.linspace(low, high, 17)
    costs = [cost(x) for x in grid]
    best = int(np.argmin(costs))
    around = grid[max(best - 1, 0)], grid[min(best + 1, len(grid) - 1)]
    polished = optimize.minimize_scalar(cost, bounds=around, method="bounded", options={"xatol": 1e-6})
    return float(polished.x if polished.fun < costs[best] else grid[best])


def _log_likelihood(residuals: Floats, variance: Floats) -> float:
    return float(-0.5 * np.sum(np.log(2 * np.pi * variance) + residuals**2 / variance))


def _solve(model: Model, y: Floats, built: tuple[Floats, Floats], variance: Floats) -> Floats:
    """Weighted least squares by Gauss-Newton; a linear model takes a single step."""
    root = 1 / np.sqrt(variance)
    # With a log k inside, the measured k stands there at first.
    target = y - np.log(np.maximum(y, 1.1)) if model.log_k else y
    theta = _least_squares(built[1], target - built[0], root)
    for _ in range(100 if model.log_k else 0):
        mean, jacobian = model.at(theta, *built)
        step = _least_squares(jacobian, y - mean, root)
        theta = theta + step
        if np.abs(step).max() < 1e-13 * (1 + np.abs(theta).max()):
            break
    return theta


def _least_squares(design: Floats, y: Floats, root: Floats) -> Floats:
    found = np.linalg.lstsq(design * root[:, None], y * root, rcond=None)[0]
    return np.asarray(found, dtype=np.float64)
