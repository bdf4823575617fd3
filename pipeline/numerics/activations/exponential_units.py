"""ELU and SELU: linear above 0, and an exponential that levels off below it."""

from __future__ import annotations

from functools import partial

import numpy as np

from pipeline.numerics import elementary32 as single
from pipeline.numerics.activations.record import Activation, Array, Derivative
from pipeline.numerics.compiled import compiled
from pipeline.numerics.elementary import expm1_of_negative

__all__ = ["RECORDS"]

SELU_SCALE, SELU_DEPTH = single.SELU
SELU_BELOW = SELU_SCALE * SELU_DEPTH
"""SELU is lambda z above 0, and lambda alpha (e^z - 1) below."""


def _elu(above: float, below: float, z: Array) -> Array:
    bent = np.asarray(np.minimum(z, 0))
    np.expm1(bent, out=bent)
    bent *= below
    np.maximum(z, 0, out=z)
    z *= above
    return np.add(z, bent, out=z)


@compiled
def _elu_row(z, a):  # type: ignore[no-untyped-def]
    for i in range(z.size):
        x = z[i]
        lost, slope = expm1_of_negative(0.0 if x > 0 else x)
        a[i] = x if x > 0 else lost
        z[i] = slope


@compiled
def _selu_row(z, a):  # type: ignore[no-untyped-def]
    for i in range(z.size):
        x = z[i]
        lost, slope = expm1_of_negative(0.0 if x > 0 else x)
        a[i] = SELU_SCALE * x if x > 0 else SELU_BELOW * lost
        z[i] = SELU_SCALE if x > 0 else SELU_BELOW * slope


RECORDS = {
    "elu": Activation(
        partial(_elu, 1.0, 1.0),
        derivative=Derivative(_elu_row, 1.0, 1.0, seconds=4e-9, row32=single.elu_row),
        concentrates=True,
        kinks=(0.0,),
    ),
    "selu": Activation(
        partial(_elu, SELU_SCALE, SELU_BELOW),
        derivative=Derivative(
            _selu_row,
            SELU_BELOW,
            SELU_BELOW,
            seconds=4e-9,
            jump=SELU_BELOW - SELU_SCALE,
            row32=single.selu_row,
        ),
        kinks=(0.0,),
    ),
}
