"""The widths that a refinement may add to the axis of a sweep.

The width axis is shared by all cells and in units of n or n/d, so a new width must be valid in every
cell: a whole number of at least 1, distinct from the others, and even if v must balance. It is taken
from one dyadic lattice, 2^(j / 2^m) for whole j and m, which does not depend on the sweep; an existing
width that is close enough is preferred.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

from pipeline.sweep import Sweep

__all__ = ["Widths"]

FINEST = 14
"""Level of the finest lattice, whose neighbours are 0.004% apart."""


class Widths:
    """The width axis of a sweep, which grows.

    Parameters
    ----------
    sweep
        The sweep; its axes are the start.
    """

    def __init__(self, sweep: Sweep) -> None:
        self._sweep = sweep
        self._at = {
            at: dict(zip(sweep.k(*at), sweep.width, strict=True))
            for at in itertools.product(sweep.d, sweep.n)
        }

    def k(self, d: int, n: int, width: float) -> int:
        """Return the whole width of a value of the axis."""
        return replace(self._sweep, width=(width,)).k(d, n)[0]

    def value(self, d: int, n: int, k: int) -> float:
        """Return the value of the axis that gives k."""
        return self._at[d, n][k]

    def near(self, d: int, n: int, k: float, reach: float) -> float | None:
        """Return a width whose k is within a relative (log) `reach` of the given one.

        An existing width is preferred, then a point of the coarsest lattice that has one close enough.
        If no whole width is close enough, the result is the nearest one.
        """
        known = self._at[d, n]
        nearest = min(known, key=lambda other: abs(math.log(other / k)))
        if abs(math.log(nearest / k)) <= reach:
            return known[nearest]
        for level in range(self._level(reach), FINEST + 1):
            width = self._point(d, n, k, level)
            if self._is_free(width):
                new = self.k(d, n, width)
                closer = abs(math.log(new / k)) < abs(math.log(nearest / k))
                return self._added(width) if closer else known[nearest]
        return known[nearest]

    def between(self, d: int, n: int, low: float, high: float) -> float | None:
        """Return a width in the middle between two, or at least between them; None if there is none."""
        known, middle = self._at[d, n], math.sqrt(low * high)
        inside = sorted((abs(math.log(k / middle)), k) for k in known if low < k < high)
        reach = math.log(high / low) / 4
        if inside and inside[0][0] <= reach:
            return known[inside[0][1]]
        for level in range(self._level(reach), FINEST + 1):
            width = self._point(d, n, middle, level)
            if self._is_free(width) and low < self.k(d, n, width) < high:
                return self._added(width)
        return known[inside[0][1]] if inside else None

    def _level(self, reach: float) -> int:
        """Return the level of the coarsest lattice with a point within `reach` of every width."""
        return min(FINEST, max(0, math.ceil(math.log2(math.log(2) / (2 * reach)))))

    def _point(self, d: int, n: int, k: float, level: int) -> float:
        """Return the point of a lattice that is nearest to k, in the unit of the axis."""
        units = {"k": 1.0, "k_per_n": float(n), "kd_per_n": n / d, "k_per_d": float(d)}
        unit = units[self._sweep.width_unit]
        point = 2 ** (round(math.log2(k / unit) * 2**level) / 2**level)
        if self._sweep.width_unit == "k":
            step = 2 if self._sweep.even else 1
            return float(max(step, step * round(point / step)))
        return float(f"{point:.12g}")

    def _is_free(self, width: float) -> bool:
        """Return True if a width is a new whole number in every cell."""
        ks = {at: self.k(*at, width) for at in self._at}
        return all(1 <= k < 2**31 and k not in self._at[at] for at, k in ks.items())

    def _added(self, width: float) -> float:
        for at, known in self._at.items():
            known[self.k(*at, width)] = width
        return width
