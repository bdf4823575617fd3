"""The population kernel K = E[phi(Xg) phi(Xg)^T], g ~ N(0, I_d), and alpha (Assumption 4).

A kernel is a function of the rows' norms and of the angles between them. `KERNELS` registers the
closed forms; an activation without one is integrated, by Hermite series, which asks of it only that
it be analytic. Rows need not have unit norm.

For near-duplicate rows rho and the angle come from the difference of the unit rows, since an inner
product near 1 has lost it to rounding: duplicate rows have rho = 1 exactly, and the kernels with a kink
see the angle itself, not its square.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cached_property, partial
from types import MappingProxyType

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import linalg

from pipeline.numerics.activations import LEAKY_SLOPE, apply, check_activation

__all__ = [
    "KERNELS",
    "alpha",
    "alpha_from_eigenvalues",
    "deep_kernel",
    "kernel_eigenvalues",
    "kernel_matrix",
]

Array = NDArray[np.float64]


class _Rows:
    """The geometry of the rows of X that a kernel is a function of.

    `cosine` is rho, shape (n, n), exactly 1 on the diagonal and for duplicate rows, -1 for opposite
    ones.
    """

    def __init__(self, X: Array) -> None:
        self.norms = np.asarray(np.linalg.norm(X, axis=1))
        self._unit = X / np.where(self.norms > 0, self.norms, 1)[:, None]
        rho = _cosine(self._unit @ self._unit.T)  # NumPy sees the transpose: syrk, exactly symmetric
        first, second = divmod(np.flatnonzero(np.abs(rho) > NEARLY_PARALLEL), len(rho))
        self._close = first[first < second], second[first < second]
        for i, j in self._nearly_parallel():
            sign = np.sign(rho[i, j])
            apart = np.linalg.norm(self._unit[i] - sign[:, None] * self._unit[j], axis=1)
            rho[i, j] = rho[j, i] = sign * (1 - apart**2 / 2)
        self.cosine = rho

    @cached_property
    def variance(self) -> Array:
        """p: squared norms, shape (n,)."""
        return self.norms**2

    @cached_property
    def covariance(self) -> Array:
        """c, shape (n, n)."""
        return self.cosine * np.outer(self.norms, self.norms)

    @cached_property
    def angle(self) -> Array:
        """theta = arccos(rho), shape (n, n), to full relative accuracy near 0 and pi."""
        theta = np.arccos(self.cosine)
        for i, j in self._nearly_parallel():
            a, b = self._unit[i], self._unit[j]
            apart, against = np.linalg.norm(a - b, axis=1), np.linalg.norm(a + b, axis=1)
            theta[i, j] = theta[j, i] = 2 * np.arctan2(apart, against)
        return np.asarray(theta)

    @cached_property
    def sine(self) -> Array:
        """sin theta, shape (n, n), to full relative accuracy near 0 and pi.

        From rho where that has it: the sine of every angle took half of a kernel's time.
        """
        sine = _sine(self.cosine)
        for i, j in self._nearly_parallel():
            sine[i, j] = sine[j, i] = np.sin(self.angle[i, j])
        return sine

    def _nearly_parallel(self) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
        """Go through the pairs i < j of close or nearly opposite rows, some at a time."""
        first, second = self._close
        step = max(1, 1_000_000 // self._unit.shape[1])  # bounds the memory of many close rows
        for start in range(0, len(first), step):
            yield first[start : start + step], second[start : start + step]


class _Covariance(_Rows):
    """The same of rows that are known by their inner products alone, as near as those tell."""

    def __init__(self, C: Array) -> None:
        self.norms = np.sqrt(np.diagonal(C))
        square = np.outer(np.diagonal(C), np.diagonal(C))
        self.cosine = _cosine(C / np.sqrt(np.where(square > 0, square, 1)))  # exact for duplicates

    @cached_property
    def angle(self) -> Array:
        """theta; what rounding has left of it near 0 and pi."""
        return np.asarray(np.arccos(self.cosine))

    @cached_property
    def sine(self) -> Array:
        """sin theta, likewise."""
        return _sine(self.cosine)


def _cosine(product: Array) -> Array:
    """`product` of unit rows as rho, in place: within [-1, 1], and exactly 1 on the diagonal."""
    np.clip(product, -1, 1, out=product)
    np.fill_diagonal(product, 1)
    return product


def _sine(cosine: Array) -> Array:
    """sin arccos rho: to full accuracy of the rho that it is given, where 1 - rho^2 would not be."""
    sine = 1 - cosine
    sine *= 1 + cosine
    return np.asarray(np.sqrt(sine, out=sine))


NEARLY_PARALLEL = 0.99
"""Above this |rho|, arccos has lost more than a digit and the difference of the rows serves."""

# ---- closed forms


def _rectifier(slope: float, rows: _Rows) -> Array:
    """phi(z) = max(z, slope z): leaky ReLU, and with slope -1 the absolute value.

    phi(z) = (1 + slope)/2 z + (1 - slope)/2 |z|, whose cross terms are odd: so c and K_abs add up,
    here to one arc-cosine kernel (Cho and Saul 2009).
    """
    straight, bent = ((1 + slope) / 2) ** 2, ((1 - slope) / 2) ** 2 * 2 / np.pi
    K = np.pi / 2 + straight / bent - rows.angle
    K *= rows.cosine
    K += rows.sine
    scaled = np.sqrt(bent) * rows.norms
    K *= np.outer(scaled, scaled)
    return np.asarray(K)


def _relu(rows: _Rows) -> Array:
    K = _rectifier(0.0, rows)
    return np.asarray(np.maximum(K, 0, out=K))  # near-opposite rows cancel to rounding


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
    c = rows.covariance
    return np.asarray(np.sign(c) * _gauss(rows, np.sign(c)) * np.expm1(-2 * np.abs(c)) / -2)


def _gauss(rows: _Rows, sign: int | Array) -> Array:
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


# ---- quadrature, for activations that are analytic and have no closed form

NODES = np.arange(0.01, 13, 0.02)
"""Half of a symmetric trapezoidal rule, which converges exponentially for analytic functions."""

WEIGHTS = 0.02 * np.exp(-(NODES**2) / 2) * np.sqrt(2 / np.pi)

CHUNK = 16
LONGEST_SERIES = 16384
TAIL = 1e-13


def _quadrature(activation: str, rows: _Rows) -> Array:
    """K by Mehler's formula, K_ij = sum over m of a_m(|x_i|) a_m(|x_j|) rho^m.

    a_m(s) are the coefficients of z -> phi(s z) in normalised Hermite polynomials, which depend on
    the norm s of the row. Even and odd part of phi have their own series, so each needs half the
    line. The series is cut where what is left of E[phi^2] is below `TAIL` for every row, on the
    diagonal too: a sum of positive semi-definite terms, and duplicate rows stay duplicate.
    """
    z = np.outer(rows.norms, NODES)
    ahead, behind = apply(activation, z.copy()), apply(activation, -z)
    even, odd = (ahead + behind) / 2, (ahead - behind) / 2
    tail = TAIL * ((even**2 + odd**2) @ WEIGHTS)
    K = _power_series(_hermite_coefficients(even, 0, tail), rows.cosine)
    K += rows.cosine * _power_series(_hermite_coefficients(odd, 1, tail), rows.cosine)
    return K


def _power_series(coefficients: Array, rho: Array) -> Array:
    """Sum over m of a_im a_jm rho^(2m), by Horner's rule."""
    K, term, squared = np.zeros_like(rho), np.empty_like(rho), rho**2
    for column in coefficients.T[::-1]:
        K *= squared
        K += np.multiply.outer(column, column, out=term)
    return K


def _hermite_coefficients(values: Array, parity: int, tail: Array) -> Array:
    """a_m of every row for the m of one parity, shape (n, terms)."""
    root = np.sqrt(WEIGHTS)  # Hermite functions, not polynomials: these stay in range
    weighted = values * root
    previous, current = np.zeros_like(NODES), root.copy()
    found, left, order = [np.empty((len(values), 0))], values**2 @ WEIGHTS, 0
    while (np.abs(left) > tail).any():
        if order >= LONGEST_SERIES:
            raise ValueError(
                f"kernel: the Hermite series has not converged after {order} terms: got rows of "
                "norm above about 15, or an activation with a kink; expected an analytic activation "
                "that is not too steep; normalise the rows, or register a closed form in KERNELS"
            )
        functions = []
        for _ in range(CHUNK):
            if order % 2 == parity:
                functions.append(current)
            grown = (NODES * current - np.sqrt(order) * previous) / np.sqrt(order + 1)
            previous, current, order = current, grown, order + 1
        found.append(weighted @ np.array(functions).T)
        left -= np.sum(found[-1] ** 2, axis=1)
    return np.hstack(found)


KERNELS = MappingProxyType[str, Callable[[_Rows], Array]](
    {
        "relu": _relu,
        "leaky_relu": partial(_rectifier, LEAKY_SLOPE),
        "abs": partial(_rectifier, -1.0),
        "step": _step,
        "sign": _sign,
        "erf": _erf,
        "linear": _linear,
        "square": _square,
        "cos": _cos,
        "sin": _sin,
        "gelu": _gelu,
    }
)
"""The closed forms, verified against quadrature; every other activation is integrated."""


def kernel_matrix(X: ArrayLike, activation: str) -> Array:
    """Return the population kernel K = E[phi(Xg) phi(Xg)^T] (Assumption 4).

    Parameters
    ----------
    X : array_like, shape (n, d)
        Inputs, one sample per row, of any norm.
    activation
        A key of `pipeline.numerics.activations.ACTIVATIONS`.

    Returns
    -------
    ndarray, shape (n, n)
        Exactly symmetric. An entry is good to 1e-12 of sqrt(K_ii K_jj), for rows of norm 1e-3 to
        10. A zero row has K_ij = E[phi(0) phi(x_j g)].

    Raises
    ------
    ValueError
        X is not a finite, non-empty matrix; the activation is unknown; or a row is too long for a
        kernel without closed form (norm above about 15).
    """
    rows = np.asarray(X, dtype=np.float64)
    if rows.ndim != 2 or rows.size == 0 or not np.isfinite(rows).all():
        raise ValueError(
            f"X: got an array of shape {rows.shape}"
            + ("" if np.isfinite(rows).all() else " with values that are not finite")
            + ", expected finite numbers of shape (n, d), one sample per row"
        )
    check_activation(activation)
    return _kernel(_Rows(rows), activation)


def _kernel(rows: _Rows, activation: str) -> Array:
    return KERNELS.get(activation, partial(_quadrature, activation))(rows)


def deep_kernel(X: ArrayLike, activation: str, depth: int) -> Array:
    """Return the kernel of the last of `depth` hidden layers, in the limit of infinite width.

    The first layer has N(0, 1) weights, later ones N(0, 2/k): their pre-activations have covariance
    2 K, K being the kernel of the layer below.

    Parameters
    ----------
    X : array_like, shape (n, d)
        Inputs, one sample per row.
    activation
        A key of `pipeline.numerics.activations.ACTIVATIONS`.
    depth
        Number of hidden layers, 1 or more; 1 is `kernel_matrix`.

    Returns
    -------
    ndarray, shape (n, n)
    """
    K = kernel_matrix(X, activation)
    for _ in range(depth - 1):
        K = _kernel(_Covariance(2 * K), activation)
    return K


def kernel_eigenvalues(K: Array) -> Array:
    """Return the eigenvalues of K, ascending, shape (n,); K is not checked for finiteness."""
    values = linalg.eigh(K, eigvals_only=True, check_finite=False, driver="evd")
    return np.asarray(values, dtype=np.float64)


def alpha_from_eigenvalues(eigenvalues: Array) -> float:
    """Return alpha = sqrt(lambda_min), exactly 0 where lambda_min is lost to rounding.

    Parameters
    ----------
    eigenvalues : ndarray, shape (n,)
        Of K, ascending.
    """
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
        A key of `pipeline.numerics.activations.ACTIVATIONS`.

    Raises
    ------
    ValueError
        As `kernel_matrix`.
    """
    return alpha_from_eigenvalues(kernel_eigenvalues(kernel_matrix(X, activation)))
