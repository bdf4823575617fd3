"""Refine thresholds at infinite budget for real: what is run, what goes on, what is left, and kills."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest

import pipeline
from analysis.refinement.plans import LOCATED, LOST, OPEN
from analysis.refinement.times import next_round
from analysis.slowing import infinite_budget
from analysis.slowing.cells import trials_of
from analysis.stores import open_store
from jobs.thresholds import ThresholdGoal, rounds_of_thresholds
from pipeline import store
from pipeline.maintenance.grow import request_trials
from pipeline.maintenance.longer import lengthen, longest_budget
from pipeline.maintenance.recompute import sample
from pipeline.maintenance.verify import damage

COARSE = {
    "experiment": '"input"',
    "entropy": "5",
    "activation": '"softplus"',
    "d": "[5]",
    "n": "[100]",
    "width": "{ k = [12, 16, 20, 26] }",
    "seeds": 6,
    "descent": "{ steps = 4000, tolerances = [0.1], checkpoints = true }",
}
"""Descents whose times diverge near k = 12.5, and of which a third is unfinished."""


def fill(path) -> None:
    pipeline.run(store.stored_sweep(path), path)


def refined(path, goal: ThresholdGoal):
    return rounds_of_thresholds(path, goal, fill, report=lambda line: None)


@pytest.fixture(scope="module")
def made(make_sweep, tmp_path_factory):
    path = tmp_path_factory.mktemp("coarse") / "a.zarr"
    pipeline.run(make_sweep(**COARSE), path)
    return path


@pytest.fixture
def coarse(made, tmp_path):
    return shutil.copytree(made, tmp_path / "a.zarr")


def look(path, target=0.1, **limits):
    sweep = store.stored_sweep(path)
    return next_round(
        open_store(path, dask=False), sweep, target, most_steps=longest_budget(sweep), **limits
    )


def test_trials_that_may_arrive_go_on_and_others_stay_censored_where_they_stopped(coarse) -> None:
    found = look(coarse)
    assert found.longer is not None
    assert found.longer.steps == 8000
    arrived = np.isfinite(open_store(coarse).steps_to_tolerance.values[..., 0])
    assert found.longer.only.any()
    assert not (found.longer.only & arrived).any()
    some = np.zeros_like(found.longer.only)
    some[tuple(np.argwhere(found.longer.only)[0])] = True
    lengthen(coarse, 8000, only=some)
    fill(coarse)
    [(_, trials, _, _)] = trials_of(open_store(coarse, dask=False))
    left = ~arrived & ~some
    assert left.any()
    np.testing.assert_allclose(np.exp(trials.log_time.T[left[0, 0]]), 4000)


def test_a_round_keeps_the_store_sound_and_stops_at_the_limit(coarse) -> None:
    spent = look(coarse).spent
    last = refined(coarse, ThresholdGoal(0.01, seconds=1.01 * spent))
    assert [state.verdict for state in last.states] == [OPEN]
    assert last.spent >= 1.01 * spent
    assert damage(coarse) == []
    assert sample(coarse, 5).differences == ()
    assert open_store(coarse).attrs["identity_fields"]["descent"]["steps"] >= 8000


def test_the_next_round_depends_on_the_trials_alone(coarse) -> None:
    one, two = look(coarse), look(coarse)
    np.testing.assert_array_equal(one.longer.only, two.longer.only)
    assert [state.plan for state in one.states] == [state.plan for state in two.states]


def test_a_limit_of_trials_allows_no_more_seeds(coarse) -> None:
    sweep = store.stored_sweep(coarse)
    found = next_round(open_store(coarse, dask=False), sweep, 0.1, trials=3)
    assert found.longer is None  # no budget may grow
    assert sum(len(one.seeds) for one in found.requests) == 3


SHORT = COARSE | {"descent": "{ steps = 400, tolerances = [0.1], checkpoints = true }"}


@pytest.fixture
def short(make_sweep, tmp_path):
    """Return a store in whose few steps no trial arrives."""
    path = tmp_path / "short.zarr"
    pipeline.run(make_sweep(**SHORT), path)
    return path


def test_where_all_are_censored_the_widest_get_more_steps_and_wider_networks_in_turn(short) -> None:
    found = look(short)
    assert found.states[0].outcome == "all censored"
    assert min(one.width for one in found.requests) > 26
    request_trials(short, found.requests)
    fill(short)
    found = look(short)
    assert found.longer.steps == 800
    widest = np.zeros_like(found.longer.only)
    widest[..., -1, -4:] = True
    np.testing.assert_array_equal(found.longer.only, widest)


def test_where_no_budget_may_grow_all_censored_gets_wider_networks_alone(short) -> None:
    request_trials(short, look(short).requests)
    fill(short)
    found = next_round(open_store(short, dask=False), store.stored_sweep(short), 0.1)
    assert found.longer is None
    assert min(one.width for one in found.requests) > 39


def test_a_store_of_too_few_steps_is_refined_until_its_times_can_be_fitted(short, widthlaw) -> None:
    plan = widthlaw("refine", short, "--infinite-budget", "--to", "20%", "--dry-run", "--json")
    assert json.loads(plan.stdout)[0]["core-seconds"] is None
    assert "the cost of 1 cell is not known before" in plan.stderr
    last = refined(short, ThresholdGoal(0.2, seconds=6.0))
    assert last.states[0].outcome in ("threshold", "none seen")
    assert last.states[0].seconds > 0
    assert damage(short) == []


def test_a_cell_that_never_arrives_is_given_up_with_its_steps_and_width(short, monkeypatch) -> None:
    monkeypatch.setattr("analysis.refinement.time_search.LONGEST", 2)
    last = refined(short, ThresholdGoal(0.2))
    assert last.states[0].verdict == LOST
    assert last.states[0].why == "after 800 steps most are censored even at k = 38"


def test_a_cell_where_every_trial_arrives_gets_narrower_networks(make_sweep, tmp_path) -> None:
    path = tmp_path / "quick.zarr"
    wide = COARSE | {"width": "{ k = [60, 80] }", "descent": "{ steps = 9000, tolerances = [0.1] }"}
    pipeline.run(make_sweep(**wide), path)
    found = look(path)
    assert found.states[0].outcome == "none censored"
    assert max(one.width for one in found.requests) < 60


def test_a_cell_without_a_threshold_is_given_up_after_its_patience(made, monkeypatch) -> None:
    monkeypatch.setattr("analysis.refinement.times.PATIENCE", 6)
    assert infinite_budget(open_store(made, dask=False)).verdict[0] == "none seen"
    found = look(made)
    assert found.states[0].verdict == LOST
    assert found.longer is None
    assert not found.requests


def test_a_dry_run_shows_the_cost_and_changes_nothing(made, widthlaw) -> None:
    before = {file: file.stat().st_mtime_ns for file in made.rglob("*")}
    result = widthlaw("refine", made, "--infinite-budget", "--to", "8%", "--dry-run", "--json")
    assert result.returncode == 0, result.stderr
    [record] = json.loads(result.stdout)
    assert record["verdict"] == "open"
    assert record["tolerance"] == 0.1
    assert "trials go on to 8000 steps first" in result.stderr
    assert {file: file.stat().st_mtime_ns for file in made.rglob("*")} == before


def test_the_command_stops_at_its_limit_with_the_status_of_an_open_store(coarse, widthlaw) -> None:
    seconds = f"{1.01 * look(coarse).spent:.3f}"
    line = ("refine", coarse, "--infinite-budget", "--to", "1%", "--core-seconds", seconds)
    result = widthlaw(*line)
    assert result.returncode == 3, result.stderr
    assert f"1 stopped by --core-seconds {float(seconds):g}" in result.stderr
    assert "held-out test" in result.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (("--infinite-budget", "--budget", "100"), "--budget"),
        (("--infinite-budget", "--along", "n"), "--along"),
        (("--core-seconds", "5"), "--core-seconds"),
    ],
)
def test_options_that_say_nothing_about_thresholds_are_refused(made, widthlaw, options, named) -> None:
    result = widthlaw("refine", made, "--to", "5%", *options)
    assert result.returncode == 2
    assert named in result.stderr


def test_a_store_without_times_is_refused(make_sweep, tmp_path, widthlaw) -> None:
    path = tmp_path / "features.zarr"
    pipeline.run(make_sweep(), path)
    result = widthlaw("refine", path, "--infinite-budget", "--to", "5%")
    assert result.returncode == 2
    assert "steps_to_tolerance" in result.stderr


CHILD = """
import os, signal, sys
sys.path[:0] = sys.argv[3:]
from pathlib import Path
import pipeline
from pipeline import store
from jobs.thresholds import ThresholdGoal, rounds_of_thresholds
path, end, seen = Path(sys.argv[1]), int(sys.argv[2]), 0
def hook(event, given):
    global seen
    if event in ("open", "os.rename", "os.remove", "os.mkdir") and str(path.parent) in str(given[0]):
        seen += 1
        if seen == end:
            os.kill(os.getpid(), signal.SIGKILL)
def fill(path):
    pipeline.run(store.stored_sweep(path), path)
sys.addaudithook(hook)
rounds_of_thresholds(path, ThresholdGoal(0.2, seconds=1.5), fill, report=lambda line: None)
"""


@pytest.mark.slow
def test_refinement_resumes_to_the_same_store_after_a_kill(
    coarse, tmp_path, assert_equal_stores
) -> None:
    killed = 0
    for number, end in enumerate((300, 900)):
        copy = shutil.copytree(coarse, tmp_path / f"copy{number}" / "a.zarr")
        line = [sys.executable, "-c", CHILD, str(copy), str(end), *filter(None, sys.path)]
        killed += subprocess.run(line, check=False).returncode == -signal.SIGKILL
        refined(copy, ThresholdGoal(0.2, seconds=1.5))
        assert damage(copy) == []
    refined(coarse, ThresholdGoal(0.2, seconds=1.5))
    assert killed == 2
    for number in range(2):
        assert_equal_stores(tmp_path / f"copy{number}" / "a.zarr", coarse)


@pytest.mark.slow
def test_a_threshold_is_located(coarse) -> None:
    last = refined(coarse, ThresholdGoal(0.15))
    assert [state.verdict for state in last.states] == [LOCATED]
    assert last.states[0].now <= 0.15
    assert last.states[0].low < 13 < last.states[0].high
    assert store.Store(coarse).counts()["pending"] == 0
