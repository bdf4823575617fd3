"""Opening a store and reading it whole."""

from __future__ import annotations

import numpy as np
import pytest

import pipeline
from analysis import load_store, open_store
from pipeline.errors import StoreError


def test_a_loaded_store_is_the_opened_one_in_memory(tmp_path, make_sweep, assert_equal_stores) -> None:
    path = tmp_path / "small.zarr"
    pipeline.run(make_sweep(), path)
    loaded, opened = load_store(path), open_store(path)
    assert all(isinstance(loaded[name].variable._data, np.ndarray) for name in loaded.data_vars)
    assert opened.sigma_min.chunks
    assert_equal_stores(loaded, opened)


@pytest.mark.parametrize("read", [open_store, load_store])
def test_a_folder_that_is_no_store_is_refused_by_name(read, tmp_path) -> None:
    with pytest.raises(StoreError, match=tmp_path.name):
        read(tmp_path)
