"""Errors in the input, each with a message written for the person who has to fix it.

A message says what is wrong, where, what was found, what was expected and how to fix it. The command
line prints it as it is, without a traceback, and exits with status 2.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

__all__ = [
    "DataError",
    "InputError",
    "LeaseLost",
    "Problem",
    "StoreError",
    "StoreFull",
    "StoreHeld",
    "SweepError",
    "WorkersLost",
]


class InputError(ValueError):
    """Something given to widthlaw cannot be used; nothing was changed."""


@dataclass(frozen=True)
class Problem:
    """One problem of a sweep file.

    Attributes
    ----------
    key
        The dotted key it concerns, such as ``dataset.path``; "" for the file as a whole.
    text
        What is wrong, as a message says it.
    """

    key: str
    text: str


class SweepError(InputError):
    """A sweep file describes something impossible; one message lists all its problems.

    Attributes
    ----------
    problems
        The same problems one by one; () where none of them belongs to a key.
    """

    def __init__(self, message: str = "", problems: Iterable[Problem] = ()) -> None:
        super().__init__(message)
        self.problems = tuple(problems)


class DataError(InputError):
    """A data file cannot serve as a dataset."""


class StoreError(InputError):
    """A path holds no store, or a store of another sweep."""


class StoreHeld(StoreError):
    """Another run is filling the store, or a queued job holds it."""


class LeaseLost(RuntimeError):
    """Another run has taken the store over; what this one has written stays valid."""


class StoreFull(OSError):
    """Writing to the store failed (disk full, quota, permission, lost mount)."""


class WorkersLost(RuntimeError):
    """The scheduler, or all workers, went away during a run."""
