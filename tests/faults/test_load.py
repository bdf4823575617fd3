"""Runs of more workers than cores, runs that others read meanwhile, and workers that live for long."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from pipeline import store
from pipeline.maintenance.verify import damage

from ..waiting import wait_until
from .stand import PATIENCE, Processes, Row, Runs

SECONDS = float(os.environ.get("WIDTHLAW_FAULT_SECONDS", "30"))
"""Seconds for which the memory of workers is watched."""

DESCENTS = {
    "experiment": '"input"',
    "d": "[5]",
    "n": "[20, 30, 40]",
    "width": "{ k_per_n = [0.5, 1.0, 2.0, 4.0] }",
    "seeds": int(100 * SECONDS),
    "descent": "{ steps = 2000, tolerances = [1e-2, 1e-4] }",
}
"""Short descents, for much longer than they are watched."""


@pytest.mark.fault("32 workers on few cores")
def test_more_workers_than_cores_fill_the_store(row: Row, runs: Runs) -> None:
    runs.workers = row.workers = 32
    row.begin()
    assert runs.to_the_end() == 0
    runs.judge()


@pytest.mark.fault("eight readers during a run")
def test_readers_see_only_right_values_while_a_run_writes(
    row: Row, runs: Runs, processes: Processes, tmp_path: Path
) -> None:
    reference = tmp_path / "reference.zarr"
    row.reference.to_zarr(reference, zarr_format=3)
    row.begin()
    driver = runs.start()
    log = tmp_path / "readers.log"
    line = [sys.executable, "-m", "tests.faults.reader", row.path, reference, "8"]
    readers = processes.start(line, log)
    assert driver.wait(PATIENCE) == 0
    assert readers.wait(PATIENCE) == 0, log.read_text()
    reads = [int(line) for line in log.read_text().split()]
    assert len(reads) == 8
    assert sum(reads) > 1, "the readers have not read during the run"
    runs.judge()


@pytest.mark.fault("descents for long, memory of a worker")
def test_the_memory_of_a_worker_does_not_grow_with_its_descents(
    row: Row, processes: Processes, tmp_path: Path, command: str, write_sweep
) -> None:
    path = tmp_path / "descents.zarr"
    line = [command, "run", str(write_sweep(**DESCENTS)), "-o", str(path), "--workers", "1"]
    row.begin()
    driver = processes.start(line, tmp_path / "run.log")
    wait_until(lambda: path.exists() and store.Store(path).counts()["done"] > 0, "it runs")
    before, end = most_memory(driver), time.monotonic() + SECONDS
    while time.monotonic() < end:
        row.megabytes = max(row.megabytes or 0.0, most_memory(driver))
        time.sleep(0.5)
    driver.send_signal(signal.SIGINT)
    assert driver.wait(PATIENCE) == 130
    row.stop()
    assert damage(path) == []
    assert row.megabytes < 1.1 * before + 10
    row.survived = True


def most_memory(driver: subprocess.Popen[bytes]) -> float:
    """The memory of the largest process of a run beside its driver, in MB: that of a worker."""
    started = psutil.Process(driver.pid).children(recursive=True)
    assert len(started) >= 2
    return max(process.memory_info().rss for process in started) / 1e6
