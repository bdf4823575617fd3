"""`widthlaw extend`: more values for a store, in place or at a new path."""

from __future__ import annotations

import pytest

from pipeline import store
from pipeline.maintenance.grow import request_trials
from pipeline.store import lease
from pipeline.store.location import locate
from pipeline.sweep import Request


def lines(text):
    return [line.split() for line in text.splitlines()]


@pytest.mark.slow
def test_a_store_is_extended_and_filled(widthlaw, own_store, make_sweep, tmp_path) -> None:
    planned = widthlaw("extend", own_store, "--n", 24, "--seeds", 9, "--dry-run")
    assert planned.returncode == 0
    assert "would have 96 trials with an outcome and 66 pending" in planned.stderr
    result = widthlaw("extend", own_store, "--n", 24, "--seeds", 9)
    assert result.returncode == 0, result.stderr
    assert ["n", "6,", "12", "6,", "12,", "24"] in lines(result.stdout)
    assert f"`widthlaw run {own_store}` computes them" in result.stderr
    assert widthlaw("status", own_store).returncode == 3
    assert widthlaw("run", own_store, "--dry-run").returncode == 0
    ran = widthlaw("run", own_store, "--workers", 1)
    assert ran.returncode == 0, ran.stderr
    assert "162 trials done" in ran.stderr
    assert "66 computed now" in ran.stderr
    again = widthlaw("extend", own_store, "--n", 24)
    assert again.returncode == 0
    assert "already has all of that; nothing was done" in again.stderr


def test_a_store_is_extended_by_a_sweep_into_a_new_path(
    widthlaw, own_store, write_sweep, tmp_path
) -> None:
    new = tmp_path / "new.zarr"
    result = widthlaw("extend", own_store, write_sweep(d="[4]"), "--width", 3, "-o", new)
    assert result.returncode == 0, result.stderr
    assert store.stored_sweep(new).shape == (3, 2, 4, 8)
    assert store.stored_sweep(own_store).shape == (2, 2, 3, 8)


@pytest.mark.slow
def test_a_refined_store_is_extended_by_the_command_of_the_error(
    widthlaw, own_store, write_sweep
) -> None:
    request_trials(own_store, [Request((0, 0), 2.5, (20,))])
    sweep = write_sweep(seeds=21)
    assert f"`widthlaw extend {own_store} SWEEP`" in widthlaw("run", sweep, "-o", own_store).stderr
    result = widthlaw("extend", own_store, sweep)
    assert result.returncode == 0, result.stderr
    assert "has 96 trials with an outcome and 157 pending" in result.stderr
    more = widthlaw("extend", own_store, "--n", 24)  # of the widths and seeds as written
    assert "has 96 trials with an outcome and 205 pending" in more.stderr
    assert "already has all of that" in widthlaw("extend", own_store, "--n", 24, "--seeds", 8).stderr


def test_a_store_in_use_is_refused(widthlaw, own_store) -> None:
    with lease.hold(locate(own_store)):
        for arguments in (["verify"], ["verify", "--repair"], ["extend", "--n", 24]):
            result = widthlaw(arguments[0], own_store, *arguments[1:])
            assert result.returncode == 2
            assert "another run is filling it" in result.stderr


@pytest.mark.slow
def test_wrong_values_are_refused_in_one_line(
    widthlaw, own_store, make_sweep, tmp_path, assert_refused
) -> None:
    other = tmp_path / "b.zarr"
    store.create(other, make_sweep(entropy=8))
    for arguments, message in [
        (["--n", 0], "n: got 0, expected a whole number from 1"),
        (["--width", "-1"], "width: got -1.0, expected a number"),
        (["--width", "1.5001"], "both give k = 9 at d = 3, n = 6"),
        (["theorem3"], "neither a file nor a bundled sweep"),
        ([other], "cannot be combined with this sweep: its entropy is 7, "),
        (["--n", 24, "-o", other], "b.zarr: exists already"),
    ]:
        assert_refused(widthlaw("extend", own_store, *arguments), message)
    usage = widthlaw("extend", own_store)
    assert usage.returncode == 2
    assert "nothing to add; give a SWEEP, --seeds, --n, --d or --width" in usage.stderr
