"""Rows of the smooth activations in float32: phi and phi' to about 1e-6, at twice the speed of float64.

A single float64 number in an expression would make all of it float64. So the functions of `elementary`
are written again, with constants of their own and shorter series.
"""

from __future__ import annotations

import math

import numpy as np

from pipeline.numerics.compiled import compiled, in_order
from pipeline.numerics.elementary import ERF_SERIES, ERFC_SCALED, EXP_SERIES, INVERSE_LOG2, ODD

__all__ = [
    "elu_row",
    "erf_row",
    "gaussian_row",
    "gelu_row",
    "selu_row",
    "sigmoid_row",
    "softplus_row",
    "tanh_row",
]


def _single(*numbers: float) -> tuple[np.float32, ...]:
    return tuple(map(np.float32, numbers))


ZERO, HALF, ONE, TWO, THREE, FOUR = _single(0.0, 0.5, 1.0, 2.0, 3.0, 4.0)

LOWEST = np.float32(-87.0)
"""Below it e^x is not a normal float32, and 2e-38 is used instead."""

SHIFT = np.float32(1.5 * 2**23 + 127)
"""Adding it rounds a float32 to a whole number and leaves that number, biased, in the lowest bits."""

PER_LOG2 = np.float32(INVERSE_LOG2)
LOG2_HEAD = np.float32(math.floor(math.log(2) * 2**15) / 2**15)
LOG2_TAIL = np.float32(math.log(2) - float(LOG2_HEAD))

EXP, LOG1P, ERF = _single(*EXP_SERIES[:7]), _single(*ODD[:7]), _single(*ERF_SERIES[:7])
ERFC_EVEN, ERFC_ODD = _single(*ERFC_SCALED[:15:2]), _single(*ERFC_SCALED[1:15:2])

FAR_SHARE, LOG2 = _single(0.414, math.log(2))
LARGEST_ERF, ROOT_HALF = _single(9.0, math.sqrt(0.5))
SELU = 1.0507009873554805, 1.6732632423543772
"""lambda and alpha of Klambauer et al. (2017)."""

SELU_ABOVE, SELU_BELOW = _single(SELU[0], SELU[0] * SELU[1])
LARGEST_BELL = np.float32(13.0)
ERF_SLOPE, BELL = _single(2 / math.sqrt(math.pi), 1 / math.sqrt(2 * math.pi))


@in_order
def _polynomial(coefficients, x):  # type: ignore[no-untyped-def]
    p = coefficients[-1]
    for power in range(len(coefficients) - 2, -1, -1):
        p = p * x + coefficients[power]
    return p


@in_order
def _scaled_exp(x):  # type: ignore[no-untyped-def]
    """Return 2^m and t with e^x = 2^m (1 + t), for x <= 0."""
    x = LOWEST if x < LOWEST else x
    shifted = x * PER_LOG2 + SHIFT
    m = shifted - SHIFT
    r = (x - m * LOG2_HEAD) - m * LOG2_TAIL
    scale = np.int32(np.float32(shifted).view(np.int32) << np.int32(23)).view(np.float32)
    return scale, _polynomial(EXP, r) * r


@in_order
def _exp(x):  # type: ignore[no-untyped-def]
    scale, tail = _scaled_exp(x)
    return (tail + ONE) * scale


@in_order
def _log1p(s):  # type: ignore[no-untyped-def]
    """Return log(1 + s) for 0 <= s <= 1."""
    far = s > FAR_SHARE
    above = s - ONE if far else s
    below = s + THREE if far else s + TWO
    t = above / below
    return TWO * t * _polynomial(LOG1P, t * t) + (LOG2 if far else ZERO)


@in_order
def _erf(x):  # type: ignore[no-untyped-def]
    """Return erf(x), erfc(x) and e^(-x^2), for x >= 0."""
    x = LARGEST_ERF if x > LARGEST_ERF else x
    shrunk = ZERO if x == LARGEST_ERF else _exp(-x * x)  # also times the largest argument
    near = _polynomial(ERF, x * x) * x
    inverse = ONE / (x + THREE)
    t = (x - THREE) * inverse
    far = shrunk * (_polynomial(ERFC_ODD, t * t) * t + _polynomial(ERFC_EVEN, t * t)) * inverse
    return near if x < HALF else ONE - far, ONE - near if x < HALF else far, shrunk


@compiled
def tanh_row(z, a):  # type: ignore[no-untyped-def]
    """Write tanh and its derivative, as `Derivative.row` does."""
    for i in range(z.size):
        x = z[i]
        scale, tail = _scaled_exp(-TWO * abs(x))
        lost = scale * tail + (scale - ONE)
        below = TWO + lost
        value = -lost / below
        a[i] = value if x > ZERO else -value
        z[i] = FOUR * (scale * tail + scale) / (below * below)


@compiled
def sigmoid_row(z, a):  # type: ignore[no-untyped-def]
    """Write the logistic sigmoid and its derivative."""
    for i in range(z.size):
        x = z[i]
        shrunk = _exp(-abs(x))
        whole = ONE + shrunk
        a[i] = (ONE if x > ZERO else shrunk) / whole
        z[i] = shrunk / (whole * whole)


@compiled
def erf_row(z, a):  # type: ignore[no-untyped-def]
    """Write erf and its derivative."""
    for i in range(z.size):
        x = z[i]
        value, _, bell = _erf(abs(x))
        a[i] = value if x > ZERO else -value
        z[i] = ERF_SLOPE * bell


@compiled
def softplus_row(z, a):  # type: ignore[no-untyped-def]
    """Write softplus and its derivative."""
    for i in range(z.size):
        x = z[i]
        shrunk = _exp(-abs(x))
        a[i] = (x if x > ZERO else ZERO) + _log1p(shrunk)
        z[i] = (ONE if x > ZERO else shrunk) / (ONE + shrunk)


@compiled
def gelu_row(z, a):  # type: ignore[no-untyped-def]
    """Write GELU and its derivative."""
    for i in range(z.size):
        x = z[i]
        value, complement, bell = _erf(abs(x) * ROOT_HALF)
        below = HALF * (ONE + value if x > ZERO else complement)
        a[i] = x * below
        z[i] = below + x * (bell * BELL)


@compiled
def elu_row(z, a):  # type: ignore[no-untyped-def]
    """Write ELU and its derivative."""
    for i in range(z.size):
        x = z[i]
        scale, tail = _scaled_exp(ZERO if x > ZERO else x)
        a[i] = x if x > ZERO else scale * tail + (scale - ONE)
        z[i] = (tail + ONE) * scale


@compiled
def selu_row(z, a):  # type: ignore[no-untyped-def]
    """Write SELU and its derivative."""
    for i in range(z.size):
        x = z[i]
        scale, tail = _scaled_exp(ZERO if x > ZERO else x)
        a[i] = SELU_ABOVE * x if x > ZERO else SELU_BELOW * (scale * tail + (scale - ONE))
        z[i] = SELU_ABOVE if x > ZERO else SELU_BELOW * ((tail + ONE) * scale)


@compiled
def gaussian_row(z, a):  # type: ignore[no-untyped-def]
    """Write the Gaussian bell and its derivative."""
    for i in range(z.size):
        x = abs(z[i])
        near = LARGEST_BELL if x > LARGEST_BELL else x
        bell = ZERO if near == LARGEST_BELL else _exp(-HALF * near * near)
        a[i] = bell
        z[i] = -z[i] * bell
