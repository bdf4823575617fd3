"""The lines of a store: all trials among which one transition lies.

Along the width a line is a cell. Along another axis it is a row of cells at one width: all n at one d
and k, or all values of a noise. A line knows the values that it has and may get (`lattice`), and makes
requests and costs of values on it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.axes import SIZES
from analysis.refinement.lattice import FixedValues, Lattice, Numbers, Sizes, Widths
from analysis.transitions.scales import WIDTH, Scale
from pipeline.blocks import seed_seconds
from pipeline.sweep import Cell, Request, Sweep

__all__ = ["Line", "lines_of"]

MOST_FEATURES = 2**27
"""Largest number of entries of an array of a trial, such as k n: a gigabyte."""


@dataclass(frozen=True, eq=False)
class Line:
    """The trials among which one transition lies.

    Attributes
    ----------
    sweep, axis
        The sweep of the store, and the axis of the transition.
    cell
        The cell; along another axis than the width the first one of the line, with its one width.
    width
        The one width in the unit of the store; None along the width.
    at
        Indices of the line on the other axes of the store, without the seeds.
    steps, values
        Indices on the axis of all that can have trials, and the values there: k along the width.
    requested
        Which trials are requested, shape (values, seeds).
    lattice
        The values that the axis has, and those that may join it.
    """

    sweep: Sweep
    axis: str
    cell: Cell
    width: float | None
    at: Mapping[str, int]
    steps: Sequence[int]
    values: tuple[float, ...]
    requested: NDArray[np.bool_]
    lattice: Lattice

    @property
    def key(self) -> tuple[int, ...]:
        """A name of the line among all of its store."""
        return tuple(self.at.values())

    @property
    def numbers(self) -> NDArray[np.float64]:
        """The numbers of the values, in the order of the store."""
        return np.array([self.lattice.numbers.number(value) for value in self.values])

    @property
    def grid(self) -> tuple[float, ...]:
        """The values of the first seed: the grid before refinement."""
        of_first = self.requested[:, np.argmax(self.requested.any(axis=0))]
        return tuple(np.array(self.values)[of_first].tolist())

    @property
    def grows(self) -> bool:
        """True if new values may join the axis."""
        return not isinstance(self.lattice, FixedValues)

    def fits(self, number: float) -> bool:
        """Return True if the arrays of a trial stay within `MOST_FEATURES`."""
        value, cell = self.lattice.numbers.value(number), self.cell
        others = {WIDTH: cell.n, "n": cell.widths[-1], "d": max(cell.n, cell.widths[-1])}
        return self.axis not in others or value * others[self.axis] <= MOST_FEATURES

    def request(self, value: float, seeds: tuple[int, ...]) -> Request:
        """Return the request for a value of the axis, with its width in the unit of the store."""
        if self.width is None:
            return Request(self.cell.index, value, seeds)
        if self.axis in SIZES:
            return Request(self.cell.index, self.width, seeds, ((self.axis, int(value)),))
        place = dict(zip(self.sweep.axes, self.cell.index, strict=True))
        place[self.axis] = self.sweep.values(self.axis).index(value)
        return Request(tuple(place.values()), self.width, seeds)

    def seconds(self, values: Sequence[float]) -> float:
        """Return the estimated time of one seed at some values, which need not be on the axis."""
        if self.width is None:
            widths = tuple(max(1, round(value)) for value in values)
            return seed_seconds(self.sweep, replace(self.cell, widths=widths))
        if self.axis in SIZES:
            values = [max(1, round(value)) for value in values]
        return sum(seed_seconds(self.sweep, self.cell.moved({self.axis: one})) for one in values)


def lines_of(sweep: Sweep, requested: NDArray[np.bool_], axis: str, scale: Scale) -> Iterator[Line]:
    """Yield the lines of a store that have a requested trial.

    Parameters
    ----------
    sweep
        The sweep of the store, on its axes.
    requested
        Which trials are requested, shape `sweep.shape`.
    axis
        The axis of the transition.
    scale
        The covariate in which success rises.
    """
    every = _cells(sweep) if axis == WIDTH else _rows(sweep, axis)
    numbers = _numbers(sweep, axis, scale)
    widths = Widths(sweep, numbers) if axis == WIDTH else None
    shared = None if widths else _lattice(sweep, axis, numbers)
    for cell, width, at, steps, values, index in every:
        trials = requested[index]
        if trials.any():  # its sub-grids and conditions do not leave it out
            lattice = widths.of_cell(cell.d, cell.n) if widths else shared
            assert lattice is not None
            yield Line(sweep, axis, cell, width, at, steps, values, trials, lattice)


Row = tuple[Cell, float | None, dict[str, int], Sequence[int], tuple[float, ...], Any]
"""All of a `Line` up to its values, and the index of its trials in the store."""


def _cells(sweep: Sweep) -> Iterator[Row]:
    for cell in sweep.cells():
        at = dict(zip(sweep.axes, cell.index, strict=True))
        yield cell, None, at, range(len(cell.widths)), cell.widths, cell.index


def _rows(sweep: Sweep, axis: str) -> Iterator[Row]:
    """Yield the rows of cells along an axis, each at one width."""
    along = sweep.axes.index(axis)
    rows: dict[tuple[int, ...], list[Cell]] = {}
    for cell in sweep.cells():
        place = (*cell.index[:along], *cell.index[along + 1 :])
        rows.setdefault(place, []).append(cell)
    others = [name for name in sweep.axes if name != axis]
    for place, cells in rows.items():
        steps = [cell.index[along] for cell in cells]
        values = tuple(sweep.values(axis)[step] for step in steps)
        for number, width in enumerate(sweep.width):
            cell = replace(cells[0], widths=(cells[0].widths[number],))
            at = {**dict(zip(others, place, strict=True)), WIDTH: number}
            index = (*place[:along], steps, *place[along:], number)
            yield cell, width, at, steps, values, index


def _numbers(sweep: Sweep, axis: str, scale: Scale) -> Numbers:
    if scale.logarithmic:
        return Numbers(scale)
    values = [k for cell in sweep.cells() for k in cell.widths] if axis == WIDTH else sweep.values(axis)
    return Numbers(scale, max(map(abs, values)))


def _lattice(sweep: Sweep, axis: str, numbers: Numbers) -> Lattice:
    if axis in SIZES:
        return Sizes(sweep, axis, numbers)
    return FixedValues({numbers.number(value): value for value in sweep.values(axis)}, numbers)
