"""Extreme eigenvalues of a symmetric matrix that is stored as one triangle, by Lanczos.

At the sizes of a trial (n of some hundreds) a step takes microseconds, and so does a call from Python.
The whole iteration is therefore compiled. Every few steps it checks whether the largest Ritz value has
converged: LAPACK decides, but is asked only where a cheap estimate does not rule it out.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from llvmlite import binding
from numba import types
from numba.extending import get_cython_function_address
from numpy.typing import NDArray
from scipy.linalg import lapack

from pipeline.numerics.compiled import compiled, entry, in_order

__all__ = ["largest_eigenvalue", "smallest_eigenvalue"]

Array = NDArray[np.float64]

TOLERANCE = 1e-8
"""Relative residual at which a value is accepted. It bounds the error; the actual error is of the order
of its square over the gap to the next eigenvalue."""

STEPS = 80
"""Largest number of steps, more than Lanczos needs; the value is nan if it has not converged then."""

FIRST_LOOK, NEXT_LOOK = 6, 2

DOUBT = 10.0
"""Factor by which the cheap estimate of a residual may be wrong."""

VECTORS = np.uint8(ord("V"))


def _declared(name: str, *arguments: Any) -> Any:
    """Return a routine of SciPy's LAPACK for compiled functions.

    It is known to the linker by a name: an address would differ in the process that loads the compiled
    function from the cache.
    """
    symbol = f"widthlaw_{name}"
    binding.add_symbol(symbol, get_cython_function_address("scipy.linalg.cython_lapack", name))
    return types.ExternalFunction(symbol, types.void(*map(types.CPointer, arguments)))


REAL, INTEGER, LETTER = types.float64, types.int32, types.uint8
_dstev = _declared("dstev", LETTER, INTEGER, REAL, REAL, REAL, INTEGER, REAL, INTEGER)


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
    return float(_iterate(matrix, inverse, _start(len(matrix))))


@lru_cache(maxsize=32)
def _start(n: int) -> Array:
    """Return a fixed vector in general position: the same for every trial, from no trial's stream."""
    vector = np.random.Generator(np.random.Philox(key=n)).standard_normal(n)
    return vector / np.linalg.norm(vector)


@entry
def _iterate(matrix, inverse, start):  # type: ignore[no-untyped-def]
    """Take steps until the largest Ritz value has converged; return it, or nan."""
    n = start.size
    most = min(n, STEPS)
    basis = np.empty((most + 1, n))
    _copy(start, basis[0])
    diagonal, beside = np.empty(most), np.empty(most)
    done, until, value = 0, min(most, FIRST_LOOK), np.nan
    while done < most:
        done, exhausted = _extend(matrix, inverse, basis, diagonal, beside, done, until)
        last_look = exhausted or done == n
        until = min(most, done + NEXT_LOOK)
        value, last = _estimate(diagonal[:done], beside[: done - 1], value)
        if not last_look and beside[done - 1] * last > DOUBT * TOLERANCE * value:
            continue
        value, last = _top_ritz(diagonal[:done], beside[: done - 1])
        if last_look or beside[done - 1] * last <= TOLERANCE * value:
            return value
    return np.nan


@compiled
def _estimate(diagonal, beside, value):  # type: ignore[no-untyped-def]
    """Return roughly what `_top_ritz` does, from a value that is slightly too low; nan if it fails.

    `left` is the last pivot of value - T, taken from below upwards. It is concave and increasing
    beyond the poles, where all other pivots are positive, so Newton's steps rise to the eigenvalue.
    """
    for _ in range(4):
        left, slope, ratio = value - diagonal[-1], 1.0, 1.0
        for i in range(beside.size - 1, -1, -1):
            if not left > 0:
                return np.nan, 0.0
            down = beside[i] / left
            left, slope = value - diagonal[i] - down * beside[i], 1.0 + down * down * slope
            ratio *= down
        value -= left / slope
    return value, ratio / np.sqrt(slope)  # the slope is the square of the vector with first entry 1


@compiled
def _top_ritz(diagonal, beside):  # type: ignore[no-untyped-def]
    """Return the largest eigenvalue of the tridiagonal matrix and the last component of its vector."""
    size = diagonal.size
    if size == 1:
        return diagonal[0], 1.0
    job, order, info = np.array([VECTORS]), np.array([size], np.int32), np.zeros(1, np.int32)
    values, rest = diagonal.copy(), beside.copy()
    vectors, work = np.empty((size, size)), np.empty(2 * size)
    of_order = order.ctypes
    _dstev(
        job.ctypes,
        of_order,
        values.ctypes,
        rest.ctypes,
        vectors.ctypes,
        of_order,
        work.ctypes,
        info.ctypes,
    )
    return values[-1], abs(
        vectors[-1, -1]
    )  # by rows here, by columns there: either way the last of both


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
def _copy(a, into):  # type: ignore[no-untyped-def]
    """Copy; for `into[:] = a` numba would take seconds to compile the message of its error."""
    for i in range(a.size):
        into[i] = a[i]


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
    _copy(x, into)
    _sweep(factor, into)
    for j in range(x.size - 1, -1, -1):
        into[j] = (into[j] - _dot(into[j + 1 :], factor[j + 1 :, j])) / factor[j, j]


@compiled
def _sweep(factor, x):  # type: ignore[no-untyped-def]
    """Overwrite x by L^-1 x, four columns at a time: x is then read and written less often."""
    whole = x.size - x.size % 4
    for j in range(0, whole, 4):
        for m in range(j, j + 4):
            x[m] /= factor[m, m]
            for i in range(m + 1, j + 4):
                x[i] -= x[m] * factor[i, m]
        p, q, r, s = x[j], x[j + 1], x[j + 2], x[j + 3]
        beyond, first, second = x[j + 4 :], factor[j + 4 :, j], factor[j + 4 :, j + 1]
        third, fourth = factor[j + 4 :, j + 2], factor[j + 4 :, j + 3]
        _subtract_four(beyond, p, first, q, second, r, third, s, fourth)
    for j in range(whole, x.size):
        x[j] /= factor[j, j]
        _subtract(x[j + 1 :], x[j], factor[j + 1 :, j])


@in_order
def _subtract_four(a, p, first, q, second, r, third, s, fourth):  # type: ignore[no-untyped-def]
    for i in range(a.size):
        a[i] = (((a[i] - p * first[i]) - q * second[i]) - r * third[i]) - s * fourth[i]
