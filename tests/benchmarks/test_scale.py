"""A model of the cost of large runs, whose terms are measured here, and a run that it predicts.

A run takes the time of its start, and then the longer of two: the driver hands out tasks one after
the other, and the workers together compute trials and write files. All terms are seconds of CPU, so
that other load of the machine changes them little. Its speed does: the terms of workers are measured
just before each of some runs, and the run with the middle ratio counts. README.md beside this file has
a table of them.
"""

from __future__ import annotations

import math
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

import pipeline
from pipeline.blocks import chunk_extents, tiles
from pipeline.execution.driver import _Window
from pipeline.execution.fill import fill
from pipeline.store import Store, create
from pipeline.sweep import Sweep

WIDTHS = 100
"""Trials of a seed: of 2 samples in 2 dimensions, they cost as little as trials can."""

TRIVIAL = {"d": "[2]", "n": "[2]", "width": f"{{ k = {list(range(4, 4 + WIDTHS))} }}"}

TASKS = 300

ROUNDS = 3
"""Runs that are predicted: a machine that changes its speed in the middle of one spoils that one."""

PEAK = """
import sys
from pathlib import Path

import pipeline

if __name__ == "__main__":
    with pipeline.local_client(2, dashboard=False) as client:
        pipeline.run(sys.argv[1], sys.argv[2], client, bar=False)
    lines = Path("/proc/self/status").read_text().splitlines()
    print(next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM")))
"""


@dataclass(frozen=True)
class Costs:
    """Seconds of CPU: of a trial and of a file for a worker, of a task for the driver."""

    trial: float
    file: float
    task: float

    def seconds(self, trials: float, files: float, tasks: int, workers: int) -> float:
        """Predict the time of a run after its start: workers take their tasks in turns."""
        turns = math.ceil(tasks / workers)
        return max(tasks * self.task, turns * (trials * self.trial + files * self.file) / tasks)


def cpu(call: Callable[[], object]) -> float:
    began = time.process_time()
    call()
    return time.process_time() - began


def filled(sweep: Sweep, path: Path, seeds_per_chunk: int) -> tuple[float, int]:
    """Fill a store in this process; return its seconds of CPU, and the files that its tiles wrote."""
    create(path, sweep, seeds_per_chunk=seeds_per_chunk)
    before = count_files(path)
    store = Store(path, sweep)
    todo = list(store.pending_tiles())
    seconds = cpu(lambda: [fill(store, tile) for tile in todo])
    return seconds, count_files(path) - before


def count_files(path: Path) -> int:
    return sum(1 for file in path.rglob("*") if file.is_file())


def workers_costs(make_sweep: Callable[..., Sweep], folder: Path) -> tuple[float, float]:
    """Return the cost of a trial and of a file: two stores, of many trials and of many files."""
    sweep = make_sweep(**TRIVIAL, seeds=200)
    few_files, few = filled(sweep, folder / "few.zarr", 200)
    many_files, many = filled(sweep, folder / "many.zarr", 2)
    file = (many_files - few_files) / (many - few)
    return (few_files - few * file) / sweep.trials, file


def task_cost(make_sweep: Callable[..., Sweep], folder: Path, client: object) -> float:
    """Return the cost of a task for the driver: of tasks whose trials are done already."""
    sweep = make_sweep(**TRIVIAL, seeds=TASKS)
    filled(sweep, folder / "tasks.zarr", 1)
    store = Store(folder / "tasks.zarr", sweep)
    work = [[tile] for tile in tiles(sweep, chunk_extents(sweep) | {"seed": 1})]

    def hand_out() -> None:
        window = _Window(client, store, retry_failed=False)
        with closing(window.outcomes(iter(work), lambda: False)) as outcomes:
            assert sum(1 for _ in outcomes) == TASKS

    hand_out()
    return cpu(hand_out) / TASKS


@pytest.mark.benchmark
def test_a_model_of_measured_terms_predicts_a_run_and_its_memory_is_flat(
    make_sweep, write_sweep, two_workers, tmp_path
) -> None:
    filled(make_sweep(**TRIVIAL, seeds=100), tmp_path / "compiled.zarr", 100)
    task = task_cost(make_sweep, tmp_path, two_workers)
    print()
    rounds = [one_round(make_sweep, task, tmp_path / str(number)) for number in range(ROUNDS)]
    ratio, costs = sorted(rounds, key=lambda found: found[0])[ROUNDS // 2]
    peaks = [peak(write_sweep, tmp_path, seeds) for seeds in (100, 4000)]
    print(f"driver at 10,000 and 400,000 trials: {peaks[0] / 1e6:.0f} and {peaks[1] / 1e6:.0f} MB")
    extrapolate(make_sweep, costs)
    assert 1 / 1.5 < ratio < 1.5
    assert peaks[1] - peaks[0] < 25e6


def one_round(make_sweep: Callable[..., Sweep], task: float, folder: Path) -> tuple[float, Costs]:
    """Measure the terms, and a run; return its time over the predicted one, and the terms."""
    costs = Costs(*workers_costs(make_sweep, folder), task)
    print(
        f"a trial {costs.trial * 1e6:.0f} us, a file {costs.file * 1e3:.2f} ms, "
        f"a task {costs.task * 1e3:.2f} ms of CPU"
    )
    sweep, path = make_sweep(**TRIVIAL, seeds=600), folder / "predicted.zarr"
    measured = cpu(lambda: pipeline.run(sweep, path, bar=False))
    predicted = costs.seconds(sweep.trials, count_files(path), 1, 1)
    print(f"60,000 trials on one core: predicted {predicted:.1f} s, measured {measured:.1f} s of CPU")
    return measured / predicted, costs


def peak(write_sweep: Callable[..., Path], folder: Path, seeds: int) -> int:
    """Return the greatest memory of a driver with two workers."""
    script = folder / "peak.py"
    script.write_text(PEAK)
    line = [sys.executable, script, write_sweep(**TRIVIAL, seeds=seeds), folder / f"{seeds}.zarr"]
    ran = subprocess.run(list(map(str, line)), capture_output=True, text=True, check=True)
    return int(ran.stdout)


def extrapolate(make_sweep: Callable[..., Sweep], costs: Costs) -> None:
    """Print what the model says of sizes that this machine cannot run."""
    for seeds, workers in ((100_000, 2), (1_000_000, 2), (1_000_000, 1000)):
        sweep = make_sweep(**TRIVIAL, seeds=seeds)
        cut = sum(1 for _ in tiles(sweep, chunk_extents(sweep)))
        files = cut * count_per_tile(sweep)
        seconds = costs.seconds(sweep.trials, files, cut, workers)
        print(
            f"model: {sweep.trials:.0e} trials, {cut} tasks, {files} files, {workers} workers: "
            f"{seconds:.0f} s, of which the driver is busy {cut * costs.task:.0f} s"
        )


def count_per_tile(sweep: Sweep) -> int:
    from pipeline.blocks import FILES_BESIDE_ARRAYS
    from pipeline.experiments import variables

    return len(variables(sweep)) + FILES_BESIDE_ARRAYS


def test_the_driver_is_the_bound_only_where_tasks_are_short() -> None:
    costs = Costs(trial=1e-4, file=1e-3, task=2e-3)
    assert costs.seconds(1e6, 500, 100, 1) == pytest.approx(100.5)
    assert costs.seconds(1e6, 500, 1000, 1000) == 2.0
    assert costs.seconds(1e6, 500, 101, 100) == pytest.approx(2 * 100.5 / 101)
