"""Trials and core-seconds of a refined store, against the uniform grid that comes to the same interval.

`python -m pytest -m benchmark -s tests/benchmarks/test_refine.py`
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pytest
import xarray as xr

import pipeline
from analysis import critical_widths, open_store
from analysis.success import Success
from jobs.commands.refine import Goal, rounds
from pipeline import store

RULE = Success()


@dataclass(frozen=True)
class Case:
    """What is refined, from six widths by four seeds, and the grid that it is held against.

    `times` are how much less it must take: trials, core-seconds.
    """

    keys: dict[str, str]
    grid: str
    widths: int
    seeds: int
    target: float
    times: tuple[float, float]


CASES = {
    # Of features, by the grid of the bundled sweep. Its widths nest: X, K, its eigenvalues and most of
    # the Gram matrix are the same work for two widths of a seed as for all, which cost five times as
    # much and not sixteen. So core-seconds fall by less than trials.
    "theorem2": Case(
        {"d": "[20]", "n": "[100, 200, 400]"},
        "{ k_per_n = { start = 1.1, stop = 6.0, num = %d, spacing = 'geometric' } }",
        widths=32,
        seeds=128,
        target=0.01,
        times=(5, 3),
    ),
    # Of descents, whose widths have little in common. The transition is so sharp that the grid has to
    # be as fine as the target: the 22 widths of the bundled sweep leave 9% open whatever the seeds.
    "output-layer": Case(
        {
            "experiment": '"output"',
            "d": "[20]",
            "n": "[100]",
            "descent": "{ steps = 1_000_000, tolerances = [1e-4] }",
        },
        "{ k_per_n = { start = 0.5, stop = 4.0, num = %d, spacing = 'geometric' } }",
        widths=105,
        seeds=24,
        target=0.02,
        times=(5, 5),
    ),
}


@pytest.mark.benchmark
@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_the_uniform_grid_needs_five_times_the_trials(make_sweep, tmp_path, case) -> None:
    path, uniform = tmp_path / "refined.zarr", tmp_path / "uniform.zarr"
    # What a process does once, such as loading compiled code, is no part of either.
    pipeline.run(make_sweep(**case.keys, width=case.grid % 6, seeds=1), tmp_path / "first.zarr")
    outcomes = [pipeline.run(make_sweep(**case.keys, width=case.grid % 6, seeds=4), path)]

    def fill(path) -> None:
        outcomes.append(pipeline.run(store.stored_sweep(path), path))

    states = rounds(path, Goal(case.target, RULE), fill).states
    trials = sum(outcome.trials for outcome in outcomes)
    seconds = sum(outcome.seconds for outcome in outcomes)

    pipeline.run(make_sweep(**case.keys, width=case.grid % case.widths, seeds=case.seeds), uniform)
    grid = open_store(uniform)
    wide = critical_widths(grid.drop_vars("kernel_eigenvalues", errors="ignore"))
    k50, low, high = (wide[name].values.ravel() for name in ("k50", "k50_low", "k50_high"))
    now, got = np.sqrt(high / low) - 1, np.array([state.now for state in states])
    assert (got <= case.target).all()
    # The square of an interval falls as one over the seeds; a whole one is the least.
    seeds = np.ceil(case.seeds * (now / got) ** 2)
    grid_trials, grid_seconds = case.widths * seeds.sum(), float((seeds * seconds_a_seed(grid)).sum())
    more, longer = grid_trials / trials, grid_seconds / seconds
    print(f"\nrefined: {trials} trials, {seconds:.2f} core-seconds, half widths {np.round(got, 4)}")
    print(f"uniform: {grid_trials:.0f} trials, {grid_seconds:.2f} core-seconds, seeds {seeds}")
    print(f"ratios: {more:.1f} of trials, {longer:.1f} of core-seconds")
    for state, there in zip(states, k50, strict=True):
        assert abs(math.log(state.k50 / there)) < 3 * case.target
    assert more >= case.times[0]
    assert longer >= case.times[1]


def seconds_a_seed(ds: xr.Dataset) -> np.ndarray:
    """Mean time of a seed at all widths of the grid, for each n."""
    return ds.seconds.sum(set(ds.seconds.dims) & {"width"}).mean("seed").values.ravel()
