"""The outcome of a trial, as stored: done is a status, never "not NaN"."""

from __future__ import annotations

from enum import IntEnum

__all__ = ["Status"]


class Status(IntEnum):
    """Numbers of the `status` variable of a store; they never change."""

    PENDING = 0
    DONE = 1
    FAILED = 2
    DIVERGED = 3
    EXCLUDED = 4

    @property
    def word(self) -> str:
        """As a store's `flag_meanings` and a query say it."""
        return self.name.lower()
