"""Stores whose sweep has sub-grids or conditions: made, filled, grown, joined, damaged and repaired."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest
import xarray as xr

import pipeline
from analysis.query.selection import select
from analysis.stores import open_store
from pipeline import store
from pipeline.blocks import estimated_seconds
from pipeline.errors import StoreError
from pipeline.maintenance.grow import extend, merge, request_trials
from pipeline.maintenance.plan import grid, widened
from pipeline.maintenance.recompute import sample
from pipeline.maintenance.repair import repair
from pipeline.maintenance.verify import damage
from pipeline.selection import requested
from pipeline.sweep import Request
from pipeline.trial_status import Status

from ...waiting import wait_until

STEEP, FLAT = {"exclude": '"n > 3*d"'}, {"exclude": '"n > 3*d or k > 2*n"'}

ALL = 96
"""Trials of the small sweep, of which 24 have n > 3 d, and 24 more have k > 2 n."""


@pytest.fixture
def filled(make_sweep, tmp_path):
    def fill(name="a.zarr", **keys):
        sweep = make_sweep(**keys)
        pipeline.run(sweep, tmp_path / name)
        return tmp_path / name

    return fill


@pytest.fixture(scope="module")
def whole(make_sweep, tmp_path_factory):
    """The store of all trials."""
    path = tmp_path_factory.mktemp("whole") / "whole.zarr"
    pipeline.run(make_sweep(), path)
    return path


def counts(path):
    found = store.Store(path).counts()
    return found["done"], found["pending"], found["not_requested"]


def assert_same_where_done(path, other, done) -> None:
    """Assert that all done trials of a store have the bits of another one on the same axes."""
    one, two = (xr.open_zarr(at).load() for at in (path, other))
    there = one.status == Status.DONE
    assert int(there.sum()) == done
    for name in ("sigma_min", "sigma_max", "edge"):
        left, right = (ds[name].transpose(*there.dims).values[there.values] for ds in (one, two))
        np.testing.assert_array_equal(left.view(np.uint64), right.view(np.uint64), err_msg=name)


# ---- making and filling


def test_excluded_trials_are_not_requested_and_the_others_have_the_bits_of_the_whole_grid(
    filled, whole, make_sweep
) -> None:
    path = filled(**FLAT)
    assert counts(path) == (ALL - 24 - 24, 0, 48)
    assert_same_where_done(path, whole, 48)
    assert damage(path) == []
    assert xr.open_zarr(path).sigma_min.notnull().sum() == 48
    attributes = store.check_store(path)
    assert attributes["requests"] == [{"exclude": ["n > 3*d or k > 2*n"]}]
    assert attributes["estimated_seconds"] == estimated_seconds(make_sweep(**FLAT))
    assert attributes["identity"] == store.check_store(whole)["identity"]


def test_a_store_without_conditions_says_nothing_of_them(whole) -> None:
    attributes = store.check_store(whole)
    assert "requests" not in attributes
    assert "refined" not in attributes


def test_a_condition_that_holds_everywhere_makes_a_store_like_any_other(
    filled, whole, assert_equal_stores
) -> None:
    path = filled(only='"n > 0"')
    assert_equal_stores(path, whole)
    assert not store.is_refined(path)


def test_no_query_lists_what_was_not_requested(filled) -> None:
    ds = open_store(filled(**STEEP))
    assert len(select(ds, "n > 0")) == 72
    assert len(select(ds, "status == 'not_requested'")) == 24


def test_sub_grids_with_seeds_of_their_own_have_the_bits_of_the_whole_grid(filled, whole) -> None:
    path = filled(n="[6]", grid="[{}, { d = [5], n = [12], seeds = 3 }]")
    assert counts(path) == (48 + 9, 0, ALL - 57)
    assert_same_where_done(path, whole, 57)
    assert damage(path) == []


@pytest.mark.slow
def test_a_run_that_is_killed_resumes_to_the_same_store(
    write_sweep, whole, tmp_path, assert_equal_stores
) -> None:
    sweep, path = write_sweep(**STEEP, seeds=400, nested="false"), tmp_path / "killed.zarr"
    code = "import sys, pipeline; pipeline.run(pipeline.load_sweep(sys.argv[1]), sys.argv[2])"
    process = subprocess.Popen([sys.executable, "-c", code, sweep, path], cwd=tmp_path)
    first_chunk = path / "sigma_min" / "c"
    wait_until(
        lambda: first_chunk.exists() or process.poll() is not None, "a first result", pause=0.001
    )
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert store.Store(path).counts()["not_requested"] == 24 * 50
    pipeline.run(pipeline.load_sweep(sweep), path)
    assert counts(path) == (72 * 50, 0, 24 * 50)
    other = tmp_path / "other.zarr"
    pipeline.run(pipeline.load_sweep(sweep), other)
    assert_equal_stores(path, other)


# ---- other conditions at the same path


@pytest.mark.parametrize(
    ("made", "given", "more", "fewer"),
    [(STEEP, FLAT, 0, 24), (FLAT, STEEP, 24, 0), (STEEP, {}, 24, 0), ({}, STEEP, 0, 24)],
)
def test_a_store_of_other_conditions_is_refused(filled, make_sweep, made, given, more, fewer) -> None:
    path = filled(**made)
    expected = f"{more} trials that the store does not request, and leaves out {fewer} that it does"
    with pytest.raises(StoreError, match=expected):
        pipeline.run(make_sweep(**given), path)


def test_the_same_trials_in_other_words_are_the_same_store(filled, make_sweep) -> None:
    path = filled(**STEEP)
    outcome = pipeline.run(make_sweep(only='"n <= 3*d"'), path)
    assert outcome.trials == 0


# ---- growing


def test_what_was_excluded_and_is_now_included_becomes_pending(
    filled, make_sweep, whole, assert_equal_stores
) -> None:
    path = filled(**FLAT)
    change = extend(path, make_sweep(**STEEP))
    assert (change.there, change.pending) == (48, 24)
    assert counts(path) == (48, 24, 24)
    assert damage(path) == []
    pipeline.run(store.stored_sweep(path), path)
    assert_same_where_done(path, whole, 72)
    extend(path, make_sweep())
    pipeline.run(store.stored_sweep(path), path)
    assert_equal_stores(path, whole)
    assert "requests" not in store.check_store(path)


def test_what_is_newly_excluded_is_kept(filled, make_sweep) -> None:
    path = filled(**STEEP)
    assert not extend(path, make_sweep(**FLAT)).grown
    assert counts(path) == (72, 0, 24)
    extend(path, make_sweep(**FLAT, n="[6, 24]", d="[5, 10]"))
    # At d = 10 both n, at d = 5 only n = 6, which is there; each at two of three widths.
    assert counts(path)[:2] == (72, 2 * 2 * 8)
    pipeline.run(store.stored_sweep(path), path)
    assert counts(path)[:2] == (104, 0)
    assert damage(path) == []


def test_more_values_come_under_the_conditions_of_the_store(filled, make_sweep) -> None:
    path = filled(**STEEP)
    extend(path, widened(grid(path), n=[15, 24]))
    assert counts(path) == (72, 24, 72 + 24 - 24 + 24)  # n = 15 at d = 5 alone, n = 24 nowhere
    wanted = requested(store.stored_sweep(path))
    statuses = store.Store(path).statuses()
    assert ((statuses != Status.NOT_REQUESTED) == wanted).all()


def test_a_whole_store_grows_by_a_part_of_larger_axes(filled, make_sweep) -> None:
    path = filled()
    extend(path, make_sweep(n="[6, 40]", d="[5, 20]", exclude='"n > 3*d"'))
    # All of the old store; of the new sweep d = 5 at n = 6 (old), d = 20 at both.
    assert counts(path) == (ALL, 2 * 24, 4 * 24 - 0 - 48 + 9 * 24 - 96 - 4 * 24)
    statuses = store.Store(path).statuses()
    wanted = requested(store.stored_sweep(path))
    assert ((statuses != Status.NOT_REQUESTED) == wanted).all()


def test_stores_of_two_conditions_merge_to_the_trials_of_both(
    filled, whole, make_sweep, assert_equal_stores, tmp_path
) -> None:
    one, two = filled("one.zarr", **STEEP), filled("two.zarr", only='"n > 6"')
    out = tmp_path / "out.zarr"
    merge([one, two], out)
    assert_equal_stores(out, whole)
    three = filled("three.zarr", only='"n == 12 and k < 40"', seeds="[6, 7, 8]")
    both = tmp_path / "both.zarr"
    merge([one, three], both)
    assert counts(both)[:2] == (72 + 2 * 2 + 2 * 2, 0)  # seeds 6 and 7 at d = 3, seed 8 at both d
    assert damage(both) == []
    statuses, wanted = store.Store(both).statuses(), requested(store.stored_sweep(both))
    assert ((statuses != Status.NOT_REQUESTED) == wanted).all()


def test_widths_that_coincide_where_nothing_is_requested_keep_no_stores_apart(
    filled, make_sweep, tmp_path
) -> None:
    keys = {"d": "[3]", "n": "[12]", "width": "{ kd_per_n = [1.0, 1.25] }"}
    one = filled(
        "one.zarr", **keys, grid="[{}, { d = [12], n = [48] }]"
    )  # not d = 12, n = 12: k = 1, 1
    two = filled("two.zarr", **keys | {"d": "[6]", "n": "[24]"})
    cell = counts(two)[0]
    joined = tmp_path / "joined.zarr"
    merge([one, two], joined)
    assert counts(joined)[:2] == (3 * cell, 0)
    assert damage(joined) == []
    extend(one, make_sweep(**keys, grid="[{}, { d = [6], n = [24] }]"))
    assert counts(one)[:2] == (2 * cell, cell)


def test_a_refined_store_keeps_its_conditions_and_its_single_trials(filled, make_sweep) -> None:
    path = filled(**STEEP)
    request_trials(path, [Request((0, 0), 2.5, (3, 20)), Request((0, 1), 2.0, (1,))])
    pipeline.run(store.stored_sweep(path), path)
    assert counts(path)[:2] == (75, 0)
    assert damage(path) == []
    assert {"single": True} in store.check_store(path)["requests"]
    assert grid(path).width == (1.5, 2.0, 4.0)
    assert grid(path).requests == make_sweep(**STEEP).requests
    extend(path, make_sweep(seeds=9, **STEEP))
    assert counts(path)[:2] == (75, 9)


# ---- damage


@pytest.mark.parametrize("how", ["lost", "changed", "moved"])
def test_lost_statuses_come_back_without_what_the_conditions_leave_out(
    filled, whole, how, assert_equal_stores, tmp_path
) -> None:
    path = filled(**STEEP)
    sound = shutil.copytree(path, tmp_path / "sound.zarr")
    chunks = sorted(file for file in (path / "status" / "c").rglob("*") if file.is_file())
    for chunk in chunks:
        if how == "lost":
            chunk.unlink()
        else:
            chunk.write_bytes(chunk.read_bytes()[:-1] if how == "changed" else chunks[-1].read_bytes())
    repair(path, damage(path))
    assert counts(path)[2] == 24
    assert damage(path) == []
    pipeline.run(store.stored_sweep(path), path)
    assert_equal_stores(path, sound)


def test_a_sample_takes_only_requested_trials(filled) -> None:
    found = sample(filled(**STEEP), 200)
    assert found.trials == 72
    assert not found.differences


def test_conditions_that_were_changed_in_the_store_are_damage(filled) -> None:
    path = filled(**STEEP)
    file = path / "zarr.json"
    file.write_text(file.read_text().replace("n > 3*d", "n > 4*d"))
    assert [one.kind for one in damage(path)] == ["root"]
