"""Open a result store for reading.

A store is plain Zarr and needs no code of ours; what this adds is one check beforehand, so that a
folder that is no store, or one of another format version, is met with a sentence and not with a
traceback from deep inside a library.
"""

from __future__ import annotations

from pathlib import Path

import xarray as xr

from pipeline.places import place
from pipeline.store import check_store

__all__ = ["load_store", "open_store"]


def open_store(path: str | Path) -> xr.Dataset:
    """Open a store lazily: nothing but coordinates is read until it is used.

    Parameters
    ----------
    path
        The store's folder or s3:// URL, as `widthlaw run` wrote it.

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
    ds: xr.Dataset = xr.open_zarr(place(path).zarr(), zarr_format=3)
    return ds


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
    check_store(path)
    ds: xr.Dataset = xr.open_zarr(place(path).zarr(), chunks=None, zarr_format=3).load()
    return ds
