"""Waiting for what another process does: for the event itself, whatever the machine has to do besides.

Seconds never decide whether a test passes. Only a wait without end is cut off, after `PATIENCE`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

SHARE = 4
"""A look rests for so many times as long as it took: it leaves the cores to what it waits for."""

PATIENCE = float(os.environ.get("WIDTHLAW_TEST_PATIENCE", "600"))
"""Seconds after which a process counts as hung: far beyond what a busy machine needs."""


def wait_until(
    predicate: Callable[[], T], what: str, pause: float = 0.1, patience: float = PATIENCE
) -> T:
    """The first true value of the predicate; TimeoutError if there is none for so long."""
    deadline = time.monotonic() + patience
    while True:
        # Read before the look: a machine that stalls between the two still gives a last look.
        began = time.monotonic()
        if value := predicate():
            return value
        if began >= deadline:
            raise TimeoutError(f"not within {patience:g} s: {what}")
        time.sleep(max(pause, SHARE * (time.monotonic() - began)))
