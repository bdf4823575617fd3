"""Ctrl-C and SIGTERM: the first ends a command in order, the second ends it at once.

The first raises KeyboardInterrupt. With workers, an exception at a random line would leave Dask waiting
for itself: there the signal is only recorded, and raised at the next `check`. The driver then cancels
waiting tasks, releases the store, and closes its workers.

The second kills the workers and leaves the process without Python's clean-up, in which Dask may wait
for a minute. No stored trial is lost: workers write whole chunks, and the next run takes over the lease
of a process that is gone. While workers start, the first does this too: nothing was computed yet.

Worker processes ignore both signals (`pipeline.execution.worker`), so that a signal to all processes of
a run reaches the driver alone.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from enum import Enum, auto
from pathlib import Path
from typing import Any, ClassVar

__all__ = ["check", "end_at_once", "handled", "leave", "scratch", "shielded", "started", "starting"]

SIGNALS = (signal.SIGINT, signal.SIGTERM)

INTERRUPTED = 130

REAP_SECONDS = 0.5
"""Timeout for killed workers to be gone; one may hang in a file system."""


class _Stage(Enum):
    """The effect of the first signal."""

    STARTING = auto()  # the process ends at once
    RUNNING = auto()  # KeyboardInterrupt
    SHIELDED = auto()  # it is recorded


class _State:
    """The signals of this process so far, and the effect of the next one."""

    received = 0
    stage = _Stage.RUNNING
    scratch: ClassVar[list[Path]] = []


@contextmanager
def handled() -> Iterator[None]:
    """Handle both signals in this block, and after one of them until the process has ended.

    A signal that is ignored stays ignored: a shell may start its background commands so.
    """
    before = {number: signal.getsignal(number) for number in SIGNALS}
    taken = [number for number in SIGNALS if before[number] is not signal.SIG_IGN]
    for number in taken:
        signal.signal(number, _take)
    try:
        yield
    finally:
        if not _State.received:
            for number in taken:
                signal.signal(number, before[number])


def _take(number: int, frame: object) -> None:
    _State.received += 1
    if _State.received > 1:
        end_at_once("ended at once")
    if _State.stage is _Stage.STARTING:
        end_at_once("interrupted before anything was computed")
    if _State.stage is _Stage.RUNNING:
        raise KeyboardInterrupt


@contextmanager
def starting() -> Iterator[None]:
    """Let the first signal of this block end the process at once, until `started`."""
    with _stage(_Stage.STARTING):
        yield
    check()


def started() -> None:
    """Record the first signal from now on, to the end of `starting`; `check` raises it."""
    _State.stage = _Stage.SHIELDED


@contextmanager
def shielded() -> Iterator[None]:
    """Record the first signal in this block; raise it at the end, unless another exception passes."""
    with _stage(_Stage.SHIELDED):
        yield
    check()


@contextmanager
def _stage(stage: _Stage) -> Iterator[None]:
    before, _State.stage = _State.stage, stage
    try:
        yield
    finally:
        _State.stage = before


def check() -> bool:
    """Raise KeyboardInterrupt if a signal has come, else return False: a `draining` of the driver."""
    if _State.received:
        raise KeyboardInterrupt
    return False


@contextmanager
def scratch(folder: Path) -> Iterator[None]:
    """Remove a temporary folder too, if the process is ended at once."""
    _State.scratch.append(folder)
    try:
        yield
    finally:
        _State.scratch.remove(folder)


def leave() -> None:
    """After a signal, leave the process with status 130; otherwise do nothing.

    Python's end would restore the handlers of the system, and a second signal would show in the status.
    """
    if _State.received:
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError):  # nobody reads it any more
                stream.flush()
        os._exit(INTERRUPTED)


def end_at_once(message: str) -> None:
    """Print a line, kill all worker processes and leave this process, with status 130.

    A signal handler must not use Python's streams, which may be locked. A worker that starts at this
    moment finds its driver gone, and its complaint goes nowhere.
    """
    os.write(2, f"\n{message}\n".encode())
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    _kill_workers()
    for folder in _State.scratch:
        shutil.rmtree(folder, ignore_errors=True)
    os._exit(INTERRUPTED)


def _kill_workers() -> None:
    """Kill all child processes but the one that removes their semaphores once we are gone."""
    from multiprocessing import resource_tracker

    import psutil  # loaded by Dask if there is any worker

    tracker: Any = resource_tracker
    killed = {tracker._resource_tracker._pid: None}
    while found := [one for one in psutil.Process().children(recursive=True) if one.pid not in killed]:
        for process in found:
            killed[process.pid] = process
            with suppress(psutil.NoSuchProcess):
                process.kill()
    psutil.wait_procs(filter(None, killed.values()), timeout=REAP_SECONDS)
