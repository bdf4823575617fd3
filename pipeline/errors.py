"""What can be wrong with the input: errors whose message is made for the person who has to mend it.

Each message says what is wrong, where, what was found, what was expected and what would do. The
command line prints it as it is, without a traceback, and exits with status 2.
"""

from __future__ import annotations

__all__ = [
    "DataError",
    "InputError",
    "LeaseLost",
    "ParameterError",
    "StoreError",
    "StoreFull",
    "StoreHeld",
    "SweepError",
    "WorkersLost",
]


class InputError(ValueError):
    """Something handed to widthlaw cannot be used; nothing was touched."""


class ParameterError(InputError):
    """A parameter of a function has a value that cannot be used.

    Attributes
    ----------
    parameter
        Its name; the command line shows the option of that name instead.
    text
        The rest of the message.
    """

    def __init__(self, parameter: str, text: str) -> None:
        super().__init__(parameter, text)
        self.parameter = parameter
        self.text = text

    def __str__(self) -> str:
        return f"{self.parameter}: {self.text}"


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
