"""The values that a refinement may add to an axis of a sweep.

New values are taken from one dyadic lattice, 2^(j / 2^m) for whole j and m, which does not depend on
the sweep; an existing value that is close enough is preferred. The width axis is shared by all cells
and in units of n or n/d, so a new width must be valid in every cell: a whole number of at least 1,
distinct from the others, and even if v must balance. A new n or d must be one that the sweep can be
extended by. The values of any other axis belong to the identity of a sweep: none may be added.

All of it counts in *numbers*: positive, and such that success rises with them. Along the width these
are k itself.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from analysis.transitions.scales import RISING, Scale
from pipeline.errors import SweepError
from pipeline.numerics.datasets import KINDS
from pipeline.sweep import Sweep
from pipeline.sweep_files.extents import with_extents

__all__ = ["FixedValues", "Lattice", "Numbers", "Sizes", "Widths"]

FINEST = 14
"""Level of the finest lattice, whose neighbours are 0.004% apart."""


@dataclass(frozen=True)
class Numbers:
    """The way from the values of an axis to numbers with which success rises, and back.

    Where the scale is logarithmic a number is the value, or its inverse. Where it is linear, the
    logarithm of a number is the value in units of the largest one.

    Attributes
    ----------
    scale
        The covariate of the curve.
    unit
        The largest absolute value of the axis; only a linear scale needs it.
    """

    scale: Scale = RISING
    unit: float = 1.0

    def number(self, value: float) -> float:
        """Return the number of a value; 0 and inf of values beyond all others."""
        upright = float(self.scale.upright(value))
        return upright if self.scale.logarithmic else float(np.exp(upright / self.unit))

    def value(self, number: float) -> float:
        """Return the value of a number."""
        upright = number if self.scale.logarithmic else math.log(number) * self.unit
        return float(self.scale.upright(upright))

    def steepness(self, transition_width: float) -> float:
        """Return the distance of 10% and 90% success in the logarithm of numbers."""
        return math.log(transition_width) if self.scale.logarithmic else transition_width / self.unit


class Lattice:
    """The values that an axis has, by their numbers, and those that may join it.

    Parameters
    ----------
    known
        The values that it has by now; grows.
    numbers
        The way between values and numbers.
    """

    def __init__(self, known: dict[float, float], numbers: Numbers) -> None:
        self.known, self.numbers = known, numbers

    def near(self, number: float, reach: float) -> float:
        """Return a value whose number is within a relative (log) `reach` of the given one.

        An existing value is preferred, then a point of the coarsest lattice that has one close enough.
        If no value is close enough, the result is the nearest one.
        """
        nearest = min(self.known, key=lambda other: abs(math.log(other / number)))
        away = abs(math.log(nearest / number))
        if away > reach:
            for value in self._free_points(number, reach):
                if abs(math.log(self.number(value) / number)) < away:
                    return self._added(value)
                break
        return self.known[nearest]

    def between(self, low: float, high: float) -> float | None:
        """Return a value in the middle of two numbers, or at least between them, if there is one."""
        middle, reach = math.sqrt(low * high), math.log(high / low) / 4
        inside = sorted((abs(math.log(one / middle)), one) for one in self.known if low < one < high)
        if inside and inside[0][0] <= reach:
            return self.known[inside[0][1]]
        for value in self._free_points(middle, reach):
            if low < self.number(value) < high:
                return self._added(value)
        return self.known[inside[0][1]] if inside else None

    def number(self, value: float) -> float:
        """Return the number of a value of the axis."""
        return self.numbers.number(value)

    def _free_points(self, number: float, reach: float) -> Iterator[float]:
        """Yield the nearest points of ever finer lattices that may join the axis."""
        level = min(FINEST, max(0, math.ceil(math.log2(math.log(2) / (2 * reach)))))
        for finer in range(level, FINEST + 1):
            value = self._point(self.numbers.value(number), finer)
            if self._is_free(value):
                yield value

    def _point(self, value: float, level: int) -> float:
        """Return the point of a lattice that is nearest to a value."""
        raise NotImplementedError

    def _is_free(self, value: float) -> bool:
        """Return True if a value may join the axis."""
        raise NotImplementedError

    def _added(self, value: float) -> float:
        self.known[self.number(value)] = value
        return value


class FixedValues(Lattice):
    """An axis that gets no new values."""

    def _free_points(self, number: float, reach: float) -> Iterator[float]:
        yield from ()


class Sizes(Lattice):
    """The axis n or d of a sweep, which grows.

    Parameters
    ----------
    sweep
        The sweep; its axis is the start.
    axis
        "n" or "d".
    numbers
        The way between sizes and numbers.
    """

    def __init__(self, sweep: Sweep, axis: str, numbers: Numbers) -> None:
        super().__init__({numbers.number(value): value for value in getattr(sweep, axis)}, numbers)
        self._sweep, self._axis = sweep, axis
        groups = [KINDS[spec.kind].multiple for spec in sweep.dataset if spec is not None]
        self._step = math.lcm(*groups) if axis == "n" else 1

    def _point(self, value: float, level: int) -> float:
        return max(self._step, self._step * round(_dyadic(value, level) / self._step))

    def _is_free(self, value: float) -> bool:
        sizes = getattr(self._sweep, self._axis)
        if value in self.known.values():
            return False
        extent = sorted({*sizes, int(value)})
        try:
            with_extents(self._sweep, "sweep", **{self._axis: extent})
        except SweepError:  # a file has fewer rows, a formula no value there, ...
            return False
        return True


def _dyadic(value: float, level: int) -> float:
    """Return the number 2^(j / 2^level) that is nearest to a value in the logarithm."""
    return float(2 ** (round(math.log2(value) * 2**level) / 2**level))


class Widths:
    """The width axis of a sweep, which grows; its cells give one width different numbers.

    Parameters
    ----------
    sweep
        The sweep; its axes are the start.
    numbers
        The way between k and numbers.
    """

    def __init__(self, sweep: Sweep, numbers: Numbers = Numbers()) -> None:
        self.sweep, self._numbers = sweep, numbers
        self._cells = {
            (d, n): _CellWidths(self, d, n, numbers) for d, n in itertools.product(sweep.d, sweep.n)
        }

    def of_cell(self, d: int, n: int) -> Lattice:
        """Return the axis as the cell of a d and an n has it."""
        return self._cells[d, n]

    def k(self, d: int, n: int, width: float) -> int:
        """Return the whole width of a value of the axis."""
        return replace(self.sweep, width=(width,)).k(d, n)[0]

    def is_free(self, width: float) -> bool:
        """Return True if a width is a new whole number in every cell."""
        return all(
            1 <= self.k(d, n, width) < 2**31 and cell.number(width) not in cell.known
            for (d, n), cell in self._cells.items()
        )

    def add(self, width: float) -> None:
        """Add a width to the axis of every cell."""
        for cell in self._cells.values():
            cell.known[cell.number(width)] = width


class _CellWidths(Lattice):
    """The width axis as one cell has it: numbers are those of k."""

    def __init__(self, widths: Widths, d: int, n: int, numbers: Numbers) -> None:
        self._widths, self._d, self._n = widths, d, n
        sweep = widths.sweep
        known = zip(sweep.k(d, n), sweep.width, strict=True)
        super().__init__({numbers.number(k): width for k, width in known}, numbers)

    def number(self, value: float) -> float:
        return self.numbers.number(self._widths.k(self._d, self._n, value))

    def _point(self, value: float, level: int) -> float:
        sweep = self._widths.sweep
        n, d = float(self._n), float(self._d)
        unit = {"k": 1.0, "k_per_n": n, "kd_per_n": n / d, "k_per_d": d}[sweep.width_unit]
        point = _dyadic(value / unit, level)
        if sweep.width_unit == "k":
            step = 2 if sweep.even else 1
            return float(max(step, step * round(point / step)))
        return float(f"{point:.12g}")

    def _is_free(self, value: float) -> bool:
        return self._widths.is_free(value)

    def _added(self, value: float) -> float:
        self._widths.add(value)
        return value
