"""A store and its critical widths, as claims, figures and the report share them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import xarray as xr

from analysis.success import Success
from analysis.transitions import critical_widths, success_counts

__all__ = ["Study"]


@dataclass(frozen=True)
class Study:
    """A store with its critical widths, which are computed once and only if needed.

    Attributes
    ----------
    ds
        The store, in memory (`load_store`), since figures read the same variables repeatedly.
    success
        The success of a trial.
    """

    ds: xr.Dataset
    success: Success = Success()  # noqa: RUF009 (frozen)

    @cached_property
    def widths(self) -> xr.Dataset:
        """The `critical_widths` of the store, computed on first use."""
        return critical_widths(self.ds, success=self.success)

    @cached_property
    def counts(self) -> xr.Dataset:
        """The `success_counts` of the store, computed on first use."""
        return success_counts(self.ds, success=self.success)
