"""Extend and merge: nothing is computed again, no bit changes, and nothing is ever half there."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
import zarr

import pipeline
from pipeline import store
from pipeline.errors import LeaseLost, StoreError, StoreHeld
from pipeline.execution.compute import compute_block
from pipeline.maintenance import grow
from pipeline.maintenance.grow import extend, merge, request_trials
from pipeline.maintenance.plan import widened
from pipeline.maintenance.repair import repair
from pipeline.maintenance.verify import damage
from pipeline.store import lease, names
from pipeline.store.location import Folder, locate
from pipeline.store.template import FORMAT_VERSION, attributes_digest
from pipeline.sweep import Request
from pipeline.trial_status import Status

from ...waiting import PATIENCE

INPUT = {
    "experiment": "'input'",
    "descent": "{ steps = 30, tolerances = [0.5, 0.1] }",
    "d": "[3]",
    "n": "[6]",
    "width": "{ kd_per_n = [1.0, 3.0] }",
    "seeds": 3,
}


@pytest.fixture
def filled(make_sweep, tmp_path):
    """Make a filled store of a sweep with some of its keys replaced."""

    def fill(name, **keys):
        path = tmp_path / name
        pipeline.run(make_sweep(**keys), path)
        return path

    return fill


GROWTHS = [
    # (the store, what is added, the union)
    ({}, {"n": "[24]"}, {"n": "[6, 12, 24]"}),
    ({}, {"n": "[9]"}, {"n": "[6, 9, 12]"}),
    ({}, {"d": "[4, 2]"}, {"d": "[2, 3, 4, 5]"}),
    ({}, {"seeds": "[2, 8, 11]"}, {"seeds": "[0, 1, 2, 3, 4, 5, 6, 7, 8, 11]"}),
    ({"seeds": "[9, 4]"}, {"seeds": "[5]"}, {"seeds": "[4, 5, 9]"}),
    (
        {},
        {"width": "{ k_per_n = [1.0, 1.7, 6.0] }"},
        {"width": "{ k_per_n = [1.0, 1.5, 1.7, 2.0, 4.0, 6.0] }"},
    ),
    (
        {"nested": "false"},
        {"nested": "false", "width": "{ k_per_n = [1.7] }", "d": "[4]"},
        {"nested": "false", "width": "{ k_per_n = [1.5, 1.7, 2.0, 4.0] }", "d": "[3, 4, 5]"},
    ),
    (
        INPUT,
        INPUT | {"n": "[8]", "width": "{ kd_per_n = [2.0] }", "seeds": 4},
        INPUT | {"n": "[6, 8]", "width": "{ kd_per_n = [1.0, 2.0, 3.0] }", "seeds": 4},
    ),
    (
        {"dataset": "[{ kind = 'sphere' }, { kind = 'pairs', angle = [0.3] }]", "n": "[6]"},
        {"dataset": "[{ kind = 'sphere' }, { kind = 'pairs', angle = [0.3] }]", "n": "[4, 5]"},
        {"dataset": "[{ kind = 'sphere' }, { kind = 'pairs', angle = [0.3] }]", "n": "[4, 5, 6]"},
    ),
]


@pytest.mark.slow
@pytest.mark.parametrize(("made", "added", "union"), GROWTHS)
def test_an_extended_store_becomes_that_of_the_union(
    filled, make_sweep, assert_equal_stores, made, added, union
) -> None:
    path, fresh = filled("a.zarr", **made), filled("fresh.zarr", **union)
    old = xr.open_zarr(path).load()
    change = extend(path, make_sweep(**added))
    assert damage(path) == []
    assert change.there == int((old.status == Status.DONE).sum())
    grown = xr.open_zarr(path)
    same = grown.sel({dim: old[dim] for dim in old.status.dims})
    if "index" in old.dims:
        same = same.sel(index=old.index)
    assert_equal_stores(same.load(), old)
    sweep = store.stored_sweep(path)
    assert pipeline.run(sweep, path).trials == change.pending == sweep.trials - change.there
    assert_equal_stores(path, fresh)
    assert sweep.shape == make_sweep(**union).shape
    stored = zarr.open_group(str(path), mode="r").attrs
    assert stored["sweep"] == make_sweep(**made).text
    made_of_union = zarr.open_group(str(fresh), mode="r").attrs
    assert stored["estimated_seconds"] == pytest.approx(made_of_union["estimated_seconds"])
    assert len(stored["provenance"]["sources"]) == 1


def test_the_union_is_the_same_whichever_came_first(filled, make_sweep, assert_equal_stores) -> None:
    one, two = {"n": "[12]", "seeds": "[5, 2]"}, {"n": "[6]", "seeds": "[4]"}
    first, second = filled("a.zarr", **one), filled("b.zarr", **two)
    extend(first, make_sweep(**two))
    extend(second, make_sweep(**one))
    for path in (first, second):
        pipeline.run(store.stored_sweep(path), path)
    assert_equal_stores(first, second)


def test_what_is_there_already_is_no_extension(filled, make_sweep, tmp_path) -> None:
    path = filled("a.zarr")
    before = path.stat().st_ino
    change = extend(path, make_sweep(seeds=3, n="[12]"))
    assert (change.grown, change.written, path.stat().st_ino) == (False, False, before)


def test_a_partly_filled_store_keeps_what_it_has(make_sweep, tmp_path, assert_equal_stores) -> None:
    path, sweep = tmp_path / "a.zarr", make_sweep()
    store.create(path, sweep, seeds_per_chunk=3)
    for tile in [*store.Store(path, sweep).pending_tiles()][::2]:
        store.Store(path, sweep).write(tile, [compute_block(sweep, tile.first)])
    done = store.Store(path).counts()["done"]
    change = extend(path, make_sweep(seeds=10, width="{ k_per_n = [3.0] }"))
    assert change.there == store.Store(path).counts()["done"] == done
    pipeline.run(store.stored_sweep(path), path)
    fresh = tmp_path / "fresh.zarr"
    pipeline.run(make_sweep(seeds=10, width="{ k_per_n = [1.5, 2.0, 3.0, 4.0] }"), fresh)
    assert_equal_stores(path, fresh)


def test_an_extension_into_a_new_path_leaves_the_store(filled, make_sweep, tmp_path) -> None:
    path = filled("a.zarr")
    before = {file: file.stat().st_mtime_ns for file in path.rglob("*")}
    extend(path, make_sweep(n="[24]"), tmp_path / "b.zarr")
    assert {file: file.stat().st_mtime_ns for file in path.rglob("*")} == before
    assert store.stored_sweep(tmp_path / "b.zarr").n == (6, 12, 24)
    with pytest.raises(StoreError, match=r"b\.zarr: exists already; give a new path"):
        extend(path, make_sweep(n="[24]"), tmp_path / "b.zarr")


def test_a_dry_run_touches_nothing(filled, make_sweep, tmp_path) -> None:
    path, other = filled("a.zarr"), filled("b.zarr", seeds="[8]")
    before = sorted(tmp_path.rglob("*"))
    planned = extend(path, make_sweep(n="[24]"), dry_run=True)
    assert (planned.there, planned.pending, planned.written) == (96, 48, False)
    planned = merge([path, other], tmp_path / "m.zarr", dry_run=True)
    assert (planned.there, planned.pending, planned.written) == (108, 0, False)
    assert sorted(tmp_path.rglob("*")) == before


def test_the_larger_store_is_not_held_any_more(filled, make_sweep) -> None:
    path = filled("a.zarr")
    extend(path, make_sweep(n="[24]"))
    assert lease.read(locate(path)) is None
    assert [file.name for file in path.parent.iterdir()] == ["a.zarr"]


def test_a_link_to_a_store_stays_a_link(filled, make_sweep, tmp_path) -> None:
    path, link = filled("a.zarr"), tmp_path / "link.zarr"
    link.symlink_to(path)
    extend(link, make_sweep(n="[24]"))
    assert link.is_symlink()
    assert store.stored_sweep(path).n == (6, 12, 24)


def test_the_provenance_of_many_extensions_stays_small(filled, make_sweep) -> None:
    path = filled("a.zarr")
    for seeds in (9, 10, 11):
        extend(path, make_sweep(seeds=seeds))
    assert len(store.provenance_of(path)["sources"]) == 1


def test_a_store_of_format_version_1_is_extended_into_the_present_format(filled, make_sweep) -> None:
    path = filled("a.zarr")
    document = json.loads((path / "zarr.json").read_text())
    document["attributes"]["format_version"] = 1
    shutil.rmtree(path / ".digests")
    del document["attributes"]["digest"], document["attributes"]["extents"]
    (path / "zarr.json").write_text(json.dumps(document))
    assert extend(path, make_sweep(seeds=9)).there == 96
    assert store.check_store(path)["format_version"] == FORMAT_VERSION
    assert damage(path) == []


# ---- merging


@pytest.mark.slow
def test_two_halves_make_the_whole(filled, tmp_path, assert_equal_stores) -> None:
    halves = [filled("a.zarr", seeds="[0, 1, 2, 3, 5]"), filled("b.zarr", seeds="[3, 4, 6, 7]")]
    whole = filled("whole.zarr")
    change = merge(halves, tmp_path / "m.zarr")
    assert (change.there, change.pending) == (96, 0)
    assert_equal_stores(tmp_path / "m.zarr", whole)
    assert damage(tmp_path / "m.zarr") == []
    merge(halves[::-1], halves[1])
    assert_equal_stores(halves[1], whole)


def test_what_no_store_has_is_pending(filled, tmp_path, assert_equal_stores) -> None:
    parts = [filled("a.zarr", n="[6]", d="[3]"), filled("b.zarr", n="[12]", d="[5]")]
    parts.append(filled("c.zarr", n="[6]", d="[5]", width="{ k_per_n = [2.0] }"))
    change = merge(parts, tmp_path / "m.zarr")
    assert (change.there, change.pending) == (56, 40)
    assert pipeline.run(store.stored_sweep(tmp_path / "m.zarr"), tmp_path / "m.zarr").trials == 40
    assert_equal_stores(tmp_path / "m.zarr", filled("whole.zarr"))


def test_an_outcome_beats_a_failure_and_a_failure_beats_nothing(
    filled, make_sweep, tmp_path, assert_equal_stores, sealed
) -> None:
    whole = filled("whole.zarr")
    one, two = (shutil.copytree(whole, tmp_path / name) for name in ("a.zarr", "b.zarr"))
    for path, marks in ((one, {0: Status.FAILED, 1: Status.PENDING}), (two, {1: Status.FAILED})):
        group = zarr.open_group(str(path), mode="r+")
        for seed, status in marks.items():
            for variable in ("sigma_min", "sigma_max", "edge"):
                group[variable][0, 0, :, seed] = np.nan
            group["status"][0, 0, :, seed] = int(status)
        sealed(path)
    merge([one, two], tmp_path / "m.zarr")
    status = xr.open_zarr(tmp_path / "m.zarr").status.values
    assert (status[0, 0, :, 1] == Status.FAILED).all()
    assert (status == Status.FAILED).sum() == 3
    pipeline.run(make_sweep(), tmp_path / "m.zarr", retry_failed=True)
    assert_equal_stores(tmp_path / "m.zarr", whole)


@pytest.mark.parametrize(
    ("name", "at", "where"),
    [("sigma_max", (1, 0, 2, 3), "width=4 seed=3"), ("alpha", (1, 0, 3), "width=1.5 seed=3")],
)
def test_trials_that_differ_are_named(filled, tmp_path, sealed, name, at, where) -> None:
    one, two = filled("a.zarr"), filled("b.zarr", seeds="[3, 9]")
    array = zarr.open_group(str(one), mode="r+")[name]
    value = array[at]
    array[at] = np.nextafter(value, 9)
    sealed(one)
    message = (
        f"{name} of d=5 n=6 {where} is {np.nextafter(value, 9)} in the first and {value} in the second"
    )
    with pytest.raises(StoreError) as refused:
        merge([one, two], tmp_path / "m.zarr")
    assert message in str(refused.value)
    assert not (tmp_path / "m.zarr").exists()


def test_stores_of_two_platforms_agree_nearly(filled, tmp_path, sealed) -> None:
    one, two = filled("a.zarr"), filled("b.zarr", seeds="[3, 9]")
    root = two / "zarr.json"
    root.write_text(root.read_text().replace('"platform": "Linux-', '"platform": "Darwin-'))
    _sign(two)
    array = zarr.open_group(str(two), mode="r+")["sigma_max"]
    array[1, 0, 2, 0] *= 1 + 1e-10
    sealed(two)
    change = merge([one, two], tmp_path / "m.zarr")
    assert change.approximate == 1
    merged, first = (xr.open_zarr(path).sigma_max[1, 0, 2, 3] for path in (tmp_path / "m.zarr", one))
    assert float(merged) == float(first)
    assert len(store.provenance_of(tmp_path / "m.zarr")["sources"]) == 2
    array[1, 0, 2, 0] *= 1 + 1e-7
    sealed(two)
    with pytest.raises(StoreError, match="expected values that agree as on two platforms"):
        merge([one, two], tmp_path / "again.zarr")


def _sign(path: Path) -> None:
    attributes = zarr.open_group(str(path), mode="r+").attrs
    attributes["digest"] = attributes_digest(dict(attributes))


# ---- refusals


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"entropy": 8}, "its entropy is 7, "),
        ({"experiment": "'spectrum'"}, "its experiment is "),
        ({"nested": "false"}, "its nested is true, "),
        (
            {"width": "{ k = [20] }"},
            "its widths are given as k_per_n, those of .* as k; write",
        ),
        ({"activation": "['relu']"}, "its axes are d, n, those of .* activation, d, n"),
        ({"width": "{ k_per_n = [1.5001] }"}, r"1\.5 and 1\.5001 both give k = 9 at d = 3, n = 6"),
    ],
)
def test_stores_that_cannot_be_combined_are_refused(
    filled, make_sweep, tmp_path, keys, message
) -> None:
    one = filled("a.zarr")
    store.create(tmp_path / "b.zarr", make_sweep(**keys))
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(StoreError, match=message):
        extend(one, make_sweep(**keys))
    with pytest.raises(StoreError, match=message):
        merge([one, tmp_path / "b.zarr"], tmp_path / "m.zarr")
    assert sorted(tmp_path.rglob("*")) == before


def test_a_refusal_names_both_stores(filled, make_sweep, tmp_path) -> None:
    one, two = filled("a.zarr"), tmp_path / "this sweep.zarr"
    store.create(two, make_sweep(entropy=8))
    with pytest.raises(StoreError) as refused:
        merge([one, two], tmp_path / "m.zarr")
    assert str(refused.value).count(f"store {two}") == 2
    assert f"its entropy is 7, store {two}'s 8" in str(refused.value)


def test_a_store_that_is_being_filled_is_refused(filled, make_sweep, tmp_path) -> None:
    one, two = filled("a.zarr"), filled("b.zarr", seeds="[9]")
    for held in (one, two):
        with lease.hold(locate(held)):
            with pytest.raises(StoreHeld, match="another run is filling it"):
                merge([one, two], tmp_path / "m.zarr")
            with pytest.raises(StoreHeld, match="another run is filling it"):
                merge([two, one], two)
    with lease.hold(locate(one)), pytest.raises(StoreHeld):
        extend(one, make_sweep(n="[24]"))
    with lease.hold(locate(one)), pytest.raises(StoreHeld):
        extend(one, make_sweep(n="[24]"), tmp_path / "m.zarr")


def test_a_damaged_store_is_not_taken_over(filled, make_sweep) -> None:
    path = filled("a.zarr")
    next(file for file in (path / "edge" / "c").rglob("*") if file.is_file()).unlink()
    with pytest.raises(StoreError, match=r"edge/c/.* is damaged \(not there\); `widthlaw verify"):
        extend(path, make_sweep(n="[24]"))


def test_what_a_user_keeps_in_a_store_is_not_lost(filled, make_sweep) -> None:
    path = filled("a.zarr")
    (path / "notes.txt").write_text("mine")
    with pytest.raises(StoreError, match=r"holds notes\.txt, which is not widthlaw's"):
        extend(path, make_sweep(n="[24]"))


def test_where_nothing_can_be_exchanged_a_new_path_is_requested(
    filled, make_sweep, monkeypatch, tmp_path
) -> None:
    def unable(self, draft, fingerprint):
        raise NotImplementedError("this file system cannot exchange two folders at once")

    path = filled("a.zarr")
    monkeypatch.setattr(Folder, "replace", unable)
    with pytest.raises(StoreError, match=r"two folders at once\); give a new path with -o NEW"):
        extend(path, make_sweep(n="[24]"))
    assert store.stored_sweep(path).n == (6, 12)
    assert [file.name for file in tmp_path.iterdir()] == ["a.zarr"]
    assert lease.read(locate(path)) is None


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"n": [0]}, "n: got 0, expected a whole number from 1 to 1000000"),
        ({"width": [-1.0]}, "width: got -1.0, expected a number"),
        ({"d": [2**40]}, "d: got 1099511627776"),
    ],
)
def test_extents_that_cannot_be_are_refused(make_sweep, more, message) -> None:
    with pytest.raises(ValueError, match=message):
        widened(make_sweep(), **more)


# ---- while others work


def _request_one(path, sweep) -> None:
    request_trials(path, [Request((0, 1), 2.5, (3, 20))])


@pytest.mark.parametrize(
    "reshape",
    [
        _request_one,
        lambda path, sweep: extend(path, widened(sweep, seeds=[8])),
        lambda path, sweep: merge([path, path.with_name("b.zarr")], path),
    ],
    ids=["request", "extend", "merge"],
)
def test_what_a_run_or_an_extension_brings_until_the_store_is_held_is_kept(
    filled, make_sweep, tmp_path, monkeypatch, reshape
) -> None:
    path, sweep = tmp_path / "a.zarr", make_sweep(seeds=3)
    filled("b.zarr", seeds="[9]")
    store.create(path, sweep)
    hold = lease.hold

    def late(where, *arguments):
        monkeypatch.setattr(lease, "hold", hold)
        pipeline.run(sweep, path)
        extend(path, make_sweep(seeds=3, n="[24]"))
        return hold(where, *arguments)

    monkeypatch.setattr(lease, "hold", late)
    reshape(path, sweep)
    assert store.stored_sweep(path).n == (6, 12, 24)
    ds = xr.open_zarr(path).sel(n=[6, 12], seed=[0, 1, 2], width=[1.5, 2.0, 4.0])
    assert (ds.status == Status.DONE).all()
    assert damage(path) == []


def test_a_store_that_was_taken_over_meanwhile_is_not_replaced(filled, make_sweep, monkeypatch) -> None:
    path = filled("a.zarr")
    write = grow._write_draft

    def late(draft, plan):
        (path / names.LEASE).unlink()
        return write(draft, plan)

    monkeypatch.setattr(grow, "_write_draft", late)
    with pytest.raises(LeaseLost, match="its lease was taken away"):
        extend(path, make_sweep(n="[24]"))
    assert store.stored_sweep(path).n == (6, 12)


# ---- killed at any moment


TIMES = 20

SMALL = {"d": "[3]", "n": "[6]", "seeds": 3}


@pytest.fixture
def killed(tmp_path, write_sweep):
    """Do something to copies of tmp_path/stores, each time killed elsewhere; yield the copies."""
    if not hasattr(os, "fork"):
        pytest.skip("needs fork")
    (tmp_path / "stores").mkdir()

    def run(what, *arguments):
        script = Path(__file__).with_name("killed.py")
        line = [sys.executable, script, what, tmp_path, TIMES, *arguments]
        repository = str(Path(__file__).parents[3])
        subprocess.run(
            [*map(str, line)], check=True, timeout=PATIENCE, env=os.environ | {"PYTHONPATH": repository}
        )
        return [tmp_path / str(number) for number in range(TIMES)]

    return run


def either(path, *stores, equal) -> int:
    """Which of some stores a path holds, bit for bit."""
    for number, other in enumerate(stores):
        try:
            equal(path, other)
            return number
        except (AssertionError, ValueError):
            continue
    raise AssertionError(f"{path} is none of them")


@pytest.mark.slow
def test_a_killed_extension_leaves_the_old_or_the_new_store(
    killed, filled, make_sweep, write_sweep, tmp_path, assert_equal_stores
) -> None:
    old = filled("stores/a.zarr", **SMALL)
    added = SMALL | {"n": "[5]", "seeds": 4}
    copies = killed("extending", write_sweep(**added))
    new = tmp_path / "whole" / "a.zarr"
    seen = set()
    for copy in copies:
        seen.add(either(copy / "a.zarr", old, new, equal=assert_equal_stores))
        extend(copy / "a.zarr", make_sweep(**added))
        assert_equal_stores(copy / "a.zarr", new)
        assert damage(copy / "a.zarr") == []
        assert [file.name for file in copy.iterdir()] == ["a.zarr"]
        assert lease.read(locate(copy / "a.zarr")) is None
    assert seen == {0, 1}


@pytest.mark.slow
@pytest.mark.parametrize("what", ["merging", "merging_into_the_first"])
def test_a_killed_merger_leaves_nothing_or_all_of_it(
    killed, filled, tmp_path, assert_equal_stores, what
) -> None:
    old = filled("stores/a.zarr", **SMALL)
    filled("stores/b.zarr", **SMALL | {"seeds": "[2, 3]"})
    out = "m.zarr" if what == "merging" else "a.zarr"
    seen = set()
    for copy in killed(what):
        new, made = tmp_path / "whole" / out, copy / out
        seen.add(either(made, old, new, equal=assert_equal_stores) if made.exists() else 0)
        if not made.exists() or out == "a.zarr":
            merge([copy / "a.zarr", copy / "b.zarr"], made)
        assert_equal_stores(made, new)
        assert damage(made) == []
        assert {file.name for file in copy.iterdir()} == {"a.zarr", "b.zarr", out}
    assert what == "merging" or seen == {0, 1}


@pytest.mark.slow
def test_a_killed_repair_leaves_what_is_found_again_or_pending(
    killed, filled, make_sweep, tmp_path, assert_equal_stores
) -> None:
    path = filled("stores/a.zarr", **SMALL)
    sound = shutil.copytree(path, tmp_path / "sound.zarr")
    for name in ("edge", "status", "alpha", "seed"):
        file = next(file for file in sorted((path / name / "c").rglob("*")) if file.is_file())
        file.write_bytes(file.read_bytes()[:-1])
    (path / "sigma_min" / "zarr.json").unlink()
    for copy in killed("repairing"):
        again = copy / "a.zarr"
        repair(again, damage(again))
        assert damage(again) == []
        pipeline.run(make_sweep(**SMALL), again)
        assert damage(again) == []
        assert_equal_stores(again, sound)
        assert [file.name for file in copy.iterdir()] == ["a.zarr"]
        assert [file.name for file in again.glob(".*")] == [".digests"]
