"""Opening a store and reading it whole."""

from __future__ import annotations

import numpy as np
import pytest

import pipeline
from analysis import load_store, open_store, select
from pipeline.errors import StoreError


def test_a_loaded_store_is_the_opened_one_in_memory(tmp_path, make_sweep, assert_equal_stores) -> None:
    path = tmp_path / "small.zarr"
    pipeline.run(make_sweep(), path)
    loaded, opened = load_store(path), open_store(path)
    assert all(isinstance(loaded[name].variable._data, np.ndarray) for name in loaded.data_vars)
    assert opened.sigma_min.chunks
    assert_equal_stores(loaded, opened)


def test_without_dask_a_variable_is_read_where_it_is_used(tmp_path, make_sweep) -> None:
    path = tmp_path / "small.zarr"
    pipeline.run(make_sweep(), path)
    opened, read = open_store(path), open_store(path, dask=False)
    assert opened.sigma_min.chunks
    assert read.sigma_min.chunks is None
    for chunk in (path / "sigma_min" / "c" / "1").rglob("*"):  # of the other d
        if chunk.is_file():
            chunk.write_bytes(b"not to be looked at")
    truth = read.sigma_min.isel(d=0, n=1)
    assert truth.notnull().all()
    rows = select(read, "d == 3 and n == 12", ["sigma_min", "kernel_eigenvalues[5]"])
    np.testing.assert_array_equal(rows["sigma_min"], truth.values.ravel())
    spectra = (
        opened.kernel_eigenvalues.isel(d=0, n=1, index=5).broadcast_like(truth).transpose(*truth.dims)
    )
    np.testing.assert_array_equal(rows["kernel_eigenvalues[5]"], spectra.values.ravel())
    with pytest.raises(ValueError, match="checksum"):
        select(read, "n == 12", ["sigma_min"])


@pytest.mark.parametrize("read", [open_store, load_store])
def test_a_folder_that_is_no_store_is_refused_by_name(read, tmp_path) -> None:
    with pytest.raises(StoreError, match=tmp_path.name):
        read(tmp_path)
