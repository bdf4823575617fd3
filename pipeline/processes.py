"""The process behind a lease: where it runs, since when, and the mark that proves it to be the holder.

A number names a process only within one boot of one machine and one PID namespace: two containers can
share a host name, and each has its own process 7. The number may also pass to a later process, so the
time of the start belongs to it. All of this is written in a file that others may forge or copy. Before
anybody sends the holder a signal, the process itself must show the mark: an open file of memory whose
name has the secret of its lease and a digest of its store.

Beside that, `in_notebook` tells whether the process runs a notebook.
"""

from __future__ import annotations

import hashlib
import io
import os
import socket
import sys
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import IO, Any

from pipeline.store.location import normal

__all__ = ["boot_id", "end_holder", "in_notebook", "pid_namespace", "runs", "show_mark", "start_time"]

_LINUX = sys.platform == "linux"


@cache
def boot_id() -> str:
    """Return an identifier of this boot of this machine; "" if it is unknown."""
    if not _LINUX:  # no containers there, so the name of the host tells machines apart
        return socket.gethostname()
    with suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return ""


def in_notebook() -> bool:
    """Return whether a Jupyter kernel runs this process."""
    ipython = sys.modules.get("IPython")
    return ipython is not None and hasattr(ipython.get_ipython(), "kernel")


def pid_namespace() -> str:
    """Return the namespace in which this process has its number; "" if it is unknown.

    It is unknown where /proc is that of another namespace: it lists other processes by our numbers.
    """
    if not _LINUX:
        return "all"
    with suppress(OSError):
        if os.readlink("/proc/self") == str(os.getpid()):
            return os.readlink("/proc/self/ns/pid")
    return ""


def start_time(pid: int) -> float:
    """Return the time at which a process started, the same number whenever it is asked for.

    On Linux it counts from the boot, so it does not move when the clock is set.

    Raises
    ------
    OSError
        There is no such process, or it is hidden from this user.
    """
    if _LINUX:
        ticks = _stat(pid)[19]
        return int(ticks) / os.sysconf("SC_CLK_TCK")
    import psutil

    try:
        return float(psutil.Process(pid).create_time())
    except psutil.Error as error:
        raise OSError(str(error)) from None


def _stat(pid: int) -> list[str]:
    """Return the fields of /proc/PID/stat from the state on; the command before may hold anything."""
    entry = "self" if pid == os.getpid() else pid
    return Path(f"/proc/{entry}/stat").read_text(errors="replace").rpartition(")")[2].split()


def runs(pid: int, started: float) -> bool:
    """Return False if a process of this namespace has ended, or its number belongs to a later one."""
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:  # a process of another user
        pass
    try:
        if _LINUX and _stat(pid)[0] in "ZX":  # it has ended, and its parent does not know yet
            return False
        return start_time(pid) == started
    except FileNotFoundError:  # it has just ended, or it is hidden from this user
        return _is_another_users(pid)
    except OSError:
        return True


def _is_another_users(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except OSError:
        pass
    return False


# ---- the mark


def _name(secret: str, store: str) -> str:
    return f"widthlaw-{secret}-{hashlib.sha256(normal(store).encode()).hexdigest()[:16]}"


def show_mark(secret: str, store: str) -> IO[bytes]:
    """Show the mark of a lease in this process until the returned file is closed."""
    if _LINUX:
        with suppress(OSError):  # a sandbox may forbid it; `cancel` then asks for another way
            return os.fdopen(os.memfd_create(_name(secret, store)), "wb")
    return io.BytesIO()


def end_holder(pid: int, started: float, secret: str, store: str) -> str:
    """Send SIGTERM to a process that is proven to hold a lease.

    Returns
    -------
    str
        The reason why it is not proven, and got no signal; else "".
    """
    import psutil

    try:
        process = psutil.Process(pid)
        if process.uids().effective != os.geteuid():
            return f"process {pid} belongs to another user, {process.username()}"
        if not runs(pid, started):
            return f"process {pid} has ended"
        if not _is_marked(process, _name(secret, store)):
            return f"process {pid} shows no sign that it fills this store"
        process.terminate()  # refuses if the number has passed to a later process meanwhile
    except psutil.Error:
        return f"process {pid} has ended, or is hidden"
    return ""


def _is_marked(process: Any, name: str) -> bool:
    if not _LINUX:  # which has no such mark; the command must do
        return "widthlaw" in " ".join(process.cmdline())
    with suppress(OSError):
        for entry in os.scandir(f"/proc/{process.pid}/fd"):
            with suppress(FileNotFoundError):  # closed meanwhile
                if os.readlink(entry.path).startswith(f"/memfd:{name} "):
                    return True
    return False
