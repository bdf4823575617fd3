"""The template of a store: its arrays, coordinates and attributes before the first result.

All of it follows from the sweep, so a store can be compared with its template. Every chunk, also of
a coordinate, ends in a CRC-32C of its compressed bytes. The attributes of the group have a digest of
their own, because a text with one changed letter is still valid.

The files are those that Zarr would write, byte for byte, but are made without it: it hands each file to
another thread, and a store has dozens of files.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.axes import Axis
from pipeline.blocks import estimated_seconds
from pipeline.experiments import variables
from pipeline.store.chunks import Coder
from pipeline.store.digests import as_file, digest, digests_key
from pipeline.store.names import MESSAGE, ROOT, STATUS
from pipeline.store.provenance import provenance
from pipeline.sweep import Sweep
from pipeline.trial_status import STORED, Status

__all__ = [
    "FORMAT",
    "FORMAT_VERSION",
    "attributes_digest",
    "coordinates",
    "extents_of",
    "template_files",
    "variable_dims",
    "write_template",
]

FORMAT = "widthlaw"

FORMAT_VERSION = 3
"""Version of the layout on disk: dimensions, names, codecs, attributes, statuses.

1: a chunk of only NaN (or only "") was not written, so its loss could not be detected.
2: trials of a refined store that were not requested had the status `excluded`, like trials that cannot
   exist; since version 3 they have the status `not_requested`.
   Its chunks are bound to nothing; since version 3 each block has a file of `digests`.
"""

MOST_SEEDS = 10**7

Coordinate = tuple[tuple[str, ...], NDArray[Any], dict[str, Any]]
"""Dimensions, values and attributes."""

WIDTH_UNITS = {"k": "k", "k_per_n": "k / n", "kd_per_n": "k d / n", "k_per_d": "k / d"}
"""Units of the width axis, as formulas."""


def write_template(
    path: Path,
    sweep: Sweep,
    extents: Mapping[str, int],
    sources: Sequence[Mapping[str, Any]] = (),
    *,
    refined_seconds: float | None = None,
) -> None:
    """Write an empty store.

    Parameters
    ----------
    path
        An empty or new folder.
    sweep, extents, sources, refined_seconds
        As `template_files` takes them.
    """
    for key, content in template_files(sweep, extents, sources, refined_seconds).items():
        file = path / key
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)


def template_files(
    sweep: Sweep,
    extents: Mapping[str, int],
    sources: Sequence[Mapping[str, Any]] = (),
    refined_seconds: float | None = None,
) -> dict[str, bytes]:
    """Return the files of an empty store, by key.

    Parameters
    ----------
    sweep
        The sweep that the store is for.
    extents
        Extents of a chunk along the dimensions of `status`.
    sources
        The provenance of stores whose trials it takes over.
    refined_seconds
        Estimated time of the requested trials on one core, if only some are requested. Such a store
        has the attribute `refined`, and the caller must write the statuses of every block.
    """
    own = coordinates(sweep)
    arrays = _results(sweep, extents, own)
    files: dict[str, bytes] = {}
    for name, (dims, values, attributes) in own.items():
        kind = "string" if values.dtype.kind in "UO" else values.dtype.name
        arrays[name] = _array(dims, values.shape, values.shape, kind, attributes)
        key = "/".join(["c", *("0" for _ in dims)])
        files[f"{name}/{key}"] = Coder(_as_json(arrays[name])).encode(key, values)
    files |= _excluded(sweep, arrays[STATUS])
    files |= {f"{name}/{ROOT}": _as_json(metadata) for name, metadata in arrays.items()}
    copies = {name: arrays[name] for name in sorted(arrays)}
    root = {
        "attributes": _attributes(sweep, sources, refined_seconds),
        "zarr_format": 3,
        "consolidated_metadata": {"kind": "inline", "must_understand": False, "metadata": copies},
        "node_type": "group",
    }
    return files | {ROOT: _as_json(root)}


def _results(
    sweep: Sweep, extents: Mapping[str, int], own: Mapping[str, Coordinate]
) -> dict[str, dict[str, Any]]:
    """Return the metadata of all arrays but the coordinates."""
    inner = {dim: len(values) for dim, values in sweep.inner.items()}
    sizes = dict(zip(sweep.dims, sweep.shape, strict=True)) | inner

    def array(dims: tuple[str, ...], kind: str, attributes: dict[str, Any]) -> dict[str, Any]:
        chunks = [min(extents.get(dim, sizes[dim]), sizes[dim]) for dim in dims]
        return _array(dims, [sizes[dim] for dim in dims], chunks, kind, attributes)

    found = {}
    for variable in variables(sweep):
        dims = variable_dims(sweep, variable.dims)
        attributes = {"long_name": variable.long_name, "units": variable.units}
        if {*own["k"][0]} <= {*dims}:
            attributes["coordinates"] = "k"
        found[variable.name] = array(dims, "float64", attributes) | {"fill_value": "NaN"}
    note = {"long_name": "why the trial failed, or a note on it", "units": "1"}
    found[MESSAGE] = array(sweep.dims, "string", note)
    outcome = {
        "long_name": "outcome of the trial",
        "units": "1",
        "coordinates": "k",
        "flag_values": [int(status) for status in STORED],
        "flag_meanings": " ".join(status.word for status in STORED),
    }
    found[STATUS] = array(sweep.dims, "int8", outcome)
    return found


FILL_VALUES = {"float64": 0.0, "int64": 0, "int8": 0, "string": ""}


def _array(
    dims: Sequence[str],
    shape: Sequence[int],
    chunks: Sequence[int],
    kind: str,
    attributes: dict[str, Any],
) -> dict[str, Any]:
    """Return the metadata of an array, in the order in which Zarr writes them."""
    coded: dict[str, Any] = {"name": "bytes", "configuration": {"endian": "little"}}
    if kind == "string":
        coded = {"name": "vlen-utf8", "configuration": {}}
    elif kind == "int8":
        coded = {"name": "bytes"}
    return {
        "shape": [*shape],
        "data_type": kind,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [*chunks]}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": FILL_VALUES[kind],
        "codecs": [
            coded,
            {"name": "zstd", "configuration": {"level": 1, "checksum": False}},
            {"name": "crc32c"},
        ],
        "attributes": attributes,
        "dimension_names": [*dims],
        "zarr_format": 3,
        "node_type": "array",
        "storage_transformers": [],
    }


def _as_json(metadata: Mapping[str, Any]) -> bytes:
    return json.dumps(metadata, indent=2).encode()


def _excluded(sweep: Sweep, metadata: Mapping[str, Any]) -> dict[str, bytes]:
    """Return the chunks of statuses with cells that cannot exist, and their digests."""
    coder = Coder(_as_json(metadata))
    *extents, _, _ = coder.layout.chunks
    by_corner: dict[tuple[int, ...], list[tuple[int, ...]]] = {}
    for index in sweep.excluded():
        places = [divmod(at, extent) for at, extent in zip(index, extents, strict=True)]
        corner, place = tuple(at for at, _ in places), tuple(at for _, at in places)
        by_corner.setdefault(corner, []).append(place)
    files: dict[str, bytes] = {}
    for corner, found in by_corner.items():
        for last in np.ndindex(coder.layout.grid[-2:]):
            key = "/".join(["c", *map(str, (*corner, *last))])
            status = np.full(coder.inside(key), Status.PENDING, dtype=np.int8)
            for place in found:
                status[place] = Status.EXCLUDED
            key, raw = f"{STATUS}/{key}", coder.encode(key, status)
            files |= {key: raw, digests_key(key): as_file({key: (digest(key, raw),)})}
    return files


def variable_dims(sweep: Sweep, own: tuple[str, ...]) -> tuple[str, ...]:
    """Return all dimensions of a variable in the store, given its own from `Variable.dims`."""
    width = ("width",) if "width" in own else ()
    return (*sweep.axes, *width, "seed", *(dim for dim in own if dim != "width"))


def _attributes(
    sweep: Sweep, sources: Sequence[Mapping[str, Any]], refined_seconds: float | None
) -> dict[str, Any]:
    refined = refined_seconds is not None
    attributes: dict[str, Any] = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "name": sweep.name,
        "experiment": sweep.experiment,
        "nested": int(sweep.nested),
        "identity": sweep.identity,
        "identity_fields": sweep.identity_fields,
        "sweep": sweep.text,
        "activation": list(sweep.activation),
        "dataset": [spec.kind for spec in sweep.dataset],
        "extents": _extents(sweep),
        "width_unit": sweep.width_unit,
        "estimated_seconds": refined_seconds if refined else estimated_seconds(sweep),
        "provenance": provenance() | ({"sources": list(sources)} if sources else {}),
    } | ({"refined": 1} if refined else {})
    if sweep.own is not None:
        attributes["own"] = sweep.own.attributes()
    if sweep.functions:
        from pipeline.experiments.own.provider import as_attributes  # only for functions of one's own

        attributes["functions"] = as_attributes(sweep.functions)
    if sweep.descent is not None and sweep.descent.extended:
        attributes["steps"] = sweep.descent.steps
    if sweep.requests:
        attributes["requests"] = [selection.as_json() for selection in sweep.requests]
    return attributes | {"digest": attributes_digest(attributes)}


def _extents(sweep: Sweep) -> dict[str, list[Any]]:
    """Return the axes that can grow; the text of the sweep has their original values."""
    seeds = [[run[0], run[-1] + 1] for run in _runs(sweep.seeds)]
    return {"d": list(sweep.d), "n": list(sweep.n), "width": list(sweep.width), "seeds": seeds}


def _runs(values: Iterable[int]) -> list[list[int]]:
    """Cut whole numbers into runs of consecutive values, which their ends determine."""
    by_run = itertools.groupby(enumerate(values), lambda pair: pair[1] - pair[0])
    return [[value for _, value in run] for _, run in by_run]


def extents_of(attributes: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the attribute `extents` of a store, as `with_extents` takes it.

    None for stores of format version 1, which have no such attribute.

    Raises
    ------
    TypeError, KeyError, ValueError
        The attribute is malformed.
    """
    extents = attributes.get("extents")
    if extents is None:
        return None
    numbers = [stop - start for start, stop in extents["seeds"]]
    if any(number < 1 for number in numbers) or sum(numbers) > MOST_SEEDS:
        raise ValueError("runs without seeds, or more seeds than a sweep can have")
    seeds = [seed for start, stop in extents["seeds"] for seed in range(start, stop)]
    return {"d": extents["d"], "n": extents["n"], "width": extents["width"], "seeds": seeds}


def attributes_digest(attributes: Mapping[str, Any]) -> str:
    """Return the SHA-256 of a template's own attributes; those that a user adds do not count."""
    own = {key: attributes.get(key) for key in OWN}
    own |= {key: attributes[key] for key in OPTIONAL if key in attributes}
    return hashlib.sha256(json.dumps(own, sort_keys=True).encode()).hexdigest()


OWN = (
    "format",
    "format_version",
    "name",
    "experiment",
    "nested",
    "identity",
    "identity_fields",
    "sweep",
    "activation",
    "dataset",
    "extents",
    "estimated_seconds",
    "provenance",
)
"""Attributes that the digest covers."""

OPTIONAL = ("refined", "width_unit", "own", "functions", "requests", "steps")
"""Attributes that the digest covers if a store has them; `width_unit` is missing before 0.5.0, `own`
and `functions` describe an experiment, and activations and datasets, of one's own, `requests` the
sub-grids and conditions of the sweep, and `steps` a budget that was made larger than the sweep's."""


def coordinates(sweep: Sweep) -> dict[str, Coordinate]:
    """Return the coordinates of a sweep's store by name."""
    found = {axis: _coordinate(sweep.axis(axis), sweep.labels(axis)) for axis in sweep.axes}
    whole = sweep.width_unit == "k"
    width = np.array(sweep.width, dtype=np.int64 if whole else np.float64)
    found["width"] = _coordinate(
        sweep.axis("width"), width, suffix=f", as {WIDTH_UNITS[sweep.width_unit]}"
    )
    found["seed"] = _coordinate(sweep.axis("seed"), sweep.seeds)
    used = {dim for variable in variables(sweep) for dim in variable.dims}
    found |= {
        dim: _coordinate(sweep.axis(dim), values) for dim, values in sweep.inner.items() if dim in used
    }
    found["k"] = _k_coordinate(sweep)
    return found


def _coordinate(axis: Axis, values: Any, suffix: str = "") -> Coordinate:
    attributes = {"long_name": axis.long_name + suffix, "units": axis.units}
    return (axis.name,), np.array(values), attributes


def _k_coordinate(sweep: Sweep) -> Coordinate:
    """Return k over those of (n, d, width) with which it varies."""
    full = np.array([[sweep.k(d, n) for d in sweep.d] for n in sweep.n])
    attributes = {"long_name": "width k: number of hidden units", "units": "1"}
    if sweep.width_unit == "k":
        return ("width",), full[0, 0], attributes
    if sweep.width_unit == "k_per_n":
        return ("n", "width"), full[:, 0], attributes
    if sweep.width_unit == "k_per_d":
        return ("d", "width"), full[0], attributes
    return ("n", "d", "width"), full, attributes
