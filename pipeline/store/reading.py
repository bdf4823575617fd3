"""The store: one Zarr v3 group per sweep, dense named dimensions, plain `xarray.open_zarr` reads it.

`create` writes the whole template (arrays, coordinates, attributes, the excluded places) as a draft
and publishes it at once, so a store is there whole or not at all. A block then is the only writer of
its chunks: `write` puts results first and `status` last, so a block that was cut off at any moment is
still pending and is computed again, to the same bits. Done is a status, never "not NaN" and never
"the chunk exists".
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import zarr
from numpy.typing import NDArray

from pipeline.blocks import Block, BlockResult, blocks
from pipeline.errors import StoreError, SweepError
from pipeline.experiments import variables
from pipeline.store.differences import differences
from pipeline.store.location import Place, Where, place
from pipeline.store.template import FORMAT, FORMAT_VERSION, coordinates, extents_of
from pipeline.sweep import Sweep
from pipeline.trial_status import Status

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "array_names",
    "check_store",
    "counts",
    "is_refined",
    "messages",
    "open_array",
    "open_arrays",
    "open_group",
    "provenance_of",
    "read_block",
    "region",
    "status_of",
    "statuses",
    "stored_sweep",
    "sweep_from",
    "todo",
    "trial_region",
]

READABLE = (1, FORMAT_VERSION)

NEEDED: dict[str, Any] = {
    "name": str,
    "experiment": str,
    "identity": str,
    "identity_fields": dict,
    "estimated_seconds": int | float,
}
"""Attributes without which nothing can be told of a store, nor written to it, and their types."""

ODD = (FileNotFoundError, NotADirectoryError, ValueError, KeyError, TypeError, AttributeError)
"""What Zarr raises where a group's metadata are not what its specification says."""

# ---- reading what a path holds


def check_store(path: Where) -> dict[str, Any]:
    """Return the attributes of the store at `path`.

    Raises
    ------
    StoreError
        There is no store at that path, it is of another format version, or has lost attributes.
    """
    where = place(path)
    if not where.exists():
        raise StoreError(f"store {path}: not found; `widthlaw run SWEEP -o {path}` would make one")
    try:
        attributes: dict[str, Any] = dict(open_group(where).attrs)
    except (*ODD, RecursionError) as error:
        raise StoreError(
            f"store {path}: holds no Zarr v3 group ({type(error).__name__}); "
            "give the path of a store that `widthlaw run` made, or a new path"
        ) from None
    if attributes.get("format") != FORMAT:
        raise StoreError(f"store {path}: a Zarr group, but not widthlaw's; give another path")
    if attributes.get("format_version") not in READABLE:
        raise StoreError(
            f"store {path}: format version {attributes.get('format_version')}, expected "
            f"{' or '.join(map(str, READABLE))}; read it with the widthlaw that wrote it "
            f"({_writer(attributes)}), or run the sweep into a new path"
        )
    lost = [name for name in NEEDED if name not in attributes]
    odd = [name for name in NEEDED if not isinstance(attributes.get(name), NEEDED[name])]
    if lost or odd:
        said = "has no attribute" if lost else "cannot use its attribute"
        raise StoreError(
            f"store {path}: {said} {', '.join(lost or odd)}: the store is damaged; "
            "run the sweep into a new path, or bring back a copy"
        )
    return attributes


def provenance_of(path: Where) -> dict[str, Any]:
    """Where the numbers of a store come from; {} where it does not say."""
    told = check_store(path).get("provenance")
    return told if isinstance(told, dict) else {}


def is_refined(path: Where) -> bool:
    """Whether a store is asked for some of the trials of its axes only."""
    return bool(check_store(path).get("refined"))


def array_names(sweep: Sweep) -> set[str]:
    """The arrays of a sweep's store."""
    return {*coordinates(sweep), *(variable.name for variable in variables(sweep)), "message", "status"}


def _writer(attributes: dict[str, Any]) -> object:
    try:
        return attributes["provenance"]["packages"]["widthlaw"]
    except (KeyError, TypeError):
        return "it does not say which"


def open_group(where: Place, mode: Any = "r") -> zarr.Group:
    """Open the group of a store; only ever Zarr's third format, which holds no pickled objects."""
    return zarr.open_group(where.zarr(), mode=mode, zarr_format=3)


def counts(path: Where) -> dict[str, int]:
    """Return the number of trials by status, in words."""
    check_store(path)
    status = read_array(path, "status")
    return {word.word: int(np.count_nonzero(status == word)) for word in Status}


def statuses(path: Where) -> NDArray[np.int8]:
    """The statuses of all trials, in the dense cube of the store."""
    return read_array(path, "status")


def messages(path: Where, limit: int = 5) -> list[tuple[str, int]]:
    """Return the most frequent messages of failed trials, with their numbers."""
    failed = read_array(path, "status") == Status.FAILED
    if not failed.any():
        return []
    return Counter(read_array(path, "message")[failed].tolist()).most_common(limit)


def read_array(path: Where, name: str) -> NDArray[Any]:
    """One array of a store, whole."""
    array = open_array(path, name)
    with _damage(path, name):
        return np.asarray(array)


def open_array(path: Where, name: str) -> zarr.Array[Any]:
    with _damage(path, name):
        # By its own metadata, of which the group has but a copy.
        return zarr.open_array(place(path).zarr(), path=name, mode="r", zarr_format=3)


@contextmanager
def _damage(path: Where, name: str) -> Iterator[None]:
    """Say which array of which store cannot be read."""
    try:
        yield
    except (FileNotFoundError, KeyError, ValueError, RuntimeError) as error:
        said = (str(error).splitlines() or [""])[0]
        raise StoreError(
            f"store {path}: its {name} cannot be read ({said}): the store is damaged; "
            f"`widthlaw verify {path}` finds what, and with --repair makes it pending"
        ) from None


def stored_sweep(path: Where, folder: Path | None = None) -> Sweep:
    """Return the sweep of a store: its text, on the axes that the store has by now.

    Relative paths of data files start at `folder`, the working folder if None.

    Raises
    ------
    StoreError
        There is no store, it does not say its sweep, its data file is not there or another one, or
        what it says is not what it was made for.
    """
    attributes = check_store(path)
    try:
        extents = extents_of(attributes)
    except (TypeError, ValueError, KeyError):
        raise StoreError(
            f"store {path}: cannot use its attribute extents: the store is damaged; "
            "run the sweep into a new path, or bring back a copy"
        ) from None
    if extents is None:  # format version 1
        extents = {name: read_array(path, name).tolist() for name in ("d", "n", "width")}
        extents["seeds"] = read_array(path, "seed").tolist()
    return sweep_from(path, attributes, extents, folder)


def sweep_from(
    path: Where,
    attributes: dict[str, Any],
    extents: Mapping[str, Any] | None = None,
    folder: Path | None = None,
) -> Sweep:
    """Make the sweep of a store of its attributes, on the extents of its text if none are given."""
    from pipeline.sweep_files.extents import with_extents  # not needed to read a store
    from pipeline.sweep_files.load import parse_sweep

    text = attributes.get("sweep")
    if not isinstance(text, str) or not text:
        raise StoreError(
            f"store {path}: its attribute sweep does not hold the text of one; "
            f"run its sweep file, `widthlaw run SWEEP -o {path}`"
        )
    folder = (folder or Path()).absolute()  # workers stand elsewhere
    try:
        sweep = parse_sweep(text, f"store {path}: its sweep", folder)
        if extents is not None:
            sweep = with_extents(sweep, f"store {path}: its extents", **extents)
    except SweepError as error:
        said = "; ".join(line.strip() for line in str(error).splitlines())
        if any(problem.key == "dataset.path" for problem in error.problems):
            said += f" (here: from {folder}; go where the file lies)"
        raise StoreError(said) from None
    if sweep.identity != attributes["identity"]:
        said = "; ".join(differences("", attributes["identity_fields"], sweep.identity_fields))
        raise StoreError(
            f"store {path}: is not what its sweep says: {said or 'its identity is another'}; "
            "bring back the data file or the widthlaw that it was made with, or a copy of the store"
        )
    return sweep


# ---- filling it


def todo(path: Where, sweep: Sweep, retry_failed: bool = False) -> Iterator[Block]:
    """Go through the blocks that have pending trials (or failed ones, to be retried)."""
    array, status = open_array(path, "status"), read_array(path, "status")
    for block in blocks(sweep, *array.chunks[-2:]):
        if wanted(status[block.cell.index][block.widths, block.seeds], retry_failed).any():
            yield block


def wanted(status: NDArray[np.int8], retry_failed: bool) -> NDArray[np.bool_]:
    """Which trials are to be computed, by their status."""
    return np.isin(status, [Status.PENDING, Status.FAILED] if retry_failed else [Status.PENDING])


def status_of(path: Where, block: Block) -> NDArray[np.int8]:
    """The statuses of a block's trials as they are now, shape (widths, seeds)."""
    return np.asarray(open_arrays(str(path), place(path).made())["status"][trial_region(block)])


def read_block(path: Where, sweep: Sweep, block: Block) -> BlockResult:
    """What a store has of a block."""
    group = open_arrays(str(path), place(path).made())
    status = np.asarray(group["status"][trial_region(block)])  # first, as it is written last
    message = np.asarray(group["message"][trial_region(block)], dtype=object)
    values = {v.name: np.asarray(group[v.name][region(block, v.dims)]) for v in variables(sweep)}
    return BlockResult(values, status, message)


def trial_region(block: Block) -> tuple[int | slice, ...]:
    return (*block.cell.index, block.widths, block.seeds)


def region(block: Block, dims: tuple[str, ...]) -> tuple[int | slice, ...]:
    return trial_region(block) if "width" in dims else (*block.cell.index, block.seeds)


@lru_cache(maxsize=8)
def open_arrays(path: str, made: object) -> dict[str, Any]:
    """The arrays of a store, opened once per process: metadata never changes while it is filled.

    A chunk of nothing but NaN is written like any other, so that one that was lost is missed.
    """
    with zarr.config.set({"array.write_empty_chunks": True}):
        return dict(open_group(place(path), "r+").arrays())
