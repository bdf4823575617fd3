"""A process that has imported what workers import, and from which they are forked.

A worker that starts as a new Python imports for most of a second, as does its neighbour, while the
driver has done the same before it. The server starts first: it imports on one core while the driver
reads its plan on another, and workers are then there within tenths of a second. It has one thread, and
runs no task. A worker that replaces a lost one starts as a new Python.

It is started for commands only: its children would import the script of a user with the environment
that the script had at the start, and a script may change that. Its socket is a file in a folder that
no other user can enter; Python 3.11.0 left it open to all users of the machine, so it has no server.
"""

from __future__ import annotations

import os
import resource
import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from multiprocessing import forkserver, resource_tracker

__all__ = ["INTERRUPTS", "is_running", "start", "start_tracker"]

INTERRUPTS = {signal.SIGINT, signal.SIGTERM}

IMPORTED = (
    "distributed.nanny",
    "distributed.worker",
    "pipeline.execution.worker",
    "pipeline.execution.driver",
    "scipy.linalg",
    "pipeline.experiments.features",
    "pipeline.numerics.random_features",
    "pipeline.theory.kernels",
    "pipeline.theory.marchenko_pastur",
    "pipeline.theory.edge_condition",
)
"""Modules that a worker needs before its first task: Dask, the store, what most experiments share."""

SETTINGS = {
    "OPENBLAS_NUM_THREADS": "1",  # the process must have one thread, as must each worker
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "PYTHONSAFEPATH": "1",  # a file of the working folder must not take the name of a library
}

SAFE_SOCKETS = (3, 11, 1)

FILES, FILES_PER_WORKER = 64, 16
"""Open files of the driver, and those that each worker adds to it: more than were counted."""

_started = False


def start(workers: int) -> None:
    """Start the server, unless it runs; return at once, while it imports.

    It ignores interrupts, and so do its children until they have handlers of their own. Where the
    process may not open enough files for the workers there is no server: it would end in tracebacks.
    Nor is there one where its socket cannot be made, such as in a temporary folder with a long path.
    """
    global _started
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if _started or sys.version_info < SAFE_SOCKETS or 0 <= files < FILES + FILES_PER_WORKER * workers:
        return
    start_tracker()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, INTERRUPTS)
    try:
        with _environment(SETTINGS):
            forkserver.set_forkserver_preload(list(IMPORTED))
            forkserver.ensure_running()
    except OSError:
        return
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    _started = True


def is_running() -> bool:
    """Return whether workers of this process can be forked from its server."""
    return _started


def start_tracker() -> None:
    """Start the process that removes the semaphores of a driver that was killed, and keep it quiet.

    Python would start it later, and then unblock interrupts in the thread that does so.
    """
    with _environment({"PYTHONWARNINGS": "ignore"}):
        resource_tracker.ensure_running()


@contextmanager
def _environment(settings: Mapping[str, str]) -> Iterator[None]:
    """Set variables of the environment for the processes that start in this block."""
    before = {name: os.environ.get(name) for name in settings}
    os.environ.update(settings)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
