"""Open a result store for reading, or several side by side.

A store is plain Zarr and needs no code of ours; what this adds is one check beforehand, so that a
folder that is no store, or one of another format version, is met with a sentence and not with a
traceback from deep inside a library.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from pipeline.errors import InputError
from pipeline.store import check_store
from pipeline.store.location import normal, place
from pipeline.store.older_formats import impossible_trials
from pipeline.trial_status import Status

__all__ = ["load_store", "open_store", "open_stores"]

STATUS_FLAGS = {
    "flag_values": [int(status) for status in Status],
    "flag_meanings": " ".join(status.word for status in Status),
}
"""Attributes of `status`; a store of an older format has fewer statuses."""


def open_store(path: str | Path, *, dask: bool = True) -> xr.Dataset:
    """Open a store lazily: nothing but coordinates is read until it is used.

    Parameters
    ----------
    path
        The store's folder or s3:// URL, as `widthlaw run` wrote it.
    dask
        Whether variables are Dask arrays, of which expressions are lazy too. Without, a variable is
        read where it is used: for who takes a piece of the store at a time, several times faster.

    Returns
    -------
    xarray.Dataset
        Dims (..., d, n, width, seed), and `status` saying which trials are done.

    Raises
    ------
    pipeline.errors.StoreError
        Where `path` is no store, or one that this version cannot read.
    """
    return _opened(path, {} if dask else None)


def _opened(path: str | Path, chunks: dict[Any, Any] | None) -> xr.Dataset:
    """Open a store; the statuses of an older one get the meaning of the current format."""
    attributes = check_store(path)
    ds: xr.Dataset = xr.open_zarr(place(path).zarr(), chunks=chunks, zarr_format=3)
    status, dims = ds.status, [str(dim) for dim in ds.status.dims]
    impossible = impossible_trials(path, attributes, dims)
    if impossible is not None:
        possible = xr.DataArray(~impossible[..., 0, 0], dims=dims[:-2])
        merged = (status == Status.EXCLUDED) & possible
        status = xr.where(merged, np.int8(Status.NOT_REQUESTED), status).transpose(*dims)
    return ds.assign(status=status.assign_attrs(ds.status.attrs | STATUS_FLAGS))


def open_stores(paths: Sequence[str | Path] | Mapping[str, str | Path]) -> xr.DataTree:
    """Open stores as the nodes of one tree, each lazily.

    Parameters
    ----------
    paths
        Folders or s3:// URLs; or those by the names that their nodes are to have. They may be of
        different experiments.

    Returns
    -------
    xarray.DataTree
        A node for each store, in their order. It is called as the folder without `.zarr`, and also
        after the folders above where two would be called the same.

    Raises
    ------
    pipeline.errors.StoreError
        As `open_store` does.
    pipeline.errors.InputError
        No store is given, one is given twice, or a name cannot be one of a node.
    """
    named = dict(paths) if isinstance(paths, Mapping) else dict(zip(_names(paths), paths, strict=True))
    if not named:
        raise InputError(
            "stores: got none; expected paths of stores, such as ['relu.zarr', 'tanh.zarr']"
        )
    for name in named:
        if not name or "/" in name or name in (".", ".."):
            raise InputError(f"stores: got the name {name!r}; expected one without '/', such as 'relu'")
    return xr.DataTree.from_dict({name: open_store(path) for name, path in named.items()})


def _names(paths: Sequence[str | Path]) -> list[str]:
    """A name for each path: its last part, and of those above as many as make all names differ."""
    if isinstance(paths, str | Path):
        raise InputError(f"stores: got the path {paths}; expected a list of paths")
    places = [normal(path) for path in paths]
    for path, times in Counter(places).items():
        if times > 1:
            raise InputError(f"stores: {path} is given {times} times; give it once")
    parts = [re.split("/+", path.removesuffix(".zarr")) for path in places]
    longest = max(map(len, parts), default=1)
    for depth in range(1, longest + 1):
        names = ["-".join(part[-depth:]).strip("-") or "store" for part in parts]
        if len(set(names)) == len(names):
            return names
    return [f"{number}-{name}" for number, name in enumerate(names, 1)]


def load_store(path: str | Path) -> xr.Dataset:
    """Read a whole store into memory, for work that uses most of it, as figures do.

    Every chunk is a file, and Zarr reads many of them at once where Dask has a task for each: a store
    of long trials is read in a third of the time, and once only.

    Parameters
    ----------
    path
        The store's folder or s3:// URL, as `widthlaw run` wrote it.

    Returns
    -------
    xarray.Dataset
        As `open_store` gives it, in numpy arrays.

    Raises
    ------
    pipeline.errors.StoreError
        As `open_store` does.
    """
    return _opened(path, None).load()
