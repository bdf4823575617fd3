"""What the processes of a worker's job are told as they start: the worker, and the nanny that keeps it.

A batch system that ends a job sends SIGTERM to all of its processes, and kills what is left after a
while. The worker leaves the signal to its nanny, which gives the block in hand `GRACE` seconds to come
into the store. What is computed is told in the job's log.
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

    async def patient(timeout: float = 0.0, **told: Any) -> None:
        await kill(timeout=max(timeout, GRACE / 0.8), **told)  # of which it waits for 0.8

    nanny.kill = patient
    # A worker that the scheduler closes at the same time tells its nanny first, and would wait for one
    # that listens no more: so listening ends with all else that the nanny closes afterwards.
    nanny.stop = lambda: None
