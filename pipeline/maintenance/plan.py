"""Planning what stores become together: the union of their axes, and what is known of each trial.

The union of an axis is sorted, so the order of the stores does not matter. A trial's bits depend on
its coordinates alone. So the plan only needs to know of each trial whether a source has an outcome of
it, or requests it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline import store as stores
from pipeline.axes import Kind, names
from pipeline.errors import StoreError, SweepError
from pipeline.maintenance.gather import Source, index_by_value
from pipeline.selection import union_of_selections
from pipeline.store.differences import differences, other_budget
from pipeline.store.location import StorePath
from pipeline.sweep import Sweep
from pipeline.sweep_files.extents import with_extents
from pipeline.trial_status import Status, lookup

__all__ = [
    "Change",
    "Knowledge",
    "Plan",
    "check_same",
    "grid",
    "indices_of",
    "make_plan",
    "union_of",
    "widened",
]

GROWING = (*names(Kind.SIZE), "width", "seeds")
"""Axes that can get new values; the others belong to the identity of a sweep."""


class Knowledge(IntEnum):
    """State of a trial in all sources together, in increasing order.

    A trial is `KNOWN` if it has an outcome or has failed.
    """

    NOT_REQUESTED = 0
    PENDING = 1
    KNOWN = 2


_KNOWLEDGE = lookup(
    {
        Status.PENDING: Knowledge.PENDING,
        Status.DONE: Knowledge.KNOWN,
        Status.FAILED: Knowledge.KNOWN,
        Status.DIVERGED: Knowledge.KNOWN,
        Status.EXCLUDED: Knowledge.NOT_REQUESTED,
        Status.NOT_REQUESTED: Knowledge.NOT_REQUESTED,
        Status.DAMAGED: Knowledge.PENDING,
    }
)


@dataclass(frozen=True)
class Change:
    """The effect of an extension or a merger, made or planned.

    Attributes
    ----------
    store
        Path of the result.
    before, after
        Values of the axes that can grow, in the (first) store and in the result.
    there, pending
        Numbers of trials of the result with an outcome and without.
    requested
        Number of trials that the result requests and the (first) store did not.
    written
        False if nothing had to be done, or for a dry run.
    approximate
        Number of trials of several stores that agree within the tolerance of two platforms, but not
        to the bit: the values of the first store were kept.
    continued
        For a larger budget, the numbers of trials that it lets go on: "" for those from their
        checkpoints, and by the reason for those that start anew.
    """

    store: str
    before: dict[str, tuple[float, ...]]
    after: dict[str, tuple[float, ...]]
    there: int
    pending: int
    requested: int
    written: bool
    approximate: int = 0
    continued: Mapping[str, int] | None = None

    @property
    def grown(self) -> bool:
        """True if an axis has new values or a trial is newly requested."""
        return self.requested > 0 or any(
            set(self.after[key]) != set(self.before[key]) for key in self.after
        )


@dataclass(frozen=True)
class Plan:
    """A planned store, and what its sources held when it was planned.

    Attributes
    ----------
    sources
        Stores whose trials it takes over.
    union
        Its sweep.
    known
        `Knowledge` of each trial of the union.
    requested
        Number of trials that the first source did not request.
    going_on
        Mask of the trials that the budget of the first source has ended, and that are pending under
        the one of the union; None if the budgets are the same.
    continued
        As in `Change`.
    """

    sources: list[Source]
    union: Sweep
    known: NDArray[np.int8]
    requested: int
    going_on: NDArray[np.bool_] | None = None
    continued: Mapping[str, int] | None = None

    def change(self, out: StorePath, *, written: bool, approximate: int = 0) -> Change:
        """Return the effect of this plan on a store at `out`."""
        there, pending = (
            int((self.known == state).sum()) for state in (Knowledge.KNOWN, Knowledge.PENDING)
        )
        before, after = _extents(self.sources[0].sweep), _extents(self.union)
        if self.going_on is not None:
            before, after = (
                extents | {"steps": (sweep.descent.steps,)}
                for extents, sweep in ((before, self.sources[0].sweep), (after, self.union))
                if sweep.descent is not None
            )
        return Change(
            str(out),
            before,
            after,
            there,
            pending,
            self.requested,
            written,
            approximate,
            self.continued,
        )


# ---- sweeps with more values


def widened(sweep: Sweep, where: str = "sweep", **more: Iterable[float]) -> Sweep:
    """Return a sweep with more values on some of its axes.

    Parameters
    ----------
    sweep
        The sweep.
    where
        Name of the sweep in messages.
    **more
        New values of `d`, `n`, `width` or `seeds`.

    Raises
    ------
    SweepError
        The sweep cannot be computed with these values.
    """
    added = {key: sorted({*getattr(sweep, key), *values}) for key, values in more.items()}
    return with_extents(sweep, where, **added)


def grid(path: StorePath) -> Sweep:
    """Return the sweep of a store, without the widths and seeds of requests for single trials.

    For a refined store: its d and n, with the widths and seeds as written in its sweep, and with the
    sub-grids and conditions that it has by now.
    """
    stored = stores.stored_sweep(path)
    if not stores.is_refined(path):
        return stored
    if stored.requests:
        selections = tuple(one for one in stored.requests if not one.single)
        if selections == stored.requests:
            return stored
        stored = replace(stored, requests=selections)
    written = stores.sweep_from(path, stores.check_store(path))
    if written.requests and len(stored.requests) == 1:  # it was refined, and not extended
        stored = replace(stored, requests=written.requests)
    return with_extents(stored, f"store {path}", width=written.width, seeds=written.seeds)


def union_of(where: str, sweeps: Sequence[Sweep]) -> Sweep:
    """Return the sweep with the values of all axes of several sweeps.

    Parameters
    ----------
    where
        Name of the sweeps in messages.
    sweeps
        Sweeps of one identity, with the same axes.

    Raises
    ------
    StoreError
        The union cannot be computed, such as two widths that give the same k.
    """
    more = {key: {value for sweep in sweeps for value in getattr(sweep, key)} for key in GROWING}
    extents: dict[str, Any] = {key: tuple(sorted(values)) for key, values in more.items()}
    requests = union_of_selections(replace(sweeps[0], requests=(), **extents), sweeps)
    try:
        return widened(replace(sweeps[0], requests=requests), where, **more)
    except SweepError as error:
        lines = [line.strip() for line in str(error).splitlines()]
        raise StoreError("; ".join(lines)) from None


def check_same(name: str, stored: Sweep, other_name: str, other: Sweep) -> None:
    """Check that two sweeps can share a store.

    Parameters
    ----------
    name, other_name
        Names of the sweeps in messages.
    stored, other
        The sweeps.

    Raises
    ------
    StoreError
        Their identities, axes or units of width differ.
    """
    if stored.identity != other.identity:
        found = differences("", stored.identity_fields, other.identity_fields, other_name)
        repair = "keep them in separate stores"
        if other_budget(stored.identity_fields, other.identity_fields) is not None:
            repair += ", or give both one budget with `widthlaw extend STORE --steps N`"
        if _without_parameters(stored) == _without_parameters(other):
            repair = (
                "only seeds, n, d and widths can be added, as the values of parameters belong to a "
                "store: run the new values into a store of their own"
            )
        raise StoreError(f"{name}: cannot be combined with {other_name}: {'; '.join(found)}; {repair}")
    if stored.axes != other.axes:
        raise StoreError(
            f"{name}: its axes are {', '.join(stored.axes)}, those of {other_name} "
            f"{', '.join(other.axes)} (a list makes an axis); write both in the same way"
        )
    if stored.width_unit != other.width_unit:
        raise StoreError(
            f"{name}: its widths are given as {stored.width_unit}, those of {other_name} as "
            f"{other.width_unit}; write them as {stored.width_unit}"
        )


def _without_parameters(sweep: Sweep) -> dict[str, Any]:
    return {key: value for key, value in sweep.identity_fields.items() if key != "parameters"}


def _extents(sweep: Sweep) -> dict[str, tuple[float, ...]]:
    return {key: getattr(sweep, key) for key in GROWING}


# ---- what is known of each trial


def make_plan(
    union: Sweep, sources: list[Source], elsewhere: Knowledge, requests: Iterable[Any] = ()
) -> Plan:
    """Plan the union of stores: each trial gets the highest `Knowledge` that a source has of it.

    Parameters
    ----------
    union
        Sweep of the planned store.
    sources
        Stores whose trials it takes over.
    elsewhere
        Knowledge of the trials that no source has on its axes.
    requests
        Indices of trials of the union that are requested too.
    """
    known = np.full(union.shape, -1, dtype=np.int8)
    before = 0
    for number, source in enumerate(sources):
        index = np.ix_(*indices_of(union, source.sweep))
        own = _KNOWLEDGE[stores.Store(source.path, source.sweep).statuses()]
        known[index] = np.maximum(known[index], own)
        if number == 0:
            before = _requested(own)
    known[known < 0] = elsewhere
    for index in requests:
        known[index] = np.maximum(known[index], Knowledge.PENDING)
    for cell_index in union.excluded():
        known[cell_index] = Knowledge.NOT_REQUESTED
    return Plan(sources, union, known, _requested(known) - before)


def _requested(known: NDArray[np.int8]) -> int:
    return int((known > Knowledge.NOT_REQUESTED).sum())


def indices_of(union: Sweep, sweep: Sweep) -> Iterator[list[int]]:
    """Yield for each axis of a sweep the indices of its values on the axis of the union."""
    for axis in (*sweep.axes, "width", "seeds"):
        values = sweep.values(axis)
        if axis in GROWING:
            index = index_by_value(getattr(union, axis))
            yield [index[value] for value in values]
        else:
            yield [*range(len(values))]
