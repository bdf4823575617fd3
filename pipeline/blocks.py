"""The unit of work: a block is a range of seeds of one cell, and owns whole chunks of the store.

A block has all widths of its cell, unless one seed of independent widths would take too long: then it
has some of them. The estimated cost of the most expensive cell sets the size of all blocks, so that
none takes long. Tasks group cheap blocks until they are worth the scheduler's overhead.

The result of a block is a set of named arrays, all with the axes (widths or 1, seeds, inner): an
array that the widths of a seed share has one row. It depends on neither Dask nor Zarr.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.experiments import experiment_of, variables
from pipeline.sweep import Cell, Sweep

__all__ = [
    "Block",
    "BlockResult",
    "block_shape",
    "blocks",
    "empty_result",
    "estimated_seconds",
    "mask_for",
    "rows_for",
    "seed_seconds",
    "tasks",
]

SHORTEST_BLOCK, LONGEST_BLOCK = 3.0, 30.0
TASK_SECONDS = 1.0
TASKS_PER_SWEEP = 64


@dataclass(frozen=True)
class Block:
    """Seeds [start, stop) of one cell, and its widths from the `first` on.

    Attributes
    ----------
    cell
        The cell, with the widths of this block only.
    first
        Index of its first width on the width axis.
    start, stop
        Range of indices on the seed axis.
    seconds
        Estimated time on one core.
    """

    cell: Cell
    first: int
    start: int
    stop: int
    seconds: float

    @property
    def trials(self) -> int:
        """Number of trials."""
        widths, seeds = self.shape
        return widths * seeds

    @property
    def shape(self) -> tuple[int, int]:
        """Numbers of widths and seeds."""
        return len(self.cell.widths), self.stop - self.start

    @property
    def widths(self) -> slice:
        """Range of indices on the width axis."""
        return slice(self.first, self.first + len(self.cell.widths))

    @property
    def seeds(self) -> slice:
        """Range of indices on the seed axis."""
        return slice(self.start, self.stop)


@dataclass
class BlockResult:
    """The results of a block.

    Attributes
    ----------
    values
        Arrays by variable, of shape (widths or 1, seeds, inner): one row if all widths share it.
    status, message
        Outcome of each trial, shape (widths, seeds).
    """

    values: dict[str, NDArray[np.float64]]
    status: NDArray[np.int8]
    message: NDArray[np.object_]

    def update(self, other: BlockResult, trials: NDArray[np.bool_]) -> None:
        """Take over some trials of another result of the same block, mask of shape (widths, seeds)."""
        for name, array in self.values.items():
            mask = mask_for(array, trials)
            array[mask] = other.values[name][mask]
        self.status[trials], self.message[trials] = other.status[trials], other.message[trials]


def mask_for(array: NDArray[Any], trials: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Reduce a mask of trials to the rows of an array of a block.

    Parameters
    ----------
    array
        Shape (widths or 1, seeds, ...).
    trials
        Shape (widths, seeds).

    Returns
    -------
    Mask of shape (widths or 1, seeds). A row that all widths share belongs to any of their trials.
    """
    return trials if len(array) == len(trials) else np.any(trials, axis=0, keepdims=True)


def rows_for(array: NDArray[Any], widths: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the row of an array of a block for each of some widths; it may be one row for all."""
    return np.minimum(widths, len(array) - 1)


def seed_seconds(sweep: Sweep, cell: Cell) -> float:
    """Estimate the time of one seed of one cell on one core."""
    return experiment_of(sweep).seconds(cell, sweep.descent)


def estimated_seconds(sweep: Sweep, requested: NDArray[np.bool_] | None = None) -> float:
    """Estimate the time of a sweep on one core.

    Parameters
    ----------
    sweep
        The sweep.
    requested
        Mask of the trials to be computed, shape `sweep.shape`; all if None.
    """
    if requested is None:
        return len(sweep.seeds) * sum(seed_seconds(sweep, cell) for cell in sweep.cells())
    return math.fsum(_cell_seconds(sweep, cell, requested[cell.index]) for cell in sweep.cells())


def _cell_seconds(sweep: Sweep, cell: Cell, requested: NDArray[np.bool_]) -> float:
    """Estimate the time of some trials of a cell, mask of shape (widths, seeds)."""
    # Seeds with the same widths cost the same.
    patterns, seeds = np.unique(requested[:, requested.any(axis=0)], axis=1, return_counts=True)
    return math.fsum(
        number * seed_seconds(sweep, replace(cell, widths=tuple(np.array(cell.widths)[rows].tolist())))
        for rows, number in zip(patterns.T, seeds, strict=True)
    )


def block_shape(sweep: Sweep) -> tuple[int, int]:
    """Return the numbers of widths and seeds of a block, which are also the extents of a chunk.

    The most expensive cell decides. A short sweep is cut finely enough to keep all cores busy to its
    end, but not into blocks shorter than `SHORTEST_BLOCK`: every block adds a file for each variable,
    which every reader must open. A long sweep has blocks of at most `LONGEST_BLOCK` seconds, down to a
    single trial if the experiment allows it.
    """
    costs = {cell: seed_seconds(sweep, cell) for cell in sweep.cells()}
    highest = max(costs.values())
    target = min(LONGEST_BLOCK, max(SHORTEST_BLOCK, estimated_seconds(sweep) / TASKS_PER_SWEEP))
    widths = len(sweep.width)
    if highest > target and experiment_of(sweep).independent:
        # The most expensive cell need not have the most expensive range of widths: check all cells.
        while widths > 1 and max(_highest_cost(sweep, cell, widths) for cell in costs) > target:
            widths = -(-widths // 2)
        highest = target
    return widths, max(1, min(len(sweep.seeds), int(target / highest)))


def _highest_cost(sweep: Sweep, cell: Cell, widths: int) -> float:
    return max(seed_seconds(sweep, part) for _, part in _parts(cell, widths))


def _parts(cell: Cell, widths: int) -> Iterator[tuple[int, Cell]]:
    """Cut a cell along its widths into pairs (index of the first width, cell with these widths)."""
    for first in range(0, len(cell.widths), widths):
        yield first, replace(cell, widths=cell.widths[first : first + widths])


def blocks(sweep: Sweep, widths: int, seeds: int) -> Iterator[Block]:
    """Yield all blocks of the given numbers of widths and seeds, in the order of the store."""
    for cell in sweep.cells():
        for first, part in _parts(cell, widths):
            seconds = seed_seconds(sweep, part)
            for start in range(0, len(sweep.seeds), seeds):
                stop = min(start + seeds, len(sweep.seeds))
                yield Block(part, first, start, stop, seconds * (stop - start))


def tasks(todo: Iterable[Block]) -> Iterator[list[Block]]:
    """Group blocks into tasks of `TASK_SECONDS` or more.

    The most expensive come first, so that all cores finish at about the same time.
    """
    task: list[Block] = []
    for block in sorted(todo, key=lambda block: -block.seconds):
        task.append(block)
        if math.fsum(member.seconds for member in task) >= TASK_SECONDS:
            yield task
            task = []
    if task:
        yield task


def empty_result(sweep: Sweep, block: Block) -> BlockResult:
    """Return a result without values: NaN everywhere, and every trial pending."""
    widths, seeds = block.shape
    extents = {dim: len(values) for dim, values in sweep.inner.items()}

    def empty(dims: tuple[str, ...]) -> NDArray[np.float64]:
        inner = (extents[dim] for dim in dims if dim != "width")
        return np.full((widths if "width" in dims else 1, seeds, *inner), np.nan)

    values = {variable.name: empty(variable.dims) for variable in variables(sweep)}
    message = np.full(block.shape, "", dtype=object)
    return BlockResult(values, np.zeros(block.shape, dtype=np.int8), message)
