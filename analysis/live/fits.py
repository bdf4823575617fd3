"""Counts and critical widths of a store that is kept up: only cells that changed are done again.

All numbers come from `success_counts`, `critical_widths` and `fit_laws`. Counting takes milliseconds.
A fit takes longer, so `fit` does one cell after another, for a given time at most; the others wait.
"""

from __future__ import annotations

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
        self._laws_are_old = False

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
        return bool(self._dirty) or self._laws_are_old

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

        The laws follow when no cell waits any more.
        """
        end = time.monotonic() + seconds
        done: list[tuple[int, ...]] = []
        while self._dirty and (not done or time.monotonic() < end):
            cell = next(iter(self._dirty))
            del self._dirty[cell]
            self._fit_cell(cell)
            done.append(cell)
        if not self._dirty and time.monotonic() < end and self.is_behind:
            self._fit_laws()
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

    def _fit_laws(self) -> None:
        self._laws_are_old = False
        if located(self.widths).sum() < FEWEST_WIDTHS:
            self.laws, self.no_laws = None, ""
            return
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # groups with too few widths
                self.laws, self.no_laws = fit_laws(self.widths), ""
        except ValueError as error:
            self.laws, self.no_laws = None, str(error)
