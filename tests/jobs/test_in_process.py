"""A short run has no workers, and everything else that a run with workers has."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from signal import SIGINT, SIGTERM

import psutil
import pytest
import xarray as xr

from pipeline import store
from pipeline.store import lease
from pipeline.store.location import locate
from pipeline.trial_status import Status

from ..waiting import PATIENCE, wait_until

SEEDS = 20
"""About half a second of trials, in twenty chunks, so that a signal can come between two of them."""


@pytest.fixture
def short(write_sweep) -> Path:
    return write_sweep(n="[8, 12, 16, 20, 24, 28, 32, 36, 40, 44]", seeds=SEEDS)


@pytest.fixture
def at_work(command, short, tmp_path) -> Iterator[subprocess.Popen[str]]:
    """A short run that holds its store."""
    with ExitStack() as stack:
        run = subprocess.Popen(
            [command, "run", str(short), "-o", str(tmp_path / "a.zarr")],
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=lambda: signal.signal(SIGINT, signal.SIG_DFL),
        )
        stack.callback(run.communicate)
        stack.callback(run.kill)
        where = locate(tmp_path / "a.zarr")
        wait_until(lambda: where.exists() and lease.read(where), "it holds its store", pause=0.001)
        yield run


def test_a_short_run_starts_no_process_and_says_so_in_one_line(at_work, tmp_path) -> None:
    at_work.send_signal(signal.SIGSTOP)
    assert psutil.Process(at_work.pid).children(recursive=True) == []
    at_work.send_signal(signal.SIGCONT)
    errors = at_work.communicate(timeout=PATIENCE)[1]
    assert at_work.returncode == 0
    first, second = errors.splitlines()
    assert "of trials run in this process: workers would take longer to start" in first
    assert second.startswith(f"{tmp_path / 'a.zarr'}: ")


@pytest.mark.slow
def test_its_store_has_the_bits_of_one_that_workers_filled(
    widthlaw, short, tmp_path, assert_equal_stores
) -> None:
    assert "in this process" in widthlaw("run", short, "-o", tmp_path / "a.zarr").stderr
    assert "2 workers" in widthlaw("run", short, "-o", tmp_path / "b.zarr", "--workers", 2).stderr
    assert_equal_stores(tmp_path / "a.zarr", tmp_path / "b.zarr")


@pytest.mark.attack("signals")
@pytest.mark.parametrize("number", [SIGINT, SIGTERM])
def test_a_signal_ends_it_in_order_and_the_same_command_resumes_in_this_process(
    at_work, widthlaw, short, tmp_path, number, assert_equal_stores
) -> None:
    path = tmp_path / "a.zarr"
    at_work.send_signal(number)
    errors = at_work.communicate(timeout=PATIENCE)[1]
    assert at_work.returncode == 130
    assert f"interrupted; {path} keeps the finished trials; the same command resumes" in errors
    assert "Traceback" not in errors
    assert lease.read(locate(path)) is None
    left = store.Store(path).counts()["pending"]
    assert left > 0
    resumed = widthlaw("run", short, "-o", path)
    assert resumed.returncode == 0
    assert "in this process" in resumed.stderr
    assert f"{left} computed now" in resumed.stderr
    widthlaw("run", short, "-o", tmp_path / "b.zarr", "--workers", 1)
    assert_equal_stores(path, tmp_path / "b.zarr")


@pytest.mark.attack("kills")
def test_after_one_that_was_killed_workers_do_the_rest(at_work, widthlaw, short, tmp_path) -> None:
    """A trial may have killed it: workers find out which, and give it up."""
    at_work.kill()
    at_work.wait()
    path = tmp_path / "a.zarr"
    assert lease.read(locate(path)) is not None
    resumed = widthlaw("run", short, "-o", path)
    assert resumed.returncode == 0
    assert "in this process" not in resumed.stderr
    assert " worker" in resumed.stderr
    assert store.Store(path).counts()["pending"] == 0


def test_a_keyboard_interrupt_of_a_trial_is_its_outcome_as_with_workers(widthlaw, tmp_path) -> None:
    (tmp_path / "own.py").write_text(
        "from pipeline import experiment, variable\n"
        "@experiment(value=variable('a value'))\ndef own(trial):\n"
        "    if trial.seed == 1:\n        raise KeyboardInterrupt\n    return {'value': 1}\n"
    )
    (tmp_path / "own.toml").write_text('name = "own"\nexperiment = "own.py:own"\nseeds = 4\n')
    told = widthlaw("run", tmp_path / "own.toml", "-o", tmp_path / "own.zarr")
    assert told.returncode == 1, told.stderr
    assert "in this process" in told.stderr
    assert "3 trials done, 1 failed" in told.stderr


def test_failed_trials_of_a_short_run_end_it_with_one(widthlaw, failed, tmp_path) -> None:
    _, path = failed
    alone = widthlaw("run", path.with_name("failing.toml"), "-o", tmp_path / "a.zarr")
    assert "in this process" in alone.stderr
    assert alone.returncode == 1
    assert store.Store(tmp_path / "a.zarr").counts() == store.Store(path).counts()


def own(folder: Path, body: str) -> Path:
    (folder / "own.py").write_text(
        "import os\nfrom pipeline import experiment, variable\n"
        f"@experiment(value=variable('a value'))\ndef own(trial):\n    {body}\n"
    )
    (folder / "own.toml").write_text('name = "own"\nexperiment = "own.py:own"\nwidth = [1, 2]\n')
    with (folder / "own.toml").open("a") as file:
        file.write("seeds = 4\n")
    return folder / "own.toml"


def test_short_trials_of_ones_own_run_in_this_process_by_their_measured_cost(command, tmp_path) -> None:
    body = "os.write(1, b'by C')\n    return {'value': os.getppid()}"
    line = [command, "run", own(tmp_path, body), "-o", tmp_path / "a.zarr"]
    told = subprocess.run(line, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert told.returncode == 0, told.stderr
    assert "of trials run in this process" in told.stderr
    assert told.stdout == ""  # what trials print is no data
    assert set(xr.open_zarr(tmp_path / "a.zarr").value.values.ravel()) == {os.getpid()}


@pytest.mark.slow
def test_trials_that_end_the_process_that_measures_them_get_workers(widthlaw, tmp_path) -> None:
    body = (
        "os.kill(os.getpid(), 9) if (trial.k, trial.seed) == (2, 0) else None\n    return {'value': 1}"
    )
    told = widthlaw("run", own(tmp_path, body), "-o", tmp_path / "a.zarr")
    assert told.returncode == 1, told.stderr
    assert "in this process" not in told.stderr
    assert "7 trials done, 1 failed" in told.stderr
    ds = xr.open_zarr(tmp_path / "a.zarr").load()
    assert ds.status.sel(width=2, seed=0).item() == Status.FAILED
    assert "its process died 3 times" in ds.message.sel(width=2, seed=0).item()


@pytest.mark.slow
def test_after_a_trial_of_ones_own_has_ended_the_command_workers_find_it(widthlaw, tmp_path) -> None:
    body = (
        "os.kill(os.getpid(), 9) if (trial.k, trial.seed) == (2, 3) else None\n    return {'value': 1}"
    )
    line = ("run", own(tmp_path, body), "-o", tmp_path / "a.zarr")
    assert widthlaw(*line).returncode == -9
    told = widthlaw(*line)
    assert told.returncode == 1, told.stderr
    assert "7 trials done, 1 failed" in told.stderr


@pytest.mark.slow
def test_a_mended_function_whose_cost_is_not_known_gets_workers(widthlaw, tmp_path) -> None:
    path = tmp_path / "a.zarr"
    assert widthlaw("run", own(tmp_path, "return {}"), "-o", path).returncode == 1
    told = widthlaw("run", own(tmp_path, "return {'value': 1}"), "-o", path)
    assert told.returncode == 0, told.stderr
    assert "8 trials done" in told.stderr
    assert "in this process" not in told.stderr
