"""The condition at the left edge of the generalised Marchenko-Pastur law, solved for one width.

``h(t) = sum (2 t_i + 1) / t_i^2 = k - n`` with ``t_i = r_i - 1 + r_i t``, as `marchenko_pastur` derives
it. Every seed of random features needs it at all of its widths, so the steps are compiled.
"""

from __future__ import annotations

import numpy as np

from pipeline.numerics.compiled import compiled

__all__ = ["solve"]


@compiled
def solve(above, ratio, excess):  # type: ignore[no-untyped-def]
    """Return t, given ``r_i - 1``, ``r_i`` and the excess of one width; nan if it does not converge.

    Newton's method on ``h^(-1/2)``. Each term to the power -1/2 is increasing and concave in t, and so
    is ``(sum g_i^-2)^(-1/2)`` in the g_i; hence the whole is increasing and concave, and from any start
    below the root the steps rise to it, quadratically in the end, without a safeguard.
    """
    least = 0.0
    for i in range(above.size):  # start below the root: each of the j least terms is at least the j-th
        j = i + 1.0
        root = (j + np.sqrt(j * (j + excess))) / excess
        least = max(least, (root - above[i]) / ratio[i])
    for _ in range(100):
        value, slope = 0.0, 0.0
        for i in range(above.size):
            inverse = 1.0 / (above[i] + ratio[i] * least)
            value += inverse * (2.0 + inverse)
            slope += inverse * inverse * (1.0 + inverse) * ratio[i]
        step = value * (np.sqrt(value / excess) - 1.0) / slope
        least += step
        if abs(step) <= 1e-8 * least:  # the error left is of the order of the square of the step
            return least
    return np.nan
