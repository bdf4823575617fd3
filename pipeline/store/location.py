"""The location of a store: a folder, or a prefix of an S3 bucket.

A location hands out what Zarr reads and writes, and does the few things that Zarr does not: a store
appears atomically, small files beside the chunks change by compare-and-swap (the lease needs that),
and leftovers of a killed write are listed and removed.
"""

from __future__ import annotations

from collections.abc import Container, Hashable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

from pipeline.store.files.folder import MOST_BYTES, Folder

__all__ = ["Location", "StorePath", "beside", "is_url", "locate", "normal"]

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
        """Return the store, for reading only, as `zarr.open_group` and `xarray.open_zarr` take it.

        Every chunk is checked before it is decoded.
        """

    def read(self, key: str, most: int = MOST_BYTES) -> bytes | None:
        """Return the bytes of one file of at most `most` bytes, None if it does not exist.

        Raises
        ------
        ChunkDamaged
            It is no regular file, lies behind a link, is larger, or cannot be read.
        """

    def peek(self, key: str) -> bytes | None:
        """Return the bytes of a small file, None if it does not exist; b"" if it is something else."""

    def write(self, key: str, content: bytes) -> None:
        """Write one file atomically."""

    def swap(self, key: str, expected: bytes | None, new: bytes | None) -> bool:
        """Change a small file from `expected` to `new` atomically; None means no file.

        What is no small file is as b"", as `peek` sees it, and can be replaced.

        Returns
        -------
        bool
            False, with nothing changed, if the file is not as expected.
        """

    def delete(self, key: str) -> None:
        """Remove a file, if it exists; also a link or a folder in its place."""

    def delete_all(self, keys: Sequence[str]) -> AbstractContextManager[None]:
        """Remove files in this order; restore them, where possible, if the block that follows fails."""

    def files(self, prefix: str = "") -> Iterator[tuple[str, int]]:
        """Yield (key, bytes) of all files below a prefix, in any order."""

    def stamps(self, prefix: str = "") -> Iterator[tuple[str, Hashable]]:
        """Yield (key, stamp) of all files below a prefix; a file that is written again has another."""

    def odd(self) -> Iterator[tuple[str, str]]:
        """Yield (key, what it is) of everything that is neither a regular file nor a folder."""

    def clean(self) -> None:
        """Remove what killed processes left in the store and beside it; the caller holds the lease."""

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

    def replace(self, draft: Path, fingerprint: object) -> None:
        """Exchange the store for a draft atomically, and remove the old store.

        Parameters
        ----------
        draft
            A folder from `draft`, filled.
        fingerprint
            Fingerprint of the old store.

        Raises
        ------
        LeaseLost
            Another store is here; it is still here afterwards.
        NotImplementedError
            The location or its file system cannot do that.
        """

    def held_open(self) -> Location:
        """Return this location, bound to the folder that is here now, whatever takes its place later.

        Raises
        ------
        OSError
            There is no folder here.
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
    from pipeline.store.files.bucket import Bucket

    return Bucket(str(path))
