"""A KeyboardInterrupt of a trial is its outcome; Ctrl-C ends the run, whoever handles signals."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
import xarray as xr

import pipeline
from pipeline.keyboard import may_be_ctrl_c, watched

CODE = """
import asyncio
import os
import signal
from pipeline import experiment, variable

def press():
    os.kill(os.getpid(), signal.SIGINT)

def raises(trial):
    raise KeyboardInterrupt

def raises_after_a_signal_of_another_kind(trial):
    signal.signal(signal.SIGUSR1, lambda number, frame: None)
    os.kill(os.getpid(), signal.SIGUSR1)
    raise KeyboardInterrupt

def is_interrupted(trial):
    press()
    while True:
        pass

def tidies_up_first(trial):
    try:
        is_interrupted(trial)
    except KeyboardInterrupt:
        raise KeyboardInterrupt from None

def has_a_handler_of_its_own_meanwhile(trial):
    def handler(number, frame):
        raise KeyboardInterrupt
    before = signal.signal(signal.SIGINT, handler)
    try:
        is_interrupted(trial)
    finally:
        signal.signal(signal.SIGINT, before)

def has_a_loop_of_events(trial):
    async def wait():
        asyncio.get_running_loop().add_signal_handler(signal.SIGINT, interrupted.set)
        press()
        await interrupted.wait()
    interrupted = asyncio.Event()
    asyncio.run(wait())
    raise KeyboardInterrupt

@experiment(value=variable("a value"))
def own(trial):
    return {way}(trial) if trial.seed == 1 else {{"value": 1}}
"""


def run(folder: Path, way: str) -> xr.Dataset:
    (folder / "own.py").write_text(CODE.format(way=way))
    (folder / "own.toml").write_text('name = "own"\nexperiment = "own.py:own"\nseeds = 4\n')
    pipeline.run(pipeline.load_sweep(folder / "own.toml"), folder / "own.zarr")
    return xr.open_zarr(folder / "own.zarr").load().squeeze()


@pytest.fixture(autouse=True)
def default_handlers():
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGUSR1)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before[0])
    signal.signal(signal.SIGUSR1, before[1])
    assert signal.set_wakeup_fd(-1) == -1  # nothing is left behind


def test_one_that_a_trial_raises_is_its_outcome_in_this_process_too(tmp_path) -> None:
    ds = run(tmp_path, "raises")
    assert ds.status.values.tolist() == [1, 2, 1, 1]
    assert ds.message.values[1] == "RuntimeError: it ended with KeyboardInterrupt"


@pytest.mark.parametrize(
    "way",
    [
        "is_interrupted",
        "tidies_up_first",
        "has_a_handler_of_its_own_meanwhile",
        "has_a_loop_of_events",
        "raises_after_a_signal_of_another_kind",  # which cannot be told apart
    ],
)
def test_ctrl_c_ends_the_run_and_the_trial_has_no_outcome(tmp_path, way) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, way)
    assert not (xr.open_zarr(tmp_path / "own.zarr").status == 2).any()


def test_without_a_watch_every_one_may_be_ctrl_c() -> None:
    assert may_be_ctrl_c()
    with watched():
        assert not may_be_ctrl_c()
        with watched():
            assert not may_be_ctrl_c()
    assert may_be_ctrl_c()


def test_a_loop_of_events_that_watches_already_keeps_its_file() -> None:
    reads, writes = os.pipe()
    os.set_blocking(writes, False)
    signal.set_wakeup_fd(writes)
    try:
        with watched():
            assert may_be_ctrl_c()
        assert signal.set_wakeup_fd(-1) == writes
    finally:
        signal.set_wakeup_fd(-1)
        os.close(reads)
        os.close(writes)
