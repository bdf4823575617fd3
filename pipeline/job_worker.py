"""What a worker process in a job of a cluster is told as it starts.

It leaves SIGTERM to its nanny. A batch system sends the signal to all processes of a job; the nanny
answers it by closing the worker, which gives the block in hand some seconds to come into the store,
where a worker that took the signal itself would be gone at once. What is computed goes to the log.
"""

from __future__ import annotations

import logging
import signal
import sys

__all__ = ["dask_setup"]


def dask_setup(worker: object) -> None:
    """Ignore SIGTERM and SIGINT in this worker process, and log a line for every task."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    log = logging.getLogger("widthlaw")
    log.setLevel(logging.INFO)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    log.addHandler(handler)
