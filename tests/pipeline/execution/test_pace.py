"""The time that a run still takes is corrected by the times that its store holds."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import xarray as xr

import pipeline
from pipeline import store as stores
from pipeline.execution.pace import Pace, pace_of, time_left
from pipeline.experiments.own.record import Cost
from pipeline.maintenance.grow import extend
from pipeline.maintenance.longer import lengthen
from pipeline.sweep_files.extents import with_extents
from pipeline.sweep_files.load import parse_sweep

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
    left = time_left(store)
    assert left.seconds == pytest.approx(18e-3 * pace.ratio)
    assert sum(map(left.of, store.pending_tiles())) == pytest.approx(left.seconds)


def test_widths_that_run_together_have_one_time(tmp_path: Path) -> None:
    store = half_done(tmp_path, more=', widths="together"', value="[1.0] * len(trial.widths)")
    assert pace_of(store).ratio > 3.9
    assert time_left(store).seconds == pytest.approx(6e-3 * pace_of(store).ratio)


def test_a_store_without_times_has_the_estimates(tmp_path: Path) -> None:
    store = half_done(tmp_path)
    for chunk in (tmp_path / "wait.zarr" / "seconds" / "c").rglob("*"):
        if chunk.is_file():
            chunk.write_bytes(b"damaged")
    assert pace_of(store) == Pace()
    assert time_left(store).seconds == pytest.approx(18e-3)


def test_a_dry_run_of_a_store_tells_the_corrected_time(tmp_path: Path, widthlaw) -> None:
    store = half_done(tmp_path)
    line = ["run", tmp_path / "wait.zarr", "--code", tmp_path / "wait.py", "--dry-run"]
    plan = dict(row.split("  ", 1) for row in widthlaw(*line).stdout.splitlines())
    found = {key: value.strip() for key, value in plan.items()}
    pace = pace_of(store).ratio
    assert float(found["longest block, s"]) == pytest.approx(18e-3 * pace, abs=0.006)
    assert float(found["times so far over their estimates"]) == pytest.approx(pace, rel=0.01)


DESCENT = """
name = "descent"
experiment = "input"
entropy = 5
activation = "relu"
dataset = { kind = "sphere" }
d = [4]
n = [20]
width = { kd_per_n = [0.7, 1.6, 5.0] }
seeds = 5
[descent]
steps = 400
tolerances = [0.5, 0.03]
"""


def lengthened(path: Path, more: str) -> tuple[stores.Store, xr.Dataset, xr.DataArray]:
    """A store whose budget grew from 400 to 2,000 steps, its arrays before, the trials that go on."""
    pipeline.run(parse_sweep(DESCENT + more), path, bar=False)
    before = xr.open_zarr(path).load()
    lengthen(path, 2000)
    return stores.Store(path), before, before.steps == 400


def test_trials_with_a_checkpoint_have_only_the_steps_left_that_remain(
    tmp_path: Path, widthlaw
) -> None:
    path = tmp_path / "a.zarr"
    store, before, ended = lengthened(path, "checkpoints = true\n")
    assert 0 < ended.sum() == store.counts()["pending"] < ended.size
    expected = 4 * float(before.seconds.where(ended).sum())  # 1,600 more steps at the time of 400
    left = time_left(store)
    assert left.seconds == pytest.approx(expected)
    assert sum(map(left.of, store.pending_tiles())) == pytest.approx(expected)
    plan = widthlaw("run", path, "--dry-run").stdout.splitlines()
    told = next(row.split()[-1] for row in plan if row.startswith("core-hours"))
    assert float(told) == pytest.approx(expected / 3600, abs=6e-5)


def test_a_trial_without_a_usable_checkpoint_has_its_whole_budget_left(tmp_path: Path) -> None:
    store, _, ended = lengthened(tmp_path / "none.zarr", "")
    whole = time_left(store)
    assert whole.going_on.sum() == 0
    assert (whole.anew == ended.transpose(*store.sweep.dims).values.reshape(store.sweep.shape)).all()
    torn, _, _ = lengthened(tmp_path / "torn.zarr", "checkpoints = true\n")
    assert not time_left(torn).anew.any()
    for file in (tmp_path / "torn.zarr" / ".checkpoints").iterdir():
        file.write_bytes(file.read_bytes()[:-8])
    assert (time_left(torn).anew == whole.anew).all()
