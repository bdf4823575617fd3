"""exp, expm1, log1p, tanh and erf without branches or calls: the compiler vectorises loops of them.

The library's versions are scalar in compiled loops, and took most of the time of a smooth activation.
These are accurate to a few units in the last place on the half line that each is defined on. Functions
of the same exponential are computed together.
"""

from __future__ import annotations

import math

import numpy as np

from pipeline.numerics.compiled import in_order

__all__ = [
    "erf_of_positive",
    "exp_of_negative",
    "expm1_of_negative",
    "log1p_of_share",
    "tanh_of_positive",
]

LOWEST = -708.0
"""Below it e^x is not a normal float, and 3e-308 is used instead."""

SHIFT = 1.5 * 2.0**52 + 1023
"""Adding it rounds a float to a whole number and leaves that number, biased, in the lowest bits."""

LOG2_HEAD = (
    math.floor(math.log(2) * 2**32) / 2**32
)  # few bits, so that its product with a whole number is exact
LOG2_TAIL = 1.9082149292705877e-10  # the rest of log 2
INVERSE_LOG2 = 1 / math.log(2)

EXP_SERIES = tuple(1 / math.factorial(power) for power in range(1, 14))  # of (e^r - 1) / r
ODD = tuple(1 / (2 * power + 1) for power in range(12))

ERF_SERIES = tuple(
    2 / math.sqrt(math.pi) * (-1) ** power / math.factorial(power) / (2 * power + 1)
    for power in range(13)
)

ERFC_SCALED = (
    1.0740069070883397, -0.88339445316988348, 0.59022835710410878, -0.31046726190058588,
    0.11952776128685397, -0.026827234623743976, -0.001212416616583845, 0.0030340619871634172,
    -0.00054830982345631516, -0.00027677769424251465, 0.00010756242833235587, 3.0397151054687827e-05,
    -1.7474689637563315e-05, -4.744943288335112e-06, 2.7766554687612345e-06, 9.8734059998782066e-07,
    -4.2680458710854432e-07, -2.141897788806618e-07, 6.4010743225431503e-08, 3.2042393803714595e-08,
    -9.0740092356131473e-09,
)  # fmt: skip
"""(x + 3) e^(x^2) erfc(x) in powers of (x - 3) / (x + 3): Chebyshev interpolant on 0.5 <= x <= 28."""

# Even and odd terms apart: the compiler would not unroll, and so not vectorise, all 21 terms.
ERFC_EVEN, ERFC_ODD = ERFC_SCALED[::2], ERFC_SCALED[1::2]

SPLITTER = 1.5 * 2.0**32
"""Adding and subtracting it leaves x < 2^10 so few bits that its square is exact."""


@in_order
def _polynomial(coefficients, x):  # type: ignore[no-untyped-def]
    """Return a polynomial at x by Horner's rule; the first coefficient is the constant."""
    p = coefficients[-1]
    for power in range(len(coefficients) - 2, -1, -1):
        p = p * x + coefficients[power]
    return p


@in_order
def exp_of_negative(x):  # type: ignore[no-untyped-def]
    """Return e^x for x <= 0; NaN stays NaN."""
    scale, tail = _scaled_exp(x, 0.0)
    return (tail + 1.0) * scale


@in_order
def expm1_of_negative(x):  # type: ignore[no-untyped-def]
    """Return e^x - 1 and e^x, for x <= 0; NaN stays NaN."""
    scale, tail = _scaled_exp(x, 0.0)
    return scale * tail + (scale - 1.0), (tail + 1.0) * scale  # the first keeps the digits of a small x


@in_order
def _scaled_exp(x, correction):  # type: ignore[no-untyped-def]
    """Return 2^m and t with e^(x + correction) = 2^m (1 + t), for x <= 0 and a small correction.

    x = m log 2 + r with whole m and |r| <= log(2)/2: a Taylor polynomial in r, and m as an exponent.
    """
    x = LOWEST if x < LOWEST else x
    shifted = x * INVERSE_LOG2 + SHIFT
    m = shifted - SHIFT
    r = (x - m * LOG2_HEAD) - (m * LOG2_TAIL - correction)
    scale = np.int64(np.float64(shifted).view(np.int64) << 52).view(np.float64)
    return scale, _polynomial(EXP_SERIES, r) * r


@in_order
def tanh_of_positive(x):  # type: ignore[no-untyped-def]
    """Return tanh(x) and its derivative, for x >= 0; NaN stays NaN."""
    scale, tail = _scaled_exp(-2.0 * x, 0.0)
    lost = scale * tail + (scale - 1.0)  # e^(-2x) - 1, which keeps the digits of a small x
    shrunk = 0.0 if x > 354.0 else scale * tail + scale
    below = 2.0 + lost
    return -lost / below, 4.0 * shrunk / (below * below)


@in_order
def erf_of_positive(x):  # type: ignore[no-untyped-def]
    """Return erf(x), erfc(x) and e^(-x^2), for x >= 0; NaN stays NaN.

    Up to 1/2, erf is its series; above, erfc is e^(-x^2) times a polynomial.
    """
    x = 28.0 if x > 28.0 else x  # from 26.6 on, e^(-x^2) is not a normal float
    head = (x + SPLITTER) - SPLITTER
    scale, tail = _scaled_exp(-head * head, -(x - head) * (x + head))
    shrunk = 0.0 if x > 26.6 else scale * tail + scale
    near = _polynomial(ERF_SERIES, x * x) * x
    inverse = 1.0 / (x + 3.0)
    t = (x - 3.0) * inverse
    even, odd = _polynomial(ERFC_EVEN, t * t), _polynomial(ERFC_ODD, t * t)
    far = shrunk * (odd * t + even) * inverse
    erf = near if x < 0.5 else 1.0 - far
    return erf, (1.0 - near if x < 0.5 else far), shrunk


@in_order
def log1p_of_share(s):  # type: ignore[no-untyped-def]
    """Return log(1 + s) for 0 <= s <= 1.

    log(1 + s) = 2 artanh(t) with t = s / (s + 2); above sqrt(2) - 1, log 2 is split off, so that t^2
    stays below 0.03 and twelve terms of the series suffice.
    """
    far = s > 0.414
    above = s - 1.0 if far else s
    below = s + 3.0 if far else s + 2.0
    t = above / below
    return 2 * t * _polynomial(ODD, t * t) + (0.6931471805599453 if far else 0.0)
