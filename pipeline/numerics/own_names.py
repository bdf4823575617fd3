"""Names of functions of one's own, which stand beside the names that the registers know.

A name such as ``mine.py:swish`` brings what it names, because no register of the program has it. So it
travels with a sweep and its cells to the workers, and two versions of one file never mix. It is text
like any other name: stores, messages and identities need no other form of it.
"""

from __future__ import annotations

from typing import Any

__all__ = ["FAULTS", "OwnName", "is_entry", "raise_faults"]


def is_entry(name: str) -> bool:
    """Return True if a name is that of a function in a file."""
    return ":" in name or name.endswith(".py")


class OwnName(str):
    """The name of a function of one's own.

    Attributes
    ----------
    record
        The record that a register holds for other names.
    """

    __slots__ = ()

    @property
    def record(self) -> Any:
        """Return what is known of the function, made at the first use in a process."""
        raise NotImplementedError

    def with_slope(self, z: Any) -> tuple[Any, Any]:
        """Return phi(z) and phi'(z) of an activation, arrays of the shape of z."""
        raise NotImplementedError


FAULTS: list[Exception] = []
"""Exceptions of functions of one's own that compiled code has called, which cannot raise them."""


def raise_faults() -> None:
    """Raise the first exception that compiled code has met, if any."""
    if FAULTS:
        first = FAULTS[0]
        FAULTS.clear()
        raise first
