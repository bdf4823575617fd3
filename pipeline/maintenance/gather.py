"""Assembling the blocks of a larger store from the trials of its sources.

Trials are identified by their coordinates. If several sources have an outcome of one trial, its bits
must be equal, because they depend on nothing else. An outcome is preferred to a failure, and a failure
to no result.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline import store as stores
from pipeline.axes import Kind, names
from pipeline.blocks import Block, BlockResult, empty_result, rows_for
from pipeline.errors import StoreError
from pipeline.experiments import experiment_of, variables
from pipeline.maintenance.agreement import TIMING, agreement_of, differing, one_platform, trial_label
from pipeline.selection import SINGLE
from pipeline.store.arrays import layout_of
from pipeline.store.checkpoints import CheckpointFiles
from pipeline.store.location import StorePath, locate
from pipeline.store.names import MESSAGE, STATUS
from pipeline.sweep import Cell, Sweep
from pipeline.trial_status import Status, lookup

__all__ = ["Gatherer", "Source", "index_by_value"]

NOTHING, FAILURE, CENSORED, OUTCOME = 0, 1, 2, 3

RANK = lookup(
    {
        Status.PENDING: NOTHING,
        Status.FAILED: FAILURE,
        Status.DONE: OUTCOME,
        Status.DIVERGED: OUTCOME,
        Status.EXCLUDED: NOTHING,
        Status.NOT_REQUESTED: NOTHING,
        Status.DAMAGED: NOTHING,
    }
)
"""Rank of each status: of two sources, the one with the higher rank provides a trial.

The outcome of a trial that was left before its budget ended is only `CENSORED`.
"""


# ---- one source


class Source:
    """A store whose trials are copied."""

    def __init__(self, path: StorePath, sweep: Sweep, provenance: dict[str, Any]) -> None:
        self.path, self.sweep, self.provenance = path, sweep, provenance
        self._cells = {_cell_key(sweep, cell.index): cell for cell in sweep.cells()}
        self._widths, self._seeds = index_by_value(sweep.width), index_by_value(sweep.seeds)
        self._inner = {
            one.name: [dim for dim in one.dims if dim != "width"] for one in variables(sweep)
        }

    @classmethod
    def of(cls, path: StorePath) -> Source:
        """Return the store at a path as a source."""
        return cls(path, stores.stored_sweep(path), stores.provenance_of(path))

    @property
    def selected(self) -> Sweep:
        """The sweep of the store; it says so if only the statuses know which trials are requested."""
        if self.sweep.requests or not stores.is_refined(self.path):
            return self.sweep
        return replace(self.sweep, requests=(SINGLE,))

    def overlap(self, union: Sweep, block: Block) -> _Overlap | None:
        """Return the trials that a block of the union has in common with this store, if any."""
        cell = self._cells.get(_cell_key(union, block.cell.index))
        widths, source_widths = _common(union.width[block.widths], self._widths)
        seeds, source_seeds = _common(union.seeds[block.seeds], self._seeds)
        if cell is None or not widths.size or not seeds.size:
            return None
        marks = None
        if "step" in union.inner and union.inner["step"] != self.sweep.inner["step"]:
            marks = _common(union.inner["step"], index_by_value(self.sweep.inner["step"]))
        return _Overlap(cell, widths, seeds, source_widths, source_seeds, marks)

    def read(self, overlap: _Overlap, result: BlockResult) -> BlockResult:
        """Copy the overlapping trials of this store into a block of the union, and return that."""
        first, start = int(overlap.source_widths.min()), int(overlap.source_seeds.min())
        stop = int(overlap.source_seeds.max()) + 1
        widths = overlap.cell.widths[first : int(overlap.source_widths.max()) + 1]
        own = Block(replace(overlap.cell, widths=widths), first, start, stop, 0.0)
        found = stores.Store(self.path, self.sweep).read(own)
        rows, source_rows = overlap.widths, overlap.source_widths - first
        columns, source_columns = overlap.seeds, overlap.source_seeds - start
        to, take = np.ix_(rows, columns), np.ix_(source_rows, source_columns)
        result.status[to], result.message[to] = found.status[take], found.message[take]
        for name, array in result.values.items():
            values = found.values[name]
            to = np.ix_(rows_for(array, rows), columns)
            take = np.ix_(rows_for(values, source_rows), source_columns)
            if overlap.marks is not None and self._inner[name] == ["step"]:  # of another budget
                to, take = (
                    np.ix_(rows_for(array, rows), columns, overlap.marks[0]),
                    np.ix_(rows_for(values, source_rows), source_columns, overlap.marks[1]),
                )
                array[to] = values[take]
                continue
            inner: Any = tuple(slice(0, size) for size in values.shape[2:])  # the union's may be longer
            array[(*to, *inner)] = values[take]
        self._add_checkpoints(overlap, result)
        return result

    @cached_property
    def checkpoints(self) -> CheckpointFiles:
        """The checkpoints of the store."""
        location = locate(self.path)
        return CheckpointFiles(location, layout_of(location, STATUS), self.sweep)

    @property
    def has_checkpoints(self) -> bool:
        """True if trials of the store have checkpoints."""
        return experiment_of(self.sweep).continues and self.checkpoints.there

    def _add_checkpoints(self, overlap: _Overlap, result: BlockResult) -> None:
        """Copy the checkpoints of the overlapping trials into a block of the union."""
        if not self.has_checkpoints:
            return
        for row, width in zip(overlap.widths, overlap.source_widths, strict=True):
            for column, seed in zip(overlap.seeds, overlap.source_seeds, strict=True):
                found = self.checkpoints.find((*overlap.cell.index, int(width), int(seed)))
                if not isinstance(found, str):
                    result.checkpoints[int(row), int(column)] = found


@dataclass(frozen=True)
class _Overlap:
    """Trials that a block has in common with a source.

    Attributes
    ----------
    cell
        Their cell in the source.
    widths, seeds
        Their indices in the block.
    source_widths, source_seeds
        Their indices on the axes of the source.
    marks
        Indices of the marks that loss curves have in common, in the union and in the source; None if
        all are the same.
    """

    cell: Cell
    widths: NDArray[np.int64]
    seeds: NDArray[np.int64]
    source_widths: NDArray[np.int64]
    source_seeds: NDArray[np.int64]
    marks: tuple[NDArray[np.int64], NDArray[np.int64]] | None = None


def _cell_key(sweep: Sweep, cell_index: tuple[int, ...]) -> tuple[Any, ...]:
    """Return a key that a cell has in every store: values on axes that can grow, indices on others.

    The other axes are the same in all stores of one identity, except for the path of a data file.
    """
    pairs = zip(sweep.axes, cell_index, strict=True)
    grows = names(Kind.SIZE)
    return tuple(sweep.values(axis)[i] if axis in grows else i for axis, i in pairs)


def index_by_value(values: Sequence[float]) -> dict[float, int]:
    """Return the index of each value."""
    return {value: index for index, value in enumerate(values)}


def _common(
    values: Sequence[float], index: Mapping[float, int]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return where values occur that have an index, and their indices."""
    pairs = [(position, index[value]) for position, value in enumerate(values) if value in index]
    found = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    return found[:, 0], found[:, 1]


# ---- all sources


class Gatherer:
    """Assembles blocks of the union from all sources.

    Attributes
    ----------
    approximate
        Number of trials so far that agree within the tolerance of two platforms, but not to the bit.
    """

    def __init__(self, union: Sweep, sources: Sequence[Source]) -> None:
        self._union, self._sources = union, sources
        self._exact = one_platform(source.provenance for source in sources)
        self._relative = agreement_of(union)
        extended = any(one.sweep.descent is not None and one.sweep.descent.extended for one in sources)
        lefts = extended and union.descent is not None and experiment_of(union).continues
        self._budget = union.descent.steps if lefts and union.descent is not None else 0
        self.approximate = 0

    def gather(self, block: Block) -> BlockResult:
        """Return a block with all trials that the sources have.

        Raises
        ------
        StoreError
            Two sources have different outcomes of one trial.
        """
        result = empty_result(self._union, block)
        origin = np.full(block.shape, -1)  # number of the source of each trial
        for number, source in enumerate(self._sources):
            overlap = source.overlap(self._union, block)
            if overlap is not None:
                other = source.read(overlap, empty_result(self._union, block))
                self._check(block, result, other, origin, number)
                origin[_take_better(result, other, self._budget)] = number
        return result

    def _check(
        self, block: Block, one: BlockResult, other: BlockResult, origin: NDArray[Any], number: int
    ) -> None:
        """Compare the trials of which both results have an outcome."""
        both = (_ranks(one, self._budget) == OUTCOME) & (_ranks(other, self._budget) == OUTCOME)
        if not both.any():
            return
        unequal = np.zeros_like(both)
        for name, first, second in _arrays(one, other):
            if name == TIMING or (name == MESSAGE and not self._exact):
                continue
            apart = _trials_with_any(self._differing(name, first, second)) & both
            if apart.any():
                width, seed = np.argwhere(apart)[0].tolist()
                paths = self._sources[origin[width, seed]].path, self._sources[number].path
                values = self._first_difference(name, first, second, width, seed)
                label = trial_label(
                    self._union, block.cell.index, block.first + width, block.start + seed
                )
                raise StoreError(self._conflict(f"{name} of {label}", values, paths))
            if not self._exact:
                unequal |= _trials_with_any(differing(name, first, second)) & both
        self.approximate += int(unequal.sum())

    def _differing(self, name: str, first: NDArray[Any], second: NDArray[Any]) -> NDArray[np.bool_]:
        return differing(name, first, second, self._exact, self._relative)

    def _first_difference(
        self, name: str, one: NDArray[Any], two: NDArray[Any], width: int, seed: int
    ) -> tuple[Any, Any]:
        """Return the first two values of a trial that do not agree."""
        first, second = (np.atleast_1d(array[min(width, len(array) - 1), seed]) for array in (one, two))
        index = tuple(np.argwhere(self._differing(name, first, second))[0])
        values = first[index], second[index]
        return (Status(values[0]).word, Status(values[1]).word) if name == STATUS else values

    def _conflict(self, what: str, values: tuple[Any, Any], paths: tuple[StorePath, StorePath]) -> str:
        expected = "equal bits" if self._exact else "values that agree as on two platforms"
        return (
            f"stores {paths[0]} and {paths[1]}: {what} is {values[0]} in the first and {values[1]} in "
            f"the second, expected {expected}; `widthlaw verify --sample 100` shows which store is "
            "wrong; leave that one out"
        )


def _arrays(one: BlockResult, two: BlockResult) -> Iterator[tuple[str, NDArray[Any], NDArray[Any]]]:
    """Yield the name of each array of a block, and its values in two results."""
    yield STATUS, one.status, two.status
    yield MESSAGE, one.message, two.message
    for name, array in one.values.items():
        yield name, array, two.values[name]


def _trials_with_any(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Reduce a mask of elements to (widths or 1, seeds)."""
    return np.asarray(mask.any(axis=tuple(range(2, mask.ndim))))


def _ranks(result: BlockResult, budget: int) -> NDArray[np.int8]:
    """Return the rank of each trial of a block; no trial is censored if the budget is 0."""
    ranks = RANK[result.status]
    if budget:
        ranks[result.censored(budget)] = CENSORED
    return ranks


def _take_better(result: BlockResult, other: BlockResult, budget: int) -> NDArray[np.bool_]:
    """Take over the trials of which the other result knows more, and return a mask of them.

    A row that the widths of a seed share is taken over with the first trial of the seed.
    """
    mine, others = _ranks(result, budget), _ranks(other, budget)
    better = others > mine
    better_seeds = others.max(axis=0, keepdims=True) > mine.max(axis=0, keepdims=True)
    for name, array in result.values.items():
        mask = better if len(array) == len(better) else better_seeds
        array[mask] = other.values[name][mask]
    result.take_checkpoints(other, better)
    for at, rows in other.checkpoints.items():
        if max(mine[at], others[at]) == NOTHING:  # pending in both: it may go on
            result.checkpoints.setdefault(at, rows)
    result.status[better], result.message[better] = other.status[better], other.message[better]
    return better
