"""The error function, tanh and the logistic sigmoid."""

from __future__ import annotations

import math

import numpy as np
from scipy import special

from pipeline.numerics import elementary32 as single
from pipeline.numerics.activations.record import Activation, Array, Derivative, Geometry
from pipeline.numerics.compiled import compiled
from pipeline.numerics.elementary import erf_of_positive, exp_of_negative, tanh_of_positive

__all__ = ["RECORDS"]


def _sigmoid(z: Array) -> Array:
    # a third of the time of scipy.special.expit; where e^-z overflows, 1/inf = 0 is right
    np.negative(z, out=z)
    with np.errstate(over="ignore"):
        np.exp(z, out=z)
    z += 1
    return np.reciprocal(z, out=z)


def _erf_kernel(rows: Geometry) -> Array:
    wide = 1 + 2 * rows.variance
    return np.asarray(2 / np.pi * np.arcsin(2 * rows.covariance / np.sqrt(np.outer(wide, wide))))


def _erf_slope_kernel(rows: Geometry) -> Array:
    wide = 1 + 2 * rows.variance
    return np.asarray(4 / np.pi / np.sqrt(np.outer(wide, wide) - 4 * rows.covariance**2))


@compiled
def _erf_row(z, a):  # type: ignore[no-untyped-def]
    for i in range(z.size):
        value, _, bell = erf_of_positive(abs(z[i]))
        a[i] = math.copysign(value, z[i])
        z[i] = 2 / math.sqrt(math.pi) * bell


@compiled
def _tanh_row(z, a):  # type: ignore[no-untyped-def]
    for i in range(z.size):
        value, slope = tanh_of_positive(abs(z[i]))
        a[i] = math.copysign(value, z[i])
        z[i] = slope


@compiled
def _sigmoid_row(z, a):  # type: ignore[no-untyped-def]
    for i in range(z.size):
        x = z[i]
        shrunk = exp_of_negative(-abs(x))
        a[i] = (1.0 if x > 0 else shrunk) / (1 + shrunk)
        z[i] = shrunk / ((1 + shrunk) * (1 + shrunk))


RECORDS = {
    "erf": Activation(
        lambda z: np.asarray(special.erf(z, out=z)),
        _erf_kernel,
        Derivative(
            _erf_row,
            2 / math.sqrt(math.pi),
            math.sqrt(8 / (math.pi * math.e)),
            seconds=6e-9,
            row32=single.erf_row,
            kernel=_erf_slope_kernel,
        ),
        concentrates=True,
    ),
    "tanh": Activation(
        lambda z: np.tanh(z, out=z),
        derivative=Derivative(_tanh_row, 1.0, 4 / math.sqrt(27), seconds=4e-9, row32=single.tanh_row),
        concentrates=True,
    ),
    "sigmoid": Activation(
        _sigmoid,
        derivative=Derivative(
            _sigmoid_row, 1 / 4, 1 / math.sqrt(108), seconds=4e-9, row32=single.sigmoid_row
        ),
        concentrates=True,
    ),
}
