"""The Gaussian bell exp(-z^2 / 2)."""

from __future__ import annotations

import math

import numpy as np

from pipeline.numerics import elementary32 as single
from pipeline.numerics.activations.record import Activation, Array, Derivative, Geometry
from pipeline.numerics.compiled import compiled
from pipeline.numerics.elementary import erf_of_positive

__all__ = ["RECORDS"]


def _gaussian(z: Array) -> Array:
    np.multiply(z, z, out=z)
    z *= -0.5
    return np.exp(z, out=z)


def _kernel(rows: Geometry) -> Array:
    return np.asarray(1 / np.sqrt(_determinant(rows)))


def _slope_kernel(rows: Geometry) -> Array:
    return np.asarray(rows.covariance / _determinant(rows) ** 1.5)


def _determinant(rows: Geometry) -> Array:
    """Return (1 + p)(1 + q) - c^2, by the sine: the difference would lose digits of long rows."""
    area = np.outer(rows.norms, rows.norms) * rows.sine
    return 1 + np.add.outer(rows.variance, rows.variance) + area**2


@compiled
def _row(z, a):  # type: ignore[no-untyped-def]
    for i in range(z.size):
        x = z[i]
        _, _, bell = erf_of_positive(abs(x) * math.sqrt(0.5))
        a[i] = bell
        z[i] = -x * bell


RECORDS = {
    "gaussian": Activation(
        _gaussian,
        _kernel,
        # phi' = -z phi is largest at 1, phi'' = (z^2 - 1) phi at 0
        Derivative(
            _row, math.exp(-0.5), 1.0, seconds=5e-9, row32=single.gaussian_row, kernel=_slope_kernel
        ),
        concentrates=True,
    ),
}
