"""Where a store lies: a folder, or a prefix of an S3 bucket.

A place hands out what Zarr reads and writes, and does the few things that Zarr does not: a store
appears whole or not at all, small files beside the chunks change by compare-and-swap (a lease needs
that), and what a killed write left behind is listed and removed.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol

__all__ = ["Folder", "Place", "Where", "beside", "is_url", "normal", "place"]

Where = str | Path
"""How a place is named: by a path, or by an s3:// URL."""

PARTIAL = ".partial"
"""How Zarr ends the name of a file that it has not finished writing."""


class Place(Protocol):
    """What the rest of widthlaw asks of a place.

    Attributes
    ----------
    name
        As the user wrote it, for messages.
    """

    name: str

    def exists(self) -> bool:
        """Whether anything is there."""

    def writable(self) -> bool:
        """Whether what is there may be written to; where that cannot be told beforehand, True."""

    def zarr(self) -> Any:
        """What `zarr.open_group` and `xarray.open_zarr` take."""

    def read(self, key: str) -> bytes | None:
        """The bytes of one file, None where there is none."""

    def swap(self, key: str, expected: bytes | None, new: bytes | None) -> bool:
        """Change a small file from `expected` to `new` at once; None is no file.

        Returns
        -------
        bool
            False, and nothing is changed, where something else is there.
        """

    def delete(self, key: str) -> None:
        """Remove a file, if it is there."""

    def files(self, prefix: str = "") -> Iterator[tuple[str, int]]:
        """Go through (key, bytes) of all files below a prefix, in no order."""

    def draft(self) -> Path:
        """A new folder in which a store is prepared, before `publish` or `replace`."""

    def publish(self, draft: Path) -> None:
        """Let what was prepared appear here, whole or not at all; the draft is gone afterwards.

        Raises
        ------
        FileExistsError
            Something is here already.
        """

    def replace(self, draft: Path) -> None:
        """Put what was prepared in the place of what is here, at once; what was here is removed.

        Raises
        ------
        NotImplementedError
            The place cannot do that at once.
        """

    def made(self) -> object:
        """What tells this store from one that was here before."""


def is_url(where: Where) -> bool:
    """Whether a place is told by a URL and not by a path."""
    return "://" in str(where)


def normal(where: Where) -> str:
    """One spelling for a place, whatever the working folder is."""
    return str(where).rstrip("/") if is_url(where) else str(Path(where).resolve())


def beside(where: Where) -> Path:
    """The path of a store, for what is to lie beside it; of a bucket's store, in the working folder."""
    return Path(str(where).rstrip("/").rsplit("/", 1)[-1] if is_url(where) else where).resolve()


def place(where: Where) -> Place:
    """Return the place that a path or an s3:// URL names.

    Raises
    ------
    StoreError
        The URL is of a kind that widthlaw does not know, or says no bucket.
    """
    if not is_url(where):
        return Folder(where)
    from pipeline.store.bucket import Bucket

    return Bucket(str(where))


class Folder:
    """A store in a folder of a file system, be it shared or not."""

    def __init__(self, path: str | Path) -> None:
        self.name = str(path)
        self.path = Path(path)

    def exists(self) -> bool:
        return self.path.exists()

    def writable(self) -> bool:
        return os.access(self.path, os.W_OK)

    def zarr(self) -> str:
        return str(self.path)

    def read(self, key: str) -> bytes | None:
        try:
            return (self.path / key).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None

    def swap(self, key: str, expected: bytes | None, new: bytes | None) -> bool:
        with self._alone():
            if self.read(key) != expected:
                return False
            file = self.path / key
            if new is None:
                file.unlink(missing_ok=True)
                return True
            draft = file.with_name(f"{file.name}.{uuid.uuid4().hex[:8]}{PARTIAL}")
            try:
                draft.write_bytes(new)
                draft.replace(file)
            finally:
                draft.unlink(missing_ok=True)
        return True

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep other processes out for the moment of a swap; the kernel lets go with the process."""
        try:  # NFS locks what is open for writing, which a folder never is
            handle = os.open(self.path / "zarr.json", os.O_RDWR)
        except OSError:
            handle = os.open(self.path, os.O_RDONLY)
        try:
            with suppress(OSError):  # a file system without locks: a swap is then only nearly at once
                fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)

    def delete(self, key: str) -> None:
        (self.path / key).unlink(missing_ok=True)

    def files(self, prefix: str = "") -> Iterator[tuple[str, int]]:
        for folder, _, files in os.walk(self.path / prefix):
            for file in files:
                full = Path(folder, file)
                with suppress(FileNotFoundError):  # another process has just renamed or removed it
                    yield full.relative_to(self.path).as_posix(), full.stat().st_size

    def draft(self) -> Path:
        return self.path.with_name(f".{self.path.name}.{uuid.uuid4().hex[:8]}.new")

    def publish(self, draft: Path) -> None:
        if self.path.exists():
            raise FileExistsError(f"{self.path} exists")
        draft.rename(self.path)

    def replace(self, draft: Path) -> None:
        _exchange(draft, self.path)
        shutil.rmtree(draft, ignore_errors=True)

    def made(self) -> object:
        found = os.stat(self.path)
        return found.st_ino, os.stat(self.path / "zarr.json").st_mtime_ns


def _exchange(one: Path, other: Path) -> None:
    """Exchange two folders in one step of the kernel; NotImplementedError where it has none."""
    import ctypes
    import errno

    AT_FDCWD, RENAME_EXCHANGE = -100, 2  # of Linux's fcntl.h and fs.h
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if rename is None:
        raise NotImplementedError("this system cannot exchange two folders at once")
    if rename(AT_FDCWD, os.fsencode(one), AT_FDCWD, os.fsencode(other), RENAME_EXCHANGE):
        number = ctypes.get_errno()
        if number in (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP):
            raise NotImplementedError("this file system cannot exchange two folders at once")
        raise OSError(number, os.strerror(number), str(other))
