"""Several runs make one store at the same time."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from pipeline import store
from pipeline.blocks import chunk_extents
from pipeline.errors import StoreError, StoreExists
from pipeline.store.creation import drafting
from pipeline.store.location import locate
from pipeline.store.template import write_template

RUNS = 6


def test_runs_that_make_a_store_at_once_all_get_it(make_sweep, tmp_path) -> None:
    sweep, path = make_sweep(), tmp_path / "new" / "a.zarr"
    together = threading.Barrier(RUNS)

    def make(_: int) -> int:
        together.wait()
        return store.open_or_create(path, sweep).counts()["pending"]

    with ThreadPoolExecutor(RUNS) as pool:
        assert list(pool.map(make, range(RUNS))) == [sweep.trials] * RUNS
    assert [entry.name for entry in path.parent.iterdir()] == ["a.zarr"]


def test_runs_of_two_sweeps_cannot_make_one_store(make_sweep, tmp_path) -> None:
    path, other = tmp_path / "a.zarr", make_sweep(entropy=8)

    def make_late() -> None:
        with drafting(path) as draft:
            write_template(draft, other, chunk_extents(other))
            store.create(path, make_sweep())
            locate(path).publish(draft)

    with pytest.raises(StoreExists, match="exists by now"):
        make_late()
    with pytest.raises(StoreError, match="belongs to another sweep"):
        store.open_or_create(path, other)
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.zarr"]
