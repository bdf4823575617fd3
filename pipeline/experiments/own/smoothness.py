"""Where a function of one variable is not analytic, and its derivative there and elsewhere.

Between two points at which a function is analytic between, its Chebyshev series falls quickly. So an
interval is cut until it does: what is left around a point, however short the interval, is a kink. Cuts
lie at no round numbers, at which people put their kinks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["STEP", "by_complex_step", "by_differences", "kinks_of"]

Array = NDArray[np.float64]
Function = Callable[[Array], Array]

FIRST, LAST = -10.0371, 10.0519
GOLDEN = (np.sqrt(5) - 1) / 2

OVERLAP = 1.1
"""The series reach beyond the cuts, since a kink just beside one would show in neither."""

DEGREE = 20
NODES = np.cos(np.pi * (np.arange(DEGREE + 1) + 0.5) / (DEGREE + 1))
TO_SERIES = np.linalg.inv(np.polynomial.chebyshev.chebvander(NODES, DEGREE))

FALLEN = 1e-11
"""Size of the last coefficients of an analytic function, relative to its largest value."""

SHORT, SHORTEST = 1e-3, 1e-7
"""An interval of the first length in which the series does not fall holds a kink. It is cut on, to tell
the place, down to the second length."""

MOST_INTERVALS = 20_000

STEP = 1e-3
"""Step of finite differences of fourth order: their errors are some 1e-12."""

COMPLEX_STEP = 1e-30


def kinks_of(phi: Function) -> list[float] | None:
    """Return the points from -10 to 10 at which a function is not analytic; None if they are too many.

    Parameters
    ----------
    phi
        Function of an array that returns one of the same shape.
    """
    edges = np.linspace(FIRST, LAST, 42)
    left, right = edges[:-1], edges[1:]
    size = 1e-4 * float(np.abs(phi(np.linspace(-1.0, 1.0, 41))).max())
    found: list[tuple[float, float]] = []
    looked = 0  # a function that is smooth nowhere would be cut for ever
    while len(left):
        looked += len(left)
        if looked > MOST_INTERVALS:
            return None
        x = (left + right)[:, None] / 2 + OVERLAP * (right - left)[:, None] / 2 * NODES
        values = phi(x.reshape(-1)).reshape(x.shape)
        series = np.abs(values @ TO_SERIES.T)
        rough = series[:, -3:].max(axis=1) > FALLEN * (np.abs(values).max(axis=1) + size)
        held = rough & (right - left < SHORT)
        found += list(zip(left[held], right[held], strict=True))
        again = rough & (right - left > SHORTEST)
        cut = left[again] + (1 - GOLDEN) * (right - left)[again]
        left, right = np.append(left[again], cut), np.append(cut, right[again])
    return _points(found)


def _points(intervals: Sequence[tuple[float, float]]) -> list[float]:
    """Return one point for intervals that overlap: a decimal fraction in the shortest of them."""
    kept: list[tuple[float, float]] = []
    for first, last in sorted(intervals, key=lambda one: one[1] - one[0]):
        margin = (OVERLAP - 1) * (last - first)
        if all(last + margin < other[0] or first - margin > other[1] for other in kept):
            kept.append((first - margin, last + margin))
    return sorted(_shortest(*one) for one in kept)


def _shortest(first: float, last: float) -> float:
    middle = (first + last) / 2
    for digits in range(12):
        if first <= round(middle, digits) <= last:
            return float(round(middle, digits)) + 0.0  # no -0.0
    return float(middle)


def by_complex_step(phi: Callable[[Any], Any], z: Array) -> Array:
    """Return phi'(z) as Im phi(z + ih) / h, which loses no digits where phi is analytic.

    Raises
    ------
    Exception
        Whatever phi raises for complex numbers.
    """
    return np.asarray(np.imag(phi(z + 1j * COMPLEX_STEP)) / COMPLEX_STEP, dtype=np.float64)


def by_differences(phi: Function, z: Array, kinks: Sequence[float] = ()) -> Array:
    """Return phi'(z) by differences of fourth order, on the side of each kink on which z lies.

    A kink itself counts to its left side.
    """
    h = STEP * np.maximum(1.0, np.abs(z) / 100)
    central = 8 * (phi(z + h) - phi(z - h)) - (phi(z + 2 * h) - phi(z - 2 * h))
    slope = central / (12 * h)
    for kink in kinks:
        near = np.abs(z - kink) < 2 * h
        if near.any():
            x, towards = z[near], np.where(z[near] > kink, h[near], -h[near])
            sides = (-25, 48, -36, 16, -3)
            total = sum(weight * phi(x + i * towards) for i, weight in enumerate(sides))
            slope[near] = total / (12 * towards)
    return np.asarray(slope)
