"""Setup of the processes of a worker's job, a preload of `dask worker`: the worker and its nanny.

To end a job, a batch system sends SIGTERM to all its processes, and kills the remaining ones later. The
worker ignores the signal; its nanny gives the block in progress `GRACE` seconds to reach the store. The
job's log has the number of computed trials.
"""

from __future__ import annotations

import logging
import signal
import sys
from typing import Any

__all__ = ["dask_setup"]

GRACE = 25.0
"""Seconds; Slurm kills after 30. Dask alone would wait for 8."""


def dask_setup(server: Any) -> None:
    """Prepare a worker process, or its nanny."""
    if hasattr(server, "process"):  # the nanny has one
        _be_patient(server)
        return
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    log = logging.getLogger("widthlaw")
    log.setLevel(logging.INFO)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    log.addHandler(handler)


def _be_patient(nanny: Any) -> None:
    """Give the worker more time to close than `dask worker` does, which has no option for it."""
    kill = nanny.kill

    async def patient(timeout: float = 0.0, **options: Any) -> None:
        await kill(timeout=max(timeout, GRACE / 0.8), **options)  # Dask waits for 0.8 of it

    nanny.kill = patient
    # If the scheduler closes the worker at the same time, the worker first notifies its nanny, and
    # would wait if the nanny no longer listened. So the nanny keeps listening until it closes.
    nanny.stop = lambda: None
