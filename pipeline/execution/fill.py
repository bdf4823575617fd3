"""What a worker does with a block: look at what is there, compute what is missing, write it.

A block that is handed out twice (its worker was thought dead, or two runs overlap for a moment)
costs one look at its statuses, since everything else is there already.

A block that has taken workers down is filled *carefully*: a seed at a time, then a trial at a time,
and the store is told before each start. So a trial that kills its process is found by what was
started and never finished; after `TRIES` starts it is failed, and the others have their values.
"""

from __future__ import annotations

import errno
import json
import logging
from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline import store as stores
from pipeline.blocks import Block, BlockResult
from pipeline.errors import StoreFull
from pipeline.execution.compute import compute_block, overlay
from pipeline.store.location import Place, place
from pipeline.sweep import Sweep
from pipeline.trial_status import Status

__all__ = ["TRIES", "Outcome", "fill"]

TRIES = 3
"""Starts of a trial of its own, after the block and its seed have each taken a worker down."""

Mask = NDArray[np.bool_]

log = logging.getLogger("widthlaw")


@dataclass(frozen=True)
class Outcome:
    """What a task, or a whole run, did."""

    trials: int = 0
    failed: int = 0
    seconds: float = 0.0
    full: str = ""  # why the store took no more

    def __add__(self, other: Outcome) -> Outcome:
        return Outcome(
            self.trials + other.trials,
            self.failed + other.failed,
            self.seconds + other.seconds,
            self.full or other.full,
        )


def fill(
    sweep: Sweep, path: str, block: Block, *, retry_failed: bool = False, carefully: bool = False
) -> Outcome:
    """Compute what a block lacks and write it; a store that takes no more is an outcome.

    Parameters
    ----------
    sweep, path, block
        The sweep, its store, and the block, whose only writer the caller is.
    retry_failed
        Whether failed trials are computed again.
    carefully
        Whether the block has taken workers down before.
    """
    try:
        missing = stores.wanted(stores.status_of(path, block), retry_failed)
        if not missing.any():
            return Outcome()
        if carefully:
            return _fill_carefully(sweep, path, block, missing)
        return _fill(sweep, path, block, missing)
    except StoreFull as error:  # as data: an exception would make Dask print a traceback
        return Outcome(full=str(error.strerror))


def _fill(sweep: Sweep, path: str, block: Block, missing: Mask) -> Outcome:
    log.info("begins %d trials of cell %s, seeds %d:%d", missing.sum(), *_place(block))
    result = compute_block(sweep, block, missing)
    outcome = _outcome(result, missing)
    if not missing.all():  # read at the last moment: another may have written trials meanwhile
        result = overlay(sweep, stores.read_block(path, sweep, block), result, missing)
    stores.write(path, sweep, block, result)
    return outcome


def _place(block: Block) -> tuple[tuple[int, ...], int, int]:
    return block.cell.index, block.start, block.stop


def _outcome(result: BlockResult, computed: Mask) -> Outcome:
    failed = int((result.status[computed] == Status.FAILED).sum())
    seconds = result.values["seconds"]
    spent = seconds[computed if seconds.ndim == 2 else computed.any(axis=0)]
    return Outcome(int(computed.sum()), failed, float(np.nansum(spent)))


def _fill_carefully(sweep: Sweep, path: str, block: Block, missing: Mask) -> Outcome:
    total = Outcome()
    starts = _Starts(place(path), block)
    for seed in np.flatnonzero(missing.any(axis=0)):
        rows = np.flatnonzero(missing[:, seed])
        if starts.note(f"{seed}") == 1:
            total += _fill(sweep, path, block, _only(missing, rows, seed))
            continue
        for row in rows:
            this = _only(missing, row, seed)
            if starts.note(f"{seed}.{row}") <= TRIES:
                total += _fill(sweep, path, block, this)
            else:
                total += _give_up(sweep, path, block, this)
    starts.forget()
    return total


def _only(missing: Mask, rows: Any, seed: np.intp) -> Mask:
    only = np.zeros_like(missing)
    only[rows, seed] = True
    return only


def _give_up(sweep: Sweep, path: str, block: Block, this: Mask) -> Outcome:
    result = stores.read_block(path, sweep, block)
    result.status[this] = Status.FAILED
    result.message[this] = (
        f"WorkerKilled: its process died {TRIES} times while it computed this trial alone"
    )
    stores.write(path, sweep, block, result)
    return Outcome(trials=1, failed=1)


class _Starts:
    """How often each part of a block was started, kept in the store beside its chunks."""

    def __init__(self, where: Place, block: Block) -> None:
        place_of = "-".join(map(str, (*block.cell.index, block.first, block.start)))
        self._where, self._key = where, f".starts-{place_of}.json"

    def note(self, part: str) -> int:
        """Count one more start and return the number, with the store knowing before the caller does."""
        try:
            while True:  # another may be filling the block carefully at the same time
                text = self._where.read(self._key)
                counts = self._parsed(text)
                counts[part] += 1
                if self._where.swap(self._key, text, json.dumps(counts).encode()):
                    return counts[part]
        except OSError as error:
            raise StoreFull(error.errno or errno.EIO, str(error.strerror or error)) from None

    @staticmethod
    def _parsed(text: bytes | None) -> Counter[str]:
        try:
            return Counter(json.loads(text or b"{}"))
        except (ValueError, TypeError):  # cut off by a crash of the machine
            return Counter()

    def forget(self) -> None:
        self._where.delete(self._key)
