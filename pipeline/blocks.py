"""The unit of work: a block is a run of seeds of one cell, and one set of whole chunks of the store.

It has all widths of the cell, or, where one seed of independent widths would take too long, some.
Blocks are sized by the estimated cost of the dearest cell, so that none takes long; tasks group
cheap blocks until they are worth the scheduler's attention. Computing a block knows nothing of Dask
or Zarr: it returns named arrays, and a seed that raises is an outcome like any other.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

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
    "seed_seconds",
    "tasks",
]

SHORTEST_BLOCK, LONGEST_BLOCK = 3.0, 30.0
TASK_SECONDS = 1.0
TASKS_PER_SWEEP = 64


@dataclass(frozen=True)
class Block:
    """Seeds [start, stop) of the seed axis in one cell, from the `first` width on.

    Attributes
    ----------
    cell
        With the widths of this block alone.
    """

    cell: Cell
    first: int
    start: int
    stop: int
    seconds: float

    @property
    def trials(self) -> int:
        """Number of trials."""
        return len(self.cell.widths) * (self.stop - self.start)

    @property
    def widths(self) -> slice:
        """Its places on the width axis."""
        return slice(self.first, self.first + len(self.cell.widths))

    @property
    def seeds(self) -> slice:
        """Its places on the seed axis."""
        return slice(self.start, self.stop)


@dataclass
class BlockResult:
    """What a block leaves: `values` by variable, `status` and `message` of shape (widths, seeds)."""

    values: dict[str, NDArray[np.float64]]
    status: NDArray[np.int8]
    message: NDArray[np.object_]


def seed_seconds(sweep: Sweep, cell: Cell) -> float:
    """Estimated time of one seed of one cell on one core."""
    return experiment_of(sweep).seconds(cell, sweep.descent)


def estimated_seconds(sweep: Sweep, asked: NDArray[np.bool_] | None = None) -> float:
    """Estimated time of a sweep on one core; of the trials asked for, shape `sweep.shape`, if given."""
    if asked is None:
        return len(sweep.seeds) * sum(seed_seconds(sweep, cell) for cell in sweep.cells())
    return math.fsum(_asked_seconds(sweep, cell, asked[cell.index]) for cell in sweep.cells())


def _asked_seconds(sweep: Sweep, cell: Cell, asked: NDArray[np.bool_]) -> float:
    """Estimated time of some trials of a cell, (widths, seeds); seeds of the same widths cost alike."""
    patterns, seeds = np.unique(asked[:, asked.any(axis=0)], axis=1, return_counts=True)
    return math.fsum(
        number * seed_seconds(sweep, replace(cell, widths=tuple(np.array(cell.widths)[rows].tolist())))
        for rows, number in zip(patterns.T, seeds, strict=True)
    )


def block_shape(sweep: Sweep) -> tuple[int, int]:
    """Return how many widths and seeds make a block: also the extents of a chunk.

    The dearest cell decides. A short sweep is cut finely enough to fill the cores to its end, but not
    into blocks shorter than `SHORTEST_BLOCK`: every block leaves a file for each variable, to be opened
    again by every reader. A long sweep has blocks of `LONGEST_BLOCK` seconds at most, down to a single
    trial where that is possible.
    """
    costs = {cell: seed_seconds(sweep, cell) for cell in sweep.cells()}
    dearest = max(costs.values())
    target = min(LONGEST_BLOCK, max(SHORTEST_BLOCK, estimated_seconds(sweep) / TASKS_PER_SWEEP))
    widths = len(sweep.width)
    if dearest > target and experiment_of(sweep).independent:
        # The cell that is dearest as a whole need not have the dearest run of widths: take all.
        while widths > 1 and max(_dearest_run(sweep, cell, widths) for cell in costs) > target:
            widths = -(-widths // 2)
        dearest = target
    return widths, max(1, min(len(sweep.seeds), int(target / dearest)))


def _dearest_run(sweep: Sweep, cell: Cell, widths: int) -> float:
    return max(seed_seconds(sweep, part) for _, part in _parts(cell, widths))


def _parts(cell: Cell, widths: int) -> Iterator[tuple[int, Cell]]:
    """Cut a cell along its widths: (place of the first, the cell with the part alone)."""
    for first in range(0, len(cell.widths), widths):
        yield first, replace(cell, widths=cell.widths[first : first + widths])


def blocks(sweep: Sweep, widths: int, seeds: int) -> Iterator[Block]:
    """Go through all blocks of so many widths and seeds, in the order of the store."""
    for cell in sweep.cells():
        for first, part in _parts(cell, widths):
            seconds = seed_seconds(sweep, part)
            for start in range(0, len(sweep.seeds), seeds):
                stop = min(start + seeds, len(sweep.seeds))
                yield Block(part, first, start, stop, seconds * (stop - start))


def tasks(todo: Iterable[Block]) -> Iterator[list[Block]]:
    """Group blocks into tasks of `TASK_SECONDS` or more, dearest first so that the cores end level."""
    task: list[Block] = []
    for block in sorted(todo, key=lambda block: -block.seconds):
        task.append(block)
        if math.fsum(member.seconds for member in task) >= TASK_SECONDS:
            yield task
            task = []
    if task:
        yield task


def empty_result(sweep: Sweep, block: Block) -> BlockResult:
    """Return a block of which nothing is known yet: NaN, and every trial pending."""
    extents = {dim: len(values) for dim, values in sweep.inner.items()}
    shape = (len(block.cell.widths), block.stop - block.start)

    def empty(dims: tuple[str, ...]) -> NDArray[np.float64]:
        trials = shape if "width" in dims else shape[1:]
        return np.full((*trials, *(extents[dim] for dim in dims if dim != "width")), np.nan)

    values = {variable.name: empty(variable.dims) for variable in variables(sweep)}
    return BlockResult(values, np.zeros(shape, dtype=np.int8), np.full(shape, "", dtype=object))
