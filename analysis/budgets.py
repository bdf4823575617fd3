"""Budgets of steps to ask a store for, and how loose the sufficient widths of training are."""

from __future__ import annotations

import numpy as np
import xarray as xr

__all__ = ["SUFFICIENT", "budget_grid", "budget_of", "looseness"]

SUFFICIENT = {"n²/d": "smooth φ", "n⁴/d³": "ReLU"}
"""Widths up to constants and logarithms that suffice for the input layer, and for which activation."""


def budget_of(ds: xr.Dataset) -> int:
    """The most steps that a trial of a store may take."""
    return int(ds.attrs["identity_fields"]["descent"]["steps"])


def budget_grid(ds: xr.Dataset, count: int = 10) -> list[int]:
    """Whole budgets from a hundred steps (or a hundredth of the longest) to the longest."""
    longest = budget_of(ds)
    if not longest:  # a legal budget, from which no geometric sequence starts
        return [0]
    first = min(100.0, max(1.0, longest / 100))
    return [int(steps) for steps in np.unique(np.geomspace(first, longest, count).round())]


def looseness(widths: xr.Dataset) -> xr.Dataset:
    """Sufficient widths through the constant 1 over the critical width, one variable for each law."""
    n, d = widths.n.astype(float), widths.d.astype(float)
    laws = {"n²/d": n**2 / d, "n⁴/d³": n**4 / d**3}
    return xr.Dataset({law: width / widths.k50 for law, width in laws.items()})
