"""The memory that workers need: estimated from the experiment, and compared with what there is.

A worker that needs more is killed by its system, starts again and is killed again, or makes the whole
machine swap. So a run that cannot succeed is refused before anything starts.
"""

from __future__ import annotations

import resource
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from pipeline.errors import InputError
from pipeline.experiments import experiment_of
from pipeline.sweep import Cell, Sweep

__all__ = ["check_memory", "machine_memory", "trial_memory", "worker_memory"]

PROCESS = 250e6
"""Bytes of a worker process without its trials: Python and its libraries."""

CONTROL_GROUPS = (
    "/sys/fs/cgroup/memory.max",
    "/sys/fs/cgroup/memory.high",
    "/sys/fs/cgroup/memory/memory.limit_in_bytes",
    "/sys/fs/cgroup/memory/memory.soft_limit_in_bytes",
)
"""Files with the limit of a container or a job, of version 2 and 1."""


def machine_memory() -> int:
    """Return the bytes that processes of this machine, container or job may use together.

    Dask knows the same number, but takes a third of a second to load, also where no worker starts.
    """
    import psutil

    limits = [psutil.virtual_memory().total, resource.getrlimit(resource.RLIMIT_RSS)[1]]
    for file in CONTROL_GROUPS:
        with suppress(OSError, ValueError):  # not there, or "max"
            limits.append(int(Path(file).read_text()))
    return min(limit for limit in limits if limit > 0)


def trial_memory(sweep: Sweep, cells: Iterable[Cell] | None = None) -> float:
    """Estimate the memory of the trials of a seed in the cell that needs most, in bytes.

    Parameters
    ----------
    sweep
        The sweep.
    cells
        The cells that run, with the widths that run in them; all of the sweep if None.
    """
    return _memory(sweep, _greatest(sweep, cells))


def worker_memory(sweep: Sweep, cells: Iterable[Cell] | None = None) -> float:
    """Estimate the largest memory of a worker, in bytes: it runs one seed at a time."""
    return PROCESS + trial_memory(sweep, cells)


def _memory(sweep: Sweep, cell: Cell) -> float:
    return experiment_of(sweep).memory(cell, sweep.descent)


def _greatest(sweep: Sweep, cells: Iterable[Cell] | None) -> Cell:
    return max(
        sweep.requested_cells() if cells is None else cells, key=lambda cell: _memory(sweep, cell)
    )


def check_memory(
    sweep: Sweep, available: float, where: str, cells: Sequence[Cell] | None = None
) -> None:
    """Refuse a sweep whose trials do not fit into the memory of a worker.

    Parameters
    ----------
    sweep
        The sweep to run.
    available
        Bytes that a worker may use.
    where
        What has this memory, for the message.
    cells
        As for `trial_memory`; at least one.

    Raises
    ------
    InputError
        A worker needs more.
    """
    needed = worker_memory(sweep, cells)
    if needed <= available:
        return
    from dask.utils import format_bytes

    cell = _greatest(sweep, cells)
    raise InputError(
        f"sweep {sweep.name}: a worker needs about {format_bytes(int(needed))} of memory for "
        f"n = {cell.n} and k = {max(cell.widths)}, but {where} has {format_bytes(int(available))}; "
        "lower n or the widths, use one with more memory, or start it nevertheless with --force"
    )
