"""Loaded by every local worker process as it starts: leave Ctrl-C to the driver.

A terminal sends the interrupt to all processes of the run. The driver answers it: it cancels what
waits and closes the workers; a worker that took it as well would only print a traceback.
"""

from __future__ import annotations

import signal

__all__ = ["dask_setup"]


def dask_setup(worker: object) -> None:
    """Ignore SIGINT in this worker process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
