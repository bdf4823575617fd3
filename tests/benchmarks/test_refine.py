"""Trials and core-seconds of a refined store, against the uniform grid that comes to the same interval.

`python -m pytest -m benchmark -s tests/benchmarks/test_refine.py`
"""

from __future__ import annotations

import math

import numpy as np
import pytest

import pipeline
from analysis import critical_widths, open_store
from jobs.refine import rounds
from pipeline import store

TARGET = 0.02
GRID = "{ k_per_n = { start = 1.1, stop = 6.0, num = %d, spacing = 'geometric' } }"
CELLS = {"d": "[20]", "n": "[100, 200]"}
UNIFORM_SEEDS = 24


@pytest.mark.benchmark
def test_the_uniform_grid_needs_five_times_the_trials(make_sweep, tmp_path) -> None:
    path, uniform = tmp_path / "refined.zarr", tmp_path / "uniform.zarr"
    outcomes = [pipeline.run(make_sweep(**CELLS, width=GRID % 6, seeds=4), path)]
    judged = {"threshold": None, "budgets": None, "success": None}

    def fill(path) -> None:
        outcomes.append(pipeline.run(store.stored_sweep(path), path))

    last = rounds(path, TARGET, None, judged, fill)
    trials = sum(outcome.trials for outcome in outcomes)
    seconds = sum(outcome.seconds for outcome in outcomes)

    pipeline.run(make_sweep(**CELLS, width=GRID % 24, seeds=UNIFORM_SEEDS), uniform)
    grid = open_store(uniform)
    wide = critical_widths(grid.drop_vars("kernel_eigenvalues")).squeeze()
    per_seed = grid.seconds.mean("seed").squeeze().values
    now = np.sqrt(wide.k50_high / wide.k50_low).values - 1
    got = np.array([state.now for state in last.states])
    assert (got <= TARGET).all()
    # The square of an interval falls as one over the seeds; a whole one is the least.
    seeds = np.ceil(UNIFORM_SEEDS * (now / got) ** 2)
    grid_trials, grid_seconds = float((24 * seeds).sum()), float((seeds * per_seed).sum())
    print(f"\nrefined: {trials} trials, {seconds:.2f} core-seconds, half widths {np.round(got, 4)}")
    print(f"uniform: {grid_trials:.0f} trials, {grid_seconds:.2f} core-seconds, seeds {seeds}")
    print(f"ratios: {grid_trials / trials:.1f} of trials, {grid_seconds / seconds:.1f} of core-seconds")
    for state, k50 in zip(last.states, wide.k50.values, strict=True):
        assert abs(math.log(state.k50 / k50)) < 3 * TARGET
    assert grid_trials / trials >= 5
