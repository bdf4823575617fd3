"""Opening the files that a user names: only regular files, and only up to a size.

A named pipe would be waited for without end, a device may never end, and a file that is larger than
memory would be read until the process is killed. Callers add the name of the file to the message.
"""

from __future__ import annotations

import io
import os
import stat
from pathlib import Path
from typing import BinaryIO

__all__ = ["UnusableFile", "in_bytes", "open_input", "read_input"]

KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


class UnusableFile(Exception):
    """A file cannot be read; the message tells what was got and expected.

    Attributes
    ----------
    missing
        True if there is no such file.
    """

    def __init__(self, text: str, missing: bool = False) -> None:
        super().__init__(text)
        self.missing = missing


def open_input(path: Path, most: int) -> BinaryIO:
    """Open a regular file for reading.

    Parameters
    ----------
    path
        The file; symbolic links are followed.
    most
        Largest size, in bytes.

    Raises
    ------
    UnusableFile
        It is missing, no regular file, too large, or may not be read.
    """
    try:
        _check(os.stat(path), most)  # first, because opening a device can already have an effect
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except FileNotFoundError:
        raise UnusableFile("not found", missing=True) from None
    except OSError as error:
        raise UnusableFile(f"cannot be read ({error.strerror})") from None
    except ValueError:
        raise UnusableFile("cannot be read (its name holds a NUL)") from None
    file = os.fdopen(handle, "rb")
    try:
        _check(os.fstat(handle), most)  # again, since the path may lead elsewhere by now
    except UnusableFile:
        file.close()
        raise
    return file


def read_input(path: Path, most: int) -> str:
    """Return the text of a regular file, with line ends as `\\n` and without a byte order mark.

    Parameters
    ----------
    path, most
        As for `open_input`.

    Raises
    ------
    UnusableFile
        As for `open_input`; also if it is not text in UTF-8.
    """
    with open_input(path, most) as file:
        try:
            content = (
                file.read(most + 1) or b""
            )  # a file can grow, and those of the kernel have no size
        except OSError as error:
            raise UnusableFile(f"cannot be read ({error.strerror})") from None
    if len(content) > most:
        raise UnusableFile(_too_large("more", most))
    try:
        return io.TextIOWrapper(io.BytesIO(content), encoding="utf-8-sig").read()
    except UnicodeDecodeError:
        raise UnusableFile("cannot be read (it is not text in UTF-8)") from None


def in_bytes(size: int) -> str:
    """Return a size as people write it: 1.5 GiB."""
    value, units = float(size), ["bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"]
    while value >= 1024 and len(units) > 1:
        value /= 1024
        units.pop(0)
    return f"{value:.4g} {units[0]}"


def _check(found: os.stat_result, most: int) -> None:
    for is_kind, name in KINDS:
        if is_kind(found.st_mode):
            raise UnusableFile(f"got {name}, expected a file; give the path of a file")
    if found.st_size > most:
        raise UnusableFile(_too_large(in_bytes(found.st_size), most))


def _too_large(size: str, most: int) -> str:
    return f"got {size}, expected at most {in_bytes(most)}; give a smaller file"
