"""The lease: a small file in the store that names the run filling it and is renewed meanwhile.

Two runs of one store would not damage it (a block has the same bits whichever run writes it), but they
would compute everything twice. So a run holds the lease, or is refused with the name of the holder. A
lease whose holder is gone is taken over: immediately if the holder was a process of this boot of this
machine and of this PID namespace (`processes`), else when it has not been renewed for `STALE` seconds.
A run whose lease was taken over stops.

A job that waits in a queue holds the lease too, by its number and without renewing it. Only the cluster
knows whether it still waits, so the code that queries the cluster removes such a lease (`drop`).

The file may come from anybody. What is not a lease in form, size or range counts as none.
"""

from __future__ import annotations

import getpass
import json
import os
import re
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from functools import cache
from typing import TYPE_CHECKING

from pipeline import processes
from pipeline.errors import LeaseLost, StoreHeld
from pipeline.printable import one_line
from pipeline.store.location import Location
from pipeline.store.names import LEASE, LEASE_BYTES

if TYPE_CHECKING:
    from pydantic import TypeAdapter

__all__ = ["JOB_NUMBER", "Held", "Job", "Lease", "drop", "end", "hold", "read", "refuse"]

RENEWED_EVERY, STALE = 10.0, 60.0
"""Seconds. The difference allows for clocks that disagree and for a file system that hangs."""

LONGEST, LATEST, LARGEST_PID = 255, 1e11, 2**31 - 1
"""Bounds of a lease: characters of a name, seconds since the epoch, and a process number."""

JOB_NUMBER = r"[0-9]{1,20}(\.[0-9]{1,9})?"
"""Job numbers of all batch systems; HTCondor's have a point."""


@dataclass(frozen=True)
class Job:
    """A job of a cluster that holds the lease, with the facts that `cancel` needs.

    Attributes
    ----------
    system, number
        The batch system, such as ``slurm``, and the job's number there.
    cluster
        Name of the cluster: another cluster may have a job of the same number.
    folder
        The run folder, with scripts, credentials and logs.
    """

    system: str
    number: str
    folder: str
    cluster: str = ""


@dataclass(frozen=True)
class Lease:
    """Content of the file.

    Attributes
    ----------
    run
        Identifier that all jobs of one `submit` share, and all restarts of its controller.
    holder
        Identifier that is new whenever the lease changes hands.
    started
        Start of the holding process (`processes.start_time`); a later one may have the same number.
    renewed
        Seconds since the epoch; None while the job waits in its queue.
    boot, space
        Boot of the machine, and PID namespace, in which the process has its number; "" in a lease of
        0.4.0, whose holder counts as one elsewhere.
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
    boot: str = ""
    space: str = ""

    @property
    def here(self) -> bool:
        """True if the holder has its number in this boot of this machine, and in this namespace."""
        mine = processes.boot_id(), processes.pid_namespace()
        return self.renewed is not None and all(mine) and (self.boot, self.space) == mine

    @property
    def stale(self) -> bool:
        """True if the holder is known to be gone."""
        if self.renewed is None:
            return False
        if self.here and not processes.runs(self.pid, self.started):
            return True
        return abs(time.time() - self.renewed) > STALE  # no honest clock is so far ahead

    @property
    def age(self) -> float:
        """Seconds since the last sign of the holder."""
        return max(0.0, time.time() - (self.renewed or self.since))

    @property
    def who(self) -> str:
        """Description of the holder, for a message."""
        user, host = one_line(self.user), one_line(self.host)
        job = f"job {self.job.number} ({one_line(self.job.system)})" if self.job else ""
        if self.renewed is None:
            return f"{job} of {user} waits to fill it"
        holder = (
            f"{job + ', ' if job else ''}process {self.pid} of {user} on {host}, "
            f"last heard of {self.age:.0f} s ago"
        )
        if self.stale:
            return f"a run that was filling it is gone: {holder}"
        return f"another run is filling it: {holder}"


def read(location: Location) -> Lease | None:
    """Return the lease of a store, None if nobody holds it."""
    return _parse(location.peek(LEASE))


def _parse(text: bytes | None) -> Lease | None:
    """Return the lease in a file, None if it is none: other bytes, another form, absurd values."""
    if text is None or len(text) > LEASE_BYTES:
        return None
    try:
        lease = _form().validate_json(text, strict=True)  # which also bounds the depth
    except ValueError:
        return None
    return lease if _is_sound(lease) else None


@cache
def _form() -> TypeAdapter[Lease]:
    from pydantic import TypeAdapter  # 50 ms, only where there is a lease

    return TypeAdapter(Lease)


def _is_sound(lease: Lease) -> bool:
    """Return True if all values of a lease are possible; NaN is in no range."""
    words = [lease.run, lease.holder, lease.user, lease.host, lease.boot, lease.space]
    times = [lease.started, lease.since, lease.renewed or 0.0]
    if lease.job:
        words += [lease.job.system, lease.job.cluster]
    return (
        all(len(word) <= LONGEST for word in words)
        and bool(lease.run and lease.holder)
        and all(0 <= time < LATEST for time in times)
        and 0 < lease.pid <= LARGEST_PID
        and (lease.job is None or re.fullmatch(JOB_NUMBER, lease.job.number) is not None)
        and (lease.job is not None or lease.renewed is not None)
    )


def _text(lease: Lease) -> bytes:
    return json.dumps(asdict(lease), indent=1).encode()


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container has no user names
        return f"user {os.getuid()}"


def _mine(run: str, job: Job | None, renewed: float | None) -> Lease:
    pid, holder = os.getpid(), uuid.uuid4().hex
    boot, space = processes.boot_id(), processes.pid_namespace()
    began, now = processes.start_time(pid), time.time()
    host = socket.gethostname()
    return Lease(run, holder, _user(), host, pid, began, now, renewed, job, boot, space)


def _take(location: Location, mine: Lease) -> None:
    """Write our own lease over none, a stale one, or one of the same run.

    Raises
    ------
    StoreHeld
        Another run holds the store.
    """
    while True:
        stored = location.peek(LEASE)
        _refuse(location, _parse(stored), mine.run)
        if location.swap(LEASE, stored, _text(mine)):
            return


def _refuse(location: Location, other: Lease | None, run: str = "") -> None:
    if other is not None and not other.stale and other.run != run:
        raise StoreHeld(
            f"store {location.name}: {other.who}; wait for it, watch it with "
            f"`widthlaw status {location.name}`, or end it with `widthlaw cancel {location.name}`"
        )


def end(location: Location, lease: Lease) -> str:
    """Send SIGTERM to the process that holds a lease; return why it got none, or "".

    The process must prove that it is the holder: the file may be forged, or copied from another store.
    """
    if not lease.here:
        return (
            f"process {lease.pid} runs on another machine, in another container, or in an older version"
        )
    return processes.end_holder(lease.pid, lease.started, lease.holder, location.name)


def refuse(location: Location) -> None:
    """Raise StoreHeld if a run holds the store; for a check before anything is started."""
    _refuse(location, read(location))


def drop(location: Location, lease: Lease) -> bool:
    """Remove a lease whose holder is known to be gone; return False if it has changed hands."""
    stored = location.peek(LEASE)
    found = _parse(stored)
    same = found is not None and found.holder == lease.holder
    return same and location.swap(LEASE, stored, None)


class Held:
    """A lease that this process holds, renewed by a thread until `release`."""

    def __init__(self, location: Location, lease: Lease) -> None:
        self._location, self._lease = location, lease
        self._end = threading.Event()
        self._lost = ""
        self._mark = processes.show_mark(lease.holder, location.name)
        self._thread = threading.Thread(target=self._renew, name="lease", daemon=True)
        self._thread.start()

    @property
    def holder(self) -> str:
        """Identifier of the holder, under which blocks are written."""
        return self._lease.holder

    def check(self) -> None:
        """Raise LeaseLost if another run has taken the store over."""
        if self._lost:
            raise LeaseLost(self._lost)

    def confirm(self) -> None:
        """Read the lease, then `check`; for use before an action that only the holder may do."""
        with suppress(Exception):  # the lease cannot be read at the moment
            self._renew_once()
        self.check()

    def _renew(self) -> None:
        while not self._end.wait(RENEWED_EVERY):
            with suppress(Exception):  # a full disk or an unreachable server: retry in ten seconds
                self._renew_once()
            if self._lost:
                return

    def _renew_once(self) -> None:
        stored = self._location.peek(LEASE)
        found = _parse(stored)
        renewed = replace(self._lease, renewed=time.time())
        if found is None:
            self._lost = f"store {self._location.name}: its lease was taken away (`widthlaw cancel`?)"
        elif found.holder != self._lease.holder:
            self._lost = f"store {self._location.name}: taken over: {found.who}"
        elif self._location.swap(LEASE, stored, _text(renewed)):
            self._lease = renewed

    def pass_on(self, job: Job) -> None:
        """Pass the lease on to a job of this run that waits in its queue, or already runs."""
        self._stop()
        waiting = replace(self._lease, holder=uuid.uuid4().hex, renewed=None, job=job)
        self._location.swap(LEASE, _text(self._lease), _text(waiting))  # fails if the job has it

    def release(self) -> None:
        """Give the lease up."""
        self._stop()
        with suppress(Exception):  # otherwise it goes stale
            drop(self._location, self._lease)

    def _stop(self) -> None:
        self._end.set()
        self._thread.join(RENEWED_EVERY)  # it may be waiting for an unreachable server
        self._mark.close()


@contextmanager
def hold(location: Location, run: str | None = None, job: Job | None = None) -> Iterator[Held]:
    """Hold the lease of a store for one run.

    Parameters
    ----------
    location
        The store.
    run
        Identifier of the run that a job was submitted for: the lease of its waiting job, or of its
        dead controller, is taken over.
    job
        The job that this process runs as.

    Raises
    ------
    StoreHeld
        Another run holds it.
    """
    lease = _mine(run or uuid.uuid4().hex, job, renewed=time.time())
    _take(location, lease)
    held = Held(location, lease)
    try:
        yield held
    finally:
        held.release()
