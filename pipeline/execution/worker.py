"""Setting up a worker process: for every task, and for this machine's workers as they start.

Every worker, and a process that runs trials itself, makes the allocator keep freed memory. By default
glibc returns it to the system, in Dask's workers immediately, so that the temporary arrays of a trial
are mapped and faulted in again: a quarter to a third of the time of a sweep of small matrices.

A local worker leaves Ctrl-C, SIGTERM and all reporting to the driver. A terminal, or a batch system,
sends the signal to all processes of the run. The driver reacts to it: it cancels waiting tasks, closes
workers; a worker that reacted too would lose its block, or print a traceback. In the same way, a
worker's warnings of cancelled tasks, or of a scheduler that no longer answers its heartbeat, would only
bury the driver's one line; the error of a task reaches the driver as the task's result.
"""

from __future__ import annotations

import atexit
import ctypes
import logging
import os
import signal
from contextlib import AbstractContextManager
from typing import Any

__all__ = ["dask_setup", "keep_freed_memory", "one_thread", "settle"]

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h
KEPT = 32 * 2**20  # bytes; the largest MMAP_THRESHOLD that glibc accepts


def settle() -> None:
    """Prepare this worker process: one BLAS thread, and freed memory is kept.

    The limit is permanent: one that ended with each task would end for tasks in other threads too.
    """
    one_thread()
    keep_freed_memory()


def one_thread() -> AbstractContextManager[Any]:
    """Use one thread of BLAS from now on, or to the end of a `with` block of the result."""
    # A limit of threads reaches only libraries that are loaded, and SciPy brings a BLAS of its own.
    import scipy.linalg  # noqa: F401
    from threadpoolctl import threadpool_limits

    return threadpool_limits(limits=1)


def keep_freed_memory() -> None:
    """Reuse freed memory for arrays of up to 32 MiB; without glibc, do nothing."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(MMAP_THRESHOLD, KEPT)
        mallopt(TRIM_THRESHOLD, 4 * KEPT)


def dask_setup(worker: object) -> None:
    """Ignore interrupts in this worker process, log only what ends it, and let it end quickly.

    What a trial's own processes print goes to stderr too: the data on stdout are those of the command.
    It ends without Python's clean-up: a busy machine may not give Zarr's thread the time to end, and
    Zarr then prints a traceback.
    """
    import zarr  # noqa: F401  # its clean-up is registered first, so that ours comes before it

    os.dup2(2, 1)
    for name in ("distributed", "tornado.application", "asyncio"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT, signal.SIGTERM})  # for its own children
    atexit.register(os._exit, 0)
