"""The lease: a small file in the store that says who is filling it, renewed while that goes on.

Two runs of one store would not spoil it (a block has the same bits whoever writes it), but they would
do everything twice. So a run holds the lease, or is refused with the name of who does. A lease whose
holder is gone is taken over: at once where the holder was a process of this machine, else when it has
not been renewed for `STALE` seconds. A run that finds its lease taken over stops.

A job that waits in a queue holds the lease as well, by its number and without renewing it: only the
cluster knows whether it still waits, so whoever asks the cluster takes such a lease away (`drop`).
"""

from __future__ import annotations

import getpass
import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace

from pipeline.errors import LeaseLost, StoreHeld
from pipeline.store.location import Place

__all__ = ["Held", "Job", "Lease", "drop", "hold", "read", "refuse"]

KEY = ".lease.json"

RENEWED_EVERY, STALE = 10.0, 60.0
"""Seconds. The difference is left for clocks that disagree and for a file system that hangs."""


@dataclass(frozen=True)
class Job:
    """A job of a cluster: whose it is to hold the lease, and what `cancel` needs.

    Attributes
    ----------
    system, number
        The batch system, such as ``slurm``, and the job's number there.
    cluster
        Which of all clusters of that system: another has a job of the same number.
    folder
        The run folder, with scripts, credentials and logs.
    """

    system: str
    number: str
    folder: str
    cluster: str = ""


@dataclass(frozen=True)
class Lease:
    """What the file says.

    Attributes
    ----------
    run
        One for all jobs of one `submit`, and for all restarts of its controller.
    holder
        A new one whenever the lease changes hands.
    started
        When the holding process was created; tells it from a later one of the same number.
    renewed
        Seconds since the epoch; None while the job waits in its queue.
    """

    run: str
    holder: str
    user: str
    host: str
    pid: int
    started: float
    since: float
    renewed: float | None
    job: Job | None = None

    @property
    def here(self) -> bool:
        """Whether the holder is a process of this machine."""
        return self.renewed is not None and self.host == socket.gethostname()

    @property
    def stale(self) -> bool:
        """Whether the holder is gone, as far as can be told from here."""
        if self.renewed is None:
            return False
        if self.here and not _runs(self.pid, self.started):
            return True
        return time.time() - self.renewed > STALE

    @property
    def age(self) -> float:
        """Seconds since the holder was last heard of."""
        return max(0.0, time.time() - (self.renewed or self.since))

    @property
    def who(self) -> str:
        """The holder, for a message."""
        if self.renewed is None and self.job:
            return f"job {self.job.number} ({self.job.system}) of {self.user} waits to fill it"
        job = f"job {self.job.number} ({self.job.system}), " if self.job else ""
        return (
            f"another run is filling it: {job}process {self.pid} of {self.user} on {self.host}, "
            f"last heard of {self.age:.0f} s ago"
        )


def read(place: Place) -> Lease | None:
    """Return the lease of a store, None where nobody holds it."""
    return _parse(place.read(KEY))


def _parse(text: bytes | None) -> Lease | None:
    if text is None:
        return None
    try:
        fields = json.loads(text)
        job = fields.pop("job")
        return Lease(**fields, job=Job(**job) if job else None)
    except (ValueError, TypeError, KeyError, AttributeError):
        return None  # not ours, or of another version: as good as none


def _text(lease: Lease) -> bytes:
    return json.dumps(asdict(lease), indent=1).encode()


def _runs(pid: int, started: float) -> bool:
    import psutil

    try:
        process = psutil.Process(pid)
        return process.status() != psutil.STATUS_ZOMBIE and abs(process.create_time() - started) < 2
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:  # another user's: it is there
        return True


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container knows no names
        return f"user {os.getuid()}"


def _mine(run: str, job: Job | None, renewed: float | None) -> Lease:
    import psutil

    now = time.time()
    pid = os.getpid()
    user, host = _user(), socket.gethostname()
    began = psutil.Process(pid).create_time()
    return Lease(run, uuid.uuid4().hex, user, host, pid, began, now, renewed, job)


def _take(place: Place, mine: Lease) -> None:
    """Write one's own lease over none, a stale one, or one of the same run.

    Raises
    ------
    StoreHeld
        Someone else holds the store.
    """
    while True:
        there = place.read(KEY)
        _refuse(place, _parse(there), mine.run)
        if place.swap(KEY, there, _text(mine)):
            return


def _refuse(place: Place, other: Lease | None, run: str = "") -> None:
    if other is not None and not other.stale and other.run != run:
        raise StoreHeld(
            f"store {place.name}: {other.who}; wait for it, watch it with "
            f"`widthlaw status {place.name}`, or end it with `widthlaw cancel {place.name}`"
        )


def refuse(place: Place) -> None:
    """Raise StoreHeld where someone holds the store; for a check before anything is started."""
    _refuse(place, read(place))


def drop(place: Place, lease: Lease) -> bool:
    """Take a lease away whose holder is known to be gone; False where it has changed hands."""
    there = place.read(KEY)
    found = _parse(there)
    same = found is not None and found.holder == lease.holder
    return same and place.swap(KEY, there, None)


class Held:
    """A lease that is held: renewed by a thread of its own until `release`."""

    def __init__(self, place: Place, lease: Lease) -> None:
        self._place, self._lease = place, lease
        self._end = threading.Event()
        self._lost = ""
        self._thread = threading.Thread(target=self._renew, name="lease", daemon=True)
        self._thread.start()

    def check(self) -> None:
        """Raise LeaseLost where someone else has taken the store over."""
        if self._lost:
            raise LeaseLost(self._lost)

    def confirm(self) -> None:
        """As `check`, with a look at the store: before what only the holder may do."""
        with suppress(Exception):  # it cannot be told now
            self._renew_once()
        self.check()

    def _renew(self) -> None:
        while not self._end.wait(RENEWED_EVERY):
            with suppress(Exception):  # a full disk or a server that is away: again in ten seconds
                self._renew_once()
            if self._lost:
                return

    def _renew_once(self) -> None:
        there = self._place.read(KEY)
        found = _parse(there)
        renewed = replace(self._lease, renewed=time.time())
        if found is None:
            self._lost = f"store {self._place.name}: its lease was taken away (`widthlaw cancel`?)"
        elif found.holder != self._lease.holder:
            self._lost = f"store {self._place.name}: taken over: {found.who}"
        elif self._place.swap(KEY, there, _text(renewed)):
            self._lease = renewed

    def pass_on(self, job: Job) -> None:
        """Leave the store to a job of this run that waits in its queue, or runs already."""
        self._stop()
        waiting = replace(self._lease, holder=uuid.uuid4().hex, renewed=None, job=job)
        self._place.swap(KEY, _text(self._lease), _text(waiting))  # not if the job has it by now

    def release(self) -> None:
        """Give the store back."""
        self._stop()
        with suppress(Exception):  # it goes stale by itself
            drop(self._place, self._lease)

    def _stop(self) -> None:
        self._end.set()
        self._thread.join(RENEWED_EVERY)  # it may be waiting for a server that is away


@contextmanager
def hold(place: Place, run: str | None = None, job: Job | None = None) -> Iterator[Held]:
    """Hold the store for one run.

    Parameters
    ----------
    place
        Of the store.
    run
        That a job was submitted for: its waiting lease, or that of its dead controller, is taken over.
    job
        The job that this process is.

    Raises
    ------
    StoreHeld
        Another run holds it.
    """
    lease = _mine(run or uuid.uuid4().hex, job, renewed=time.time())
    _take(place, lease)
    held = Held(place, lease)
    try:
        yield held
    finally:
        held.release()
