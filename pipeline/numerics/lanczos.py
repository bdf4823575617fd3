"""Extreme eigenvalues of a symmetric matrix that is stored as one triangle, by Lanczos.

At the sizes of a trial (n of some hundreds) a step takes microseconds. Steps are therefore compiled,
and only every few steps Python checks whether the largest Ritz value has converged.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import lapack

from pipeline.numerics.compiled import compiled

__all__ = ["STEPS", "TOLERANCE", "largest_eigenvalue", "smallest_eigenvalue"]

Array = NDArray[np.float64]

TOLERANCE = 1e-8
"""Relative residual at which a value is accepted. It bounds the error; the actual error is of the order
of its square over the gap to the next eigenvalue."""

STEPS = 80
"""Largest number of steps, more than Lanczos needs; the value is nan if it has not converged then."""

FIRST_LOOK, NEXT_LOOK = 6, 2


def largest_eigenvalue(matrix: Array) -> float:
    """Return the largest eigenvalue of a positive semidefinite matrix.

    Parameters
    ----------
    matrix : ndarray, shape (n, n)
        Fortran order; only the lower triangle is read.

    Returns
    -------
    float
        nan if Lanczos does not converge.
    """
    return _lanczos(matrix, inverse=False)


def smallest_eigenvalue(matrix: Array, shift: float = 0.0) -> float:
    """Return the smallest eigenvalue of a symmetric matrix; nan if the shift is not below it.

    Parameters
    ----------
    matrix : ndarray, shape (n, n)
        Fortran order; only the lower triangle is read, and it is overwritten.
    shift
        A lower bound; the closer it is to the eigenvalue, the fewer steps are needed. The Cholesky
        factorisation succeeds only if it is below the spectrum.
    """
    matrix.ravel(order="K")[:: len(matrix) + 1] -= shift
    factor, info = lapack.dpotrf(matrix, lower=1, clean=0, overwrite_a=1)
    return np.nan if info else shift + 1 / _lanczos(factor, inverse=True)


def _lanczos(matrix: Array, inverse: bool) -> float:
    """Return the largest eigenvalue of the matrix, or of (L L^T)^-1 if `inverse` and `matrix` is L."""
    n = len(matrix)
    most = min(n, STEPS)
    basis = np.empty((most + 1, n))
    basis[0] = _start(n)
    diagonal, beside = np.empty(most), np.empty(most)
    done, until = 0, min(most, FIRST_LOOK)
    while done < most:
        done, exhausted = _extend(matrix, inverse, basis, diagonal, beside, done, until)
        value, last = _top_ritz(diagonal[:done], beside[: done - 1])
        if exhausted or done == n or beside[done - 1] * last <= TOLERANCE * value:
            return value
        until = min(most, done + NEXT_LOOK)
    return np.nan


def _top_ritz(diagonal: Array, beside: Array) -> tuple[float, float]:
    """Return the largest eigenvalue of the tridiagonal matrix and the last component of its vector."""
    if len(diagonal) == 1:
        return float(diagonal[0]), 1.0
    values, vectors, _ = lapack.dstev(diagonal, beside)
    return float(values[-1]), abs(float(vectors[-1, -1]))


@lru_cache(maxsize=32)
def _start(n: int) -> Array:
    """Return a fixed vector in general position: the same for every trial, from no trial's stream."""
    vector = np.random.Generator(np.random.Philox(key=n)).standard_normal(n)
    return vector / np.linalg.norm(vector)


@compiled
def _extend(matrix, inverse, basis, diagonal, beside, done, until):  # type: ignore[no-untyped-def]
    """Take the steps `done` to `until`; return the steps done and True if the space is exhausted.

    Full reorthogonalisation is cheap for some dozens of steps, and prevents ghost eigenvalues.
    """
    for step in range(done, until):
        grown = basis[step + 1]
        if inverse:
            _solve(matrix, basis[step], grown)
        else:
            _multiply(matrix, basis[step], grown)
        image = _dot(grown, grown)
        diagonal[step] = _dot(grown, basis[step])
        for _ in range(2):
            for known in range(step + 1):
                _subtract(grown, _dot(grown, basis[known]), basis[known])
        square = _dot(grown, grown)
        beside[step] = np.sqrt(square)
        if square <= 1e-28 * image:  # only rounding errors are left
            return step + 1, True
        grown /= beside[step]
    return until, False


# The loops below run over slices, from 0: numba cannot vectorise loops whose index might be negative.


@compiled
def _dot(a, b):  # type: ignore[no-untyped-def]
    total = 0.0
    for i in range(a.size):
        total += a[i] * b[i]
    return total


@compiled
def _subtract(a, factor, b):  # type: ignore[no-untyped-def]
    for i in range(a.size):
        a[i] -= factor * b[i]


@compiled
def _multiply(matrix, x, into):  # type: ignore[no-untyped-def]
    """Compute `into` = A x; each column of the lower triangle is read once, for both triangles."""
    into[:] = 0.0
    for j in range(x.size):
        column, beyond, below = matrix[j + 1 :, j], x[j + 1 :], into[j + 1 :]
        at, total = x[j], matrix[j, j] * x[j]
        for i in range(column.size):
            total += column[i] * beyond[i]
            below[i] += column[i] * at
        into[j] += total


@compiled
def _solve(factor, x, into):  # type: ignore[no-untyped-def]
    """Compute `into` = (L L^T)^-1 x, column by column of L in both sweeps."""
    into[:] = x
    for j in range(x.size):
        into[j] /= factor[j, j]
        _subtract(into[j + 1 :], into[j], factor[j + 1 :, j])
    for j in range(x.size - 1, -1, -1):
        into[j] = (into[j] - _dot(into[j + 1 :], factor[j + 1 :, j])) / factor[j, j]
