"""Loaded by every local worker process as it starts: leave Ctrl-C and the last word to the driver.

A terminal sends the interrupt to all processes of the run. The driver answers it: it cancels what
waits and closes the workers; a worker that took it as well would only print a traceback. Likewise a
worker that warns of work cancelled under it would only bury the driver's one line.
"""

from __future__ import annotations

import logging
import signal

__all__ = ["dask_setup"]


def dask_setup(worker: object) -> None:
    """Ignore SIGINT in this worker process, and log errors alone."""
    logging.getLogger("distributed").setLevel(logging.ERROR)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
