"""Blocks through Dask into the store, in a bounded window.

The driver keeps a few tasks per worker in flight, whatever the size of the sweep: a task computes
its blocks, writes each into the store as soon as it is done, and sends back three numbers. So
nothing is held by a worker that could be lost with it, and the driver's memory does not grow with
the number of trials. A task whose workers died under it is handed out again, to be filled carefully.
"""

from __future__ import annotations

import errno
import logging
import queue
import uuid
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, suppress
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from threadpoolctl import threadpool_limits

from pipeline import store as stores
from pipeline.blocks import Block, tasks
from pipeline.errors import StoreFull, WorkersLost
from pipeline.execution.fill import Outcome, fill
from pipeline.execution.worker import keep_freed_memory, settle
from pipeline.store import lease
from pipeline.store.location import normal, place
from pipeline.sweep import Sweep
from pipeline.sweep_files.load import load_sweep

if TYPE_CHECKING:
    from distributed import Client, Future

__all__ = ["run", "run_task"]

TASKS_PER_WORKER = 3
"""In flight: one running, two waiting on the worker, so that it is never idle between tasks."""

LOOKS = 3
"""Looks at what is left after a run, each with another go at it."""

ASK_SECONDS = 5.0
"""For an answer of all workers; one may hang."""

LOOK_UP = 1.0
"""Seconds after which a driver that waits for a task looks whether it is to end."""

log = logging.getLogger("widthlaw")


def run(
    sweep: Sweep | str | Path,
    store: str | Path,
    client: Client | None = None,
    *,
    retry_failed: bool = False,
    progress: Callable[[Outcome, Outcome], None] | None = None,
    held: lease.Held | None = None,
    draining: Callable[[], bool] = lambda: False,
) -> Outcome:
    """Fill the store of a sweep; what is there already is not computed again.

    Parameters
    ----------
    sweep
        What to compute: a Sweep, or what `load_sweep` takes.
    store
        Path or s3:// URL of the store; made if nothing is there, resumed if it belongs to this sweep.
    client
        A Dask client whose workers reach the path; None computes in this process, block by block, and
        has it keep the memory that is freed (up to 128 MiB, with glibc).
    retry_failed
        Compute failed trials again.
    progress
        Called with (this task, all so far) after every task.
    held
        The store's lease, where the caller holds it already.
    draining
        Asked once a second and after every task; once it says True nothing more is handed out, and
        the call returns when what runs is done.

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
        The scheduler is gone; what is written stays valid. Workers that are gone are waited for.
    LeaseLost
        Another run has taken the store over; what is written stays valid.
    """
    if not isinstance(sweep, Sweep):
        sweep = load_sweep(sweep)
    path = normal(store)
    stores.open_or_create(path, sweep)
    if held is None:
        with lease.hold(place(path)) as held:
            return _run(sweep, path, client, retry_failed, progress, held, draining)
    return _run(sweep, path, client, retry_failed, progress, held, draining)


def _run(
    sweep: Sweep,
    path: str,
    client: Client | None,
    retry_failed: bool,
    progress: Callable[[Outcome, Outcome], None] | None,
    held: lease.Held,
    draining: Callable[[], bool],
) -> Outcome:
    total = Outcome()

    def ending() -> bool:
        held.check()
        return draining()

    stores.clean(path)
    try:
        # Once more at the end: a worker that was thought dead may have put a block back to what it was.
        for retry in [retry_failed, *[False] * LOOKS]:
            work = list(tasks(stores.todo(path, sweep, retry)))
            if not work or ending():
                break
            with closing(_outcomes(client, sweep, path, work, retry, ending)) as outcomes:
                for outcome in outcomes:
                    total += outcome
                    if total.full:
                        raise StoreFull(errno.EIO, total.full, path)
                    if progress is not None:
                        progress(outcome, total)
    finally:
        stores.clean(path)
    return total


def _outcomes(
    client: Client | None,
    sweep: Sweep,
    path: str,
    work: list[list[Block]],
    retry_failed: bool,
    ending: Callable[[], bool],
) -> Generator[Outcome, None, None]:
    if client is None:
        return _here(sweep, path, iter(work), retry_failed, ending)
    return _Window(client, sweep, path, retry_failed).outcomes(iter(work), ending)


def run_task(
    sweep: Sweep,
    path: str,
    blocks: list[Block],
    retry_failed: bool = False,
    carefully: bool = False,
) -> Outcome:
    """Compute and store some blocks on a worker; safe to run twice, or twice at once."""
    settle()
    total = Outcome()
    for block in blocks:
        total += fill(sweep, path, block, retry_failed=retry_failed, carefully=carefully)
        if total.full:
            break
    log.info("wrote %d trials (%d failed) in %.2f s", total.trials, total.failed, total.seconds)
    return total


def _here(
    sweep: Sweep,
    path: str,
    work: Iterator[list[Block]],
    retry_failed: bool,
    ending: Callable[[], bool],
) -> Generator[Outcome, None, None]:
    keep_freed_memory()
    with threadpool_limits(limits=1):
        for blocks in work:
            for block in blocks:
                if ending():
                    return
                yield fill(sweep, path, block, retry_failed=retry_failed)


class _Window:
    """`TASKS_PER_WORKER` tasks per thread in flight, each under the eye of the driver."""

    def __init__(self, client: Client, sweep: Sweep, path: str, retry_failed: bool) -> None:
        self._client = client
        self._call = (sweep, path)
        self._retry_failed = retry_failed
        self._manned = True
        self._flying: dict[Future[Any], list[Block]] = {}
        self._landed: queue.SimpleQueue[Future[Any]] = queue.SimpleQueue()

    def outcomes(
        self, work: Iterator[list[Block]], ending: Callable[[], bool]
    ) -> Generator[Outcome, None, None]:
        """Go through the outcomes of all tasks, in the order in which they end."""
        from distributed.comm.core import CommClosedError

        try:
            while True:
                drained = ending()
                if drained:
                    self._recall()
                else:
                    self._submit_up_to(self._size(), work)
                if not self._flying:
                    return
                future = self._next()
                if future is not None and future in self._flying:
                    yield from self._land(future, drained)
        except CommClosedError as error:
            raise WorkersLost(f"the scheduler does not answer ({error})") from None
        finally:
            with suppress(CommClosedError):
                self._client.cancel(list(self._flying), force=True)

    def _size(self) -> int:
        """The window follows the workers, which on a cluster come and go."""
        return TASKS_PER_WORKER * max(1, sum(self._client.nthreads().values()))

    def _submit_up_to(self, size: int, work: Iterator[list[Block]]) -> None:
        for blocks in islice(work, max(0, size - len(self._flying))):
            self._submit(blocks)

    def _submit(self, blocks: list[Block], carefully: bool = False) -> None:
        # The sweep goes with every task: data held by workers would be lost with the last of them.
        future = self._client.submit(
            run_task,
            *self._call,
            blocks,
            retry_failed=self._retry_failed,
            carefully=carefully,
            pure=False,
            key=_key(blocks),
        )
        self._flying[future] = blocks
        future.add_done_callback(self._landed.put)

    def _next(self) -> Future[Any] | None:
        try:
            return self._landed.get(timeout=LOOK_UP)
        except queue.Empty:
            if self._client.status != "running":
                raise WorkersLost("the scheduler does not answer") from None
            self._watch_workers()
            return None

    def _watch_workers(self) -> None:
        """Say so, once, where there is nobody to do the work."""
        there = bool(self._client.nthreads())
        if self._manned and not there:
            log.warning("no worker is left; waiting for one")
        self._manned = there

    def _land(self, future: Future[Any], drained: bool) -> Iterator[Outcome]:
        from distributed import KilledWorker

        blocks = self._flying.pop(future)
        if future.status == "finished":
            outcome = future.result()
            future.release()
            yield outcome
            return
        if self._client.status != "running":
            raise WorkersLost("the scheduler does not answer")
        error = future.exception() if future.status == "error" else None
        if error is not None and not isinstance(error, KilledWorker):
            raise error
        if drained:
            return
        for block in blocks:  # one by one: the workers died of one of them, or of none
            self._submit([block], carefully=error is not None)

    def _recall(self) -> None:
        """Take back what no worker has begun."""
        begun = self._begun()
        waiting = [future for future in self._flying if future.key not in begun]
        for future in waiting:
            del self._flying[future]
        self._client.cancel(waiting, force=True)

    def _begun(self) -> set[Any]:
        def executing(dask_worker: Any) -> list[Any]:
            return [task.key for task in dask_worker.state.executing]

        client = self._client
        try:
            keys = client.sync(client._run, executing, on_error="ignore", callback_timeout=ASK_SECONDS)
        except TimeoutError:
            return {future.key for future in self._flying}
        return {key for found in keys.values() for key in found}


def _key(blocks: list[Block]) -> tuple[str, tuple[int, ...], int]:
    first = blocks[0]
    return (f"block-{uuid.uuid4().hex[:8]}", first.cell.index, first.start)
