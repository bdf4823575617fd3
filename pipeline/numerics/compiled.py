"""Compilation of loops: by numba, single-threaded, cached on disk where possible.

Sums may be reordered (the same machine code still gives the same bits every time), but nothing else
is relaxed: infinities and NaN keep their meaning, since divergence is detected by them.

Use `compiled` for the parts, `in_order` for parts whose sums must not be reordered, and `entry` for a
function that Python calls and that takes seconds to compile: the first process on a machine compiles
it while the others wait and then load it. What takes long is `announced`, and `compile_time` tells the
time that compiling, loading and waiting have taken, which is no part of the cost of a trial.

numba's cache is keyed on a function's own file only, not on its callees. Hence one cache folder per
hash of all compiled sources: another version of widthlaw never runs the machine code of this one.
What the cache holds is executed. So it lies in a folder that no other user can change; without such a
folder every process compiles for itself.
"""

from __future__ import annotations

import fcntl
import hashlib
import logging
import os
import platform
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from importlib.resources import files
from pathlib import Path
from typing import Any

import numba
from numba.core import event
from platformdirs import user_cache_dir

from pipeline.numerics.compile_time import SPENT
from pipeline.numerics.private_folder import NotPrivate, private_folder

__all__ = ["announced", "compiled", "compiled_sources", "entry", "in_order", "inlined"]

CONFIG: Any = numba.config
EVENTS: Any = event

REGISTER = Path("numerics", "activations", "__init__.py")

PATIENCE = 120.0
"""Seconds for which a process waits for another one that compiles, before it compiles for itself."""

WARNED = "WIDTHLAW_WARNED_OF_CACHE"
"""Variable of the environment with the last warning about the cache folder."""

ANNOUNCEMENT = "compiling the training loop: up to a minute, once for this machine and version"

AGAIN = 600.0
"""Seconds after which a compilation is announced again: the parts of one are a single line."""

log = logging.getLogger("widthlaw")

RELAXED = frozenset({"reassoc", "contract", "nsz", "arcp"})


def compiled_sources() -> list[Path]:
    """Return the files that decide the machine code: compiled functions, this file, and the register.

    The register of activations numbers the functions between which the loop chooses.
    """
    package = Path(str(files("pipeline")))
    marks = (b"\nfrom pipeline.numerics.compiled import", b"\nfrom pipeline.numerics import compiled")
    found = {path for path in package.rglob("*.py") if any(mark in path.read_bytes() for mark in marks)}
    return sorted(found | {Path(__file__), package / REGISTER})


def _cache_folder() -> Path | None:
    """Return the cache folder of compiled code; None if no folder is closed to other users.

    It is inside `NUMBA_CACHE_DIR` if that is set and safe, else inside the user's own cache folder.
    """
    sources = b"".join(path.read_bytes() for path in compiled_sources())
    name = hashlib.sha256(sources).hexdigest()[:16]
    refused = []
    for top in filter(None, (CONFIG.CACHE_DIR, _user_folder())):
        try:
            folder = private_folder(Path(top), name)
        except NotPrivate as error:
            refused.append(str(error))
            continue
        if refused:
            _warn_once(f"NUMBA_CACHE_DIR is not used: {refused[0]}; {top} is used instead")
        return folder
    reasons = "; ".join(refused) or "this user has no home"
    _warn_once(
        f"compiled code is not kept, and every process compiles for itself: {reasons}; "
        "set NUMBA_CACHE_DIR to a folder of your own that others cannot write"
    )
    return None


def _warn_once(text: str) -> None:
    """Log a warning, unless the process that started this one has done so."""
    if os.environ.get(WARNED) != text:
        log.warning("%s", text)
        os.environ[WARNED] = text  # worker processes inherit it


def _user_folder() -> str | None:
    """Return the user's own cache folder of widthlaw; None for a user without a home."""
    try:
        folder = user_cache_dir("widthlaw")
    except RuntimeError:  # neither HOME nor an entry in the list of users
        return None
    return folder if os.path.isabs(folder) else None  # else it would depend on the working folder


CACHE_FOLDER = _cache_folder()


def compiled(function: Callable[..., Any], **more: Any) -> Any:
    """Compile a function at its first call; later processes load it from the cache folder."""
    # error_model: checks of divisors would prevent vectorisation
    options: Any = {"fastmath": set(RELAXED), "nogil": True, "error_model": "numpy", "cache": True}
    options |= more
    if CACHE_FOLDER is None:
        return numba.njit(function, **(options | {"cache": False}))
    elsewhere = CONFIG.CACHE_DIR
    CONFIG.CACHE_DIR = str(CACHE_FOLDER)
    try:
        return numba.njit(function, **options)
    except RuntimeError:  # no writable folder: every process compiles for itself
        return numba.njit(function, **(options | {"cache": False}))
    finally:
        CONFIG.CACHE_DIR = elsewhere


def inlined(function: Callable[..., Any], **more: Any) -> Any:
    """Compile a function like `compiled`, but inline: a call would count references to its arrays."""
    return compiled(function, forceinline=True, **more)


def in_order(function: Callable[..., Any]) -> Any:
    """Compile a function inline, with its sums in the order in which they are written.

    A call would prevent vectorisation of the loop around it, and the compiler does not inline long
    functions by itself.
    """
    return inlined(function, fastmath=set(RELAXED - {"reassoc"}))


class _Clock(event.Listener):
    """The time that this process has spent on compiling and loading; nested parts count once."""

    def __init__(self) -> None:
        self._depth, self._began = 0, 0.0

    def on_start(self, event: Any) -> None:
        if self._depth == 0:
            self._began = time.perf_counter()
        self._depth += 1

    def on_end(self, event: Any) -> None:
        self._depth -= 1
        if self._depth == 0:
            SPENT.seconds += time.perf_counter() - self._began


class _Announcer(event.Listener):
    """Says that an entry is being compiled, in one process of the machine."""

    def __init__(self) -> None:
        self.entries: set[Any] = set()
        self._last = -AGAIN

    def on_start(self, event: Any) -> None:
        if event.data["dispatcher"] not in self.entries or time.monotonic() - self._last < AGAIN:
            return
        self._last = time.monotonic()
        if not _announced_elsewhere():
            log.warning(ANNOUNCEMENT)

    def on_end(self, event: Any) -> None:
        pass


ANNOUNCER = _Announcer()
EVENTS.register("numba:compiler_lock", _Clock())
EVENTS.register("numba:compile", ANNOUNCER)


def _announced_elsewhere() -> bool:
    """Return True if a process has announced a compilation lately; if not, note that this one has."""
    handle = _open_beside("announced")
    if handle is None:
        return False
    try:
        there = os.fstat(handle)
        if there.st_size and abs(time.time() - there.st_mtime) < AGAIN:
            return True
        os.pwrite(handle, b"1", 0)
        return False
    except OSError:
        return False
    finally:
        os.close(handle)


def entry(function: Callable[..., Any]) -> Any:
    """Compile a function like `compiled`, but in one process of the machine at a time.

    It is compiled anew for other types of arrays, such as float32. Other arguments have the same types
    at every call.
    """
    dispatcher = compiled(function)
    ready: set[tuple[Any, ...]] = set()

    @wraps(function)
    def call(*arguments: Any) -> Any:
        # a hundredth of the time of numba.typeof
        types = tuple([getattr(one, "dtype", None) for one in arguments])
        if types not in ready:
            with _alone():
                dispatcher.compile(tuple(map(numba.typeof, arguments)))
            ready.add(types)
        return dispatcher(*arguments)

    call.dispatcher = dispatcher  # type: ignore[attr-defined]
    return call


def announced(call: Any) -> Any:
    """Announce the compilation of an `entry` that takes long."""
    ANNOUNCER.entries.add(call.dispatcher)
    return call


@contextmanager
def _alone() -> Iterator[None]:
    """Hold this user's lock on compiling, which is released when the process ends, even by a crash.

    It only saves work: without a folder for it, or when another process holds it for too long, this
    process goes on.
    """
    handle = _open_beside("compile")
    try:
        if handle is not None:
            began = time.perf_counter()
            _wait_for(handle)
            SPENT.seconds += time.perf_counter() - began
        yield
    finally:
        if handle is not None:
            os.close(handle)


def _open_beside(name: str) -> int | None:
    """Open a file of this machine, which lies with the compiled code; None if that is impossible."""
    if CACHE_FOLDER is None:
        return None
    path = CACHE_FOLDER / f"{name}-{platform.node()}.lock"
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError:
        return None


def _wait_for(handle: int) -> None:
    """Wait until the lock is ours, for at most `PATIENCE` seconds."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() > deadline:
                log.warning("another process compiles for over %g s; this one does not wait", PATIENCE)
                return
        except OSError:  # a file system without locks
            return
        time.sleep(0.05)
