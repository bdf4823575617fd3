"""Waiting for what another process does: look again and again, until a deadline."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_until(
    predicate: Callable[[], T], timeout: float = 60.0, what: str = "", pause: float = 0.1
) -> T:
    """The first true value of the predicate; TimeoutError if there is none in time."""
    deadline = time.monotonic() + timeout
    while True:
        # Read before the look: a machine that stalls between the two still gives a last look.
        late = time.monotonic() >= deadline
        if value := predicate():
            return value
        if late:
            raise TimeoutError(f"not within {timeout:g} s: {what or predicate}")
        time.sleep(pause)
