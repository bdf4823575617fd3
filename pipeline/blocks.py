"""The units of work: a block is a range of seeds of one cell, and a tile the blocks that share chunks.

A block has all widths of its cell, unless one seed of independent widths would take too long: then it
has some of them. The estimated cost of the most expensive cell sets the size of all blocks, so that
none takes long. A tile owns whole chunks of the store, and one task computes and writes it. Usually it
is a single block; only if a sweep has so many cheap cells that its store would have too many files, a
tile holds the blocks of a rectangle of cells. Tasks group cheap tiles until they are worth the
scheduler's overhead.

The result of a block is a set of named arrays, all with the axes (widths or 1, seeds, inner): an
array that the widths of a seed share has one row. It depends on neither Dask nor Zarr.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.descent.progress import Rows
from pipeline.experiments import experiment_of, variables
from pipeline.selection import requested as requested_trials
from pipeline.sweep import Cell, Sweep
from pipeline.trial_status import Status

__all__ = [
    "Block",
    "BlockResult",
    "Rows",
    "Tile",
    "block_shape",
    "blocks",
    "cell_seconds",
    "chunk_extents",
    "cut_to_requests",
    "empty_result",
    "estimated_seconds",
    "mask_for",
    "rows_for",
    "seed_seconds",
    "tasks",
    "tiles",
]

SHORTEST_BLOCK, LONGEST_BLOCK = 3.0, 30.0
TASK_SECONDS = 1.0
TASKS_PER_SWEEP = 64

FILES, TRIALS_PER_FILE = 500, 100
"""A store has at most this number of files, or one for so many trials, unless blocks take too long."""

FILES_BESIDE_ARRAYS = 2
"""Files of a tile beside its variables and messages: its statuses, and their digests."""


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


@dataclass(frozen=True)
class Tile:
    """Blocks that share chunks of the store: the same widths and seeds of a rectangle of cells.

    Attributes
    ----------
    corner, cells
        Index of its first cell on the leading axes, and the number of cells along each of them.
    blocks
        The blocks of those of its cells that can exist, at least one.
    """

    corner: tuple[int, ...]
    cells: tuple[int, ...]
    blocks: tuple[Block, ...]

    @property
    def first(self) -> Block:
        """The block of its first cell, whose widths and seeds all others share."""
        return self.blocks[0]

    @property
    def shape(self) -> tuple[int, int, int]:
        """Numbers of blocks, widths and seeds."""
        return len(self.blocks), *self.first.shape

    @property
    def trials(self) -> int:
        """Number of trials."""
        return math.prod(self.shape)

    @cached_property
    def seconds(self) -> float:
        """Estimated time on one core."""
        return math.fsum(block.seconds for block in self.blocks)

    @property
    def rectangle(self) -> tuple[slice, ...]:
        """Ranges of indices on the leading axes."""
        return tuple(slice(at, at + n) for at, n in zip(self.corner, self.cells, strict=True))

    @cached_property
    def places(self) -> tuple[tuple[int, ...], ...]:
        """Index of each block inside the rectangle."""
        return tuple(
            tuple(at - start for at, start in zip(block.cell.index, self.corner, strict=True))
            for block in self.blocks
        )

    @property
    def is_full(self) -> bool:
        """True if all cells of the rectangle can exist."""
        return len(self.blocks) == math.prod(self.cells)


@dataclass
class BlockResult:
    """The results of a block.

    Attributes
    ----------
    values
        Arrays by variable, of shape (widths or 1, seeds, inner): one row if all widths share it.
    status, message
        Outcome of each trial, shape (widths, seeds).
    checkpoints
        The checkpoint of each trial that has one, by its indices (width, seed) in the block.
    """

    values: dict[str, NDArray[np.float64]]
    status: NDArray[np.int8]
    message: NDArray[np.object_]
    checkpoints: dict[tuple[int, int], Rows] = field(default_factory=dict)

    def update(self, other: BlockResult, trials: NDArray[np.bool_]) -> None:
        """Take over some trials of another result of the same block, mask of shape (widths, seeds)."""
        for name, array in self.values.items():
            mask = mask_for(array, trials)
            array[mask] = other.values[name][mask]
        self.take_checkpoints(other, trials)
        self.status[trials], self.message[trials] = other.status[trials], other.message[trials]

    def censored(self, budget: int) -> NDArray[np.bool_]:
        """Return the trials that were left before their budget ended or their last tolerance was met.

        They are done, and neither successes nor failures of the steps that they did not take.
        """
        reached, taken = self.values["steps_to_tolerance"], self.values["steps"]
        left = np.isinf(reached).any(axis=-1) & (taken < budget)
        return np.asarray(left & (self.status == Status.DONE))

    def forget(self, trials: NDArray[np.bool_]) -> None:
        """Remove the values of trials that are to go on; their checkpoints stay."""
        for array in self.values.values():
            if len(array) == len(trials):
                array[trials] = np.nan
        self.message[trials] = ""

    def take_checkpoints(self, other: BlockResult, trials: NDArray[np.bool_]) -> None:
        """Take over the checkpoints of some trials; those that the other result lacks are dropped."""
        kept = {at: rows for at, rows in self.checkpoints.items() if not trials[at]}
        self.checkpoints = kept | {at: rows for at, rows in other.checkpoints.items() if trials[at]}


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
        Mask of the trials to be computed, shape `sweep.shape`; those that the sweep requests if None.
    """
    if requested is None:
        requested = _requests_of(sweep)
    if requested is None:
        return len(sweep.seeds) * sum(seed_seconds(sweep, cell) for cell in sweep.cells())
    return math.fsum(cell_seconds(sweep, cell, requested[cell.index]) for cell in sweep.cells())


def cell_seconds(sweep: Sweep, cell: Cell, requested: NDArray[np.bool_]) -> float:
    """Estimate the time of some trials of a cell, mask of shape (widths, seeds)."""
    if not requested.any():
        return 0.0
    # Seeds with the same widths cost the same.
    patterns, seeds = np.unique(requested[:, requested.any(axis=0)], axis=1, return_counts=True)
    return math.fsum(
        number * seed_seconds(sweep, replace(cell, widths=tuple(np.array(cell.widths)[rows].tolist())))
        for rows, number in zip(patterns.T, seeds, strict=True)
    )


def _requests_of(sweep: Sweep) -> NDArray[np.bool_] | None:
    """Return the trials that a sweep requests; None if all, or if only a store's statuses know them."""
    if not sweep.requests or any(one.single for one in sweep.requests):
        return None
    return requested_trials(sweep)


def block_shape(sweep: Sweep) -> tuple[int, int]:
    """Return the numbers of widths and seeds of a block, which are also the extents of a chunk.

    The most expensive cell decides. A short sweep is cut finely enough to keep all cores busy to its
    end, but not into blocks shorter than `SHORTEST_BLOCK`: every block adds a file for each variable,
    which every reader must open. A long sweep has blocks of at most `LONGEST_BLOCK` seconds, down to a
    single trial if the experiment allows it.
    """
    return _block_shape(sweep, _costs(sweep))


def _costs(sweep: Sweep) -> dict[Cell, float]:
    """Estimate the time of a seed of each cell with requested trials, at the widths of these."""
    return {cell: seed_seconds(sweep, cell) for cell in sweep.requested_cells()}


def _block_shape(sweep: Sweep, costs: Mapping[Cell, float]) -> tuple[int, int]:
    highest = max(costs.values())
    total = len(sweep.seeds) * math.fsum(costs.values())
    target = min(LONGEST_BLOCK, max(SHORTEST_BLOCK, total / TASKS_PER_SWEEP))
    widths = len(sweep.width)
    if highest > target and experiment_of(sweep).independent:
        # The most expensive cell need not have the most expensive range of widths: check all cells.
        while widths > 1 and max(_highest_cost(sweep, cell, widths) for cell in costs) > target:
            widths = -(-widths // 2)
        highest = target
    seeds = len(sweep.seeds)
    parts = -(-seeds // max(1, int(target / highest)))  # equal ones, so that cores finish together
    return widths, -(-seeds // parts)


def chunk_extents(sweep: Sweep) -> dict[str, int]:
    """Return the extents of a chunk along the dimensions of `status`: the shape of a tile.

    A chunk has one cell. If the store would then have too many files (`FILES`), it has more of them,
    from the last leading axis to the first, as long as a tile takes no longer than `LONGEST_BLOCK`.
    """
    costs = _costs(sweep)
    widths, seeds = _block_shape(sweep, costs)
    extents = dict.fromkeys(sweep.axes, 1) | {"width": widths, "seed": seeds}
    sizes = dict(zip(sweep.dims, sweep.shape, strict=True))
    seconds = np.zeros(sweep.shape[:-2])
    for cell, cost in costs.items():
        seconds[cell.index] = cost * seeds * widths / len(sweep.width)
    per_tile = len(variables(sweep)) + 1 + FILES_BESIDE_ARRAYS
    in_template = 2 * (per_tile + len(sweep.dims))
    most = max(FILES, sweep.trials // TRIALS_PER_FILE) - in_template
    for axis in reversed(sweep.axes):
        while _number_of_tiles(sizes, extents) * per_tile > most and extents[axis] < sizes[axis]:
            wider = extents | {axis: min(2 * extents[axis], sizes[axis])}
            if _longest(seconds, [wider[axis] for axis in sweep.axes]) > LONGEST_BLOCK:
                break
            extents = wider
    return extents


def _number_of_tiles(sizes: Mapping[str, int], extents: Mapping[str, int]) -> int:
    return math.prod(-(-sizes[dim] // extents[dim]) for dim in extents)


def _longest(seconds: NDArray[np.float64], cells: Iterable[int]) -> float:
    """Return the time of the longest tile, given the seconds of each cell."""
    for axis, extent in enumerate(cells):
        seconds = np.add.reduceat(seconds, np.arange(0, seconds.shape[axis], extent), axis)
    return float(seconds.max())


def _highest_cost(sweep: Sweep, cell: Cell, widths: int) -> float:
    return max(seed_seconds(sweep, part) for _, part in _parts(cell, widths))


def _parts(cell: Cell, widths: int) -> Iterator[tuple[int, Cell]]:
    """Cut a cell along its widths into pairs (index of the first width, cell with these widths)."""
    for first in range(0, len(cell.widths), widths):
        yield first, replace(cell, widths=cell.widths[first : first + widths])


def blocks(sweep: Sweep, widths: int, seeds: int) -> Iterator[Block]:
    """Yield all blocks of the given numbers of widths and seeds, in the order of the store.

    Their times are those of the requested trials.
    """
    wanted = _requests_of(sweep)
    for cell in sweep.cells():
        for first, part in _parts(cell, widths):
            seconds = seed_seconds(sweep, part)
            for start in range(0, len(sweep.seeds), seeds):
                block = Block(part, first, start, min(start + seeds, len(sweep.seeds)), 0.0)
                here = None if wanted is None else wanted[cell.index][block.widths, block.seeds]
                if here is None or here.all():
                    yield replace(block, seconds=seconds * block.shape[1])
                else:
                    yield replace(block, seconds=cell_seconds(sweep, part, here))


def cut_to_requests(sweep: Sweep, all_tiles: Iterable[Tile]) -> Iterator[Tile]:
    """Yield the tiles with trials that a sweep requests, each with the blocks of these only."""
    wanted = _requests_of(sweep)
    if wanted is None:
        yield from all_tiles
        return
    for tile in all_tiles:
        there = [one for one in tile.blocks if wanted[one.cell.index][one.widths, one.seeds].any()]
        if there:
            yield replace(tile, blocks=tuple(there))


def tiles(sweep: Sweep, extents: Mapping[str, int]) -> Iterator[Tile]:
    """Yield all tiles of a sweep, in the order of the store.

    Parameters
    ----------
    sweep
        The sweep.
    extents
        Extents of a chunk along the dimensions of `status`.
    """
    by_index: dict[tuple[int, ...], list[Block]] = {}
    for block in blocks(sweep, extents["width"], extents["seed"]):
        by_index.setdefault(block.cell.index, []).append(block)
    steps = [range(0, len(sweep.values(axis)), extents[axis]) for axis in sweep.axes]
    for corner in itertools.product(*steps):
        stops = (min(at + step.step, step.stop) for at, step in zip(corner, steps, strict=True))
        ranges = [range(at, stop) for at, stop in zip(corner, stops, strict=True)]
        there = [by_index.pop(index) for index in itertools.product(*ranges) if index in by_index]
        for same in zip(*there, strict=True):  # of all cells, the same widths and seeds
            yield Tile(corner, tuple(map(len, ranges)), same)


def tasks(todo: Iterable[Tile]) -> Iterator[list[Tile]]:
    """Group tiles into tasks of `TASK_SECONDS` or more.

    The most expensive come first, so that all cores finish at about the same time.
    """
    task: list[Tile] = []
    seconds = 0.0
    for tile in sorted(todo, key=lambda tile: -tile.seconds):
        task.append(tile)
        seconds += tile.seconds
        if seconds >= TASK_SECONDS:
            yield task
            task, seconds = [], 0.0
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
