"""The one way in which loops are compiled: by numba, single-threaded, kept on disk where possible.

Sums may be reordered (the same machine code still gives the same bits every time), but nothing else
is relaxed: infinities and NaN keep their meaning, by which divergence is told.

`compiled` is for the parts, `entry` for a function that Python calls and that takes seconds to
compile: the first process of a machine compiles it while the others wait, and then load it.
"""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any

import numba

__all__ = ["compiled", "entry"]

RELAXED = {"reassoc", "contract", "nsz", "arcp"}


def compiled(function: Callable[..., Any]) -> Any:
    """Compile a function at its first call; later processes load it from numba's cache."""
    try:
        return numba.njit(function, cache=True, fastmath=RELAXED, nogil=True)
    except RuntimeError:  # no folder that may be written: every process compiles for itself
        return numba.njit(function, fastmath=RELAXED, nogil=True)


def entry(function: Callable[..., Any]) -> Any:
    """Compile a function as `compiled` does, in one process of the machine at a time."""
    dispatcher = compiled(function)
    ready = False

    @wraps(function)
    def call(*arguments: Any) -> Any:
        nonlocal ready
        if not ready:
            with _alone():
                dispatcher.compile(tuple(map(numba.typeof, arguments)))
            ready = True
        return dispatcher(*arguments)

    call.dispatcher = dispatcher  # type: ignore[attr-defined]
    return call


@contextmanager
def _alone() -> Iterator[None]:
    """Hold this user's lock on compiling; it ends with the process, however it ends."""
    path = Path(tempfile.gettempdir()) / f"widthlaw-compile-{os.getuid()}.lock"
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
