"""CPU seconds of the commands that read a store, as ratios to the import of NumPy, xarray and Zarr.

`python -m pytest -m benchmark -s tests/benchmarks/test_commands.py` prints a table. Each command is
measured just after a bare import, and the median of its ratios counts: a machine may change its speed
by a factor of two between one command and the next.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

import pipeline
from pipeline.store import Store, create

from .large import fill_with_repeated_seeds

ROUNDS = 4
BARE = (sys.executable, "-c", "import numpy, xarray, zarr")

MOST = {"status": 1.0, "query": 2.5, "fit": 3.5, "plot": 9.0, "report": 7.5}
"""The most that each command may take, in bare imports. Measured: 0.65, 1.7, 2.5, 6.6, 5.4.

In a slow hour of the same machine: 0.77, 2.2, 3.5, 7.7, 6.6.
"""


class Cost(NamedTuple):
    """CPU seconds of a process, and its largest memory in MB."""

    seconds: float
    megabytes: float


LAUNCHER = """
import json, os, sys
out, *words = sys.argv[1:]
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
actions = [(os.POSIX_SPAWN_OPEN, 1, out, flags, 0o600), (os.POSIX_SPAWN_DUP2, 1, 2)]
process = os.posix_spawn(words[0], words, os.environ, file_actions=actions)
_, status, used = os.wait4(process, 0)
print(json.dumps([os.waitstatus_to_exitcode(status), used.ru_utime + used.ru_stime, used.ru_maxrss]))
"""
"""Runs a command from a small process: the largest memory of a new process includes its parent's."""


def cost(words: tuple[str, ...], out: Path) -> Cost:
    """Run a command to its end, as a user's shell would, and return its cost."""
    call = [sys.executable, "-I", "-S", "-c", LAUNCHER, str(out), *words]
    code, seconds, kilobytes = json.loads(subprocess.run(call, check=True, capture_output=True).stdout)
    assert code == 0, out.read_text()[-2000:]
    return Cost(seconds, kilobytes / 1024)


@pytest.mark.benchmark
def test_commands_cost_a_few_times_the_import_of_their_libraries(command, make_sweep, tmp_path) -> None:
    store = tmp_path / "a.zarr"
    sweep = make_sweep(
        d="[3, 5, 8]",
        n="[20, 30, 45, 60]",
        seeds=40,
        width="{ k_per_n = { start = 1.1, stop = 4.0, num = 32 } }",
    )
    pipeline.run(sweep, store)
    figures, page = str(tmp_path / "figures"), str(tmp_path / "report.html")
    calls = {
        "status": (command, "status", str(store)),
        "query": (command, "query", str(store)),
        "fit": (command, "fit", str(store)),
        "plot": (command, "plot", str(store), "-o", figures),
        "report": (command, "report", str(store), "-o", page),
    }
    out = tmp_path / "out.txt"
    rounds = [
        {name: (cost(BARE, out), cost(words, out)) for name, words in calls.items()}
        for _ in range(ROUNDS + 1)
    ][1:]  # the first one writes bytecode and fills the file cache
    print(f"\n{sweep.trials} trials")
    ratios = {}
    for name in MOST:
        pairs = [found[name] for found in rounds]
        ratios[name] = statistics.median(own.seconds / bare.seconds for bare, own in pairs)
        least, memory = min(own.seconds for _, own in pairs), max(own.megabytes for _, own in pairs)
        print(f"{name:8} {least:5.2f} CPU s, {ratios[name]:5.2f} times the import, {memory:4.0f} MB")
    assert {name: ratio for name, ratio in ratios.items() if ratio > MOST[name]} == {}


@pytest.mark.benchmark
def test_a_million_trials_are_fitted_in_seconds_and_in_little_memory(
    command, make_sweep, tmp_path
) -> None:
    path = tmp_path / "a.zarr"
    sweep = make_sweep(
        d="[2]", n="[2]", seeds=100_000, width="{ k = [2, 3, 4, 6, 8, 10, 12, 16, 20, 24] }"
    )
    create(path, sweep)
    store = Store(path, sweep)
    fill_with_repeated_seeds(store, list(store.pending_tiles()))
    assert store.counts()["done"] == sweep.trials == 10**6
    rounds = [
        (cost(BARE, tmp_path / "out.txt"), cost((command, "fit", str(path)), tmp_path / "fit.txt"))
        for _ in range(3)
    ]
    bare, fit = (min(found[at].seconds for found in rounds) for at in (0, 1))
    memory = max(found[1].megabytes - found[0].megabytes for found in rounds)
    print(
        f"\n{sweep.trials} trials: fit takes {fit:.2f} CPU s, {fit / bare:.1f} times the bare import,"
    )
    print(f"and {memory:.0f} MB more than that")
    assert fit < 5 * bare
    assert memory < 120
