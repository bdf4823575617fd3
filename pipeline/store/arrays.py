"""The arrays of a store: reading them, writing the blocks of an open store, and where a block lies.

This is the one place where the arrays of a block, which always have an axis of widths, meet the
arrays of a store, which have one only if the widths of a seed differ.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import lru_cache
from types import EllipsisType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.blocks import Block, Tile
from pipeline.errors import LeaseLost, StoreDamaged, StoreError
from pipeline.experiments import variables
from pipeline.store import lease
from pipeline.store.chunks import ArrayLayout, BadChunk, Coder
from pipeline.store.digests import digest, has_digests, read_digests, write_block
from pipeline.store.files.checked import CheckedFolder
from pipeline.store.files.folder import Folder
from pipeline.store.location import Location, locate
from pipeline.store.names import MESSAGE, ROOT, STATUS
from pipeline.store.older_formats import has_all_chunks
from pipeline.store.template import variable_dims
from pipeline.sweep import Sweep

__all__ = [
    "OpenStore",
    "damage_as",
    "dims_of_arrays",
    "from_store",
    "layout_of",
    "open_array",
    "open_arrays",
    "open_store",
    "read_array",
    "region",
    "root_of",
    "tile_keys",
    "tile_region",
    "to_store",
]

MOST_VALUES = 10**10
"""The most values of an array; metadata that claim more are damaged."""


# ---- reading


def root_of(location: Location) -> dict[str, Any]:
    """Return the metadata of the group of a store, of Zarr's third format only.

    Raises
    ------
    StoreDamaged
        They are lost, or are no metadata of a group.
    """
    raw = location.read(ROOT) or b""
    try:
        root = json.loads(raw)
    except (ValueError, RecursionError):
        raise StoreDamaged(location.name, ROOT, "it is no JSON") from None
    if not isinstance(root, dict) or (root.get("zarr_format"), root.get("node_type")) != (3, "group"):
        raise StoreDamaged(location.name, ROOT, "it does not describe a group of Zarr's format 3")
    if not isinstance(root.setdefault("attributes", {}), dict):
        raise StoreDamaged(location.name, ROOT, "its attributes are no JSON object")
    return root


def layout_of(location: Location, name: str) -> ArrayLayout:
    """Return the layout of an array according to its own metadata: the group has only a copy of them.

    Raises
    ------
    StoreDamaged
        The metadata are lost or describe no array of a store.
    """
    try:
        layout = Coder(location.read(f"{name}/{ROOT}") or b"").layout
    except BadChunk as error:
        raise StoreDamaged(location.name, name, str(error)) from None
    if np.prod(layout.shape, dtype=float) > MOST_VALUES:
        raise StoreDamaged(location.name, name, f"its shape is {layout.shape}")
    return layout


def open_array(location: Location, name: str) -> Any:
    """Open one array for reading, by its own metadata; it is indexed by numbers and ranges."""
    layout_of(location, name)
    with damage_as(StoreDamaged, location, name):
        if isinstance(location, Folder):
            return StoredArray(CheckedFolder(location), name)
        import zarr  # reads the chunks of a bucket at once

        return zarr.open_array(location.zarr(), path=name, mode="r", zarr_format=3)


def read_array(location: Location, name: str) -> NDArray[Any]:
    """Read one array as a whole."""
    array = open_array(location, name)
    with damage_as(StoreDamaged, location, name):
        return np.asarray(array[...])


@lru_cache(maxsize=8)
def open_arrays(name: str, fingerprint: object) -> Mapping[str, Any]:
    """Open all arrays for reading, once per process and store.

    Metadata do not change while a store is filled. A store that replaces another at the same path has
    another fingerprint, so it is never read with the old shapes.
    """
    location = locate(name)
    if isinstance(location, Folder):
        return _StoredArrays(CheckedFolder(location))
    import zarr

    return dict(zarr.open_group(location.zarr(), mode="r", zarr_format=3).arrays())


class _StoredArrays(dict[str, "StoredArray"]):
    """The arrays of a folder, each opened when it is first asked for."""

    def __init__(self, files: CheckedFolder) -> None:
        self._files = files

    def __missing__(self, name: str) -> StoredArray:
        self[name] = StoredArray(self._files, name)
        return self[name]


Index = tuple[int | slice | EllipsisType, ...] | EllipsisType

AT_ONCE = 8
"""Chunks that are read at once: on a network each file takes its time to be opened."""


class StoredArray:
    """An array in a folder, for reading; Zarr would hand each chunk to another thread.

    Raises
    ------
    BadChunk
        It cannot be read; `damage_as` names the store.
    """

    def __init__(self, files: CheckedFolder, name: str) -> None:
        self._files, self._name = files, name
        self._coder = Coder(files.read(f"{name}/{ROOT}") or b"")

    def __getitem__(self, where: Index) -> NDArray[Any]:
        """Return a part: numbers from 0, and ranges without steps, along each dimension."""
        layout = self._coder.layout
        given = _all_dims(where, len(layout.shape))
        part = [
            slice(*at.indices(size)[:2]) if isinstance(at, slice) else slice(at, at + 1)
            for at, size in zip(given, layout.shape, strict=True)
        ]
        found = np.full(
            [max(0, at.stop - at.start) for at in part], self._coder.fill, dtype=self._coder.dtype
        )
        ranges = [
            range(at.start // extent, -(-at.stop // extent))
            for at, extent in zip(part, layout.chunks, strict=True)
        ]
        corners = itertools.product(*ranges)
        if math.prod(map(len, ranges)) <= AT_ONCE:
            for corner in corners:
                self._read(corner, part, found)
        else:
            with ThreadPoolExecutor(AT_ONCE) as pool:
                for _ in pool.map(lambda corner: self._read(corner, part, found), corners):
                    pass
        values: NDArray[Any] = found[tuple(slice(None) if isinstance(at, slice) else 0 for at in given)]
        return values

    def _read(self, corner: tuple[int, ...], part: list[slice], found: NDArray[Any]) -> None:
        """Copy what a chunk has of a part."""
        key = "/".join(["c", *map(str, corner)])
        raw = self._files.read(f"{self._name}/{key}")
        if raw is None:
            return
        values = self._coder.decode(key, raw)
        starts = [at * extent for at, extent in zip(corner, self._coder.layout.chunks, strict=True)]
        ends = zip(part, starts, values.shape, strict=True)
        own = [slice(max(at.start, start), min(at.stop, start + size)) for at, start, size in ends]
        to = tuple(
            slice(o.start - at.start, o.stop - at.start) for o, at in zip(own, part, strict=True)
        )
        take = tuple(slice(o.start - s, o.stop - s) for o, s in zip(own, starts, strict=True))
        found[to] = values[take]


def _all_dims(where: Index, dims: int) -> list[int | slice]:
    """Return an index of every dimension."""
    given: list[Any] = [*where] if isinstance(where, tuple) else [where]
    at = given.index(...) if ... in given else len(given)
    before, after = given[:at], given[at + 1 :]
    return [*before, *[slice(None)] * (dims - len(before) - len(after)), *after]


@contextmanager
def damage_as(error_type: type[StoreDamaged], location: Location, name: str) -> Iterator[None]:
    """Turn an error of decoding into one that names the store and the array."""
    try:
        yield
    except StoreError:  # names the store already
        raise
    except (
        BadChunk,
        FileNotFoundError,
        KeyError,
        TypeError,
        ValueError,
        RuntimeError,
        MemoryError,
    ) as error:
        what = (str(error).splitlines() or ["it cannot be decoded"])[0]
        raise error_type(location.name, name, what) from None


# ---- writing


@lru_cache(maxsize=8)
def open_store(name: str, identity: str, fingerprint: object) -> OpenStore:
    """Open a store for writing, once per process.

    A store that takes the place of another has another fingerprint, so it is opened, and checked, anew.
    """
    return OpenStore(locate(name).held_open(), identity)


class OpenStore:
    """A store whose folder is held open for writing, whatever takes its place.

    Parameters
    ----------
    location
        The location, held open.
    identity
        Identity of the sweep whose results are to be written.

    Raises
    ------
    LeaseLost
        The store belongs to another sweep.
    """

    def __init__(self, location: Location, identity: str) -> None:
        self.location = location
        attributes = root_of(location).get("attributes", {})
        if attributes.get("identity") != identity:
            raise LeaseLost(f"store {location.name}: was replaced by the store of another sweep")
        self._digests = has_digests(attributes)
        self._complete = has_all_chunks(attributes)
        self._coders: dict[str, Coder] = {}

    def confirm(self, holder: str) -> None:
        """Check who holds the store, before anything is written.

        Raises
        ------
        LeaseLost
            Nobody holds it, or another run does.
        """
        found = lease.read(self.location)
        if found is None:
            raise LeaseLost(f"store {self.location.name}: its lease was taken away, or it was replaced")
        if found.holder != holder:
            raise LeaseLost(f"store {self.location.name}: taken over: {found.who}")

    def extents(self, dims: tuple[str, ...]) -> dict[str, int]:
        """Return the extents of a chunk along the dimensions of `status`."""
        return dict(zip(dims, self._coder(STATUS).layout.chunks, strict=True))

    def write(self, keys: Mapping[str, str], values: Mapping[str, NDArray[Any]]) -> None:
        """Write some arrays of a block, `status` last among them.

        Parameters
        ----------
        keys
            The chunk of the block in each array.
        values
            The regions of the store, by array.
        """
        chunks = {keys[name]: self._encoded(name, keys[name], values[name]) for name in values}
        write_block(self.location, chunks, digests=self._digests)

    def check(self, keys: Mapping[str, str], outcomes: bool) -> None:
        """Check that the chunks of a block are those that were written there.

        Parameters
        ----------
        keys
            The chunk of the block in each array.
        outcomes
            True if a trial of the block has an outcome: then all its chunks were written.

        Raises
        ------
        StoreDamaged
            One of them is lost, belongs elsewhere, or was changed.
        """
        accepted = (read_digests(self.location, keys[STATUS]) or {}) if self._digests else {}
        for name, key in keys.items():
            raw = self.location.read(key, self._coder(name).layout.most)
            if raw is None and outcomes and self._complete:
                raise StoreDamaged(self.location.name, name, f"{key} is not there")
            if self._digests and raw is not None and digest(key, raw) not in accepted.get(key, ()):
                raise StoreDamaged(self.location.name, name, f"{key} is not what was written there")

    def _coder(self, name: str) -> Coder:
        if name not in self._coders:
            try:
                self._coders[name] = Coder(self.location.read(f"{name}/{ROOT}") or b"")
            except BadChunk as error:
                raise StoreDamaged(self.location.name, name, str(error)) from None
        return self._coders[name]

    def _encoded(self, name: str, key: str, values: NDArray[Any]) -> bytes:
        return self._coder(name).encode(key.removeprefix(f"{name}/"), values)


# ---- the place of blocks and tiles


def dims_of_arrays(sweep: Sweep) -> dict[str, tuple[str, ...]]:
    """Return the dimensions of the arrays that a block writes, `status` last."""
    own = {one.name: variable_dims(sweep, one.dims) for one in variables(sweep)}
    return {**own, MESSAGE: sweep.dims, STATUS: sweep.dims}


def tile_keys(sweep: Sweep, tile: Tile, extents: Mapping[str, int]) -> dict[str, str]:
    """Return the chunks that a tile owns, array to key in the store, `status` last.

    Parameters
    ----------
    sweep, tile
        The tile.
    extents
        Extents of a chunk along the dimensions of `status`.
    """
    start = dict(zip(sweep.axes, tile.corner, strict=True))
    start |= {"width": tile.first.first, "seed": tile.first.start}
    index = {dim: at // extents[dim] for dim, at in start.items()}
    return {
        name: "/".join([name, "c", *(str(index.get(dim, 0)) for dim in dims)])
        for name, dims in dims_of_arrays(sweep).items()
    }


def region(sweep: Sweep, block: Block, dims: tuple[str, ...]) -> tuple[int | slice, ...]:
    """Return the indices of a block in an array of the store with dimensions `dims`."""
    index: dict[str, int | slice] = dict(zip(sweep.axes, block.cell.index, strict=True))
    index |= {"width": block.widths, "seed": block.seeds}
    return tuple(index.get(dim, slice(None)) for dim in dims)


def tile_region(sweep: Sweep, tile: Tile, dims: tuple[str, ...]) -> tuple[slice, ...]:
    """Return the indices of a tile in an array of the store with dimensions `dims`."""
    index = dict(zip(sweep.axes, tile.rectangle, strict=True))
    index |= {"width": tile.first.widths, "seed": tile.first.seeds}
    return tuple(index.get(dim, slice(None)) for dim in dims)


def to_store(
    tile: Tile, values: Sequence[NDArray[Any]], dims: tuple[str, ...], fill: Any
) -> NDArray[Any]:
    """Join an array of all blocks of a tile into a region of the store.

    Parameters
    ----------
    tile
        The tile.
    values
        For each block the values, (widths or 1, seeds, inner).
    dims
        Dimensions of the array in the store.
    fill
        Value of the cells that cannot exist.
    """
    parts = [array if "width" in dims else array[0] for array in values]
    if tile.is_full:
        return np.stack(parts).reshape(tile.cells + parts[0].shape)
    whole = np.full(tile.cells + parts[0].shape, fill, dtype=parts[0].dtype)
    for place, part in zip(tile.places, parts, strict=True):
        whole[place] = part
    return whole


def from_store(values: NDArray[Any], dims: tuple[str, ...]) -> NDArray[Any]:
    """Turn a region of the store into an array of a block, (widths or 1, seeds, inner)."""
    return values if "width" in dims else values[np.newaxis]
