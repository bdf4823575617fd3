"""exp, log1p, tanh and erf without branches or calls, which the compiler turns into vectors of a row.

The library's own are scalar in compiled loops, and took most of the time of a smooth activation. These
are good to a few units in the last place on the half line that is asked of them. Those that need the
same exponential give their results together.
"""

from __future__ import annotations

import math

import numpy as np

from pipeline.compiled import in_order

__all__ = ["erf_of_positive", "exp_of_negative", "log1p_of_share", "tanh_of_positive"]

LOWEST = -708.0
"""Below it e^x leaves the normal floats: 3e-308 stands for it."""

SHIFT = 1.5 * 2.0**52 + 1023
"""Added to a float, it rounds it to a whole number, and leaves that, biased, in the lowest bits."""

LOG2_HEAD = math.floor(math.log(2) * 2**32) / 2**32  # few bits: times a whole number it is exact
LOG2_TAIL = 1.9082149292705877e-10  # the rest of log 2
INVERSE_LOG2 = 1 / math.log(2)

FACTORIALS = tuple(1 / math.factorial(power) for power in range(14))
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
"""(x + 3) e^(x^2) erfc(x) in powers of (x - 3) / (x + 3): Chebyshev's interpolant on 0.5 <= x <= 28."""

SPLITTER = 1.5 * 2.0**32
"""Added to x < 2^10 and taken off, it leaves few enough bits that their square is exact."""


@in_order
def exp_of_negative(x):  # type: ignore[no-untyped-def]
    """e^x for x <= 0; NaN stays NaN."""
    scale, tail = _scaled_exp(x, 0.0)
    return (tail + 1.0) * scale


@in_order
def _scaled_exp(x, correction):  # type: ignore[no-untyped-def]
    """2^m and t with e^(x + correction) = 2^m (1 + t), for x <= 0 and a small correction.

    x = m log 2 + r with whole m and |r| <= log(2)/2: a Taylor polynomial in r, and m as an exponent.
    """
    x = LOWEST if x < LOWEST else x
    shifted = x * INVERSE_LOG2 + SHIFT
    m = shifted - SHIFT
    r = (x - m * LOG2_HEAD) - (m * LOG2_TAIL - correction)
    p = FACTORIALS[13] * r + FACTORIALS[12]
    p = (p * r + FACTORIALS[11]) * r + FACTORIALS[10]
    p = (p * r + FACTORIALS[9]) * r + FACTORIALS[8]
    p = (p * r + FACTORIALS[7]) * r + FACTORIALS[6]
    p = (p * r + FACTORIALS[5]) * r + FACTORIALS[4]
    p = (p * r + FACTORIALS[3]) * r + FACTORIALS[2]
    return np.int64(np.float64(shifted).view(np.int64) << 52).view(np.float64), (p * r + 1.0) * r


@in_order
def tanh_of_positive(x):  # type: ignore[no-untyped-def]
    """tanh(x) and its derivative, for x >= 0."""
    scale, tail = _scaled_exp(-2.0 * x, 0.0)
    lost = scale * tail + (scale - 1.0)  # e^(-2x) - 1, which keeps the digits of a small x
    shrunk = scale * tail + scale
    below = 2.0 + lost
    return -lost / below, 4.0 * shrunk / (below * below)


@in_order
def erf_of_positive(x):  # type: ignore[no-untyped-def]
    """erf(x), erfc(x) and e^(-x^2), for x >= 0.

    Up to 1/2 erf is its series, beyond it erfc is e^(-x^2) times a polynomial.
    """
    x = 28.0 if x > 28.0 else x  # from 26.6 on, e^(-x^2) is no normal float
    head = (x + SPLITTER) - SPLITTER
    scale, tail = _scaled_exp(-head * head, -(x - head) * (x + head))
    shrunk = scale * tail + scale if x < 26.6 else 0.0 * x  # NaN stays NaN
    u = x * x
    p = ERF_SERIES[12] * u + ERF_SERIES[11]
    p = (p * u + ERF_SERIES[10]) * u + ERF_SERIES[9]
    p = (p * u + ERF_SERIES[8]) * u + ERF_SERIES[7]
    p = (p * u + ERF_SERIES[6]) * u + ERF_SERIES[5]
    p = (p * u + ERF_SERIES[4]) * u + ERF_SERIES[3]
    p = (p * u + ERF_SERIES[2]) * u + ERF_SERIES[1]
    near = (p * u + ERF_SERIES[0]) * x
    inverse = 1.0 / (x + 3.0)
    far = shrunk * _polynomial((x - 3.0) * inverse) * inverse
    erf = near if x < 0.5 else 1.0 - far
    return erf, (1.0 - near if x < 0.5 else far), shrunk


@in_order
def _polynomial(t):  # type: ignore[no-untyped-def]
    """`ERFC_SCALED` at t."""
    p = ERFC_SCALED[20]
    p = (p * t + ERFC_SCALED[19]) * t + ERFC_SCALED[18]
    p = (p * t + ERFC_SCALED[17]) * t + ERFC_SCALED[16]
    p = (p * t + ERFC_SCALED[15]) * t + ERFC_SCALED[14]
    p = (p * t + ERFC_SCALED[13]) * t + ERFC_SCALED[12]
    p = (p * t + ERFC_SCALED[11]) * t + ERFC_SCALED[10]
    p = (p * t + ERFC_SCALED[9]) * t + ERFC_SCALED[8]
    p = (p * t + ERFC_SCALED[7]) * t + ERFC_SCALED[6]
    p = (p * t + ERFC_SCALED[5]) * t + ERFC_SCALED[4]
    p = (p * t + ERFC_SCALED[3]) * t + ERFC_SCALED[2]
    return (p * t + ERFC_SCALED[1]) * t + ERFC_SCALED[0]


@in_order
def log1p_of_share(s):  # type: ignore[no-untyped-def]
    """log(1 + s) for 0 <= s <= 1.

    log(1 + s) = 2 artanh(t) with t = s / (s + 2); beyond sqrt(2) - 1, log 2 is taken out, so that t^2
    stays below 0.03 and twelve terms of the series suffice.
    """
    far = s > 0.414
    above = s - 1.0 if far else s
    below = s + 3.0 if far else s + 2.0
    t = above / below
    u = t * t
    p = ODD[11] * u + ODD[10]
    p = (p * u + ODD[9]) * u + ODD[8]
    p = (p * u + ODD[7]) * u + ODD[6]
    p = (p * u + ODD[5]) * u + ODD[4]
    p = (p * u + ODD[3]) * u + ODD[2]
    p = (p * u + ODD[1]) * u + 1.0
    return 2 * t * p + (0.6931471805599453 if far else 0.0)
