"""Counts and critical widths of a store that is kept up: only cells that changed are done again.

All numbers come from `success_counts`, `critical_widths` and `fit_laws`. Counting takes milliseconds.
A fit takes longer, so `fit` does one cell after another, for a given time at most; the others wait. The
laws of many cells take seconds: they are fitted in the background, and not again for a while.
"""

from __future__ import annotations

import threading
import time
import warnings
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from analysis.cells import located
from analysis.live.kept import Kept, Region
from analysis.scaling import fit_laws
from analysis.study import Study
from analysis.success import Success
from analysis.transitions import critical_widths, success_counts
from pipeline.trial_status import Status

__all__ = ["Fits"]

MOST_DRAWN = 10**6
"""The most seeds that are drawn for the intervals of a cell, over all its resamples."""

FEWEST_WIDTHS = 3
"""Critical widths without which no law is fitted."""

SHARE = 10
"""While trials arrive, laws wait for so many times the seconds that they took before."""


class Fits:
    """The counts of every cell, and the critical widths of those that were fitted so far.

    Parameters
    ----------
    kept
        The copy of the store, which has a rule of success, before its first look.
    success
        The success of a trial.

    Attributes
    ----------
    counts
        `success_counts` of all cells, as of the last `count`.
    widths
        `critical_widths` of all cells, each as of its last fit.
    laws
        `fit_laws` of these widths; None before there are some.
    no_laws
        Why there is none.
    """

    def __init__(self, kept: Kept, success: Success) -> None:
        self._kept, self._success = kept, success
        seeds = kept.ds.sizes["seed"]
        self._options: dict[str, Any] = {
            "tables": 0,
            "resamples": int(np.clip(MOST_DRAWN // seeds, 100, 1000)),
        }
        self.counts = success_counts(kept.ds, success=success)
        blank = critical_widths(kept.ds, success=success, **self._options)
        self.widths = blank.assign(outcome=blank.outcome.astype(object))
        self.laws: pd.DataFrame | None = None
        self.no_laws = ""
        self._dirty: dict[tuple[int, ...], None] = {}
        self._laws_are_old, self._laws_due = False, 0.0
        self._laws_thread: threading.Thread | None = None
        self._found: tuple[pd.DataFrame | None, str] = None, ""

    @property
    def study(self) -> Study:
        """The store as figures and the report take it, with these counts and widths."""
        study = Study(self._kept.ds, self._success)
        vars(study).update(counts=self.counts, widths=self.widths)  # they are not computed again
        return study

    def waits(self, cell: tuple[int, ...]) -> bool:
        """Return whether a cell has changed since it was fitted."""
        return cell in self._dirty

    @property
    def is_behind(self) -> bool:
        """True if cells have changed since they were fitted."""
        return bool(self._dirty) or self._laws_are_old or self._laws_thread is not None

    def count(self, where: Region) -> None:
        """Count a rectangle of cells anew, and remember to fit them."""
        part = self._part(where)
        found = success_counts(part, success=self._success)
        for name in ("successes", "trials"):
            self.counts[name].values[where] = found[name].values
        tried = found.trials.values
        tried = tried.any(tuple(range(len(where), tried.ndim)))
        for at in np.argwhere(tried):
            self._dirty[tuple(int(s.start + i) for s, i in zip(where, at, strict=True))] = None

    def fit(self, seconds: float) -> list[tuple[int, ...]]:
        """Fit cells that have changed for so many seconds, at least one; return them.

        The laws follow when no cell waits any more. They may take longer; then a later call has them.
        """
        end = time.monotonic() + seconds
        done: list[tuple[int, ...]] = []
        while self._dirty and (not done or time.monotonic() < end):
            cell = next(iter(self._dirty))
            del self._dirty[cell]
            self._fit_cell(cell)
            done.append(cell)
        if not self._dirty:
            self._fit_laws(end)
        return done

    def _part(self, where: Region) -> xr.Dataset:
        return self._kept.ds.isel(dict(zip(self._kept.axes, where, strict=True)))

    def _fit_cell(self, cell: tuple[int, ...]) -> None:
        where = tuple(slice(at, at + 1) for at in cell)
        part = self._part(where)
        if "kernel_eigenvalues" in part and (part.status == Status.PENDING).any():
            part = part.drop_vars("kernel_eigenvalues")  # the prediction waits for all seeds
        found = critical_widths(part, success=self._success, **self._options)
        for name, values in found.data_vars.items():
            if name in self.widths:
                self.widths[name].values[where] = values.values
        self._laws_are_old = True

    def _fit_laws(self, end: float) -> None:
        """Start to fit the laws if they are old, and wait for them until then."""
        if self._laws_thread is None and self._laws_are_old:
            pending = (self._kept.ds.status.values == Status.PENDING).any()
            if pending and time.monotonic() < self._laws_due:
                return
            self._laws_are_old = False
            self._laws_thread = threading.Thread(
                target=self._find_laws, args=[self.widths.copy(deep=True)], daemon=True
            )
            self._laws_thread.start()
        if self._laws_thread is not None:
            self._laws_thread.join(max(0.0, end - time.monotonic()))
            if not self._laws_thread.is_alive():
                self._laws_thread = None
                self.laws, self.no_laws = self._found

    def _find_laws(self, widths: xr.Dataset) -> None:
        """Fit the laws of some critical widths, in a thread: `fit` takes them when they are there."""
        began = time.monotonic()
        self._found = _laws_of(widths)
        self._laws_due = time.monotonic() + SHARE * (time.monotonic() - began)


def _laws_of(widths: xr.Dataset) -> tuple[pd.DataFrame | None, str]:
    """Return the laws of critical widths, or None and the reason."""
    if located(widths).sum() < FEWEST_WIDTHS:
        return None, ""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # groups with too few widths
            return fit_laws(widths), ""
    except ValueError as error:
        return None, str(error)
