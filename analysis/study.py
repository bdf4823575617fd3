"""A store with its critical widths, which claims, figures and the report share."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import xarray as xr

from analysis.transitions import critical_widths, success_counts

__all__ = ["Study"]


@dataclass(frozen=True)
class Study:
    """A store with its critical widths, which several figures share and only some need.

    `ds` is in memory (`load_store`), as figures read the same variables again and again. `threshold`
    is the one of conditioning, `budgets` those of descent, as `critical_widths` has them.
    """

    ds: xr.Dataset
    threshold: float | None = None
    budgets: tuple[int, ...] | None = None
    success: str | None = None

    @cached_property
    def widths(self) -> xr.Dataset:
        """`critical_widths` of the store, computed at the first use."""
        return critical_widths(self.ds, self.threshold, budgets=self.budgets, success=self.success)

    @cached_property
    def counts(self) -> xr.Dataset:
        """`success_counts` of the store, computed at the first use."""
        return success_counts(self.ds, self.threshold, budgets=self.budgets, success=self.success)
