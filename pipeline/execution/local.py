"""Worker processes on this machine, and a Ctrl-C that reaches the driver alone."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["SCHEDULER", "local_client"]

SCHEDULER = {"distributed.scheduler.allowed-failures": 1}
"""Settings of our own schedulers: the second worker that dies with a task fails the task."""


def local_client(workers: int | None = None) -> Client:
    """Start one-thread worker processes with one BLAS thread each on this machine.

    Their connections are encrypted, and reject peers without this run's key.

    Parameters
    ----------
    workers
        Number of processes; the number of usable cores if None.

    Returns
    -------
    distributed.Client
        Closing it closes the workers.

    Examples
    --------
    >>> import tempfile
    >>> import pipeline
    >>> folder = tempfile.TemporaryDirectory()
    >>> with pipeline.local_client(workers=2) as client:
    ...     pipeline.run("tiny", f"{folder.name}/tiny.zarr", client).trials
    720
    """
    import dask
    from dask.system import CPU_COUNT
    from distributed import Client

    with _interrupts_wait() as interrupted, dask.config.set(SCHEDULER):
        client = Client(
            n_workers=workers or CPU_COUNT,
            threads_per_worker=1,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
            worker_dashboard_address=None,
            memory_limit=0,
            protocol="tls://",
            security=True,  # a certificate for this run only, kept in memory
            preload=["pipeline.execution.worker"],
        )
    if interrupted:
        client.close()
        raise KeyboardInterrupt
    return client


@contextmanager
def _interrupts_wait() -> Iterator[list[int]]:
    """Record a Ctrl-C instead of raising it; processes that start meanwhile never receive one.

    A terminal sends it to all processes of a run. Only the driver should react: a worker or a cluster
    that is interrupted while it starts would print tracebacks. Children inherit the blocked signal.
    The driver's other threads may still receive it, so it needs a handler too.
    """
    from multiprocessing import resource_tracker

    received: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield received
        return
    resource_tracker.ensure_running()  # starting it later would unblock interrupts again
    handler = signal.signal(signal.SIGINT, lambda number, frame: received.append(number))
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield received
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        signal.signal(signal.SIGINT, handler)
