"""The population kernel K = E[phi(Xg) phi(Xg)^T], g ~ N(0, I_d), and alpha (Assumption 4).

A kernel is a function of the rows' norms and of the angles between them (`geometry`). Activations that
have a closed form carry it in their record; all others are integrated, by Hermite series where phi is
analytic, and cut at its kinks (`kinked`) where it is not. Rows need not have unit norm.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import linalg

from pipeline.numerics.activations import ACTIVATIONS, apply, check_activation
from pipeline.numerics.activations.record import Geometry
from pipeline.theory.geometry import Covariance, Rows
from pipeline.theory.kinked import kinked_kernel
from pipeline.theory.precise import precise_eigenvalues, precise_rounding

__all__ = [
    "Resolved",
    "alpha",
    "alpha_from_eigenvalues",
    "deep_kernel",
    "kernel_eigenvalues",
    "kernel_matrix",
    "quadrature",
    "resolved_eigenvalues",
]

Array = NDArray[np.float64]

ACCURATE = 1e-9
"""Above this share of the largest, the least eigenvalue of K has five digits: its error is about 1e-17
of the largest by rounding, and up to `TAIL` of the diagonal by the end of a Hermite series."""


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
        Exactly symmetric. The error of an entry is at most 1e-12 sqrt(K_ii K_jj), for rows of norm
        1e-3 to 10. A zero row has K_ij = E[phi(0) phi(x_j g)].

    Raises
    ------
    ValueError
        X is not a finite, non-empty matrix; the activation is unknown; or a row is too long for a
        kernel without closed form (norm above about 15).

    Examples
    --------
    >>> from pipeline.theory import kernel_matrix
    >>> kernel_matrix([[1.0, 0.0], [0.0, 2.0]], "square").tolist()
    [[3.0, 4.0], [4.0, 48.0]]
    """
    rows = np.asarray(X, dtype=np.float64)
    if rows.ndim != 2 or rows.size == 0 or not np.isfinite(rows).all():
        raise ValueError(
            f"X: got an array of shape {rows.shape}"
            + ("" if np.isfinite(rows).all() else " with values that are not finite")
            + ", expected finite numbers of shape (n, d), one sample per row"
        )
    check_activation(activation)
    return _kernel(Rows(rows), activation)


def _kernel(rows: Geometry, activation: str) -> Array:
    record = ACTIVATIONS[activation]
    if record.kernel:
        return record.kernel(rows)
    if record.kinks:
        return kinked_kernel(record.function, record.kinks, rows)
    return quadrature(partial(apply, activation), rows)


def deep_kernel(X: ArrayLike, activation: str, depth: int) -> Array:
    """Return the kernel of the last of `depth` hidden layers, in the limit of infinite width.

    The first layer has N(0, 1) weights, later ones N(0, 2/k): their pre-activations have covariance
    2 K, where K is the kernel of the layer below.

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
        K = _kernel(Covariance(2 * K), activation)
    return K


def kernel_eigenvalues(K: Array) -> Array:
    """Return the eigenvalues of K, ascending, shape (n,); K is not checked for finiteness."""
    values = linalg.eigh(K, eigvals_only=True, check_finite=False, driver="evd")
    return np.asarray(values, dtype=np.float64)


class Resolved(NamedTuple):
    """Eigenvalues of a kernel, of which the smallest are no rounding errors.

    Attributes
    ----------
    values
        Ascending, and exactly 0 where they cannot be told from 0: below some n 10^-29 of the largest,
        or n eps of it where `precise_eigenvalues` cannot help.
    unsure
        Bound on the error of the least of them.
    """

    values: Array
    unsure: float


def resolved_eigenvalues(eigenvalues: Array, X: Array, activation: str, depth: int = 1) -> Resolved:
    """Return eigenvalues of a kernel, of which the smallest are no rounding errors.

    Where the least is so far below the largest that it has lost digits, they are computed again in
    double-double numbers (`precise`).

    Parameters
    ----------
    eigenvalues : ndarray, shape (n,)
        Eigenvalues of the kernel as `kernel_eigenvalues` finds them.
    X, activation, depth
        The inputs, the activation and the number of hidden layers that the kernel belongs to.

    Returns
    -------
    Resolved
    """
    tail = 0.0 if ACTIVATIONS[activation].kernel else TAIL * float(np.abs(eigenvalues).sum())
    unsure = depth * (_rounding(eigenvalues) + tail)
    if eigenvalues[0] > ACCURATE * eigenvalues[-1]:
        return Resolved(eigenvalues, unsure)
    found = precise_eigenvalues(X, activation, depth)
    if found is not None:
        return Resolved(found, precise_rounding(found, X, activation))
    return Resolved(np.where(eigenvalues <= _rounding(eigenvalues), 0.0, eigenvalues), unsure)


def _rounding(eigenvalues: Array) -> float:
    return float(len(eigenvalues) * np.finfo(np.float64).eps * eigenvalues[-1])


def alpha_from_eigenvalues(eigenvalues: Array, *, resolved: bool = False) -> float:
    """Return alpha = sqrt(lambda_min), exactly 0 if lambda_min is below rounding.

    Parameters
    ----------
    eigenvalues : ndarray, shape (n,)
        Eigenvalues of K, ascending.
    resolved
        Whether they are from `resolved_eigenvalues`, which has set rounding errors to 0.
    """
    least = float(eigenvalues[0])
    if least <= (0.0 if resolved else _rounding(eigenvalues)):
        return 0.0
    return float(np.sqrt(least))


def alpha(X: ArrayLike, activation: str) -> float:
    """Return alpha of Assumption 4: alpha^2 is the smallest eigenvalue of K.

    alpha = 0 is a legitimate result: duplicate rows have it exactly, and with ReLU also an even number
    of six or more equispaced points on the circle. It is 0 as well where it cannot be told from 0:
    below sqrt(n) 4e-15 times the root of the largest eigenvalue, or sqrt(n eps) times it for n above
    1000, for elu and selu, and for tanh, softplus and sigmoid of rows of norm above 1.5. Else it has
    five digits.

    Parameters
    ----------
    X : array_like, shape (n, d)
        Inputs, one sample per row.
    activation
        A key of `pipeline.numerics.activations.ACTIVATIONS`.

    Raises
    ------
    ValueError
        As for `kernel_matrix`.

    Examples
    --------
    >>> from pipeline.theory import alpha
    >>> alpha([[1.0, 0.0], [0.0, 2.0]], "linear")
    1.0
    """
    rows = np.asarray(X, dtype=np.float64)
    found = kernel_eigenvalues(kernel_matrix(rows, activation))
    return alpha_from_eigenvalues(resolved_eigenvalues(found, rows, activation).values, resolved=True)


# ---- quadrature, for activations that are analytic and have no closed form

NODES = np.arange(0.01, 13, 0.02)
"""Half of a symmetric trapezoidal rule, which converges exponentially for analytic functions."""

WEIGHTS = 0.02 * np.exp(-(NODES**2) / 2) * np.sqrt(2 / np.pi)

CHUNK = 16
LONGEST_SERIES = 16384
TAIL = 1e-13


def quadrature(phi: Callable[[Array], Array], rows: Geometry) -> Array:
    """Return K of an analytic phi by Mehler's formula.

    K_ij is the sum over m of a_m(|x_i|) a_m(|x_j|) rho^m. a_m(s) are the coefficients of z -> phi(s z)
    in normalised Hermite polynomials, which depend on the norm s of the row. The even and the odd part
    of phi have their own series, so that each needs half the line. The series ends when the rest of
    E[phi^2] is below `TAIL` for every row. It ends there on the diagonal too, so K is a sum of positive
    semidefinite terms, and duplicate rows stay duplicate.
    """
    z = np.outer(rows.norms, NODES)
    ahead, behind = phi(z.copy()), phi(-z)
    even, odd = (ahead + behind) / 2, (ahead - behind) / 2
    tail = TAIL * ((even**2 + odd**2) @ WEIGHTS)
    K = _power_series(_hermite_coefficients(even, 0, tail), rows.cosine)
    K += rows.cosine * _power_series(_hermite_coefficients(odd, 1, tail), rows.cosine)
    return K


def _power_series(coefficients: Array, rho: Array) -> Array:
    """Return the sum over m of a_im a_jm rho^(2m), by Horner's rule."""
    K, term, squared = np.zeros_like(rho), np.empty_like(rho), rho**2
    for column in coefficients.T[::-1]:
        K *= squared
        K += np.multiply.outer(column, column, out=term)
    return K


def _hermite_coefficients(values: Array, parity: int, tail: Array) -> Array:
    """Return a_m of every row for the m of one parity, shape (n, terms)."""
    root = np.sqrt(WEIGHTS)  # Hermite functions, not polynomials: these stay in range
    weighted = values * root
    previous, current = np.zeros_like(NODES), root.copy()
    found, left, order = [np.empty((len(values), 0))], values**2 @ WEIGHTS, 0
    while (np.abs(left) > tail).any():
        if order >= LONGEST_SERIES:
            raise ValueError(
                f"kernel: the Hermite series has not converged after {order} terms: got rows of "
                "norm above about 15, or an activation with a kink; expected an analytic activation "
                "that is not too steep; normalise the rows, or give the activation a closed-form kernel"
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
