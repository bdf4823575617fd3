"""The axes of stores and answers, by the part they play, and the labels of their values.

All of it follows from the table `pipeline.axes.AXES`: a new leading axis there is an axis of cells,
panels and tables here. The answers add two axes to those of a store, `CRITERIA`: descent succeeds at
a tolerance and within a budget of steps.
"""

from __future__ import annotations

from typing import Any

import xarray as xr

from pipeline.axes import AXES, Kind, names

__all__ = [
    "CELL",
    "CRITERIA",
    "DATA",
    "MODEL",
    "NETWORK",
    "PANEL",
    "SIZES",
    "TRAINED",
    "is_of_seeds",
    "label",
    "own_axes",
]

MODEL = names(Kind.MODEL)
"""Leading axes that are no sizes: activation, dataset, angle, trained, depth."""

SIZES = names(Kind.SIZE)
"""The sizes d and n."""

CELL = MODEL + SIZES
"""Leading axes of a store. One combination of their values is a cell: all its widths and seeds."""

CRITERIA = ("tolerance", "budget")
"""Axes that the success of descent adds to those of cells."""

PANEL = MODEL + CRITERIA
"""Axes whose values get a panel or a group of their own: no scaling law holds across them."""

DATA = ("dataset", "angle")
"""Axes of `MODEL` that describe the inputs."""

NETWORK = tuple(name for name in MODEL if name not in DATA)
"""Axes of `MODEL` that describe the network: activation, trained, depth."""

TRAINED = {"output": "v trained", "input": "W trained", "both": "v and W trained"}
"""Labels of the values of the axis `trained`."""


def own_axes(ds: xr.Dataset) -> tuple[str, ...]:
    """Return the axes of a store, or of its cells, that are parameters of one's own experiment."""
    like = next((ds[name] for name in ("status", "outcome") if name in ds), ds)
    known = {*AXES, *CRITERIA}
    return tuple(str(dim) for dim in like.dims if dim not in known)


def is_of_seeds(ds: xr.Dataset, name: str) -> bool:
    """Return whether a store has an array with one value for all widths of a seed, such as alpha.

    What an experiment of one's own returns under such a name has one for each width, and is its own.
    """
    return name in ds and "width" not in ds[name].dims


def label(dim: str, value: Any) -> str:
    """Return the label of one value of an axis, such as `n = 100` or `loss ≤ 0.01`.

    Parameters
    ----------
    dim
        The axis: one of a store, or `budget`.
    value
        The value of its coordinate.

    Returns
    -------
    str
        "" for an angle of 0, which stands for data that have no angle.
    """
    if dim == "angle":
        return f"angle {value:g}" if value else ""
    if dim == "tolerance":
        return f"loss ≤ {value:g}"
    if dim == "budget":
        return f"{value:,} steps"
    if dim == "trained":
        return TRAINED.get(str(value), f"trained = {value}")  # the name may be a parameter's
    if dim not in AXES:  # a parameter of an experiment of one's own
        return f"{dim} = {value:g}" if isinstance(value, float) else f"{dim} = {value}"
    symbol = AXES[dim].symbol if dim in CELL else ""
    return f"{symbol} = {value}" if symbol else str(value)
