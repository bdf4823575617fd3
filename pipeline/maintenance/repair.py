"""Repairing a store: trials with damage become pending, and files of the template are rewritten."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from operator import add
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import ChunkDamaged, StoreError
from pipeline.maintenance.expected import checked_attributes, expected_template
from pipeline.maintenance.verify import Damage, inspect
from pipeline.selection import requested
from pipeline.store import lease
from pipeline.store.chunks import ArrayLayout, BadChunk, Coder, chunk_index
from pipeline.store.digests import has_digests, write_block
from pipeline.store.location import Location, StorePath, locate
from pipeline.store.names import ROOT, STATUS
from pipeline.store.older_formats import not_requested_code
from pipeline.sweep import Sweep
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

    The store keeps its format version. In a folder all is done or, if anything fails, nothing. The
    store is looked at again once it is held, and only what is still damaged is changed: another repair
    and a run may have mended it, or another store may have taken its place.

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
    if not damages:
        return Repaired()
    location = locate(path)
    checked_attributes(path, location)
    if not location.writable():
        raise StoreError(f"store {path}: no permission to write; copy it to a path of your own")
    location = location.held_open()
    with lease.hold(location):
        attributes = checked_attributes(path, location)
        still = set(inspect(path, location, attributes))
        return _repaired(path, location, attributes, [one for one in damages if one in still])


def _repaired(
    path: StorePath, location: Location, attributes: dict[str, Any], damages: list[Damage]
) -> Repaired:
    reset = {one.keys: one.trials for one in damages if one.remedy == "reset"}
    kept = _kept_statuses(path, location, attributes, [keys[0] for keys in reset])
    drafts = set(map(str, location.drafts()))
    leftovers = _keys(damages, "remove")
    rewrites = _keys(damages, "rewrite")
    # First, as a link may hide what is reset, and a folder be in the place of what is rewritten:
    first = [key for key in leftovers if key not in drafts]
    first += [key for key in rewrites if _is_odd(location, key)]
    with location.delete_all([*first, *(key for keys in reset for key in keys)]):
        rewritten = _rewrite(path, location, attributes, rewrites)
        metadata = location.read(f"{STATUS}/{ROOT}") or b""
        for key, status in kept.items():
            raw = Coder(metadata).encode(key.removeprefix(f"{STATUS}/"), status)
            write_block(location, {key: raw}, digests=has_digests(attributes))
    for draft in drafts.intersection(leftovers):
        shutil.rmtree(Path(draft), ignore_errors=True)
    code = not_requested_code(attributes) if attributes.get("refined") else Status.NOT_REQUESTED
    not_requested = sum(int((status == code).sum()) for status in kept.values())
    return Repaired(sum(reset.values()) - not_requested, rewritten, len(leftovers))


def _is_odd(location: Location, key: str) -> bool:
    try:
        location.read(key)
    except ChunkDamaged:
        return True
    return False


def _keys(damages: Iterable[Damage], remedy: str) -> list[str]:
    return [key for one in damages if one.remedy == remedy for key in one.keys]


# ---- blocks


def _kept_statuses(
    path: StorePath, location: Location, attributes: dict[str, Any], keys: list[str]
) -> dict[str, NDArray[np.int8]]:
    """Return the statuses that tiles keep when they are reset, by the key of their chunk.

    Trials that cannot exist stay excluded. A refined store keeps a chunk of statuses for every tile, in
    which trials that are not requested stay as they are: those that the sub-grids and conditions of the
    sweep leave out, even if the chunk is lost, or those that the chunk tells.
    """
    kept: dict[str, NDArray[np.int8]] = {}
    template = expected_template(path, location, attributes)
    coder = Coder(template.files[f"{STATUS}/{ROOT}"])  # the metadata of the store may be damaged
    for key in keys:
        if attributes.get("refined"):
            code = not_requested_code(attributes)
            found = _by_selection(template.sweep, coder.layout, key)
            found = _statuses(location, key) if found is None else found
            kept[key] = np.where(found == code, np.int8(code), np.int8(Status.PENDING))
        if key in template.files:
            first = coder.decode(key.removeprefix(f"{STATUS}/"), template.files[key])
            before = kept.get(key, np.array(Status.PENDING, dtype=np.int8))
            kept[key] = np.where(first == Status.EXCLUDED, np.int8(Status.EXCLUDED), before)
    return kept


def _by_selection(sweep: Sweep, layout: ArrayLayout, key: str) -> NDArray[np.int8] | None:
    """Return the statuses that a chunk has before its first outcome; None if only the chunk knows."""
    if not sweep.requests or any(one.single for one in sweep.requests):
        return None
    corner = chunk_index(key.removeprefix(f"{STATUS}/"))
    starts = [at * size for at, size in zip(corner, layout.chunks, strict=True)]
    stops = map(add, starts, layout.chunks)
    wanted = requested(sweep)[tuple(map(slice, starts, stops))]
    return np.where(wanted, np.int8(Status.PENDING), np.int8(Status.NOT_REQUESTED))


def _statuses(location: Location, key: str) -> NDArray[np.int8]:
    """Return the statuses of a chunk; a single `PENDING` if the chunk is damaged or lost."""
    try:
        coder = Coder(location.read(f"{STATUS}/{ROOT}") or b"")
        raw = location.read(key, coder.layout.most)
        return coder.decode(key.removeprefix(f"{STATUS}/"), raw or b"")
    except (BadChunk, ChunkDamaged):
        return np.array(Status.PENDING, dtype=np.int8)


# ---- files


def _rewrite(path: StorePath, location: Location, attributes: dict[str, Any], keys: list[str]) -> int:
    """Write files of the template, the root last, and return their number."""
    if not keys:
        return 0
    template = expected_template(path, location, attributes)
    for key in sorted(keys, key=lambda key: key == ROOT):
        new = template.files[key]
        if key == ROOT:  # keeps the attributes, which have their own digest
            new = json.dumps(json.loads(new) | {"attributes": attributes}, indent=2).encode()
        location.write(key, new)
    return len(keys)
