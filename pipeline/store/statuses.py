"""Statuses as readers see them: a trial whose results are lost is no longer done.

On disk a status says what was computed. A chunk of results may be lost later, and Zarr reads a chunk
that is not there as fill values, so a done trial would silently have no value. Readers compare the
statuses with the files of the store and see such trials as `damaged`; a status that is none of the
known codes is damaged too. The codes of older formats get their meaning of today.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import StoreDamaged
from pipeline.store.arrays import layout_of, root_of
from pipeline.store.chunks import ArrayLayout, chunk_index
from pipeline.store.location import StorePath, locate
from pipeline.store.names import ROOT, STATUS
from pipeline.store.older_formats import has_all_chunks, separate_not_requested
from pipeline.trial_status import STORED, WITH_RESULTS, Status, among

__all__ = ["statuses_as_read"]


def statuses_as_read(
    path: StorePath, attributes: Mapping[str, Any], status: NDArray[np.int8], dims: Sequence[str]
) -> NDArray[np.int8]:
    """Return the statuses of a whole store in the meaning of this version.

    Parameters
    ----------
    path
        The store.
    attributes
        Its attributes.
    status
        Its statuses as stored, read before this call: a run may be writing.
    dims
        Dimensions of `status`.

    Returns
    -------
    Statuses in which a trial is `DAMAGED` if it has an outcome but a chunk of its results is not there,
    or if its code is unknown.
    """
    found = separate_not_requested(path, status, attributes, dims)
    damaged = ~among(status, STORED)
    if has_all_chunks(attributes):
        with suppress(PermissionError):  # readers of a bucket may lack the permission to list
            damaged |= among(status, WITH_RESULTS) & _without_files(path, status.shape, dims)
    return np.where(damaged, np.int8(Status.DAMAGED), found) if damaged.any() else found


def _without_files(path: StorePath, shape: Sequence[int], dims: Sequence[str]) -> NDArray[np.bool_]:
    """Return a mask of the trials that lack the file of a chunk."""
    location = locate(path)
    keys: dict[str, list[str]] = {}
    for key, _ in location.files():
        name, _, rest = key.partition("/")
        if rest == ROOT or rest.startswith("c/"):
            keys.setdefault(name, []).append(rest)
    shown = root_of(location).get("consolidated_metadata")
    listed = shown.get("metadata") if isinstance(shown, dict) else None
    without = np.zeros(shape, dtype=bool)
    for name, rests in keys.items():
        if name == STATUS or ROOT not in rests:
            continue
        if isinstance(listed, dict) and name not in listed:  # no reader sees it: somebody's own
            continue
        layout = layout_of(location, name)
        sizes = dict(zip(layout.dims, layout.shape, strict=True))
        if any(sizes[dim] != size for dim, size in zip(dims, shape, strict=True) if dim in sizes):
            raise StoreDamaged(location.name, name, "its shape and that of status differ")
        if "seed" in layout.dims and {*layout.dims} - {"seed"}:  # the coordinate `seed` is no result
            missing = _missing(layout, rests)
            if missing.any():
                without |= _spread(missing, layout, dims)
    return without


def _missing(layout: ArrayLayout, rests: Iterable[str]) -> NDArray[np.bool_]:
    """Return a mask of the chunks of an array that have no file, in the shape of its grid."""
    missing = np.ones(layout.grid, dtype=bool)
    for rest in rests:
        with suppress(ValueError, IndexError):  # a file that is no chunk
            index = chunk_index(rest)
            if len(index) == missing.ndim:
                missing[index] = False
    return missing


def _spread(missing: NDArray[np.bool_], layout: ArrayLayout, dims: Sequence[str]) -> NDArray[np.bool_]:
    """Spread a mask of chunks over the trials of `status`, whose dimensions are given."""
    inner = tuple(i for i, dim in enumerate(layout.dims) if dim not in dims)
    own: NDArray[Any] = np.asarray(missing.any(axis=inner))
    place = {dim: i for i, dim in enumerate(dim for dim in layout.dims if dim in dims)}
    for dim, axis in place.items():
        extent, size = (values[layout.dims.index(dim)] for values in (layout.chunks, layout.shape))
        own = own.repeat(extent, axis)
        own = own[(slice(None),) * axis + (slice(size),)]
    own = np.transpose(own, [place[dim] for dim in dims if dim in place])
    return own[tuple(slice(None) if dim in place else np.newaxis for dim in dims)]
