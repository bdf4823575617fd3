"""What the trials of each cell took so far, and the time that is left."""

from __future__ import annotations

import time
from collections import deque

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from pipeline.blocks import seed_seconds
from pipeline.errors import StoreError
from pipeline.store import stored_sweep
from pipeline.store.location import StorePath
from pipeline.store.names import SECONDS
from pipeline.trial_status import UNREQUESTED, WITH_RESULTS, Status

__all__ = ["Costs"]

Floats = NDArray[np.float64]

REMEMBERED = 120.0
"""Seconds over which the rate of a run is observed."""


class Costs:
    """Core-seconds of each cell, measured by the trials themselves.

    The time that is left in a cell is that of its pending trials at the mean of those that ran there.
    Where none ran yet, it is the estimate of the sweep, corrected by how far the estimates of the other
    cells were off.

    Parameters
    ----------
    path, ds, estimated
        The store, its copy, and the estimate for all its trials in core-seconds.
    """

    def __init__(self, path: StorePath, ds: xr.Dataset, estimated: float) -> None:
        shape = ds.status.shape[:-2]
        self.spent: Floats = np.zeros(shape)
        self.ran: NDArray[np.int64] = np.zeros(shape, np.int64)
        self.pending: NDArray[np.int64] = np.zeros(shape, np.int64)
        self.failed: NDArray[np.int64] = np.zeros(shape, np.int64)
        self.requested: NDArray[np.int64] = np.zeros(shape, np.int64)
        self._each = _estimates(path, ds, estimated)
        self._history: deque[tuple[float, float]] = deque()
        self.update(ds, (slice(None),) * len(shape))

    def update(self, ds: xr.Dataset, where: tuple[slice, ...]) -> None:
        """Count a rectangle of cells anew."""
        status = ds.status.values[where]
        over = (-2, -1)
        ran = np.isin(status, WITH_RESULTS)
        self.ran[where] = ran.sum(over)
        self.pending[where] = (status == Status.PENDING).sum(over)
        self.failed[where] = (status == Status.FAILED).sum(over)
        self.requested[where] = (~np.isin(status, UNREQUESTED)).sum(over)
        if SECONDS in ds:
            own = ds[SECONDS].dims[len(where) :]  # the widths of a seed may share its time
            taken = ds[SECONDS].values[where]
            measured = ran if "width" in own else ran.any(-2)
            self.spent[where] = np.where(measured, np.nan_to_num(taken), 0.0).sum(
                tuple(range(len(where), taken.ndim))
            )

    @property
    def left(self) -> Floats:
        """Core-seconds that are left, by cell."""
        known = self.spent > 0
        estimated = float((self._each * self.ran)[known].sum())
        off = float(self.spent[known].sum()) / estimated if estimated > 0 else 1.0
        mean = np.divide(self.spent, self.ran, out=self._each * off, where=known)
        left: Floats = mean * self.pending
        return left

    def observe(self, now: float | None = None) -> None:
        """Note how far the run is at this moment."""
        now = time.monotonic() if now is None else now
        self._history.append((now, float(self.spent.sum())))
        while now - self._history[0][0] > REMEMBERED and len(self._history) > 2:
            self._history.popleft()

    @property
    def wall_left(self) -> float | None:
        """Seconds until the run is complete at the rate that was observed; None if none was."""
        if len(self._history) < 2:
            return None
        (began, before), (ended, after) = self._history[0], self._history[-1]
        rate = (after - before) / (ended - began) if ended > began else 0.0
        return float(self.left.sum()) / rate if rate > 0 else None


def _estimates(path: StorePath, ds: xr.Dataset, estimated: float) -> Floats:
    """Return the estimated core-seconds of a trial of each cell."""
    status = ds.status
    each = np.full(status.shape[:-2], estimated / max(1, status.size))
    try:
        sweep = stored_sweep(path)
    except StoreError:  # its data file may be on another machine
        return each
    if sweep.shape == status.shape:
        for cell in sweep.cells():
            each[cell.index] = seed_seconds(sweep, cell) / len(sweep.width)
    return each
