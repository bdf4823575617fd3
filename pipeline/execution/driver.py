"""Running tiles through Dask into the store, in a bounded window.

The driver keeps a few tasks per worker in flight, whatever the size of the sweep: a task computes
its tiles, writes each to the store as soon as it is done, and returns three numbers. So no worker
holds results that would be lost with it, and the driver's memory does not grow with the number of
trials. A task whose workers died is submitted again, and its tiles are filled carefully.
"""

from __future__ import annotations

import errno
import logging
import pickle
import queue
import uuid
import zlib
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import CancelledError
from contextlib import ExitStack, closing, suppress
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.blocks import Tile, tasks
from pipeline.errors import LeaseLost, StoreFull, WorkersLost
from pipeline.execution.fill import Outcome, fill
from pipeline.execution.local import restore_workers
from pipeline.execution.measure import with_cost
from pipeline.execution.progress import reporting
from pipeline.execution.worker import keep_freed_memory, one_thread, settle
from pipeline.experiments import require_code
from pipeline.keyboard import watched
from pipeline.store import Store, lease, open_or_create
from pipeline.store.location import Location, locate, normal
from pipeline.sweep import Sweep
from pipeline.sweep_files.load import load_sweep

if TYPE_CHECKING:
    from distributed import Client, Future

__all__ = ["packed", "run", "run_task"]

TASKS_PER_WORKER = 3
"""Tasks in flight: one running, two waiting on the worker, so that it is never idle between tasks."""

MORE_PASSES = 3
"""Further passes over the store after the first, each for the tiles that are still pending."""

ANSWER_SECONDS = 5.0
"""Timeout for an answer of all workers; one may hang."""

POLL_SECONDS = 1.0
"""Interval at which a driver that waits for a task checks whether it should stop."""

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
    bar: bool | None = None,
) -> Outcome:
    """Fill the store of a sweep; trials that are done already are not computed again.

    Parameters
    ----------
    sweep
        A Sweep, or an argument of `load_sweep`.
    store
        Path or s3:// URL of the store; made if nothing is there, resumed if it belongs to this sweep.
    client
        A Dask client whose workers reach the path; None computes in this process, tile by tile, and
        makes it keep freed memory (up to 128 MiB, with glibc).
    retry_failed
        Compute failed trials again.
    progress
        Called with the outcomes of (this task, all tasks so far) after every task. Without it, the
        logger `widthlaw` gets a line every ten seconds (at the level INFO), and a bar may be drawn.
    held
        The store's lease, if the caller holds it already.
    draining
        Called once a second and after every task; once it returns True no further task is submitted,
        and the call returns when the running ones are done.
    bar
        Whether to draw a bar of the trials; None draws one at a terminal, and shows the store with its
        phase diagram in a notebook.

    Returns
    -------
    Outcome
        Trials computed by this call, how many of them failed, and the seconds spent in numerics.

    Raises
    ------
    StoreError
        The path holds something else, or another run holds the store.
    CodeError
        The sweep is that of a store, which keeps no code, and the experiment is one's own.
    StoreFull
        Writing to the store failed; what is written stays valid.
    WorkersLost
        The scheduler is gone; what is written stays valid. If only workers are gone, the call waits
        for new ones.
    LeaseLost
        Another run has taken the store over; what is written stays valid.

    Examples
    --------
    >>> import tempfile
    >>> import pipeline
    >>> folder = tempfile.TemporaryDirectory()
    >>> outcome = pipeline.run("tiny", f"{folder.name}/tiny.zarr")
    >>> outcome.trials, outcome.failed
    (720, 0)
    >>> pipeline.run("tiny", f"{folder.name}/tiny.zarr").trials  # the same call again resumes
    0
    """
    if not isinstance(sweep, Sweep):
        sweep = load_sweep(sweep)
    require_code(sweep, f"store {store}")
    if not locate(normal(store)).exists():
        sweep, told = with_cost(sweep)
        if told:
            log.info("%s", told)
    opened = open_or_create(normal(store), sweep)
    location, sweep = opened.location, opened.sweep
    with ExitStack() as stack:
        if held is None:
            held = stack.enter_context(lease.hold(location))
        if progress is None:
            progress = stack.enter_context(reporting(opened, retry_failed, bar))
        return _run(location, sweep, client, retry_failed, progress, held, draining)


def _run(
    location: Location,
    sweep: Sweep,
    client: Client | None,
    retry_failed: bool,
    progress: Callable[[Outcome, Outcome], None],
    held: lease.Held,
    draining: Callable[[], bool],
) -> Outcome:
    store, total = Store(location, sweep, held.holder), Outcome()

    def ending() -> bool:
        held.check()
        return draining()

    store.clean()
    try:
        # Several passes: a worker that was thought dead may have restored old statuses of a tile.
        for retry in [retry_failed, *[False] * MORE_PASSES]:
            with store.while_ours():
                work = list(tasks(store.pending_tiles(retry)))
            if not work or ending():
                break
            with closing(_outcomes(client, store, work, retry, ending)) as outcomes:
                for outcome in outcomes:
                    total += outcome
                    if total.lost:
                        raise LeaseLost(total.lost)
                    if total.full:
                        raise StoreFull(errno.EIO, total.full, store.location.name)
                    progress(outcome, total)
    finally:
        with suppress(LeaseLost):  # what another run holds is not ours to clean
            store.clean()
    return total


def _outcomes(
    client: Client | None,
    store: Store,
    work: list[list[Tile]],
    retry_failed: bool,
    ending: Callable[[], bool],
) -> Generator[Outcome, None, None]:
    if client is None:
        return _here(store, iter(work), retry_failed, ending)
    return _Window(client, store, retry_failed).outcomes(iter(work), ending)


def packed(store: Store) -> bytes:
    """Return a store with its sweep as bytes, for `run_task`.

    Dask copies what a task carries, in the driver too, and frees it late: a sweep of a million seeds as
    Python numbers would be 36 MB for each task, and is some hundred kB here.
    """
    return zlib.compress(pickle.dumps(store), 1)


def run_task(
    store: bytes, tiles: Iterable[Tile], retry_failed: bool = False, carefully: bool = False
) -> Outcome:
    """Compute and store some tiles on a worker; safe to run twice, even at the same time."""
    unpacked: Store = pickle.loads(zlib.decompress(store))  # as safe as the task that Dask unpickled
    settle()
    total = Outcome()
    for tile in tiles:
        total += fill(unpacked, tile, retry_failed=retry_failed, carefully=carefully)
        if total.full or total.lost:
            break
    log.info("wrote %d trials (%d failed) in %.2f s", total.trials, total.failed, total.seconds)
    return total


def _here(
    store: Store,
    work: Iterator[list[Tile]],
    retry_failed: bool,
    ending: Callable[[], bool],
) -> Generator[Outcome, None, None]:
    """Compute tiles one by one in this process."""
    keep_freed_memory()
    with one_thread(), watched():
        for tiles in work:
            for tile in tiles:
                if ending():
                    return
                yield fill(store, tile, retry_failed=retry_failed)


class _Window:
    """A bounded window of tasks: `TASKS_PER_WORKER` per thread in flight."""

    def __init__(self, client: Client, store: Store, retry_failed: bool) -> None:
        self._client = client
        self._store = packed(store)
        self._retry_failed = retry_failed
        self._has_workers = True
        self._in_flight: dict[Future[Any], list[Tile]] = {}
        self._finished: queue.SimpleQueue[Future[Any]] = queue.SimpleQueue()

    def outcomes(
        self, work: Iterator[list[Tile]], ending: Callable[[], bool]
    ) -> Generator[Outcome, None, None]:
        """Yield the outcomes of all tasks in the order in which they end."""
        from distributed.comm.core import CommClosedError

        try:
            while True:
                drained = ending()
                if drained:
                    self._recall()
                else:
                    restore_workers(self._client)
                    self._submit_up_to(self._size(), work)
                if not self._in_flight:
                    return
                future = self._next()
                if future is not None and future in self._in_flight:
                    yield from self._finish(future, drained)
        except CommClosedError as error:
            raise WorkersLost(f"the scheduler does not answer ({error})") from None
        finally:
            with suppress(CommClosedError):
                self._client.cancel(list(self._in_flight), force=True)

    def _size(self) -> int:
        """Return the number of tasks for the workers of this moment; on a cluster they come and go."""
        return TASKS_PER_WORKER * max(1, sum(self._client.nthreads().values()))

    def _submit_up_to(self, size: int, work: Iterator[list[Tile]]) -> None:
        for tiles in islice(work, max(0, size - len(self._in_flight))):
            self._submit(tiles)

    def _submit(self, tiles: list[Tile], carefully: bool = False) -> None:
        # Every task carries the store and its sweep: data kept on workers would be lost with the last.
        future = self._client.submit(
            run_task,
            self._store,
            tiles,
            retry_failed=self._retry_failed,
            carefully=carefully,
            pure=False,
            key=_key(tiles),
        )
        self._in_flight[future] = tiles
        future.add_done_callback(self._finished.put)

    def _next(self) -> Future[Any] | None:
        try:
            return self._finished.get(timeout=POLL_SECONDS)
        except queue.Empty:
            if self._client.status != "running":
                raise WorkersLost("the scheduler does not answer") from None
            self._watch_workers()
            return None

    def _watch_workers(self) -> None:
        """Warn once when no worker is left."""
        has_workers = bool(self._client.nthreads())
        if self._has_workers and not has_workers:
            log.warning("no worker is left; waiting for one")
        self._has_workers = has_workers

    def _finish(self, future: Future[Any], drained: bool) -> Iterator[Outcome]:
        from distributed import KilledWorker

        tiles = self._in_flight.pop(future)
        error = future.exception() if future.status == "error" else None
        if future.status == "finished":
            try:
                outcome = future.result()
            except (KilledWorker, CancelledError) as lost:  # with its worker, before it came here
                error = lost if isinstance(lost, KilledWorker) else None
            else:
                future.release()
                yield outcome
                return
        if self._client.status != "running":
            raise WorkersLost("the scheduler does not answer")
        if error is not None and not isinstance(error, KilledWorker):
            raise error
        if drained:
            return
        for tile in tiles:  # one by one: at most one of them has killed the workers
            self._submit([tile], carefully=error is not None)

    def _recall(self) -> None:
        """Cancel the tasks that no worker has begun."""
        begun = self._begun()
        waiting = [future for future in self._in_flight if future.key not in begun]
        for future in waiting:
            del self._in_flight[future]
        self._client.cancel(waiting, force=True)

    def _begun(self) -> set[Any]:
        def executing(dask_worker: Any) -> list[Any]:
            return [task.key for task in dask_worker.state.executing]

        client = self._client
        try:
            keys = client.sync(
                client._run, executing, on_error="ignore", callback_timeout=ANSWER_SECONDS
            )
        except TimeoutError:
            return {future.key for future in self._in_flight}
        return {key for found in keys.values() for key in found}


def _key(tiles: list[Tile]) -> tuple[str, tuple[int, ...], int]:
    first = tiles[0]
    return (f"tile-{uuid.uuid4().hex[:8]}", first.corner, first.first.start)
