"""The files from which descents go on: one for each tile, with the checkpoints of its trials.

A checkpoint is no result. Whoever reads a store with xarray does not see it, and its loss costs time
and no trial. So checkpoints are no arrays of the store: their files lie in a folder of their own, which
may be removed, and nothing is damaged without them.

The first line of a file is the SHA-256 of the rest. Then come a line of JSON, which says what the file
is for and how long the rows of each trial are, and the rows as little-endian float64. A file that is
not what was written, or is for other trials or other numerics, is not used: `UnusableCheckpoints` says
why, and the trials start anew.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np

from pipeline.blocks import Rows
from pipeline.errors import ChunkDamaged
from pipeline.store.chunks import ArrayLayout
from pipeline.store.location import Location
from pipeline.store.names import CHECKPOINTS, STATUS
from pipeline.sweep import Sweep

__all__ = [
    "NONE",
    "OTHER_NUMERICS",
    "OTHER_SWEEP",
    "TORN",
    "CheckpointFiles",
    "Index",
    "UnusableCheckpoints",
    "checkpoints_key",
    "read_checkpoints",
    "write_checkpoints",
]

Index = tuple[int, ...]
"""Index of a trial along the dimensions of `status`."""

MOST_BYTES = 2**32
"""The most bytes of a file of checkpoints."""

MOST_FILES = 8
"""Files whose checkpoints are in memory while a store is copied."""

TORN, OTHER_NUMERICS, OTHER_SWEEP = "torn", "of other numerics", "of another sweep"
"""Why a file of checkpoints is not used."""

NONE = "not there"
"""The trial has no checkpoint."""


class UnusableCheckpoints(Exception):
    """A file of checkpoints is not used.

    Attributes
    ----------
    why
        One of `TORN`, `OTHER_NUMERICS` and `OTHER_SWEEP`.
    """

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


def checkpoints_key(status_key: str) -> str:
    """Return the file of a tile's checkpoints, given the key of its chunk of statuses."""
    return f"{CHECKPOINTS}{'.'.join(status_key.split('/')[2:])}.bin"


def _made_for(sweep: Sweep) -> dict[str, Any]:
    """Return what decides whether a descent can go on: the identity, but for the budget."""
    fields = sweep.identity_fields
    descent = {key: value for key, value in fields.get("descent", {}).items() if key != "steps"}
    text = json.dumps(fields | {"descent": descent}, sort_keys=True)
    return {
        "numerics_version": sweep.numerics_version,
        "trials": hashlib.sha256(text.encode()).hexdigest(),
    }


def write_checkpoints(
    location: Location, status_key: str, sweep: Sweep, found: Mapping[Index, Rows]
) -> None:
    """Write the checkpoints of a tile by the indices of their trials; without any, no file stays."""
    key = checkpoints_key(status_key)
    if not found:
        location.delete(key)
        return
    arrays = [
        np.ascontiguousarray(row, dtype="<f8") for rows in found.values() for row in rows.values()
    ]
    trials = [
        {"at": list(at), "rows": {name: int(row.size) for name, row in rows.items()}}
        for at, rows in found.items()
    ]
    header = json.dumps(_made_for(sweep) | {"checkpoints": trials}).encode()
    content = b"".join((header, b"\n", *(array.tobytes() for array in arrays)))
    location.write(key, hashlib.sha256(content).hexdigest().encode() + b"\n" + content)


def read_checkpoints(location: Location, status_key: str, sweep: Sweep) -> dict[Index, Rows]:
    """Return the checkpoints of a tile by the indices of their trials; none if it has no file.

    Raises
    ------
    UnusableCheckpoints
        The file is not what was written, or was written for other trials or other numerics.
    """
    try:
        raw = location.read(checkpoints_key(status_key), MOST_BYTES)
    except ChunkDamaged:
        raise UnusableCheckpoints(TORN) from None
    if raw is None:
        return {}
    checksum, _, content = raw.partition(b"\n")
    if hashlib.sha256(content).hexdigest().encode() != checksum:
        raise UnusableCheckpoints(TORN)
    text, _, body = content.partition(b"\n")
    try:
        header = json.loads(text)
        made_for, trials = _made_for(sweep), header["checkpoints"]
        if header["numerics_version"] != made_for["numerics_version"]:
            raise UnusableCheckpoints(OTHER_NUMERICS)
        if header["trials"] != made_for["trials"]:
            raise UnusableCheckpoints(OTHER_SWEEP)
        return _parsed(trials, body)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):  # made by hand
        raise UnusableCheckpoints(TORN) from None


def _parsed(trials: list[dict[str, Any]], body: bytes) -> dict[Index, Rows]:
    """Cut the numbers of a file into the rows of its trials."""
    numbers = np.frombuffer(body, dtype="<f8").astype(np.float64)
    lengths = [size for one in trials for size in one["rows"].values()]
    if any(type(size) is not int or size < 0 for size in lengths) or sum(lengths) != numbers.size:
        raise ValueError("the rows have another length than the header says")
    ends = np.cumsum([0, *lengths]).tolist()
    rows = iter(numbers[begin:end] for begin, end in pairwise(ends))
    if any("seconds" not in one["rows"] for one in trials):
        raise ValueError("a trial has no time")
    return {tuple(one["at"]): {name: next(rows) for name in one["rows"]} for one in trials}


class CheckpointFiles:
    """The checkpoints of a store, trial by trial, for those who copy trials to another store.

    Parameters
    ----------
    location, layout
        The store, and the layout of its statuses.
    sweep
        Its sweep.
    """

    def __init__(self, location: Location, layout: ArrayLayout, sweep: Sweep) -> None:
        self._location, self._chunks, self._sweep = location, layout.chunks, sweep
        self._files: dict[str, dict[Index, Rows] | str] = {}

    @cached_property
    def there(self) -> bool:
        """True if the store has files of checkpoints."""
        return any(True for _ in self._location.files(CHECKPOINTS))

    def find(self, at: Index) -> Rows | str:
        """Return the checkpoint of a trial; why it has none, or none that can be used."""
        if not self.there:
            return NONE
        chunk = (str(i // extent) for i, extent in zip(at, self._chunks, strict=True))
        key = "/".join([STATUS, "c", *chunk])
        if key not in self._files:
            while len(self._files) >= MOST_FILES:
                del self._files[next(iter(self._files))]
            try:
                self._files[key] = read_checkpoints(self._location, key, self._sweep)
            except UnusableCheckpoints as error:
                self._files[key] = error.why
        found = self._files[key]
        return found if isinstance(found, str) else found.get(at, NONE)
