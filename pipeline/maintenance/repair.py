"""Repairing a store: damaged trials become pending again, and what the template holds is rewritten."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from pipeline import store as stores
from pipeline.errors import StoreError
from pipeline.maintenance.chunks import STATUS, BadChunk, Decoder, chunk_places
from pipeline.maintenance.verify import ROOT, Damage, attributes_or_damage, expected_template
from pipeline.store import lease
from pipeline.store.location import Place, place
from pipeline.trial_status import Status

__all__ = ["Repaired", "repair"]


@dataclass(frozen=True)
class Repaired:
    """What a repair did: trials made pending, files written anew, files removed."""

    trials: int = 0
    rewritten: int = 0
    removed: int = 0


# ---- mending


def repair(path: str | Path, damages: list[Damage]) -> Repaired:
    """Make the trials pending that damage has spoilt, and the store whole again.

    Parameters
    ----------
    path
        The store.
    damages
        What `damage` has found there.

    Returns
    -------
    Repaired

    Raises
    ------
    StoreError
        The group's own attributes are damaged.
    StoreHeld
        A run is filling the store.
    """
    where = place(path)
    hopeless = [found for found in damages if found.remedy is None]
    if hopeless:
        raise StoreError(
            f"store {path}: {hopeless[0].key} is damaged and cannot be repaired: it says what all the "
            "rest is; bring back a copy of that file, or run the sweep into a new path"
        )
    if not damages:
        return Repaired()
    if not where.writable():
        raise StoreError(f"store {path}: no permission to write; copy it to a place of your own")
    with lease.hold(where):
        rewritten = _rewrite(path, where, [found for found in damages if found.remedy == "rewrite"])
        reset = {found.keys: found.trials for found in damages if found.remedy == "reset"}
        refined = bool(reset) and stores.is_refined(path)
        trials = sum(reset.values())
        for status, *others in reset:
            unasked = _unasked(where, status) if refined else None
            where.delete(status)  # first: from here on the block is pending
            if unasked is not None:
                trials -= int(unasked.sum())
                _write_unasked(where, status, unasked)
            for key in others:
                where.delete(key)
        removed = [key for found in damages if found.remedy == "remove" for key in found.keys]
        for key in removed:
            _remove(where, key)
    return Repaired(trials, rewritten, len(removed))


def _unasked(where: Place, key: str) -> NDArray[np.bool_]:
    """Which trials a status chunk of a refined store says are not asked for; none where it is lost."""
    raw, metadata = where.read(key), where.read(f"{STATUS}/{ROOT}")
    try:
        found = Decoder(metadata or b"").decode(key.removeprefix(f"{STATUS}/"), raw or b"")
    except BadChunk:
        return np.zeros((), dtype=bool)
    return found == Status.EXCLUDED


def _write_unasked(where: Place, key: str, unasked: NDArray[np.bool_]) -> None:
    """Write a status chunk, of which a refined store has one a block, with all other trials pending."""
    with zarr.config.set({"array.write_empty_chunks": True}):
        status: Any = stores.open_group(where, "r+")[STATUS]
        values = np.where(unasked, np.int8(Status.EXCLUDED), np.int8(Status.PENDING))
        status.blocks[chunk_places(key.removeprefix(f"{STATUS}/"))] = values


def _rewrite(path: str | Path, where: Place, damages: list[Damage]) -> int:
    keys = [key for found in damages for key in found.keys]
    if not keys:
        return 0
    attributes = attributes_or_damage(path, where)
    assert not isinstance(attributes, Damage)
    with expected_template(path, where, attributes) as template:
        for key in sorted(keys, key=lambda key: key == ROOT):
            new = template.read(key)
            if key == ROOT:  # keeps the attributes, which have their own digest
                new = json.dumps(json.loads(new) | {"attributes": attributes}, indent=2).encode()
            where.swap(key, where.read(key), new)
    return len(keys)


def _remove(where: Place, key: str) -> None:
    draft = Path(key)
    if draft in where.drafts():
        shutil.rmtree(draft, ignore_errors=True)
    else:
        where.delete(key)
