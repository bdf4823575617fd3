"""The population kernel K = E[phi(Xg) phi(Xg)^T], g ~ N(0, I_d), and alpha (Assumption 4).

Each activation's kernel is a function of the rows' variances p, q (squared norms) and the angle
between them, registered in `KERNELS`: a closed form where there is one, else a Hermite series.

Angles, not correlations, are what is passed on: for near-duplicate rows the angle comes from the
difference of the unit rows, since 1 - rho would lose it to rounding. Rows need not have unit norm.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from types import MappingProxyType

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import linalg

from pipeline.activations import LEAKY_SLOPE, check_activation

__all__ = ["KERNELS", "alpha", "alpha_from_eigenvalues", "kernel_eigenvalues", "kernel_matrix"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class _Rows:
    """The geometry of the rows of X that a kernel is a function of."""

    X: Array

    @cached_property
    def norms(self) -> Array:
        """Norms of the rows, shape (n,)."""
        return np.asarray(np.linalg.norm(self.X, axis=1))

    @cached_property
    def variance(self) -> Array:
        """p: squared norms, shape (n,)."""
        return self.norms**2

    @cached_property
    def cosine(self) -> Array:
        """rho, shape (n, n), exactly 1 on the diagonal."""
        rho = self._unit @ self._unit.T
        np.clip(rho, -1, 1, out=rho)
        np.fill_diagonal(rho, 1)
        return np.asarray((rho + rho.T) / 2)

    @cached_property
    def covariance(self) -> Array:
        """c, shape (n, n)."""
        return self.cosine * np.outer(self.norms, self.norms)

    @cached_property
    def angle(self) -> Array:
        """theta = arccos(rho), shape (n, n), to full relative accuracy near 0 and pi."""
        theta = np.arccos(self.cosine)
        first, second = np.nonzero(np.triu(np.abs(self.cosine) > NEARLY_PARALLEL, 1))
        step = max(1, 1_000_000 // self.X.shape[1])
        for start in range(0, len(first), step):
            i, j = first[start : start + step], second[start : start + step]
            theta[i, j] = theta[j, i] = self._close_angle(i, j)
        return np.asarray(theta)

    def _close_angle(self, i: NDArray[np.intp], j: NDArray[np.intp]) -> Array:
        a, b = self._unit[i], self._unit[j]
        apart = np.linalg.norm(a - b, axis=1)
        against = np.linalg.norm(a + b, axis=1)
        return np.asarray(2 * np.arctan2(apart, against))

    @cached_property
    def _unit(self) -> Array:
        return np.asarray(self.X / np.where(self.norms > 0, self.norms, 1)[:, None])


NEARLY_PARALLEL = 0.99
"""Above this |rho|, arccos has lost more than a digit and the difference of the rows serves."""

# ---- closed forms


def _relu(rows: _Rows) -> Array:
    theta, rho = rows.angle, rows.cosine
    shape = np.maximum(np.sin(theta) + (np.pi - theta) * rho, 0)
    return np.outer(rows.norms, rows.norms) * shape / (2 * np.pi)


def _abs(rows: _Rows) -> Array:
    theta, rho = rows.angle, rows.cosine
    shape = np.sin(theta) + (np.pi / 2 - theta) * rho
    return np.outer(rows.norms, rows.norms) * shape * (2 / np.pi)


def _leaky_relu(rows: _Rows) -> Array:
    # phi(z) = (1+s)/2 z + (1-s)/2 |z|, and the cross terms are odd
    straight, bent = ((1 + LEAKY_SLOPE) / 2) ** 2, ((1 - LEAKY_SLOPE) / 2) ** 2
    return straight * rows.covariance + bent * _abs(rows)


def _step(rows: _Rows) -> Array:
    return _nonzero(rows) * (np.pi - rows.angle) / (2 * np.pi)


def _sign(rows: _Rows) -> Array:
    return _nonzero(rows) * (1 - 2 * rows.angle / np.pi)


def _nonzero(rows: _Rows) -> Array:
    """1 where both rows have a direction: step and sign are 0 at 0."""
    return np.outer(rows.norms > 0, rows.norms > 0).astype(np.float64)


def _erf(rows: _Rows) -> Array:
    wide = 1 + 2 * rows.variance
    return np.asarray(2 / np.pi * np.arcsin(2 * rows.covariance / np.sqrt(np.outer(wide, wide))))


def _linear(rows: _Rows) -> Array:
    return rows.covariance


def _square(rows: _Rows) -> Array:
    return np.outer(rows.variance, rows.variance) + 2 * rows.covariance**2


def _cos(rows: _Rows) -> Array:
    return (_gauss(rows, -1) + _gauss(rows, 1)) / 2


def _sin(rows: _Rows) -> Array:
    # e^-(p+q)/2 sinh c: by expm1, as the two exponentials of small rows nearly cancel
    return _gauss(rows, -1) * np.expm1(2 * rows.covariance) / 2


def _gauss(rows: _Rows, sign: int) -> Array:
    """e^(sign c - (p+q)/2), in one exponential: neither factor alone would stay in range."""
    half = rows.variance / 2
    return np.asarray(np.exp(sign * rows.covariance - np.add.outer(half, half)))


def _gelu(rows: _Rows) -> Array:
    # z Phi(z) = z/2 (1 + erf(z/sqrt 2)); Stein's lemma twice, with Gaussians tilted by e^(-z^2/2)
    c, wide = rows.covariance, 1 + rows.variance
    product = np.outer(wide, wide)
    both = 2 / np.pi * np.arcsin(c / np.sqrt(product))
    inverse = np.add.outer(1 / wide, 1 / wide) - 1
    tilted = np.outer(rows.variance, rows.variance) + c**2 * inverse
    return np.asarray((c + c * both + 2 / np.pi * tilted / np.sqrt(product - c**2)) / 4)


# ---- Hermite series, for activations that are smooth and have no closed form

NODES = np.arange(0.01, 13, 0.02)
"""Half of a symmetric trapezoidal rule, which converges exponentially for analytic functions."""

WEIGHTS = 0.02 * np.exp(-(NODES**2) / 2) * np.sqrt(2 / np.pi)

CHUNK = 64
LONGEST_SERIES = 16384
TAIL = 1e-13


def _series(function: Callable[[Array], Array], odd: bool, rows: _Rows) -> Array:
    """Mehler's formula: K_ij = sum over m of a_m(|x_i|) a_m(|x_j|) rho^m.

    a_m(s) are the coefficients of z -> function(s z) in normalised Hermite polynomials, which depend
    on the norm s of the row. The function is odd or even, so every other a_m is 0. The series is
    cut where what is left of E[function^2] is below `TAIL` for every row.
    """
    values = function(np.outer(rows.norms, NODES))
    power = values**2 @ WEIGHTS
    coefficients = _hermite_coefficients(values, power, odd)
    K = np.zeros_like(rows.cosine)
    squared = rows.cosine**2
    for column in coefficients.T[::-1]:
        K *= squared
        K += np.multiply.outer(column, column)
    if odd:
        K *= rows.cosine
    np.fill_diagonal(K, power)
    return K


def _hermite_coefficients(values: Array, power: Array, odd: bool) -> Array:
    """a_m of every row, m odd or even, shape (n, terms)."""
    root = np.sqrt(WEIGHTS)  # Hermite functions, not polynomials: these stay in range
    weighted = values * root
    previous, current = np.zeros_like(NODES), root.copy()
    found, left, order = [], power.copy(), 0
    while (left > TAIL * power).any():
        if order > LONGEST_SERIES:
            raise ValueError(
                f"kernel: no closed form, and the Hermite series has not converged after {order} "
                "terms: rows of norm above about 15 are too steep; expected smaller rows, "
                "normalise them"
            )
        functions = []
        for _ in range(CHUNK):
            if order % 2 == odd:
                functions.append(current)
            grown = (NODES * current - np.sqrt(order) * previous) / np.sqrt(order + 1)
            previous, current, order = current, grown, order + 1
        found.append(weighted @ np.array(functions).T)
        left -= np.sum(found[-1] ** 2, axis=1)
    return np.hstack(found) if found else np.zeros((len(values), 1))


def _log_cosh(z: Array) -> Array:
    """log(2 cosh(z/2)): the even part of softplus, whose odd part is z/2."""
    return np.asarray(np.abs(z) / 2 + np.log1p(np.exp(-np.abs(z))))


def _softplus(rows: _Rows) -> Array:
    return rows.covariance / 4 + _series(_log_cosh, False, rows)


def _sigmoid(rows: _Rows) -> Array:
    return 0.25 + _series(lambda z: np.tanh(z / 2) / 2, True, rows)


KERNELS = MappingProxyType[str, Callable[[_Rows], Array]](
    {
        "relu": _relu,
        "leaky_relu": _leaky_relu,
        "abs": _abs,
        "step": _step,
        "sign": _sign,
        "erf": _erf,
        "linear": _linear,
        "square": _square,
        "cos": _cos,
        "sin": _sin,
        "tanh": partial(_series, np.tanh, True),
        "softplus": _softplus,
        "gelu": _gelu,
        "sigmoid": _sigmoid,
    }
)


def kernel_matrix(X: ArrayLike, activation: str) -> Array:
    """Return the population kernel K = E[phi(Xg) phi(Xg)^T] (Assumption 4).

    Parameters
    ----------
    X : array_like, shape (n, d)
        Inputs, one sample per row, of any norm.
    activation
        A key of `pipeline.activations.ACTIVATIONS`.

    Returns
    -------
    ndarray, shape (n, n), symmetric

    Raises
    ------
    ValueError
        X is not a finite, non-empty matrix; the activation is unknown; or a row is too long for a
        kernel without closed form.
    """
    rows = np.asarray(X, dtype=np.float64)
    if rows.ndim != 2 or rows.size == 0 or not np.isfinite(rows).all():
        raise ValueError(
            f"X: got an array of shape {rows.shape}"
            + ("" if np.isfinite(rows).all() else " with values that are not finite")
            + ", expected finite numbers of shape (n, d), one sample per row"
        )
    check_activation(activation)
    return KERNELS[activation](_Rows(rows))


def kernel_eigenvalues(K: Array) -> Array:
    """Return the eigenvalues of K, ascending, shape (n,)."""
    values = linalg.eigh(K, eigvals_only=True, check_finite=False, driver="evd")
    return np.asarray(values, dtype=np.float64)


def alpha_from_eigenvalues(eigenvalues: Array) -> float:
    """Return alpha = sqrt(lambda_min), exactly 0 where lambda_min is lost to rounding."""
    least, greatest = float(eigenvalues[0]), float(eigenvalues[-1])
    if least <= len(eigenvalues) * np.finfo(np.float64).eps * greatest:
        return 0.0
    return float(np.sqrt(least))


def alpha(X: ArrayLike, activation: str) -> float:
    """Return alpha of Assumption 4: alpha^2 is the smallest eigenvalue of K.

    Duplicate rows, or for ReLU an even number of six or more equispaced points on the circle, have
    alpha = 0 exactly: a legitimate result.

    Parameters
    ----------
    X : array_like, shape (n, d)
        Inputs, one sample per row.
    activation
        A key of `pipeline.activations.ACTIVATIONS`.
    """
    return alpha_from_eigenvalues(kernel_eigenvalues(kernel_matrix(X, activation)))
