"""Repairing a store: trials with damage become pending, and files of the template are rewritten."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from pipeline import store as stores
from pipeline.errors import StoreError
from pipeline.maintenance.chunks import BadChunk, Decoder, chunk_index
from pipeline.maintenance.expected import checked_attributes, expected_template
from pipeline.maintenance.verify import Damage
from pipeline.store import lease
from pipeline.store.location import Location, StorePath, locate
from pipeline.store.names import ROOT, STATUS
from pipeline.store.older_formats import not_requested_code
from pipeline.trial_status import Status

__all__ = ["Repaired", "repair"]


@dataclass(frozen=True)
class Repaired:
    """The effect of a repair.

    Attributes
    ----------
    trials
        Number of trials made pending.
    rewritten, removed
        Numbers of files.
    """

    trials: int = 0
    rewritten: int = 0
    removed: int = 0


def repair(path: StorePath, damages: list[Damage]) -> Repaired:
    """Make damaged trials pending, restore the files of the template, and remove leftovers.

    The store keeps its format version.

    Parameters
    ----------
    path
        The store.
    damages
        The result of `damage`.

    Returns
    -------
    Repaired

    Raises
    ------
    StoreError
        The attributes of the group are damaged, or the store may not be written.
    StoreHeld
        A run is filling the store.
    """
    location = locate(path)
    if not damages:
        return Repaired()
    attributes = checked_attributes(path, location)
    if not location.writable():
        raise StoreError(f"store {path}: no permission to write; copy it to a path of your own")
    with lease.hold(location):
        rewritten = _rewrite(path, location, attributes, _keys(damages, "rewrite"))
        reset = {one.keys: one.trials for one in damages if one.remedy == "reset"}
        trials = sum(trials - _reset(location, attributes, keys) for keys, trials in reset.items())
        leftovers = _keys(damages, "remove")
        for key in leftovers:
            _remove(location, key)
    return Repaired(trials, rewritten, len(leftovers))


def _keys(damages: Iterable[Damage], remedy: str) -> list[str]:
    return [key for one in damages if one.remedy == remedy for key in one.keys]


# ---- blocks


def _reset(location: Location, attributes: Mapping[str, Any], keys: tuple[str, ...]) -> int:
    """Remove the chunks of a block, and return how many of its trials are not requested.

    A refined store keeps a chunk of statuses, in which such trials stay as they are.
    """
    status, *others = keys
    not_requested = np.zeros((), dtype=bool)
    if attributes.get("refined"):
        code = not_requested_code(attributes)
        not_requested = _statuses(location, status) == code
        location.delete(status)  # first: from here on the block is pending
        _write_statuses(location, status, np.where(not_requested, code, Status.PENDING))
    else:
        location.delete(status)
    for key in others:
        location.delete(key)
    return int(not_requested.sum())


def _statuses(location: Location, key: str) -> NDArray[np.int8]:
    """Return the statuses of a chunk; a single `PENDING` if the chunk is damaged or lost."""
    raw, metadata = location.read(key), location.read(f"{STATUS}/{ROOT}")
    try:
        return Decoder(metadata or b"").decode(key.removeprefix(f"{STATUS}/"), raw or b"")
    except BadChunk:
        return np.array(Status.PENDING, dtype=np.int8)


def _write_statuses(location: Location, key: str, status: NDArray[Any]) -> None:
    """Write the statuses of a chunk, even if all are pending."""
    with zarr.config.set({"array.write_empty_chunks": True}):
        array: Any = stores.open_group(location, "r+")[STATUS]
        array.blocks[chunk_index(key.removeprefix(f"{STATUS}/"))] = status.astype(np.int8)


# ---- files


def _rewrite(path: StorePath, location: Location, attributes: dict[str, Any], keys: list[str]) -> int:
    """Write files of the template, the root last, and return their number."""
    if not keys:
        return 0
    with expected_template(path, location, attributes) as template:
        for key in sorted(keys, key=lambda key: key == ROOT):
            new = template.read(key)
            if key == ROOT:  # keeps the attributes, which have their own digest
                new = json.dumps(json.loads(new) | {"attributes": attributes}, indent=2).encode()
            location.swap(key, location.read(key), new)
    return len(keys)


def _remove(location: Location, key: str) -> None:
    draft = Path(key)
    if draft in location.drafts():
        shutil.rmtree(draft, ignore_errors=True)
    else:
        location.delete(key)
