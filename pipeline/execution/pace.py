"""The time that a run still takes, by the times that its store holds already.

Costs are estimates, from fits or from two trials. The times of the trials that are done correct them:
in each cell its own trials, elsewhere those of all cells. A trial that goes on from a checkpoint takes
the steps that are left of its budget, at the time of a step so far: nobody knows if it arrives earlier.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.blocks import Tile, cell_seconds
from pipeline.descent.progress import Rows, steps_made
from pipeline.errors import StoreDamaged
from pipeline.experiments import experiment_of
from pipeline.store import Store
from pipeline.store.arrays import damage_as, open_array
from pipeline.store.checkpoints import UnusableCheckpoints
from pipeline.store.names import CHECKPOINTS, SECONDS
from pipeline.sweep import Cell, Sweep
from pipeline.trial_status import Status, among

__all__ = ["Pace", "TimeLeft", "pace_of", "time_left"]

SLOWEST = 1e4
"""Largest correction, either way: what lies beyond is a clock that was changed."""


MOST_TIMES = 1 << 20
"""Trials of a cell whose times are read: those of its first seeds tell enough."""


@dataclass(frozen=True)
class Pace:
    """The ratio of measured times to their estimates.

    Attributes
    ----------
    ratio
        Of all trials that are done; 1 if none is.
    cells
        Of the trials of single cells, by their index.
    """

    ratio: float = 1.0
    cells: dict[tuple[int, ...], float] = field(default_factory=dict)

    def of(self, cell: Cell) -> float:
        """Return the ratio to expect in a cell."""
        return self.cells.get(cell.index, self.ratio)


@dataclass(frozen=True)
class TimeLeft:
    """The time that the trials which a store lacks take on one core.

    Attributes
    ----------
    sweep, pace
        The sweep of the store, and the correction of its costs.
    anew
        Mask of the trials that start anew, in the shape of the store.
    going_on
        Seconds that are left to the trials that go on from a checkpoint; 0 for all others.
    """

    sweep: Sweep
    pace: Pace
    anew: NDArray[np.bool_]
    going_on: NDArray[np.float64]

    @property
    def seconds(self) -> float:
        """The time of all these trials."""
        return math.fsum(self._seconds(cell) for cell in self.sweep.cells())

    def of(self, tile: Tile) -> float:
        """Return the time of those of a tile."""
        return math.fsum(self._seconds(one.cell, one.widths, one.seeds) for one in tile.blocks)

    def _seconds(self, cell: Cell, widths: slice = slice(None), seeds: slice = slice(None)) -> float:
        """Return the time of those of a cell; it has the given widths of the store only."""
        anew, going_on = (array[cell.index][widths, seeds] for array in (self.anew, self.going_on))
        return self.pace.of(cell) * cell_seconds(self.sweep, cell, anew) + float(going_on.sum())


def pace_of(store: Store) -> Pace:
    """Compare the times that a store holds with their estimates."""
    sweep = store.sweep
    done = among(store.statuses(), (Status.DONE, Status.DIVERGED))
    if not done.any():
        return Pace()
    try:
        times = open_array(store.location, SECONDS)
    except StoreDamaged:  # times are no results: a run goes on without them
        return Pace()
    seeds = slice(0, max(1, MOST_TIMES // sweep.shape[-2]))
    each = experiment_of(sweep).independent  # or all widths of a seed have one time
    measured: dict[tuple[int, ...], float] = {}
    estimated: dict[tuple[int, ...], float] = {}
    for cell in sweep.cells():
        mask = done[cell.index][:, seeds]
        if not mask.any():
            continue
        where: tuple[Any, ...] = (*cell.index, ..., seeds)
        try:
            with damage_as(StoreDamaged, store.location, SECONDS):
                own = np.asarray(times[where])
        except StoreDamaged:
            continue
        rows = mask if each else mask.any(axis=0)
        spent, expected = float(np.nansum(own[rows])), cell_seconds(sweep, cell, mask)
        if spent > 0 and expected > 0:
            measured[cell.index], estimated[cell.index] = spent, expected
    if not measured:
        return Pace()
    ratios = {index: _bounded(measured[index] / estimated[index]) for index in measured}
    return Pace(_bounded(math.fsum(measured.values()) / math.fsum(estimated.values())), ratios)


def time_left(store: Store, retry_failed: bool = False) -> TimeLeft:
    """Return the time of the trials that a store lacks."""
    lacking = (Status.PENDING, Status.FAILED) if retry_failed else (Status.PENDING,)
    left: NDArray[np.bool_] = among(store.statuses(), lacking)
    known, going_on = _from_checkpoints(store, left)
    return TimeLeft(store.sweep, pace_of(store), left & ~known, going_on)


def _from_checkpoints(
    store: Store, left: NDArray[np.bool_]
) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Return which of some trials go on from a checkpoint, and the seconds that each has left."""
    known, seconds = np.zeros(left.shape, dtype=bool), np.zeros(left.shape)
    if not left.any() or not any(True for _ in store.location.files(CHECKPOINTS)):
        return known, seconds
    for tile in store.pending_tiles(retry_failed=True):
        try:
            found = store.checkpoints(tile)
        except UnusableCheckpoints:  # the run says so, and its trials start anew
            continue
        for block, own in zip(tile.blocks, found, strict=True):
            for (row, column), rows in own.items():
                at = (*block.cell.index, block.first + row, block.start + column)
                if left[at] and steps_made(rows) > 0:
                    known[at], seconds[at] = True, _remaining(store.sweep, block.cell, row, rows)
    return known, seconds


def _remaining(sweep: Sweep, cell: Cell, row: int, rows: Rows) -> float:
    """Return the time of the steps that a budget leaves to a descent, at its time of a step so far."""
    assert sweep.descent is not None
    more = sweep.descent.budget(cell, cell.widths[row]) / steps_made(rows) - 1
    return float(rows["seconds"][0]) * max(0.0, more)


def _bounded(ratio: float) -> float:
    return min(max(ratio, 1 / SLOWEST), SLOWEST)
