"""Activations that can be trained through: phi and its derivative, compiled, a row at a time.

A row holds one hidden unit's pre-activations over all samples. It is overwritten by the derivative,
while phi goes beside it: both come from one exponential or error function.

`SMOOTHNESS` is the register: a new activation is a function, a line in `activate` and a line there,
with the bounds that Theorem 1 needs. ReLU's derivative at 0 is 0.
"""

from __future__ import annotations

import math
from types import MappingProxyType
from typing import NamedTuple

from pipeline.descent.elementary import (
    erf_of_positive,
    exp_of_negative,
    log1p_of_share,
    tanh_of_positive,
)
from pipeline.numerics.activations import LEAKY_SLOPE
from pipeline.numerics.compiled import compiled

__all__ = ["SLOPES", "SMOOTHNESS", "Smoothness", "activate", "code_of"]


class Smoothness(NamedTuple):
    """Bounds of an activation over the whole line.

    Attributes
    ----------
    slope
        B = sup |phi'|.
    bend
        M = sup |phi''|; None where phi' jumps at 0.
    jump
        Height of that jump, 0 where there is none.
    """

    slope: float
    bend: float | None
    jump: float = 0.0


SMOOTHNESS = MappingProxyType(
    {
        "relu": Smoothness(1.0, None, 1.0),
        "leaky_relu": Smoothness(1.0, None, 1 - LEAKY_SLOPE),
        "softplus": Smoothness(1.0, 1 / 4),
        "tanh": Smoothness(1.0, 4 / math.sqrt(27)),
        "erf": Smoothness(2 / math.sqrt(math.pi), math.sqrt(8 / (math.pi * math.e))),
        # phi'' = (2 - z^2) times the normal density: largest at 0; phi' there where z^2 = 2
        "gelu": Smoothness(
            0.5 * (1 + math.erf(1.0)) + math.exp(-1.0) / math.sqrt(math.pi), 2 / math.sqrt(2 * math.pi)
        ),
        "sigmoid": Smoothness(1 / 4, 1 / math.sqrt(108)),
        "linear": Smoothness(1.0, 0.0),
    }
)


SLOPES = (0.0, LEAKY_SLOPE)
"""phi'(z) for z < 0 of the rectifiers, which are the first codes."""


def code_of(activation: str) -> int:
    """Return the number by which compiled code knows an activation."""
    return list(SMOOTHNESS).index(activation)


@compiled
def activate(code, z, a):  # type: ignore[no-untyped-def]
    """`a` = phi(z), then z = phi'(z), for the activation of that place in `SMOOTHNESS`."""
    if code == 0:
        _rectify(z, a, SLOPES[0])
    elif code == 1:
        _rectify(z, a, SLOPES[1])
    elif code == 2:
        _softplus(z, a)
    elif code == 3:
        _tanh(z, a)
    elif code == 4:
        _erf(z, a)
    elif code == 5:
        _gelu(z, a)
    elif code == 6:
        _sigmoid(z, a)
    else:
        a[:] = z
        z[:] = 1.0


@compiled
def _rectify(z, a, slope):  # type: ignore[no-untyped-def]
    for i in range(z.size):
        a[i] = z[i] if z[i] > 0 else slope * z[i]
        z[i] = 1.0 if z[i] > 0 else slope


@compiled
def _softplus(z, a):  # type: ignore[no-untyped-def]
    for i in range(z.size):
        x = z[i]
        shrunk = exp_of_negative(-abs(x))  # never overflows
        a[i] = (x if x > 0 else 0.0) + log1p_of_share(shrunk)
        z[i] = (1.0 if x > 0 else shrunk) / (1 + shrunk)


@compiled
def _tanh(z, a):  # type: ignore[no-untyped-def]
    for i in range(z.size):
        value, slope = tanh_of_positive(abs(z[i]))
        a[i] = math.copysign(value, z[i])
        z[i] = slope


@compiled
def _erf(z, a):  # type: ignore[no-untyped-def]
    for i in range(z.size):
        value, _, bell = erf_of_positive(abs(z[i]))
        a[i] = math.copysign(value, z[i])
        z[i] = 2 / math.sqrt(math.pi) * bell


@compiled
def _gelu(z, a):  # type: ignore[no-untyped-def]
    for i in range(z.size):
        x = z[i]
        value, complement, bell = erf_of_positive(abs(x) * math.sqrt(0.5))
        below = 0.5 * (1.0 + value if x > 0 else complement)
        a[i] = x * below
        z[i] = below + x * (bell / math.sqrt(2 * math.pi))


@compiled
def _sigmoid(z, a):  # type: ignore[no-untyped-def]
    for i in range(z.size):
        x = z[i]
        shrunk = exp_of_negative(-abs(x))
        a[i] = (1.0 if x > 0 else shrunk) / (1 + shrunk)
        z[i] = shrunk / ((1 + shrunk) * (1 + shrunk))
