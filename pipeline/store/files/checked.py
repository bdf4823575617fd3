"""Files of a store that are checked before they are decoded: a foreign store cannot fill the memory."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from pipeline.errors import ChunkDamaged, StoreDamaged, StoreError
from pipeline.store.chunks import ArrayLayout, BadChunk, check_bytes
from pipeline.store.files.folder import MOST_BYTES, Folder
from pipeline.store.names import ROOT

if TYPE_CHECKING:
    from pipeline.store.location import Location

__all__ = ["CheckedFolder", "Guard"]

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


class CheckedFolder:
    """The folder of a store, as long as it is the one that was opened.

    A reader that takes its time must not continue with another store that has taken the place of the
    one that was opened: their shapes may differ.
    """

    def __init__(self, folder: Folder) -> None:
        self.folder = folder
        self._fingerprint = folder.fingerprint()
        self._guard = Guard(folder)

    def read(self, key: str) -> bytes | None:
        """Return the bytes of a file, None if it does not exist.

        Raises
        ------
        ChunkDamaged
            They are not what was written.
        StoreError
            Another store has taken its place.
        """
        try:
            raw = self.folder.read(key, self._guard.most(key))
            if raw is not None:
                self._guard.check(key, raw)
            return raw
        finally:  # afterwards, whatever came of it: the bytes may be those of another store
            self._check_same()

    def _check_same(self) -> None:
        try:
            replaced = self.folder.fingerprint() != self._fingerprint
        except OSError:
            replaced = True
        if replaced:
            raise StoreError(
                f"store {self.folder.name}: was replaced or removed while it was read; open it again"
            ) from None
