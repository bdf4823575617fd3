"""Core-seconds of a refined threshold at infinite budget, against the uniform grid of its interval.

This is one draw of one cell. Other entropies need more: with 6 and 7 the verdict was still open at a
fifth of the cost of the grid.

`python -m pytest -m benchmark -p no:xdist -s tests/benchmarks/test_refine_thresholds.py`
"""

from __future__ import annotations

import math

import pytest

import pipeline
from analysis.refinement.plans import precision
from analysis.slowing import infinite_budget
from analysis.stores import open_store
from jobs.thresholds import ThresholdGoal, rounds_of_thresholds
from pipeline import store

CELL = {
    "experiment": '"input"',
    "activation": '"softplus"',
    "entropy": "5",
    "d": "[5]",
    "n": "[100]",
}

COARSE = {
    "width": "{ k = [12, 16, 20, 26, 34] }",
    "seeds": 6,
    "descent": "{ steps = 4000, tolerances = [0.1], checkpoints = true }",
}
"""From where the refinement starts: 30 trials."""

SEEDS = 36

UNIFORM = {
    "width": "{ k = [8, 10, 12, 14, 16, 18, 20, 24, 28, 34, 40] }",
    "seeds": SEEDS,
    "descent": "{ steps = 64000, tolerances = [0.1] }",
}
"""Even widths, geometric from kd/n = 0.4 to 2. With 16,000 steps 48 seeds of it decide nothing, and
with 128,000 the interval of as many seeds is no narrower."""

TARGET = 0.10


@pytest.mark.benchmark
def test_the_uniform_grid_needs_five_times_the_core_seconds(make_sweep, tmp_path) -> None:
    path, uniform = tmp_path / "refined.zarr", tmp_path / "uniform.zarr"
    pipeline.run(make_sweep(**CELL | COARSE | {"seeds": 1}), tmp_path / "first.zarr")  # compiles
    outcomes = [pipeline.run(make_sweep(**CELL | COARSE), path)]

    def fill(path) -> None:
        outcomes.append(pipeline.run(store.stored_sweep(path), path))

    [state] = rounds_of_thresholds(path, ThresholdGoal(TARGET), fill).states
    trials = sum(outcome.trials for outcome in outcomes)
    seconds = sum(outcome.seconds for outcome in outcomes)

    with pipeline.local_client(2) as client:  # a minute less to wait, for the same core-seconds
        spent = pipeline.run(make_sweep(**CELL | UNIFORM), uniform, client).seconds
    row = infinite_budget(open_store(uniform, dask=False)).iloc[0]
    assert row.verdict == "threshold"
    now = precision(row.k_inf_low, row.k_inf_high)
    # The square of an interval falls as one over the seeds; a whole one is the least.
    seeds = math.ceil(SEEDS * (now / state.now) ** 2)
    ratio = spent * seeds / SEEDS / seconds
    refined, grid = f"{state.k_inf:.2f}, {state.now:.1%}", f"{row.k_inf:.2f}, {now:.1%}"
    print(f"\nrefined: {trials} trials, {seconds:.1f} core-seconds, k_inf {refined}")
    print(f"uniform: {spent:.1f} core-seconds, k_inf {grid}; {seeds} seeds for the same")
    print(f"ratio: {ratio:.1f} of core-seconds")
    assert state.now <= TARGET
    assert abs(math.log(state.k_inf / row.k_inf)) < 2 * TARGET
    assert ratio >= 5
