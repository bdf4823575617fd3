"""A copy of a store in memory that is kept up: it reads only the chunks that have changed.

A run writes the results of a tile first and its statuses last. So a look lists the files of the
statuses, which costs no reading, and reads the tiles whose file is new or was written again. The copy
has the variables that success is read from, no others. It is an ordinary Dataset, so `success_counts`
and `critical_widths` do all counting and fitting.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from contextlib import suppress
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from analysis.stores import open_store
from analysis.success import Success
from analysis.success.rules import Rule, resolved, rule_for
from pipeline.errors import InputError, StoreDamaged, StoreError
from pipeline.store import check_store
from pipeline.store.arrays import layout_of, open_array
from pipeline.store.chunks import chunk_index
from pipeline.store.location import StorePath, locate
from pipeline.store.names import MESSAGE, SECONDS, STATUS
from pipeline.store.statuses import Region, status_parts
from pipeline.trial_status import WITH_RESULTS, Status

__all__ = ["Kept", "Region"]

MOST_EIGENVALUES = 2**22
"""The most eigenvalues of kernels that are kept; without them there is no predicted width."""

NO_RULE = "Nothing says which of these trials succeed, so there is no critical width (see --success)."
"""The note on a store that has no rule of success."""

MOST_DOUBTS = 10
"""Looks after which a chunk that seems to be lost or damaged is believed to be so."""

MOST_MESSAGES = 50
"""The most different messages that are kept of one chunk."""


class Kept:
    """A copy of one store, as of the last `look`.

    Parameters
    ----------
    path
        The store.
    success
        The success of a trial.

    Attributes
    ----------
    ds
        The copy: statuses as readers see them, coordinates, and the variables of success.
    success
        The same success for any part of the copy.
    rule
        The rule of success; None if the store has nothing that it could be read from.
    no_rule
        Why there is none.
    attributes
        Attributes of the store.
    unreadable
        Why a part of the store could not be read, "" if all could.

    Raises
    ------
    StoreError
        There is no store here, or one that cannot be read.
    InputError
        The success does not suit the store.
    """

    def __init__(self, path: StorePath, success: Success) -> None:
        self.path, self._location = path, locate(path)
        self.attributes = check_store(path)
        self.fingerprint = self._location.fingerprint()
        self._layout = layout_of(self._location, STATUS)
        self._lazy = open_store(path, dask=False)
        self.success = resolved(self._lazy, success)
        self.rule, self.no_rule = _rule(self._lazy, self.success)
        self._stamps: dict[str, Hashable] | None = {}
        self._messages: dict[tuple[int, ...], Counter[str]] = {}
        self._broken: dict[tuple[int, ...], str] = {}
        self._doubts: Counter[tuple[int, ...]] = Counter()
        self.ds = _blank(self._lazy, self.rule)

    @property
    def axes(self) -> tuple[str, ...]:
        """Names of the leading dimensions, along which the cells lie."""
        return self._layout.dims[:-2]

    @property
    def unreadable(self) -> str:
        return next(iter(self._broken.values()), "")

    @property
    def counts(self) -> dict[str, int]:
        """Number of trials by the name of their status."""
        found = np.bincount(self.ds.status.values.ravel(), minlength=len(Status))
        return {status.word: int(found[status]) for status in Status}

    @property
    def messages(self) -> Counter[str]:
        """Messages of failed trials with their numbers."""
        return sum(self._messages.values(), Counter())

    # ---- looking

    def look(self) -> list[Region]:
        """Read what has changed since the last look; return the rectangles of cells it lies in.

        Raises
        ------
        StoreError
            The store is gone, or another one has taken its place: make a new copy.
        """
        self._check_same()
        stamps = self._listed()
        chunks = self._changed(stamps)
        if chunks:
            statuses = self.ds.status.values
            for where, part in status_parts(self._location, self.attributes, self._together(chunks)):
                statuses[where] = part
            self._read_results(chunks, statuses)
            for index in self._broken:
                where = self._region(index)
                lost = np.isin(statuses[where], WITH_RESULTS)
                statuses[where] = np.where(lost, np.int8(Status.DAMAGED), statuses[where])
        self._stamps = self._trusted(stamps, chunks)  # after an outage the same chunks are read again
        cells = dict.fromkeys(index[:-2] for index in chunks)
        return [self._region((*index, 0, 0))[:-2] for index in cells]

    def _trusted(
        self, stamps: dict[str, Hashable] | None, chunks: list[tuple[int, ...]]
    ) -> dict[str, Hashable] | None:
        """Return the stamps without those of chunks to read again, though they do not change.

        A server that has just come back lists files which it does not yet hand out: such a chunk seems
        to be lost or damaged. One that stays so is believed after some looks.
        """
        if stamps is None:
            return None
        for index in chunks:
            key = f"{STATUS}/c/{'/'.join(map(str, index))}"
            seen = self.ds.status.values[self._region(index)]
            if key in stamps and ((seen == Status.PENDING).all() or (seen == Status.DAMAGED).any()):
                self._doubts[index] += 1
                if self._doubts[index] <= MOST_DOUBTS:
                    del stamps[key]
            else:
                self._doubts.pop(index, None)
        return stamps

    def _check_same(self) -> None:
        try:
            same = self._location.fingerprint() == self.fingerprint
        except FileNotFoundError:
            same = False
        if not same:
            raise StoreError(f"store {self.path}: was replaced or removed while it was read")

    def _listed(self) -> dict[str, Hashable] | None:
        """Return the stamps of the files of statuses; None if they may not be listed."""
        try:
            return dict(self._location.stamps(f"{STATUS}/c"))
        except PermissionError:  # readers of a bucket may lack the permission to list
            return None

    def _changed(self, stamps: dict[str, Hashable] | None) -> list[tuple[int, ...]]:
        """Return the indices of the chunks of statuses that were written since the last look."""
        if stamps is None:
            return list(np.ndindex(*self._layout.grid))
        before, found = self._stamps or {}, []
        for key in sorted({*stamps, *before}):
            if stamps.get(key) == before.get(key):
                continue
            with suppress(ValueError):  # a file that is no chunk
                index = chunk_index(key.removeprefix(f"{STATUS}/"))
                if len(index) == len(self._layout.grid) and np.all(np.less(index, self._layout.grid)):
                    found.append(index)
        return found

    def _region(self, index: Sequence[int]) -> Region:
        """Return the trials of a chunk of statuses."""
        return tuple(
            slice(at * extent, min((at + 1) * extent, size))
            for at, extent, size in zip(index, self._layout.chunks, self._layout.shape, strict=True)
        )

    # ---- reading

    def _read_results(self, chunks: list[tuple[int, ...]], seen: NDArray[np.int8]) -> None:
        """Read the results of those chunks that have some; one that is damaged is left out."""
        filled = [c for c in chunks if np.isin(seen[self._region(c)], WITH_RESULTS).any()]
        for index in chunks:
            self._broken.pop(index, None)
            self._messages.pop(index, None)
        try:
            for where in self._together(filled):
                self._read_variables(where)
        except StoreDamaged:
            self._read_one_by_one(filled)
        for index in filled:
            self._read_messages(index, seen)

    def _read_one_by_one(self, chunks: list[tuple[int, ...]]) -> None:
        for index in chunks:
            try:
                self._read_variables(self._region(index))
            except StoreDamaged as error:
                self._broken[index] = str(error)

    def _together(self, chunks: list[tuple[int, ...]]) -> list[Region]:
        """Return the regions to read: all of the store at once where most of it has changed.

        Zarr reads the chunks of one request concurrently.
        """
        if len(chunks) > np.prod(self._layout.grid) / 2 and len(chunks) > 1:
            return [tuple(slice(0, size) for size in self._layout.shape)]
        return [self._region(index) for index in chunks]

    def _read_variables(self, where: Region) -> None:
        at: dict[Hashable, slice] = dict(zip(self._layout.dims, where, strict=True))
        for name, array in self.ds.data_vars.items():
            if name != STATUS:
                own = {dim: at[dim] for dim in array.dims if dim in at}
                place = tuple(own.get(dim, slice(None)) for dim in array.dims)
                array.values[place] = self._lazy[name].isel(own).values

    def _read_messages(self, index: tuple[int, ...], seen: NDArray[np.int8]) -> None:
        where = self._region(index)
        failed = seen[where] == Status.FAILED
        if failed.any():
            try:
                texts = np.asarray(open_array(self._location, MESSAGE)[where])[failed]
            except StoreDamaged as error:
                self._broken[index] = str(error)
            else:
                self._messages[index] = Counter(
                    dict(Counter(map(str, texts)).most_common(MOST_MESSAGES))
                )


def _rule(ds: xr.Dataset, success: Success) -> tuple[Rule | None, str]:
    """Return the rule of success, or None and the reason; a success that was chosen must suit."""
    try:
        return rule_for(ds, success), ""
    except InputError:
        if not success.is_default:
            raise
        return None, NO_RULE


def _blank(lazy: xr.Dataset, rule: Rule | None) -> xr.Dataset:
    """Return a Dataset in memory of all that is kept, in which every trial is pending."""
    wanted = [SECONDS, *((*rule.reads, "alpha") if rule else ())]
    if rule and rule.threshold is not None and "kernel_eigenvalues" in lazy:
        wanted += ["kernel_eigenvalues"] * (lazy.kernel_eigenvalues.size <= MOST_EIGENVALUES)
    names = [name for name in dict.fromkeys(wanted) if name in lazy.data_vars]
    ds: xr.Dataset = lazy[[STATUS, *names]]
    blank: dict[str, Any] = {STATUS: lazy.status.copy(data=np.zeros(lazy.status.shape, np.int8))}
    blank |= {name: lazy[name].copy(data=np.full(lazy[name].shape, np.nan)) for name in names}
    return ds.assign(blank).load()
