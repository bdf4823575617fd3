"""What a worker process is told: by every task, and by this machine's workers as they start.

Every worker, and a process that runs trials by itself, asks the allocator to keep what is freed. glibc
gives memory back to the system, in Dask's workers at once, so that temporary arrays of a trial are
mapped and faulted in anew: a quarter to a third of the time of a sweep of small matrices.

A local worker leaves Ctrl-C and the last word to the driver. A terminal sends the interrupt to all
processes of the run. The driver answers it: it cancels what waits and closes the workers; a worker
that took it as well would only print a traceback. Likewise a worker that tells of work cancelled
under it, or of a scheduler that no longer answers its heartbeat, would only bury the driver's one
line; the error of a task reaches the driver as the task's result.
"""

from __future__ import annotations

import ctypes
import logging
import signal

from threadpoolctl import threadpool_limits

__all__ = ["dask_setup", "keep_freed_memory", "settle"]

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h
KEPT = 32 * 2**20  # bytes; the most that glibc accepts for arrays outside mappings of their own


def settle() -> None:
    """Prepare this worker process for good: one BLAS thread, and freed memory is kept.

    A limit that ended with each task would be lifted under the feet of a task in another thread.
    """
    threadpool_limits(limits=1)
    keep_freed_memory()


def keep_freed_memory() -> None:
    """Serve arrays of up to 32 MiB from memory freed before; nothing happens without glibc."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(MMAP_THRESHOLD, KEPT)
        mallopt(TRIM_THRESHOLD, 4 * KEPT)


def dask_setup(worker: object) -> None:
    """Ignore SIGINT in this worker process, and log nothing but what ends it."""
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
