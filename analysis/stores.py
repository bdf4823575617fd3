"""Open a result store for reading.

A store is plain Zarr and needs no code of ours; what this adds is one check beforehand, so that a
folder that is no store, or one of another format version, is met with a sentence and not with a
traceback from deep inside a library.
"""

from __future__ import annotations

from pathlib import Path

import xarray as xr

from pipeline.store import check_store

__all__ = ["open_store"]


def open_store(path: str | Path) -> xr.Dataset:
    """Open a store lazily: nothing but coordinates is read until it is used.

    Parameters
    ----------
    path
        The store's folder, as `widthlaw run` wrote it.

    Returns
    -------
    xarray.Dataset
        Dims (..., d, n, width, seed), and `status` saying which trials are done.

    Raises
    ------
    pipeline.errors.StoreError
        Where `path` is no store, or one that this version cannot read.
    """
    check_store(path)
    ds: xr.Dataset = xr.open_zarr(path)
    return ds
