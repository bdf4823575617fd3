"""The cost of a function of one's own is measured in a process of its own, within a limit."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

import pipeline
from pipeline.blocks import seed_seconds
from pipeline.execution.measure import measured, with_cost
from pipeline.execution.memory import trial_memory
from pipeline.store import Store, stored_sweep
from pipeline.sweep import Sweep

SWEEP = """
name = "one"
experiment = "one.py:one"
d = [10]
n = [10, 100]
width = { k_per_n = [1.0, 10.0] }
seeds = 4
[parameters]
delay = [0.0, 1.0]
"""


def sweep_of(folder: Path, body: str) -> Sweep:
    Path(folder, "one.py").write_text(
        "import os, time\nfrom pipeline import experiment, variable\n"
        f"@experiment(value=variable('a value'))\ndef one(trial):\n    {body}\n"
        "    return {'value': 1}\n"
    )
    Path(folder, "one.toml").write_text(SWEEP)
    return pipeline.load_sweep(folder / "one.toml")


def test_the_smallest_and_the_dearest_trials_give_a_power_law(tmp_path: Path) -> None:
    sweep = sweep_of(
        tmp_path, "time.sleep(2e-6 * trial.n * trial.k * trial.parameters['delay'])  # 0.2 s at most"
    )
    sweep, told = with_cost(sweep)
    assert sweep.own is not None
    assert sweep.own.cost is not None
    assert sweep.own.cost.seconds == pytest.approx(0.2, rel=0.5)
    assert sweep.own.cost.power > 0.5
    assert "n = 10, d = 10, k = 10 to" in told
    assert "n = 100, d = 10, k = 1000, measured" in told
    small, large = (seed_seconds(sweep, cell) for cell in list(sweep.cells())[:2])
    assert small < large / 5


def test_the_memory_of_the_dearest_trial_is_measured_too(tmp_path: Path) -> None:
    sweep, _ = with_cost(sweep_of(tmp_path, "held = b'x' * (200_000 * trial.k)  # 200 MB at most"))
    assert 1.9e8 < trial_memory(sweep) < 4e8


@pytest.mark.slow
def test_a_trial_that_takes_too_long_is_ended_and_counts_as_that_long(tmp_path: Path) -> None:
    sweep = sweep_of(tmp_path, "time.sleep(600)")
    began = time.monotonic()
    found = measured(sweep, limit=4.0)
    assert time.monotonic() - began < 60
    assert [one.seconds for one in found] == [4.0, None, None]
    assert str(found[0]) == "more than 4 s at n = 10, d = 10, k = 10"


@pytest.mark.slow
def test_a_process_that_a_trial_leaves_behind_is_not_waited_for(tmp_path: Path) -> None:
    sweep = sweep_of(tmp_path, "os.fork() or time.sleep(600)")
    began = time.monotonic()
    found = measured(sweep, limit=60.0)
    assert time.monotonic() - began < 50
    assert None not in [one.seconds for one in found]


def test_a_trial_that_kills_its_process_leaves_the_cost_unknown_and_the_run_alive(
    tmp_path: Path,
) -> None:
    sweep, told = with_cost(sweep_of(tmp_path, "os.kill(os.getpid(), 9)"))
    assert told == (
        "one.py:one: could not be measured (its process ended); blocks are sized for 1 ms a trial"
    )
    assert sum(seed_seconds(sweep, cell) for cell in sweep.cells()) == pytest.approx(0.008)


def test_a_store_keeps_the_cost_so_that_it_is_measured_once(tmp_path: Path) -> None:
    sweep = sweep_of(tmp_path, "pass")
    pipeline.run(sweep, tmp_path / "one.zarr")
    stored = stored_sweep(tmp_path / "one.zarr")
    assert stored.own is not None
    assert stored.own.cost is not None
    assert list(Store(tmp_path / "one.zarr").tiles()) == list(
        Store(tmp_path / "one.zarr", sweep.with_cost_of(stored)).tiles()
    )


def test_a_built_in_experiment_is_not_measured() -> None:
    sweep = pipeline.load_sweep("tiny")
    assert with_cost(sweep) == (sweep, "")
