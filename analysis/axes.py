"""The axes of stores and answers, by the part they play, and the labels of their values.

All of it follows from the table `pipeline.axes.AXES`: a new leading axis there is an axis of cells,
panels and tables here. The answers add two axes to those of a store, `CRITERIA`: descent succeeds at
a tolerance and within a budget of steps.
"""

from __future__ import annotations

from typing import Any

from pipeline.axes import AXES, Kind, names

__all__ = ["CELL", "CRITERIA", "DATA", "MODEL", "NETWORK", "PANEL", "SIZES", "TRAINED", "label"]

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
        return TRAINED[str(value)]
    symbol = AXES[dim].symbol if dim in CELL else ""
    return f"{symbol} = {value}" if symbol else str(value)
