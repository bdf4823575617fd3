"""Double-double numbers: pairs of floats whose sum has 31 digits, for arrays of them.

The least eigenvalue of a kernel can be 10^-13 of the largest. Computed from entries of 16 digits it is
rounding. Twice the digits square what can be told from 0. The basic operations are those of Dekker
(1971) and Knuth; the elementary functions take one step of Newton's method from the float beside them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.numerics.compiled import compiled

__all__ = [
    "EPS",
    "LN2",
    "PI",
    "DoubleDouble",
    "angle",
    "cholesky",
    "exact",
    "exp",
    "log",
    "products",
    "sqrt",
]

Array = NDArray[np.float64]

EPS = 2.0**-100
"""Bound on the relative error of an operation, with room for the elementary functions."""

SPLIT = 2.0**27 + 1

TERMS = 20
"""Terms of the Taylor series, more than small arguments need."""


@dataclass(frozen=True)
class DoubleDouble:
    """An array of numbers `high` + `low`, where `low` is below the last place of `high`."""

    high: Array
    low: Array

    __array_ufunc__ = None  # NumPy leaves the operators to this class

    def __add__(self, other: DoubleDouble | Array | float) -> DoubleDouble:
        there = exact(other)
        total, rest = _two_sum(self.high, there.high)
        below, least = _two_sum(self.low, there.low)
        total, rest = _normal(total, rest + below)
        return DoubleDouble(*_normal(total, rest + least))

    def __neg__(self) -> DoubleDouble:
        return DoubleDouble(-self.high, -self.low)

    def __sub__(self, other: DoubleDouble | Array | float) -> DoubleDouble:
        return self + -exact(other)

    def __rsub__(self, other: Array | float) -> DoubleDouble:
        return -self + other

    def __mul__(self, other: DoubleDouble | Array | float) -> DoubleDouble:
        there = exact(other)
        product, rest = _two_product(self.high, there.high)
        return DoubleDouble(*_normal(product, rest + (self.high * there.low + self.low * there.high)))

    def __truediv__(self, other: DoubleDouble | Array | float) -> DoubleDouble:
        there = exact(other)
        first = self.high / there.high
        left = self - there * first
        second = left.high / there.high
        left = left - there * second
        return exact(first) + second + left.high / there.high

    __radd__, __rmul__ = __add__, __mul__

    def __getitem__(self, index: Any) -> DoubleDouble:
        return DoubleDouble(self.high[index], self.low[index])

    @property
    def T(self) -> DoubleDouble:
        """The transpose."""
        return DoubleDouble(self.high.T, self.low.T)

    def sum(self) -> DoubleDouble:
        """Return the sums along the last axis."""
        part = self
        while part.high.shape[-1] > 1:
            size = part.high.shape[-1]
            half = size // 2
            folded = part[..., :half] + part[..., half : 2 * half]
            if size % 2:
                last = folded[..., :1] + part[..., -1:]
                high, low = folded.high.copy(), folded.low.copy()
                high[..., :1], low[..., :1] = last.high, last.low
                folded = DoubleDouble(high, low)
            part = folded
        return part[..., 0]


def exact(value: DoubleDouble | Array | float) -> DoubleDouble:
    """Return floats as numbers of this kind."""
    if isinstance(value, DoubleDouble):
        return value
    high = np.asarray(value, dtype=np.float64)
    return DoubleDouble(high, np.zeros_like(high))


PI = DoubleDouble(np.asarray(math.pi), np.asarray(1.2246467991473532e-16))
LN2 = DoubleDouble(np.asarray(math.log(2)), np.asarray(2.3190468138462996e-17))


def products(X: Array) -> DoubleDouble:
    """Return X X^T of floats, shape (n, n)."""
    total = exact(np.zeros((len(X), len(X))))
    for column in X.T:
        total = total + DoubleDouble(*_two_product(column[:, None], column[None, :]))
    return total


# ---- elementary functions


def sqrt(x: DoubleDouble) -> DoubleDouble:
    """Return the square root, 0 for negative numbers."""
    root = np.sqrt(np.maximum(x.high, 0))
    twice = np.where(root > 0, 2 * root, 1)
    found = exact(root) + (x - DoubleDouble(*_two_product(root, root))).high / twice
    return DoubleDouble(np.where(root > 0, found.high, 0), np.where(root > 0, found.low, 0))


def exp(x: DoubleDouble) -> DoubleDouble:
    """Return e^x, for x below 700."""
    powers = np.round(np.maximum(x.high, -745.0) / math.log(2))
    small = (x - LN2 * powers) * 2.0**-9
    grown = _series(small, [exact(1.0) / math.factorial(m) for m in range(1, TERMS // 2)]) * small
    for _ in range(9):  # e^2x - 1 from e^x - 1
        grown = grown * 2.0 + grown * grown
    value = grown + 1.0
    scale = powers.astype(int)
    return DoubleDouble(np.ldexp(value.high, scale), np.ldexp(value.low, scale))


def log(x: DoubleDouble) -> DoubleDouble:
    """Return the logarithm of positive numbers."""
    near = np.log(x.high)
    return x * exp(exact(-near)) - 1.0 + near


def angle(opposite: DoubleDouble, adjacent: DoubleDouble) -> DoubleDouble:
    """Return the angle of the vectors (adjacent, opposite), in (-pi, pi]; 0 for that of length 0."""
    near = np.arctan2(opposite.high, adjacent.high)
    sine, cosine = _sine_and_cosine(exact(near))
    length = sqrt(opposite * opposite + adjacent * adjacent)
    length = length + np.where(length.high > 0, 0.0, 1.0)
    return (opposite * cosine - adjacent * sine) / length + near


def _sine_and_cosine(x: DoubleDouble) -> tuple[DoubleDouble, DoubleDouble]:
    """Return sin x and cos x, for |x| up to pi."""
    small = x * 2.0**-5
    square = small * small
    odd = [exact((-1.0) ** m) / math.factorial(2 * m + 1) for m in range(TERMS // 2)]
    even = [exact((-1.0) ** m) / math.factorial(2 * m + 2) for m in range(TERMS // 2)]
    sine = _series(square, odd) * small
    versed = _series(square, even) * square  # 1 - cos
    for _ in range(5):
        sine, versed = sine * (1.0 - versed) * 2.0, sine * sine * 2.0
    return sine, 1.0 - versed


def _series(x: DoubleDouble, coefficients: Sequence[DoubleDouble]) -> DoubleDouble:
    """Return the sum of coefficients[m] x^m."""
    total = coefficients[-1] + x * 0.0
    for coefficient in coefficients[-2::-1]:
        total = total * x + coefficient
    return total


# ---- error-free sums and products


def _normal(a: Array, b: Array) -> tuple[Array, Array]:
    total = a + b
    return total, b - (total - a)


def _two_sum(a: Array, b: Array) -> tuple[Array, Array]:
    total = a + b
    part = total - a
    return total, (a - (total - part)) + (b - part)


def _two_product(a: Array, b: Array) -> tuple[Array, Array]:
    product = a * b
    a1, b1 = SPLIT * a, SPLIT * b
    a1, b1 = a1 - (a1 - a), b1 - (b1 - b)
    a2, b2 = a - a1, b - b1
    return product, ((a1 * b1 - product) + a1 * b2 + a2 * b1) + a2 * b2


# ---- Cholesky


def cholesky(K: DoubleDouble) -> Array:
    """Return L of K = L L^T, rounded to floats, shape (n, n).

    A pivot below rounding is 0, with its column: so a singular K has a singular L.
    """
    high, low = K.high.copy(), K.low.copy()
    level = len(high) * EPS * float(np.diagonal(high).max())
    _factor(high, low, level)
    return np.tril(high)


def _exactly(function: Callable[..., Any]) -> Any:
    """Compile a function as it is written: reordered sums would lose the lower halves."""
    return compiled(function, fastmath=False)


@_exactly
def _multiplied(a, a_low, b, b_low):  # type: ignore[no-untyped-def]
    product = a * b
    a1, b1 = 134217729.0 * a, 134217729.0 * b
    a1, b1 = a1 - (a1 - a), b1 - (b1 - b)
    a2, b2 = a - a1, b - b1
    rest = ((a1 * b1 - product) + a1 * b2 + a2 * b1) + a2 * b2 + (a * b_low + a_low * b)
    total = product + rest
    return total, rest - (total - product)


@_exactly
def _added(a, a_low, b, b_low):  # type: ignore[no-untyped-def]
    total = a + b
    part = total - a
    rest = (a - (total - part)) + (b - part)
    below = a_low + b_low
    part = below - a_low
    least = (a_low - (below - part)) + (b_low - part)
    rest += below
    first = total + rest
    rest = rest - (first - total) + least
    total = first + rest
    return total, rest - (total - first)


@_exactly
def _factor(high, low, level):  # type: ignore[no-untyped-def]
    """Overwrite the lower triangle by L, column by column."""
    n = high.shape[0]
    for j in range(n):
        pivot, pivot_low = high[j, j], low[j, j]
        if pivot <= level:
            for i in range(j, n):
                high[i, j] = low[i, j] = 0.0
            continue
        root = np.sqrt(pivot)
        square, square_low = _multiplied(root, 0.0, root, 0.0)
        left, _ = _added(pivot, pivot_low, -square, -square_low)
        root, root_low = _added(root, 0.0, left / (2 * root), 0.0)
        high[j, j], low[j, j] = root, root_low
        for i in range(j + 1, n):
            first = high[i, j] / root
            product, product_low = _multiplied(first, 0.0, root, root_low)
            left, _ = _added(high[i, j], low[i, j], -product, -product_low)
            high[i, j], low[i, j] = _added(first, 0.0, left / root, 0.0)
        for i in range(j + 1, n):
            factor, factor_low = -high[i, j], -low[i, j]
            for m in range(j + 1, i + 1):
                product, product_low = _multiplied(factor, factor_low, high[m, j], low[m, j])
                high[i, m], low[i, m] = _added(high[i, m], low[i, m], product, product_low)
