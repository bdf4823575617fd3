"""A unit of CPU time that goes with the machine, and its slow hours: a call of a small function."""

from __future__ import annotations

import time
import timeit

__all__ = ["of_calls"]

CALLS = 50_000


def of_calls(seconds: float) -> float:
    """A CPU time as a number of calls, which are timed now: about a quarter of a microsecond each."""
    timed = timeit.repeat(lambda: f"{1.5:.3g} {7:d}", timer=time.process_time, number=CALLS, repeat=5)
    return seconds * CALLS / min(timed)
