"""The Store: reads and writes the blocks of one sweep at one location.

A block is the only writer of its chunks. `Store.write` puts results first and `status` last, so a
block that is cut off at any moment is still pending and is computed again, to the same bits. Done is a
status, never "not NaN" and never "the chunk exists".
"""

from __future__ import annotations

import errno
import shutil
from collections import Counter
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.blocks import Block, BlockResult, blocks
from pipeline.errors import ChunkDamaged, StoreFull
from pipeline.experiments import variables
from pipeline.store.arrays import (
    damage_as,
    from_store,
    open_array,
    open_arrays,
    read_array,
    region,
    to_store,
)
from pipeline.store.location import Location, StorePath, locate
from pipeline.store.names import MESSAGE, PARTIAL, STATUS
from pipeline.store.older_formats import separate_not_requested
from pipeline.store.reading import check_store, stored_sweep
from pipeline.store.template import variable_dims
from pipeline.sweep import Sweep
from pipeline.trial_status import Status

__all__ = ["Store"]

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
    """

    def __init__(self, path: StorePath | Location, sweep: Sweep | None = None) -> None:
        self.location = locate(path) if isinstance(path, str | Path) else path
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
        name = self.location.name
        attributes, status = check_store(name), read_array(self.location, STATUS)
        return separate_not_requested(name, status, attributes, self._dims())

    def counts(self) -> dict[str, int]:
        """Return the number of trials by the name of their status.

        Raises
        ------
        StoreError
            There is no store at this location.
        """
        found = self.statuses()
        return {status.word: int(np.count_nonzero(found == status)) for status in Status}

    def messages(self, limit: int = 5) -> list[tuple[str, int]]:
        """Return the most frequent messages of failed trials, with their numbers."""
        failed = self.statuses() == Status.FAILED
        if not failed.any():
            return []
        return Counter(read_array(self.location, MESSAGE)[failed].tolist()).most_common(limit)

    def pending_blocks(self, retry_failed: bool = False) -> Iterator[Block]:
        """Yield the blocks with pending trials, or also with failed ones that are to be retried."""
        array, status = open_array(self.location, STATUS), self.statuses()
        for block in blocks(self.sweep, *array.chunks[-2:]):
            if _missing(status[self._trials(block)], retry_failed).any():
                yield block

    # ---- its blocks

    def missing(self, block: Block, retry_failed: bool = False) -> NDArray[np.bool_]:
        """Return a mask of the trials of a block that are to be computed, shape (widths, seeds)."""
        status = self._read(self._arrays(), STATUS, self.sweep.dims, block)
        return _missing(status, retry_failed)

    def read(self, block: Block) -> BlockResult:
        """Return the results of a block as far as the store has them.

        Raises
        ------
        ChunkDamaged
            A chunk of the block cannot be read.
        """
        arrays, dims = self._arrays(), self.sweep.dims
        status = self._read(arrays, STATUS, dims, block)  # first, as it is written last
        message = np.asarray(self._read(arrays, MESSAGE, dims, block), dtype=object)
        values = {}
        for variable in variables(self.sweep):
            dims = variable_dims(self.sweep, variable.dims)
            values[variable.name] = from_store(self._read(arrays, variable.name, dims, block), dims)
        return BlockResult(values, status, message)

    def write(self, block: Block, result: BlockResult) -> None:
        """Write the results of a block, `status` last; the block is the only writer of its chunks.

        Raises
        ------
        StoreFull
            Writing failed; the block is still pending.
        """
        for tries_left in reversed(range(WRITE_TRIES)):
            try:
                self._write(block, result)
                break
            except OSError as error:
                if tries_left and isinstance(error, FileNotFoundError):
                    continue
                reason = error.strerror or str(error)
                raise StoreFull(error.errno or errno.EIO, reason, self.location.name) from None

    def write_status(self, block: Block, status: NDArray[np.int8]) -> None:
        """Write the statuses of a block without any outcome, shape (widths, seeds)."""
        self._arrays()[STATUS][self._trials(block)] = status

    # ---- upkeep

    def reset_failed(self) -> None:
        """Make failed trials pending again; the caller holds the lease."""
        status = self._arrays()[STATUS]
        found = np.asarray(status)
        status[...] = np.where(found == Status.FAILED, np.int8(Status.PENDING), found)

    def clean(self) -> None:
        """Remove leftovers of killed or failed writes in the store and beside it.

        Call only while holding the lease: any other draft for this path would be rejected anyway,
        because there is a store already and replacing it needs the lease.
        """
        for key, _ in self.location.files():
            if key.endswith(PARTIAL):
                self.location.delete(key)
        for draft in self.location.drafts():
            shutil.rmtree(draft, ignore_errors=True)

    # ---- arrays

    def _dims(self) -> tuple[str, ...]:
        metadata: Any = open_array(self.location, STATUS).metadata
        return tuple(metadata.dimension_names)

    def _arrays(self) -> dict[str, Any]:
        """Return the arrays, open for reading and writing.

        Every write goes through here: the place to check that the store is still the one that was
        opened, and who holds its lease.
        """
        return open_arrays(self.location.name, self.location.fingerprint())

    def _trials(self, block: Block) -> tuple[int | slice, ...]:
        return region(self.sweep, block, self.sweep.dims)

    def _read(
        self, arrays: dict[str, Any], name: str, dims: tuple[str, ...], block: Block
    ) -> NDArray[Any]:
        with damage_as(ChunkDamaged, self.location, name):
            return np.asarray(arrays[name][region(self.sweep, block, dims)])

    def _write(self, block: Block, result: BlockResult) -> None:
        arrays = self._arrays()
        for variable in variables(self.sweep):
            dims = variable_dims(self.sweep, variable.dims)
            values = to_store(result.values[variable.name], dims)
            arrays[variable.name][region(self.sweep, block, dims)] = values
        arrays[MESSAGE][self._trials(block)] = result.message
        arrays[STATUS][self._trials(block)] = result.status


def _missing(status: NDArray[np.int8], retry_failed: bool) -> NDArray[np.bool_]:
    return np.isin(status, [Status.PENDING, Status.FAILED] if retry_failed else [Status.PENDING])
