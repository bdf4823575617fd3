"""The location of a store: a folder, or a prefix of an S3 bucket.

A location hands out what Zarr reads and writes, and does the few things that Zarr does not: a store
appears atomically, small files beside the chunks change by compare-and-swap (the lease needs that),
and leftovers of a killed write are listed and removed.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import uuid
from collections.abc import Container, Iterator
from contextlib import contextmanager, suppress
from glob import escape
from pathlib import Path
from stat import S_ISREG
from typing import Any, Protocol

from pipeline.errors import StoreError
from pipeline.store.names import LEASE, LEASE_BYTES, PARTIAL, ROOT

__all__ = ["Folder", "Location", "StorePath", "beside", "is_url", "locate", "normal"]

StorePath = str | Path
"""A path or an s3:// URL, as a user gives it."""


class Location(Protocol):
    """Operations on the files of one store.

    Attributes
    ----------
    name
        The path or URL as the user wrote it, for messages.
    """

    name: str

    def exists(self) -> bool:
        """Return True if anything is here."""

    def writable(self) -> bool:
        """Return False if writing is known to be forbidden."""

    def check_room(self) -> None:
        """Check that a new store could be made here.

        Raises
        ------
        StoreError
            The nearest existing folder takes no files.
        """

    def check_replaceable(self, known: Container[str]) -> None:
        """Check that `replace` could work here and would lose nothing.

        Parameters
        ----------
        known
            Names of the files and folders that the store may hold.

        Raises
        ------
        StoreError
            The location cannot replace a store, may not be written, or holds something else.
        """

    def zarr(self) -> Any:
        """Return the argument for `zarr.open_group` and `xarray.open_zarr`."""

    def read(self, key: str) -> bytes | None:
        """Return the bytes of one file, None if it does not exist."""

    def swap(self, key: str, expected: bytes | None, new: bytes | None) -> bool:
        """Change a small file from `expected` to `new` atomically; None means no file.

        Returns
        -------
        bool
            False, with nothing changed, if the file is not as expected.
        """

    def delete(self, key: str) -> None:
        """Remove a file, if it exists."""

    def files(self, prefix: str = "") -> Iterator[tuple[str, int]]:
        """Yield (key, bytes) of all files below a prefix, in any order."""

    def draft(self) -> Path:
        """Return a new folder in which to prepare a store for `publish` or `replace`."""

    def drafts(self) -> list[Path]:
        """Return the drafts that killed processes left beside the store."""

    def publish(self, draft: Path) -> None:
        """Move a draft here atomically; the draft is gone afterwards.

        Raises
        ------
        FileExistsError
            Something is here already.
        """

    def replace(self, draft: Path) -> None:
        """Exchange the store for a draft atomically, and remove the old store.

        Raises
        ------
        NotImplementedError
            The location or its file system cannot do that.
        """

    def fingerprint(self) -> object:
        """Return a value that differs from that of any earlier store here."""


def is_url(path: StorePath) -> bool:
    """Return True for a URL, False for a path."""
    return "://" in str(path)


def normal(path: StorePath) -> str:
    """Return one spelling of a path or URL, independent of the working folder."""
    return str(path).rstrip("/") if is_url(path) else str(Path(path).resolve())


def beside(path: StorePath) -> Path:
    """Return the store's path, for files beside it; for a bucket, its name in the working folder."""
    return Path(str(path).rstrip("/").rsplit("/", 1)[-1] if is_url(path) else path).resolve()


def locate(path: StorePath) -> Location:
    """Return the location of a path or an s3:// URL.

    Raises
    ------
    StoreError
        The URL has another scheme, or names no bucket.
    """
    if not is_url(path):
        return Folder(path)
    from pipeline.store.bucket import Bucket

    return Bucket(str(path))


class Folder:
    """A store in a folder of a local or shared file system."""

    def __init__(self, path: StorePath) -> None:
        self.name = str(path)
        self.path = Path(path)

    def exists(self) -> bool:
        return self.path.exists()

    def writable(self) -> bool:
        return os.access(self.path, os.W_OK)

    def check_room(self) -> None:
        parent = next(folder for folder in self.path.absolute().parents if folder.exists())
        if not (parent.is_dir() and os.access(parent, os.W_OK)):
            raise StoreError(
                f"store {self.name}: cannot be made in {parent}, which is not a writable folder; "
                "give a path with -o on a disk that has room and that you may write to"
            )

    def check_replaceable(self, known: Container[str]) -> None:
        if not (self.writable() and os.access(self.path.absolute().parent, os.W_OK)):
            raise StoreError(
                f"store {self.name}: no permission to write it and its folder; give a new path with "
                "-o NEW"
            )
        names = sorted(entry.name for entry in self.path.iterdir())
        foreign = [name for name in names if not (name in known or _is_temporary(name))]
        if foreign:
            raise StoreError(
                f"store {self.name}: holds {foreign[0]}, which is not widthlaw's and would be lost; "
                "move it away, or give a new path with -o NEW"
            )

    def zarr(self) -> str:
        return str(self.path)

    def read(self, key: str) -> bytes | None:
        try:
            if key == LEASE:
                return _start_of(self.path / key)
            return (self.path / key).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None

    def swap(self, key: str, expected: bytes | None, new: bytes | None) -> bool:
        with self._locked():
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
    def _locked(self) -> Iterator[None]:
        """Lock out other processes during a swap; the kernel releases the lock of a dead process."""
        try:  # NFS locks only files that are open for writing, which a folder cannot be
            handle = os.open(self.path / ROOT, os.O_RDWR)
        except OSError:
            handle = os.open(self.path, os.O_RDONLY)
        try:
            with suppress(OSError):  # a file system without locks: a swap is then only nearly atomic
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

    def drafts(self) -> list[Path]:
        path = self.path.absolute()
        return sorted(path.parent.glob(f".{escape(path.name)}.????????.new"))

    def publish(self, draft: Path) -> None:
        if self.path.exists():
            raise FileExistsError(f"{self.path} exists")
        draft.rename(self.path)

    def replace(self, draft: Path) -> None:
        _exchange(draft, self.path)
        shutil.rmtree(draft, ignore_errors=True)

    def fingerprint(self) -> object:
        found = os.stat(self.path)
        return found.st_ino, os.stat(self.path / ROOT).st_mtime_ns


def _start_of(file: Path) -> bytes:
    """Return the first bytes of a lease, one more than it may have; b"" if it is no plain file."""
    try:  # a pipe would make us wait, and a link may lead anywhere
        handle = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        if error.errno == errno.ELOOP:
            return b""
        raise
    try:
        return os.read(handle, LEASE_BYTES + 1) if S_ISREG(os.fstat(handle).st_mode) else b""
    finally:
        os.close(handle)


def _is_temporary(name: str) -> bool:
    return name.startswith(".") or name.endswith(PARTIAL)


def _exchange(one: Path, other: Path) -> None:
    """Exchange two folders by one system call.

    Raises
    ------
    NotImplementedError
        The operating system or the file system has none.
    """
    import ctypes

    AT_FDCWD, RENAME_EXCHANGE = -100, 2  # of Linux's fcntl.h and fs.h
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if rename is None:
        raise NotImplementedError("this system cannot exchange two folders atomically")
    if rename(AT_FDCWD, os.fsencode(one), AT_FDCWD, os.fsencode(other), RENAME_EXCHANGE):
        number = ctypes.get_errno()
        if number in (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP):
            raise NotImplementedError("this file system cannot exchange two folders atomically")
        raise OSError(number, os.strerror(number), str(other))
