"""ReLU, leaky ReLU and the absolute value: linear on either side of a kink at 0."""

from __future__ import annotations

from functools import partial

import numpy as np

from pipeline.numerics.activations.record import Activation, Array, Derivative, Geometry
from pipeline.numerics.compiled import compiled, inlined

__all__ = ["LEAKY_SLOPE", "RECORDS"]

RELU_SLOPE, LEAKY_SLOPE = 0.0, 0.01
"""phi'(z) for z < 0. The derivative at 0 is that of z < 0."""


def _kernel(slope: float, rows: Geometry) -> Array:
    """Return the kernel of phi(z) = max(z, slope z): leaky ReLU, and with slope -1 the absolute value.

    phi(z) = (1 + slope)/2 z + (1 - slope)/2 |z|, whose cross terms are odd: so c and K_abs add up,
    here to one arc-cosine kernel (Cho and Saul 2009).
    """
    straight, bent = ((1 + slope) / 2) ** 2, ((1 - slope) / 2) ** 2 * 2 / np.pi
    K = np.pi / 2 + straight / bent - rows.angle
    K *= rows.cosine
    K += rows.sine
    scaled = np.sqrt(bent) * rows.norms
    K *= np.outer(scaled, scaled)
    return np.asarray(K)


def _relu_kernel(rows: Geometry) -> Array:
    K = _kernel(0.0, rows)
    return np.asarray(np.maximum(K, 0, out=K))  # near-opposite rows cancel to rounding


def _slope_kernel(below: float, rows: Geometry) -> Array:
    """Return E[phi' phi'] of phi(z) = max(z, below z): an arc-cosine kernel of order 0."""
    return np.asarray(below + (1 - below) ** 2 * (np.pi - rows.angle) / (2 * np.pi))


@compiled
def _relu_row(z, a):  # type: ignore[no-untyped-def]
    _rectify(z, a, RELU_SLOPE)


@compiled
def _leaky_row(z, a):  # type: ignore[no-untyped-def]
    _rectify(z, a, LEAKY_SLOPE)


@inlined
def _rectify(z, a, slope):  # type: ignore[no-untyped-def]
    for i in range(z.size):
        a[i] = z[i] if z[i] > 0 else slope * z[i]
        z[i] = 1.0 if z[i] > 0 else slope


RECORDS = {
    "relu": Activation(
        lambda z: np.maximum(z, 0, out=z),
        _relu_kernel,
        Derivative(
            _relu_row,
            1.0,
            None,
            seconds=5e-10,
            jump=1.0,
            below=RELU_SLOPE,
            kernel=partial(_slope_kernel, RELU_SLOPE),
        ),
        concentrates=True,
    ),
    "leaky_relu": Activation(
        lambda z: np.maximum(z, LEAKY_SLOPE * z, out=z),
        partial(_kernel, LEAKY_SLOPE),
        Derivative(
            _leaky_row,
            1.0,
            None,
            seconds=6e-10,
            jump=1 - LEAKY_SLOPE,
            below=LEAKY_SLOPE,
            kernel=partial(_slope_kernel, LEAKY_SLOPE),
        ),
        concentrates=True,
    ),
    "abs": Activation(lambda z: np.abs(z, out=z), partial(_kernel, -1.0), concentrates=True),
}
