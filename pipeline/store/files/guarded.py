"""A store as Zarr reads it, with every file checked before it is decoded.

`xarray` and `zarr` read through it, so a foreign store cannot make a reader follow a link, wait for a
pipe, or fill the memory. It only reads: blocks are written by `Store` itself.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterable
from typing import TYPE_CHECKING, Any

from zarr.abc.store import (
    ByteRequest,
    OffsetByteRequest,
    RangeByteRequest,
    Store,
    SuffixByteRequest,
)

from pipeline.errors import ChunkDamaged, StoreDamaged, StoreError
from pipeline.store.chunks import ArrayLayout, BadChunk, check_bytes
from pipeline.store.files.folder import MOST_BYTES
from pipeline.store.names import ROOT

if TYPE_CHECKING:
    from zarr.core.buffer import Buffer, BufferPrototype

    from pipeline.store.files.folder import Folder
    from pipeline.store.location import Location

__all__ = ["Guard", "GuardedFolder", "part"]

METADATA = (ROOT, ".zarray", ".zattrs", ".zgroup", ".zmetadata")
"""Files that Zarr asks for and that are no chunks; those of its second format no store has."""


class Guard:
    """The bounds of the files of a store, from the metadata of its arrays, read when needed."""

    def __init__(self, location: Location) -> None:
        self._location = location
        self._layouts: dict[str, ArrayLayout | None] = {}
        self._copies: dict[str, Any] | None = None

    def most(self, key: str) -> int:
        """Return the most bytes that a file can have."""
        layout = self._layout(key)
        return layout.most if layout else MOST_BYTES

    def check(self, key: str, raw: bytes) -> None:
        """Check the bytes of a file.

        Raises
        ------
        ChunkDamaged
            It is a chunk whose bytes are not what was written.
        """
        layout = self._layout(key)
        if layout is not None:
            try:
                check_bytes(layout, raw)
            except BadChunk as error:
                raise ChunkDamaged(self._location.name, key.split("/")[0], str(error)) from None

    def _layout(self, key: str) -> ArrayLayout | None:
        """Return the layout of the array that a file is a chunk of, None for metadata.

        All else that Zarr asks for would be decoded, by whatever name.
        """
        name, _, rest = key.partition("/")
        if (rest or name) in METADATA:
            return None
        if name not in self._layouts:
            self._layouts[name] = self._read_layout(name)
        return self._layouts[name]

    def _read_layout(self, name: str) -> ArrayLayout | None:
        """Return the layout of an array; a reader may have it from the array or from the group."""
        metadata = self._location.read(f"{name}/{ROOT}")
        if metadata is None:  # Zarr would decode by the copy alone, which may say anything
            raise StoreDamaged(self._location.name, name, "its metadata are not there")
        try:
            layout, copy = ArrayLayout.of(json.loads(metadata)), self._copy(name)
            if copy is not None and ArrayLayout.of(copy) != layout:
                raise BadChunk("its metadata differ from their copy in the group")
        except (ValueError, RecursionError):
            raise StoreDamaged(self._location.name, name, "its metadata are no JSON") from None
        except BadChunk as error:
            raise StoreDamaged(self._location.name, name, str(error)) from None
        return layout

    def _copy(self, name: str) -> Any:
        if self._copies is None:
            found = json.loads(self._location.read(ROOT) or b"{}")
            for key in ("consolidated_metadata", "metadata"):  # a group may have no copies
                found = found.get(key) if isinstance(found, dict) else None
            self._copies = found if isinstance(found, dict) else {}
        return self._copies.get(name)


class GuardedFolder(Store):
    """The folder of a store, for reading only.

    A Dataset that is read lazily must not continue with another store that has taken the place of the
    one that was opened: their shapes may differ.
    """

    supports_writes = False
    supports_deletes = False
    supports_listing = True

    def __init__(self, folder: Folder) -> None:
        super().__init__(read_only=True)
        self._folder = folder
        self._fingerprint = folder.fingerprint()
        self._guard = Guard(folder)

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

    def _read(self, key: str) -> bytes | None:
        try:
            raw = self._folder.read(key, self._guard.most(key))
            if raw is not None:
                self._guard.check(key, raw)
            return raw
        finally:  # afterwards, whatever came of it: the bytes may be those of another store
            self._check_same()

    def _check_same(self) -> None:
        try:
            replaced = self._folder.fingerprint() != self._fingerprint
        except OSError:
            replaced = True
        if replaced:
            raise StoreError(
                f"store {self._folder.name}: was replaced or removed while it was read; open it again"
            ) from None

    async def get(
        self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        raw = await asyncio.to_thread(self._read, key)
        return None if raw is None else prototype.buffer.from_bytes(part(raw, byte_range))

    async def get_partial_values(
        self, prototype: BufferPrototype, key_ranges: Iterable[tuple[str, ByteRequest | None]]
    ) -> list[Buffer | None]:
        return [await self.get(key, prototype, byte_range) for key, byte_range in key_ranges]

    async def exists(self, key: str) -> bool:
        return await asyncio.to_thread(self._read, key) is not None

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
