"""Refine real stores until every cell is located; kills and limits change no bit of the result."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys

import pytest
import xarray as xr
from click.testing import CliRunner

import pipeline
from analysis.refinement.allocation import LOCATED, OPEN
from analysis.success import Success
from jobs.cli import main
from jobs.commands.refine import Goal, rounds
from pipeline import store
from pipeline.blocks import estimated_seconds
from pipeline.maintenance.grow import extend
from pipeline.maintenance.recompute import sample
from pipeline.maintenance.verify import damage
from pipeline.sweep_files.load import parse_sweep
from pipeline.trial_status import requested_trials

COARSE = {
    "d": "[5]",
    "n": "[12, 24]",
    "width": "{ k_per_n = { start = 1.2, stop = 9.0, num = 5 } }",
    "seeds": 3,
}


def refined(path, target=0.08, trials=None, success=None):
    """Refine in this process."""

    def fill(path) -> None:
        pipeline.run(store.stored_sweep(path), path)

    goal = Goal(target, success or Success(), trials)
    return rounds(path, goal, fill, report=lambda line: None)


@pytest.fixture
def coarse(make_sweep, tmp_path):
    path = tmp_path / "a.zarr"
    pipeline.run(make_sweep(**COARSE), path)
    return path


@pytest.mark.slow
def test_every_cell_is_located_and_the_store_is_sound(coarse) -> None:
    before = xr.open_zarr(coarse).load()
    last = refined(coarse)
    assert [state.verdict for state in last.states] == [LOCATED, LOCATED]
    assert all(state.now <= 0.08 for state in last.states)
    assert damage(coarse) == []
    assert sample(coarse, 25).differences == ()
    after = xr.open_zarr(coarse).sel({dim: before[dim] for dim in before.status.dims}).load()
    assert after.sigma_min.equals(before.sigma_min)
    assert store.Store(coarse).counts()["pending"] == 0


def test_a_located_store_needs_no_more_trials(coarse) -> None:
    refined(coarse)
    made = coarse.stat().st_ino
    assert refined(coarse).requests == ()
    assert coarse.stat().st_ino == made


@pytest.mark.slow
def test_a_store_whose_sub_grids_have_close_widths_is_located(tmp_path) -> None:
    path = tmp_path / "close.zarr"
    pipeline.run(parse_sweep(CLOSE), path)
    last = refined(path, target=0.2)
    assert [state.verdict for state in last.states] == [LOCATED, LOCATED]
    assert damage(path) == []


CLOSE = """
name = "close"
experiment = "conditioning"
entropy = 3
activation = "relu"
dataset = { kind = "sphere" }
seeds = 10
[[grid]]
d = [5]
n = [20]
width = { k_per_n = [1.2, 2.0, 4.0, 6.0] }
[[grid]]
d = [10]
n = [80]
width = { k_per_n = [1.21, 2.01, 2.5, 3.0] }
"""
"""A sweep in which 1.2 n and 1.21 n are the same k at n = 20, where only the first is requested."""


@pytest.mark.slow
def test_pending_trials_are_run_first(make_sweep, tmp_path, coarse, assert_equal_stores) -> None:
    half = tmp_path / "half.zarr"
    store.create(half, make_sweep(**COARSE))
    refined(half)
    refined(coarse)
    assert_equal_stores(half, coarse)


@pytest.mark.slow
def test_refine_stops_at_the_limit_and_continues_without(coarse) -> None:
    last = refined(coarse, trials=41)
    assert OPEN in [state.verdict for state in last.states]
    found = store.Store(coarse).counts()
    assert requested_trials(found) == 41
    assert all(state.verdict == LOCATED for state in refined(coarse).states)


@pytest.mark.slow
def test_a_refined_store_is_extended_and_refined_again(coarse, make_sweep) -> None:
    refined(coarse)
    extend(coarse, make_sweep(**COARSE | {"n": "[18]"}))
    last = refined(coarse)
    assert [state.at["n"] for state in last.states] == [12, 18, 24]
    assert {state.verdict for state in last.states} == {LOCATED}
    assert damage(coarse) == []


@pytest.mark.slow
def test_all_tolerances_of_a_store_of_descent_are_located(make_sweep, tmp_path) -> None:
    path = tmp_path / "descent.zarr"
    keys = {
        "experiment": "'input'",
        "activation": "'softplus'",
        "descent": "{ steps = 2000, tolerances = [0.3, 0.1] }",
        "d": "[4]",
        "n": "[16]",
        "width": "{ kd_per_n = [0.5, 2.0, 8.0] }",
        "seeds": 4,
    }
    pipeline.run(make_sweep(**keys), path)
    last = refined(path, 0.4, trials=400)
    assert [state.at["tolerance"] for state in last.states] == [0.3, 0.1]
    assert {state.verdict for state in last.states} == {LOCATED}
    assert damage(path) == []
    assert all(k % 2 == 0 for k in xr.open_zarr(path).k.values.ravel())


LINEAR = """
name = "l"
experiment = "linear"
dataset = { kind = "sphere" }
d = [5]
n = [3]
seeds = 2
"""

CHILD = """
import os, signal, sys
sys.path[:0] = sys.argv[3:]
from pathlib import Path
import pipeline
from jobs.commands.refine import Goal, rounds
from pipeline import store
path, end = Path(sys.argv[1]), int(sys.argv[2])
seen = 0
def hook(event, given):
    global seen
    if event in ("open", "os.rename", "os.remove", "os.mkdir") and str(path.parent) in str(given[0]):
        seen += 1
        if seen == end:
            os.kill(os.getpid(), signal.SIGKILL)
from analysis.success import Success
def fill(path):
    pipeline.run(store.stored_sweep(path), path)
sys.addaudithook(hook)
rounds(path, Goal(0.2, Success()), fill, report=lambda line: None)
"""


@pytest.mark.slow
def test_refine_resumes_to_the_same_store_after_a_kill(coarse, tmp_path, assert_equal_stores) -> None:
    killed = 0
    for number, end in enumerate((300, 1300)):
        copy = tmp_path / f"copy{number}" / "a.zarr"
        shutil.copytree(coarse, copy)
        line = [sys.executable, "-c", CHILD, str(copy), str(end), *filter(None, sys.path)]
        killed += subprocess.run(line, check=False).returncode == -signal.SIGKILL
        refined(copy, 0.2)
        assert damage(copy) == []
    whole = tmp_path / "whole.zarr"
    shutil.copytree(coarse, whole)
    refined(whole, 0.2)
    assert killed == 2
    for number in range(2):
        assert_equal_stores(tmp_path / f"copy{number}" / "a.zarr", whole)


# ---- the command


def test_a_dry_run_shows_the_cost_and_changes_nothing(coarse, widthlaw) -> None:
    before = {file: file.stat().st_mtime_ns for file in coarse.rglob("*")}
    result = widthlaw("refine", coarse, "--to", "8%", "--dry-run", "--json")
    assert result.returncode == 0, result.stderr
    records = json.loads(result.stdout)
    assert [record["n"] for record in records] == [12, 24]
    assert all(record["verdict"] == "open" for record in records)
    assert "core-seconds; as many seeds at all widths of the grid would need" in result.stderr
    assert {file: file.stat().st_mtime_ns for file in coarse.rglob("*")} == before


def test_a_dry_run_counts_pending_trials(make_sweep, tmp_path) -> None:
    path, sweep = tmp_path / "a.zarr", make_sweep(**COARSE | {"n": "[800]"})
    store.create(path, sweep)
    result = CliRunner().invoke(main, ["refine", str(path), "--to", "8%", "--dry-run"])
    assert result.exit_code == 0, result.stderr
    assert "15 trials are pending and run first" in result.stderr
    seconds = estimated_seconds(sweep)
    assert seconds > 0.1
    assert f"needs about 15 trials and {seconds:.1f} core-seconds" in result.stderr


@pytest.mark.slow
def test_the_command_makes_the_same_store_as_the_library(
    coarse, widthlaw, tmp_path, assert_equal_stores
) -> None:
    other = tmp_path / "b.zarr"
    shutil.copytree(coarse, other)
    stopped = widthlaw("refine", coarse, "--to", "0.08", "--trials", 45, "--workers", 2)
    assert stopped.returncode == 3, stopped.stderr
    assert "stopped at --trials 45" in stopped.stderr
    result = widthlaw("refine", coarse, "--to", "8%", "--workers", 1)
    assert result.returncode == 0, result.stderr
    assert "2 of 2 cells located" in result.stderr
    refined(other, trials=45)
    refined(other)
    assert_equal_stores(coarse, other)
    counted = json.loads(widthlaw("status", coarse, "--json").stdout)[0]
    assert counted["not requested"] == store.Store(coarse).counts()["not_requested"]
    assert widthlaw("verify", coarse).returncode == 0


@pytest.mark.slow
def test_a_cell_that_cannot_be_located_exits_with_one(make_sweep, tmp_path, widthlaw) -> None:
    path = tmp_path / "circle.zarr"
    keys = {"dataset": "{ kind = 'circle' }", "n": "[8]", "d": "[2]", "seeds": 2}
    pipeline.run(make_sweep(**keys), path)
    result = widthlaw("refine", path, "--to", "10%")
    assert result.returncode == 1, result.stderr
    assert "not locatable: a seed's alpha is 0" in result.stdout
    assert "alpha is exactly 0 in 2 of 2 draws of " in result.stderr
    assert "because in draw 0 4 pairs of rows are opposite" in result.stderr
    assert "1 not locatable" in result.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("line", "message"),
    [
        (("refine", "{a}"), "Missing option '--to'"),
        (("refine", "{a}", "--to", "2 percent"), "expected a share such as 2% or 0.02"),
        (("refine", "{a}", "--to", "0"), "expected a share between 0 and 100%"),
        (("refine", "{a}", "--to", "200%"), "expected a share between 0 and 100%"),
        (("refine", "s3://bucket/a.zarr", "--to", "2%"), "refine a copy in a folder"),
        (("refine", "{tmp}/nothing.zarr", "--to", "2%"), "not found"),
        (("refine", "{tmp}/s.zarr", "--to", "2%"), "has no width to vary"),
        (("refine", "{a}", "--to", "2%", "--success", "sigma_mim > 1"), "did you mean 'sigma_min'"),
        (("refine", "{a}", "--to", "2%", "--budget", "5"), "refine {a}: --budget:"),
        (("refine", "{a}", "--to", "2%", "--profile", "slurm"), "slurm runs jobs"),
    ],
)
def test_wrong_input_exits_with_two_and_a_reason(coarse, tmp_path, widthlaw, line, message) -> None:
    store.create(tmp_path / "s.zarr", parse_sweep(LINEAR))
    known = {"{a}": str(coarse), "{tmp}": str(tmp_path)}

    def spelled(text: str) -> str:
        for key, value in known.items():
            text = text.replace(key, value)
        return text

    result = widthlaw(*map(spelled, line))
    assert result.returncode == 2, result.stderr
    assert spelled(message) in result.stderr
    assert "Traceback" not in result.stderr
    assert store.Store(coarse).counts()["pending"] == 0
