"""`widthlaw extend`: more values for a store, in place or at a new path."""

from __future__ import annotations

import json

import pytest

import pipeline
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


@pytest.mark.slow
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
    assert "nothing to add; give a SWEEP, --seeds, --n, --d, --width or --steps" in usage.stderr


DESCENT = {"experiment": "'input'", "d": "[4]", "n": "[20]", "width": "{ kd_per_n = [0.7, 1.6, 5.0] }"}


def descent(steps: int, more: str = "checkpoints = true") -> str:
    return f"{{ steps = {steps}, tolerances = [0.5, 0.03], {more} }}"


@pytest.mark.slow
def test_a_larger_budget_goes_on_from_checkpoints(
    widthlaw, write_sweep, make_sweep, tmp_path, assert_equal_stores
) -> None:
    path, whole = tmp_path / "a.zarr", tmp_path / "whole.zarr"
    sweep = write_sweep(**DESCENT, descent=descent(400))
    planned = widthlaw("run", sweep, "-o", path, "--dry-run")
    assert ["checkpoints,", "at", "most"] in [line[:3] for line in lines(planned.stdout)]
    assert widthlaw("run", sweep, "-o", path).returncode == 0
    planned = widthlaw("extend", path, "--steps", 2000, "--dry-run")
    assert (planned.returncode, store.stored_sweep(path).descent.steps) == (0, 400)
    result = widthlaw("extend", path, "--steps", 2000)
    assert result.returncode == 0, result.stderr
    assert ["steps", "400", "2000"] in lines(result.stdout)
    assert result.stdout == planned.stdout
    going = int(result.stderr.split(" and ")[1].split()[0])
    assert f"{path}: {going} trials to go on from a checkpoint\n" in result.stderr
    assert f"`widthlaw run {path}` computes them" in result.stderr
    ran = widthlaw("run", path)
    assert ran.returncode == 0, ran.stderr
    assert f"{going} computed now" in ran.stderr
    pipeline.run(make_sweep(**DESCENT, descent=descent(2000, "step_size = 1.0")), whole)
    assert_equal_stores(path, whole)
    again = widthlaw("extend", path, "--steps", 2000)
    assert (again.returncode, again.stdout) == (0, "")
    assert "has a budget of 2000 steps already; nothing was done" in again.stderr


@pytest.mark.slow
def test_trials_that_start_anew_are_told(widthlaw, make_sweep, tmp_path) -> None:
    path, bare = tmp_path / "a.zarr", tmp_path / "bare.zarr"
    pipeline.run(make_sweep(**DESCENT, descent=descent(100)), path)
    pipeline.run(make_sweep(**DESCENT, descent=descent(100, "step_size = 1.0")), bare)
    file = next((path / ".checkpoints").iterdir())
    file.write_bytes(file.read_bytes()[:-8])
    for store_path, why in ((path, "torn"), (bare, "not there")):
        result = widthlaw("extend", store_path, "--steps", 200)
        assert result.returncode == 0, result.stderr
        assert (
            f"{store_path}: 0 trials to go on from a checkpoint; 23 trials to start anew, "
            f"without a checkpoint (that of 23 is {why})\n"
        ) in result.stderr
        assert widthlaw("run", store_path).returncode == 0


@pytest.mark.slow
def test_budgets_that_cannot_grow_are_refused_in_one_line(
    widthlaw, own_store, make_sweep, tmp_path, assert_refused
) -> None:
    path = tmp_path / "b.zarr"
    store.create(path, make_sweep(**DESCENT, descent=descent(400)))
    message = "takes no steps of descent"
    assert_refused(widthlaw("extend", own_store, "--steps", 500), message)
    assert_refused(widthlaw("extend", path, "--steps", 399), "expected 400 (its budget) to 1e+09")
    usage = widthlaw("extend", path, "--steps", 500, "--seeds", 9)
    assert usage.returncode == 2
    assert "--steps stands alone" in usage.stderr


@pytest.mark.slow
def test_some_trials_get_more_steps_and_the_others_are_censored(
    widthlaw, make_sweep, tmp_path, assert_refused
) -> None:
    path = tmp_path / "a.zarr"
    pipeline.run(make_sweep(**DESCENT, descent=descent(400)), path)
    for where, message in (
        ("steps", "--where: got 'steps', expected a condition that a trial meets or not"),
        ("steps_to_tolerance < 9", "expected a condition that a trial meets or not"),
        ("stops < 9", "stops"),
        ("n == 99", "--where: got 'n == 99', which no trial meets; n is 20"),
        ("width > 1 and steps > 400", "; width is 0.7, 1.6, 5.0; steps is "),
    ):
        assert_refused(widthlaw("extend", path, "--steps", 2000, "--where", where), message)
    assert "add --steps" in widthlaw("extend", path, "--where", "seed < 4").stderr
    met = widthlaw("query", path, "width > 1 and steps == 400", "--json")
    hopeful = len(json.loads(met.stdout))
    assert hopeful > 0
    result = widthlaw("extend", path, "--steps", "2e3", "--where", "width > 1")
    assert result.returncode == 0, result.stderr
    assert f"has {24 - hopeful} trials with an outcome and {hopeful} pending" in result.stderr
    ran = widthlaw("run", path)
    assert f"24 trials done, 0 failed; {hopeful} computed now" in ran.stderr
    left = json.loads(widthlaw("query", path, "steps == 400", "--json").stdout)
    assert len(left) > 0
    assert widthlaw("verify", path, "--sample", 24).returncode == 0
    again = widthlaw("extend", path, "--steps", 2000)
    assert f"{path}: {len(left)} trials to go on from a checkpoint" in again.stderr
