"""Statuses as readers see them: a trial whose results are lost is no longer done.

On disk a status says what was computed. A chunk of results may be lost later, and Zarr reads a chunk
that is not there as fill values, so a done trial would silently have no value. Readers compare the
statuses with the files of the store and see such trials as `damaged`; a status that is none of the
known codes is damaged too. The codes of older formats get their meaning of today.

Statuses are read in parts of at most `MOST_TRIALS`, so a store of any number of trials needs little
memory.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import StoreDamaged
from pipeline.store.arrays import damage_as, layout_of, open_array, root_of
from pipeline.store.chunks import ArrayLayout, chunk_index
from pipeline.store.location import Location
from pipeline.store.names import ROOT, STATUS
from pipeline.store.older_formats import has_all_chunks, impossible_trials, separate_not_requested
from pipeline.trial_status import STORED, WITH_RESULTS, Status, among

__all__ = ["Region", "read_statuses", "status_parts"]

MOST_TRIALS = 1 << 20
"""Trials of a part, unless one chunk has more."""

Region = tuple[slice, ...]
"""Ranges of indices along the dimensions of `status`."""


def read_statuses(location: Location, attributes: Mapping[str, Any]) -> NDArray[np.int8]:
    """Return the statuses of a whole store in the meaning of this version; see `status_parts`."""
    found = np.empty(layout_of(location, STATUS).shape, dtype=np.int8)
    for region, part in status_parts(location, attributes):
        found[region] = part
    return found


def status_parts(
    location: Location, attributes: Mapping[str, Any], regions: Iterable[Region] | None = None
) -> Iterator[tuple[Region, NDArray[np.int8]]]:
    """Yield the statuses of a store in parts of whole chunks, in the meaning of this version.

    Parameters
    ----------
    location
        The store.
    attributes
        Its attributes.
    regions
        The parts; None for all of the store.

    Yields
    ------
    The indices of a part, and its statuses, in which a trial is `DAMAGED` if it has an outcome but a
    chunk of its results is not there, or if its code is unknown.

    Raises
    ------
    StoreDamaged
        The statuses or the layout of another array cannot be read.
    """
    layout, array = layout_of(location, STATUS), open_array(location, STATUS)
    impossible = impossible_trials(location.name, attributes, layout.dims)
    results = _Results(location, layout) if has_all_chunks(attributes) else None
    for region in _regions(layout) if regions is None else regions:
        with damage_as(StoreDamaged, location, STATUS):
            stored = np.asarray(array[region])
        damaged = ~among(stored, STORED)
        if results is not None:
            damaged |= results.lost(region, stored)
        found = separate_not_requested(stored, impossible, region)
        yield region, np.where(damaged, np.int8(Status.DAMAGED), found) if damaged.any() else found


def _regions(layout: ArrayLayout) -> Iterator[Region]:
    """Yield the ranges of whole chunks, as many at a time as `MOST_TRIALS` admits."""
    extents = list(layout.chunks)
    for axis in reversed(range(len(extents))):
        extents[axis] *= min(max(1, MOST_TRIALS // math.prod(extents)), layout.grid[axis])
    steps = [range(0, size, extent) for size, extent in zip(layout.shape, extents, strict=True)]
    for corner in itertools.product(*steps):
        yield tuple(
            slice(at, min(at + extent, size))
            for at, extent, size in zip(corner, extents, layout.shape, strict=True)
        )


class _Results:
    """The chunks of results that a store lacks."""

    def __init__(self, location: Location, status: ArrayLayout) -> None:
        self._location, self._status = location, status
        self._missing: list[tuple[ArrayLayout, NDArray[np.bool_]]] | None = None

    def lost(self, region: Region, status: NDArray[np.int8]) -> NDArray[np.bool_]:
        """Return a mask of the trials of a part that have an outcome but not all their chunks."""
        known, outcomes = self._missing is not None, among(status, WITH_RESULTS)
        if not known:
            self._list()
        lost: NDArray[np.bool_] = outcomes & self._without(region)
        if known and lost.any():  # a run may have written them since the files were listed
            self._list()
            lost = outcomes & self._without(region)
        return lost

    def _without(self, region: Region) -> NDArray[np.bool_]:
        without = np.zeros([part.stop - part.start for part in region], dtype=bool)
        for layout, missing in self._missing or ():
            without |= _spread(missing, layout, self._status.dims, region)
        return without

    def _list(self) -> None:
        """List the files, and keep the arrays that lack some."""
        self._missing = []
        try:
            names = _listed(self._location)
        except PermissionError:  # readers of a bucket may lack the permission to list
            return
        for name, rests in names.items():
            layout = layout_of(self._location, name)
            self._check(name, layout)
            if "seed" in layout.dims and {*layout.dims} - {"seed"}:  # the coordinate is no result
                missing = _missing(layout, rests)
                if missing.any():
                    self._missing.append((layout, missing))

    def _check(self, name: str, layout: ArrayLayout) -> None:
        sizes = dict(zip(layout.dims, layout.shape, strict=True))
        pairs = zip(self._status.dims, self._status.shape, strict=True)
        if any(sizes[dim] != size for dim, size in pairs if dim in sizes):
            raise StoreDamaged(self._location.name, name, "its shape and that of status differ")


def _listed(location: Location) -> dict[str, list[str]]:
    """Return the files of each array that readers see, but for `status`."""
    keys: dict[str, list[str]] = {}
    for key, _ in location.files():
        name, _, rest = key.partition("/")
        if rest == ROOT or rest.startswith("c/"):
            keys.setdefault(name, []).append(rest)
    shown = root_of(location).get("consolidated_metadata")
    listed = shown.get("metadata") if isinstance(shown, dict) else None
    return {
        name: rests
        for name, rests in keys.items()
        if name != STATUS
        and ROOT in rests
        and (name in listed if isinstance(listed, dict) else True)  # others are somebody's own
    }


def _missing(layout: ArrayLayout, rests: Iterable[str]) -> NDArray[np.bool_]:
    """Return a mask of the chunks of an array that have no file, in the shape of its grid."""
    missing = np.ones(layout.grid, dtype=bool)
    for rest in rests:
        try:
            index = chunk_index(rest)
            if len(index) == missing.ndim:
                missing[index] = False
        except (ValueError, IndexError):  # a file that is no chunk
            continue
    return missing


def _spread(
    missing: NDArray[np.bool_], layout: ArrayLayout, dims: Sequence[str], region: Region
) -> NDArray[np.bool_]:
    """Spread a mask of chunks over the trials of a part of `status`, whose dimensions are given."""
    own = [dim for dim in layout.dims if dim in dims]
    inner = tuple(i for i, dim in enumerate(layout.dims) if dim not in dims)
    extents = dict(zip(layout.dims, layout.chunks, strict=True))
    shared = [(dim, part) for dim, part in zip(dims, region, strict=True) if dim in own]
    ordered = np.transpose(missing.any(axis=inner), [own.index(dim) for dim, _ in shared])
    chunks = [np.arange(part.start, part.stop) // extents[dim] for dim, part in shared]
    return ordered[np.ix_(*chunks)][tuple(slice(None) if dim in own else np.newaxis for dim in dims)]
