"""The Store: reads and writes the blocks of one sweep at one location.

A block is the only writer of its chunks. `Store.write` puts results first and `status` last, so a
block that is cut off at any moment is still pending and is computed again, to the same bits. Done is a
status, never "not NaN" and never "the chunk exists".
"""

from __future__ import annotations

import errno
from collections import Counter
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.blocks import Block, BlockResult, blocks
from pipeline.errors import ChunkDamaged, LeaseLost, StoreFull
from pipeline.experiments import variables
from pipeline.store.arrays import (
    OpenStore,
    block_keys,
    damage_as,
    dims_of_arrays,
    from_store,
    layout_of,
    open_array,
    open_arrays,
    open_store,
    read_array,
    region,
    to_store,
)
from pipeline.store.location import Location, StorePath, locate
from pipeline.store.names import MESSAGE, STATUS
from pipeline.store.reading import check_store, stored_sweep
from pipeline.store.statuses import statuses_as_read
from pipeline.store.template import variable_dims
from pipeline.sweep import Sweep
from pipeline.trial_status import WITH_RESULTS, Status

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
        name = self.location.name
        attributes, status = check_store(name), read_array(self.location, STATUS)
        return statuses_as_read(name, attributes, status, layout_of(self.location, STATUS).dims)

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
        return _missing(self._read(STATUS, self.sweep.dims, block), retry_failed)

    def read(self, block: Block) -> BlockResult:
        """Return the results of a block as far as the store has them.

        Raises
        ------
        ChunkDamaged
            A chunk of the block cannot be read.
        """
        dims = self.sweep.dims
        status = self._read(STATUS, dims, block)  # first, as it is written last
        message = np.asarray(self._read(MESSAGE, dims, block), dtype=object)
        values = {}
        for variable in variables(self.sweep):
            dims = variable_dims(self.sweep, variable.dims)
            values[variable.name] = from_store(self._read(variable.name, dims, block), dims)
        return BlockResult(values, status, message)

    def check(self, block: Block) -> None:
        """Check that the chunks of a block are those that were written there.

        Raises
        ------
        StoreDamaged
            One of them is lost, belongs elsewhere, or was changed.
        """
        opened = self._opened()
        status = self._read(STATUS, self.sweep.dims, block)
        outcomes = bool(np.isin(status, WITH_RESULTS).any())
        opened.check(block_keys(self.sweep, block, opened.extents(self.sweep.dims)), outcomes)

    def write(self, block: Block, result: BlockResult) -> None:
        """Write the results of a block, `status` last; the block is the only writer of its chunks.

        Raises
        ------
        StoreFull
            Writing failed; the block is still pending.
        LeaseLost
            Another run holds the store, or another store has taken its place; nothing is written.
        """
        arrays = {**result.values, MESSAGE: result.message, STATUS: result.status}
        dims = dims_of_arrays(self.sweep)
        self._write(block, {name: to_store(arrays[name], dims[name]) for name in dims})

    def write_status(self, block: Block, status: NDArray[np.int8]) -> None:
        """Write the statuses of a block without any outcome, shape (widths, seeds).

        Raises
        ------
        StoreFull, LeaseLost
            As `write` does.
        """
        self._write(block, {STATUS: status})

    # ---- upkeep

    def reset_failed(self) -> None:
        """Make failed trials pending again; the caller holds the lease."""
        array = open_array(self.location, STATUS)
        for block in blocks(self.sweep, *array.chunks[-2:]):
            status = self._read(STATUS, self.sweep.dims, block)
            failed = status == Status.FAILED
            if failed.any():
                self.write_status(block, np.where(failed, np.int8(Status.PENDING), status))

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

    def _trials(self, block: Block) -> tuple[int | slice, ...]:
        return region(self.sweep, block, self.sweep.dims)

    def _read(self, name: str, dims: tuple[str, ...], block: Block) -> NDArray[Any]:
        with damage_as(ChunkDamaged, self.location, name):
            array = open_arrays(self.location.name, self.location.fingerprint())[name]
            return np.asarray(array[region(self.sweep, block, dims)])

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

    def _write(self, block: Block, values: dict[str, NDArray[Any]]) -> None:
        for tries_left in reversed(range(WRITE_TRIES)):
            try:
                opened = self._opened()
                keys = block_keys(self.sweep, block, opened.extents(self.sweep.dims))
                opened.write(keys, values)
                break
            except OSError as error:
                if tries_left and isinstance(error, FileNotFoundError):
                    continue
                reason = error.strerror or str(error)
                raise StoreFull(error.errno or errno.EIO, reason, self.location.name) from None


def _missing(status: NDArray[np.int8], retry_failed: bool) -> NDArray[np.bool_]:
    return np.isin(status, [Status.PENDING, Status.FAILED] if retry_failed else [Status.PENDING])
