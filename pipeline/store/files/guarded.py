"""A store as Zarr reads it, with every file checked before it is decoded.

`xarray` and `zarr` read through it, so a foreign store cannot make a reader follow a link, wait for a
pipe, or fill the memory. It only reads: blocks are written by `Store` itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import TYPE_CHECKING

from zarr.abc.store import (
    ByteRequest,
    OffsetByteRequest,
    RangeByteRequest,
    Store,
    SuffixByteRequest,
)

from pipeline.store.files.checked import CheckedFolder
from pipeline.store.files.folder import Folder

if TYPE_CHECKING:
    from zarr.core.buffer import Buffer, BufferPrototype

__all__ = ["GuardedFolder", "part"]


class GuardedFolder(Store):
    """The folder of a store, for reading only."""

    supports_writes = False
    supports_deletes = False
    supports_listing = True

    def __init__(self, folder: Folder) -> None:
        super().__init__(read_only=True)
        self._folder = folder
        self._checked = CheckedFolder(folder)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, GuardedFolder) and other._folder.path == self._folder.path

    def __hash__(self) -> int:
        return hash(self._folder.path)

    def __str__(self) -> str:
        return self._folder.name

    def __repr__(self) -> str:
        return f"GuardedFolder({self._folder.name!r})"

    def __reduce__(self) -> tuple[type[GuardedFolder], tuple[Folder]]:
        return type(self), (self._folder,)

    def with_read_only(self, read_only: bool = True) -> GuardedFolder:
        if not read_only:
            raise ValueError(f"store {self._folder.name}: is opened for reading only")
        return self

    async def get(
        self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        raw = await asyncio.to_thread(self._checked.read, key)
        return None if raw is None else prototype.buffer.from_bytes(part(raw, byte_range))

    async def get_partial_values(
        self, prototype: BufferPrototype, key_ranges: Iterable[tuple[str, ByteRequest | None]]
    ) -> list[Buffer | None]:
        return [await self.get(key, prototype, byte_range) for key, byte_range in key_ranges]

    async def exists(self, key: str) -> bool:
        return await asyncio.to_thread(self._checked.read, key) is not None

    async def list(self) -> AsyncIterator[str]:
        async for key in self.list_prefix(""):
            yield key

    async def list_prefix(self, prefix: str) -> AsyncIterator[str]:
        for key, _ in self._folder.files():
            if key.startswith(prefix):
                yield key

    async def list_dir(self, prefix: str) -> AsyncIterator[str]:
        start = f"{prefix.rstrip('/')}/" if prefix else ""
        members = {key.removeprefix(start).split("/")[0] for key, _ in self._folder.files(start)}
        for member in sorted(members):
            yield member

    async def set(self, key: str, value: Buffer) -> None:
        raise NotImplementedError("a store is written block by block, by Store.write")

    async def delete(self, key: str) -> None:
        raise NotImplementedError("a store is written block by block, by Store.write")


def part(raw: bytes, byte_range: ByteRequest | None) -> bytes:
    """Return the part of a file that Zarr asks for."""
    if isinstance(byte_range, RangeByteRequest):
        return raw[byte_range.start : byte_range.end]
    if isinstance(byte_range, OffsetByteRequest):
        return raw[byte_range.offset :]
    if isinstance(byte_range, SuffixByteRequest):
        return raw[max(0, len(raw) - byte_range.suffix) :]
    return raw
