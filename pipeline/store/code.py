"""The code of a store's trials, where the experiment is one's own.

A store keeps the digest of the sources that its trials come from, and no code. A sweep whose sources
have changed is refused: its trials could have other values. Somebody who knows that they have not can
accept the new sources, which the provenance of the store then tells for good.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.errors import CodeError, StoreError
from pipeline.experiments import require_code
from pipeline.store import lease
from pipeline.store.arrays import root_of
from pipeline.store.location import StorePath, locate
from pipeline.store.names import ROOT
from pipeline.store.reading import check_store
from pipeline.store.template import attributes_digest
from pipeline.sweep import Sweep

if TYPE_CHECKING:
    from pipeline.experiments.own.record import Own

__all__ = ["accept_code", "as_stored", "changed_code", "with_code"]

ACCEPTED = "accepted_code"
"""Key of a store's provenance: the digests of other sources whose trials have the same values."""


def as_stored(attributes: Mapping[str, Any], sweep: Sweep) -> Sweep:
    """Return a sweep with what a store began with: its numerics, its measured cost, and its digest.

    The digest of the sweep's sources is that of the store also if they were accepted for it.

    Parameters
    ----------
    attributes
        Attributes of the store.
    sweep
        A sweep that may be that of the store.
    """
    sweep = sweep.with_numerics_of(attributes["identity_fields"])
    own, stored = sweep.own, attributes.get("own")
    if own is None or not isinstance(stored, dict):
        return sweep
    from pipeline.experiments.own.record import from_attributes

    try:
        before, accepted = from_attributes(stored), own.digest in _accepted(attributes)
    except (TypeError, KeyError, ValueError, AttributeError):
        return sweep  # damaged: whoever reads the sweep of the store says so
    digest = before.digest if accepted else own.digest
    return replace(sweep, own=replace(own, digest=digest, cost=before.cost))


def _accepted(attributes: Mapping[str, Any]) -> list[str]:
    """Return the digests of other sources that were accepted for a store."""
    own = attributes.get("provenance") or {}
    provenances = [own, *own.get("sources", ())]  # of stores that it took over
    return [record["digest"] for one in provenances for record in one.get(ACCEPTED, ())]


def changed_code(path: StorePath, attributes: Mapping[str, Any], sweep: Sweep) -> StoreError | None:
    """Return the error for a sweep whose sources are not those of a store; None if nothing but else."""
    stored, own = attributes["identity_fields"], sweep.own
    differing = {key for key in {**stored, **sweep.identity_fields} if _differs(key, stored, sweep)}
    if own is None or differing != {"code"}:
        return None
    return _other_code(path, own, str(stored["code"]), own.digest)


def _differs(key: str, stored: Mapping[str, Any], sweep: Sweep) -> bool:
    return bool(stored.get(key) != sweep.identity_fields.get(key))


def _other_code(path: StorePath, own: Own, before: str, now: str) -> StoreError:
    return StoreError(
        f"store {path}: its trials come from other code: {own.entry} had the digest {before}, now it "
        f"has {now}; give a new path with -o, or add --accept-code if no value changes by it"
    )


def with_code(path: StorePath, sweep: Sweep, file: Path | None, accept: bool = False) -> Sweep:
    """Return the sweep of a store with the code that its trials run.

    Parameters
    ----------
    path, sweep
        A store, and its sweep.
    file
        The file of the experiment, which the user names; None for experiments that need none.
    accept
        Whether other code than that of the store is accepted, and recorded.

    Raises
    ------
    CodeError
        The file is missing, cannot be used, or is not needed.
    StoreError
        It is not the code that the trials of the store come from.
    """
    if file is None:
        require_code(sweep, f"store {path}")
        if sweep.own is None:
            return sweep
        own = sweep.own  # a registered experiment, which may have changed too
    elif sweep.own is None:
        raise CodeError(f"store {path}: runs {sweep.experiment}, which needs no code; remove --code")
    else:
        own = sweep.own.with_code(file)
    if own.code_digest != own.digest and own.code_digest not in _accepted(check_store(path)):
        if not accept:
            raise _other_code(path, own, own.digest, own.code_digest)
        _record(path, own.code_digest)
    return replace(sweep, own=own)


def accept_code(path: StorePath, sweep: Sweep) -> None:
    """Record that the code of a sweep gives a store's trials the values that they have.

    Parameters
    ----------
    path
        The store; nothing is done if nothing is there.
    sweep
        A sweep as loaded from its file.

    Raises
    ------
    StoreError
        They differ in more than the sources, or in the arrays that the function declares.
    StoreHeld
        A run is filling the store.
    """
    if sweep.own is None or not locate(path).exists():
        return
    attributes = check_store(path)
    if changed_code(path, attributes, as_stored(attributes, sweep)) is None:
        return
    from pipeline.experiments.own.record import from_attributes

    if from_attributes(attributes["own"]).declaration != sweep.own.declaration:
        raise StoreError(
            f"store {path}: {sweep.experiment} declares other arrays than it has; give a new path with "
            "-o"
        )
    _record(path, sweep.own.digest)


def _record(path: StorePath, digest: str) -> None:
    location = locate(path)
    with lease.hold(location):
        root = root_of(location)
        attributes = root["attributes"]
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        provenance = attributes.setdefault("provenance", {})
        provenance.setdefault(ACCEPTED, []).append({"digest": digest, "accepted": now})
        attributes["digest"] = attributes_digest(attributes)
        location.write(ROOT, json.dumps(root, indent=2).encode())
