"""Writing a store: its template is published whole, its blocks are written status last."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from glob import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipeline.blocks import Block, BlockResult, block_shape
from pipeline.errors import StoreError, StoreFull
from pipeline.experiments import variables
from pipeline.store.differences import differences
from pipeline.store.location import PARTIAL, Folder, Place, Where, place
from pipeline.store.template import coordinates, write_template
from pipeline.sweep import Sweep
from pipeline.trial_status import Status

if TYPE_CHECKING:
    pass
from pipeline.store.reading import (
    check_store,
    open_array,
    open_arrays,
    open_group,
    region,
    trial_region,
)

__all__ = [
    "check_target",
    "clean",
    "create",
    "drafting",
    "drafts",
    "open_or_create",
    "reset_failed",
    "write",
    "write_status",
]


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
    metadata: Any = open_array(path, "status").metadata
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


def write(path: Where, sweep: Sweep, block: Block, result: BlockResult) -> None:
    """Write one block, `status` last; the block is the only writer of its chunks.

    Raises
    ------
    StoreFull
        The store cannot take it; the block is left pending.
    """
    for tries_left in reversed(range(CLEANED_UNDER_US)):
        try:
            _write(open_arrays(str(path), place(path).made()), sweep, block, result)
            break
        except OSError as error:
            if tries_left and isinstance(error, FileNotFoundError):
                continue
            raise StoreFull(error.errno or errno.EIO, error.strerror or str(error), str(path)) from None


CLEANED_UNDER_US = 3
"""Tries of a write whose unfinished file is gone: a run that has lost the store may be cleaning up."""


def write_status(path: Where, block: Block, status: NDArray[np.int8]) -> None:
    """Write the statuses of a block of which no trial has an outcome, shape (widths, seeds)."""
    open_arrays(str(path), place(path).made())["status"][trial_region(block)] = status


def _write(group: dict[str, Any], sweep: Sweep, block: Block, result: BlockResult) -> None:
    for variable in variables(sweep):
        group[variable.name][region(block, variable.dims)] = result.values[variable.name]
    group["message"][trial_region(block)] = result.message
    group["status"][trial_region(block)] = result.status


def reset_failed(path: Where) -> None:
    """Make failed trials pending again; the caller holds the store."""
    status = open_arrays(str(path), place(path).made())["status"]
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
