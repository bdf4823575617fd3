"""The one way out: all that a command prints passes a stream that escapes control characters.

Tables, errors, tracebacks, the log and Python's warnings all end at sys.stdout or sys.stderr. While
`escaped_output` is entered, both are streams that show \\x1b where a raw one would let a terminal obey.
The commands themselves print nothing but text and line ends; only the progress bar needs a carriage
return, and has a stream of its own (`bar_stream`).
"""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO, cast

from pipeline.printable import printable

__all__ = ["bar_stream", "escaped_output"]


class _Escaped(io.TextIOBase):
    """A text stream over another one.

    It has no `buffer`, through which bytes would pass unseen.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        self._stream.write(printable(text))
        return len(text)

    def flush(self) -> None:
        self._stream.flush()

    def fileno(self) -> int:
        return self._stream.fileno()

    def isatty(self) -> bool:
        return self._stream.isatty()

    def writable(self) -> bool:
        return True

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._stream.encoding

    @property
    def errors(self) -> str | None:  # type: ignore[override]
        return self._stream.errors


class _Bar(_Escaped):
    """A stream for a progress bar, which starts every drawing with a carriage return."""

    def write(self, text: str) -> int:
        if text.startswith("\r"):
            self._stream.write("\r")
        return super().write(text.removeprefix("\r"))


@contextmanager
def escaped_output() -> Iterator[None]:
    """Escape control characters in all that is written to sys.stdout and sys.stderr meanwhile."""
    raw = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = _escaped(sys.stdout), _escaped(sys.stderr)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = raw


def _escaped(stream: TextIO) -> TextIO:
    if stream is None:  # a process without this stream
        return stream
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors="backslashreplace")  # rather than fail on a narrow encoding
    return cast(TextIO, _Escaped(stream))


def bar_stream() -> TextIO:
    """Return the stream for a progress bar on stderr."""
    return cast(TextIO, _Bar(sys.stderr._stream if isinstance(sys.stderr, _Escaped) else sys.stderr))
