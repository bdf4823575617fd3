"""Budgets of steps within which the descents of a store can succeed."""

from __future__ import annotations

import numpy as np
import xarray as xr

from pipeline.settings import budget

__all__ = ["budget_grid", "budget_of", "budget_words"]


def budget_of(ds: xr.Dataset) -> int:
    """Return the largest number of steps that every trial of a store may take."""
    descent = ds.attrs["identity_fields"]["descent"]
    listed = descent.get("settings", {}).get("most_steps")
    return min(_least(ds, steps) for steps in listed or [descent.get("formula", descent["steps"])])


def _least(ds: xr.Dataset, steps: int | str) -> int:
    """Return the least budget of a trial: a number, or the least value of a formula."""
    if not isinstance(steps, str):
        return int(steps)
    sizes = xr.broadcast(ds.n, ds.k, ds.d)
    return min(budget(steps, *map(int, one)) for one in zip(*map(np.ravel, sizes), strict=True))


def budget_words(ds: xr.Dataset) -> str:
    """Return the budget of a store's trials in words: a number, the formula, or the axis of budgets."""
    descent = ds.attrs["identity_fields"]["descent"]
    if "most_steps" in descent.get("settings", {}):
        return "most_steps"
    return f"{descent.get('formula') or descent['steps']} steps"


def budget_grid(ds: xr.Dataset, count: int = 10) -> list[int]:
    """Return budgets from a hundred steps (or a hundredth of the longest) to the longest."""
    longest = budget_of(ds)
    if not longest:  # legal, but no geometric sequence starts from it
        return [0]
    first = min(100.0, max(1.0, longest / 100))
    return [int(steps) for steps in np.unique(np.geomspace(first, longest, count).round())]
