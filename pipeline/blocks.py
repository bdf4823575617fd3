"""The unit of work: a block is a run of seeds of one cell, and one set of whole chunks of the store.

Blocks are sized by the estimated cost of the dearest cell, so that none takes long; tasks group
cheap blocks until they are worth the scheduler's attention. Computing a block knows nothing of Dask
or Zarr: it returns named arrays, and a seed that raises is an outcome like any other.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.experiments import EXPERIMENTS, SeedResult, SeedTrial, Variable
from pipeline.experiments.features import describe
from pipeline.status import Status
from pipeline.sweep import Cell, Sweep

__all__ = [
    "Block",
    "BlockResult",
    "blocks",
    "compute_block",
    "estimated_seconds",
    "seed_seconds",
    "seeds_per_block",
    "tasks",
    "variables",
]

SECONDS = Variable("seconds", (), "time of all widths of one seed on one core", "s")
"""A timing, not a result: two stores are equal whatever it says."""

LONGEST_BLOCK = 30.0
TASK_SECONDS = 1.0
TASKS_PER_SWEEP = 64


@dataclass(frozen=True)
class Block:
    """Seeds [start, stop) of the seed axis, in one cell, all widths."""

    cell: Cell
    start: int
    stop: int
    seconds: float

    @property
    def trials(self) -> int:
        """Number of trials."""
        return len(self.cell.widths) * (self.stop - self.start)


@dataclass
class BlockResult:
    """What a block leaves: `values` by variable, `status` and `message` of shape (widths, seeds)."""

    values: dict[str, NDArray[np.float64]]
    status: NDArray[np.int8]
    message: NDArray[np.object_]


def variables(sweep: Sweep) -> tuple[Variable, ...]:
    """Return the result variables of a sweep, the timing last."""
    return (*EXPERIMENTS[sweep.experiment].VARIABLES, SECONDS)


def seed_seconds(sweep: Sweep, cell: Cell) -> float:
    """Estimated time of one seed of one cell on one core."""
    return EXPERIMENTS[sweep.experiment].seconds(cell.n, cell.d, cell.widths)


def estimated_seconds(sweep: Sweep) -> float:
    """Estimated time of the whole sweep on one core."""
    return len(sweep.seeds) * sum(seed_seconds(sweep, cell) for cell in sweep.cells())


def seeds_per_block(sweep: Sweep) -> int:
    """Return how many seeds make a block: also the extent of a chunk along `seed`.

    The dearest cell decides. A short sweep is cut finely enough to fill the cores to its end, a long
    one in blocks of `LONGEST_BLOCK` seconds at most.
    """
    dearest = max(seed_seconds(sweep, cell) for cell in sweep.cells())
    target = min(LONGEST_BLOCK, max(TASK_SECONDS, estimated_seconds(sweep) / TASKS_PER_SWEEP))
    return max(1, min(len(sweep.seeds), int(target / dearest)))


def blocks(sweep: Sweep, seeds: int) -> Iterator[Block]:
    """Go through all blocks of `seeds` seeds, in the order of the store."""
    for cell in sweep.cells():
        seconds = seed_seconds(sweep, cell)
        for start in range(0, len(sweep.seeds), seeds):
            stop = min(start + seeds, len(sweep.seeds))
            yield Block(cell, start, stop, seconds * (stop - start))


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


def compute_block(sweep: Sweep, block: Block) -> BlockResult:
    """Run all trials of a block.

    Returns
    -------
    BlockResult
        Arrays of shape ([widths,] seeds[, index]).
    """
    seeds = [_timed_seed(sweep, block.cell, seed) for seed in sweep.seeds[block.start : block.stop]]
    values = {}
    for variable in variables(sweep):
        axis = 1 if "width" in variable.dims else 0
        values[variable.name] = np.stack([seed.values[variable.name] for seed in seeds], axis=axis)
    message = np.array([seed.messages for seed in seeds], dtype=object).T
    status = np.where(message == "", Status.DONE, Status.FAILED).astype(np.int8)
    return BlockResult(values, status, message)


def _timed_seed(sweep: Sweep, cell: Cell, seed: int) -> SeedResult:
    trial = SeedTrial(
        entropy=sweep.entropy,
        nested=sweep.nested,
        activation=cell.activation,
        dataset=cell.dataset,
        angle=cell.angle,
        d=cell.d,
        n=cell.n,
        widths=cell.widths,
        seed=seed,
        index_size=max(sweep.n),
    )
    began = time.perf_counter()
    try:
        with np.errstate(all="ignore"):  # what is not finite is found and stored, not warned of
            result = EXPERIMENTS[sweep.experiment].run_seed(trial)
    except Exception as error:  # before the first width: all widths of the seed have failed
        sizes = {"width": len(cell.widths), "index": trial.index_size}
        empty = {v.name: np.full([sizes[dim] for dim in v.dims], np.nan) for v in variables(sweep)}
        result = SeedResult(empty, [describe(error)] * len(cell.widths))
    result.values["seconds"] = np.array(time.perf_counter() - began)
    return result
