"""The reasons why a store has too little for a figure that suits its experiment, in words.

Each function returns "" for a store that has enough. A reason says what the store has, what the figure
needs, and what adds it; so it can stand in an error after the name of the figure.
"""

from __future__ import annotations

import xarray as xr

from analysis.axes import label

__all__ = ["few", "nothing", "one_cell", "several_widths", "without_angles"]

NOUNS = {"width": "widths"}
"""Names of several values of an axis, if it is not the name of the axis itself."""


def nothing(ds: xr.Dataset) -> str:
    """Return "": any store of the experiment has enough."""
    return ""


def few(ds: xr.Dataset, axis: str, least: int = 2) -> str:
    """Return that an axis has fewer values than a figure needs."""
    count = ds.sizes[axis]
    if count >= least:
        return ""
    got = f"one {axis}" if count == 1 else f"{count} {NOUNS.get(axis, axis)}"
    wanted = "several" if least == 2 else f"at least {least}"
    more = _repair(ds, f"`widthlaw extend --{axis}` adds some")
    return f"{_owner(ds)} {got}; expected {wanted}: {more}"


def one_cell(ds: xr.Dataset) -> str:
    """Return that a store has a single pair of d and n."""
    if ds.sizes["d"] * ds.sizes["n"] > 1:
        return ""
    pair = ", ".join(label(dim, ds[dim].values[0]) for dim in ("d", "n"))
    more = _repair(ds, "`widthlaw extend --n` or `--d` adds some")
    return f"{_owner(ds)} one pair of d and n ({pair}); expected several: {more}"


def several_widths(ds: xr.Dataset) -> str:
    """Return that a store has more than the one width that a figure can show."""
    count = ds.sizes["width"]
    if count == 1:
        return ""
    taken = f"`--where 'width == {ds.width.values[0].item()!r}'` takes one"
    return f"{_owner(ds)} {count} widths; expected one: {taken}"


def without_angles(ds: xr.Dataset) -> str:
    """Return that no data of a store have an angle between their rows to be compared."""
    if "angle" in ds.dims:
        return ""
    return (
        f"{_owner(ds)} no axis of angles; expected one: data of kind pairs or triples have it, "
        "with `angle = [0.1, 0.3]`"
    )


def _owner(ds: xr.Dataset) -> str:
    """Return the subject and verb of a reason: the store, or its trials that meet a condition."""
    condition = ds.attrs.get("where")
    return f"the trials with {condition} have" if condition else "the store has"


def _repair(ds: xr.Dataset, adds: str) -> str:
    """Return what adds the missing values; a condition may be what leaves them out."""
    return f"widen --where, or {adds}" if ds.attrs.get("where") else adds
