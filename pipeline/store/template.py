"""What a store looks like before its first result: arrays, coordinates, attributes.

All of it follows from the sweep, so a store can be compared with what it should be. Every chunk has
a CRC-32C behind its compressed bytes, that of a coordinate too; the attributes of the group have a
digest of their own, since a text that has changed in one letter still reads well.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.codecs import Crc32cCodec, ZstdCodec

from pipeline.blocks import estimated_seconds
from pipeline.experiments import variables
from pipeline.store.provenance import provenance
from pipeline.sweep import Sweep
from pipeline.trial_status import Status

__all__ = [
    "FORMAT",
    "FORMAT_VERSION",
    "attributes_digest",
    "coordinates",
    "extents_of",
    "variable_dims",
    "write_template",
]

FORMAT = "widthlaw"

FORMAT_VERSION = 2
"""Of the layout on disk: dimensions, names, codecs, attributes.

1: a chunk that holds only NaN (or only "") was not written, so a lost one could not be told.
"""

MOST_SEEDS = 10**7

Coordinate = tuple[tuple[str, ...], NDArray[Any], dict[str, Any]]


def write_template(
    path: Path,
    sweep: Sweep,
    widths: int,
    seeds: int,
    sources: Sequence[Mapping[str, Any]] = (),
    *,
    refined_seconds: float | None = None,
) -> None:
    """Write an empty store whose chunks hold so many widths and seeds of one cell.

    Parameters
    ----------
    path
        A folder in which nothing is yet.
    sweep
        What the store is for.
    widths, seeds
        Extents of chunks.
    sources
        The provenance of stores whose trials it takes over.
    refined_seconds
        Of a store that is asked for some of its trials only: their estimated time on one core. Such a
        store says that it is `refined`, and whoever makes it writes the statuses of every block.
    """
    attributes = _attributes(sweep, sources, refined_seconds)
    group = zarr.create_group(str(path), zarr_format=3, attributes=attributes)
    inner = {dim: len(values) for dim, values in sweep.inner.items()}
    sizes = dict(zip(sweep.dims, sweep.shape, strict=True)) | inner
    chunks = dict.fromkeys(sweep.axes, 1) | {"width": widths, "seed": seeds}

    def array(name: str, dims: tuple[str, ...], dtype: Any, fill: Any, **attributes: Any) -> Any:
        return group.create_array(
            name,
            shape=tuple(sizes[dim] for dim in dims),
            chunks=tuple(min(chunks.get(dim, sizes[dim]), sizes[dim]) for dim in dims),
            dtype=dtype,
            fill_value=fill,
            dimension_names=dims,
            compressors=[ZstdCodec(level=1), Crc32cCodec()],
            attributes=attributes,
        )

    for name, coordinate in coordinates(sweep).items():
        _write_coordinate(group, name, *coordinate)
    for variable in variables(sweep):
        dims = variable_dims(sweep, variable.dims)
        told = {"long_name": variable.long_name, "units": variable.units}
        if "width" in dims:
            told["coordinates"] = "k"
        array(variable.name, dims, "float64", np.nan, **told)
    said = "what is to be said of the trial: why it failed"
    array("message", sweep.dims, str, "", long_name=said, units="1")
    status = array(
        "status",
        sweep.dims,
        "int8",
        0,
        long_name="outcome of the trial",
        units="1",
        coordinates="k",
        flag_values=[int(status) for status in Status],
        flag_meanings=" ".join(status.word for status in Status),
    )
    for index in sweep.excluded():
        status[index] = np.full(sweep.shape[-2:], Status.EXCLUDED, dtype=np.int8)
    with warnings.catch_warnings():  # a convention that xarray reads, not yet in the specification
        warnings.simplefilter("ignore")
        zarr.consolidate_metadata(str(path))


def _write_coordinate(
    group: zarr.Group, name: str, dims: tuple[str, ...], values: NDArray[Any], told: dict[str, Any]
) -> None:
    text = values.dtype.kind in "UO"
    fill: Any = "" if text else values.dtype.type(0)
    array = group.create_array(
        name,
        shape=values.shape,
        chunks=values.shape,
        dtype=str if text else values.dtype,
        fill_value=fill,
        dimension_names=dims,
        compressors=[ZstdCodec(level=1), Crc32cCodec()],
        attributes=told,
        config={"write_empty_chunks": True},  # of one seed, which is 0
    )
    array[...] = np.array(values, dtype=object) if text else values


def variable_dims(sweep: Sweep, own: tuple[str, ...]) -> tuple[str, ...]:
    """All dimensions of a result variable in the store, in their order."""
    width = ("width",) if "width" in own else ()
    return (*sweep.axes, *width, "seed", *(dim for dim in own if dim != "width"))


def _attributes(
    sweep: Sweep, sources: Sequence[Mapping[str, Any]], refined_seconds: float | None
) -> dict[str, Any]:
    refined = refined_seconds is not None
    attributes = {
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
        "estimated_seconds": refined_seconds if refined else estimated_seconds(sweep),
        "provenance": provenance() | ({"sources": list(sources)} if sources else {}),
    } | ({"refined": 1} if refined else {})
    return attributes | {"digest": attributes_digest(attributes)}


def _extents(sweep: Sweep) -> dict[str, list[Any]]:
    """The axes that can grow; the text of the sweep says what they were at first."""
    seeds = [[run[0], run[-1] + 1] for run in _runs(sweep.seeds)]
    return {"d": list(sweep.d), "n": list(sweep.n), "width": list(sweep.width), "seeds": seeds}


def _runs(values: Iterable[int]) -> list[list[int]]:
    """Cut whole numbers into runs that rise by one, of which the ends tell everything."""
    by_run = itertools.groupby(enumerate(values), lambda pair: pair[1] - pair[0])
    return [[value for _, value in run] for _, run in by_run]


def extents_of(attributes: Mapping[str, Any]) -> dict[str, Any] | None:
    """The extents that the attributes of a store tell, as `with_extents` takes them, or None.

    Stores of format version 1 have none. Whatever else the attribute is, it raises TypeError, KeyError
    or ValueError.
    """
    told = attributes.get("extents")
    if told is None:
        return None
    if sum(stop - start for start, stop in told["seeds"]) > MOST_SEEDS:
        raise ValueError("more seeds than a sweep can have")
    seeds = [seed for start, stop in told["seeds"] for seed in range(start, stop)]
    return {"d": told["d"], "n": told["n"], "width": told["width"], "seeds": seeds}


def attributes_digest(attributes: Mapping[str, Any]) -> str:
    """SHA-256 of what a template says of itself; attributes that a user has added do not count."""
    own = {key: attributes.get(key) for key in OWN}
    own |= {key: attributes[key] for key in SOMETIMES if key in attributes}
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

SOMETIMES = ("refined",)
"""Attributes that it covers where they are there."""


_INNER = {
    "index": "rank of a value",
    "tolerance": "relative loss to be reached, ||r||^2 / ||r0||^2",
    "step": "gradient descent steps",
    "multiple": "residual at the start, in multiples of the largest that is certified",
}


def coordinates(sweep: Sweep) -> dict[str, Coordinate]:
    """The coordinates of a sweep's store: name to (dimensions, values, attributes)."""
    meaning = {
        "activation": ("activation function phi", "1"),
        "dataset": ("kind of the inputs X", "1"),
        "angle": ("rotation angle of near-duplicate rows", "rad"),
        "trained": ("weights that are trained", "1"),
        "depth": ("number of hidden layers", "1"),
        "d": ("input dimension", "1"),
        "n": ("number of samples", "1"),
    }
    found: dict[str, Coordinate] = {}
    for axis in sweep.axes:
        values = [spec.kind for spec in sweep.dataset] if axis == "dataset" else getattr(sweep, axis)
        long_name, units = meaning[axis]
        found[axis] = ((axis,), np.array(values), {"long_name": long_name, "units": units})
    unit = {"k": "k", "k_per_n": "k / n", "kd_per_n": "k d / n"}[sweep.width_unit]
    whole = sweep.width_unit == "k"
    width = np.array(sweep.width, dtype=np.int64 if whole else np.float64)
    found["width"] = (("width",), width, {"long_name": f"width, as {unit}", "units": "1"})
    found["seed"] = (("seed",), np.array(sweep.seeds), {"long_name": "seed", "units": "1"})
    used = {dim for variable in variables(sweep) for dim in variable.dims}
    for dim, values in sweep.inner.items():
        if dim in used:
            found[dim] = ((dim,), np.array(values), {"long_name": _INNER[dim], "units": "1"})
    found["k"] = _k_coordinate(sweep)
    return found


def _k_coordinate(sweep: Sweep) -> Coordinate:
    """k over (n, d, width), as far as it varies."""
    full = np.array([[sweep.k(d, n) for d in sweep.d] for n in sweep.n])
    told = {"long_name": "width k: number of hidden units", "units": "1"}
    if sweep.width_unit == "k":
        return ("width",), full[0, 0], told
    if sweep.width_unit == "k_per_n":
        return ("n", "width"), full[:, 0], told
    return ("n", "d", "width"), full, told
