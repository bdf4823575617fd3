"""What stores become together: the axes of their union, and what is known of each of its trials.

The union of an axis is sorted, whichever store came first. A trial's bits depend on its coordinates
alone, so of each it is enough to know whether a source has an outcome of it, or asks for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline import store as stores
from pipeline.errors import StoreError, SweepError
from pipeline.maintenance.gather import Source, positions
from pipeline.store.differences import differences
from pipeline.store.location import Where
from pipeline.sweep import Sweep
from pipeline.sweep_files.extents import with_extents

__all__ = [
    "ASKED",
    "GROWING",
    "KNOWN",
    "UNASKED",
    "Change",
    "Plan",
    "check_same",
    "grid",
    "places_of",
    "plan_of",
    "union_of",
    "widened",
]

GROWING = ("d", "n", "width", "seeds")

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
    asked
        Trials that the result asks for and the (first) store did not.
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
    asked: int
    written: bool
    approximate: int = 0

    @property
    def grown(self) -> bool:
        """Whether an axis has values that were not there before, or a trial is newly asked for."""
        return self.asked > 0 or any(
            set(self.after[key]) != set(self.before[key]) for key in self.after
        )


@dataclass(frozen=True)
class Plan:
    """What a store is to become, by what its sources hold at one moment.

    Attributes
    ----------
    known
        What is known of each trial of the union.
    asked
        Trials that the first source did not ask for.
    """

    sources: list[Source]
    union: Sweep
    known: NDArray[np.int8]
    asked: int

    def change(self, out: Where, *, written: bool, approximate: int = 0) -> Change:
        """What carrying it out makes of a store at `out`."""
        there, pending = (int((self.known == what).sum()) for what in (KNOWN, ASKED))
        before, after = _extents(self.sources[0].sweep), _extents(self.union)
        return Change(str(out), before, after, there, pending, self.asked, written, approximate)


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


def grid(path: Where) -> Sweep:
    """Return the sweep of a store without what single trials have added to its axes.

    Of a store that is asked for single trials: its d and n, with the widths and seeds as written in
    its sweep.
    """
    stored = stores.stored_sweep(path)
    if not stores.is_refined(path):
        return stored
    written = stores.sweep_from(path, stores.check_store(path))
    where = f"store {path}"
    return with_extents(stored, where, width=written.width, seeds=written.seeds)


# ---- what belongs together


def _extents(sweep: Sweep) -> dict[str, tuple[float, ...]]:
    return {key: getattr(sweep, key) for key in GROWING}


def union_of(where: str, sweeps: Sequence[Sweep]) -> Sweep:
    first = sweeps[0]
    more = {key: [value for sweep in sweeps for value in getattr(sweep, key)] for key in GROWING}
    try:
        return widened(first, where, **more)
    except SweepError as error:
        lines = [line.strip() for line in str(error).splitlines()]
        raise StoreError("; ".join(lines)) from None


def check_same(one: str, stored: Sweep, other: str, asked: Sweep) -> None:
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


# ---- what is known of each trial


def plan_of(union: Sweep, sources: list[Source], elsewhere: int, asks: Iterable[Any]) -> Plan:
    """The plan of a union: the most that a source knows of each trial, by its status.

    Parameters
    ----------
    elsewhere
        What is known where no source has a trial.
    asks
        Indices of the union of what is asked for as well.
    """
    known = np.full(union.shape, -1, dtype=np.int8)
    before = 0
    for source in sources:
        at = np.ix_(*places_of(union, source.sweep))
        own = _KNOWLEDGE[stores.statuses(source.path)]
        known[at] = np.maximum(known[at], own)
        before = before or int((own > UNASKED).sum())  # of the first
    known[known < 0] = elsewhere
    for at in asks:
        known[at] = np.maximum(known[at], ASKED)
    for index in union.excluded():
        known[index] = UNASKED
    return Plan(sources, union, known, int((known > UNASKED).sum()) - before)


def places_of(union: Sweep, sweep: Sweep) -> Iterator[list[int]]:
    for axis in (*sweep.axes, "width", "seeds"):
        values = getattr(sweep, axis)
        places = positions(getattr(union, axis)) if axis in GROWING else {}
        yield [places[value] for value in values] if places else [*range(len(values))]
