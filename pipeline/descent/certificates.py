"""The constants of Theorem 1 for networks of one hidden layer, and the largest certified residual.

alpha is half the least singular value of J at theta_0 (Assumption 1). beta bounds ||J|| (Assumption 2)
on the ball of radius R, which the iterates do not leave by (5). The deviation bounds ||J - J0|| on
that ball; Assumption 3 requires at most alpha/3. Theorem 1 takes R = 5 ||r_0|| / alpha, so the largest
radius with a small enough deviation certifies residuals up to alpha R / 5.

Output layer: J = Phi^T does not move, so beta = ||Phi|| and every radius is certified.

Input layer: J J^T = (X X^T) o (S^T S) with S = diag(v) phi'(W X^T), and by Schur's product theorem its
norm is at most ||X||^2 times the largest squared column of S. With |phi'| <= B this gives
beta = B ||v||_2 ||X||. Where phi' is Lipschitz (constant M) a column of S - S0 is at most
M ||v||_inf ||x_i|| ||W - W0||_F. Where phi' jumps at 0 (ReLU by 1), it is the jump times the v of the
units whose sign has flipped. Flipping unit l at x_i costs (w_l x_i)^2 / ||x_i||^2 of R^2, so the number
of flips is at most the number of cheapest units whose total cost is within R^2. A phi' that does both
(SELU) is a sum of the two kinds, and so is its bound.

Both layers: v moves by at most R, too, and Phi by at most B ||X|| R.

Deeper networks are not certified: their constants are measured along one direction.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.descent.dispatch import DERIVATIVES
from pipeline.descent.network import Network

__all__ = ["Certificate", "certify"]

Array = NDArray[np.float64]
Bound = Callable[[float], float]

HALVINGS = 200


@dataclass(frozen=True)
class Certificate:
    """The constants of Theorem 1 at one start.

    Attributes
    ----------
    alpha
        Half the least singular value of J0; 0 if it is below rounding, and then nothing is certified.
    beta
        Bound on ||J|| within the radius.
    radius
        Largest R of Assumption 3; inf where J does not move.
    rigorous
        True if the bounds are proven, False if they are measured.
    """

    alpha: float
    beta: float
    radius: float
    rigorous: bool

    @property
    def residual(self) -> float:
        """Largest ||y - f(theta_0)|| that is certified: alpha R / 5."""
        return self.alpha * self.radius / 5 if self.alpha > 0 else 0.0

    @property
    def step_size(self) -> float:
        """The largest step size of Theorem 1, 1 / beta^2."""
        return 1 / self.beta**2


def certify(network: Network, X: Array, direction: Array | None = None) -> Certificate:
    """Find alpha, beta and the radius of Assumption 3 at a network's weights.

    Parameters
    ----------
    network
        The network at theta_0.
    X
        Inputs, shape (n, d).
    direction
        Residual, shape (n,), in whose direction a network of several layers is measured.

    Returns
    -------
    Certificate
    """
    J = network.jacobian(X)
    sigma = np.linalg.svd(J, compute_uv=False)
    lost = J.shape[1] < len(J) or sigma[-1] <= max(J.shape) * np.finfo(float).eps * sigma[0]
    alpha = 0.0 if lost else float(sigma[-1] / 2)
    largest = float(sigma[0])
    if network.trained == "output":
        return Certificate(alpha, largest, np.inf, rigorous=True)
    if len(network.hidden):
        assert direction is not None
        deviation = _measured_deviation(network, X, J, direction)
        radius = _largest_radius(deviation, alpha / 3, precision=1e-3)
        return Certificate(alpha, largest + alpha / 3, radius, rigorous=False)
    norm, slope = float(np.linalg.norm(X, 2)), DERIVATIVES[network.activation].slope
    v = float(np.linalg.norm(network.v))
    deviation = _input_deviation(network, X, norm)
    if network.trained == "input":
        return Certificate(
            alpha, slope * v * norm, _largest_radius(deviation, alpha / 3), rigorous=True
        )
    radius = _largest_radius(lambda R: 2 * slope * norm * R + deviation(R), alpha / 3)
    features = float(np.linalg.norm(network.features(X), 2)) + slope * norm * radius
    beta = np.hypot(features, slope * (v + radius) * norm)
    return Certificate(alpha, float(beta), radius, rigorous=True)


def _input_deviation(network: Network, X: Array, norm: float) -> Bound:
    """Return a bound on ||J(W) - J(W0)|| for ||W - W0||_F <= R at fixed v."""
    derivative = DERIVATIVES[network.activation]
    largest_v = float(np.abs(network.v).max())
    rows = np.linalg.norm(X, axis=1)
    lipschitz = (derivative.bend or 0.0) * largest_v * norm * float(rows.max())
    if not derivative.jump:
        return lambda R: lipschitz * R
    cost = (network.W @ (X / np.where(rows > 0, rows, 1)[:, None]).T)[:, rows > 0] ** 2
    paid = np.cumsum(np.sort(cost, axis=0), axis=0)  # (k, n): total of the cheapest 1, 2, ... units

    def deviation(R: float) -> float:
        flipped = (paid <= R**2).sum(axis=0).max(initial=0)
        return float(lipschitz * R + derivative.jump * norm * largest_v * np.sqrt(flipped))

    return deviation


def _measured_deviation(network: Network, X: Array, J: Array, direction: Array) -> Bound:
    """Return ||J - J0|| as a function of the distance R, in the first direction of descent."""
    towards = J.T @ direction
    length = np.linalg.norm(towards)
    towards = towards / length if length > 0 else towards

    def deviation(R: float) -> float:
        moved = network.moved(R * towards)
        change = moved.jacobian(X) - J
        return float(np.sqrt(max(np.linalg.eigvalsh(change @ change.T)[-1], 0.0)))

    return deviation


def _largest_radius(deviation: Bound, allowed: float, precision: float = 1e-12) -> float:
    """Return the largest R with deviation(R) <= allowed, to a relative precision; 0 if none."""
    if allowed <= 0:
        return 0.0
    high = 1.0
    while deviation(high) <= allowed and high < 1e12:
        high *= 2
    if high >= 1e12:  # the Jacobian does not move, as for the linear activation
        return np.inf
    low = 0.0
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if deviation(middle) <= allowed else (low, middle)
        if high - low <= precision * high:
            break
    return low
