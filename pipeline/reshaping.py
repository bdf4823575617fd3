"""Stores that grow: one is extended by the axes of a sweep, several of one identity are merged.

Both prepare the whole result as a draft and let it appear at once, so that a process killed at any
moment leaves what was there before or what is there after. The draft is the template of the union of
all axes; each of its blocks is put together from what the sources have of its trials, and written as
a run writes one. A trial's bits depend on its coordinates alone, so nothing that is there is computed
again, and what is missing is pending.

The union of an axis is sorted, whichever store came first.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline import lease
from pipeline import store as stores
from pipeline.agreement import TIMING, differing, one_platform, told_trial
from pipeline.blocks import Block, BlockResult, block_shape, blocks, empty_result, variables
from pipeline.differences import differences
from pipeline.errors import StoreError, SweepError
from pipeline.integrity import damage
from pipeline.places import Folder, Place, Where, normal, place
from pipeline.status import Status
from pipeline.sweep import Sweep
from pipeline.sweep_file import with_extents
from pipeline.template import write_template

__all__ = ["Change", "extend", "merge", "widened"]

GROWING = ("d", "n", "width", "seeds")

HARMLESS = ("leftover", "unexpected", "unfinished")
"""Kinds of damage that lose nothing which is not pending anyway."""

RANK = np.array([0, 2, 1, 2, 0])
"""By status: an outcome is worth more than a failure, and that more than nothing."""


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
    source = _Source.of(path)
    _check_same(f"store {path}", source.sweep, "this sweep", sweep)
    union = _union(f"store {path} with this sweep", [source.sweep, sweep])
    target = path if out is None else out
    _check_out(target, source, in_place=out is None)
    grows = any({*getattr(union, key)} != {*getattr(source.sweep, key)} for key in GROWING)
    if dry_run or not (grows or out):
        if not dry_run:
            with lease.hold(place(path)):
                stores.clean(path)  # of an extension that was killed when it had just been done
        return _change(target, source, union, [source], written=False)
    return _make(union, [source], target, in_place=out is None)


def merge(paths: Sequence[Where], out: Where, *, dry_run: bool = False) -> Change:
    """Join stores of one identity into one that has the trials of all.

    A trial that several have done must be equal to the bit in all of them, or where their platforms
    differ, to the tolerance of `pipeline.agreement`; then the first store's values are kept. An outcome
    is preferred to a failure, and a failure to nothing.

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
    sources = [_Source.of(path) for path in paths]
    first = sources[0]
    for other in sources[1:]:
        _check_same(f"store {first.path}", first.sweep, f"store {other.path}", other.sweep)
    union = _union(f"stores {', '.join(map(str, paths))}", [source.sweep for source in sources])
    in_place = normal(out) == names[0]
    _check_out(out, first, in_place=in_place)
    if dry_run:
        return _change(out, first, union, sources, written=False)
    return _make(union, sources, out, in_place=in_place)


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


# ---- what is there


class _Source:
    """A store whose trials are taken over."""

    def __init__(self, path: Where, sweep: Sweep, provenance: dict[str, Any]) -> None:
        self.path, self.sweep, self.provenance = path, sweep, provenance
        self._cells = {_labels(sweep, cell.index): cell for cell in sweep.cells()}
        self._places = {key: _places(getattr(sweep, key)) for key in ("width", "seeds")}

    @classmethod
    def of(cls, path: Where) -> _Source:
        return cls(path, stores.stored_sweep(path), stores.provenance_of(path))

    def overlap(self, union: Sweep, block: Block) -> _Overlap | None:
        """Which trials of a block of the union this store has, None where it has none."""
        cell = self._cells.get(_labels(union, block.cell.index))
        rows, from_rows = _common(union.width[block.widths], self._places["width"])
        columns, from_columns = _common(union.seeds[block.seeds], self._places["seeds"])
        if cell is None or not rows.size or not columns.size:
            return None
        return _Overlap(cell, rows, columns, from_rows, from_columns)

    def read(self, overlap: _Overlap, like: BlockResult) -> BlockResult:
        """What this store has of a block, laid out as the block is."""
        first, start = int(overlap.from_rows.min()), int(overlap.from_columns.min())
        stop = int(overlap.from_columns.max()) + 1
        widths = overlap.cell.widths[first : int(overlap.from_rows.max()) + 1]
        own = Block(replace(overlap.cell, widths=widths), first, start, stop, 0.0)
        try:
            found = stores.read_block(self.path, self.sweep, own)
        except (ValueError, RuntimeError, KeyError) as error:
            raise StoreError(
                f"store {self.path}: a chunk cannot be read ({(str(error).splitlines() or [''])[0]}); "
                f"`widthlaw verify {self.path} --repair` makes its trials pending"
            ) from None
        at = np.ix_(overlap.rows, overlap.columns)
        taken = np.ix_(overlap.from_rows - first, overlap.from_columns - start)
        like.status[at], like.message[at] = found.status[taken], found.message[taken]
        for variable in variables(self.sweep):
            mine: Any = like.values[variable.name]
            given = found.values[variable.name]
            inner: Any = tuple(slice(0, size) for size in given.shape[_outer(variable.dims) :])
            if "width" in variable.dims:
                mine[(*at, *inner)] = given[taken]
            else:
                mine[(overlap.columns, *inner)] = given[overlap.from_columns - start]
        return like


@dataclass(frozen=True)
class _Overlap:
    """Trials of a block, and their places in a source: of widths, then of seeds."""

    cell: Any
    rows: NDArray[np.int64]
    columns: NDArray[np.int64]
    from_rows: NDArray[np.int64]
    from_columns: NDArray[np.int64]


def _outer(dims: tuple[str, ...]) -> int:
    """Axes of a block's array before those of one trial."""
    return 2 if "width" in dims else 1


def _labels(sweep: Sweep, index: tuple[int, ...]) -> tuple[Any, ...]:
    """A cell by its coordinates: d and n by their values, the others, alike in all stores, by place."""
    at = zip(sweep.axes, index, strict=True)
    return tuple(getattr(sweep, axis)[i] if axis in ("d", "n") else i for axis, i in at)


def _places(values: Sequence[float]) -> dict[float, int]:
    return {value: at for at, value in enumerate(values)}


def _common(asked: Sequence[float], places: Mapping[float, int]) -> Any:
    pairs = [(at, places[value]) for at, value in enumerate(asked) if value in places]
    return np.array(pairs, dtype=np.int64).reshape(-1, 2).T


# ---- putting blocks together


class _Gatherer:
    """Puts blocks of the union together from what all sources have."""

    def __init__(self, union: Sweep, sources: Sequence[_Source]) -> None:
        self._union, self._sources = union, sources
        self._exact = one_platform(source.provenance for source in sources)
        self.approximate = 0

    def gather(self, block: Block) -> BlockResult | None:
        """What the sources have of a block; None where no trial of it has an outcome."""
        result, given = empty_result(self._union, block), np.full(_shape(block), -1)
        for number, source in enumerate(self._sources):
            overlap = source.overlap(self._union, block)
            if overlap is not None:
                other = source.read(overlap, empty_result(self._union, block))
                self._check(block, result, given, other, number)
                _take_better(self._union, result, other, given, number)
        return result if (result.status != Status.PENDING).any() else None

    def _check(
        self, block: Block, have: BlockResult, given: NDArray[Any], other: BlockResult, number: int
    ) -> None:
        """Compare the trials that both have an outcome of."""
        both = (RANK[have.status] == 2) & (RANK[other.status] == 2)
        if not both.any():
            return
        unequal = np.zeros_like(both)
        for name, one, two in _pairs(self._union, have, other):
            if name == TIMING or (name == "message" and not self._exact):
                continue
            apart = _by_trial(differing(name, one, two, self._exact), both)
            if apart.any():
                at = tuple(np.argwhere(apart)[0].tolist())
                names = self._sources[given[at]].path, self._sources[number].path
                raise StoreError(self._conflict(block, at, name, _at(one, two, at, both.ndim), names))
            if not self._exact:
                unequal |= _by_trial(differing(name, one, two), both)
        self.approximate += int(unequal.sum())

    def _conflict(
        self,
        block: Block,
        at: tuple[int, ...],
        name: str,
        values: tuple[Any, Any],
        paths: tuple[Where, Where],
    ) -> str:
        where = told_trial(self._union, block.cell.index, block.first + at[0], block.start + at[1])
        expected = "equal bits" if self._exact else "values that agree as on two platforms"
        return (
            f"stores {paths[0]} and {paths[1]}: {name} of {where} is {values[0]} in the one and "
            f"{values[1]} in the other, expected {expected}; `widthlaw verify --sample 100` tells "
            "which store is wrong; leave it out"
        )


def _shape(block: Block) -> tuple[int, int]:
    return len(block.cell.widths), block.stop - block.start


def _pairs(
    sweep: Sweep, one: BlockResult, two: BlockResult
) -> Iterator[tuple[str, NDArray[Any], NDArray[Any]]]:
    """Arrays of two results, each with axes of width and seed first, as far as it has them."""
    yield "status", one.status, two.status
    yield "message", one.message, two.message
    for variable in variables(sweep):
        at: Any = ... if "width" in variable.dims else np.newaxis
        yield variable.name, one.values[variable.name][at], two.values[variable.name][at]


def _by_trial(apart: NDArray[np.bool_], both: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Of the trials that both have, those of which something differs."""
    return apart.any(axis=tuple(range(2, apart.ndim))) & both


def _at(one: NDArray[Any], two: NDArray[Any], at: tuple[int, ...], trial_axes: int) -> tuple[Any, Any]:
    """The first values that differ of one trial."""
    row = at[0] if one.shape[0] > 1 else 0
    first, second = np.atleast_1d(one[row, at[1]]), np.atleast_1d(two[row, at[1]])
    kind = "status" if first.dtype == np.int8 else ""
    place_of = tuple(np.argwhere(differing(kind, first, second))[0])
    values = first[place_of], second[place_of]
    return (Status(values[0]).word, Status(values[1]).word) if kind else values


def _take_better(
    sweep: Sweep, have: BlockResult, other: BlockResult, given: NDArray[Any], number: int
) -> None:
    """Take over trials of which the other knows more; what a seed has in common, with the first."""
    ranks = RANK[have.status], RANK[other.status]
    better = ranks[1] > ranks[0]
    seeds = ranks[1].max(axis=0) > ranks[0].max(axis=0)
    for variable in variables(sweep):
        taken = better if "width" in variable.dims else seeds
        have.values[variable.name][taken] = other.values[variable.name][taken]
    have.status[better], have.message[better] = other.status[better], other.message[better]
    given[better] = number


# ---- writing


def _check_out(out: Where, first: _Source, *, in_place: bool) -> None:
    """Refuse a path that cannot take the result, before anything is read."""
    where = place(out)
    if in_place:
        lease.refuse(where)
        _check_replaceable(where, first)
    elif where.exists():
        raise StoreError(f"store {out}: is there already; give a path where nothing is yet")


def _make(union: Sweep, sources: list[_Source], out: Where, *, in_place: bool) -> Change:
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
        approximate = _write(draft, union, sources)
        change = _change(out, sources[0], union, sources, written=True, approximate=approximate)
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


def _write(draft: Path, union: Sweep, sources: list[_Source]) -> int:
    """Fill a draft; return how many trials agree only nearly."""
    shape = block_shape(union)
    write_template(draft, union, *shape, _provenances(sources))
    gatherer = _Gatherer(union, sources)
    for block in blocks(union, *shape):
        result = gatherer.gather(block)
        if result is not None:
            stores.write(draft, union, block, result)
    return gatherer.approximate


def _provenances(sources: Iterable[_Source]) -> list[dict[str, Any]]:
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


def _check_replaceable(where: Place, source: _Source) -> None:
    """Refuse what cannot be put in the place of a store without losing something."""
    if not isinstance(where, Folder):
        raise StoreError(
            f"store {where.name}: a bucket cannot replace a store at once; give a new path with -o NEW"
        )
    if not (where.writable() and Folder(where.path.absolute().parent).writable()):
        raise StoreError(
            f"store {where.name}: no permission to write it and its folder; give a new path with -o NEW"
        )
    known = {"zarr.json", *stores.array_names(source.sweep)}
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
    first: _Source,
    union: Sweep,
    sources: Sequence[_Source],
    *,
    written: bool,
    approximate: int = 0,
) -> Change:
    there = _there(union, sources)
    before, after = _extents(first.sweep), _extents(union)
    pending = union.trials - there
    return Change(str(out), before, after, there, pending, written, approximate)


def _there(union: Sweep, sources: Sequence[_Source]) -> int:
    """Trials with an outcome in any of the sources, by their statuses alone."""
    known = np.zeros(union.shape, dtype=bool)
    for source in sources:
        status = stores.statuses(source.path)
        outcome = np.isin(status, [Status.DONE, Status.DIVERGED, Status.FAILED])
        known[np.ix_(*_axes_places(union, source.sweep))] |= outcome
    return int(known.sum())


def _axes_places(union: Sweep, sweep: Sweep) -> Iterator[list[int]]:
    for axis in (*sweep.axes, "width", "seeds"):
        values = getattr(sweep, axis)
        places = _places(getattr(union, axis)) if axis in GROWING else {}
        yield [places[value] for value in values] if places else [*range(len(values))]
