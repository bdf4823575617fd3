"""What a trial of one's own costs beside the function, next to the tools that run any function.

CPU seconds of one process, for functions of 0.2 ms. The others keep nothing: joblib returns a list,
dask.delayed too. Ours draws streams, checks what comes back, and writes a store that resumes.
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

TRIALS, WORK, MOST_BESIDE = 10_000, 200e-6, 50e-6

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


@pytest.mark.benchmark
def test_a_trial_of_ones_own_costs_little_beside_its_function(tmp_path: Path) -> None:
    (tmp_path / "spin.py").write_text(CODE)
    (tmp_path / "spin.toml").write_text(SWEEP)
    sweep, _ = with_cost(pipeline.load_sweep(tmp_path / "spin.toml"))
    assert sweep.trials == TRIALS
    pipeline.run(sweep, tmp_path / "first.zarr", bar=False)  # imports what a store needs
    ours = beside(lambda: pipeline.run(sweep, tmp_path / "spin.zarr", bar=False))
    calls = [joblib.delayed(spin)(number) for number in range(TRIALS)]
    by_joblib = beside(lambda: joblib.Parallel(n_jobs=1)(calls))
    tasks = [dask.delayed(spin)(number) for number in range(TRIALS)]
    by_dask = beside(lambda: dask.compute(*tasks, scheduler="synchronous"))
    told = (
        f"{name} {1e6 * each:.0f}"
        for name, each in (("ours", ours), ("joblib", by_joblib), ("dask.delayed", by_dask))
    )
    print("\nµs of CPU a trial beside its function:", ", ".join(told))
    assert ours < MOST_BESIDE
    assert ours < by_dask
