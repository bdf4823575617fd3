"""Stores that grow: one is extended by a sweep or asked for single trials, several are merged.

All of it prepares the whole result as a draft and lets it appear at once, so that a process killed at
any moment leaves what was there before or what is there after. The draft is the template of the union
of all axes; each of its blocks is put together from what the sources have of its trials, and written
as a run writes one. A trial's bits depend on its coordinates alone, so nothing that is there is
computed again, and what is missing is pending.

The union of an axis is sorted, whichever store came first. A store stays a dense cube where it was
asked for some trials only: the others have a place and the status `excluded`, and the store says of
itself that it is `refined`. Merging such stores asks for no trial that none of them asks for.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline import lease
from pipeline import store as stores
from pipeline.blocks import block_shape, blocks, estimated_seconds
from pipeline.differences import differences
from pipeline.errors import StoreError, SweepError
from pipeline.gathering import Gatherer, Source, positions
from pipeline.integrity import damage
from pipeline.places import Folder, Place, Where, normal, place
from pipeline.status import Status
from pipeline.sweep import Request, Sweep
from pipeline.sweep_file import with_extents
from pipeline.template import write_template

__all__ = ["Change", "ask", "check_replaceable", "extend", "merge", "widened"]

GROWING = ("d", "n", "width", "seeds")

HARMLESS = ("leftover", "unexpected", "unfinished")
"""Kinds of damage that lose nothing which is not pending anyway."""

UNASKED, ASKED, KNOWN = 0, 1, 2
"""What is known of a trial: it is not asked for, it is pending, it has an outcome (or has failed)."""

_KNOWLEDGE = np.array([ASKED, KNOWN, KNOWN, KNOWN, UNASKED], dtype=np.int8)
"""By status."""


@dataclass(frozen=True)
class Change:
    """What an extension or a merger has made, or would make.

    Attributes
    ----------
    store
        Where the result lies.
    before, after
        The values of the axes that can grow, of the (first) store and of the result.
    there, pending
        Trials of the result with an outcome, and without.
    written
        False where nothing had to be done, or was only asked.
    approximate
        Trials of several stores that agree within the tolerance of two platforms, not to the bit: the
        values of the first store were kept.
    """

    store: str
    before: dict[str, tuple[float, ...]]
    after: dict[str, tuple[float, ...]]
    there: int
    pending: int
    written: bool
    approximate: int = 0

    @property
    def grown(self) -> bool:
        """Whether an axis has values that were not there before."""
        return any(set(self.after[key]) != set(self.before[key]) for key in self.after)


# ---- extending and merging


def extend(path: Where, sweep: Sweep, out: Where | None = None, *, dry_run: bool = False) -> Change:
    """Give a store the extents of a sweep beside its own; nothing is removed nor computed.

    Parameters
    ----------
    path
        The store; replaced at once by the larger one unless `out` is given. Who has it open must open
        it again.
    sweep
        What the store is to hold as well: of the same identity, on the same axes, in the same unit of
        width.
    out
        A new path for the larger store; needed where the place cannot replace a store at once.
    dry_run
        Whether to tell only.

    Returns
    -------
    Change
        With `written` False where the store has all of it already.

    Raises
    ------
    StoreError
        The sweep is another, or the place cannot take the result.
    StoreHeld
        A run is filling the store.
    """
    source = Source.of(path)
    _check_same(f"store {path}", source.sweep, "this sweep", sweep)
    union = _union(f"store {path} with this sweep", [source.sweep, sweep])
    target = path if out is None else out
    _check_out(target, source, in_place=out is None)
    grows = any({*getattr(union, key)} != {*getattr(source.sweep, key)} for key in GROWING)
    known = _knowledge(union, [source], ASKED)
    if dry_run or not (grows or out):
        if not dry_run:
            with lease.hold(place(path)):
                stores.clean(path)  # of an extension that was killed when it had just been done
        return _change(target, source, union, known, written=False)
    return _make(union, [source], known, target, in_place=out is None)


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
    source, requests = Source.of(path), list(requests)
    width, seeds = {one.width for one in requests}, {seed for one in requests for seed in one.seeds}
    union = widened(source.sweep, f"store {path}", width=width, seeds=seeds)
    _check_out(path, source, in_place=True)
    known = _knowledge(union, [source], UNASKED)
    width_at, seed_at = positions(union.width), positions(union.seeds)
    before = int((known == ASKED).sum())
    for one in requests:
        row = known[one.cell][width_at[one.width]]  # a view
        columns = [seed_at[seed] for seed in one.seeds]
        row[columns] = np.maximum(row[columns], ASKED)
    if int((known == ASKED).sum()) == before:
        return _change(path, source, union, known, written=False)
    return _make(union, [source], known, path, in_place=True)


def merge(paths: Sequence[Where], out: Where, *, dry_run: bool = False) -> Change:
    """Join stores of one identity into one that has the trials of all.

    A trial that several have done must be equal to the bit in all of them, or where their platforms
    differ, to the tolerance of `pipeline.agreement`; then the first store's values are kept. An outcome
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
    sources = [Source.of(path) for path in paths]
    first = sources[0]
    for other in sources[1:]:
        _check_same(f"store {first.path}", first.sweep, f"store {other.path}", other.sweep)
    union = _union(f"stores {', '.join(map(str, paths))}", [source.sweep for source in sources])
    in_place = normal(out) == names[0]
    _check_out(out, first, in_place=in_place)
    refined = any(stores.is_refined(path) for path in paths)
    known = _knowledge(union, sources, UNASKED if refined else ASKED)
    if dry_run:
        return _change(out, first, union, known, written=False)
    return _make(union, sources, known, out, in_place=in_place)


def widened(sweep: Sweep, where: str = "sweep", **more: Iterable[float]) -> Sweep:
    """Return a sweep with more values on some of its axes.

    Parameters
    ----------
    sweep
        The sweep.
    where
        How messages name it.
    **more
        `d`, `n`, `width` and `seeds`, as far as they grow.

    Raises
    ------
    SweepError
        It cannot be computed there.
    """
    added = {key: sorted({*getattr(sweep, key), *values}) for key, values in more.items()}
    return with_extents(sweep, where, **added)


# ---- what belongs together


def _extents(sweep: Sweep) -> dict[str, tuple[float, ...]]:
    return {key: getattr(sweep, key) for key in GROWING}


def _union(where: str, sweeps: Sequence[Sweep]) -> Sweep:
    first = sweeps[0]
    more = {key: [value for sweep in sweeps for value in getattr(sweep, key)] for key in GROWING}
    try:
        return widened(first, where, **more)
    except SweepError as error:
        lines = [line.strip() for line in str(error).splitlines()]
        raise StoreError("; ".join(lines)) from None


def _check_same(one: str, stored: Sweep, other: str, asked: Sweep) -> None:
    """Refuse what has no common store, with what differs."""
    if stored.identity != asked.identity:
        said = "; ".join(differences("", stored.identity_fields, asked.identity_fields))
        said = said.replace("this sweep", other)
        raise StoreError(
            f"{one}: is of another kind than {other}: {said}; they need stores of their own"
        )
    if stored.axes != asked.axes:
        raise StoreError(
            f"{one}: its axes are {', '.join(stored.axes)}, those of {other} {', '.join(asked.axes)} "
            "(a list makes an axis); write both in the same way"
        )
    if stored.width_unit != asked.width_unit:
        raise StoreError(
            f"{one}: its widths are given as {stored.width_unit}, those of {other} as "
            f"{asked.width_unit}; write them as {stored.width_unit}"
        )


# ---- writing


def _check_out(out: Where, first: Source, *, in_place: bool) -> None:
    """Refuse a path that cannot take the result, before anything is read."""
    where = place(out)
    if in_place:
        lease.refuse(where)
        check_replaceable(where, first.sweep)
    elif where.exists():
        raise StoreError(f"store {out}: is there already; give a path where nothing is yet")


def _make(
    union: Sweep, sources: list[Source], known: NDArray[np.int8], out: Where, *, in_place: bool
) -> Change:
    """Write the union of sources as a draft and let it appear at `out`."""
    for source in sources:
        _check_sound(source.path)
    out = normal(out)  # of a link, what it leads to is replaced
    where = place(out)
    with contextlib.ExitStack() as stack:
        if in_place:
            stack.enter_context(lease.hold(where))
            stores.clean(out)
        draft = stack.enter_context(stores.drafting(out))
        approximate = _write(draft, union, sources, known)
        change = _change(out, sources[0], union, known, written=True, approximate=approximate)
        _appear(where, draft, in_place)
    if not in_place:
        stores.clean(out)
    return change


def _check_sound(path: Where) -> None:
    """Refuse to take over what is damaged: a lost chunk would be NaN for good, and look done."""
    spoilt = [found for found in damage(path) if found.kind not in HARMLESS]
    if spoilt:
        raise StoreError(
            f"store {path}: {spoilt[0].key} is damaged ({spoilt[0].what}); "
            f"`widthlaw verify {path} --repair` makes what is lost pending"
        )


def _write(draft: Path, union: Sweep, sources: list[Source], known: NDArray[np.int8]) -> int:
    """Fill a draft; return how many trials agree only nearly."""
    shape = block_shape(union)
    refined = any((known[cell.index] == UNASKED).any() for cell in union.cells())
    seconds = estimated_seconds(union, known > UNASKED) if refined else None
    write_template(draft, union, *shape, _provenances(sources), refined_seconds=seconds)
    gatherer = Gatherer(union, sources)
    for block in blocks(union, *shape):
        here = known[block.cell.index][block.widths, block.seeds]
        status = np.where(here == UNASKED, np.int8(Status.EXCLUDED), np.int8(Status.PENDING))
        result = gatherer.gather(block)
        if result is not None and (here == KNOWN).any():
            result.status = np.where(here == KNOWN, result.status, status)
            stores.write(draft, union, block, result)
        elif refined:  # each block of such a store says what it is asked for
            stores.write_status(draft, block, status)
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
    if not isinstance(where, Folder):
        raise StoreError(
            f"store {where.name}: a bucket cannot replace a store at once; give a new path with -o NEW"
        )
    if not (where.writable() and Folder(where.path.absolute().parent).writable()):
        raise StoreError(
            f"store {where.name}: no permission to write it and its folder; give a new path with -o NEW"
        )
    known = {"zarr.json", *stores.array_names(sweep)}
    foreign = sorted(
        entry.name
        for entry in where.path.iterdir()
        if entry.name not in known
        and not entry.name.startswith(".")
        and not entry.name.endswith(".partial")
    )
    if foreign:
        raise StoreError(
            f"store {where.name}: holds {foreign[0]}, which is not widthlaw's and would be lost; move "
            "it away, or give a new path with -o NEW"
        )


def _appear(where: Place, draft: Path, in_place: bool) -> None:
    if not in_place:
        where.publish(draft)
        return
    held = where.read(lease.KEY)
    if held is not None:  # it goes on being held
        (draft / lease.KEY).write_bytes(held)
    try:
        where.replace(draft)
    except NotImplementedError as error:
        raise StoreError(
            f"store {where.name}: cannot be replaced at once ({error}); give a new path with -o NEW"
        ) from None


def _change(
    out: Where,
    first: Source,
    union: Sweep,
    known: NDArray[np.int8],
    *,
    written: bool,
    approximate: int = 0,
) -> Change:
    there, pending = (int((known == what).sum()) for what in (KNOWN, ASKED))
    before, after = _extents(first.sweep), _extents(union)
    return Change(str(out), before, after, there, pending, written, approximate)


def _knowledge(union: Sweep, sources: Sequence[Source], elsewhere: int) -> NDArray[np.int8]:
    """The most that a source knows of each trial, by its status; `elsewhere` where none has it."""
    known = np.full(union.shape, -1, dtype=np.int8)
    for source in sources:
        at = np.ix_(*_axes_places(union, source.sweep))
        known[at] = np.maximum(known[at], _KNOWLEDGE[stores.statuses(source.path)])
    known[known < 0] = elsewhere
    for index in union.excluded():
        known[index] = UNASKED
    return known


def _axes_places(union: Sweep, sweep: Sweep) -> Iterator[list[int]]:
    for axis in (*sweep.axes, "width", "seeds"):
        values = getattr(sweep, axis)
        places = positions(getattr(union, axis)) if axis in GROWING else {}
        yield [places[value] for value in values] if places else [*range(len(values))]
