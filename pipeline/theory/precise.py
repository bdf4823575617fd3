"""Eigenvalues of the population kernel that are far below the rounding errors of its entries.

The kernel is computed from the inputs, which are exact floats, in double-double numbers, and factored:
K = L L^T. The eigenvalues are the squares of the singular values of L, which floats hold to rounding.
So an eigenvalue is told from 0 down to some 10^-28 of the largest, and its root, alpha, is accurate to
about 10^-15 of the root of the largest. It takes seconds where n is 800; hence `LARGEST`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from itertools import count

import numpy as np
from numpy.typing import NDArray

from pipeline.numerics.activations.rectifiers import LEAKY_SLOPE
from pipeline.numerics.double_double import (
    EPS,
    PI,
    DoubleDouble,
    angle,
    cholesky,
    exact,
    exp,
    log,
    products,
    sqrt,
)
from pipeline.theory.geometry import Rows

__all__ = ["LARGEST", "precise_eigenvalues", "precise_kernel", "precise_rounding"]

Array = NDArray[np.float64]

LARGEST = 1000
"""Largest n: beyond, time and memory are those of a sweep of their own."""

ROUNDING = 16 * EPS
"""Eigenvalues up to n times this of the largest are rounding: exactly 0."""

PARALLEL = 8 * EPS
"""Rows whose squared sine is at most this have one direction."""


def precise_eigenvalues(X: Array, activation: str, depth: int = 1) -> Array | None:
    """Return the eigenvalues of the kernel of `depth` hidden layers, ascending, shape (n,).

    Parameters
    ----------
    X : ndarray, shape (n, d)
        Inputs.
    activation
        A key of `pipeline.numerics.activations.ACTIVATIONS`.
    depth
        Number of hidden layers.

    Returns
    -------
    ndarray or None
        Exactly 0 where they cannot be told from 0; None where n is above `LARGEST`, numbers overflow,
        a series is too long, or the activation is not known here.
    """
    if len(X) > LARGEST or activation not in KERNELS:
        return None
    with np.errstate(all="ignore"):  # what overflows is found below
        C = products(X)
        for layer in range(depth):
            C = precise_kernel(C * 2.0 if layer else C, activation)
    if not (np.isfinite(C.high).all() and np.isfinite(C.low).all()):
        return None
    values = np.linalg.svd(cholesky(C), compute_uv=False)[::-1] ** 2
    return np.where(values <= len(values) * ROUNDING * values[-1], 0.0, values)


def precise_rounding(eigenvalues: Array, X: Array, activation: str) -> float:
    """Return a bound on the errors of eigenvalues from `precise_eigenvalues`.

    Step functions need the angle between rows itself, and its error grows as the rows come closer:
    it is half of that of the squared sine, over the sine.
    """
    unsure = 2 * len(eigenvalues) * ROUNDING * float(eigenvalues[-1])
    if activation in ("step", "sign"):
        apart = np.maximum(Rows(X).sine, np.sqrt(PARALLEL))
        unsure += PARALLEL * float((1 / apart).sum(axis=1).max())
    return unsure


def precise_kernel(C: DoubleDouble, activation: str) -> DoubleDouble:
    """Return the kernel of pre-activations of a covariance C, shape (n, n)."""
    return KERNELS[activation](C)


# ---- closed forms, as in the records of the activations


def _diagonal(C: DoubleDouble) -> DoubleDouble:
    return DoubleDouble(np.diagonal(C.high).copy(), np.diagonal(C.low).copy())


def _outer(column: DoubleDouble, row: DoubleDouble | None = None) -> DoubleDouble:
    return column[:, None] * (column if row is None else row)[None, :]


def _only(where: NDArray[np.bool_], x: DoubleDouble) -> DoubleDouble:
    """Return x there, and 0 elsewhere."""
    return DoubleDouble(np.where(where, x.high, 0), np.where(where, x.low, 0))


def _area(C: DoubleDouble) -> DoubleDouble:
    """Return |x_i| |x_j| sin theta, exactly 0 for rows of one direction."""
    whole = _outer(_diagonal(C))
    square = whole - C * C
    return sqrt(_only(square.high > PARALLEL * whole.high, square))


def _rectifier(slope: float, C: DoubleDouble) -> DoubleDouble:
    straight, bent = (exact(1.0) + slope) * 0.5, (exact(1.0) - slope) * 0.5
    area = _area(C)
    absolute = (area + C * angle(C, area)) * 2.0 / PI
    return C * (straight * straight) + absolute * (bent * bent)


def _step(C: DoubleDouble) -> DoubleDouble:
    return _only(_directed(C), angle(C, _area(C)) / (PI * 2.0) + 0.25)


def _sign(C: DoubleDouble) -> DoubleDouble:
    return _only(_directed(C), angle(C, _area(C)) * 2.0 / PI)


def _directed(C: DoubleDouble) -> NDArray[np.bool_]:
    p = np.diagonal(C.high)
    return np.asarray(np.outer(p > 0, p > 0))


def _erf(C: DoubleDouble) -> DoubleDouble:
    wide, twice = _diagonal(C) * 2.0 + 1.0, C * 2.0
    return angle(twice, sqrt(_outer(wide) - twice * twice)) * 2.0 / PI


def _gelu(C: DoubleDouble) -> DoubleDouble:
    p = _diagonal(C)
    wide = p + 1.0
    square = C * C
    left = _outer(wide) - square
    inverse = exact(1.0) / wide
    tilted = _outer(p) + square * (inverse[:, None] + inverse[None, :] - 1.0)
    return (C + (C * angle(C, sqrt(left)) + tilted / sqrt(left)) * 2.0 / PI) * 0.25


def _square(C: DoubleDouble) -> DoubleDouble:
    return _outer(_diagonal(C)) + C * C * 2.0


def _cube(C: DoubleDouble) -> DoubleDouble:
    return C * (_outer(_diagonal(C)) * 9.0 + C * C * 6.0)


def _hermite2(C: DoubleDouble) -> DoubleDouble:
    return C * C + _outer(_diagonal(C) - 1.0) * 0.5


def _hermite3(C: DoubleDouble) -> DoubleDouble:
    return C * (C * C + _outer(_diagonal(C) - 1.0) * 1.5)


def _gaussian(C: DoubleDouble) -> DoubleDouble:
    return exact(1.0) / sqrt(_outer(_diagonal(C) + 1.0) - C * C)


def _wave(sign: float, C: DoubleDouble) -> DoubleDouble:
    half = _diagonal(C) * 0.5
    both = half[:, None] + half[None, :]
    return (exp(C - both) + exp(-C - both) * sign) * 0.5


# ---- Hermite series, as in `kernels`, on nodes that floats hold exactly

NODES = (np.arange(832) + 0.5) / 64

CHUNK = 8
NEGLIGIBLE = 1e-34
"""A series ends when eight terms in a row are below this share of the whole."""

LONGEST_ROW = 1.5
"""The number of terms grows with the square of the norm: tanh needs 550 for rows of this norm."""


def _tanh(z: DoubleDouble) -> DoubleDouble:
    shrunk = exp(DoubleDouble(-2 * np.abs(z.high), -2 * np.sign(z.high) * z.low))
    return (1.0 - shrunk) / (shrunk + 1.0) * np.sign(z.high)


def _sigmoid(z: DoubleDouble) -> DoubleDouble:
    shrunk = exp(DoubleDouble(-np.abs(z.high), -np.sign(z.high) * z.low))
    above = exact(1.0) / (shrunk + 1.0)
    return _only(z.high > 0, above) + _only(z.high <= 0, shrunk * above)


def _softplus(z: DoubleDouble) -> DoubleDouble:
    shrunk = exp(DoubleDouble(-np.abs(z.high), -np.sign(z.high) * z.low))
    return _only(z.high > 0, z) + log(shrunk + 1.0)


def _series(phi: Callable[[DoubleDouble], DoubleDouble], C: DoubleDouble) -> DoubleDouble:
    norms = sqrt(_diagonal(C))
    if norms.high.max() > LONGEST_ROW:
        return C * np.nan
    z = norms[:, None] * NODES
    ahead, behind = phi(z), phi(-z)
    lengths = _outer(norms)
    rho = C / (lengths + np.where(lengths.high > 0, 0.0, 1.0))
    square = rho * rho
    even = _horner(_coefficients((ahead + behind) * 0.5, 0), square)
    odd = _horner(_coefficients((ahead - behind) * 0.5, 1), square)
    return even + rho * odd


def _horner(coefficients: list[DoubleDouble], square: DoubleDouble) -> DoubleDouble:
    total = square * 0.0
    for column in reversed(coefficients):
        total = total * square + _outer(column)
    return total


def _coefficients(values: DoubleDouble, parity: int) -> list[DoubleDouble]:
    """Return the Hermite coefficients of one parity, each of shape (n,), up to where they vanish."""
    weighted = values * _hermite_function(0)
    whole = (weighted * weighted).sum().high
    found: list[DoubleDouble] = []
    for order in count(parity, 2):
        found.append((weighted * _hermite_function(order)).sum())
        last = np.array([one.high**2 for one in found[-CHUNK:]])
        if len(found) >= CHUNK and (last <= NEGLIGIBLE * whole).all():
            break
    return found


@cache
def _hermite_function(order: int) -> DoubleDouble:
    """Return the normalised Hermite polynomial at the nodes, times the root of their weights.

    The cache ends the recursion after two steps, as orders are asked for in turn.
    """
    if order == 0:
        return sqrt(exp(exact(NODES) * NODES * -0.5) * sqrt(exact(2.0) / PI) / 64.0)
    grown = _hermite_function(order - 1) * NODES
    if order > 1:
        grown = grown - sqrt(exact(order - 1.0)) * _hermite_function(order - 2)
    return grown / sqrt(exact(float(order)))


KERNELS: dict[str, Callable[[DoubleDouble], DoubleDouble]] = {
    "relu": partial(_rectifier, 0.0),
    "leaky_relu": partial(_rectifier, LEAKY_SLOPE),
    "abs": partial(_rectifier, -1.0),
    "step": _step,
    "sign": _sign,
    "erf": _erf,
    "linear": lambda C: C,
    "square": _square,
    "cube": _cube,
    "hermite2": _hermite2,
    "hermite3": _hermite3,
    "gaussian": _gaussian,
    "cos": partial(_wave, 1.0),
    "sin": partial(_wave, -1.0),
    "gelu": _gelu,
    "tanh": partial(_series, _tanh),
    "sigmoid": partial(_series, _sigmoid),
    "softplus": partial(_series, _softplus),
}
"""The kernels that are known in double-double numbers, as functions of the covariance."""
