"""Softplus and GELU."""

from __future__ import annotations

import math

import numpy as np
from scipy import special

from pipeline.numerics import elementary32 as single
from pipeline.numerics.activations.record import Activation, Array, Derivative, Geometry
from pipeline.numerics.compiled import compiled
from pipeline.numerics.elementary import erf_of_positive, exp_of_negative, log1p_of_share

__all__ = ["RECORDS"]


def _softplus(z: Array) -> Array:
    # max(z, 0) + log(1 + e^-|z|) neither overflows nor loses the small values
    bent = np.asarray(np.abs(z))
    np.negative(bent, out=bent)
    np.exp(bent, out=bent)
    np.log1p(bent, out=bent)
    np.maximum(z, 0, out=z)
    return np.add(z, bent, out=z)


def _gelu_kernel(rows: Geometry) -> Array:
    # z Phi(z) = z/2 (1 + erf(z/sqrt 2)); Stein's lemma twice, with Gaussians tilted by e^(-z^2/2)
    c, wide = rows.covariance, 1 + rows.variance
    product = np.outer(wide, wide)
    both = 2 / np.pi * np.arcsin(c / np.sqrt(product))
    inverse = np.add.outer(1 / wide, 1 / wide) - 1
    tilted = np.outer(rows.variance, rows.variance) + c**2 * inverse
    return np.asarray((c + c * both + 2 / np.pi * tilted / np.sqrt(product - c**2)) / 4)


@compiled
def _softplus_row(z, a):  # type: ignore[no-untyped-def]
    for i in range(z.size):
        x = z[i]
        shrunk = exp_of_negative(-abs(x))  # never overflows
        a[i] = (x if x > 0 else 0.0) + log1p_of_share(shrunk)
        z[i] = (1.0 if x > 0 else shrunk) / (1 + shrunk)


@compiled
def _gelu_row(z, a):  # type: ignore[no-untyped-def]
    for i in range(z.size):
        x = z[i]
        value, complement, bell = erf_of_positive(abs(x) * math.sqrt(0.5))
        below = 0.5 * (1.0 + value if x > 0 else complement)
        a[i] = x * below
        z[i] = below + x * (bell / math.sqrt(2 * math.pi))


RECORDS = {
    "softplus": Activation(
        _softplus,
        derivative=Derivative(_softplus_row, 1.0, 1 / 4, seconds=5e-9, row32=single.softplus_row),
        concentrates=True,
    ),
    "gelu": Activation(
        lambda z: np.multiply(z, special.ndtr(z), out=z),
        _gelu_kernel,
        # phi'' = (2 - z^2) times the normal density: largest at 0; phi' is largest where z^2 = 2
        Derivative(
            _gelu_row,
            0.5 * (1 + math.erf(1.0)) + math.exp(-1.0) / math.sqrt(math.pi),
            2 / math.sqrt(2 * math.pi),
            seconds=7e-9,
            row32=single.gelu_row,
        ),
        concentrates=True,
    ),
}
