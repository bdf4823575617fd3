"""How much of the cores' time goes into numerics, and what a trial costs beside them.

`WIDTHLAW_BENCHMARK_SECONDS=60 python -m pytest -m benchmark -s tests/benchmarks` is the full length.
"""

from __future__ import annotations

import os
import time

import psutil
import pytest
import xarray as xr

import pipeline
from pipeline.blocks import estimated_seconds

SECONDS = float(os.environ.get("WIDTHLAW_BENCHMARK_SECONDS", "15"))
WORKERS = 2


@pytest.fixture(scope="module")
def client():
    with pipeline.local_client(WORKERS) as client:
        client.run(warm)
        yield client


def warm() -> None:
    """Import what a trial needs: start-up, not efficiency."""
    import pipeline.execution.driver  # noqa: F401


def run(client, sweep, path) -> tuple[float, float]:
    """Wall time, and the sum of the times of all seeds as the store has them."""
    began = time.perf_counter()
    pipeline.run(sweep, path, client)
    wall = time.perf_counter() - began
    return wall, float(xr.open_zarr(path).seconds.sum())


@pytest.mark.benchmark
def test_most_of_the_time_is_numerics(client, make_sweep, tmp_path) -> None:
    grid = {
        "d": "[20]",
        "n": "[100, 200, 400]",
        "width": "{ k_per_n = { start = 1.1, stop = 4.0, num = 24 } }",
    }
    one = estimated_seconds(make_sweep(**grid, seeds=1))
    sweep = make_sweep(**grid, seeds=max(4, round(SECONDS * WORKERS / one)))
    wall, numerics = run(client, sweep, tmp_path / "a.zarr")
    efficiency = numerics / (wall * WORKERS)
    print(f"\n{sweep.trials} trials in {wall:.1f} s on {WORKERS} workers: efficiency {efficiency:.3f}")
    print(f"estimated {estimated_seconds(sweep):.0f} core-seconds, took {numerics:.0f}")
    assert efficiency >= 0.8


@pytest.mark.benchmark
def test_a_durable_trial_costs_little_and_the_driver_does_not_grow(
    client, make_sweep, tmp_path
) -> None:
    grid = {
        "d": "[2]",
        "n": "[2]",
        "width": "{ k = { start = 3, stop = 102, num = 100, spacing = 'linear' } }",
    }
    driver = psutil.Process()
    run(client, make_sweep(**grid, seeds=100), tmp_path / "small.zarr")
    before = driver.memory_info().rss
    wall, numerics = run(client, make_sweep(**grid, seeds=1000), tmp_path / "large.zarr")
    grown = (driver.memory_info().rss - before) / 2**20
    overhead = 1000 * (wall * WORKERS - numerics) / 100_000
    print(f"\n100,000 trials in {wall:.1f} s: overhead {overhead:.4f} ms per trial (bound 0.08)")
    print(f"the driver grew by {grown:.1f} MB from 10,000 to 100,000 trials")
    assert wall * WORKERS < 2 * numerics  # less than these trivial numerics themselves
    assert grown < 30
