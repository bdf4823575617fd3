"""What a trial of one's own costs beside the function, next to the tools that run any function.

CPU seconds of one process, for functions of 0.2 ms. joblib and dask.delayed keep nothing: they return a
list. A Crop of xyzpy writes its batches and their results to a folder, and reaps them into a dataset of
xarray, at a fifth of our cost. Ours seeds and draws streams, checks what comes back, tells failures,
and writes a store that resumes after a kill within a batch.

xyzpy is not among the requirements of the tests: `pip install xyzpy` adds it to the comparison.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import dask
import joblib
import pytest

import pipeline
from pipeline.execution.measure import with_cost

from .calls import of_calls

TRIALS, WORK = 10_000, 200e-6

MOST_BESIDE = 250
"""The most that a trial costs beside its function, in calls of a function that formats two numbers."""

CODE = """
import time
from pipeline import experiment, variable

@experiment(first=variable("a value"), second=variable("another"))
def spin(trial):
    end = time.process_time() + 200e-6
    while time.process_time() < end:
        pass
    return {"first": trial.k, "second": trial.seed}
"""

SWEEP = """
name = "spin"
experiment = "spin.py:spin"
n = [10, 20]
width = [1, 2, 3, 4, 5]
seeds = 1000
"""


def spin(number: int) -> dict[str, int]:
    end = time.process_time() + WORK
    while time.process_time() < end:
        pass
    return {"first": number, "second": number}


def beside(run: Callable[[], object]) -> float:
    """CPU seconds of a run beside its functions, for each trial."""
    began = time.process_time()
    run()
    return (time.process_time() - began) / TRIALS - WORK


def crop(folder: Path) -> Callable[[], object]:
    """The same trials in a Crop of xyzpy: sown, grown and reaped."""
    xyzpy = pytest.importorskip("xyzpy", reason="xyzpy is not installed")
    runner = xyzpy.Runner(spin, ["first", "second"])
    grown = runner.Crop(name="spin", parent_dir=str(folder), batchsize=500)

    def run() -> object:
        grown.sow_combos({"number": range(TRIALS)}, verbosity=0)
        grown.grow_missing(verbosity=0, verbosity_grow=0)
        return grown.reap()

    return run


def ours(folder: Path) -> float:
    """CPU seconds of our trials beside their functions, for each trial."""
    (folder / "spin.py").write_text(CODE)
    (folder / "spin.toml").write_text(SWEEP)
    sweep, _ = with_cost(pipeline.load_sweep(folder / "spin.toml"))
    assert sweep.trials == TRIALS
    pipeline.run(sweep, folder / "first.zarr", bar=False)  # imports what a store needs
    return beside(lambda: pipeline.run(sweep, folder / "spin.zarr", bar=False))


@pytest.mark.benchmark
def test_a_trial_of_ones_own_stays_within_its_bound_beside_a_crop_of_xyzpy(tmp_path: Path) -> None:
    run = crop(tmp_path)
    found = run()  # imports what it needs
    assert found.first.size == TRIALS  # type: ignore[attr-defined]
    theirs, own = beside(crop(tmp_path)), ours(tmp_path)
    print(f"\nµs of CPU a trial beside its function: ours {1e6 * own:.0f}, xyzpy {1e6 * theirs:.0f}")
    assert of_calls(own) < MOST_BESIDE


@pytest.mark.benchmark
def test_a_trial_of_ones_own_costs_little_beside_its_function(tmp_path: Path) -> None:
    own = ours(tmp_path)
    calls = [joblib.delayed(spin)(number) for number in range(TRIALS)]
    by_joblib = beside(lambda: joblib.Parallel(n_jobs=1)(calls))
    tasks = [dask.delayed(spin)(number) for number in range(TRIALS)]
    by_dask = beside(lambda: dask.compute(*tasks, scheduler="synchronous"))
    told = (
        f"{name} {1e6 * each:.0f}"
        for name, each in (("ours", own), ("joblib", by_joblib), ("dask.delayed", by_dask))
    )
    print("\nµs of CPU a trial beside its function:", ", ".join(told))
    print(f"ours in calls of a small function: {of_calls(own):.0f}")
    assert of_calls(own) < MOST_BESIDE
    assert own < by_dask / 4
