"""Filling a block: done trials are not computed again, and a trial that kills workers is found."""

from __future__ import annotations

import pickle
import subprocess
import sys

import numpy as np
import pytest
import xarray as xr

import pipeline
from pipeline import store as stores
from pipeline.execution import fill as filling
from pipeline.execution.fill import TRIES, Outcome, fill
from pipeline.store import Store
from pipeline.trial_status import Status


@pytest.fixture
def cell(tmp_path, make_sweep):
    """The empty store of a sweep of one cell, with its one tile."""
    store = stores.create(str(tmp_path / "a.zarr"), make_sweep(d="[3]", n="[6]", seeds=4))
    (tile,) = store.pending_tiles()
    return store, tile


@pytest.fixture
def reference(tmp_path, cell):
    pipeline.run(cell[0].sweep, tmp_path / "whole.zarr")
    return tmp_path / "whole.zarr"


def set_pending(store: Store, *trials: tuple[int, int]) -> None:
    (tile,) = store.tiles()
    status = store.statuses()[0, 0]
    for width, seed in trials:
        status[width, seed] = Status.PENDING
    store.write_statuses(tile, status[np.newaxis])


def test_a_block_that_is_filled_already_is_not_computed_again(cell) -> None:
    assert fill(*cell).trials == 12
    assert fill(*cell) == Outcome()


@pytest.mark.parametrize(
    "trials", [[(0, 0)], [(1, 2)], [(2, 3), (0, 3)], [(0, 0), (1, 1), (2, 2)], [(0, 1), (1, 1), (2, 1)]]
)
def test_only_pending_trials_are_computed_and_all_bits_are_those_of_a_whole_block(
    cell, reference, trials, assert_equal_stores, monkeypatch
) -> None:
    store, tile = cell
    fill(*cell)
    set_pending(store, *trials)
    computed = []
    compute = filling.compute_block

    def watched(sweep, block, wanted, **more):
        computed.append(wanted)
        return compute(sweep, block, wanted, **more)

    monkeypatch.setattr(filling, "compute_block", watched)
    assert fill(store, tile).trials == len(trials)
    assert sorted(map(tuple, np.argwhere(computed[0]))) == sorted(trials)
    assert_equal_stores(store.location.name, reference)


def test_trials_that_another_writes_meanwhile_are_kept(
    cell, reference, assert_equal_stores, monkeypatch
) -> None:
    """Two workers fill one block: the one that is thought dead goes on computing."""
    store, tile = cell
    fill(*cell)
    set_pending(store, (0, 0), (1, 2))
    compute = filling.compute_block

    def overtaken(sweep, block, wanted, **more):
        result = compute(sweep, block, wanted, **more)
        monkeypatch.setattr(filling, "compute_block", compute)
        set_pending(store, (2, 3))
        fill(store, tile)  # the other has all, that of a third seed too
        return result

    monkeypatch.setattr(filling, "compute_block", overtaken)
    fill(store, tile)
    assert store.counts()["pending"] == 0
    assert_equal_stores(store.location.name, reference)


def test_a_run_looks_again_at_what_is_left(cell, reference, assert_equal_stores) -> None:
    store, _ = cell

    def put_back(done, total) -> None:
        if total.trials == 12:
            set_pending(store, (0, 0), (1, 2))

    assert pipeline.run(store.sweep, store.location.name, progress=put_back).trials == 14
    assert_equal_stores(store.location.name, reference)


@pytest.mark.parametrize("text", [b"", b"{", b"[]"])
def test_a_count_of_starts_that_was_cut_off_begins_anew(cell, text) -> None:
    store, tile = cell
    starts = filling._Starts(store.location, tile.first)
    assert store.location.swap(starts._key, None, text)
    assert [starts.count("1"), starts.count("1"), starts.count("2")] == [1, 2, 1]


def test_careful_filling_leaves_the_same_bits_and_nothing_beside_them(
    cell, reference, assert_equal_stores
) -> None:
    store, tile = cell
    assert fill(store, tile, carefully=True).trials == 12
    assert_equal_stores(store.location.name, reference)
    assert not [key for key, _ in store.location.files() if ".starts" in key]


KILLER = """
import os, pickle, signal, sys
from pipeline.execution import fill as filling
from pipeline.experiments import EXPERIMENTS
store, tile, killers = pickle.load(sys.stdin.buffer)
compute = filling.compute_block
assert EXPERIMENTS["conditioning"].variables  # imported once, and not by every process

def deadly(sweep, block, wanted, **more):
    if any(wanted[killer] for killer in killers):
        os.kill(os.getpid(), signal.SIGKILL)
    return compute(sweep, block, wanted, **more)

filling.compute_block = deadly
for count in range(100):
    pid = os.fork()
    if not pid:
        filling.fill(store, tile, carefully=True)
        os._exit(0)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if status == 0:
        print(count)
        break
    assert status == -signal.SIGKILL, status
"""


def deaths(cell, killers: list[tuple[int, int]]) -> int:
    """Return how often a process dies before a block with such trials is filled."""
    process = subprocess.run(
        [sys.executable, "-c", KILLER], input=pickle.dumps((*cell, killers)), capture_output=True
    )
    assert process.returncode == 0, process.stderr
    return int(process.stdout)


@pytest.mark.slow
@pytest.mark.parametrize("killers", [[(1, 2)], [(0, 1), (2, 1)]])
def test_a_trial_that_kills_its_process_fails_after_a_bounded_number_of_tries(
    cell, reference, killers, assert_equal_stores
) -> None:
    seeds = {seed for _, seed in killers}
    assert deaths(cell, killers) == len(seeds) + TRIES * len(killers)
    ds = xr.open_zarr(cell[0].location.name).load()
    failed = ds.status.squeeze(("d", "n"), drop=True) == Status.FAILED
    assert sorted(map(tuple, np.argwhere(failed.values))) == sorted(killers)
    assert (ds.message.where(failed, "").str.startswith("WorkerKilled") == failed).all()
    others = ~failed
    whole = xr.open_zarr(reference).load()
    for name in ("sigma_min", "sigma_max", "edge"):
        assert np.isnan(ds[name].where(failed)).all()
        np.testing.assert_array_equal(ds[name].where(others), whole[name].where(others))
    np.testing.assert_array_equal(ds.alpha, whole.alpha)


@pytest.mark.slow
def test_a_trial_that_killed_is_computed_when_it_is_retried(
    cell, reference, assert_equal_stores
) -> None:
    deaths(cell, [(1, 2)])
    store, _ = cell
    outcome = pipeline.run(store.sweep, store.location.name, retry_failed=True)
    assert (outcome.trials, outcome.failed) == (1, 0)
    assert_equal_stores(store.location.name, reference)


@pytest.mark.slow
def test_failed_trials_become_pending_again_and_no_others(cell) -> None:
    deaths(cell, [(1, 2)])
    store, _ = cell
    store.reset_failed()
    found = store.counts()
    assert (found["pending"], found["failed"], found["done"]) == (1, 0, 11)
