"""Stores with requests for single trials: the rest is not requested, and damage is still found."""

from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import pytest
import xarray as xr
import zarr

import pipeline
from analysis.query.selection import select
from analysis.stores import open_store
from pipeline import store
from pipeline.blocks import estimated_seconds
from pipeline.errors import StoreError, StoreHeld, SweepError
from pipeline.maintenance.grow import extend, merge, request_trials
from pipeline.maintenance.plan import grid
from pipeline.maintenance.recompute import sample
from pipeline.maintenance.repair import repair
from pipeline.maintenance.verify import damage
from pipeline.store import lease
from pipeline.store.location import locate
from pipeline.sweep import Request
from pipeline.trial_status import UNREQUESTED, Status

REQUESTS = [Request((0, 1), 2.5, (3, 8, 20)), Request((1, 1), 2.5, (0,)), Request((1, 0), 2.0, (9,))]
"""Five trials that the small sweep lacks: it has the widths 1.5, 2 and 4, and eight seeds."""


@pytest.fixture
def filled(make_sweep, tmp_path):
    path = tmp_path / "a.zarr"
    pipeline.run(make_sweep(), path)
    return path


@pytest.fixture
def refined(filled):
    request_trials(filled, REQUESTS)
    pipeline.run(store.stored_sweep(filled), filled)
    return filled


def test_requested_trials_are_pending_and_the_rest_not_requested(filled) -> None:
    change = request_trials(filled, REQUESTS)
    assert (change.there, change.pending, change.written) == (96, 5, True)
    found = store.Store(filled).counts()
    assert (found["done"], found["pending"], found["not_requested"]) == (96, 5, 4 * 4 * 11 - 101)
    assert store.stored_sweep(filled).width == (1.5, 2.0, 2.5, 4.0)
    assert store.is_refined(filled)
    assert damage(filled) == []


def test_only_the_widths_of_requested_trials_are_counted_as_work(filled) -> None:
    assert store.Store(filled).pending_cells() == []
    request_trials(filled, REQUESTS)
    cells = store.Store(filled).pending_cells()
    whole = {cell.index: cell for cell in store.stored_sweep(filled).cells()}
    assert [cell.index for cell in cells] == [(0, 1), (1, 0), (1, 1)]
    at = {2.0: 1, 2.5: 2}
    for cell, width in zip(cells, [2.5, 2.0, 2.5], strict=True):
        assert cell.widths == (whole[cell.index].widths[at[width]],)


def test_a_repeated_request_changes_nothing(filled) -> None:
    before = filled.stat().st_ino
    assert not request_trials(filled, [Request((0, 0), 2.0, (1, 2))]).written
    assert filled.stat().st_ino == before
    assert not store.is_refined(filled)


@pytest.mark.slow
def test_requested_trials_have_the_bits_of_a_whole_grid(refined, make_sweep, tmp_path) -> None:
    whole = tmp_path / "whole.zarr"
    grid = make_sweep(width="{ k_per_n = [1.5, 2.0, 2.5, 4.0] }", seeds="[0,1,2,3,4,5,6,7,8,9,20]")
    pipeline.run(grid, whole)
    one, other = xr.open_zarr(refined).load(), xr.open_zarr(whole).load()
    assert int((one.status == Status.DONE).sum()) == 101
    for name in ("sigma_min", "sigma_max", "edge"):
        assert (one[name] == other[name]).where(one.status == Status.DONE, True).all()
    seeds = (one.status == Status.DONE).any("width")
    assert (one.alpha == other.alpha).where(seeds, True).all()
    assert sample(refined, 101).differences == ()


def test_the_estimate_is_that_of_the_requested_trials(refined, make_sweep) -> None:
    estimate = store.check_store(refined)["estimated_seconds"]
    assert estimated_seconds(make_sweep()) < estimate < estimated_seconds(store.stored_sweep(refined))
    sweep = make_sweep()
    everything = estimated_seconds(sweep, np.ones(sweep.shape, dtype=bool))
    assert everything == pytest.approx(estimated_seconds(sweep))


@pytest.mark.slow
def test_a_refined_store_grows_by_the_trials_of_a_sweep_and_by_no_other(
    refined, make_sweep, assert_equal_stores, tmp_path
) -> None:
    before = xr.open_zarr(refined).status.load()
    change = extend(refined, make_sweep(seeds=12))
    # Of seeds 8 to 11 of three widths of four cells one was requested before.
    assert (change.pending, change.requested, change.grown) == (47, 47, True)
    status = xr.open_zarr(refined).status.load()
    grid = status.sel(seed=range(12), width=[1.5, 2.0, 4.0])
    assert int((grid == Status.NOT_REQUESTED).sum()) == 0
    rest = status.drop_sel(width=[1.5, 2.0, 4.0])
    assert (rest.sel(seed=before.seed) == before.sel(width=rest.width)).all()
    assert (rest.sel(seed=[10, 11]) == Status.NOT_REQUESTED).all()
    assert damage(refined) == []
    pipeline.run(store.stored_sweep(refined), refined)
    pipeline.run(make_sweep(seeds=12), tmp_path / "whole.zarr")
    whole = xr.open_zarr(tmp_path / "whole.zarr").load()
    assert_equal_stores(
        xr.open_zarr(refined).sel({dim: whole[dim] for dim in whole.dims}).load(), whole
    )


def test_trials_within_the_axes_of_a_refined_store_are_requested(refined, make_sweep) -> None:
    sweep = make_sweep(width="{ k_per_n = [2.5] }", seeds=4)  # three of its sixteen trials are there
    planned = extend(refined, sweep, dry_run=True)
    assert (planned.requested, planned.pending, planned.grown, planned.written) == (14, 14, True, False)
    assert extend(refined, sweep) == replace(planned, written=True)
    again = extend(refined, sweep)
    assert (again.requested, again.grown, again.written) == (0, False, False)


def test_a_copy_of_a_refined_store_requests_nothing_more(
    refined, tmp_path, assert_equal_stores
) -> None:
    assert extend(refined, None, tmp_path / "b.zarr").requested == 0
    assert_equal_stores(refined, tmp_path / "b.zarr")


def test_the_grid_of_a_store_is_without_what_single_trials_have_added(
    filled, refined, make_sweep, tmp_path
) -> None:
    extend(refined, make_sweep(n="[24]"))
    found = grid(refined)
    assert (found.n, found.width, found.seeds) == ((6, 12, 24), (1.5, 2.0, 4.0), tuple(range(8)))
    store.create(tmp_path / "plain.zarr", make_sweep(n="[6]"))
    extend(tmp_path / "plain.zarr", make_sweep(seeds="[9]"))
    assert grid(tmp_path / "plain.zarr").seeds == (*range(8), 9)


@pytest.mark.slow
def test_merging_refined_stores_requests_nothing_that_neither_requests(
    refined, make_sweep, tmp_path, assert_equal_stores
) -> None:
    other = tmp_path / "b.zarr"
    pipeline.run(make_sweep(), other)
    request_trials(other, [Request((0, 0), 3.0, (30, 31))])
    merge([refined, other], tmp_path / "m.zarr")
    found = store.Store(tmp_path / "m.zarr").counts()
    assert (found["done"], found["pending"]) == (101, 2)
    pipeline.run(store.stored_sweep(other), other)
    merge([other, refined], other)
    pipeline.run(store.stored_sweep(tmp_path / "m.zarr"), tmp_path / "m.zarr")
    assert_equal_stores(tmp_path / "m.zarr", other)


def test_requests_of_one_store_are_pending_in_the_merged_one(filled, make_sweep, tmp_path) -> None:
    plain = tmp_path / "plain.zarr"
    store.create(plain, make_sweep(seeds=12))
    request_trials(filled, REQUESTS)
    merge([filled, plain], tmp_path / "m.zarr")
    status = xr.open_zarr(tmp_path / "m.zarr").status.load()
    assert (status.sel(seed=[8, 9, 10, 11], width=[1.5, 2.0, 4.0]) == Status.PENDING).all()
    assert (status.sel(seed=8, width=2.5) == Status.PENDING).sum() == 1
    assert (status.sel(seed=8, width=2.5) == Status.NOT_REQUESTED).sum() == 3


def test_a_store_that_requests_everything_again_is_not_refined(refined, make_sweep, tmp_path) -> None:
    every = store.stored_sweep(refined)
    store.create(tmp_path / "b.zarr", every)
    merge([refined, tmp_path / "b.zarr"], tmp_path / "m.zarr")
    assert not store.is_refined(tmp_path / "m.zarr")
    assert store.Store(tmp_path / "m.zarr").counts()["not_requested"] == 0


def test_a_query_names_trials_that_were_not_requested(refined) -> None:
    ds = open_store(refined)
    assert len(select(ds, columns=["status"])) == 101
    rows = select(ds, "status == 'not_requested'", ["status"])
    assert len(rows) == store.Store(refined).counts()["not_requested"] > 0


def test_a_lost_status_is_found_and_repaired(refined) -> None:
    chunk = next(file for file in (refined / "status" / "c").rglob("*") if file.is_file())
    chunk.unlink()
    found = damage(refined)
    assert [(one.kind, one.array) for one in found] == [("missing", "status")]
    repair(refined, found)
    assert damage(refined) == []
    assert store.Store(refined).counts()["pending"] > 0
    pipeline.run(store.stored_sweep(refined), refined)
    assert damage(refined) == []


def test_repair_requests_no_other_trial_if_the_status_is_left(
    refined, tmp_path, assert_equal_stores
) -> None:
    sound = shutil.copytree(refined, tmp_path / "sound.zarr")
    not_requested = xr.open_zarr(refined).status.load() == Status.NOT_REQUESTED
    assert int(not_requested[0, 0].sum()) > 0
    (refined / "edge" / "c" / "0" / "0" / "0" / "0").unlink()
    assert repair(refined, damage(refined)).trials == 24
    status = xr.open_zarr(refined).status.load()
    assert ((status == Status.NOT_REQUESTED) == not_requested).all()
    assert (status[0, 0] == Status.PENDING).sum() == 24
    assert damage(refined) == []
    pipeline.run(store.stored_sweep(refined), refined)
    assert_equal_stores(refined, sound)


@pytest.mark.slow
def test_the_status_of_a_block_without_outcomes_is_missed_too(filled) -> None:
    request_trials(filled, [Request((0, 0), 2.0, tuple(range(8, 40_000)))])
    status = zarr.open_group(str(filled), mode="r")["status"]
    seeds = status.chunks[-1]
    last = (40_000 - 1) // seeds
    assert (np.asarray(status[1, 1, :, last * seeds :]) == Status.NOT_REQUESTED).all()
    (filled / "status" / "c" / "1" / "1" / "0" / str(last)).unlink()
    assert [one.kind for one in damage(filled)] == ["missing"]
    repair(filled, damage(filled))
    assert damage(filled) == []


@pytest.mark.parametrize("status", UNREQUESTED)
def test_an_excluded_trial_of_a_store_that_is_not_refined_is_damage(filled, status) -> None:
    zarr.open_group(str(filled), mode="r+")["status"][0, 0, 1, 2] = int(status)
    assert [(one.kind, one.array) for one in damage(filled)] == [("damaged", "status")]


def test_only_cells_that_cannot_exist_are_excluded_in_a_refined_store(refined) -> None:
    zarr.open_group(str(refined), mode="r+")["status"][0, 0, 1, 2] = int(Status.EXCLUDED)
    assert [(one.kind, one.array) for one in damage(refined)] == [("damaged", "status")]


def test_that_a_store_is_refined_cannot_be_taken_from_it_unnoticed(refined) -> None:
    root = refined / "zarr.json"
    root.write_text(root.read_text().replace('"refined": 1', '"refined": 0'))
    assert [one.kind for one in damage(refined)] == ["root"]


def test_requests_that_cannot_be_computed_change_nothing(filled) -> None:
    before = filled.stat().st_ino
    with pytest.raises(SweepError, match="both give k = 12"):
        request_trials(filled, [Request((0, 1), 2.01, (0,))])
    with lease.hold(locate(filled)), pytest.raises(StoreHeld):
        request_trials(filled, REQUESTS)
    (filled / "notes.txt").write_text("mine")
    with pytest.raises(StoreError, match=r"holds notes\.txt"):
        request_trials(filled, REQUESTS)
    assert filled.stat().st_ino == before
