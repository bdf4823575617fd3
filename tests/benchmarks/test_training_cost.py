"""Estimates of the time of trials with settings of training: against trials, relative to plain descent.

Estimates of plain descent were measured on another machine. So what is compared is how many times as
long as plain descent a trial takes, by CPU time, and how many times as long it is estimated to take.
"""

from __future__ import annotations

import time

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from pipeline.experiments import SeedTrial, experiment_of
from pipeline.sweep_files.load import parse_sweep

REPEATS = 5

SETTINGS = {
    "momentum": 'method = "momentum"',
    "adam": 'method = "adam"\nstep_size = { absolute = 1e-9 }',
    "batch of 1": "batch = 1",
    "batch of 8": "batch = 8",
    "batch of 64": "batch = 64",
    "adam, batch of 8": 'method = "adam"\nbatch = 8\nstep_size = { absolute = 1e-9 }',
    "logistic": 'loss = "logistic"',
    "float32": 'dtype = "float32"',
}


def cost(lines: str, sizes: str, trained: str) -> tuple[float, float]:
    """Best CPU seconds of a trial, and the estimate of it."""
    sweep = parse_sweep(
        f'name = "a"\nexperiment = "joint"\ntrained = "{trained}"\nactivation = "tanh"\n{sizes}\n'
        'dataset = { kind = "sphere" }\nseeds = 1\n[descent]\nsteps = 3000\ntolerances = [1e-10]\n'
        f"diagnostics = true\n{lines}\n" + ("" if "step_size" in lines else "step_size = 1e-9\n")
    )
    cell = next(sweep.cells())
    extents = {dim: len(values) for dim, values in sweep.inner.items()} | {"width": 1}
    trial = SeedTrial(sweep.entropy, sweep.nested, cell, 0, extents, sweep.descent)
    experiment = experiment_of(sweep)
    best = np.inf
    for _ in range(REPEATS):
        began = time.process_time()
        done = experiment.run_seed(trial)
        best = min(best, time.process_time() - began)
    assert done.values["steps"] == 3000
    return best, experiment.seconds(cell, sweep.descent)


@pytest.mark.benchmark
@pytest.mark.parametrize("trained", ["input", "both", "output"])
@pytest.mark.parametrize("sizes", ["d = 10\nn = 100\nwidth = [20]", "d = 20\nn = 400\nwidth = [60]"])
def test_estimates_of_settings_are_good_to_a_factor_of_two(sizes, trained) -> None:
    with threadpool_limits(1):
        plain, estimate = cost("", sizes, trained)
        for name, lines in SETTINGS.items():
            taken, estimated = cost(lines, sizes, trained)
            ratio, guess = taken / plain, estimated / estimate
            where = " ".join(sizes.split())
            print(f"{where} {trained}, {name}: {ratio:.2f} times plain descent, estimated {guess:.2f}")
            assert 0.5 < guess / ratio < 2
