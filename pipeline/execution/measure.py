"""Measuring the cost of an experiment of one's own, before its store is made.

Nobody but its author knows how long a function takes, and the size of blocks follows from it. So the
smallest and the dearest trials of a sweep run once, in a process of their own that may fail, hang or
end as it likes: a power law in n d k goes through their times. `LIMIT` bounds the time of it all.
"""

from __future__ import annotations

import contextlib
import math
import os
import pickle
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pipeline.sweep import Cell, Sweep

__all__ = ["LIMIT", "Measured", "measured", "with_cost"]

LIMIT = 30.0
"""Seconds that the measurement takes at most, imports included."""

SLOW = 1.0
"""A trial of more seconds is not run a second time, without what it compiles or imports first."""

MOST_CORNERS = 6
"""Values of parameters at which the dearest trial is tried."""

LEAST = 1e-6


@dataclass(frozen=True)
class Measured:
    """The time of one trial, or of one call for all widths of a seed.

    Attributes
    ----------
    cell
        Its cell, with its widths.
    seconds
        Its time on one core; None if it was not measured.
    memory
        Bytes that its process needed beyond what it needed before the first trial.
    ended
        True if it took too long and was ended.
    """

    cell: Cell
    seconds: float | None
    memory: float = 0.0
    ended: bool = False

    @property
    def size(self) -> float:
        """n d k of its largest width."""
        return float(self.cell.n) * self.cell.d * max(self.cell.widths)

    def __str__(self) -> str:
        at = f"n = {self.cell.n}, d = {self.cell.d}, k = {max(self.cell.widths)}"
        if self.seconds is None:
            return f"(not measured) at {at}"
        return f"{'more than ' * self.ended}{_as_time(self.seconds)} at {at}"


def with_cost(sweep: Sweep) -> tuple[Sweep, str]:
    """Return a sweep with the cost of its experiment, and lines that tell of it; "" if it was known.

    Parameters
    ----------
    sweep
        The sweep, with its code if the experiment is one's own.
    """
    if sweep.own is None:
        return sweep, "\n".join(map(_told, _called_in_descent(sweep)))
    if sweep.own.cost is not None:
        return sweep, ""
    from pipeline.experiments.own.build import GUESS
    from pipeline.experiments.own.record import Cost

    found = measured(sweep)
    known = [one for one in found if one.seconds is not None]
    if not known:
        ended = Cost(GUESS, 1.0, 0.0, complete=False)
        line = (
            f"could not be measured (its process ended); blocks are sized for {_as_time(GUESS)} a trial"
        )
        return replace(sweep, own=replace(sweep.own, cost=ended)), f"{sweep.experiment}: {line}"
    least, most = known[0], max(known, key=lambda one: (one.size, one.seconds))
    memory = max(one.memory for one in known)
    complete = len(known) == len(found) and not any(one.ended for one in found)
    cost = Cost(max(most.seconds or 0.0, LEAST), most.size, _power(least, most), memory, complete)
    what = "a call for all widths" if sweep.own.declaration.together else "a trial"
    line = f"{sweep.experiment}: {what} takes {least} to {most}, measured"
    if least is most or least.size == most.size:
        line = f"{sweep.experiment}: {what} takes {most}, measured"
    return replace(sweep, own=replace(sweep.own, cost=cost)), line


def _called_in_descent(sweep: Sweep) -> list[Any]:
    """Return the activations of one's own that descent calls at every step."""
    if sweep.descent is None:
        return []
    return [name for name in sweep.functions if name in sweep.activation]


def _told(name: Any) -> str:
    """Return the line on how descent calls an activation, and where its derivative comes from."""
    from pipeline.experiments.own.rows import row_of  # the compiler

    how = "compiled by numba" if row_of(name).is_compiled else "in NumPy, as numba cannot compile it"
    kinks = f", kinks at {', '.join(f'{kink:g}' for kink in name.facts.kinks)}" * bool(name.facts.kinks)
    return f"{name}: runs {how}; derivative: {name.facts.derivative}{kinks}"


def _power(least: Measured, most: Measured) -> float:
    """Return the growth of the time with n d k, from two trials."""
    if most.size <= least.size:
        return 0.0
    ratio = max(most.seconds or 0.0, LEAST) / max(least.seconds or 0.0, LEAST)
    return min(max(math.log(ratio) / math.log(most.size / least.size), 0.0), 5.0)


def measured(sweep: Sweep, limit: float = LIMIT) -> list[Measured]:
    """Time the smallest trial of a sweep and its dearest ones, in another process.

    Parameters
    ----------
    sweep
        The sweep, with its code.
    limit
        Seconds after which the process is ended; the trial that it then runs counts as that long.

    Returns
    -------
    list of Measured
        The smallest first. Without a time from the trial on at which the process ended by itself.
    """
    cells = list(_corners(sweep))
    command = [sys.executable, "-c", "from pipeline.execution.measure import _serve; _serve()"]
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # what it starts ends with it
        env={**os.environ, "PYTHONSAFEPATH": "1"},  # no file of the working folder hides a module
    )
    late = threading.Event()

    def end() -> None:
        late.set()
        _end(process)

    timer = threading.Timer(limit, end)
    timer.start()
    try:
        answer, _ = process.communicate(pickle.dumps((sweep, cells)))
    finally:
        timer.cancel()
        _end(process)
    answers = [tuple(map(float, line.split())) for line in answer.decode().splitlines()]
    if late.is_set() and len(answers) < len(cells):
        answers.append((limit, 0.0))
    answers += [(math.nan, 0.0)] * (len(cells) - len(answers))
    return [
        # NaN: it never began
        Measured(cell, seconds if math.isfinite(seconds) else None, memory, seconds == limit)
        for cell, (seconds, memory) in zip(cells, answers, strict=True)
    ]


def _end(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


def _corners(sweep: Sweep) -> Iterator[Cell]:
    """Yield the smallest trial of a sweep, and the dearest at some values of its parameters."""
    together = sweep.own is not None and sweep.own.declaration.together

    def size(cell: Cell) -> float:
        return float(cell.n) * cell.d * cell.widths[-1]

    cells = list(sweep.requested_cells())
    smallest = min(cells, key=lambda cell: float(cell.n) * cell.d * cell.widths[0])
    yield smallest if together else replace(smallest, widths=smallest.widths[:1])
    largest = max(map(size, cells))
    dearest = [cell for cell in cells if size(cell) == largest]
    for cell in _spread(dearest):
        yield cell if together else replace(cell, widths=cell.widths[-1:])


def _spread(cells: Sequence[Cell]) -> list[Cell]:
    """Return some cells, from the first to the last."""
    most = min(MOST_CORNERS, len(cells))
    return [cells[round(i * (len(cells) - 1) / max(1, most - 1))] for i in range(most)]


def _as_time(seconds: float) -> str:
    """Return a time as people write it."""
    if seconds >= 1:
        return f"{seconds:.3g} s"
    return f"{seconds * 1e3:.3g} ms" if seconds >= 1e-3 else f"{seconds * 1e6:.3g} µs"


# ---- in the other process


def _serve() -> None:
    """Run the trials that the parent sends, and answer with the seconds and the memory of each."""
    from pipeline.execution.worker import settle

    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    # The parent reads to the end, which a process that a trial forks and leaves behind would delay.
    os.register_at_fork(after_in_child=lambda: os.close(answers.fileno()))
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what the function prints is no answer
    sweep, cells = pickle.load(sys.stdin.buffer)
    settle()
    before = _peak()
    for cell in cells:
        seconds = _time(sweep, cell)
        seconds = min(seconds, _time(sweep, cell)) if seconds < SLOW else seconds
        print(seconds, _peak() - before, file=answers, flush=True)
    os._exit(0)


def _peak() -> float:
    """Return the largest memory of this process so far, in bytes."""
    with contextlib.suppress(OSError):  # on Linux: what `getrusage` tells begins with the parent's
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return 1024 * float(line.split()[1])
    unit = 1 if sys.platform == "darwin" else 1024
    return float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit)


def _time(sweep: Sweep, cell: Cell) -> float:
    from pipeline.blocks import Block
    from pipeline.execution.compute import compute_block
    from pipeline.store.names import SECONDS

    result = compute_block(sweep, Block(cell, 0, 0, 1, 0.0))
    return float(result.values[SECONDS].max())
