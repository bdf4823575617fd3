"""The time that a run still takes is corrected by the times that its store holds."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

import pipeline
from pipeline import store as stores
from pipeline.execution.pace import Pace, pace_of, seconds_left
from pipeline.experiments.own.record import Cost
from pipeline.maintenance.grow import extend
from pipeline.sweep_files.extents import with_extents

CODE = """
import time
from pipeline import experiment, variable

@experiment(value=variable("a value"){more})
def wait(trial):
    end = time.perf_counter() + 0.004
    while time.perf_counter() < end:
        pass
    return {{"value": {value}}}
"""

SWEEP = """
name = "wait"
experiment = "wait.py:wait"
n = [10]
width = [1, 2, 4]
seeds = 6
"""


def half_done(folder: Path, more: str = "", value: str = "1.0") -> stores.Store:
    """A store of trials of 4 ms, estimated at 1 ms, of which those at n = 20 are pending."""
    (folder / "wait.py").write_text(CODE.format(more=more, value=value))
    (folder / "wait.toml").write_text(SWEEP)
    sweep = pipeline.load_sweep(folder / "wait.toml")
    sweep = dataclasses.replace(sweep, own=dataclasses.replace(sweep.own, cost=Cost(1e-3, 1.0, 0.0)))
    pipeline.run(sweep, folder / "wait.zarr", bar=False)
    extend(folder / "wait.zarr", with_extents(sweep, n=[10, 20]))
    return stores.Store(folder / "wait.zarr")


def test_times_in_the_store_correct_the_estimate_of_what_is_left(tmp_path: Path) -> None:
    store = half_done(tmp_path)
    assert store.counts()["pending"] == 18
    pace = pace_of(store)
    assert pace.ratio > 3.9  # 4 ms instead of 1; a busy machine takes longer
    done, new = list(store.sweep.cells())
    assert pace.of(done) == pytest.approx(pace.ratio)
    assert pace.of(new) == pace.ratio  # without trials of its own
    assert seconds_left(store) == pytest.approx(18e-3 * pace.ratio)
    assert sum(map(pace.seconds, store.pending_tiles())) == pytest.approx(seconds_left(store))


def test_widths_that_run_together_have_one_time(tmp_path: Path) -> None:
    store = half_done(tmp_path, more=', widths="together"', value="[1.0] * len(trial.widths)")
    assert pace_of(store).ratio > 3.9
    assert seconds_left(store) == pytest.approx(6e-3 * pace_of(store).ratio)


def test_a_store_without_times_has_the_estimates(tmp_path: Path) -> None:
    store = half_done(tmp_path)
    for chunk in (tmp_path / "wait.zarr" / "seconds" / "c").rglob("*"):
        if chunk.is_file():
            chunk.write_bytes(b"damaged")
    assert pace_of(store) == Pace()
    assert seconds_left(store) == pytest.approx(18e-3)


def test_a_dry_run_of_a_store_tells_the_corrected_time(tmp_path: Path, widthlaw) -> None:
    store = half_done(tmp_path)
    line = ["run", tmp_path / "wait.zarr", "--code", tmp_path / "wait.py", "--dry-run"]
    plan = dict(row.split("  ", 1) for row in widthlaw(*line).stdout.splitlines())
    found = {key: value.strip() for key, value in plan.items()}
    pace = pace_of(store).ratio
    assert float(found["longest block, s"]) == pytest.approx(18e-3 * pace, abs=0.006)
    assert float(found["times so far over their estimates"]) == pytest.approx(pace, rel=0.01)
