"""A store and what is fitted to it once, as claims, figures and the report share it.

A `Study` owns a store and a success. Its counts, critical widths and laws are computed when somebody
first asks for them, and kept in memory: whoever holds the study asks again at no cost. A figure or a
claim that needs another success of the same store gets the study of it from the first one (`default`,
`at_budgets`), so that its neighbours get the same.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import pandas as pd
import xarray as xr

from analysis.scaling import fit_laws
from analysis.scaling.laws import group_columns
from analysis.success import Success
from analysis.transitions import critical_widths, success_counts
from analysis.transitions.scales import Along

__all__ = ["Study"]


@dataclass(frozen=True)
class Study:
    """A store with its counts, critical widths and laws, which are computed once and only if needed.

    Attributes
    ----------
    ds
        The store, in memory (`load_store`), since figures read the same variables repeatedly.
    success
        The success of a trial.
    along
        The axis of the transition.
    lapse
        True for curves with a lapse rate, "cell" for one of each cell.
    """

    ds: xr.Dataset
    success: Success = Success()  # noqa: RUF009 (frozen)
    along: Along = Along()  # noqa: RUF009 (frozen)
    lapse: bool | str = False
    _others: dict[Success, Study] = field(default_factory=dict, repr=False, compare=False)

    @cached_property
    def widths(self) -> xr.Dataset:
        """The `critical_widths` of the store, or values along another axis, computed on first use."""
        return critical_widths(self.ds, success=self.success, along=self.along, lapse=self.lapse)

    @cached_property
    def counts(self) -> xr.Dataset:
        """The `success_counts` of the store, computed on first use."""
        return success_counts(self.ds, success=self.success, along=self.along)

    @cached_property
    def laws(self) -> pd.DataFrame:
        """The laws of the critical widths, computed on first use; ValueError if there are too few."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # groups with too few widths
            return fit_laws(self.widths)

    def laws_of(self, part: xr.Dataset) -> pd.DataFrame:
        """Return the laws of a part of `widths` that has one value on each axis that parts the laws.

        Raises
        ------
        ValueError
            The part has too few critical widths.
        """
        if "angle" in self.widths.dims:  # the laws of the store pool all angles
            return fit_laws(part)
        laws = self.laws
        for name in group_columns(laws):
            laws = laws[laws[name] == part[name].item()]
        if laws.empty:
            raise ValueError("too few critical widths to compare laws")
        return laws

    @cached_property
    def thresholds(self) -> pd.DataFrame:
        """The `infinite_budget` of a store that descends, computed on first use."""
        from analysis.slowing import infinite_budget  # its optimiser is needed here only

        return infinite_budget(self.ds)

    @cached_property
    def threshold_laws(self) -> pd.DataFrame:
        """The `threshold_laws` of a store that descends, computed on first use."""
        from analysis.slowing import threshold_laws

        return threshold_laws(self.ds)

    @cached_property
    def held_out(self) -> pd.DataFrame:
        """The `held_out_test` of these thresholds, computed on first use."""
        from analysis.slowing import held_out_test

        return held_out_test(self.ds)

    @property
    def default(self) -> Study:
        """The study of the same store with the default success."""
        return self if self.success.is_default else self._other(Success())

    def at_budgets(self, budgets: Sequence[int]) -> Study:
        """Return the study of the same store whose descents succeed within these budgets of steps."""
        own = self.success
        if own.condition is None and own.threshold is None and own.budgets == tuple(budgets):
            return self
        return self._other(Success(budgets=tuple(budgets)))

    def _other(self, success: Success) -> Study:
        if success not in self._others:
            self._others[success] = replace(self, success=success)
        return self._others[success]
