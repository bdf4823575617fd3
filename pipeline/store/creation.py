"""Making a store: its template is written as a draft and appears atomically."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.blocks import chunk_extents, estimated_seconds, tiles
from pipeline.errors import LIMITS, StoreError, StoreExists
from pipeline.selection import from_json, requested
from pipeline.store import lease
from pipeline.store.arrays import layout_of, read_array
from pipeline.store.code import as_stored, changed_code, record_code, run_command, takes_code
from pipeline.store.differences import differences, other_budget
from pipeline.store.location import StorePath, locate
from pipeline.store.names import STATUS
from pipeline.store.reading import check_store
from pipeline.store.store import Store
from pipeline.store.template import coordinates, write_template
from pipeline.sweep import Sweep
from pipeline.trial_status import Status

__all__ = ["check_target", "create", "drafting", "open_or_create", "take_code"]


def open_or_create(path: StorePath, sweep: Sweep) -> Store:
    """Return the store of a sweep; make it if nothing is at `path`.

    Of several runs that make it at once, one succeeds and the others open its store. The sweep of a
    store that exists has the numerics that the store began with.

    Raises
    ------
    StoreError
        The path holds something else or a store of another sweep, or may not be written.
    """
    check_target(path, sweep)
    if not locate(path).exists():
        with suppress(StoreExists):
            return create(path, sweep)
        check_target(path, sweep)
    take_code(path, sweep)
    return Store(path, as_in_store(path, sweep))


def take_code(path: StorePath, sweep: Sweep) -> None:
    """Record the code of a sweep in a store without results, and make its failed trials pending again.

    Nothing is done to a store that has results, or that knows the code. What failed came of other code.

    Raises
    ------
    StoreHeld
        A run is filling the store.
    """
    if not sweep.runs_code or not takes_code(path, check_store(path), sweep):
        return
    with lease.hold(locate(path)) as held:
        Store(path, holder=held.holder).reset_failed()
    record_code(path, sweep)  # last: whoever ends the command before it begins again here


def as_in_store(path: StorePath, sweep: Sweep) -> Sweep:
    """Return a sweep with the numerics and the cost of the store at a path, if there is one."""
    if not locate(path).exists():
        return sweep
    return as_stored(path, check_store(path), sweep)


def check_target(path: StorePath, sweep: Sweep) -> None:
    """Check that `path` could take the results of a sweep, without writing anything.

    Raises
    ------
    StoreError
        The path holds something else or a store of another sweep, or may not be written.
    """
    location = locate(path)
    if not location.exists():
        location.check_room()
        return
    attributes = check_store(path)
    sweep = as_stored(path, attributes, sweep)
    if other_code := changed_code(path, attributes, sweep):
        raise other_code
    if attributes["identity"] != sweep.identity:
        raise StoreError(
            f"store {path}: belongs to another sweep: {_difference(path, attributes, sweep)}"
        )
    stored_dims = layout_of(location, STATUS).dims
    if stored_dims != sweep.dims:
        raise StoreError(
            f"store {path}: its dimensions are {', '.join(stored_dims)}, this sweep's "
            f"{', '.join(sweep.dims)} (a list makes an axis); give a new path with -o"
        )
    for name, (_, expected, _) in coordinates(sweep).items():
        stored = read_array(location, name)
        if not np.array_equal(stored, expected):
            found = "; ".join(differences(name, stored.tolist(), expected.tolist()))
            raise StoreError(
                f"store {path}: made for other extents: {found}; {_remedy(path, _lacks(path, sweep))}"
            )
    _check_requests(path, sweep)
    if not location.writable():
        raise StoreError(f"store {path}: no permission to write; copy it to a path of your own")


def _check_requests(path: StorePath, sweep: Sweep) -> None:
    """Check that a store on the axes of a sweep requests the same trials, as far as sweeps say."""
    selections = from_json(check_store(path).get("requests", ()))
    if any(one.single for one in selections) or selections == sweep.requests:
        return
    here, there = requested(sweep), requested(replace(sweep, requests=selections))
    more, fewer = (int(np.count_nonzero(mask)) for mask in (here & ~there, there & ~here))
    if more or fewer:
        raise StoreError(
            f"store {path}: made for other sub-grids or conditions: this sweep has {more} trials that "
            f"the store does not request, and leaves out {fewer} that it does; "
            + _remedy(path, bool(more))
        )


def _lacks(path: StorePath, sweep: Sweep) -> bool:
    """Return True if the axes of a store lack values of a sweep of the same dimensions."""
    expected = coordinates(sweep)
    return any(
        not {*expected[dim][1].tolist()} <= {*read_array(locate(path), dim).tolist()}
        for dim in sweep.dims
    )


def _remedy(path: StorePath, lacks: bool) -> str:
    """Return what to do about a store on other extents, which may lack something of a sweep or not."""
    adding = f"`widthlaw extend {path} SWEEP` adds what is missing, " if lacks else ""
    also = "" if lacks else ", with all of this sweep and more"
    return f"give a new path with -o, or {adding}{run_command(path)} fills it as it is{also}"


def _difference(path: StorePath, attributes: dict[str, Any], sweep: Sweep) -> str:
    stored = attributes["identity_fields"]
    parts = list(differences("", stored, sweep.identity_fields))
    repair = "give a new path with -o"
    if sweep.descent is not None and not sweep.descent.why_no_longer:
        steps = other_budget(stored, sweep.identity_fields)
        if steps is not None and steps < sweep.descent.steps:
            repair += (
                f", or `widthlaw extend {path} --steps {sweep.descent.steps}` makes its budget larger"
            )
        elif steps is not None:
            repair += f", or {run_command(path)} fills it up to its own, larger budget"
    return "; ".join([*(parts or ["its identity does not match its fields"]), repair])


def create(path: StorePath, sweep: Sweep, seeds_per_chunk: int | None = None) -> Store:
    """Make the empty store of a sweep: write it as a draft, and publish that atomically.

    Parameters
    ----------
    path
        A new path.
    sweep
        The sweep that the store is for.
    seeds_per_chunk
        Extent of chunks along `seed`, with all widths of one cell; by estimated cost if None.

    Raises
    ------
    StoreExists
        Another run has made the store meanwhile.
    StoreError
        The store cannot be written.
    """
    extents = chunk_extents(sweep)
    if seeds_per_chunk:
        one_cell = dict.fromkeys(sweep.axes, 1)
        extents = one_cell | {"width": len(sweep.width), "seed": seeds_per_chunk}
    with drafting(path) as draft:
        write_empty(draft, sweep, extents)
        locate(path).publish(draft)
    return Store(path, sweep)


def write_empty(draft: Path, sweep: Sweep, extents: Mapping[str, int]) -> None:
    """Write the template of a sweep, with the statuses of trials that it does not request."""
    wanted = requested(sweep)
    if all(wanted[cell.index].all() for cell in sweep.cells()):
        write_template(draft, sweep, extents)
        return
    write_template(draft, sweep, extents, refined_seconds=estimated_seconds(sweep))
    store = Store(draft, sweep)
    for tile in tiles(sweep, extents):
        here = np.stack([wanted[one.cell.index][one.widths, one.seeds] for one in tile.blocks])
        store.write_statuses(
            tile, np.where(here, np.int8(Status.PENDING), np.int8(Status.NOT_REQUESTED))
        )


@contextmanager
def drafting(path: StorePath) -> Iterator[Path]:
    """Provide a folder in which to prepare a store for `path`, and remove what is left of it.

    Raises
    ------
    StoreExists
        Another run has made the store meanwhile.
    StoreError
        The draft cannot be written or published.
    """
    draft = locate(path).draft()
    new_folders = [folder for folder in draft.absolute().parents if not folder.exists()]
    try:
        draft.parent.mkdir(parents=True, exist_ok=True)
        yield draft
    except OSError as error:
        if error.errno in (None, errno.EEXIST, errno.ENOTEMPTY) and locate(path).exists():
            raise StoreExists(f"store {path}: exists by now; give a new path with -o") from None
        elsewhere = "give a path with -o on a disk that has room and that you may write to"
        raise StoreError(
            f"store {path}: cannot be made ({error.strerror or error}); "
            f"{LIMITS.get(error.errno or 0, elsewhere)}"
        ) from None
    finally:
        shutil.rmtree(draft, ignore_errors=True)
        with suppress(OSError):  # folders that are not empty remain, that of the store too
            for folder in new_folders:
                folder.rmdir()
