"""What can be wrong with the input: errors whose message is made for the person who has to mend it.

Each message says what is wrong, where, what was found, what was expected and what would do. The
command line prints it as it is, without a traceback, and exits with status 2.
"""

from __future__ import annotations

__all__ = [
    "DataError",
    "InputError",
    "LeaseLost",
    "StoreError",
    "StoreFull",
    "StoreHeld",
    "SweepError",
    "WorkersLost",
]


class InputError(ValueError):
    """Something handed to widthlaw cannot be used; nothing was touched."""


class SweepError(InputError):
    """A sweep file says something impossible; all its problems stand in one message."""


class DataError(InputError):
    """A data file cannot serve as a dataset."""


class StoreError(InputError):
    """A path holds no store, or a store that does not belong to what was asked."""


class StoreHeld(StoreError):
    """Another run is filling the store, or a job waits to."""


class LeaseLost(RuntimeError):
    """Another run has taken the store over; what this one has written stays valid."""


class StoreFull(OSError):
    """A store could not be written any further (disk full, quota, permission, lost mount)."""


class WorkersLost(RuntimeError):
    """The scheduler, or all workers, went away under a run."""
