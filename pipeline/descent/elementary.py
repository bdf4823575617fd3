"""exp and log1p without branches or calls, which the compiler turns into vectors of a row.

The library's own are scalar in compiled loops, and took most of the time of a smooth activation. These
are good to a few units in the last place on the half line that is asked of them.
"""

from __future__ import annotations

import math

import numpy as np

from pipeline.compiled import in_order

__all__ = ["exp_of_negative", "log1p_of_share"]

LOWEST = -708.0
"""Below it e^x leaves the normal floats: 3e-308 stands for it."""

SHIFT = 1.5 * 2.0**52 + 1023
"""Added to a float, it rounds it to a whole number, and leaves that, biased, in the lowest bits."""

LOG2_HEAD = math.floor(math.log(2) * 2**32) / 2**32  # few bits: times a whole number it is exact
LOG2_TAIL = 1.9082149292705877e-10  # the rest of log 2
INVERSE_LOG2 = 1 / math.log(2)

FACTORIALS = tuple(1 / math.factorial(power) for power in range(14))
ODD = tuple(1 / (2 * power + 1) for power in range(12))


@in_order
def exp_of_negative(x):  # type: ignore[no-untyped-def]
    """e^x for x <= 0; NaN stays NaN.

    x = m log 2 + r with whole m and |r| <= log(2)/2: a Taylor polynomial in r, and m as an exponent.
    """
    x = LOWEST if x < LOWEST else x
    shifted = x * INVERSE_LOG2 + SHIFT
    m = shifted - SHIFT
    r = (x - m * LOG2_HEAD) - m * LOG2_TAIL
    p = FACTORIALS[13] * r + FACTORIALS[12]
    p = (p * r + FACTORIALS[11]) * r + FACTORIALS[10]
    p = (p * r + FACTORIALS[9]) * r + FACTORIALS[8]
    p = (p * r + FACTORIALS[7]) * r + FACTORIALS[6]
    p = (p * r + FACTORIALS[5]) * r + FACTORIALS[4]
    p = (p * r + FACTORIALS[3]) * r + FACTORIALS[2]
    p = (p * r + 1.0) * r + 1.0
    return p * np.int64(np.float64(shifted).view(np.int64) << 52).view(np.float64)


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
