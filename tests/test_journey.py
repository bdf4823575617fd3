"""A run that is killed at any moment, again and again, ends where an undisturbed one does."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil
import pytest

from pipeline import store

from .waiting import PATIENCE, wait_until

KILLS = 10
FILES_PER_RUN = 24
"""Chunk files after which a run is killed, at most: a block writes seven, so most kills cut one."""


def start(command: str, sweep: Path, path: Path) -> subprocess.Popen[bytes]:
    line = [command, "run", str(sweep), "-o", str(path), "--workers", "2"]
    return subprocess.Popen(line, start_new_session=True, stderr=subprocess.DEVNULL)


def kill_tree(run: subprocess.Popen[bytes]) -> None:
    """SIGKILL to the run and all its workers at once."""
    tree = [psutil.Process(run.pid), *psutil.Process(run.pid).children(recursive=True)]
    os.killpg(run.pid, signal.SIGKILL)
    run.wait()
    _, alive = psutil.wait_procs(tree, timeout=PATIENCE)
    assert not alive


def files(path: Path) -> int:
    return sum(len(names) for _, _, names in os.walk(path))


def wait_for(condition: Callable[[], bool]) -> None:
    wait_until(condition, "the run makes progress", pause=0)


@pytest.mark.slow
def test_ten_kills_leave_the_bits_of_an_undisturbed_run(
    tmp_path, write_sweep, command, widthlaw, assert_equal_stores
):
    sweep = write_sweep(n="[6, 8, 10, 12, 14, 16, 18, 20]", d="[2, 3, 4, 5, 6, 7, 8, 9]", seeds=200)
    calm, killed = tmp_path / "calm.zarr", tmp_path / "killed.zarr"
    assert widthlaw("run", sweep, "-o", calm, "--workers", 2).returncode == 0

    moments = np.random.default_rng(20190104).integers(0, FILES_PER_RUN, size=KILLS)
    done = [0]
    for more in moments:
        run = start(command, sweep, killed)
        wait_for(killed.exists)
        target = files(killed) + more
        wait_for(lambda: files(killed) >= target or run.poll() is not None)  # noqa: B023
        assert run.poll() is None, "the run ended before it could be killed"
        kill_tree(run)
        done.append(store.Store(killed).counts()["done"])
    assert done == sorted(done)
    print("done after each kill:", done)
    assert 0 < done[-1] < store.Store(calm).counts()["done"]

    pending = store.Store(killed).counts()["pending"]
    last = widthlaw("run", sweep, "-o", killed, "--workers", 2)
    assert last.returncode == 0
    assert int(re.search(r"(\d+) computed now", last.stderr).group(1)) == pending
    assert_equal_stores(calm, killed)
    assert not list(killed.rglob("*.partial"))
    assert not list(tmp_path.glob(".*.new"))
