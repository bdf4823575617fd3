"""Open a result store for reading, or several side by side.

A store is plain Zarr and can be opened without this package. These functions check it first, so that a
folder that is no store, or one of another format version, gives a clear error instead of a traceback
from inside a library.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import xarray as xr

from pipeline.errors import InputError, StoreDamaged
from pipeline.store import check_store
from pipeline.store.arrays import damage_as
from pipeline.store.location import locate, normal
from pipeline.store.names import ROOT
from pipeline.store.statuses import read_statuses
from pipeline.trial_status import Status

__all__ = ["load_store", "open_store", "open_stores"]

STATUS_FLAGS = {
    "flag_values": [int(status) for status in Status],
    "flag_meanings": " ".join(status.word for status in Status),
}
"""Attributes of `status` as readers see it."""


def open_store(path: str | Path, *, dask: bool = True) -> xr.Dataset:
    """Open a store lazily: only coordinates are read until a variable is used.

    Parameters
    ----------
    path
        The store's folder or s3:// URL, as `widthlaw run` wrote it.
    dask
        True for Dask arrays, whose expressions are lazy as well. Without Dask a variable is read when
        it is used, which is several times faster for code that takes the store piece by piece.

    Returns
    -------
    xarray.Dataset
        Dims (..., d, n, width, seed); `status` shows the trials that are done at this moment. Results
        are read when they are used.

    Raises
    ------
    pipeline.errors.StoreError
        `path` is no store, or one that this version cannot read.

    Examples
    --------
    >>> import tempfile
    >>> import pipeline
    >>> folder = tempfile.TemporaryDirectory()
    >>> store = f"{folder.name}/tiny.zarr"
    >>> outcome = pipeline.run(pipeline.load_sweep("tiny"), store)
    >>> ds = open_store(store)
    >>> ds.status.dims
    ('d', 'n', 'width', 'seed')
    >>> int((ds.status == 1).sum())
    720
    """
    return _opened(path, {} if dask else None)


def _opened(path: str | Path, chunks: dict[Any, Any] | None) -> xr.Dataset:
    """Open a store; its statuses are those that `read_statuses` sees."""
    location = locate(path)
    found = read_statuses(location, check_store(path))
    with damage_as(StoreDamaged, location, ROOT):
        ds: xr.Dataset = xr.open_zarr(location.zarr(), chunks=chunks, zarr_format=3)
    status = ds.status.assign_attrs(ds.status.attrs | STATUS_FLAGS)
    # These, not what lies on the disk when they are used: a trial that is done by then may have had no
    # value yet when its results were read.
    seen = xr.Variable(status.dims, found)
    if chunks is not None:
        seen = seen.chunk(dict(zip(status.dims, status.chunks or (), strict=True)))
    encoding = status.encoding
    status = status.copy(data=seen.data)
    status.encoding = encoding
    return ds.assign(status=status)


def open_stores(
    paths: Sequence[str | Path] | Mapping[str, str | Path], *, dask: bool = True
) -> xr.DataTree:
    """Open stores as the nodes of one tree, each lazily.

    Parameters
    ----------
    paths
        Folders or s3:// URLs; or a mapping from names of nodes to them. Their experiments may differ.
    dask
        As for `open_store`.

    Returns
    -------
    xarray.DataTree
        A node for each store, in their order. Its name is that of the folder without `.zarr`, with
        the folders above it if two names would be equal.

    Raises
    ------
    pipeline.errors.StoreError
        As `open_store` does.
    pipeline.errors.InputError
        No store is given, one is given twice, or a name is not valid for a node.

    Examples
    --------
    >>> import tempfile
    >>> import pipeline
    >>> folder = tempfile.TemporaryDirectory()
    >>> store = f"{folder.name}/tiny.zarr"
    >>> outcome = pipeline.run(pipeline.load_sweep("tiny"), store)
    >>> list(open_stores([store]).children)
    ['tiny']
    >>> list(open_stores({"first": store}).children)
    ['first']
    """
    named = dict(paths) if isinstance(paths, Mapping) else dict(zip(_names(paths), paths, strict=True))
    if not named:
        raise InputError(
            "stores: got none; expected paths of stores, such as ['relu.zarr', 'tanh.zarr']"
        )
    for name in named:
        if not name or "/" in name or name in (".", ".."):
            raise InputError(f"stores: got the name {name!r}; expected one without '/', such as 'relu'")
    return xr.DataTree.from_dict({name: open_store(path, dask=dask) for name, path in named.items()})


def _names(paths: Sequence[str | Path]) -> list[str]:
    """Return a name for each path: its last part, with as many parts above as make names differ."""
    if isinstance(paths, str | Path):
        raise InputError(f"stores: got the path {paths}; expected a list of paths")
    normal_paths = [normal(path) for path in paths]
    for path, times in Counter(normal_paths).items():
        if times > 1:
            raise InputError(f"stores: {path} is given {times} times; give it once")
    parts = [re.split("/+", path.removesuffix(".zarr")) for path in normal_paths]
    longest = max(map(len, parts), default=1)
    for depth in range(1, longest + 1):
        names = ["-".join(part[-depth:]).strip("-") or "store" for part in parts]
        if len(set(names)) == len(names):
            return names
    return [f"{number}-{name}" for number, name in enumerate(names, 1)]


def load_store(path: str | Path) -> xr.Dataset:
    """Read a whole store into memory, for work that uses most of it, as figures do.

    Every chunk is a file. Zarr reads many of them concurrently, while Dask would have a task for each:
    a store of long trials is read in a third of the time, and only once.

    Parameters
    ----------
    path
        The store's folder or s3:// URL, as `widthlaw run` wrote it.

    Returns
    -------
    xarray.Dataset
        The store as from `open_store`, in numpy arrays.

    Raises
    ------
    pipeline.errors.StoreError
        As `open_store` does.

    Examples
    --------
    >>> import tempfile
    >>> import pipeline
    >>> folder = tempfile.TemporaryDirectory()
    >>> store = f"{folder.name}/tiny.zarr"
    >>> outcome = pipeline.run(pipeline.load_sweep("tiny"), store)
    >>> ds = load_store(store)
    >>> float(ds.alpha.min()) > 0
    True
    """
    return _opened(path, None).load()
