"""Blocks through Dask into the store, in a bounded window.

The driver keeps a few tasks per worker in flight, whatever the size of the sweep: a task computes
its blocks, writes each into the store as soon as it is done, and sends back three numbers. So
nothing is held by a worker that could be lost with it, and the driver's memory does not grow with
the number of trials.
"""

from __future__ import annotations

import errno
import signal
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from threadpoolctl import threadpool_limits

from pipeline import store as stores
from pipeline.blocks import Block, compute_block, tasks
from pipeline.errors import StoreFull, WorkersLost
from pipeline.status import Status
from pipeline.sweep import Sweep
from pipeline.sweep_file import load_sweep
from pipeline.worker import settle

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["Outcome", "local_client", "run", "run_task"]

TASKS_PER_WORKER = 3
"""In flight: one running, two waiting on the worker, so that it is never idle between tasks."""


@dataclass(frozen=True)
class Outcome:
    """What a task, or a whole run, did."""

    trials: int = 0
    failed: int = 0
    seconds: float = 0.0
    full: str = ""  # why the store took no more

    def __add__(self, other: Outcome) -> Outcome:
        return Outcome(
            self.trials + other.trials,
            self.failed + other.failed,
            self.seconds + other.seconds,
            self.full or other.full,
        )


def run(
    sweep: Sweep | str | Path,
    store: str | Path,
    client: Client | None = None,
    *,
    retry_failed: bool = False,
    progress: Callable[[Outcome, Outcome], None] | None = None,
) -> Outcome:
    """Fill the store of a sweep; what is there already is not computed again.

    Parameters
    ----------
    sweep
        What to compute: a Sweep, or what `load_sweep` takes.
    store
        Path of the store; made if nothing is there, resumed if it belongs to this sweep.
    client
        A Dask client whose workers reach the path; None computes in this process, block by block.
    retry_failed
        Compute blocks with failed trials again.
    progress
        Called with (this task, all so far) after every task.

    Returns
    -------
    Outcome
        Trials computed by this call, how many of them failed, and the seconds spent in numerics.

    Raises
    ------
    StoreError
        The path holds something else or another run holds the store.
    StoreFull
        The store could not be written any further; what is written stays valid.
    WorkersLost
        The scheduler or all workers are gone; what is written stays valid.
    """
    if not isinstance(sweep, Sweep):
        sweep = load_sweep(sweep)
    path = str(Path(store).resolve())
    stores.open_or_create(path, sweep)
    total = Outcome()
    with stores.exclusive(path):
        stores.clean(path)
        work = tasks(stores.todo(path, sweep, retry_failed))
        outcomes = _here(sweep, path, work) if client is None else _window(client, sweep, path, work)
        try:
            for outcome in outcomes:
                total += outcome
                if total.full:
                    raise StoreFull(errno.EIO, total.full, str(store))
                if progress is not None:
                    progress(outcome, total)
        finally:
            outcomes.close()
            stores.clean(path)
    return total


def run_task(sweep: Sweep, path: str, blocks: list[Block]) -> Outcome:
    """Compute and store some blocks on a worker; safe to run twice, or twice at once."""
    settle()
    return _fill(sweep, path, blocks)


def _fill(sweep: Sweep, path: str, blocks: list[Block]) -> Outcome:
    total = Outcome()
    for block in blocks:
        result = compute_block(sweep, block)
        try:
            stores.write(path, sweep, block, result)
        except StoreFull as error:  # as data: an exception would make Dask print a traceback
            return total + Outcome(full=str(error.strerror))
        failed = int((result.status == Status.FAILED).sum())
        total += Outcome(block.trials, failed, float(np.nansum(result.values["seconds"])))
    return total


def _here(sweep: Sweep, path: str, work: Iterator[list[Block]]) -> Generator[Outcome, None, None]:
    with threadpool_limits(limits=1):
        for blocks in work:
            yield _fill(sweep, path, blocks)


def _window(
    client: Client, sweep: Sweep, path: str, work: Iterator[list[Block]]
) -> Generator[Outcome, None, None]:
    """Keep `TASKS_PER_WORKER` tasks per thread in flight until the work is done."""
    from distributed import as_completed

    size = TASKS_PER_WORKER * max(1, sum(client.nthreads().values()))

    def submit(blocks: list[Block]) -> object:
        # The sweep goes with every task: data held by workers would be lost with the last of them.
        return client.submit(run_task, sweep, path, blocks, pure=False, key=_key(blocks))

    completed = as_completed([submit(blocks) for blocks in islice(work, size)], with_results=True)
    try:
        for future, outcome in completed:
            if not isinstance(outcome, Outcome):
                raise WorkersLost(f"{type(outcome).__name__}: {outcome}")
            future.release()
            yield outcome
            for blocks in islice(work, 1):
                completed.add(submit(blocks))
    finally:
        client.cancel(list(completed.futures), force=True)


def _key(blocks: list[Block]) -> tuple[str, tuple[int, ...], int]:
    import uuid

    first = blocks[0]
    return (f"block-{uuid.uuid4().hex[:8]}", first.cell.index, first.start)


def local_client(workers: int | None = None) -> Client:
    """Start one-thread worker processes with one BLAS thread each on this machine.

    Parameters
    ----------
    workers
        Number of processes; the number of usable cores if None.

    Returns
    -------
    distributed.Client
        Closing it closes the workers.
    """
    from dask.system import CPU_COUNT
    from distributed import Client

    with _interrupts_wait() as interrupted:
        client = Client(
            n_workers=workers or CPU_COUNT,
            threads_per_worker=1,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
            worker_dashboard_address=None,
            memory_limit=0,
            preload=["pipeline.worker"],
        )
    if interrupted:
        client.close()
        raise KeyboardInterrupt
    return client


@contextmanager
def _interrupts_wait() -> Iterator[list[int]]:
    """Note a Ctrl-C and go on; what starts meanwhile never sees one.

    A terminal sends it to all processes of a run. It is the driver's to answer, and a worker or a
    cluster that is interrupted half-started would answer with tracebacks. Children inherit the blocked
    signal; the driver's other threads may still take it, so it has a handler as well.
    """
    from multiprocessing import resource_tracker

    noted: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield noted
        return
    resource_tracker.ensure_running()  # its own start would let interrupts through again
    handler = signal.signal(signal.SIGINT, lambda number, frame: noted.append(number))
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield noted
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        signal.signal(signal.SIGINT, handler)
