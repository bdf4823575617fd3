"""Reading a store without its sweep: its attributes, and the sweep that they describe."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.errors import StoreDamaged, StoreError, SweepError
from pipeline.experiments import variables
from pipeline.selection import Selection, from_json
from pipeline.settings import MOST_STEPS
from pipeline.store.arrays import read_array, root_of
from pipeline.store.differences import differences
from pipeline.store.location import StorePath, is_url, locate
from pipeline.store.names import MESSAGE, ROOT, STATUS
from pipeline.store.template import FORMAT, FORMAT_VERSION, coordinates, extents_of
from pipeline.sweep import Sweep

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipeline.experiments.own.provider import Provider

__all__ = [
    "READABLE",
    "array_names",
    "check_store",
    "is_refined",
    "provenance_of",
    "stored_sweep",
    "sweep_from",
]

READABLE = (1, 2, FORMAT_VERSION)
"""Format versions that this version reads."""

MOST_SECONDS = 1e15
"""The most seconds that trials can be estimated to take."""

REQUIRED: dict[str, Any] = {
    "name": str,
    "experiment": str,
    "identity": str,
    "identity_fields": dict,
    "estimated_seconds": int | float,
}
"""Attributes without which a store can be neither described nor written, and their types."""


def check_store(path: StorePath) -> dict[str, Any]:
    """Return the attributes of the store at `path`.

    Raises
    ------
    StoreError
        There is no store at this path, it has another format version, or attributes are missing.
    """
    location = locate(path)
    if not location.exists():
        remedy = (
            "give a store, such as mine.zarr, not a sweep"
            if str(path).endswith(".toml")
            else f"`widthlaw run SWEEP -o {path}` makes one"
        )
        raise StoreError(f"store {path}: not found; {remedy}")
    try:
        attributes: dict[str, Any] = root_of(location)["attributes"]
    except StoreDamaged as error:
        raise _no_store(path, error) from None
    if attributes.get("format") != FORMAT:
        raise StoreError(f"store {path}: holds data of another program; give another path")
    version = attributes.get("format_version")
    if type(version) is not int or version not in READABLE:
        raise StoreError(
            f"store {path}: format version {version}, expected "
            f"{' or '.join(map(str, READABLE))}; read it with the widthlaw that wrote it "
            f"({_writer(attributes)}), or run the sweep into a new path"
        )
    lost = [name for name in REQUIRED if name not in attributes]
    odd = [name for name in REQUIRED if not isinstance(attributes.get(name), REQUIRED[name])]
    if not (odd or 0 <= attributes["estimated_seconds"] <= MOST_SECONDS):  # NaN is in no range
        odd = ["estimated_seconds"]
    if lost or odd:
        what = "has no attribute" if lost else "cannot use its attribute"
        raise StoreError(
            f"store {path}: {what} {', '.join(lost or odd)}: the store is damaged; "
            "run the sweep into a new path, or restore it from a backup"
        )
    return attributes


def _no_store(path: StorePath, error: StoreDamaged) -> StoreError:
    """Return the error for a path at which there is something else than a store."""
    repair = "give the path of a store that `widthlaw run` made, or a new path"
    if not is_url(path) and Path(path).is_file():
        if Path(path).suffix == ".toml":
            return StoreError(
                f"store {path}: is a sweep, not a store; `widthlaw run {path}` fills its store"
            )
        return StoreError(f"store {path}: is a file, not a store; {repair}")
    missing = locate(path).peek(ROOT) is None
    what = f"it has no {ROOT}" if missing else f"{error.array}: {error.what}"
    return StoreError(f"store {path}: holds no store ({what}); {repair}")


def _writer(attributes: dict[str, Any]) -> object:
    try:
        return attributes["provenance"]["packages"]["widthlaw"]
    except (KeyError, TypeError):
        return "version unknown"


def provenance_of(path: StorePath) -> dict[str, Any]:
    """Return the versions, machine and time that a store's numbers come from; {} if unknown."""
    provenance = check_store(path).get("provenance")
    return provenance if isinstance(provenance, dict) else {}


def is_refined(path: StorePath) -> bool:
    """Return True if only some of the trials on a store's axes are requested."""
    return bool(check_store(path).get("refined"))


def array_names(sweep: Sweep) -> set[str]:
    """Return the names of all arrays of a sweep's store."""
    return {*coordinates(sweep), *(variable.name for variable in variables(sweep)), MESSAGE, STATUS}


def stored_sweep(path: StorePath, folder: Path | None = None) -> Sweep:
    """Return the sweep of a store: its text, on the axes that the store has by now.

    Relative paths of data files start at `folder`, the working folder if None.

    Raises
    ------
    StoreError
        There is no store, its sweep is missing or does not match its identity, or its data file is
        missing or has changed.
    """
    attributes = check_store(path)
    try:
        extents = extents_of(attributes)
    except (TypeError, ValueError, KeyError):
        raise StoreError(
            f"store {path}: cannot use its attribute extents: the store is damaged; "
            "run the sweep into a new path, or restore it from a backup"
        ) from None
    if extents is None:  # format version 1
        location = locate(path)
        extents = {name: read_array(location, name).tolist() for name in ("d", "n", "width")}
        extents["seeds"] = read_array(location, "seed").tolist()
    return sweep_from(path, attributes, extents, folder)


def sweep_from(
    path: StorePath,
    attributes: dict[str, Any],
    extents: Mapping[str, Any] | None = None,
    folder: Path | None = None,
) -> Sweep:
    """Return the sweep that the attributes of a store describe.

    Parameters
    ----------
    path
        The store, for messages.
    attributes
        All attributes of its group.
    extents
        Values of the axes that can grow, as `extents_of` returns them; those of the text if None.
    folder
        Folder of relative paths of data files; the working folder if None.

    Raises
    ------
    StoreError
        The text is missing or invalid, or does not match the identity.
    """
    from pipeline.sweep_files.extents import with_extents  # not needed to read a store
    from pipeline.sweep_files.load import parse_sweep

    text = attributes.get("sweep")
    if not isinstance(text, str) or not text:
        raise StoreError(
            f"store {path}: its attribute sweep holds no text; "
            f"run its sweep file, `widthlaw run SWEEP -o {path}`"
        )
    folder = (folder or Path()).absolute()  # workers have other working folders
    try:
        sweep = parse_sweep(text, f"store {path}: its sweep", folder, _own(path, attributes))
        if extents is not None:
            sweep = replace(sweep, requests=_requests(path, attributes))
            sweep = with_extents(sweep, f"store {path}: its extents", **extents)
        sweep = _with_budget(path, attributes, sweep)
        sweep = sweep.with_numerics_of(attributes["identity_fields"])
    except SweepError as error:
        message = "; ".join(line.strip() for line in str(error).splitlines())
        if any(problem.key in ("dataset.path", "labels.path") for problem in error.problems):
            message += f" (relative to {folder}; change to the folder of the file)"
        raise StoreError(message) from None
    if sweep.identity != attributes["identity"]:
        found = "; ".join(differences("", attributes["identity_fields"], sweep.identity_fields))
        raise StoreError(
            f"store {path}: does not match its sweep: {found or 'the identities differ'}; "
            "restore the data file, the widthlaw version that made it, or the store from a backup"
        )
    return sweep


def _with_budget(path: StorePath, attributes: Mapping[str, Any], sweep: Sweep) -> Sweep:
    """Return a sweep with the budget of a store, which may be larger than the one of its text."""
    if "steps" not in attributes:
        return sweep
    steps = attributes["steps"]
    if type(steps) is not int or sweep.descent is None or not sweep.descent.steps < steps <= MOST_STEPS:
        raise StoreError(
            f"store {path}: cannot use its attribute steps: the store is damaged; "
            "run the sweep into a new path, or restore it from a backup"
        )
    return sweep.with_steps(steps)


def _requests(path: StorePath, attributes: Mapping[str, Any]) -> tuple[Selection, ...]:
    """Return the selections of a store; () if it requests all, or only its statuses tell."""
    try:
        return from_json(attributes.get("requests", ()))
    except (TypeError, KeyError, ValueError, AttributeError):
        raise StoreError(
            f"store {path}: cannot use its attribute requests: the store is damaged; "
            "run the sweep into a new path, or restore it from a backup"
        ) from None


def _own(path: StorePath, attributes: Mapping[str, Any]) -> Provider | None:
    """Return the functions of one's own that a store tells of, without their code."""
    if "own" not in attributes and "functions" not in attributes:
        return None
    from pipeline.experiments.own.provider import FromStore, functions_from
    from pipeline.experiments.own.record import from_attributes

    key = "own"
    try:
        own = from_attributes(attributes["own"]) if "own" in attributes else None
        key = "functions"
        functions = functions_from(attributes["functions"]) if "functions" in attributes else {}
    except (TypeError, KeyError, ValueError, AttributeError):
        raise StoreError(
            f"store {path}: cannot use its attribute {key}: the store is damaged; "
            "run the sweep into a new path, or restore it from a backup"
        ) from None
    return FromStore(own, functions)
