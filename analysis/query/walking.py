"""Go through the trials of a store piece by piece, so that memory does not grow with the store.

A piece is a run of chunks along every dim of `status`, of a bounded number of trials: a chunk is read
for one piece and no other. Only what a piece is asked for is read, when it is asked.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import xarray as xr

__all__ = ["MOST", "pieces"]

MOST = 2**17
"""Trials of a piece, at most, where a chunk does not have more."""

Places = npt.NDArray[np.intp]


def pieces(
    ds: xr.Dataset,
    kept: Mapping[str, Places] | None = None,
    slowest: Sequence[str] = (),
    most: int = MOST,
) -> Iterator[xr.Dataset]:
    """Cut a store into pieces.

    Parameters
    ----------
    ds
        An opened store.
    kept
        The places to go through along dims of `status`, ascending; all along any other.
    slowest
        Dims whose values change last: all else of one place along them comes before the next. The
        others follow in the order of `status`.
    most
        Trials of a piece; more where a single chunk has more.

    Yields
    ------
    xarray.Dataset
        As lazy as `ds`. Where a cell (all but width and seed) fits into a piece, pieces come in the
        order of the dims; a larger cell comes chunk by chunk.
    """
    kept = kept or {}
    dims = [str(dim) for dim in ds.status.dims]
    places = {dim: kept.get(dim, np.arange(ds.sizes[dim])) for dim in dims}
    if not all(len(at) for at in places.values()):
        return
    order = [*slowest, *(dim for dim in dims if dim not in slowest)]
    runs = _runs(ds, places, order, most)
    for parts in itertools.product(*(runs[dim] for dim in order)):
        yield ds.isel({dim: _slice(part) for dim, part in zip(order, parts, strict=True)})


def _runs(
    ds: xr.Dataset, places: Mapping[str, Places], order: Sequence[str], most: int
) -> dict[str, list[Places]]:
    """Cut each dim into runs of whole chunks: long ones along the fastest dims, while there is room."""
    extents = ds.status.encoding.get("preferred_chunks", {})
    chunks = {dim: _by_chunk(at, extents.get(dim, 1)) for dim, at in places.items()}
    least = {dim: max(map(len, parts)) for dim, parts in chunks.items()}
    runs = {}
    for number, dim in reversed(list(enumerate(order))):
        slower = math.prod(least[other] for other in order[:number])
        runs[dim] = _joined(chunks[dim], most // slower)
        most //= max(map(len, runs[dim]))
    return runs


def _by_chunk(places: Places, extent: int) -> list[Places]:
    """The places that lie in each chunk of a dim."""
    return np.split(places, np.flatnonzero(np.diff(places // extent)) + 1)


def _joined(parts: list[Places], most: int) -> list[Places]:
    """Join neighbours while they have no more places together than `most`."""
    ends = np.cumsum([len(part) for part in parts])
    joined, start = [], 0
    while start < len(parts):
        before = ends[start - 1] if start else 0
        stop = max(int(np.searchsorted(ends, before + most, side="right")), start + 1)
        joined.append(np.concatenate(parts[start:stop]))
        start = stop
    return joined


def _slice(places: Places) -> slice | Places:
    """Neighbouring places as a slice, which Zarr and NumPy take faster."""
    first, last = int(places[0]), int(places[-1])
    return slice(first, last + 1) if last - first + 1 == len(places) else places
