"""Filling a tile on a worker: read its statuses, compute the missing trials, write them.

A tile that is submitted twice (its worker was thought dead, or two runs overlap for a moment) costs
one read of its statuses, because its trials are done already.

A tile that has killed workers is filled *carefully*: a seed at a time, then a trial at a time, and
each start is recorded in the store beforehand. So a trial that kills its process is known as one that
was started and never finished; after `TRIES` starts it fails, and the others get their values.
"""

from __future__ import annotations

import errno
import json
import logging
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.blocks import Block, BlockResult, Rows, Tile, empty_result, mask_for
from pipeline.errors import LeaseLost, StoreFull
from pipeline.execution.compute import compute_block
from pipeline.numerics.compile_time import compile_seconds
from pipeline.store import Store
from pipeline.store.location import Location
from pipeline.store.names import SECONDS, STARTS
from pipeline.trial_status import Status

__all__ = ["Outcome", "fill"]

TRIES = 3
"""Starts of a trial alone, after the block and its seed have each killed a worker."""

Mask = NDArray[np.bool_]
Checkpoints = Mapping[tuple[int, int], Rows]

log = logging.getLogger("widthlaw")


@dataclass(frozen=True)
class Outcome:
    """The work of a task, or of a whole run.

    Attributes
    ----------
    trials, failed
        Number of trials computed, and how many of them failed.
    seconds
        Time spent in numerics.
    full
        Why writing to the store failed; "" if it did not.
    lost
        Why this run may not write to the store any more; "" if it may.
    compiling
        Time spent on compiling loops, or on waiting for a process that does; no part of `seconds`.
    """

    trials: int = 0
    failed: int = 0
    seconds: float = 0.0
    full: str = ""
    lost: str = ""
    compiling: float = 0.0

    def __add__(self, other: Outcome) -> Outcome:
        return Outcome(
            self.trials + other.trials,
            self.failed + other.failed,
            self.seconds + other.seconds,
            self.full or other.full,
            self.lost or other.lost,
            self.compiling + other.compiling,
        )


def fill(store: Store, tile: Tile, *, retry_failed: bool = False, carefully: bool = False) -> Outcome:
    """Compute the missing trials of a tile and write them.

    Parameters
    ----------
    store, tile
        The store, and one of its tiles, which nobody else is writing.
    retry_failed
        Whether failed trials are computed again.
    carefully
        Whether the tile has killed workers before.

    Returns
    -------
    Outcome
        A store that cannot be written, or may not be, is an outcome too: an exception would make Dask
        print a traceback.
    """
    try:
        with store.while_ours():
            missing = store.missing(tile, retry_failed)
            if not missing.any():
                return Outcome()
            if carefully:
                return _fill_carefully(store, tile, missing)
            return _fill(store, tile, missing)
    except StoreFull as error:
        return Outcome(full=str(error.strerror))
    except LeaseLost as error:
        return Outcome(lost=str(error))


def _fill(store: Store, tile: Tile, missing: Mask) -> Outcome:
    """Compute some trials of a tile, mask of shape (blocks, widths, seeds), and write it."""
    pairs = list(zip(tile.blocks, missing, strict=True))
    began = compile_seconds()
    since = store.known_checkpoints(tile)
    results = [
        _computed(store, block, wanted, own) for (block, wanted), own in zip(pairs, since, strict=True)
    ]
    total = Outcome(compiling=compile_seconds() - began)
    for result, wanted, own in zip(results, missing, since, strict=True):
        total += _outcome(result, wanted, own)
    if not missing.all():  # read as late as possible: another worker may have written trials meanwhile
        store.check(tile)
        stored = store.read_tile(tile)
        for before, result, wanted, own in zip(stored, results, missing, since, strict=True):
            before.checkpoints = own
            before.update(result, wanted)
        results = stored
    store.write(tile, results)
    return total


def _computed(store: Store, block: Block, wanted: Mask, since: Checkpoints) -> BlockResult:
    if not wanted.any():
        return empty_result(store.sweep, block)
    log.info(
        "begins %d trials of cell %s, seeds %d:%d",
        wanted.sum(),
        block.cell.index,
        block.start,
        block.stop,
    )
    return compute_block(store.sweep, block, wanted, checkpoints=since)


def _outcome(result: BlockResult, computed: Mask, since: Checkpoints) -> Outcome:
    failed = int((result.status[computed] == Status.FAILED).sum())
    seconds = result.values[SECONDS]
    spent = float(np.nansum(seconds[mask_for(seconds, computed)]))
    earlier = sum(float(rows["seconds"].sum()) for at, rows in since.items() if computed[at])
    return Outcome(int(computed.sum()), failed, max(0.0, spent - earlier))


def _fill_carefully(store: Store, tile: Tile, missing: Mask) -> Outcome:
    total = Outcome()
    for number, block in enumerate(tile.blocks):
        starts = _Starts(store.location, block)
        for seed in np.flatnonzero(missing[number].any(axis=0)):
            rows = np.flatnonzero(missing[number][:, seed])
            if starts.count(f"{seed}") == 1:
                total += _fill(store, tile, _only(missing, number, rows, seed))
                continue
            for row in rows:
                trial = _only(missing, number, row, seed)
                if starts.count(f"{seed}.{row}") <= TRIES:
                    total += _fill(store, tile, trial)
                else:
                    total += _give_up(store, tile, trial)
        starts.forget()
    return total


def _only(missing: Mask, block: int, rows: Any, seed: np.intp) -> Mask:
    only = np.zeros_like(missing)
    only[block, rows, seed] = True
    return only


def _give_up(store: Store, tile: Tile, trial: Mask) -> Outcome:
    store.check(tile)
    results = store.read_tile(tile)
    for result, wanted, own in zip(results, trial, store.known_checkpoints(tile), strict=True):
        result.checkpoints = own
        result.status[wanted] = Status.FAILED
        result.message[wanted] = (
            f"WorkerKilled: its process died {TRIES} times while it computed this trial alone"
        )
    store.write(tile, results)
    return Outcome(trials=1, failed=1)


class _Starts:
    """Number of starts of each part of a block, kept in the store beside its chunks."""

    def __init__(self, location: Location, block: Block) -> None:
        corner = "-".join(map(str, (*block.cell.index, block.first, block.start)))
        self._location, self._key = location, f"{STARTS}{corner}.json"

    def count(self, part: str) -> int:
        """Count one more start, in the store before the caller begins, and return the number."""
        try:
            while True:  # another worker may be filling the block carefully at the same time
                text = self._location.peek(self._key)
                counts = self._parsed(text)
                counts[part] += 1
                if self._location.swap(self._key, text, json.dumps(counts).encode()):
                    return counts[part]
        except OSError as error:
            raise StoreFull(error.errno or errno.EIO, str(error.strerror or error)) from None

    @staticmethod
    def _parsed(text: bytes | None) -> Counter[str]:
        try:
            found = json.loads(text or b"{}")
        except (ValueError, RecursionError):  # cut off by a crash of the machine
            return Counter()
        sound = isinstance(found, dict) and all(type(count) is int for count in found.values())
        return Counter(found) if sound else Counter()

    def forget(self) -> None:
        self._location.delete(self._key)
