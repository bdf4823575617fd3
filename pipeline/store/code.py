"""The code of a store's trials, where the experiment, an activation or a dataset is one's own.

A store keeps the digest of the sources that its trials come from, and no code. A sweep whose sources
have changed is refused: its trials could have other values. Somebody who knows that they have not can
accept the new sources, which the provenance of the store then tells for good.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from pipeline.errors import CodeError, StoreError
from pipeline.experiments import require_code
from pipeline.store import lease
from pipeline.store.arrays import root_of
from pipeline.store.location import StorePath, locate
from pipeline.store.names import ROOT
from pipeline.store.reading import check_store
from pipeline.store.template import attributes_digest
from pipeline.sweep import Sweep

__all__ = ["accept_code", "accepted_digests", "as_stored", "changed_code", "with_code"]

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
    if not sweep.runs_code:
        return sweep
    from pipeline.experiments.own.provider import functions_from
    from pipeline.experiments.own.record import from_attributes

    accepted = accepted_digests(attributes)
    with suppress(TypeError, KeyError, ValueError, AttributeError):
        # A damaged store has no such words: whoever reads its sweep says so.
        if sweep.own is not None:
            own, before = sweep.own, from_attributes(attributes["own"])
            digest = before.digest if own.digest in accepted else own.digest
            sweep = replace(sweep, own=replace(own, digest=digest, cost=before.cost))
        if sweep.functions:
            stored = functions_from(attributes["functions"])
            sweep = sweep.with_functions(lambda name: _function_as_stored(name, stored, accepted))
    return sweep


def _function_as_stored(name: Any, stored: Mapping[str, Any], accepted: list[str]) -> Any:
    before = stored[name]
    digest = before.code.digest if name.code.digest in accepted else name.code.digest
    return name.with_facts(before.facts).with_digest(digest)


def accepted_digests(attributes: Mapping[str, Any]) -> list[str]:
    """Return the digests of other sources that were accepted for a store."""
    own = attributes.get("provenance") or {}
    provenances = [own, *own.get("sources", ())]  # of stores that it took over
    return [record["digest"] for one in provenances for record in one.get(ACCEPTED, ())]


def changed_code(path: StorePath, attributes: Mapping[str, Any], sweep: Sweep) -> StoreError | None:
    """Return the error for a sweep whose sources are not those of a store; None if nothing but else."""
    stored, ours = attributes["identity_fields"], sweep.identity_fields
    differing = [key for key in {**stored, **ours} if stored.get(key) != ours.get(key)]
    if not differing or not all(key in DIGESTS and key in stored and key in ours for key in differing):
        return None
    key = differing[0]
    return _other_code(path, _entry(sweep, key), str(stored[key]), str(ours[key]))


DIGESTS = ("code", "functions")
"""Keys of the identity that hold digests: of an experiment, and of activations and datasets."""


def _entry(sweep: Sweep, key: str) -> str:
    """Return the entry that a digest of the identity belongs to."""
    return sweep.experiment if key == "code" else str(sweep.functions[0])


def _other_code(path: StorePath, entry: str, before: str, now: str) -> StoreError:
    return StoreError(
        f"store {path}: its trials come from other code: {entry} had the digest {before}, now it "
        f"has {now}; give a new path with -o, or add --accept-code if no value changes by it"
    )


def with_code(path: StorePath, sweep: Sweep, file: Path | None, accept: bool = False) -> Sweep:
    """Return the sweep of a store with the code that its trials run.

    Parameters
    ----------
    path, sweep
        A store, and its sweep.
    file
        The file of the functions, which the user names; None for sweeps that need none.
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
    elif not sweep.runs_code:
        raise CodeError(f"store {path}: runs {sweep.experiment}, which needs no code; remove --code")
    else:
        sweep = _with_file(sweep, file)
    now = {}
    if sweep.own is not None:  # a registered experiment may have changed too
        now["code"] = sweep.own.code_digest
    if sweep.functions:
        now["functions"] = sweep.functions[0].code.present
    for key, digest in now.items():
        before = str(sweep.identity_fields[key])
        if digest != before and digest not in accepted_digests(check_store(path)):
            if not accept:
                raise _other_code(path, _entry(sweep, key), before, digest)
            _record(path, digest)
    return sweep


def _with_file(sweep: Sweep, file: Path) -> Sweep:
    """Return a sweep whose functions have the code of a file."""
    if sweep.own is not None and (sweep.own.file or not sweep.functions):
        sweep = replace(sweep, own=sweep.own.with_code(file))
    if not sweep.functions:
        return sweep
    from pipeline.experiments.own.provider import with_file

    return sweep.with_functions(lambda name: with_file(name, file))


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
    if not sweep.runs_code or not locate(path).exists():
        return
    attributes = check_store(path)
    if changed_code(path, attributes, as_stored(attributes, sweep)) is None:
        return
    from pipeline.experiments.own.provider import functions_from
    from pipeline.experiments.own.record import from_attributes

    own = sweep.own
    if own is not None and from_attributes(attributes["own"]).declaration != own.declaration:
        raise StoreError(
            f"store {path}: {sweep.experiment} declares other arrays than it has; give a new path with "
            "-o"
        )
    stored = functions_from(attributes["functions"]) if sweep.functions else {}
    for name in sweep.functions:
        if stored[name].facts != name.facts:
            raise StoreError(
                f"store {path}: {name} is another function than it was: its kinks, its derivative or "
                "the form of what it returns have changed; give a new path with -o"
            )
    for digest in {str(sweep.identity_fields[key]) for key in DIGESTS if key in sweep.identity_fields}:
        _record(path, digest)


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
