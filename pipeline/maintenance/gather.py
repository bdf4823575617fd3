"""Putting blocks of a wider store together from what its sources have of their trials.

Trials are known by their coordinates. Where several sources have an outcome of one, its bits must be
equal: they depend on nothing else. An outcome goes before a failure, and that before nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline import store as stores
from pipeline.blocks import Block, BlockResult, empty_result, rows_for
from pipeline.errors import StoreError
from pipeline.maintenance.agreement import TIMING, differing, one_platform, told_trial
from pipeline.store.location import Where
from pipeline.sweep import Sweep
from pipeline.trial_status import Status

__all__ = ["Gatherer", "Source", "positions"]

RANK = np.array([0, 2, 1, 2, 0])
"""By status: an outcome is worth more than a failure, and that more than nothing."""


class Source:
    """A store whose trials are taken over."""

    def __init__(self, path: Where, sweep: Sweep, provenance: dict[str, Any]) -> None:
        self.path, self.sweep, self.provenance = path, sweep, provenance
        self._cells = {_labels(sweep, cell.index): cell for cell in sweep.cells()}
        self._places = {key: positions(getattr(sweep, key)) for key in ("width", "seeds")}

    @classmethod
    def of(cls, path: Where) -> Source:
        return cls(path, stores.stored_sweep(path), stores.provenance_of(path))

    def overlap(self, union: Sweep, block: Block) -> _Overlap | None:
        """Which trials of a block of the union this store has, None where it has none."""
        cell = self._cells.get(_labels(union, block.cell.index))
        rows, from_rows = _common(union.width[block.widths], self._places["width"])
        columns, from_columns = _common(union.seeds[block.seeds], self._places["seeds"])
        if cell is None or not rows.size or not columns.size:
            return None
        return _Overlap(cell, rows, columns, from_rows, from_columns)

    def read(self, overlap: _Overlap, like: BlockResult) -> BlockResult:
        """What this store has of a block, laid out as the block is."""
        first, start = int(overlap.from_rows.min()), int(overlap.from_columns.min())
        stop = int(overlap.from_columns.max()) + 1
        widths = overlap.cell.widths[first : int(overlap.from_rows.max()) + 1]
        own = Block(replace(overlap.cell, widths=widths), first, start, stop, 0.0)
        found = stores.Store(self.path, self.sweep).read(own)
        at = np.ix_(overlap.rows, overlap.columns)
        taken = np.ix_(overlap.from_rows - first, overlap.from_columns - start)
        like.status[at], like.message[at] = found.status[taken], found.message[taken]
        for name, mine in like.values.items():
            given = found.values[name]
            rows, from_rows = rows_for(mine, overlap.rows), rows_for(given, overlap.from_rows - first)
            taken = np.ix_(from_rows, overlap.from_columns - start)
            inner: Any = tuple(slice(0, size) for size in given.shape[2:])
            mine[(*np.ix_(rows, overlap.columns), *inner)] = given[taken]
        return like


@dataclass(frozen=True)
class _Overlap:
    """Trials of a block, and their places in a source: of widths, then of seeds."""

    cell: Any
    rows: NDArray[np.int64]
    columns: NDArray[np.int64]
    from_rows: NDArray[np.int64]
    from_columns: NDArray[np.int64]


def _labels(sweep: Sweep, index: tuple[int, ...]) -> tuple[Any, ...]:
    """A cell by its coordinates: d and n by their values, the others, alike in all stores, by place."""
    at = zip(sweep.axes, index, strict=True)
    return tuple(getattr(sweep, axis)[i] if axis in ("d", "n") else i for axis, i in at)


def positions(values: Sequence[float]) -> dict[float, int]:
    """Return where each value stands."""
    return {value: at for at, value in enumerate(values)}


def _common(asked: Sequence[float], places: Mapping[float, int]) -> Any:
    pairs = [(at, places[value]) for at, value in enumerate(asked) if value in places]
    return np.array(pairs, dtype=np.int64).reshape(-1, 2).T


class Gatherer:
    """Puts blocks of the union together from what all sources have."""

    def __init__(self, union: Sweep, sources: Sequence[Source]) -> None:
        self._union, self._sources = union, sources
        self._exact = one_platform(source.provenance for source in sources)
        self.approximate = 0

    def gather(self, block: Block) -> BlockResult | None:
        """What the sources have of a block; None where no trial of it has an outcome."""
        result, given = empty_result(self._union, block), np.full(block.shape, -1)
        for number, source in enumerate(self._sources):
            overlap = source.overlap(self._union, block)
            if overlap is not None:
                other = source.read(overlap, empty_result(self._union, block))
                self._check(block, result, given, other, number)
                _take_better(result, other, given, number)
        return result if (result.status != Status.PENDING).any() else None

    def _check(
        self, block: Block, have: BlockResult, given: NDArray[Any], other: BlockResult, number: int
    ) -> None:
        """Compare the trials that both have an outcome of."""
        both = (RANK[have.status] == 2) & (RANK[other.status] == 2)
        if not both.any():
            return
        unequal = np.zeros_like(both)
        for name, one, two in _pairs(have, other):
            if name == TIMING or (name == "message" and not self._exact):
                continue
            apart = _by_trial(differing(name, one, two, self._exact), both)
            if apart.any():
                at = tuple(np.argwhere(apart)[0].tolist())
                names = self._sources[given[at]].path, self._sources[number].path
                raise StoreError(self._conflict(block, at, name, _at(one, two, at, both.ndim), names))
            if not self._exact:
                unequal |= _by_trial(differing(name, one, two), both)
        self.approximate += int(unequal.sum())

    def _conflict(
        self,
        block: Block,
        at: tuple[int, ...],
        name: str,
        values: tuple[Any, Any],
        paths: tuple[Where, Where],
    ) -> str:
        where = told_trial(self._union, block.cell.index, block.first + at[0], block.start + at[1])
        expected = "equal bits" if self._exact else "values that agree as on two platforms"
        return (
            f"stores {paths[0]} and {paths[1]}: {name} of {where} is {values[0]} in the one and "
            f"{values[1]} in the other, expected {expected}; `widthlaw verify --sample 100` tells "
            "which store is wrong; leave it out"
        )


def _pairs(one: BlockResult, two: BlockResult) -> Iterator[tuple[str, NDArray[Any], NDArray[Any]]]:
    """Yield name, array and array of two results."""
    yield "status", one.status, two.status
    yield "message", one.message, two.message
    for name, array in one.values.items():
        yield name, array, two.values[name]


def _by_trial(apart: NDArray[np.bool_], both: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Of the trials that both have, those of which something differs."""
    return apart.any(axis=tuple(range(2, apart.ndim))) & both


def _at(one: NDArray[Any], two: NDArray[Any], at: tuple[int, ...], trial_axes: int) -> tuple[Any, Any]:
    """The first values that differ of one trial."""
    row = at[0] if one.shape[0] > 1 else 0
    first, second = np.atleast_1d(one[row, at[1]]), np.atleast_1d(two[row, at[1]])
    kind = "status" if first.dtype == np.int8 else ""
    place_of = tuple(np.argwhere(differing(kind, first, second))[0])
    values = first[place_of], second[place_of]
    return (Status(values[0]).word, Status(values[1]).word) if kind else values


def _take_better(have: BlockResult, other: BlockResult, given: NDArray[Any], number: int) -> None:
    """Take over trials of which the other knows more; what a seed has in common, with the first."""
    ranks = RANK[have.status], RANK[other.status]
    better = ranks[1] > ranks[0]
    seeds = ranks[1].max(axis=0) > ranks[0].max(axis=0)
    for name, array in have.values.items():
        taken = better if len(array) == len(better) else seeds[np.newaxis]
        array[taken] = other.values[name][taken]
    have.status[better], have.message[better] = other.status[better], other.message[better]
    given[better] = number
