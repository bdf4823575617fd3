"""The outcome of a trial, as stored: a trial is done if its status says so, not if it has values."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping
from enum import IntEnum
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["STORED", "UNREQUESTED", "WITH_RESULTS", "Status", "among", "lookup", "requested_trials"]


class Status(IntEnum):
    """Codes of the `status` variable of a store; they never change.

    `EXCLUDED` trials cannot exist, such as pairs of an odd number of samples. `NOT_REQUESTED` trials
    could be computed, but a refined store does not need them, or the sub-grids and conditions of its
    sweep leave them out. `DAMAGED` is never stored: readers see it instead of an outcome whose results
    are lost.
    """

    PENDING = 0
    DONE = 1
    FAILED = 2
    DIVERGED = 3
    EXCLUDED = 4
    NOT_REQUESTED = 5
    DAMAGED = 6

    @property
    def word(self) -> str:
        """The status as text, as in a store's `flag_meanings` and in queries."""
        return self.name.lower()

    @property
    def is_requested(self) -> bool:
        """True if the trial is part of what the store is to hold, whatever its outcome."""
        return self not in (Status.EXCLUDED, Status.NOT_REQUESTED)


STORED = tuple(status for status in Status if status != Status.DAMAGED)
"""Statuses that a store holds."""

WITH_RESULTS = (Status.DONE, Status.FAILED, Status.DIVERGED)
"""Statuses of trials that were computed."""

UNREQUESTED = tuple(status for status in Status if not status.is_requested)


def among(statuses: Any, codes: Iterable[Status]) -> Any:
    """Return which statuses are some of these: a NumPy or xarray mask.

    One byte is needed for each trial, where `isin` needs eight.
    """
    return reduce(operator.or_, (statuses == code for code in codes))


def requested_trials(counts: Mapping[str, int]) -> int:
    """Return how many trials a store is to hold, given its trials by status (as text)."""
    return sum(counts[status.word] for status in Status if status.is_requested)


def lookup(values: Mapping[Status, int]) -> NDArray[np.int8]:
    """Return an array that maps the code of each status to its value; every status needs one."""
    assert set(values) == set(Status), f"no value for {set(Status) ^ set(values)}"
    return np.array([values[status] for status in sorted(Status)], dtype=np.int8)
