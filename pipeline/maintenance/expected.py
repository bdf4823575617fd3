"""The expected content of a store: its attributes, checked, and the template that they describe."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipeline import store as stores
from pipeline.errors import ChunkDamaged, StoreError
from pipeline.store.location import Location, StorePath
from pipeline.store.names import MESSAGE, ROOT, STATUS
from pipeline.store.template import FORMAT, attributes_digest, extents_of, template_files
from pipeline.sweep import Sweep

__all__ = ["RootDamaged", "Template", "checked_attributes", "expected_template", "nested", "parse_json"]

FIRST_WITH_DIGEST = 2
"""Format version in which the attributes got a digest."""


class RootDamaged(StoreError):
    """The attributes of a store have changed, so nothing can be said about the rest."""


def checked_attributes(path: StorePath, location: Location) -> dict[str, Any]:
    """Return the attributes of a store, after checking their digest.

    Raises
    ------
    RootDamaged
        The attributes of the store have changed or are lost.
    StoreError
        There is no store at this path, or it is of an unknown format version.
    """
    raw = _file(location, ROOT)
    attributes = parse_json(raw).get("attributes")
    if isinstance(attributes, dict) and attributes.get("format") == FORMAT:
        version = attributes.get("format_version")
        if type(version) is not int or version not in stores.READABLE:
            stores.check_store(path)  # raises the error
        if attributes.get("digest") == attributes_digest(attributes):
            return attributes
    try:
        checked = stores.check_store(path)
    except StoreError:
        foreign = bool(parse_json(raw)) and b"widthlaw" not in (raw or b"")
        if not foreign and all(_file(location, f"{name}/{ROOT}") for name in (STATUS, MESSAGE)):
            raise _root_damaged(path) from None
        raise
    if checked["format_version"] >= FIRST_WITH_DIGEST or "digest" in checked:
        raise _root_damaged(path)
    return checked


def _root_damaged(path: StorePath) -> RootDamaged:
    return RootDamaged(
        f"store {path}: {ROOT} is damaged and cannot be repaired, because it describes all the rest; "
        "restore that file from a backup, or run the sweep into a new path"
    )


def _file(location: Location, key: str) -> bytes | None:
    """Return the bytes of a file, None if it is not there or something else is in its place."""
    try:
        return location.read(key)
    except ChunkDamaged:
        return None


def parse_json(raw: bytes | None) -> dict[str, Any]:
    """Return a JSON object; {} if the bytes are none."""
    try:
        document = json.loads(raw or b"")
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def nested(document: Any, *keys: str) -> dict[str, Any]:
    """Return an object inside nested JSON objects; {} if there is none."""
    for key in keys:
        document = document.get(key) if isinstance(document, dict) else None
    return document if isinstance(document, dict) else {}


# ---- the template


@dataclass(frozen=True)
class Template:
    """The files of a store before its first result.

    Attributes
    ----------
    files
        Their bytes, by key.
    sweep
        Sweep of the store.
    extents
        Extents of a chunk along the dimensions of `status`.
    """

    files: Mapping[str, bytes]
    sweep: Sweep
    extents: Mapping[str, int]

    @property
    def arrays(self) -> list[str]:
        """Names of the arrays."""
        return sorted(key.removesuffix(f"/{ROOT}") for key in self.files if key.endswith(f"/{ROOT}"))


def expected_template(path: StorePath, location: Location, attributes: dict[str, Any]) -> Template:
    """Return the template of a store.

    Parameters
    ----------
    path, location
        The store.
    attributes
        Its attributes, checked.

    Raises
    ------
    StoreError
        The store has lost its shape or extents, or its data file is missing.
    """
    layouts = _layouts(path, location)
    shape, _ = max(layouts, key=layouts.count)
    try:
        extents = extents_of(attributes)
        sweep = stores.sweep_from(path, attributes, extents)
        if extents is None and sweep.shape != shape:
            sweep = stores.stored_sweep(path)
        if sweep.shape not in {layout[0] for layout in layouts}:
            raise ValueError("all arrays have another shape")
    except (TypeError, ValueError, KeyError) as error:
        if isinstance(error, StoreError):
            raise
        raise StoreError(
            f"store {path}: cannot use its attribute extents; restore it from a backup"
        ) from None
    fitting = [layout for layout in layouts if layout[0] == sweep.shape]
    _, chunk = max(fitting, key=fitting.count)
    sizes = dict(zip(sweep.dims, chunk, strict=True))
    return Template(template_files(sweep, sizes), sweep, sizes)


def _layouts(path: StorePath, location: Location) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Return the shape of a store, and of a chunk of `status`, as often as they are recorded.

    They are recorded in four places, any of which may be damaged; the majority is right.
    """
    copies = parse_json(_file(location, ROOT)).get("consolidated_metadata")
    layouts: list[tuple[tuple[int, ...], tuple[int, ...]]] = []
    for name in (STATUS, MESSAGE):
        own, copy = parse_json(_file(location, f"{name}/{ROOT}")), nested(copies, "metadata", name)
        for metadata in (own, copy):
            chunk: Any = nested(metadata, "chunk_grid", "configuration").get("chunk_shape")
            shape: Any = metadata.get("shape")
            if _is_shape(shape) and _is_shape(chunk) and len(chunk) == len(shape):
                layouts.append((tuple(shape), tuple(chunk)))
    if not layouts:
        raise StoreError(
            f"store {path}: its shape is lost, because all metadata of {STATUS} and {MESSAGE} are "
            "damaged; restore it from a backup"
        )
    return layouts


def _is_shape(values: Any) -> bool:
    return (
        isinstance(values, list)
        and len(values) >= 2
        and all(type(value) is int and value > 0 for value in values)
    )
