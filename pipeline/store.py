"""The store: one Zarr v3 group per sweep, dense named dimensions, plain `xarray.open_zarr` reads it.

`create` writes the whole template (arrays, coordinates, attributes, the excluded places) as a draft
and publishes it at once, so a store is there whole or not at all. A block then is the only writer of
its chunks: `write` puts results first and `status` last, so a block that was cut off at any moment is
still pending and is computed again, to the same bits. Done is a status, never "not NaN" and never
"the chunk exists".
"""

from __future__ import annotations

import errno
import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from glob import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import zarr
from numpy.typing import NDArray

from pipeline.blocks import Block, BlockResult, block_shape, blocks, variables
from pipeline.differences import differences
from pipeline.errors import StoreError, StoreFull, SweepError
from pipeline.places import PARTIAL, Folder, Place, Where, place
from pipeline.status import Status
from pipeline.sweep import Sweep
from pipeline.template import FORMAT, FORMAT_VERSION, coordinates, extents_of, write_template

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "array_names",
    "check_store",
    "check_target",
    "clean",
    "counts",
    "create",
    "drafting",
    "drafts",
    "is_refined",
    "messages",
    "open_group",
    "open_or_create",
    "provenance_of",
    "read_block",
    "reset_failed",
    "status_of",
    "statuses",
    "stored_sweep",
    "sweep_from",
    "todo",
    "write",
    "write_status",
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
    status = _read(path, "status")
    return {word.word: int(np.count_nonzero(status == word)) for word in Status}


def statuses(path: Where) -> NDArray[np.int8]:
    """The statuses of all trials, in the dense cube of the store."""
    return _read(path, "status")


def messages(path: Where, limit: int = 5) -> list[tuple[str, int]]:
    """Return the most frequent messages of failed trials, with their numbers."""
    failed = _read(path, "status") == Status.FAILED
    if not failed.any():
        return []
    return Counter(_read(path, "message")[failed].tolist()).most_common(limit)


def _read(path: Where, name: str) -> NDArray[Any]:
    """One array of a store, whole."""
    array = _array(path, name)
    with _damage(path, name):
        return np.asarray(array)


def _array(path: Where, name: str) -> zarr.Array[Any]:
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
        extents = {name: _read(path, name).tolist() for name in ("d", "n", "width")}
        extents["seeds"] = _read(path, "seed").tolist()
    return sweep_from(path, attributes, extents, folder)


def sweep_from(
    path: Where,
    attributes: dict[str, Any],
    extents: Mapping[str, Any] | None = None,
    folder: Path | None = None,
) -> Sweep:
    """Make the sweep of a store of its attributes, on the extents of its text if none are given."""
    from pipeline.sweep_file import parse_sweep, with_extents  # not needed to read a store

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
        if "dataset.path" in said:
            said += f" (here: from {folder}; go where the file lies)"
        raise StoreError(said) from None
    if sweep.identity != attributes["identity"]:
        said = "; ".join(differences("", attributes["identity_fields"], sweep.identity_fields))
        raise StoreError(
            f"store {path}: is not what its sweep says: {said or 'its identity is another'}; "
            "bring back the data file or the widthlaw that it was made with, or a copy of the store"
        )
    return sweep


# ---- making a store


def open_or_create(path: Where, sweep: Sweep) -> None:
    """Make the store of a sweep, or check that the one at `path` belongs to it.

    Raises
    ------
    StoreError
        The path holds something else, a store of another sweep, or cannot be written.
    """
    check_target(path, sweep)
    if not place(path).exists():
        create(path, sweep)


def check_target(path: Where, sweep: Sweep) -> None:
    """Check that `path` could take the results of a sweep; nothing is touched.

    Raises
    ------
    StoreError
        The path holds something else, a store of another sweep, or cannot be written.
    """
    where = place(path)
    if not where.exists():
        if isinstance(where, Folder):
            _check_room(where.path)
        return
    attributes = check_store(path)
    if attributes["identity"] != sweep.identity:
        raise StoreError(f"store {path}: belongs to another sweep: {_difference(attributes, sweep)}")
    group = open_group(where)
    metadata: Any = _array(path, "status").metadata
    stored_dims = tuple(metadata.dimension_names)
    if stored_dims != sweep.dims:
        raise StoreError(
            f"store {path}: its dimensions are {', '.join(stored_dims)}, this sweep's "
            f"{', '.join(sweep.dims)} (a list makes an axis); give a new path with -o"
        )
    for name, (_, asked, _) in coordinates(sweep).items():
        stored = np.asarray(group[name])
        if not np.array_equal(stored, asked):
            said = "; ".join(differences(name, stored.tolist(), asked.tolist()))
            raise StoreError(
                f"store {path}: made for other extents: {said}; give a new path with -o, or "
                f"`widthlaw extend {path} SWEEP` adds what it lacks, `widthlaw run {path}` fills it as "
                "it is"
            )
    if not where.writable():
        raise StoreError(f"store {path}: no permission to write; copy it to a place of your own")


def _check_room(path: Path) -> None:
    """Refuse a new path whose nearest folder takes no files."""
    parent = next(folder for folder in path.absolute().parents if folder.exists())
    if not (parent.is_dir() and Folder(parent).writable()):
        raise StoreError(
            f"store {path}: cannot be made in {parent}, which is no folder that may be written; "
            "give a path with -o on a disk that has room and that you may write to"
        )


def _difference(attributes: dict[str, Any], sweep: Sweep) -> str:
    parts = list(differences("", attributes["identity_fields"], sweep.identity_fields))
    return "; ".join(parts or ["its identity is not that of its fields"]) + "; give a new path with -o"


def create(path: Where, sweep: Sweep, seeds_per_chunk: int | None = None) -> None:
    """Write the template of a sweep's store as a draft and publish it at `path` at once.

    Parameters
    ----------
    path
        Where nothing is yet.
    sweep
        What the store is for.
    seeds_per_chunk
        Extent of chunks along `seed`, all widths in one; by estimated cost if None.
    """
    shape = (len(sweep.width), seeds_per_chunk) if seeds_per_chunk else block_shape(sweep)
    with drafting(path) as draft:
        write_template(draft, sweep, *shape)
        place(path).publish(draft)


@contextmanager
def drafting(path: Where) -> Iterator[Path]:
    """A folder in which a store for `path` is prepared; nothing of it stays behind.

    Raises
    ------
    StoreError
        It cannot be written, or not be published.
    """
    where = place(path)
    draft = where.draft()
    new_folders = [folder for folder in draft.absolute().parents if not folder.exists()]
    try:
        draft.parent.mkdir(parents=True, exist_ok=True)
        yield draft
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


# ---- filling it


def todo(path: Where, sweep: Sweep, retry_failed: bool = False) -> Iterator[Block]:
    """Go through the blocks that have pending trials (or failed ones, to be retried)."""
    array, status = _array(path, "status"), _read(path, "status")
    for block in blocks(sweep, *array.chunks[-2:]):
        if wanted(status[block.cell.index][block.widths, block.seeds], retry_failed).any():
            yield block


def wanted(status: NDArray[np.int8], retry_failed: bool) -> NDArray[np.bool_]:
    """Which trials are to be computed, by their status."""
    return np.isin(status, [Status.PENDING, Status.FAILED] if retry_failed else [Status.PENDING])


def status_of(path: Where, block: Block) -> NDArray[np.int8]:
    """The statuses of a block's trials as they are now, shape (widths, seeds)."""
    return np.asarray(_open_arrays(str(path), place(path).made())["status"][_trials(block)])


def read_block(path: Where, sweep: Sweep, block: Block) -> BlockResult:
    """What a store has of a block."""
    group = _open_arrays(str(path), place(path).made())
    status = np.asarray(group["status"][_trials(block)])  # first, as it is written last
    message = np.asarray(group["message"][_trials(block)], dtype=object)
    values = {v.name: np.asarray(group[v.name][_region(block, v.dims)]) for v in variables(sweep)}
    return BlockResult(values, status, message)


def write(path: Where, sweep: Sweep, block: Block, result: BlockResult) -> None:
    """Write one block, `status` last; the block is the only writer of its chunks.

    Raises
    ------
    StoreFull
        The store cannot take it; the block is left pending.
    """
    for tries_left in reversed(range(CLEANED_UNDER_US)):
        try:
            _write(_open_arrays(str(path), place(path).made()), sweep, block, result)
            break
        except OSError as error:
            if tries_left and isinstance(error, FileNotFoundError):
                continue
            raise StoreFull(error.errno or errno.EIO, error.strerror or str(error), str(path)) from None


CLEANED_UNDER_US = 3
"""Tries of a write whose unfinished file is gone: a run that has lost the store may be cleaning up."""


def write_status(path: Where, block: Block, status: NDArray[np.int8]) -> None:
    """Write the statuses of a block of which no trial has an outcome, shape (widths, seeds)."""
    _open_arrays(str(path), place(path).made())["status"][_trials(block)] = status


def _write(group: dict[str, Any], sweep: Sweep, block: Block, result: BlockResult) -> None:
    for variable in variables(sweep):
        group[variable.name][_region(block, variable.dims)] = result.values[variable.name]
    group["message"][_trials(block)] = result.message
    group["status"][_trials(block)] = result.status


def _trials(block: Block) -> tuple[int | slice, ...]:
    return (*block.cell.index, block.widths, block.seeds)


def _region(block: Block, dims: tuple[str, ...]) -> tuple[int | slice, ...]:
    return _trials(block) if "width" in dims else (*block.cell.index, block.seeds)


@lru_cache(maxsize=8)
def _open_arrays(path: str, made: object) -> dict[str, Any]:
    """The arrays of a store, opened once per process: metadata never changes while it is filled.

    A chunk of nothing but NaN is written like any other, so that one that was lost is missed.
    """
    with zarr.config.set({"array.write_empty_chunks": True}):
        return dict(open_group(place(path), "r+").arrays())


def reset_failed(path: Where) -> None:
    """Make failed trials pending again; the caller holds the store."""
    status = _open_arrays(str(path), place(path).made())["status"]
    found = np.asarray(status)
    status[...] = np.where(found == Status.FAILED, np.int8(Status.PENDING), found)


def clean(path: Where) -> None:
    """Remove what a killed or failed write left in the store and beside it; for who holds the lease.

    Whoever else prepares a draft for this path is in vain: there is a store already, and replacing it
    takes the lease.
    """
    where = place(path)
    for key, _ in where.files():
        if key.endswith(PARTIAL):
            where.delete(key)
    for draft in drafts(where):
        shutil.rmtree(draft, ignore_errors=True)


def drafts(where: Place) -> list[Path]:
    """Drafts of a store that a killed process left beside it."""
    if not isinstance(where, Folder):
        return []
    path = where.path.absolute()
    return sorted(path.parent.glob(f".{escape(path.name)}.????????.new"))
