"""Tell a KeyboardInterrupt of the user's from one that a trial raises itself.

Python turns a signal into an exception by a handler, which any library may exchange for its own. Below
the handlers, it writes the number of every signal that has one to a file that a process can name
(`signal.set_wakeup_fd`), before any handler runs. An exception without a byte there is nobody's Ctrl-C.
Whatever leaves a doubt counts as Ctrl-C, which must never be lost: no file was named, another has taken
its place, or a byte came of whatever signal.
"""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from threading import current_thread, main_thread

__all__ = ["may_be_ctrl_c", "watched"]

PASSING_SECONDS = 0.05
"""Time that another thread, which has taken the signal, may need to write it."""

_NONE = -1


class _Watch:
    """The ends of the pipe that signals are written to; `_NONE` outside of `watched`."""

    reads = writes = _NONE


@contextmanager
def watched() -> Iterator[None]:
    """Watch for signals in this block; do nothing where another already does, as loops of events do."""
    if current_thread() is not main_thread() or _Watch.reads != _NONE:
        yield
        return
    reads, writes = os.pipe()
    os.set_blocking(reads, False)
    os.set_blocking(writes, False)
    before = signal.set_wakeup_fd(writes, warn_on_full_buffer=False)
    if before != _NONE:
        signal.set_wakeup_fd(before)
    else:
        _Watch.reads, _Watch.writes = reads, writes
    try:
        yield
    finally:
        if before == _NONE:
            _Watch.reads = _Watch.writes = _NONE
            signal.set_wakeup_fd(_NONE)
        os.close(reads)
        os.close(writes)


def may_be_ctrl_c() -> bool:
    """Return whether a KeyboardInterrupt of this thread may come from the user.

    Python tells only its main thread of signals.
    """
    if current_thread() is not main_thread():
        return False
    if _Watch.reads == _NONE:
        return True
    if (now := signal.set_wakeup_fd(_Watch.writes, warn_on_full_buffer=False)) != _Watch.writes:
        signal.set_wakeup_fd(now)
        return True
    return bool(select.select([_Watch.reads], [], [], PASSING_SECONDS)[0])
