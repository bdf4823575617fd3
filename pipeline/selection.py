"""The trials that a sweep requests, where they are not all of its axes.

A `Selection` is what one sweep file says: sub-grids, of which a trial must be in one, and conditions on
its coordinates. A sweep has one; the sweep of a store that was extended or merged has several, and a
trial is requested if it is in any of them. What no selection has is never computed: it has no block and
no time, and its status is `not_requested`.

Selections are extents: they decide which trials a store holds, and no trial's value. So stores with
different selections can be extended by each other and merged.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipeline.axes import Kind, names
from pipeline.conditions import where_met

if TYPE_CHECKING:
    from pipeline.sweep import Request, Sweep

__all__ = [
    "SINGLE",
    "Selection",
    "admitted",
    "from_json",
    "named_values",
    "requested",
    "union_of_selections",
    "with_single",
]

Grid = tuple[tuple[str, tuple[Any, ...]], ...]
"""Pairs of an axis and the values that it is limited to; the others are not limited."""

EXTENTS = (*names(Kind.SIZE), "width", "seeds")
"""Axes along which stores grow."""


@dataclass(frozen=True)
class Selection:
    """Some of the trials of a sweep.

    Attributes
    ----------
    grids
        Sub-grids; none if the axes are not limited.
    only
        Conditions that all hold.
    exclude
        Conditions of which none holds.
    single
        Whether it stands for single trials that a refinement has added, of which only the store's
        statuses know.
    """

    grids: tuple[Grid, ...] = ()
    only: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    single: bool = False

    def as_json(self) -> dict[str, Any]:
        """Return the selection as the attribute of a store holds it."""
        grids = [
            {axis: _runs(values) if axis == "seeds" else list(values) for axis, values in grid}
            for grid in self.grids
        ]
        held = {"grid": grids, "only": list(self.only), "exclude": list(self.exclude)}
        return {key: value for key, value in held.items() if value} | (
            {"single": True} if self.single else {}
        )

    def bounded(self, own: Sweep, union: Sweep) -> Selection:
        """Return the selection limited to the extents of its own sweep, among those of a larger one."""
        limits = tuple(
            (axis, getattr(own, axis))
            for axis in EXTENTS
            if set(getattr(own, axis)) != set(getattr(union, axis))
        )
        if not limits or self.single:
            return self
        return replace(self, grids=tuple(_limited(grid, limits) for grid in self.grids or ((),)))


SINGLE = Selection(single=True)


def _limited(grid: Grid, limits: Grid) -> Grid:
    """Return a sub-grid with further limits."""
    held = dict(grid)
    for axis, values in limits:
        allowed = set(values)
        held[axis] = tuple(value for value in held.get(axis, values) if value in allowed)
    return tuple(held.items())


def _runs(values: Iterable[int]) -> list[list[int]]:
    """Cut whole numbers into runs [first, last + 1] of consecutive values."""
    by_run = itertools.groupby(enumerate(sorted(values)), lambda pair: pair[1] - pair[0])
    runs = [[value for _, value in run] for _, run in by_run]
    return [[run[0], run[-1] + 1] for run in runs]


def from_json(items: Sequence[Mapping[str, Any]]) -> tuple[Selection, ...]:
    """Return the selections of the attribute of a store.

    Raises
    ------
    TypeError, KeyError, ValueError, AttributeError
        The attribute is malformed.
    """
    return tuple(
        Selection(
            tuple(tuple(_limits(grid)) for grid in item.get("grid", ())),
            tuple(map(str, item.get("only", ()))),
            tuple(map(str, item.get("exclude", ()))),
            bool(item.get("single", False)),
        )
        for item in items
    )


def _limits(grid: Mapping[str, Any]) -> Iterator[tuple[str, tuple[Any, ...]]]:
    for axis, values in grid.items():
        if axis == "seeds":
            values = itertools.chain.from_iterable(range(start, stop) for start, stop in values)
        yield axis, tuple(values)


# ---- the trials


def requested(sweep: Sweep) -> NDArray[np.bool_]:
    """Return which trials a sweep requests, shape `sweep.shape`; read-only.

    Cells that cannot exist are not looked at. Single trials of a refinement count as not requested.

    Raises
    ------
    BadCondition, QueryError
        A condition cannot be read.
    """
    if not sweep.requests:
        return np.broadcast_to(np.array(True), sweep.shape)
    at = named_values(sweep)
    met = np.array(False)
    for selection in sweep.requests:
        met = met | _met(selection, at)
    return np.broadcast_to(met, sweep.shape)


def admitted(sweep: Sweep, request: Request) -> tuple[int, ...]:
    """Return the seeds of a request that the conditions of a sweep admit; it may be new to the axes.

    Sub-grids list where a sweep starts, so they limit no request.
    """
    selections = [one for one in sweep.requests if not one.single]
    if not selections:
        return request.seeds
    sizes: dict[str, Any] = {axis: (value,) for axis, value in request.sizes}
    single = replace(sweep, width=(request.width,), seeds=request.seeds, **sizes)
    at = named_values(single)
    met = np.logical_or.reduce(
        [np.broadcast_to(_conditions(one, at), single.shape) for one in selections]
    )
    cell = (0 if axis in sizes else at for axis, at in zip(sweep.axes, request.cell, strict=True))
    here = met[(*cell, 0)]
    return tuple(seed for seed, is_met in zip(request.seeds, here.tolist(), strict=True) if is_met)


def _met(selection: Selection, at: Mapping[str, NDArray[Any]]) -> NDArray[np.bool_]:
    if selection.single:
        return np.array(False)
    return _conditions(selection, at) & (_in_grids(selection, at) if selection.grids else True)


def _in_grids(selection: Selection, at: Mapping[str, NDArray[Any]]) -> NDArray[np.bool_]:
    """Return which trials are in a sub-grid, along the axes that sub-grids limit."""
    limited = {axis: _named(at, axis) for grid in selection.grids for axis, _ in grid}
    shapes = [one.shape for one in limited.values()]
    met: NDArray[np.bool_] = np.zeros(np.broadcast_shapes((1,) * at["k"].ndim, *shapes), dtype=bool)
    for grid in selection.grids:
        index: list[Any] = [np.arange(size) for size in met.shape]
        found = [np.isin(limited[axis], list(values)) for axis, values in grid]
        for there in found:
            if there.size > 1:
                index[int(np.argmax(there.shape))] = np.flatnonzero(there)
        if all(there.any() for there in found):
            met[np.ix_(*index)] = True
    return met


def _named(at: Mapping[str, NDArray[Any]], axis: str) -> NDArray[Any]:
    return at["seed" if axis == "seeds" else axis]


def _conditions(selection: Selection, at: Mapping[str, NDArray[Any]]) -> NDArray[np.bool_]:
    met = np.array(True)
    for text in selection.only:
        met = met & where_met(text, at)
    for text in selection.exclude:
        met = met & ~where_met(text, at)
    return met


def named_values(sweep: Sweep) -> dict[str, NDArray[Any]]:
    """Return the coordinates of a sweep's trials by name, each along its own axes."""
    dims, constant = sweep.dims, {"activation", "dataset", *dict(sweep.options)}
    at: dict[str, NDArray[Any]] = {}
    for axis in sweep.leading:
        if axis in dims:
            at[axis] = _along(np.array(sweep.labels(axis)), (axis,), dims)
        elif axis in constant and getattr(sweep, axis):
            at[axis] = np.array(sweep.labels(axis)[0])
    widths = np.array([[sweep.k(d, n) for n in sweep.n] for d in sweep.d])
    at["k"] = _along(widths, ("d", "n", "width"), dims)
    at["width"] = at[sweep.width_unit] = _along(np.array(sweep.width), ("width",), dims)
    at["seed"] = _along(np.array(sweep.seeds), ("seed",), dims)
    return at


def _along(values: NDArray[Any], own: Sequence[str], dims: Sequence[str]) -> NDArray[Any]:
    """Give an array of some axes, in the order of the store, the dimensions of all."""
    sizes = dict(zip(own, values.shape, strict=True))
    return values.reshape([sizes.get(dim, 1) for dim in dims])


# ---- several sweeps


def union_of_selections(union: Sweep, sweeps: Iterable[Sweep]) -> tuple[Selection, ...]:
    """Return the selections of a sweep that requests what any of several sweeps requests.

    () if none of them has sub-grids or conditions.
    """
    sweeps = list(sweeps)
    if all(set(sweep.requests) <= {SINGLE} for sweep in sweeps):
        return ()
    found = dict.fromkeys(
        selection.bounded(sweep, union)
        for sweep in sweeps
        for selection in sweep.requests or (Selection(),)
    )
    return () if Selection() in found else tuple(found)


def with_single(union: Sweep, own: Sweep) -> tuple[Selection, ...]:
    """Return the selections of a sweep that grows by single trials; () if it has none."""
    if not own.requests:
        return ()
    return tuple(dict.fromkeys((*(one.bounded(own, union) for one in own.requests), SINGLE)))
