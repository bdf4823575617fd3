"""Budgets of steps within which the descents of a store can succeed."""

from __future__ import annotations

import numpy as np
import xarray as xr

__all__ = ["budget_grid", "budget_of"]


def budget_of(ds: xr.Dataset) -> int:
    """Return the largest number of steps that a trial of a store may take."""
    return int(ds.attrs["identity_fields"]["descent"]["steps"])


def budget_grid(ds: xr.Dataset, count: int = 10) -> list[int]:
    """Return budgets from a hundred steps (or a hundredth of the longest) to the longest."""
    longest = budget_of(ds)
    if not longest:  # legal, but no geometric sequence starts from it
        return [0]
    first = min(100.0, max(1.0, longest / 100))
    return [int(steps) for steps in np.unique(np.geomspace(first, longest, count).round())]
