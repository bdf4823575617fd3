"""The start of a run, against a bare Dask cluster of two processes that runs one task.

Both take their turns in every round, so that other load of the machine meets both; the median ratio of
the rounds counts.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROUNDS = int(os.environ.get("WIDTHLAW_BENCHMARK_ROUNDS", "5"))

BARE = """
from dask.distributed import Client, LocalCluster

def main():
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        with Client(cluster) as client:
            assert client.submit(lambda x: x + 1, 1).result() == 2

if __name__ == "__main__":
    main()
"""


def timed(line: list[str]) -> float:
    began = time.perf_counter()
    compiled = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    subprocess.run(line, check=True, capture_output=True, env=compiled)  # as a user has it
    return time.perf_counter() - began


@pytest.mark.benchmark
def test_a_short_run_ends_about_when_a_bare_cluster_does(command, tmp_path) -> None:
    script, path = tmp_path / "bare.py", tmp_path / "tiny.zarr"
    script.write_text(BARE)
    commands = {
        "bare": [sys.executable, str(script)],
        "workers": [command, "run", "tiny", "-o", str(path), "--workers", "2"],
        "here": [command, "run", "tiny", "-o", str(path)],
        "plot": [command, "plot", str(path), "-o", str(tmp_path / "figures")],
    }
    timed(commands["here"])  # compiles, if this machine has not done so
    rounds = [one_round(commands, path) for _ in range(ROUNDS)]
    middle = {name: statistics.median(each[name] for each in rounds) for name in commands}
    ratio = {
        name: statistics.median(each[name] / each["bare"] for each in rounds)
        for name in ("workers", "here")
    }
    picture = statistics.median(each["here"] + each["plot"] for each in rounds)
    print(f"\nbare cluster of two processes with one task: {middle['bare']:.2f} s")
    print(f"run tiny --workers 2: {middle['workers']:.2f} s, {ratio['workers']:.2f} times as long")
    print(f"run tiny, in its own process: {middle['here']:.2f} s, {ratio['here']:.2f} times as long")
    print(f"run tiny and then plot: {picture:.2f} s")
    assert ratio["workers"] <= WORKERS
    assert ratio["here"] <= HERE


WORKERS, HERE = 3.0, 1.9
"""Bounds of the two ratios, with a reserve: on two idle cores they were 2.1 and 1.3. Both sides import
the store, and workers the compiler, which a bare cluster does not."""


def one_round(commands: dict[str, list[str]], path: Path) -> dict[str, float]:
    found = {}
    for name, line in commands.items():
        if name != "plot":
            shutil.rmtree(path, ignore_errors=True)
        found[name] = timed(line)
        shutil.rmtree(path.parent / "figures", ignore_errors=True)
    return found
