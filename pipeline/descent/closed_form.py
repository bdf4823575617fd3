"""The output layer in closed form: gradient descent on v, W being fixed, after any number of steps.

f = Phi^T v is linear in v. With Phi^T = sum of sigma_i u_i w_i^T, the residual's component along u_i
shrinks by 1 - eta sigma_i^2 at every step, r_t = (I - eta Phi^T Phi)^t r_0, and the component outside
the range of Phi^T stays. Nothing is iterated: a million steps cost as much as one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["Modes", "modes", "residual_norm"]

Array = NDArray[np.float64]

IN_MEMORY = 2_000_000
"""Largest number of values in memory while many steps are evaluated."""


@dataclass(frozen=True)
class Modes:
    """The residual in the basis in which descent is diagonal.

    Attributes
    ----------
    sigma
        (m,) singular values of Phi that are not zero, descending.
    along
        (m,) components of r_0 along their left singular vectors.
    beyond
        Norm of the component of r_0 that no v can change.
    """

    sigma: Array
    along: Array
    beyond: float

    def residual(self, steps: ArrayLike, step_size: float) -> Array:
        """Return ||r_t|| after each number of steps, shape (len(steps),)."""
        t = np.asarray(steps, dtype=np.float64)
        out = np.empty(t.size)
        size = max(1, IN_MEMORY // max(1, self.sigma.size))
        for start in range(0, t.size, size):
            part = slice(start, start + size)
            out[part] = _row_norms(_times(self._shrunk(t[part], step_size), self.along))
        return np.hypot(out, self.beyond)

    def squared_residual(self, steps: ArrayLike, step_size: float) -> Array:
        """Return ||r_t||^2 after each number of steps, shape (len(steps),)."""
        with np.errstate(over="ignore"):
            return np.square(self.residual(steps, step_size))

    def travelled(self, steps: int, step_size: float) -> float:
        """Return ||v_t - v_0||."""
        x = step_size * self.sigma**2
        left = self._shrunk(np.array([float(steps)]), step_size)[0]
        signed = np.where((x > 1) & (steps % 2 == 1), -left, left)
        slow = np.minimum(x, 0.5)  # where 1 - left would cancel
        gone = np.where(x < 0.5, -np.expm1(steps * np.log1p(-slow)), 1 - signed)
        return float(np.linalg.norm(_times(gone, self.along / self.sigma)))

    def left_to_go(self, steps: int, step_size: float) -> float:
        """Return ||v_t - v_infinity||, the distance to the solution nearest to v_0."""
        left = self._shrunk(np.array([float(steps)]), step_size)[0]
        return float(np.linalg.norm(_times(left, self.along / self.sigma)))

    @property
    def shortest(self) -> float:
        """Distance from v_0 to the nearest least-squares solution: ||v^dagger|| for v_0 = 0."""
        return float(np.linalg.norm(self.along / self.sigma))

    def steps_to(self, tolerances: ArrayLike, step_size: float, budget: int) -> Array:
        """Return the first step at which ||r||^2 / ||r_0||^2 meets each tolerance; inf if none."""
        start = float(self.squared_residual([0], step_size)[0])
        last = self._lowest(step_size, budget)
        return np.array([self._first(t * start, step_size, last) for t in np.atleast_1d(tolerances)])

    def _lowest(self, step_size: float, budget: int) -> int:
        """Return the step of least loss: the last, or if descent diverges the one before the rise."""
        if not self.sigma.size or step_size * self.sigma[0] ** 2 <= 2:
            return budget
        low, high = 0, budget
        while low < high:  # a sum of t-th powers is convex in t
            middle = (low + high) // 2
            now, then = self.squared_residual([middle, middle + 1], step_size)
            low, high = (middle + 1, high) if then < now else (low, middle)
        return low

    def _first(self, target: float, step_size: float, last: int) -> float:
        low, high = 0, last
        if not self.squared_residual([last], step_size)[0] <= target:
            return np.inf
        while low < high:
            middle = (low + high) // 2
            reached = self.squared_residual([middle], step_size)[0] <= target
            low, high = (low, middle) if reached else (middle + 1, high)
        return float(low)

    def _shrunk(self, t: Array, step_size: float) -> Array:
        """Return |1 - eta sigma^2|^t, shape (steps, m)."""
        x = step_size * self.sigma**2
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
            logs = np.where(x < 1, np.log1p(-np.minimum(x, 1)), np.log(np.maximum(x, 1) - 1))
            shrunk = np.exp(np.multiply.outer(t, logs))
        return np.where(t[:, None] == 0, 1.0, shrunk)


def _times(factors: Array, along: Array) -> Array:
    """Return the product, which is 0 along modes that r_0 lacks, however fast they grow."""
    with np.errstate(over="ignore", invalid="ignore"):
        return np.where(along == 0, 0.0, factors * along)


def _row_norms(rows: Array) -> Array:
    """Return Euclidean norms of rows whose squares may overflow."""
    largest = np.abs(rows).max(axis=1, initial=0.0)
    scale = np.where((largest > 0) & np.isfinite(largest), largest, 1.0)
    with np.errstate(over="ignore"):
        return scale * np.linalg.norm(rows / scale[:, None], axis=1)


def modes(Phi: Array, residual: Array) -> Modes:
    """Diagonalise descent on v.

    Parameters
    ----------
    Phi
        Random features, shape (k, n).
    residual
        f - y at v_0, shape (n,).
    """
    _, sigma, right = np.linalg.svd(Phi, full_matrices=False)
    kept = sigma > max(Phi.shape) * np.finfo(float).eps * sigma.max(initial=0.0)
    right = right[kept]
    along = right @ residual
    beyond = residual - right.T @ along if len(right) < len(residual) else np.zeros(1)
    return Modes(sigma[kept], along, float(np.linalg.norm(beyond)))


def residual_norm(
    Phi: ArrayLike, y: ArrayLike, steps: ArrayLike, step_size: float | None = None
) -> Array:
    """Return the norm of the residual after any numbers of gradient steps on the output layer.

    Parameters
    ----------
    Phi
        Random features phi(W X^T), shape (k, n).
    y
        Labels, shape (n,).
    steps
        Whole numbers of steps from v_0 = 0, shape (s,).
    step_size
        eta; 1 / sigma_max(Phi)^2 if None. Above twice that value, descent diverges.

    Returns
    -------
    ndarray, shape (s,)
        ||r_t||_2 = ||(I - eta Phi^T Phi)^t y||_2, absolute (Section IV: descent tends to the
        pseudo-inverse solution).

    Raises
    ------
    ValueError
        The shapes do not match, values are not finite, or steps are negative or not whole.

    Examples
    --------
    >>> from pipeline.descent import residual_norm
    >>> residual_norm([[2.0, 0.0], [0.0, 1.0]], [3.0, 4.0], steps=[0, 1, 2]).tolist()
    [5.0, 3.0, 2.25]
    """
    features, labels = np.asarray(Phi, dtype=np.float64), np.asarray(y, dtype=np.float64)
    counts = _counts(steps)
    if features.ndim != 2 or labels.shape != features.shape[1:]:
        raise ValueError(
            f"Phi and y: got shapes {features.shape} and {labels.shape}, expected (k, n) and (n,)"
        )
    if not (np.isfinite(features).all() and np.isfinite(labels).all()):
        raise ValueError("Phi and y: got values that are not finite, expected finite numbers")
    if step_size is not None and not 0 < step_size < np.inf:
        raise ValueError(f"step_size: got {step_size}, expected a positive number")
    scale = np.abs(labels).max(initial=0.0) or 1.0  # descent is linear in y
    found = modes(features, -labels / scale)
    if step_size is None:
        step_size = 1 / found.sigma[0] ** 2 if found.sigma.size else 1.0
    with np.errstate(over="ignore"):
        return scale * found.residual(counts, step_size)


def _counts(steps: ArrayLike) -> Array:
    try:
        counts = np.atleast_1d(np.asarray(steps, dtype=np.float64))
    except (TypeError, ValueError):
        counts = np.array([np.nan])
    whole = np.isfinite(counts) & (counts >= 0) & (counts == np.floor(counts))
    if counts.ndim != 1 or not whole.all():
        raise ValueError(f"steps: got {steps!r}, expected whole numbers of 0 or more in one dimension")
    return counts
