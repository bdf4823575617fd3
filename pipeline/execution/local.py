"""Worker processes on this machine, and interrupts that reach the driver alone."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
import weakref
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.execution import forkserver, unguarded

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["DASK", "begin", "local_client", "restore_workers", "without_dashboard"]

DASK = {
    "distributed.scheduler.allowed-failures": 1,
    "distributed.worker.profile.enabled": False,
}
"""Settings of our own schedulers and workers.

The second worker that dies with a task fails the task. Dask's profiler keeps an hour of samples: a
worker would grow by 2 MB a minute.
"""

POLL_SECONDS = 0.1


def without_dashboard(wanted: bool) -> dict[str, Any]:
    """Return settings of a scheduler that serves no page, unless its dashboard is wanted.

    Without a dashboard, Dask would still serve lists of workers and tasks.
    """
    return {} if wanted else {"distributed.scheduler.http.routes": []}


def local_client(workers: int | None = None, *, dashboard: bool = True) -> Client:
    """Start one-thread worker processes with one BLAS thread each on this machine.

    Their connections are encrypted, and reject peers without this run's key.

    Parameters
    ----------
    workers
        Number of processes; the number of usable cores if None.
    dashboard
        Whether the scheduler has a dashboard, on loopback: any user of this machine can read it.

    Returns
    -------
    distributed.Client
        Closing it closes the workers.

    Raises
    ------
    InputError
        The script that calls it is not guarded by `if __name__ == "__main__":`.

    Examples
    --------
    >>> import tempfile
    >>> import pipeline
    >>> folder = tempfile.TemporaryDirectory()
    >>> with pipeline.local_client(workers=2) as client:
    ...     pipeline.run("tiny", f"{folder.name}/tiny.zarr", client).trials
    720
    """
    return begin(workers, dashboard=dashboard)()


def begin(workers: int | None = None, *, dashboard: bool = True) -> Callable[[], Client]:
    """Begin to start workers as `local_client` does, and return a function that waits for its client.

    It must be called, also if nobody wants the client any more, which is then closed.
    """
    unguarded.leave_if_imported()
    # Dask's own folder has a known name in /tmp, where another user can hold its lock for ever.
    scratch = tempfile.mkdtemp(prefix="widthlaw-")
    # With the client, or at the end of Python: after Dask's own clean-up, which is registered later.
    removal = weakref.finalize(begin, shutil.rmtree, scratch, ignore_errors=True)

    def start() -> Client:
        client = _start(scratch, workers, dashboard)
        weakref.finalize(client, removal)
        return client

    elsewhere = ThreadPoolExecutor(1)
    started = _deaf(elsewhere, start)
    elsewhere.shutdown(wait=False)

    def wait_for_client() -> Client:
        try:
            while not started.done():  # a signal that another thread took does not end a wait
                wait([started], timeout=POLL_SECONDS)
            return started.result()
        except KeyboardInterrupt:
            started.result().close()
            raise

    return wait_for_client


def restore_workers(client: Client) -> None:
    """Start the worker processes of this machine anew that Dask has given up.

    A nanny starts a worker again that died. But Dask's local cluster closes the nanny for good if its
    worker is away 15 seconds after it once died, and so can lose all workers of a run in which trials
    kill their process again and again. Other clusters decide for themselves how many workers they have.
    """
    from distributed import LocalCluster

    cluster = client.cluster
    if isinstance(cluster, LocalCluster) and cluster.plan - cluster.requested:
        cluster.scale(len(cluster.plan))


def _start(scratch: str, workers: int | None, dashboard: bool) -> Client:
    import dask
    from dask.system import CPU_COUNT
    from distributed import Client

    own = {"temporary-directory": scratch}
    settings = DASK | own | without_dashboard(dashboard) | _forked()
    with unguarded.noticed(Path(scratch)), dask.config.set(settings):
        return Client(
            n_workers=workers or CPU_COUNT,
            threads_per_worker=1,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
            scheduler_kwargs={"dashboard": dashboard},
            worker_dashboard_address=None,
            memory_limit=0,
            protocol="tls://",
            security=True,  # a certificate for this run only, kept in memory
            preload=["pipeline.execution.worker"],
            env=dict(os.environ),  # that of a server may be older
        )


def _forked() -> dict[str, Any]:
    """Return settings of workers that are forked from this process's server, if it has one."""
    if not forkserver.is_running():
        return {}
    from distributed import utils

    # Dask would import pandas and more here, to list them for a server that has started already.
    utils._forkserver_preload_set = True
    return {"distributed.worker.multiprocessing-method": "forkserver"}


def _deaf(elsewhere: ThreadPoolExecutor, start: Callable[[], Client]) -> Future[Client]:
    """Call a function in a new thread that blocks interrupts, as all its threads and processes do.

    A terminal sends Ctrl-C to all processes of a run, a batch system SIGTERM. Only the driver should
    react, in its main thread: a worker or a cluster that is interrupted while it starts would print
    tracebacks, or wait for itself.
    """
    forkserver.start_tracker()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, forkserver.INTERRUPTS)
    try:
        return elsewhere.submit(start)  # its thread starts here
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
