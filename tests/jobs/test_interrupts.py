"""Ctrl-C and SIGTERM: the first drains, the second ends the command at once, and nothing is lost."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from signal import SIGINT, SIGTERM

import numpy as np
import psutil
import pytest

from pipeline import store

from ..waiting import PATIENCE

pytestmark = pytest.mark.attack("signals")

LONG = """
name = "long"
experiment = "input"
entropy = 3
activation = "tanh"
dataset = { kind = "sphere" }
d = [20]
n = [400]
width = { k = [40] }
seeds = 50
[descent]
steps = 1000000000
step_size = 0.0001
tolerances = [1e-20]
"""
"""Hours for each trial: a worker that computes one cannot close by itself."""

Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start(command) -> Iterator[Start]:
    """Start a command in a process group of its own, as a terminal does."""
    started: list[subprocess.Popen[str]] = []

    def run(*words: object, **environment: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [command, *map(str, words)],
            start_new_session=True,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | environment,
            preexec_fn=hear_interrupts,
        )
        started.append(process)
        return process

    yield run
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@pytest.fixture
def long_sweep(tmp_path) -> Path:
    file = tmp_path / "long.toml"
    file.write_text(LONG)
    return file


def hear_interrupts() -> None:
    """Undo what a shell does to what it starts in the background: that ignores Ctrl-C."""
    signal.signal(SIGINT, signal.SIG_DFL)


def wait_for(run: subprocess.Popen[str], word: str) -> None:
    assert run.stderr is not None
    limit = threading.Timer(PATIENCE, run.kill)
    limit.start()
    try:
        for line in run.stderr:
            if word in line:
                return
    finally:
        limit.cancel()
    pytest.fail(f"the command ended with {run.wait()} before it printed {word!r}")


def children(run: subprocess.Popen[str]) -> list[psutil.Process]:
    return psutil.Process(run.pid).children(recursive=True)


def assert_gone(processes: list[psutil.Process]) -> None:
    _, alive = psutil.wait_procs(processes, timeout=PATIENCE)
    assert [p for p in alive if p.is_running() and p.status() != psutil.STATUS_ZOMBIE] == []


def ends_at_once(run: subprocess.Popen[str], number: int) -> str:
    """Send a signal to all processes of a run; they end cleanly, and sooner than they began.

    They begin in seconds and end in tenths; a busy machine slows both down.
    """
    workers, age = children(run), time.time() - psutil.Process(run.pid).create_time()
    sent = time.monotonic()
    os.killpg(run.pid, number)
    errors = run.communicate(timeout=PATIENCE)[1]
    assert time.monotonic() - sent < age
    assert run.returncode == 130
    assert "Traceback" not in errors
    assert_gone(workers)
    return errors


def test_a_second_interrupt_ends_a_run_at_once_and_the_same_command_resumes(
    start, widthlaw, write_sweep, tmp_path, assert_equal_stores
) -> None:
    sweep, path = write_sweep(n="[60, 80]", seeds=1200), tmp_path / "a.zarr"
    run = start("run", sweep, "-o", path, "--workers", 2)
    wait_for(run, "dashboard")
    while not (path.exists() and store.Store(path).counts()["done"]):
        assert run.poll() is None
    os.killpg(run.pid, SIGINT)
    assert "ended at once" in ends_at_once(run, SIGTERM)
    stored = store.Store(path).counts()["done"]
    assert stored > 0
    resumed = widthlaw("run", sweep, "-o", path)
    assert resumed.returncode == 0, resumed.stderr
    assert f"{store.Store(path).counts()['done'] - stored} computed now" in resumed.stderr
    assert widthlaw("run", sweep, "-o", tmp_path / "b.zarr").returncode == 0
    assert_equal_stores(path, tmp_path / "b.zarr")


@pytest.mark.parametrize("numbers", [(SIGINT, SIGINT), (SIGTERM, SIGINT), (SIGTERM, SIGTERM)])
def test_a_second_signal_ends_a_long_descent_whose_workers_are_being_closed(
    start, long_sweep, tmp_path, numbers
) -> None:
    run = start("run", long_sweep, "-o", tmp_path / "a.zarr", "--workers", 2)
    wait_for(run, "dashboard")
    os.killpg(run.pid, numbers[0])
    wait_for(run, "the same command resumes")
    ends_at_once(run, numbers[1])  # whether or not its workers were closed by then


def test_more_signals_than_two_change_nothing(start, long_sweep, tmp_path) -> None:
    run = start("run", long_sweep, "-o", tmp_path / "a.zarr", "--workers", 2)
    wait_for(run, "dashboard")
    os.killpg(run.pid, SIGTERM)
    os.killpg(run.pid, SIGINT)
    assert "ended at once" in ends_at_once(run, SIGTERM)


def test_one_signal_to_all_processes_lets_workers_finish_what_they_can(
    start, long_sweep, tmp_path
) -> None:
    run = start("run", long_sweep, "-o", tmp_path / "a.zarr", "--workers", 2)
    wait_for(run, "dashboard")
    workers = children(run)
    os.killpg(run.pid, SIGTERM)
    errors = run.communicate(timeout=PATIENCE)[1]
    assert run.returncode == 130
    assert "the same command resumes" in errors
    assert "Traceback" not in errors
    assert "ended at once" not in errors
    assert_gone(workers)


@pytest.mark.parametrize("number", [SIGINT, SIGTERM])
def test_a_signal_while_workers_start_ends_the_command_at_once(
    start, long_sweep, tmp_path, number
) -> None:
    run = start("run", long_sweep, "-o", tmp_path / "a.zarr", "--workers", 2)
    while len(children(run)) < 2:
        assert run.poll() is None
    assert "interrupted before anything was computed" in ends_at_once(run, number)


def test_two_signals_end_a_measurement_of_own_data_and_its_temporary_folder(start, tmp_path) -> None:
    rows = np.random.default_rng(1).standard_normal((2000, 30))
    np.save(tmp_path / "rows.npy", rows)
    folder = tmp_path / "temporary"
    folder.mkdir()
    run = start(
        "width", tmp_path / "rows.npy", "--n", 600, "--to", "0.1%", "--workers", 1, TMPDIR=str(folder)
    )
    wait_for(run, "dashboard")
    assert list(folder.glob("*/width.zarr"))
    os.killpg(run.pid, SIGTERM)
    assert "ended at once" in ends_at_once(run, SIGINT)
    assert not list(folder.glob("*/width.zarr"))


def test_two_signals_end_a_reproduction(start, tmp_path) -> None:
    run = start("reproduce", "-o", tmp_path / "paper", "--workers", 1)
    wait_for(run, "dashboard")
    os.killpg(run.pid, SIGINT)
    assert "ended at once" in ends_at_once(run, SIGTERM)


def test_two_signals_end_a_refinement(start, widthlaw, write_sweep, tmp_path) -> None:
    path = tmp_path / "a.zarr"
    sweep = write_sweep(d="[60]", n="[400]", width="{ k_per_n = [1.5, 2.0, 4.0] }", seeds=4)
    assert widthlaw("run", sweep, "-o", path, "--workers", 1).returncode == 0
    run = start("refine", path, "--to", "0.1%", "--workers", 1)
    wait_for(run, "dashboard")
    os.killpg(run.pid, SIGINT)
    assert "ended at once" in ends_at_once(run, SIGTERM)
    assert store.Store(path).counts()["done"] >= 12
