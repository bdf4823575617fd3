"""The store: one Zarr v3 group per sweep, dense named dimensions, plain `xarray.open_zarr` reads it.

`create` writes the whole template (arrays, coordinates, attributes, the excluded places) under a
temporary name and publishes it by a rename, so a store is there whole or not at all. A block then is
the only writer of its chunks: `write` puts results first and `status` last, so a block that was cut
off at any moment is still pending and is computed again, to the same bits. Done is a status, never
"not NaN" and never "the chunk exists".
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import uuid
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.codecs import Crc32cCodec, ZstdCodec

from pipeline.blocks import (
    Block,
    BlockResult,
    block_shape,
    blocks,
    estimated_seconds,
    variables,
)
from pipeline.errors import StoreError, StoreFull
from pipeline.provenance import provenance
from pipeline.status import Status
from pipeline.sweep import Sweep

__all__ = [
    "FORMAT_VERSION",
    "check_store",
    "check_target",
    "clean",
    "counts",
    "create",
    "exclusive",
    "messages",
    "open_or_create",
    "todo",
    "write",
]

FORMAT_VERSION = 1
"""Of the layout on disk: dimensions, names, codecs, attributes."""

FORMAT = "widthlaw"

NEEDED = ("name", "experiment", "identity", "identity_fields", "estimated_seconds")
"""Attributes without which nothing can be told of a store, nor written to it."""


# ---- reading what a path holds


def check_store(path: str | Path) -> dict[str, Any]:
    """Return the attributes of the store at `path`.

    Raises
    ------
    StoreError
        There is no store at that path, it is of another format version, or has lost attributes.
    """
    if not Path(path).exists():
        raise StoreError(f"store {path}: not found; `widthlaw run SWEEP -o {path}` would make one")
    try:
        group = zarr.open_group(str(path), mode="r", zarr_format=3)
        attributes: dict[str, Any] = dict(group.attrs)
    except (FileNotFoundError, NotADirectoryError, ValueError, KeyError) as error:
        raise StoreError(
            f"store {path}: holds no Zarr v3 group ({type(error).__name__}); "
            "give the path of a store that `widthlaw run` made, or a new path"
        ) from None
    if attributes.get("format") != FORMAT:
        raise StoreError(f"store {path}: a Zarr group, but not widthlaw's; give another path")
    if attributes.get("format_version") != FORMAT_VERSION:
        raise StoreError(
            f"store {path}: format version {attributes.get('format_version')}, expected "
            f"{FORMAT_VERSION}; read it with the widthlaw that wrote it "
            f"({attributes.get('provenance', {}).get('packages', {}).get('widthlaw')}), "
            "or run the sweep into a new path"
        )
    lost = [name for name in NEEDED if name not in attributes]
    if lost:
        raise StoreError(
            f"store {path}: has no attribute {', '.join(lost)}: the store is damaged; "
            "run the sweep into a new path, or bring back a copy"
        )
    return attributes


def counts(path: str | Path) -> dict[str, int]:
    """Return the number of trials by status, in words."""
    check_store(path)
    status = _read(path, "status")
    found = np.bincount(status.ravel(), minlength=len(Status))
    return {status.word: int(found[status]) for status in Status}


def messages(path: str | Path, limit: int = 5) -> list[tuple[str, int]]:
    """Return the most frequent messages of failed trials, with their numbers."""
    failed = _read(path, "status") == Status.FAILED
    if not failed.any():
        return []
    return Counter(_read(path, "message")[failed].tolist()).most_common(limit)


def _read(path: str | Path, name: str) -> NDArray[Any]:
    """One array of a store, whole."""
    array = _array(path, name)
    with _damage(path, name):
        return np.asarray(array)


def _array(path: str | Path, name: str) -> zarr.Array[Any]:
    with _damage(path, name):
        return zarr.open_array(f"{path}/{name}", mode="r")


@contextmanager
def _damage(path: str | Path, name: str) -> Iterator[None]:
    """Say which array of which store cannot be read."""
    try:
        yield
    except (FileNotFoundError, ValueError, RuntimeError) as error:
        raise StoreError(
            f"store {path}: its {name} cannot be read ({str(error).splitlines()[0]}): the store is "
            "damaged; run the sweep into a new path, or bring back a copy"
        ) from None


# ---- making a store


def open_or_create(path: str | Path, sweep: Sweep) -> None:
    """Make the store of a sweep, or check that the one at `path` belongs to it.

    Raises
    ------
    StoreError
        The path holds something else, a store of another sweep, or cannot be written.
    """
    check_target(path, sweep)
    if not Path(path).exists():
        create(path, sweep)


def check_target(path: str | Path, sweep: Sweep) -> None:
    """Check that `path` could take the results of a sweep; nothing is touched.

    Raises
    ------
    StoreError
        The path holds something else, a store of another sweep, or cannot be written.
    """
    if not Path(path).exists():
        _check_room(Path(path))
        return
    attributes = check_store(path)
    if attributes["identity"] != sweep.identity:
        raise StoreError(f"store {path}: belongs to another sweep: {_difference(attributes, sweep)}")
    group = zarr.open_group(str(path), mode="r")
    metadata: Any = _array(path, "status").metadata
    stored_dims = tuple(metadata.dimension_names)
    if stored_dims != sweep.dims:
        raise StoreError(
            f"store {path}: its dimensions are {', '.join(stored_dims)}, this sweep's "
            f"{', '.join(sweep.dims)} (a list makes an axis); give a new path with -o"
        )
    for name, (_, asked, _) in _coordinates(sweep).items():
        stored = np.asarray(group[name])
        if not np.array_equal(stored, asked):
            said = "; ".join(_differences(name, stored.tolist(), asked.tolist()))
            raise StoreError(f"store {path}: made for other extents: {said}; give a new path with -o")
    if not os.access(path, os.W_OK):
        raise StoreError(f"store {path}: no permission to write; copy it to a place of your own")


def _check_room(path: Path) -> None:
    """Refuse a new path whose nearest folder takes no files."""
    parent = next(folder for folder in path.absolute().parents if folder.exists())
    if not (parent.is_dir() and os.access(parent, os.W_OK)):
        raise StoreError(
            f"store {path}: cannot be made in {parent}, which is no folder that may be written; "
            "give a path with -o on a disk that has room and that you may write to"
        )


def _difference(attributes: dict[str, Any], sweep: Sweep) -> str:
    parts = list(_differences("", attributes["identity_fields"], sweep.identity_fields))
    return "; ".join(parts or ["its identity is not that of its fields"]) + "; give a new path with -o"


def _differences(key: str, stored: Any, asked: Any) -> Iterator[str]:
    """Name what differs: of tables every key, of long lists and lists of tables the first place."""
    if stored == asked:
        return
    if isinstance(stored, dict) and isinstance(asked, dict):
        for inner in sorted(stored | asked):
            at = f"{key}.{inner}".lstrip(".")
            yield from _differences(at, stored.get(inner), asked.get(inner))
    elif key.startswith("dataset") and key.endswith(".rows") and stored and asked:
        yield "the data file has other rows"
    elif stored is None:
        yield f"it has no {key}, this sweep's is {_short(asked)}"
    elif asked is None:
        yield f"its {key} is {_short(stored)}, this sweep has none"
    elif _told_by_place(stored, asked):
        places = range(len(asked))
        told = (_differences(f"{key}[{place}]", stored[place], asked[place]) for place in places)
        yield from next(said for said in map(list, told) if said)
    elif _short(stored) == _short(asked):
        yield f"its {key} has {len(stored)} values, this sweep's {len(asked)}"
    else:
        yield f"its {key} is {_short(stored)}, this sweep's {_short(asked)}"


def _told_by_place(stored: Any, asked: Any) -> bool:
    """Whether two lists are told apart value by value: they hold tables, or are too long to be read."""
    if not (isinstance(stored, list) and isinstance(asked, list) and len(stored) == len(asked)):
        return False
    long = any(_short(values).endswith("...") for values in (stored, asked))
    return long or any(isinstance(value, dict) for value in asked)


def _short(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 or not isinstance(value, list) else text[:57] + "..."


def create(path: str | Path, sweep: Sweep, seeds_per_chunk: int | None = None) -> None:
    """Write the template of a sweep's store and publish it at `path` by a rename.

    Parameters
    ----------
    path
        Where nothing is yet.
    sweep
        What the store is for.
    seeds_per_chunk
        Extent of chunks along `seed`, all widths in one; by estimated cost if None.
    """
    path = Path(path)
    draft = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.new")
    new_folders = [folder for folder in path.absolute().parents if not folder.exists()]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        shape = (len(sweep.width), seeds_per_chunk) if seeds_per_chunk else block_shape(sweep)
        _write_template(draft, sweep, *shape)
        draft.rename(path)
    except OSError as error:
        raise StoreError(
            f"store {path}: cannot be made ({error.strerror or error}); "
            "give a path with -o on a disk that has room and that you may write to"
        ) from None
    finally:
        shutil.rmtree(draft, ignore_errors=True)
        with suppress(OSError):  # a folder that holds something, such as the store, stays
            for folder in new_folders:
                folder.rmdir()


def _write_template(path: Path, sweep: Sweep, widths: int, seeds: int) -> None:
    group = zarr.create_group(str(path), zarr_format=3, attributes=_attributes(sweep))
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

    for name, (dims, values, attributes) in _coordinates(sweep).items():
        text = values.dtype.kind in "UO"
        data = np.array(values, dtype=object) if text else values
        fill: Any = "" if text else values.dtype.type(0)
        zarr_array = group.create_array(
            name,
            shape=values.shape,
            chunks=values.shape,
            dtype=str if text else values.dtype,
            fill_value=fill,
            dimension_names=dims,
            attributes=attributes,
        )
        zarr_array[...] = data
    for variable in variables(sweep):
        dims = _dims(sweep, variable.dims)
        told = {"long_name": variable.long_name, "units": variable.units}
        if "width" in dims:
            told["coordinates"] = "k"
        array(variable.name, dims, "float64", np.nan, **told)
    array(
        "message",
        sweep.dims,
        str,
        "",
        long_name="what is to be said of the trial: why it failed",
        units="1",
    )
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


def _dims(sweep: Sweep, own: tuple[str, ...]) -> tuple[str, ...]:
    width = ("width",) if "width" in own else ()
    return (*sweep.axes, *width, "seed", *(dim for dim in own if dim != "width"))


def _attributes(sweep: Sweep) -> dict[str, Any]:
    return {
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
        "estimated_seconds": estimated_seconds(sweep),
        "provenance": provenance(),
    }


_INNER = {
    "index": "rank of a value",
    "tolerance": "relative loss to be reached, ||r||^2 / ||r0||^2",
    "step": "gradient descent steps",
    "multiple": "residual at the start, in multiples of the largest that is certified",
}

Coordinate = tuple[tuple[str, ...], NDArray[Any], dict[str, Any]]


def _coordinates(sweep: Sweep) -> dict[str, Coordinate]:
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


# ---- filling it


def todo(path: str | Path, sweep: Sweep, retry_failed: bool = False) -> Iterator[Block]:
    """Go through the blocks that have pending trials (or failed ones, to be retried)."""
    array, status = _array(path, "status"), _read(path, "status")
    wanted = [Status.PENDING, Status.FAILED] if retry_failed else [Status.PENDING]
    for block in blocks(sweep, *array.chunks[-2:]):
        if np.isin(status[block.cell.index][block.widths, block.seeds], wanted).any():
            yield block


def write(path: str | Path, sweep: Sweep, block: Block, result: BlockResult) -> None:
    """Write one block, `status` last; the block is the only writer of its chunks.

    Raises
    ------
    StoreFull
        The store cannot take it; the block is left pending.
    """
    group = _open_arrays(str(path), _made(path))
    trials = (*block.cell.index, block.widths, block.seeds)
    try:
        for variable in variables(sweep):
            region = trials if "width" in variable.dims else (*block.cell.index, block.seeds)
            group[variable.name][region] = result.values[variable.name]
        group["message"][trials] = result.message  # no chunk where all are ""
        group["status"][trials] = result.status
    except OSError as error:
        raise StoreFull(error.errno or errno.EIO, f"{error.strerror or error}", str(path)) from None


@lru_cache(maxsize=8)
def _open_arrays(path: str, made: tuple[int, int]) -> dict[str, Any]:
    """The arrays of a store, opened once per process: metadata never changes while it is filled."""
    return dict(zarr.open_group(path, mode="r+").arrays())


def _made(path: str | Path) -> tuple[int, int]:
    """What tells a store from another one that was at its path before: they are made by a rename."""
    found = os.stat(path)
    return found.st_ino, os.stat(f"{path}/zarr.json").st_mtime_ns


def clean(path: str | Path) -> None:
    """Remove what a killed or failed write left beside the chunks."""
    for leftover in Path(path).rglob("*.partial"):
        leftover.unlink(missing_ok=True)


@contextmanager
def exclusive(path: str | Path) -> Iterator[None]:
    """Hold the store for one run; the lock ends with the process, however it ends.

    Raises
    ------
    StoreError
        Another run holds it.
    """
    import fcntl

    handle = os.open(path, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StoreError(
                f"store {path}: another run is filling it; wait for it, or watch it with "
                f"`widthlaw status {path}`"
            ) from None
        yield
    finally:
        os.close(handle)
