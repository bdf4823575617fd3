"""Estimates of the time of trials with settings of training: against trials, relative to plain descent.

Estimates of plain descent were measured on another machine. So what is compared is how many times as
long as plain descent a trial takes, by CPU time, and how many times as long it is estimated to take.
Each trial is measured just after one of plain descent, since a machine may change its speed meanwhile.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import pytest
from threadpoolctl import threadpool_limits

from pipeline.experiments import SeedTrial, experiment_of
from pipeline.sweep_files.load import parse_sweep

REPEATS = 3

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


def trial(lines: str, sizes: str, trained: str) -> tuple[Callable[[], float], float]:
    """Return a call that runs a trial and returns its CPU seconds, and the estimate of them."""
    sweep = parse_sweep(
        f'name = "a"\nexperiment = "joint"\ntrained = "{trained}"\nactivation = "tanh"\n{sizes}\n'
        'dataset = { kind = "sphere" }\nseeds = 1\n[descent]\nsteps = 3000\ntolerances = [1e-10]\n'
        f"diagnostics = true\n{lines}\n" + ("" if "step_size" in lines else "step_size = 1e-9\n")
    )
    cell = next(sweep.cells())
    extents = {dim: len(values) for dim, values in sweep.inner.items()} | {"width": 1}
    trial = SeedTrial(sweep.entropy, sweep.nested, cell, 0, extents, sweep.descent)
    experiment = experiment_of(sweep)

    def run() -> float:
        began = time.process_time()
        done = experiment.run_seed(trial)
        taken = time.process_time() - began
        assert done.values["steps"] == 3000
        return taken

    run()  # compiles, if no trial before did
    return run, experiment.seconds(cell, sweep.descent)


@pytest.mark.benchmark
@pytest.mark.parametrize("trained", ["input", "both", "output"])
@pytest.mark.parametrize("sizes", ["d = 10\nn = 100\nwidth = [20]", "d = 20\nn = 400\nwidth = [60]"])
def test_estimates_of_settings_are_good_to_a_factor_of_two(sizes, trained) -> None:
    with threadpool_limits(1):
        plain, estimate = trial("", sizes, trained)
        for name, lines in SETTINGS.items():
            own, estimated = trial(lines, sizes, trained)
            times = [(plain(), own()) for _ in range(REPEATS)]
            ratio, guess = statistics.median(b / a for a, b in times), estimated / estimate
            where = " ".join(sizes.split())
            print(f"{where} {trained}, {name}: {ratio:.2f} times plain descent, estimated {guess:.2f}")
            assert 0.5 < guess / ratio < 2
