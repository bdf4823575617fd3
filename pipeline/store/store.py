"""The Store: reads and writes the tiles of one sweep at one location.

A tile is the only writer of its chunks. `Store.write` puts results first and `status` last, so a
tile that is cut off at any moment is still pending and is computed again, to the same bits. Done is a
status, never "not NaN" and never "the chunk exists".
"""

from __future__ import annotations

import errno
import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from operator import add
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.blocks import Block, BlockResult, Rows, Tile, tiles
from pipeline.errors import ChunkDamaged, LeaseLost, StoreDamaged, StoreError, StoreFull
from pipeline.experiments import experiment_of
from pipeline.store.arrays import (
    OpenStore,
    damage_as,
    dims_of_arrays,
    from_store,
    layout_of,
    open_array,
    open_arrays,
    open_store,
    region,
    tile_keys,
    tile_region,
    to_store,
)
from pipeline.store.checkpoints import (
    Index,
    UnusableCheckpoints,
    read_checkpoints,
    write_checkpoints,
)
from pipeline.store.location import Location, StorePath, locate
from pipeline.store.names import MESSAGE, ROOT, STATUS
from pipeline.store.reading import check_store, stored_sweep
from pipeline.store.statuses import Region, read_statuses, status_parts
from pipeline.sweep import Cell, Sweep
from pipeline.trial_status import WITH_RESULTS, Status, among

__all__ = ["Store"]

log = logging.getLogger("widthlaw")

ARRIVALS = "steps_to_tolerance"
"""First steps at which the tolerances were met, from coarse to fine; infinite if never."""

WRITE_TRIES = 3
"""Tries of a write whose unfinished file disappears: a run that has lost the store may clean it up."""


class Store:
    """The store of one sweep.

    A Store holds a location and a sweep, so it is cheap to make and to pickle: each process opens the
    arrays itself when it needs them.

    Parameters
    ----------
    path
        Path or s3:// URL of the store, or its location.
    sweep
        The sweep that the store was made for; read from the store when needed, if None.
    holder
        The holder of the lease under which blocks are written. "" for a store that no run can know
        yet, such as a draft.
    """

    def __init__(
        self, path: StorePath | Location, sweep: Sweep | None = None, holder: str = ""
    ) -> None:
        self.location = locate(path) if isinstance(path, str | Path) else path
        self.holder = holder
        if sweep is not None:
            self.sweep = sweep

    @cached_property
    def sweep(self) -> Sweep:
        """The sweep of the store, on the axes that the store has by now."""
        return stored_sweep(self.location.name)

    # ---- its state

    def statuses(self) -> NDArray[np.int8]:
        """Return the statuses of all trials, shape `sweep.shape`, in the meaning of this version.

        Blocks, in contrast, are read and written with the codes of the store's own format.

        Raises
        ------
        StoreError
            There is no store at this location.
        """
        return read_statuses(self.location, check_store(self.location.name))

    def _parts(self) -> Iterator[tuple[Region, NDArray[np.int8]]]:
        return status_parts(self.location, check_store(self.location.name))

    def counts(self) -> dict[str, int]:
        """Return the number of trials by the name of their status.

        Raises
        ------
        StoreError
            There is no store at this location.
        """
        counts = dict.fromkeys((status.word for status in Status), 0)
        for _, part in self._parts():
            for status in Status:
                counts[status.word] += int(np.count_nonzero(part == status))
        return counts

    def censored(self) -> int | None:
        """Return how many trials are done and yet did not arrive at the finest tolerance.

        The steps at which they would are not known, only that these are more than the trials took.
        None for a store whose trials have no tolerances.

        Raises
        ------
        StoreDamaged
            The first steps to a tolerance cannot be read.
        """
        if self.location.read(f"{ARRIVALS}/{ROOT}") is None:
            return None
        dims = layout_of(self.location, STATUS).dims
        if layout_of(self.location, ARRIVALS).dims != (*dims, "tolerance"):
            return None
        found = 0
        for where, part in self._parts():
            done = part == Status.DONE
            if done.any():
                with damage_as(StoreDamaged, self.location, ARRIVALS):
                    finest = np.asarray(open_array(self.location, ARRIVALS)[where])[..., -1]
                found += int(np.count_nonzero(done & np.isinf(finest)))
        return found

    def messages(self, limit: int = 5) -> list[tuple[str, int]]:
        """Return the most frequent messages of failed trials, with their numbers."""
        counts: Counter[str] = Counter()
        for where, part in self._parts():
            failed = part == Status.FAILED
            if failed.any():
                with damage_as(StoreDamaged, self.location, MESSAGE):
                    texts = np.asarray(open_array(self.location, MESSAGE)[where])
                counts.update(texts[failed].tolist())
        return counts.most_common(limit)

    def tiles(self) -> Iterator[Tile]:
        """Yield the tiles of the store, which share its chunks."""
        layout = layout_of(self.location, STATUS)
        return tiles(self.sweep, dict(zip(layout.dims, layout.chunks, strict=True)))

    def pending_tiles(self, retry_failed: bool = False) -> Iterator[Tile]:
        """Yield the tiles with pending trials, or also with failed ones that are to be retried."""
        layout = layout_of(self.location, STATUS)
        pending = np.zeros(layout.grid, dtype=bool)  # by chunk
        for where, part in self._parts():
            missing = _missing(part, retry_failed)
            for axis, extent in enumerate(layout.chunks):
                missing = np.logical_or.reduceat(missing, range(0, missing.shape[axis], extent), axis)
            corner = [at.start // extent for at, extent in zip(where, layout.chunks, strict=True)]
            stops = map(add, corner, missing.shape)
            pending[tuple(map(slice, corner, stops))] = missing
        for tile in self.tiles():
            where = tile_region(self.sweep, tile, self.sweep.dims)
            if pending[tuple(at.start // n for at, n in zip(where, layout.chunks, strict=True))]:
                yield tile

    def pending_cells(self, retry_failed: bool = False) -> list[Cell]:
        """Return the cells with trials to be computed, each with the widths of these trials only."""
        pending = np.zeros(self.sweep.shape[:-1], dtype=bool)
        for where, part in self._parts():
            pending[where[:-1]] |= _missing(part, retry_failed).any(axis=-1)
        found = []
        for cell in self.sweep.cells():
            rows = np.flatnonzero(pending[cell.index])
            if rows.size:
                found.append(replace(cell, widths=tuple(cell.widths[row] for row in rows)))
        return found

    # ---- its blocks

    def missing(self, tile: Tile, retry_failed: bool = False) -> NDArray[np.bool_]:
        """Return a mask of the trials of a tile that are to be computed, (blocks, widths, seeds)."""
        return _missing(np.stack(self._split(tile, STATUS, self.sweep.dims)), retry_failed)

    def read(self, block: Block) -> BlockResult:
        """Return the results of a block as far as the store has them.

        Raises
        ------
        ChunkDamaged
            A chunk of the block cannot be read.
        """

        def part(name: str) -> NDArray[Any]:
            dims = arrays[name]
            return from_store(self._read(name, region(self.sweep, block, dims)), dims)

        arrays = dims_of_arrays(self.sweep)
        status = part(STATUS)  # first, as it is written last
        values = {name: part(name) for name in arrays if name not in (MESSAGE, STATUS)}
        return BlockResult(values, status, np.asarray(part(MESSAGE), dtype=object))

    def read_tile(self, tile: Tile) -> list[BlockResult]:
        """Return the results of each block of a tile as far as the store has them.

        Raises
        ------
        ChunkDamaged
            A chunk of the tile cannot be read.
        """
        dims = dims_of_arrays(self.sweep)
        found = {name: self._split(tile, name, dims[name]) for name in reversed(dims)}  # status first
        statuses, messages = found.pop(STATUS), found.pop(MESSAGE)
        return [
            BlockResult({name: parts[i] for name, parts in found.items()}, status, message)
            for i, (status, message) in enumerate(zip(statuses, messages, strict=True))
        ]

    def checkpoints(self, tile: Tile) -> list[dict[tuple[int, int], Rows]]:
        """Return the checkpoints of each block of a tile, by (width, seed) in the block.

        Raises
        ------
        UnusableCheckpoints
            They cannot be used; the trials start anew.
        """
        if not experiment_of(self.sweep).continues:
            return [{} for _ in tile.blocks]
        layout = layout_of(self.location, STATUS)
        extents = dict(zip(layout.dims, layout.chunks, strict=True))
        found = read_checkpoints(
            self.location, tile_keys(self.sweep, tile, extents)[STATUS], self.sweep
        )
        return [_of_block(found, block) for block in tile.blocks]

    def known_checkpoints(self, tile: Tile) -> list[dict[tuple[int, int], Rows]]:
        """Return the checkpoints of a tile, and say so if they cannot be used."""
        try:
            return self.checkpoints(tile)
        except UnusableCheckpoints as error:
            log.warning(
                "store %s: a file of checkpoints is %s, so its trials start anew",
                self.location.name,
                error.why,
            )
            return [{} for _ in tile.blocks]

    def check(self, tile: Tile) -> None:
        """Check that the chunks of a tile are those that were written there.

        Raises
        ------
        StoreDamaged
            One of them is lost, belongs elsewhere, or was changed.
        """
        opened = self._opened()
        outcomes = bool(among(np.stack(self._split(tile, STATUS, self.sweep.dims)), WITH_RESULTS).any())
        opened.check(tile_keys(self.sweep, tile, opened.extents(self.sweep.dims)), outcomes)

    def write(self, tile: Tile, results: Sequence[BlockResult]) -> None:
        """Write the results of the blocks of a tile, the only writer of its chunks; `status` last.

        Raises
        ------
        StoreFull
            Writing failed; the tile is still pending.
        LeaseLost
            Another run holds the store, or another store has taken its place; nothing is written.
        """
        dims = dims_of_arrays(self.sweep)
        fills = {MESSAGE: "", STATUS: Status.EXCLUDED}
        parts = [{**one.values, MESSAGE: one.message, STATUS: one.status} for one in results]
        joined: dict[str, NDArray[Any]] = {}
        for name, own in dims.items():
            values: list[NDArray[Any]] = [part[name] for part in parts]
            joined[name] = to_store(tile, values, own, fills.get(name, np.nan))
        self._write(tile, joined, _by_index(tile, results))

    def write_statuses(self, tile: Tile, statuses: NDArray[np.int8]) -> None:
        """Write the statuses of a tile without any outcome, shape (blocks, widths, seeds).

        Raises
        ------
        StoreFull, LeaseLost
            As `write` does.
        """
        self._write(tile, {STATUS: to_store(tile, [*statuses], self.sweep.dims, Status.EXCLUDED)})

    # ---- upkeep

    def reset_failed(self) -> None:
        """Make failed trials pending again; the caller holds the lease."""
        for tile in self.tiles():
            status = np.stack(self._split(tile, STATUS, self.sweep.dims))
            failed = status == Status.FAILED
            if failed.any():
                self.write_statuses(tile, np.where(failed, np.int8(Status.PENDING), status))

    def clean(self) -> None:
        """Remove leftovers of killed or failed writes in the store and beside it.

        Call only while holding the lease: any other draft for this path would be rejected anyway,
        because there is a store already and replacing it needs the lease.

        Raises
        ------
        LeaseLost
            Another run holds the store, or another store has taken its place.
        """
        self._opened().location.clean()

    # ---- arrays

    def _split(self, tile: Tile, name: str, dims: tuple[str, ...]) -> list[NDArray[Any]]:
        """Return an array of each block of a tile, (widths or 1, seeds, inner)."""
        whole = self._read(name, tile_region(self.sweep, tile, dims))
        return [from_store(whole[place], dims) for place in tile.places]

    def _read(self, name: str, where: tuple[int | slice, ...]) -> NDArray[Any]:
        with damage_as(ChunkDamaged, self.location, name):
            array = open_arrays(self.location.name, self.location.fingerprint())[name]
            values = np.asarray(array[where])
            return values if name != MESSAGE else values.astype(object)

    @contextmanager
    def while_ours(self) -> Iterator[None]:
        """Say of a store that was removed or replaced while it was read that it is gone, not damaged.

        Raises
        ------
        LeaseLost
            An array could not be read, and the store is not there or not ours.
        """
        try:
            yield
        except StoreError:
            if self.holder:
                self._opened()
            raise

    def _opened(self) -> OpenStore:
        """Return the store open for writing, after checking that it is still the one to write to."""
        try:
            fingerprint = self.location.fingerprint()
        except OSError as error:
            if not self.holder:
                raise
            reason = error.strerror or str(error)
            raise LeaseLost(f"store {self.location.name}: is gone ({reason})") from None
        opened = open_store(self.location.name, self.sweep.identity, fingerprint)
        if self.holder:
            opened.confirm(self.holder)
        return opened

    def write_checkpoints(self, tile: Tile, results: Sequence[BlockResult]) -> None:
        """Write the checkpoints of a tile alone, such as those of trials that are to go on.

        Raises
        ------
        StoreFull, LeaseLost
            As `write` does.
        """
        self._write(tile, {}, _by_index(tile, results))

    def _write(
        self, tile: Tile, values: dict[str, NDArray[Any]], checkpoints: dict[Index, Rows] | None = None
    ) -> None:
        for tries_left in reversed(range(WRITE_TRIES)):
            try:
                opened = self._opened()
                keys = tile_keys(self.sweep, tile, opened.extents(self.sweep.dims))
                descent = self.sweep.descent
                if checkpoints or (checkpoints is not None and descent and descent.checkpoints):
                    # First: a write that is cut off leaves pending trials, which go on from them.
                    write_checkpoints(opened.location, keys[STATUS], self.sweep, checkpoints)
                if values:
                    opened.write(keys, values)
                break
            except OSError as error:
                if tries_left and isinstance(error, FileNotFoundError):
                    continue
                reason = error.strerror or str(error)
                if isinstance(error, PermissionError) and error.filename:
                    reason += f": {error.filename}"
                raise StoreFull(error.errno or errno.EIO, reason, self.location.name) from None


def _of_block(found: dict[Index, Rows], block: Block) -> dict[tuple[int, int], Rows]:
    """Return the checkpoints of the trials of a block, by (width, seed) in it."""
    widths, seeds = block.shape
    return {
        (row, column): found[at]
        for row in range(widths)
        for column in range(seeds)
        if (at := (*block.cell.index, block.first + row, block.start + column)) in found
    }


def _by_index(tile: Tile, results: Sequence[BlockResult]) -> dict[Index, Rows]:
    """Return the checkpoints of all blocks of a tile, by the indices of their trials."""
    return {
        (*block.cell.index, block.first + row, block.start + column): rows
        for block, result in zip(tile.blocks, results, strict=True)
        for (row, column), rows in sorted(result.checkpoints.items(), key=lambda item: item[0])
    }


def _missing(status: NDArray[np.int8], retry_failed: bool) -> NDArray[np.bool_]:
    return among(status, [Status.PENDING, Status.FAILED] if retry_failed else [Status.PENDING])
