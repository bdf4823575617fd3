"""Growing stores: extend one by a sweep or by requests for single trials, or merge several.

Each function prepares the whole result as a draft and publishes it atomically. So a process killed at
any moment leaves either the old store or the new one. The draft is the template of the union of all
axes, in the current format. Each of its blocks is assembled from the trials of the sources and is
written as in a run. A trial's bits depend on its coordinates alone, so nothing is computed again, and
trials that no source has are pending.

Requests for single trials keep the store a dense cube: all other trials on longer axes get the status
`not_requested`, and the store the attribute `refined`. Merging such stores requests no trial that none
of them requests. Extending one requests all trials of the sweep.

A sweep with sub-grids or conditions requests the trials that these leave, and a store of it is refined
from the beginning. Its attribute `requests` tells them. Extending adds what a sweep requests, and never
drops a trial: one that other conditions leave out stays pending, or keeps its outcome.

The sources are read while the store to be replaced is held, so no run can fill it unnoticed.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline import store as stores
from pipeline.axes import Kind, names
from pipeline.blocks import Tile, chunk_extents, estimated_seconds, tiles
from pipeline.errors import StoreError
from pipeline.maintenance.gather import Gatherer, Source, index_by_value
from pipeline.maintenance.plan import (
    Change,
    Knowledge,
    Plan,
    check_same,
    indices_of,
    make_plan,
    union_of,
    widened,
)
from pipeline.maintenance.verify import damage
from pipeline.selection import SINGLE, requested, with_single
from pipeline.store import lease
from pipeline.store.code import as_stored
from pipeline.store.location import Location, StorePath, locate, normal
from pipeline.store.names import LEASE, ROOT
from pipeline.store.template import FORMAT_VERSION, write_template
from pipeline.sweep import Request, Sweep
from pipeline.trial_status import Status

__all__ = [
    "Change",
    "check_out",
    "check_replaceable",
    "extend",
    "merge",
    "request_trials",
    "write_result",
]

HARMLESS = ("leftover", "unexpected", "unfinished", "checkpoints")
"""Kinds of damage that lose nothing: the trials concerned are pending anyway, or would start anew."""

# ---- extending and merging


def extend(
    path: StorePath, sweep: Sweep | None, out: StorePath | None = None, *, dry_run: bool = False
) -> Change:
    """Add the trials of a sweep to a store; nothing is removed or computed.

    A store of an older format becomes one of the current format.

    Parameters
    ----------
    path
        The store. The larger one replaces it atomically, unless `out` is given; processes that have
        it open must open it again.
    sweep
        The trials to add: of the same identity, on the same axes, in the same unit of width. None to
        write the store to `out` as it is.
    out
        A new path for the larger store; needed if the location cannot replace a store atomically.
    dry_run
        If True, only return what would change.

    Returns
    -------
    Change
        With `written` False if the store requests all of these trials already.

    Raises
    ------
    StoreError
        The sweep has another identity, or the location cannot take the result.
    StoreHeld
        A run is filling the store.
    """

    def make() -> Plan:
        source = Source.of(path)
        if sweep is None:
            return make_plan(source.sweep, [source], Knowledge.NOT_REQUESTED)
        wanted = as_stored(path, stores.check_store(path), sweep)
        check_same(f"store {path}", source.sweep, "this sweep", wanted)
        union = union_of(f"store {path} with this sweep", [source.selected, wanted])
        elsewhere = Knowledge.NOT_REQUESTED if union.requests else _elsewhere([path])
        return make_plan(union, [source], elsewhere, [_requested_in(union, wanted)])

    plan = make()
    target = path if out is None else out
    check_out(target, plan.sources[0], in_place=out is None)
    change = plan.change(target, written=False)
    if dry_run or not (change.grown or out):
        if not dry_run:
            with lease.hold(locate(path)) as held:
                # An extension may have been killed just before its end.
                stores.Store(path, holder=held.holder).clean()
        return change
    return write_result(make, target, in_place=out is None)


def request_trials(path: StorePath, requests: Iterable[Request]) -> Change:
    """Make single trials of a store pending, atomically; other trials on new axes are not requested.

    A store of an older format becomes one of the current format.

    Parameters
    ----------
    path
        The store, replaced as by `extend`.
    requests
        The trials; some may be in the store already.

    Returns
    -------
    Change
        With `written` False if all of them were requested already.

    Raises
    ------
    SweepError
        The trials cannot be computed.
    StoreError
        The store cannot be replaced atomically, or is damaged.
    StoreHeld
        A run is filling the store.
    """
    requests = list(requests)
    more: dict[str, set[float]] = {"width": set(), "seeds": set()}
    for one in requests:
        more["width"].add(one.width)
        more["seeds"].update(one.seeds)
        for axis, size in one.sizes:
            more.setdefault(axis, set()).add(size)

    def make() -> Plan:
        source = Source.of(path)
        union = widened(source.sweep, f"store {path}", **more)
        union = replace(union, requests=with_single(union, source.sweep))
        indices = list(_places(requests, source.sweep, union))
        return make_plan(union, [source], Knowledge.NOT_REQUESTED, indices)

    plan = make()
    check_out(path, plan.sources[0], in_place=True)
    if not plan.requested:
        return plan.change(path, written=False)
    return write_result(make, path, in_place=True)


def _places(requests: Iterable[Request], own: Sweep, union: Sweep) -> Iterator[Any]:
    """Yield the index of each request's trials in a larger sweep than the one that it is of."""
    index_of = {axis: index_by_value(union.values(axis)) for axis in names(Kind.SIZE)}
    width_index, seed_index = index_by_value(union.width), index_by_value(union.seeds)
    for one in requests:
        sizes = dict(one.sizes)
        cell = [
            index_of[axis][sizes.get(axis, own.values(axis)[at])] if axis in index_of else at
            for axis, at in zip(own.axes, one.cell, strict=True)
        ]
        yield (*cell, width_index[one.width], [seed_index[seed] for seed in one.seeds])


def upgrade(path: StorePath) -> Change:
    """Bring a store of an older format to the present one, atomically.

    Parameters
    ----------
    path
        The store, replaced as by `extend`.

    Returns
    -------
    Change
        With `written` False if the store has the present format already.

    Raises
    ------
    StoreError
        The store is damaged, holds files of others, or its location cannot replace a store.
    StoreHeld
        A run is filling the store.
    """

    def make() -> Plan:
        source = Source.of(path)
        return make_plan(source.sweep, [source], Knowledge.NOT_REQUESTED)

    plan = make()
    if stores.check_store(path)["format_version"] == FORMAT_VERSION:
        return plan.change(path, written=False)
    check_out(path, plan.sources[0], in_place=True)
    return write_result(make, path, in_place=True)


def merge(paths: Sequence[StorePath], out: StorePath, *, dry_run: bool = False) -> Change:
    """Join stores of one identity into one that has the trials of all, in the current format.

    If several stores have an outcome of a trial, the outcomes must have equal bits, or agree within
    the tolerance of `agreement` if their platforms differ; then the values of the first store are
    kept. An outcome is preferred to a failure, a failure to a pending trial, and that to one that is
    not requested. Trials that no store has on its axes are pending; if one of the stores is refined,
    they are not requested.

    Parameters
    ----------
    paths
        Two stores or more.
    out
        A new path; or the first of the stores, which is then replaced atomically.
    dry_run
        If True, only return what would change, without comparing trials.

    Returns
    -------
    Change

    Raises
    ------
    StoreError
        The stores cannot be combined, a trial differs, or `out` cannot take the result.
    StoreHeld
        A run is filling one of the stores.
    """
    if len(paths) < 2:
        raise StoreError(f"merge: got {len(paths)} store, expected two or more")
    targets = [normal(path) for path in paths]
    repeated = [path for path, one in zip(paths, targets, strict=True) if targets.count(one) > 1]
    if repeated:
        raise StoreError(f"store {repeated[0]}: is listed twice; remove one")

    def make() -> Plan:
        sources = [Source.of(path) for path in paths]
        first = sources[0]
        for other in sources[1:]:
            check_same(f"store {first.path}", first.sweep, f"store {other.path}", other.sweep)
        where = f"stores {', '.join(map(str, paths))}"
        union = union_of(where, [source.selected for source in sources])
        elsewhere = Knowledge.NOT_REQUESTED if union.requests else _elsewhere(paths)
        return make_plan(union, sources, elsewhere)

    plan = make()
    in_place = normal(out) == targets[0]
    check_out(out, plan.sources[0], in_place=in_place)
    if dry_run:
        return plan.change(out, written=False)
    return write_result(make, out, in_place=in_place)


def _requested_in(union: Sweep, wanted: Sweep) -> Any:
    """Return an index of the trials of a union that one of its sweeps requests."""
    indices = list(indices_of(union, wanted))
    if not wanted.requests:
        return np.ix_(*indices)
    here = np.nonzero(requested(wanted))
    return tuple(np.array(index)[at] for index, at in zip(indices, here, strict=True))


def _elsewhere(paths: Iterable[StorePath]) -> Knowledge:
    """Return the knowledge of trials that none of some stores has on its axes."""
    refined = any(stores.is_refined(path) for path in paths)
    return Knowledge.NOT_REQUESTED if refined else Knowledge.PENDING


# ---- checks


def check_replaceable(location: Location, sweep: Sweep) -> None:
    """Check that the store of a sweep can be replaced atomically without losing anything.

    Raises
    ------
    StoreError
        The location cannot replace a store, may not be written, or holds files of others.
    """
    location.check_replaceable({ROOT, *stores.array_names(sweep)})


def check_out(out: StorePath, first: Source, *, in_place: bool) -> None:
    """Check that a path can take the result, before anything is read."""
    location = locate(out)
    if in_place:
        lease.refuse(location)
        check_replaceable(location, first.sweep)
    elif location.exists():
        raise StoreError(f"store {out}: exists already; give a new path")


def _check_sound(path: StorePath) -> None:
    """Check that a source is not damaged: a lost chunk would be NaN for good, with status done."""
    found = [one for one in damage(path) if one.kind not in HARMLESS]
    if found:
        raise StoreError(
            f"store {path}: {found[0].key} is damaged ({found[0].what}); "
            f"`widthlaw verify {path} --repair` makes lost trials pending"
        )


# ---- writing


def write_result(make: Callable[[], Plan], out: StorePath, *, in_place: bool) -> Change:
    """Write a plan as a draft and publish it at `out`; the plan is made again once that is held."""
    for source in make().sources:
        _check_sound(source.path)
    out = normal(out)  # a link stays, and its target is replaced
    location = locate(out)
    with contextlib.ExitStack() as stack:
        held = stack.enter_context(lease.hold(location)) if in_place else None
        if held:
            stores.Store(location, holder=held.holder).clean()
        old = location.fingerprint() if held else None
        plan = make()
        draft = stack.enter_context(stores.drafting(out))
        approximate = _write_draft(draft, plan)
        if held:
            held.confirm()
        _publish(location, draft, old)
    if not in_place:
        stores.Store(location).clean()
    return plan.change(out, written=True, approximate=approximate)


def _write_draft(draft: Path, plan: Plan) -> int:
    """Fill a draft; return how many trials agree only approximately."""
    union, sources, known = plan.union, plan.sources, plan.known
    costly = replace(union, requests=()) if SINGLE in union.requests else union
    extents = chunk_extents(costly)
    refined = any((known[cell.index] == Knowledge.NOT_REQUESTED).any() for cell in union.cells())
    seconds = estimated_seconds(union, known > Knowledge.NOT_REQUESTED) if refined else None
    write_template(draft, union, extents, _provenances(sources), refined_seconds=seconds)
    gatherer, store = Gatherer(union, sources), stores.Store(draft, union)
    keeps = any(source.has_checkpoints for source in sources)  # pending trials may have some
    for tile in tiles(union, extents):
        here = np.stack([known[one.cell.index][one.widths, one.seeds] for one in tile.blocks])
        status = np.where(
            here == Knowledge.NOT_REQUESTED, np.int8(Status.NOT_REQUESTED), np.int8(Status.PENDING)
        )
        goes_on = _going_on(plan, tile)
        if (here == Knowledge.KNOWN).any() or goes_on.any() or keeps:
            found = [gatherer.gather(block) for block in tile.blocks]
            parts = zip(found, here == Knowledge.KNOWN, status, goes_on, strict=True)
            for result, is_known, other, forgotten in parts:
                result.status = np.where(is_known, result.status, other)
                result.forget(forgotten)
            if (here == Knowledge.KNOWN).any():
                store.write(tile, found)
                continue
            store.write_checkpoints(tile, found)
        if refined:  # such a store has a chunk of statuses for every tile
            store.write_statuses(tile, status)
    return gatherer.approximate


def _going_on(plan: Plan, tile: Tile) -> NDArray[np.bool_]:
    """Return which trials of a tile a larger budget lets go on, (blocks, widths, seeds)."""
    if plan.going_on is None:
        return np.zeros(tile.shape, dtype=bool)
    return np.stack([plan.going_on[one.cell.index][one.widths, one.seeds] for one in tile.blocks])


def _provenances(sources: Iterable[Source]) -> list[dict[str, Any]]:
    """Return the provenance of all trials, each once: that of a source's own sources, then its own."""
    records: list[dict[str, Any]] = []
    for source in sources:
        own = {key: value for key, value in source.provenance.items() if key != "sources"}
        for record in (*source.provenance.get("sources", ()), own):
            if all(_undated(record) != _undated(other) for other in records):
                records.append(record)
    return records


def _undated(provenance: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in provenance.items() if key != "created"}


def _publish(location: Location, draft: Path, old: object) -> None:
    """Publish a draft, in the place of the store of a fingerprint if there is one."""
    if old is None:
        location.publish(draft)
        return
    held = location.read(LEASE)
    if held is not None:  # the new store is held by the same process
        (draft / LEASE).write_bytes(held)
    try:
        location.replace(draft, old)
    except NotImplementedError as error:
        raise StoreError(
            f"store {location.name}: cannot be replaced atomically ({error}); give a new path with "
            "-o NEW"
        ) from None
