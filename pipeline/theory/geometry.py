"""Norms of rows and angles between them, to full accuracy for near-duplicate rows too.

There rho and the angle come from the difference of the unit rows, since an inner product near 1 has
lost it to rounding: duplicate rows have rho = 1 exactly, and kernels with a kink use the angle itself,
not its square.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

__all__ = ["Covariance", "Rows"]

Array = NDArray[np.float64]

NEARLY_PARALLEL = 0.99
"""Above this |rho|, arccos loses more than a digit, and the difference of the rows is used instead."""


class Rows:
    """The geometry of the rows of X, as kernels use it (`numerics.activations.record.Geometry`).

    Attributes
    ----------
    norms
        |x_i|, shape (n,).
    cosine
        rho, shape (n, n); exactly 1 on the diagonal and for duplicate rows, -1 for opposite ones.
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

        Taken from rho where that is accurate: the sine of every angle took half of a kernel's time.
        """
        sine = _sine(self.cosine)
        for i, j in self._nearly_parallel():
            sine[i, j] = sine[j, i] = np.sin(self.angle[i, j])
        return sine

    def _nearly_parallel(self) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
        """Yield the pairs i < j of close or nearly opposite rows, in batches."""
        first, second = self._close
        step = max(1, 1_000_000 // self._unit.shape[1])  # bounds the memory of many close rows
        for start in range(0, len(first), step):
            yield first[start : start + step], second[start : start + step]


class Covariance(Rows):
    """The same geometry from inner products only, hence less accurate for near-parallel rows."""

    def __init__(self, C: Array) -> None:
        self.norms = np.sqrt(np.diagonal(C))
        square = np.outer(np.diagonal(C), np.diagonal(C))
        self.cosine = _cosine(C / np.sqrt(np.where(square > 0, square, 1)))  # exact for duplicates

    @cached_property
    def angle(self) -> Array:
        """theta, shape (n, n); near 0 and pi rounding costs digits."""
        return np.asarray(np.arccos(self.cosine))

    @cached_property
    def sine(self) -> Array:
        """sin theta, shape (n, n), with the accuracy of the angle."""
        return _sine(self.cosine)


def _cosine(product: Array) -> Array:
    """Turn the inner products of unit rows into rho, in place: in [-1, 1], and 1 on the diagonal."""
    np.clip(product, -1, 1, out=product)
    np.fill_diagonal(product, 1)
    return product


def _sine(cosine: Array) -> Array:
    """Return sin arccos rho, as accurate as rho itself, which 1 - rho^2 would not be."""
    sine = 1 - cosine
    sine *= 1 + cosine
    return np.asarray(np.sqrt(sine, out=sine))
