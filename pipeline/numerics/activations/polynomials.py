"""The identity, the square and the cube, and the Hermite polynomials of degrees 2 and 3.

The Hermite polynomials have mean 0 and variance 1 under the standard normal law. Slopes of the second
degree and above have no bound, so networks train through them, but Theorem 1 certifies none.
"""

from __future__ import annotations

import math

import numpy as np

from pipeline.numerics.activations.record import Activation, Array, Derivative, Geometry
from pipeline.numerics.compiled import compiled

__all__ = ["RECORDS"]

ROOT_2, ROOT_3_HALVES = math.sqrt(2), math.sqrt(1.5)
OVER_ROOT_2, OVER_ROOT_6 = 1 / math.sqrt(2), 1 / math.sqrt(6)


def _linear_kernel(rows: Geometry) -> Array:
    return rows.covariance


def _square_kernel(rows: Geometry) -> Array:
    return np.outer(rows.variance, rows.variance) + 2 * rows.covariance**2


def _cube_kernel(rows: Geometry) -> Array:
    c = rows.covariance
    return np.asarray(9 * np.outer(rows.variance, rows.variance) * c + 6 * c**3)


def _hermite2_kernel(rows: Geometry) -> Array:
    return np.asarray(rows.covariance**2 + _excess(rows) / 2)


def _hermite3_kernel(rows: Geometry) -> Array:
    c = rows.covariance
    return np.asarray(c**3 + 1.5 * c * _excess(rows))


def _excess(rows: Geometry) -> Array:
    """Return (p - 1)(q - 1), which is 0 for rows of unit norm."""
    return np.asarray(np.outer(rows.variance - 1, rows.variance - 1))


def _square(z: Array) -> Array:
    return np.multiply(z, z, out=z)


def _cube(z: Array) -> Array:
    return np.multiply(z * z, z, out=z)


def _hermite2(z: Array) -> Array:
    below = z - 1  # a product of roots keeps the digits near them
    z += 1
    z *= below
    z *= OVER_ROOT_2
    return z


def _hermite3(z: Array) -> Array:
    rest = np.asarray(z * z)
    rest -= 3
    z *= rest
    z *= OVER_ROOT_6
    return z


@compiled
def _linear_row(z, a):  # type: ignore[no-untyped-def]
    for i in range(z.size):
        a[i] = z[i]
        z[i] = 1.0


@compiled
def _square_row(z, a):  # type: ignore[no-untyped-def]
    for i in range(z.size):
        x = z[i]
        a[i] = x * x
        z[i] = x + x


@compiled
def _cube_row(z, a):  # type: ignore[no-untyped-def]
    for i in range(z.size):
        x = z[i]
        a[i] = x * x * x
        z[i] = x * x + (x * x + x * x)


@compiled
def _hermite2_row(z, a):  # type: ignore[no-untyped-def]
    one, value, slope = z.dtype.type(1.0), z.dtype.type(OVER_ROOT_2), z.dtype.type(ROOT_2)
    for i in range(z.size):
        x = z[i]
        a[i] = value * ((x - one) * (x + one))
        z[i] = slope * x


@compiled
def _hermite3_row(z, a):  # type: ignore[no-untyped-def]
    one, three = z.dtype.type(1.0), z.dtype.type(3.0)
    value, slope = z.dtype.type(OVER_ROOT_6), z.dtype.type(ROOT_3_HALVES)
    for i in range(z.size):
        x = z[i]
        a[i] = value * (x * (x * x - three))
        z[i] = slope * ((x - one) * (x + one))


RECORDS = {
    "linear": Activation(
        lambda z: z,
        _linear_kernel,
        Derivative(_linear_row, 1.0, 0.0, seconds=4e-10, kernel=lambda rows: np.ones_like(rows.cosine)),
        concentrates=True,
    ),
    "square": Activation(
        _square,
        _square_kernel,
        Derivative(_square_row, math.inf, 2.0, seconds=5e-10, kernel=lambda rows: 4 * rows.covariance),
    ),
    "cube": Activation(
        _cube,
        _cube_kernel,
        Derivative(
            _cube_row, math.inf, math.inf, seconds=5e-10, kernel=lambda rows: 9 * _square_kernel(rows)
        ),
    ),
    "hermite2": Activation(
        _hermite2,
        _hermite2_kernel,
        Derivative(
            _hermite2_row, math.inf, ROOT_2, seconds=5e-10, kernel=lambda rows: 2 * rows.covariance
        ),
    ),
    "hermite3": Activation(
        _hermite3,
        _hermite3_kernel,
        Derivative(
            _hermite3_row, math.inf, math.inf, seconds=5e-10,
            kernel=lambda rows: 3 * _hermite2_kernel(rows),
        ),
    ),
}  # fmt: skip
