"""Cosine and sine."""

from __future__ import annotations

import numpy as np

from pipeline.numerics.activations.record import Activation, Array, Geometry

__all__ = ["RECORDS"]


def _cos_kernel(rows: Geometry) -> Array:
    return (_gauss(rows, -1) + _gauss(rows, 1)) / 2


def _sin_kernel(rows: Geometry) -> Array:
    # e^-(p+q)/2 sinh c: by expm1, as the two exponentials of small rows nearly cancel
    c = rows.covariance
    return np.asarray(np.sign(c) * _gauss(rows, np.sign(c)) * np.expm1(-2 * np.abs(c)) / -2)


def _gauss(rows: Geometry, sign: int | Array) -> Array:
    """Return e^(sign c - (p+q)/2), in one exponential: neither factor alone would stay in range."""
    half = rows.variance / 2
    return np.asarray(np.exp(sign * rows.covariance - np.add.outer(half, half)))


RECORDS = {
    "cos": Activation(lambda z: np.cos(z, out=z), _cos_kernel, concentrates=True),
    "sin": Activation(lambda z: np.sin(z, out=z), _sin_kernel, concentrates=True),
}
