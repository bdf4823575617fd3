"""Blocks through Dask: a bounded window, one BLAS thread, failures stored, all counted."""

from __future__ import annotations

import os
import signal
import threading
import warnings
from concurrent.futures import CancelledError

import dask
import numpy as np
import pytest
import xarray as xr
from distributed import Client, KilledWorker
from threadpoolctl import threadpool_info, threadpool_limits

import pipeline
from pipeline import blocks as cutting
from pipeline import store
from pipeline.errors import StoreFull, WorkersLost
from pipeline.execution.driver import TASKS_PER_WORKER, _Window, packed, run_task
from pipeline.execution.fill import Outcome
from pipeline.store import Store
from pipeline.trial_status import Status

from ...waiting import wait_until

ROWS = 12


@pytest.fixture
def single(monkeypatch):
    """One task for every block, so that a sweep of a second has many of them."""
    monkeypatch.setattr(cutting, "TASK_SECONDS", 0.0)


@pytest.fixture
def file_sweep(tmp_path, make_sweep):
    """A sweep over 12 rows in a file, of which some may overflow in phi(z) = z^2."""

    def make(overflowing: int):
        rows = np.random.default_rng(0).standard_normal((ROWS, 3))
        rows[:overflowing] *= 1e200
        np.save(tmp_path / "rows.npy", rows)
        return make_sweep(
            folder=tmp_path,
            experiment="'spectrum'",
            activation="'square'",
            dataset="{ kind = 'file', path = 'rows.npy' }",
            d="[3]",
            n="[6]",
            seeds=20,
        )

    return make


def in_flight(client: Client) -> int:
    """Return the number of futures that the client holds, after it has released finished ones."""
    client.run_on_scheduler(lambda: None)  # releases stand before it in the client's queue
    return len(client.futures)


def wait_for_cancelled_tasks(client: Client) -> None:
    """A task that runs when it is cancelled runs to its end."""
    while any(client.run(lambda dask_worker: len(dask_worker.active_threads)).values()):
        pass


# ---- the window


@pytest.mark.slow
def test_tasks_in_flight_stay_bounded_whatever_the_number_of_tasks(
    tmp_path, make_sweep, two_workers, single
) -> None:
    sweep = make_sweep(seeds=25, width="[15]")
    store.create(tmp_path / "a.zarr", sweep, seeds_per_chunk=1)
    held = []
    outcome = pipeline.run(
        sweep,
        tmp_path / "a.zarr",
        two_workers,
        progress=lambda *_: held.append(in_flight(two_workers)),
    )
    window = 2 * TASKS_PER_WORKER
    assert outcome.trials == sweep.trials == len(held) == 100
    assert set(held[: -2 * window]) == {window - 1}  # one has just ended
    assert in_flight(two_workers) == 0


def test_progress_adds_up_to_the_outcome_and_to_the_store(
    tmp_path, make_sweep, two_workers, single
) -> None:
    sweep, path = make_sweep(), tmp_path / "a.zarr"
    store.create(path, sweep, seeds_per_chunk=2)
    steps: list[tuple[Outcome, Outcome]] = []
    outcome = pipeline.run(sweep, path, two_workers, progress=lambda *step: steps.append(step))
    assert len(steps) == 16
    so_far = Outcome()
    for done, total in steps:
        so_far += done
        assert total == so_far
    assert outcome == so_far
    assert (outcome.trials, outcome.failed, outcome.full) == (sweep.trials, 0, "")
    assert outcome.seconds == pytest.approx(float(xr.open_zarr(path).seconds.sum()), rel=1e-12)


def test_outcomes_add_field_by_field_and_keep_the_first_reason() -> None:
    first, second = Outcome(3, 1, 0.5), Outcome(4, 2, 0.25, "disk full")
    assert first + second == second + first == Outcome(7, 3, 0.75, "disk full")
    assert (second + Outcome(full="quota")).full == "disk full"


def test_a_run_that_is_stopped_leaves_nothing_in_flight_and_resumes(
    tmp_path, make_sweep, two_workers, single, assert_equal_stores
) -> None:
    sweep, path = make_sweep(), tmp_path / "a.zarr"
    store.create(path, sweep, seeds_per_chunk=1)

    def stop(done: Outcome, total: Outcome) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pipeline.run(sweep, path, two_workers, progress=stop)
    assert in_flight(two_workers) == 0
    wait_for_cancelled_tasks(two_workers)
    done = Store(path).counts()["done"]
    assert 0 < done < sweep.trials
    # A task that was running when it was cancelled may still end, and save the resumed run a block.
    assert pipeline.run(sweep, path, two_workers).trials <= sweep.trials - done
    pipeline.run(sweep, tmp_path / "b.zarr")
    assert_equal_stores(path, tmp_path / "b.zarr")


@pytest.mark.slow
def test_a_run_outlives_the_only_worker(tmp_path, make_sweep, single, assert_equal_stores) -> None:
    sweep = make_sweep(seeds=60)
    store.create(tmp_path / "a.zarr", sweep, seeds_per_chunk=4)
    with pipeline.local_client(1) as client:
        ((address, worker),) = client.run(os.getpid).items()

        def kill_once(done: Outcome, total: Outcome) -> None:
            nonlocal worker
            if worker:
                os.kill(worker, signal.SIGKILL)
            worker = 0

        pipeline.run(sweep, tmp_path / "a.zarr", client, progress=kill_once)
        assert list(client.run(os.getpid)) != [address]
    pipeline.run(sweep, tmp_path / "b.zarr")
    assert_equal_stores(tmp_path / "a.zarr", tmp_path / "b.zarr")


@pytest.mark.slow
def test_workers_that_dask_gives_up_are_started_anew(
    tmp_path, make_sweep, single, assert_equal_stores
) -> None:
    sweep = make_sweep(seeds=60)
    store.create(tmp_path / "a.zarr", sweep, seeds_per_chunk=4)
    giving_up = {"distributed.deploy.lost-worker-timeout": "1ms"}
    with dask.config.set(giving_up), pipeline.local_client(1) as client:
        (worker,) = client.run(os.getpid).values()

        def kill_once(done: Outcome, total: Outcome) -> None:
            nonlocal worker
            if worker:
                os.kill(worker, signal.SIGKILL)
                wait_until(lambda: not client.cluster.requested, "Dask gives the worker up")
            worker = 0

        pipeline.run(sweep, tmp_path / "a.zarr", client, progress=kill_once)
        assert len(client.nthreads()) == 1
    pipeline.run(sweep, tmp_path / "b.zarr")
    assert_equal_stores(tmp_path / "a.zarr", tmp_path / "b.zarr")


@pytest.mark.slow
def test_a_scheduler_that_goes_away_ends_the_run_and_the_store_resumes(
    tmp_path, make_sweep, single, assert_equal_stores
) -> None:
    sweep, path = make_sweep(seeds=60), tmp_path / "a.zarr"
    store.create(path, sweep, seeds_per_chunk=4)
    client = pipeline.local_client(1)
    with pytest.raises(WorkersLost):
        pipeline.run(sweep, path, client, progress=lambda done, total: client.cluster.close())
    client.close()
    assert 0 < Store(path).counts()["pending"] < sweep.trials
    pipeline.run(sweep, path)
    pipeline.run(sweep, tmp_path / "b.zarr")
    assert_equal_stores(path, tmp_path / "b.zarr")


def test_a_store_that_takes_no_more_ends_the_run_with_its_reason(
    tmp_path, make_sweep, two_workers, single
) -> None:
    sweep, path = make_sweep(), tmp_path / "a.zarr"
    store.create(path, sweep, seeds_per_chunk=1)
    (path / "edge" / "c").write_text("a file where a folder should be")
    with pytest.raises(StoreFull) as stopped:
        pipeline.run(sweep, path, two_workers)
    assert stopped.value.filename == str(path)
    assert stopped.value.strerror == "Not a directory"
    assert in_flight(two_workers) == 0
    wait_for_cancelled_tasks(two_workers)
    (path / "edge" / "c").unlink()
    pipeline.run(sweep, path, two_workers)
    assert Store(path).counts()["done"] == sweep.trials


# ---- threads


def test_a_task_computes_on_one_blas_thread(tmp_path, make_sweep, two_workers) -> None:
    made = store.create(tmp_path / "a.zarr", make_sweep())

    def threads() -> set[int]:
        return {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}

    def looked_at() -> tuple[set[int], set[int]]:
        inside: set[int] = set()

        def looking():
            for tile in made.pending_tiles():
                inside.update(threads())
                yield tile

        threadpool_limits(2, user_api="blas")
        before = threads()
        run_task(packed(made), looking())
        return before, inside

    assert two_workers.submit(looked_at).result() == ({2}, {1})
    assert made.counts()["pending"] == 0


def test_local_workers_have_one_thread_each_of_their_own_and_of_blas(two_workers) -> None:
    def counts() -> tuple[set[int], int]:
        return {pool["num_threads"] for pool in threadpool_info()}, threading.active_count()

    assert set(two_workers.nthreads().values()) == {1}
    for pools, _ in two_workers.run(counts).values():
        assert pools == {1}


# ---- failures


def test_a_failing_trial_is_stored_with_its_message_and_the_others_go_on(
    tmp_path, file_sweep, two_workers
) -> None:
    sweep, path = file_sweep(overflowing=1), tmp_path / "a.zarr"
    store.create(path, sweep, seeds_per_chunk=4)
    outcome = pipeline.run(sweep, path, two_workers)
    ds = xr.open_zarr(path).squeeze(("d", "n"))
    failed = ds.status == Status.FAILED
    assert 0 < outcome.failed == int(failed.sum()) < outcome.trials == sweep.trials
    assert (ds.status.where(~failed, Status.DONE) == Status.DONE).all()
    assert ((ds.message != "") == failed).all()
    assert np.isnan(ds.sigma_min.where(failed)).all()
    assert np.isfinite(ds.sigma_min.where(~failed, 0)).all()


def test_failed_trials_are_computed_again_where_that_is_asked_for(
    tmp_path, file_sweep, two_workers, assert_equal_stores
) -> None:
    sweep, path = file_sweep(overflowing=1), tmp_path / "a.zarr"
    store.create(path, sweep, seeds_per_chunk=4)
    first = pipeline.run(sweep, path, two_workers)
    before = xr.open_zarr(path).compute()
    assert pipeline.run(sweep, path, two_workers) == Outcome()
    again = pipeline.run(sweep, path, two_workers, retry_failed=True)
    assert again.trials == again.failed == first.failed
    assert_equal_stores(before, path)


def test_retried_trials_are_done_once_their_cause_is_gone(
    tmp_path, file_sweep, two_workers, assert_equal_stores
) -> None:
    sweep, path = file_sweep(overflowing=0), tmp_path / "a.zarr"
    store.create(path, sweep)
    (tmp_path / "rows.npy").rename(tmp_path / "elsewhere.npy")
    away = pipeline.run(sweep, path, two_workers)
    assert away.failed == away.trials == sweep.trials
    assert all("rows.npy: not found" in text for text in xr.open_zarr(path).message.values.flat)
    (tmp_path / "elsewhere.npy").rename(tmp_path / "rows.npy")
    again = pipeline.run(sweep, path, two_workers, retry_failed=True)
    assert (again.trials, again.failed) == (sweep.trials, 0)
    pipeline.run(sweep, tmp_path / "calm.zarr")
    assert_equal_stores(path, tmp_path / "calm.zarr")


def test_overflow_warns_nobody(tmp_path, file_sweep) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        outcome = pipeline.run(file_sweep(overflowing=ROWS), tmp_path / "a.zarr")
    assert outcome.failed == outcome.trials


class LostResult:
    """A future whose result was lost with its worker after it had finished, as Dask tells it."""

    status, key = "finished", "tile"

    def __init__(self, error: Exception) -> None:
        self._error = error

    def result(self) -> None:
        raise self._error


@pytest.mark.parametrize("error", [KilledWorker("tile", None, 1), CancelledError("tile")])
def test_a_result_that_was_lost_with_its_worker_is_computed_again(
    two_workers, make_sweep, tmp_path, error
) -> None:
    store.create(tmp_path / "a.zarr", make_sweep())
    opened = Store(tmp_path / "a.zarr", make_sweep())
    window = _Window(two_workers, opened, retry_failed=False)
    tile, *_ = opened.tiles()
    trials, lost = int(opened.missing(tile).sum()), LostResult(error)
    window._in_flight[lost] = [tile]
    assert list(window._finish(lost, drained=False)) == []
    (again,) = window._in_flight
    assert again.result().trials == trials
    assert not opened.missing(tile).any()
