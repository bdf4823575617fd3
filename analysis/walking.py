"""Walk through the trials of a store piece by piece, so that memory does not grow with the store.

A piece is a run of chunks along every dim of `status`, with a bounded number of trials: each chunk
belongs to one piece. Variables of a piece are read lazily.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

__all__ = ["MOST", "pieces", "places"]

MOST = 2**17
"""The most trials of a piece, unless a single chunk has more."""

Indices = npt.NDArray[np.intp]


def pieces(
    ds: xr.Dataset,
    kept: Mapping[str, Indices] | None = None,
    slowest: Sequence[str] = (),
    most: int = MOST,
) -> Iterator[xr.Dataset]:
    """Cut a store into pieces.

    Parameters
    ----------
    ds
        An opened store.
    kept
        The indices to visit along dims of `status`, ascending; all indices of any other dim.
    slowest
        Dims whose index changes last. The others follow in the order of `status`.
    most
        The most trials of a piece, unless a single chunk has more.

    Yields
    ------
    xarray.Dataset
        A piece, as lazy as `ds`. If a cell (all its widths and seeds) fits into a piece, pieces come in
        the order of the dims; a larger cell comes chunk by chunk.
    """
    for place in places(ds, kept, slowest, most):
        yield ds.isel(place)


def places(
    ds: xr.Dataset,
    kept: Mapping[str, Indices] | None = None,
    slowest: Sequence[str] = (),
    most: int = MOST,
) -> Iterator[dict[Any, Any]]:
    """Yield the indices of each of the `pieces`, by dim, as `isel` takes them."""
    kept = kept or {}
    dims = [str(dim) for dim in ds.status.dims]
    indices = {dim: kept.get(dim, np.arange(ds.sizes[dim])) for dim in dims}
    if not all(map(len, indices.values())):
        return
    order = [*slowest, *(dim for dim in dims if dim not in slowest)]
    runs = _runs(ds, indices, order, most)
    for parts in itertools.product(*(runs[dim] for dim in order)):
        yield {dim: _slice(part) for dim, part in zip(order, parts, strict=True)}


def _runs(
    ds: xr.Dataset, indices: Mapping[str, Indices], order: Sequence[str], most: int
) -> dict[str, list[Indices]]:
    """Cut each dim into runs of whole chunks, as long as possible along the fastest dims."""
    extents = ds.status.encoding.get("preferred_chunks", {})
    chunks = {dim: _by_chunk(at, extents.get(dim, 1)) for dim, at in indices.items()}
    least = {dim: max(map(len, parts)) for dim, parts in chunks.items()}
    runs = {}
    for number, dim in reversed(list(enumerate(order))):
        slower = math.prod(least[other] for other in order[:number])
        runs[dim] = _joined(chunks[dim], most // slower)
        most //= max(map(len, runs[dim]))
    return runs


def _by_chunk(indices: Indices, extent: int) -> list[Indices]:
    """Split indices by the chunks of a dim."""
    return np.split(indices, np.flatnonzero(np.diff(indices // extent)) + 1)


def _joined(parts: list[Indices], most: int) -> list[Indices]:
    """Join neighbouring parts while they have at most `most` indices together."""
    ends = np.cumsum([len(part) for part in parts])
    joined, start = [], 0
    while start < len(parts):
        before = ends[start - 1] if start else 0
        stop = max(int(np.searchsorted(ends, before + most, side="right")), start + 1)
        joined.append(np.concatenate(parts[start:stop]))
        start = stop
    return joined


def _slice(indices: Indices) -> slice | Indices:
    """Return contiguous indices as a slice, which Zarr and NumPy read faster."""
    first, last = int(indices[0]), int(indices[-1])
    return slice(first, last + 1) if last - first + 1 == len(indices) else indices
