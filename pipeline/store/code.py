"""The code of a store's trials, where the experiment, an activation or a dataset is one's own.

A store keeps the digest of the sources that its trials come from, and no code. A sweep whose sources
have changed is refused: its trials could have other values. Somebody who knows that they have not can
accept the new sources, which the provenance of the store then tells for good. A store without any
result, such as one whose trials all failed, takes new sources without being asked: it has no values
that they could contradict.
"""

from __future__ import annotations

import datetime
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.errors import CodeError, StoreError
from pipeline.experiments import require_code
from pipeline.store import lease
from pipeline.store.arrays import root_of
from pipeline.store.location import StorePath, is_url, locate
from pipeline.store.names import ROOT
from pipeline.store.reading import check_store
from pipeline.store.statuses import status_parts
from pipeline.store.template import attributes_digest
from pipeline.sweep import Sweep
from pipeline.trial_status import Status, among

__all__ = [
    "accept_code",
    "accepted_digests",
    "as_stored",
    "changed_code",
    "record_code",
    "run_command",
    "takes_code",
    "with_code",
]

ACCEPTED = "accepted_code"
"""Key of a store's provenance: the digests of other sources whose trials have the same values."""

RESULTS = (Status.DONE, Status.DIVERGED, Status.DAMAGED)
"""Statuses of trials with values that code could contradict; those that are damaged may be restored."""

SHOWN = 12
"""Digits of a digest that messages show."""


def as_stored(
    path: StorePath, attributes: Mapping[str, Any], sweep: Sweep, *, accept: bool = False
) -> Sweep:
    """Return a sweep with what a store began with: its numerics, its measured cost, and its digest.

    The digest of the sweep's sources is that of the store also if they were accepted for it, or if it
    takes them because it has no result.

    Parameters
    ----------
    path, attributes
        The store, and its attributes.
    sweep
        A sweep that may be that of the store.
    accept
        Whether its sources are accepted, although the store does not tell so.
    """
    sweep = sweep.with_numerics_of(attributes["identity_fields"])
    if not sweep.runs_code:
        return sweep
    from pipeline.experiments.own.provider import functions_from
    from pipeline.experiments.own.record import from_attributes

    accepted = accepted_digests(attributes)
    with suppress(TypeError, KeyError, ValueError, AttributeError):
        # A damaged store has no such words: whoever reads its sweep says so.
        if accept or takes_code(path, attributes, sweep):
            accepted += _present(sweep).values()
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


def _present(sweep: Sweep) -> dict[str, str]:
    """Return the digests of the code that is at hand, by their keys of the identity."""
    found = {}
    if sweep.own is not None and sweep.own.is_runnable:  # a registered experiment may have changed too
        found["code"] = sweep.own.code_digest
    if sweep.functions and sweep.functions[0].code.sources:
        found["functions"] = sweep.functions[0].code.present
    return found


def _unknown(attributes: Mapping[str, Any], sweep: Sweep) -> list[str]:
    """Return the keys of the code at hand that is neither a store's nor accepted for it."""
    fields, accepted = attributes["identity_fields"], accepted_digests(attributes)
    return [
        key
        for key, digest in _present(sweep).items()
        if digest != fields.get(key) and digest not in accepted
    ]


def takes_code(path: StorePath, attributes: Mapping[str, Any], sweep: Sweep) -> bool:
    """Return whether the code at hand is new to a store that has no result which it could change.

    Parameters
    ----------
    path, attributes
        The store, and its attributes.
    sweep
        A sweep of the store, with its code.
    """
    if not _unknown(attributes, sweep) or _other_arrays(path, attributes, sweep) is not None:
        return False
    parts = status_parts(locate(path), attributes)
    return not any(among(part, RESULTS).any() for _, part in parts)


def changed_code(path: StorePath, attributes: Mapping[str, Any], sweep: Sweep) -> StoreError | None:
    """Return the error for a sweep whose sources are not those of a store; None if nothing but else."""
    stored, ours = attributes["identity_fields"], sweep.identity_fields
    differing = [key for key in {**stored, **ours} if stored.get(key) != ours.get(key)]
    if not differing or not all(key in DIGESTS and key in stored and key in ours for key in differing):
        return None
    other_arrays = _other_arrays(path, attributes, sweep)
    return other_arrays or _other_code(path, attributes, sweep, differing[0])


DIGESTS = ("code", "functions")
"""Keys of the identity that hold digests: of an experiment, and of activations and datasets."""


def _entry(sweep: Sweep, key: str) -> str:
    """Return the entry that a digest of the identity belongs to."""
    return sweep.experiment if key == "code" else str(sweep.functions[0])


def _other_code(path: StorePath, attributes: Mapping[str, Any], sweep: Sweep, key: str) -> StoreError:
    """Return the error for code that the results of a store do not come from."""
    entry = _entry(sweep, key)
    now = _present(sweep).get(key) or str(sweep.identity_fields[key])
    before = _last_accepted(attributes) or str(attributes["identity_fields"][key])
    failed = sum(
        int(np.count_nonzero(part == Status.FAILED))
        for _, part in status_parts(locate(path), attributes)
    )
    retry = f" (with --retry-failed, which computes its {failed} failed trials again)" if failed else ""
    return StoreError(
        f"store {path}: its trials come from other code: {entry} had the digest {before[:SHOWN]}, now "
        f"it has {now[:SHOWN]}; give a new path with -o, or add --accept-code if no value changes by it"
        + retry
    )


def _last_accepted(attributes: Mapping[str, Any]) -> str:
    """Return the digest that was accepted last for a store itself; "" if none was."""
    records = (attributes.get("provenance") or {}).get(ACCEPTED) or ()
    return str(records[-1]["digest"]) if records else ""


def with_code(
    path: StorePath,
    sweep: Sweep,
    file: Path | None,
    accept: bool = False,
    *,
    dry_run: bool = False,
) -> Sweep:
    """Return the sweep of a store with the code that its trials run.

    Parameters
    ----------
    path, sweep
        A store, and its sweep.
    file
        The file of the functions, which the user names; None for sweeps that need none.
    accept
        Whether other code than that of the store is accepted, and recorded.
    dry_run
        If True, nothing is recorded.

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
    attributes = check_store(path)
    if (unknown := _unknown(attributes, sweep)) and not takes_code(path, attributes, sweep):
        if not accept:
            raise _other_code(path, attributes, sweep, unknown[0])
        if not dry_run:
            record_code(path, sweep)
    return sweep


def run_command(path: StorePath) -> str:
    """Return the command that computes what a store lacks, with the option that names its code.

    Parameters
    ----------
    path
        A store.
    """
    command = f"widthlaw run {path}"
    if file := _file_of(check_store(path)):
        beside = str(Path(path).with_name(file)) if not is_url(path) else file
        command += f" --code {file if os.path.isfile(file) or not os.path.isfile(beside) else beside}"
    return f"`{command}`"


def _file_of(attributes: Mapping[str, Any]) -> str:
    """Return the name of the file that the trials of a store run; "" if they run none."""
    from pipeline.experiments.own.sources import is_file_entry, split_entry

    with suppress(CodeError, TypeError, KeyError, AttributeError, StopIteration):
        # A store without such code, or a damaged one, has no such words.
        entries = list(attributes["functions"]["facts"]) if "functions" in attributes else []
        entries += [attributes["own"]["entry"]] if "own" in attributes else []
        return next(split_entry(entry)[0] for entry in entries if is_file_entry(entry))
    return ""


def _with_file(sweep: Sweep, file: Path) -> Sweep:
    """Return a sweep whose functions have the code of a file."""
    if sweep.own is not None and (sweep.own.file or not sweep.functions):
        sweep = replace(sweep, own=sweep.own.with_code(file))
    if not sweep.functions:
        return sweep
    from pipeline.experiments.own.provider import with_file

    return sweep.with_functions(lambda name: with_file(name, file))


def accept_code(path: StorePath, sweep: Sweep, *, dry_run: bool = False) -> Sweep:
    """Record that the code of a sweep gives a store's trials the values that they have.

    Parameters
    ----------
    path
        The store; nothing is done if nothing is there.
    sweep
        A sweep as loaded from its file.
    dry_run
        If True, nothing is recorded.

    Returns
    -------
    Sweep
        The sweep, with the digest that the store has where its own is accepted.

    Raises
    ------
    StoreError
        They differ in more than the sources, or in the arrays that the function declares.
    StoreHeld
        A run is filling the store.
    """
    if not sweep.runs_code or not locate(path).exists():
        return sweep
    attributes = check_store(path)
    if changed_code(path, attributes, as_stored(path, attributes, sweep)) is None:
        return sweep
    if refusal := _other_arrays(path, attributes, sweep):
        raise refusal
    if not dry_run:
        record_code(path, sweep)
    return as_stored(path, attributes, sweep, accept=True)


def _other_arrays(path: StorePath, attributes: Mapping[str, Any], sweep: Sweep) -> StoreError | None:
    """Return the error for functions with other arrays or facts than a store's; None if they agree."""
    from pipeline.experiments.own.provider import functions_from
    from pipeline.experiments.own.record import from_attributes

    own, own_before, stored = sweep.own, None, None
    with suppress(TypeError, KeyError, ValueError, AttributeError):
        # A damaged store has no such words: whoever reads its sweep says so.
        own_before = from_attributes(attributes["own"]) if own is not None else None
        stored = functions_from(attributes["functions"]) if sweep.functions else {}
    if own is not None and own_before is not None and own_before.declaration != own.declaration:
        return StoreError(
            f"store {path}: {sweep.experiment} declares other arrays than it has; give a new path with "
            "-o"
        )
    for name in sweep.functions:
        if stored and stored[name].facts != name.facts:
            return StoreError(
                f"store {path}: {name} is another function than it was: its kinks, its derivative or "
                "the form of what it returns have changed; give a new path with -o"
            )
    return None


def record_code(path: StorePath, sweep: Sweep) -> None:
    """Record the code at hand in the provenance of a store, if it is new there.

    Raises
    ------
    StoreHeld
        A run is filling the store.
    """
    location = locate(path)
    with lease.hold(location):
        root = root_of(location)
        attributes = root["attributes"]
        present = _present(sweep)
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        accepted = attributes.setdefault("provenance", {}).setdefault(ACCEPTED, [])
        for digest in sorted({present[key] for key in _unknown(attributes, sweep)}):
            accepted.append({"digest": digest, "accepted": now})
        attributes["digest"] = attributes_digest(attributes)
        location.write(ROOT, json.dumps(root, indent=2).encode())
