"""The time that a run still takes, by the times that its store holds already.

Costs are estimates, from fits or from two trials. The times of the trials that are done correct them:
in each cell its own trials, elsewhere those of all cells.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.blocks import Tile, cell_seconds
from pipeline.errors import StoreDamaged
from pipeline.experiments import experiment_of
from pipeline.store import Store
from pipeline.store.arrays import damage_as, open_array
from pipeline.store.names import SECONDS
from pipeline.sweep import Cell
from pipeline.trial_status import Status, among

__all__ = ["Pace", "pace_of", "seconds_left"]

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

    def seconds(self, tile: Tile) -> float:
        """Return the corrected time of a tile."""
        return math.fsum(block.seconds * self.of(block.cell) for block in tile.blocks)


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


def seconds_left(store: Store, retry_failed: bool = False) -> float:
    """Return the time of the trials that a store lacks, on one core."""
    sweep, pace, statuses = store.sweep, pace_of(store), store.statuses()
    lacking = (Status.PENDING, Status.FAILED) if retry_failed else (Status.PENDING,)
    left: NDArray[np.bool_] = among(statuses, lacking)
    return math.fsum(
        pace.of(cell) * cell_seconds(sweep, cell, left[cell.index])
        for cell in sweep.cells()
        if left[cell.index].any()
    )


def _bounded(ratio: float) -> float:
    return min(max(ratio, 1 / SLOWEST), SLOWEST)
