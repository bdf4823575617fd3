"""Outcomes of cells, and the unit of their widths.

A *cell* is all widths and seeds of one combination of the leading axes (activation, dataset, angle,
trained, depth, d, n). `critical_widths` looks for the transition from failure to success in each of
them, and `outcome` records what it found. Where descent is measured, every tolerance and budget has an
outcome of its own.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

__all__ = [
    "LOCATED",
    "OUTCOMES",
    "UNITS",
    "has_interval",
    "is_open",
    "located",
    "width_label",
    "width_unit",
]

OUTCOMES = ("fitted", "separated", "censored", "unordered", "degenerate", "empty")
"""All values of `outcome`; `analysis.transitions.widths` explains them."""

LOCATED = ("fitted", "separated")
"""Outcomes with a critical width."""

UNITS: Mapping[str, str] = MappingProxyType(
    {"k": "k", "k_per_n": "k/n", "kd_per_n": "kd/n", "k_per_d": "k/d"}
)
"""Units in which a sweep gives its widths, and their symbols."""


def located(cells: xr.Dataset) -> npt.NDArray[np.bool_]:
    """Return for each cell whether it has a critical width."""
    flags: npt.NDArray[np.bool_] = np.isin(cells.outcome.values.astype(str), LOCATED)
    return flags


def has_interval(cells: xr.Dataset) -> npt.NDArray[np.bool_]:
    """Return for each cell whether it has a critical width and an interval with two ends.

    Few seeds locate a width but leave its interval open.
    """
    least = -np.inf if cells.attrs.get("scale") == "linear" else 0.0
    closed = (cells.k50_low.values > least) & np.isfinite(cells.k50_high.values)
    flags: npt.NDArray[np.bool_] = located(cells) & closed
    return flags


def is_open(cells: xr.Dataset) -> npt.NDArray[np.bool_]:
    """Return for each cell whether it has a critical width whose interval lacks an end."""
    return located(cells) & ~has_interval(cells)


def width_unit(ds: xr.Dataset) -> str:
    """Return the unit of the axis `width`: `k`, `k_per_n`, `kd_per_n` or `k_per_d`.

    Stores written before 0.5.0 have no attribute `width_unit`; there the sweep that they keep has it.
    """
    if "width_unit" in ds.attrs:
        return str(ds.attrs["width_unit"])
    width = tomllib.loads(ds.attrs.get("sweep", "")).get("width")
    given = [unit for unit in UNITS if isinstance(width, dict) and unit in width]
    return given[0] if given else "k"  # a sweep without widths has k = 1 throughout


def width_label(ds: xr.Dataset, dim: str, value: Any) -> str:
    """Return the label of a value of the axis `width` in the store's unit, or of another axis."""
    if dim != "width":
        return f"{dim} = {value:g}"
    return f"{UNITS[width_unit(ds)]} = {value:.3g}"
