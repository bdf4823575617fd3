"""Stores that grow: one is extended by a sweep or asked for single trials, several are merged.

All of it prepares the whole result as a draft and lets it appear at once, so that a process killed at
any moment leaves what was there before or what is there after. The draft is the template of the union
of all axes; each of its blocks is put together from what the sources have of its trials, and written
as a run writes one. A trial's bits depend on its coordinates alone, so nothing that is there is
computed again, and what is missing is pending.

The union of an axis is sorted, whichever store came first. A store stays a dense cube where it was
asked for some trials only: the others have a place and the status `excluded`, and the store says of
itself that it is `refined`. Merging such stores asks for no trial that none of them asks for, and
extending one asks for those of the sweep.

What the stores hold is read while the one that is replaced is held, so that no run fills it unseen.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pipeline import store as stores
from pipeline.blocks import block_shape, blocks, estimated_seconds
from pipeline.errors import StoreError
from pipeline.maintenance.gather import Gatherer, Source, positions
from pipeline.maintenance.plan import (
    ASKED,
    KNOWN,
    UNASKED,
    Change,
    Plan,
    check_same,
    places_of,
    plan_of,
    union_of,
    widened,
)
from pipeline.maintenance.verify import damage
from pipeline.store import lease
from pipeline.store.location import Place, Where, normal, place
from pipeline.store.names import LEASE, ROOT
from pipeline.store.template import write_template
from pipeline.sweep import Request, Sweep
from pipeline.trial_status import Status

__all__ = ["Change", "ask", "check_replaceable", "extend", "merge"]

HARMLESS = ("leftover", "unexpected", "unfinished")
"""Kinds of damage that lose nothing which is not pending anyway."""

# ---- extending and merging


def extend(
    path: Where, sweep: Sweep | None, out: Where | None = None, *, dry_run: bool = False
) -> Change:
    """Give a store the trials of a sweep beside its own; nothing is removed nor computed.

    Parameters
    ----------
    path
        The store; replaced at once by the larger one unless `out` is given. Who has it open must open
        it again.
    sweep
        What the store is to hold as well: of the same identity, on the same axes, in the same unit of
        width. None where the store is to be written to `out` as it is.
    out
        A new path for the larger store; needed where the place cannot replace a store at once.
    dry_run
        Whether to tell only.

    Returns
    -------
    Change
        With `written` False where the store asks for all of it already.

    Raises
    ------
    StoreError
        The sweep is another, or the place cannot take the result.
    StoreHeld
        A run is filling the store.
    """

    def planned() -> Plan:
        source = Source.of(path)
        if sweep is None:
            return plan_of(source.sweep, [source], UNASKED, [])
        check_same(f"store {path}", source.sweep, "this sweep", sweep)
        union = union_of(f"store {path} with this sweep", [source.sweep, sweep])
        elsewhere = UNASKED if stores.is_refined(path) else ASKED
        return plan_of(union, [source], elsewhere, [np.ix_(*places_of(union, sweep))])

    plan = planned()
    target = path if out is None else out
    _check_out(target, plan.sources[0], in_place=out is None)
    change = plan.change(target, written=False)
    if dry_run or not (change.grown or out):
        if not dry_run:
            with lease.hold(place(path)):
                stores.Store(path).clean()  # of an extension that was killed when it had just been done
        return change
    return _make(planned, target, in_place=out is None)


def ask(path: Where, requests: Iterable[Request]) -> Change:
    """Make trials of a store pending, at once; what it is not asked for on longer axes is excluded.

    Parameters
    ----------
    path
        The store, replaced as by `extend`.
    requests
        What is asked for beside what is there.

    Returns
    -------
    Change
        With `written` False where all of it was asked for already.

    Raises
    ------
    SweepError
        It cannot be computed there.
    StoreError
        The store cannot be replaced at once, or is damaged.
    StoreHeld
        A run is filling the store.
    """
    requests = list(requests)
    width, seeds = {one.width for one in requests}, {seed for one in requests for seed in one.seeds}

    def planned() -> Plan:
        source = Source.of(path)
        union = widened(source.sweep, f"store {path}", width=width, seeds=seeds)
        width_at, seed_at = positions(union.width), positions(union.seeds)
        asks = [
            (*one.cell, width_at[one.width], [seed_at[seed] for seed in one.seeds]) for one in requests
        ]
        return plan_of(union, [source], UNASKED, asks)

    plan = planned()
    _check_out(path, plan.sources[0], in_place=True)
    return _make(planned, path, in_place=True) if plan.asked else plan.change(path, written=False)


def merge(paths: Sequence[Where], out: Where, *, dry_run: bool = False) -> Change:
    """Join stores of one identity into one that has the trials of all.

    A trial that several have done must be equal to the bit in all of them, or where their platforms
    differ, to the tolerance of `agreement`; then the first store's values are kept. An outcome
    is preferred to a failure, a failure to a pending trial, and that to one that is not asked for.
    What no store has is pending; where one of them is refined, not asked for.

    Parameters
    ----------
    paths
        Two stores or more.
    out
        A new path; or the first of the stores, which is then replaced at once.
    dry_run
        Whether to tell only; whether trials agree is not looked at.

    Returns
    -------
    Change

    Raises
    ------
    StoreError
        The stores do not belong together, a trial differs, or `out` cannot take the result.
    StoreHeld
        A run is filling one of the stores.
    """
    if len(paths) < 2:
        raise StoreError(f"merge: got {len(paths)} store, expected two or more")
    names = [normal(path) for path in paths]
    twice = next((path for path, name in zip(paths, names, strict=True) if names.count(name) > 1), None)
    if twice is not None:
        raise StoreError(f"store {twice}: stands twice among the stores to be merged; leave one out")

    def planned() -> Plan:
        sources = [Source.of(path) for path in paths]
        first = sources[0]
        for other in sources[1:]:
            check_same(f"store {first.path}", first.sweep, f"store {other.path}", other.sweep)
        union = union_of(f"stores {', '.join(map(str, paths))}", [source.sweep for source in sources])
        refined = any(stores.is_refined(path) for path in paths)
        return plan_of(union, sources, UNASKED if refined else ASKED, [])

    plan = planned()
    in_place = normal(out) == names[0]
    _check_out(out, plan.sources[0], in_place=in_place)
    return plan.change(out, written=False) if dry_run else _make(planned, out, in_place=in_place)


# ---- writing


def _check_out(out: Where, first: Source, *, in_place: bool) -> None:
    """Refuse a path that cannot take the result, before anything is read."""
    where = place(out)
    if in_place:
        lease.refuse(where)
        check_replaceable(where, first.sweep)
    elif where.exists():
        raise StoreError(f"store {out}: is there already; give a path where nothing is yet")


def _make(planned: Callable[[], Plan], out: Where, *, in_place: bool) -> Change:
    """Write a plan as a draft and let it appear at `out`; the plan is made when that is held."""
    for source in planned().sources:
        _check_sound(source.path)
    out = normal(out)  # of a link, what it leads to is replaced
    where = place(out)
    with contextlib.ExitStack() as stack:
        held = stack.enter_context(lease.hold(where)) if in_place else None
        if held:
            stores.Store(where).clean()
        plan = planned()
        draft = stack.enter_context(stores.drafting(out))
        approximate = _write(draft, plan)
        if held:
            held.confirm()
        _appear(where, draft, in_place)
    if not in_place:
        stores.Store(where).clean()
    return plan.change(out, written=True, approximate=approximate)


def _check_sound(path: Where) -> None:
    """Refuse to take over what is damaged: a lost chunk would be NaN for good, and look done."""
    spoilt = [found for found in damage(path) if found.kind not in HARMLESS]
    if spoilt:
        raise StoreError(
            f"store {path}: {spoilt[0].key} is damaged ({spoilt[0].what}); "
            f"`widthlaw verify {path} --repair` makes what is lost pending"
        )


def _write(draft: Path, plan: Plan) -> int:
    """Fill a draft; return how many trials agree only nearly."""
    union, sources, known = plan.union, plan.sources, plan.known
    shape = block_shape(union)
    refined = any((known[cell.index] == UNASKED).any() for cell in union.cells())
    seconds = estimated_seconds(union, known > UNASKED) if refined else None
    write_template(draft, union, *shape, _provenances(sources), refined_seconds=seconds)
    gatherer, store = Gatherer(union, sources), stores.Store(draft, union)
    for block in blocks(union, *shape):
        here = known[block.cell.index][block.widths, block.seeds]
        status = np.where(here == UNASKED, np.int8(Status.EXCLUDED), np.int8(Status.PENDING))
        result = gatherer.gather(block)
        if result is not None and (here == KNOWN).any():
            result.status = np.where(here == KNOWN, result.status, status)
            store.write(block, result)
        elif refined:  # each block of such a store says what it is asked for
            store.write_status(block, status)
    return gatherer.approximate


def _provenances(sources: Iterable[Source]) -> list[dict[str, Any]]:
    """Where the trials come from, each once: those of a store's own sources, then its own."""
    told: list[dict[str, Any]] = []
    for source in sources:
        own = {key: value for key, value in source.provenance.items() if key != "sources"}
        for one in (*source.provenance.get("sources", ()), own):
            if all(_undated(one) != _undated(other) for other in told):
                told.append(one)
    return told


def _undated(provenance: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in provenance.items() if key != "created"}


def check_replaceable(where: Place, sweep: Sweep) -> None:
    """Refuse what cannot be put in the place of a sweep's store without losing something."""
    where.check_replaceable({ROOT, *stores.array_names(sweep)})


def _appear(where: Place, draft: Path, in_place: bool) -> None:
    if not in_place:
        where.publish(draft)
        return
    held = where.read(LEASE)
    if held is not None:  # it goes on being held
        (draft / LEASE).write_bytes(held)
    try:
        where.replace(draft)
    except NotImplementedError as error:
        raise StoreError(
            f"store {where.name}: cannot be replaced at once ({error}); give a new path with -o NEW"
        ) from None
