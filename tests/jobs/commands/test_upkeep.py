"""Verify, extend, merge and run as a person meets them: exit codes, tables, the next command."""

from __future__ import annotations

import csv
import json
import shutil

import numpy as np
import pytest
import zarr

import pipeline
from pipeline import store
from pipeline.maintenance.grow import request_trials
from pipeline.store import lease
from pipeline.store.location import locate
from pipeline.sweep import Request


@pytest.fixture
def filled(make_sweep, tmp_path):
    path = tmp_path / "a.zarr"
    pipeline.run(make_sweep(), path)
    return path


def damaged(path):
    file = path / "edge" / "c" / "1" / "0" / "0" / "0"
    file.write_bytes(file.read_bytes()[:-1])


def lines(text):
    return [line.split() for line in text.splitlines()]


def test_a_sound_store_is_said_to_be_sound(widthlaw, filled) -> None:
    told = widthlaw("verify", filled, "--sample", 5)
    assert told.returncode == 0, told.stderr
    assert told.stdout == ""
    assert f"{filled}: sound" in told.stderr
    assert "5 trials run again, 0 of them without equal bits" in told.stderr
    assert json.loads(widthlaw("verify", filled, "--json").stdout) == []


def test_damage_is_listed_repaired_and_computed_again(
    widthlaw, filled, tmp_path, assert_equal_stores
) -> None:
    sound = shutil.copytree(filled, tmp_path / "sound.zarr")
    damaged(filled)
    told = widthlaw("verify", filled, sound, "--csv")
    assert told.returncode == 1
    (row,) = csv.DictReader(told.stdout.splitlines())
    assert (row["kind"], row["array"], row["trials"]) == ("damaged", "edge", "24")
    assert row["where"] == "d=5 n=6 seeds 0-7"
    assert f"`widthlaw verify {filled} --repair`" in told.stderr
    mended = widthlaw("verify", filled, "--repair")
    assert mended.returncode == 3, mended.stderr
    assert "repaired: 24 trials reset to pending" in mended.stderr
    assert f"`widthlaw run {filled}` computes them" in mended.stderr
    assert widthlaw("verify", filled).returncode == 3
    ran = widthlaw("run", filled, "--workers", 1)
    assert ran.returncode == 0, ran.stderr
    assert "24 computed now" in ran.stderr
    assert widthlaw("verify", filled).returncode == 0
    assert_equal_stores(filled, sound)


def test_a_wrong_value_is_found_by_a_sample(widthlaw, filled) -> None:
    array = zarr.open_group(str(filled), mode="r+")["sigma_max"]
    array[0, 0, 0, 0] = np.nextafter(array[0, 0, 0, 0], 9)
    assert widthlaw("verify", filled).returncode == 0
    told = widthlaw("verify", filled, "--sample", 1000, "--json")
    assert told.returncode == 1
    (record,) = json.loads(told.stdout)
    assert (record["kind"], record["array"]) == ("sample", "sigma_max")
    assert record["where"] == "d=3 n=6 width=1.5 seed=0"


def test_a_store_is_extended_and_filled(widthlaw, filled, make_sweep, tmp_path) -> None:
    planned = widthlaw("extend", filled, "--n", 24, "--seeds", 9, "--dry-run")
    assert planned.returncode == 0
    assert "would have 96 trials with an outcome and 66 pending" in planned.stderr
    told = widthlaw("extend", filled, "--n", 24, "--seeds", 9)
    assert told.returncode == 0, told.stderr
    assert ["n", "6,", "12", "6,", "12,", "24"] in lines(told.stdout)
    assert f"`widthlaw run {filled}` computes them" in told.stderr
    assert widthlaw("status", filled).returncode == 3
    assert widthlaw("run", filled, "--dry-run").returncode == 0
    ran = widthlaw("run", filled, "--workers", 1)
    assert ran.returncode == 0, ran.stderr
    assert "162 trials done" in ran.stderr
    assert "66 computed now" in ran.stderr
    again = widthlaw("extend", filled, "--n", 24)
    assert again.returncode == 0
    assert "already has all of that; nothing was done" in again.stderr


def test_a_store_is_extended_by_a_sweep_into_a_new_path(
    widthlaw, filled, write_sweep, tmp_path
) -> None:
    new = tmp_path / "new.zarr"
    told = widthlaw("extend", filled, write_sweep(d="[4]"), "--width", 3, "-o", new)
    assert told.returncode == 0, told.stderr
    assert store.stored_sweep(new).shape == (3, 2, 4, 8)
    assert store.stored_sweep(filled).shape == (2, 2, 3, 8)


def test_a_run_of_the_old_sweep_names_what_can_be_done(widthlaw, filled, write_sweep) -> None:
    told = widthlaw("run", write_sweep(seeds=9), "-o", filled)
    assert told.returncode == 2
    assert f"`widthlaw run {filled}` fills it as it is" in told.stderr
    assert f"`widthlaw extend {filled} SWEEP` adds what is missing" in told.stderr


def test_the_command_that_a_refused_run_names_serves_a_refined_store(
    widthlaw, filled, write_sweep
) -> None:
    request_trials(filled, [Request((0, 0), 2.5, (20,))])
    sweep = write_sweep(seeds=21)
    assert f"`widthlaw extend {filled} SWEEP`" in widthlaw("run", sweep, "-o", filled).stderr
    told = widthlaw("extend", filled, sweep)
    assert told.returncode == 0, told.stderr
    assert "has 96 trials with an outcome and 157 pending" in told.stderr
    more = widthlaw("extend", filled, "--n", 24)  # of the widths and seeds as written
    assert "has 96 trials with an outcome and 205 pending" in more.stderr
    assert "already has all of that" in widthlaw("extend", filled, "--n", 24, "--seeds", 8).stderr


def test_stores_are_merged(widthlaw, filled, make_sweep, tmp_path) -> None:
    other, out = tmp_path / "b.zarr", tmp_path / "m.zarr"
    pipeline.run(make_sweep(seeds="[20, 21]"), other)
    planned = widthlaw("merge", filled, other, "-o", out, "--dry-run")
    assert planned.returncode == 0
    assert not out.exists()
    told = widthlaw("merge", filled, other, "-o", out)
    assert told.returncode == 0, told.stderr
    assert "has 120 trials with an outcome and 0 pending" in told.stderr
    assert "seeds" in told.stdout
    assert widthlaw("status", out).returncode == 0


def test_bad_input_is_refused_in_one_line(widthlaw, filled, make_sweep, tmp_path) -> None:
    other = tmp_path / "b.zarr"
    store.create(other, make_sweep(entropy=8))
    out = tmp_path / "m.zarr"
    for arguments, said in [
        (["verify", tmp_path / "none"], "none: not found"),
        (["verify", tmp_path], "holds no Zarr v3 group"),
        (["extend", filled, "--n", 0], "n: got 0, expected a whole number from 1"),
        (["extend", filled, "--width", "-1"], "width: got -1.0, expected a number"),
        (["extend", filled, "--width", "1.5001"], "both give k = 9 at d = 3, n = 6"),
        (["extend", filled, "theorem3"], "neither a file nor a bundled sweep"),
        (["extend", filled, other], "cannot be combined with this sweep: its entropy is 7, "),
        (["extend", filled, "--n", 24, "-o", other], "b.zarr: exists already"),
        (["merge", filled, "-o", out], "merge: got 1 store, expected two or more"),
        (["merge", filled, filled, "-o", out], "is listed twice; remove one"),
        (["merge", filled, other, "-o", out], "its entropy is 7, store "),
        (["merge", filled, tmp_path / "none", "-o", out], "none: not found"),
    ]:
        told = widthlaw(*arguments)
        assert told.returncode == 2, (arguments, told.stderr)
        assert said in told.stderr, arguments
        assert len(told.stderr.splitlines()) == 1, told.stderr
        assert told.stdout == ""
    usage = widthlaw("extend", filled)
    assert usage.returncode == 2
    assert "nothing to add; give a SWEEP, --seeds, --n, --d or --width" in usage.stderr


def test_a_store_that_is_being_filled_is_left_alone(widthlaw, filled) -> None:
    with lease.hold(locate(filled)):
        for arguments in (["verify"], ["verify", "--repair"], ["extend", "--n", 24]):
            told = widthlaw(arguments[0], filled, *arguments[1:])
            assert told.returncode == 2
            assert "another run is filling it" in told.stderr


def test_a_damaged_root_cannot_be_repaired(widthlaw, filled) -> None:
    (filled / "zarr.json").write_text("{")
    told = widthlaw("verify", filled)
    assert told.returncode == 1
    assert "root" in told.stdout
    mended = widthlaw("verify", filled, "--repair")
    assert mended.returncode == 2
    assert "zarr.json is damaged and cannot be repaired" in mended.stderr
