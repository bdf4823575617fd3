"""The estimated steps of a descent are near those that descents take."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import pipeline
from pipeline.blocks import estimated_seconds
from pipeline.experiments.training_cost import expected_steps
from pipeline.sweep_files.load import parse_sweep

SWEEP = """
name = "cost"
experiment = "input"
entropy = 20260101
activation = ["relu", "softplus"]
dataset = { kind = "sphere" }
width = { kd_per_n = [1.6, 3.4] }
seeds = 3
[[grid]]
d = [10]
n = [50, 100]
[[grid]]
d = [20]
n = [100, 200]
[descent]
steps = 20000
tolerances = [1e-1, 1e-2, 1e-3]
"""


def test_the_estimate_of_steps_is_near_the_median_in_every_cell(tmp_path: Path) -> None:
    sweep = parse_sweep(SWEEP)
    pipeline.run(sweep, tmp_path / "a.zarr", bar=False)
    steps = xr.open_zarr(tmp_path / "a.zarr").steps.load()
    ratios = []
    for cell in sweep.requested_cells():
        at = {dim: i for dim, i in zip(sweep.axes, cell.index, strict=True) if dim in steps.dims}
        taken = steps.isel(at).median("seed").values
        ratios += [
            expected_steps(cell, k, sweep.descent) / median
            for k, median in zip(cell.widths, taken, strict=True)
        ]
    assert len(ratios) == 16
    assert min(ratios) > 1 / 4
    assert max(ratios) < 4
    assert np.exp(np.mean(np.log(ratios))) == pytest.approx(1, abs=0.4)


def test_no_estimate_is_above_the_budget_or_below_the_fewest_steps() -> None:
    sweep = parse_sweep(SWEEP.replace("steps = 20000", "steps = 300"))
    steps = [
        expected_steps(cell, k, sweep.descent) for cell in sweep.requested_cells() for k in cell.widths
    ]
    assert 100 <= min(steps) < max(steps) == 300
    assert estimated_seconds(sweep) < estimated_seconds(sweep.with_steps(3000))
