"""The progress of a run that Python started: a bar in a notebook or at a terminal, lines in the log.

The command line draws a bar of its own (`jobs.launch`).
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from pipeline.printable import one_line
from pipeline.store import Store
from pipeline.trial_status import requested_trials

if TYPE_CHECKING:
    from pipeline.execution.fill import Outcome

__all__ = ["reporting"]

LOG_SECONDS = 10.0
"""Least time between two lines of a run in the log."""

log = logging.getLogger("widthlaw")


@contextmanager
def reporting(
    store: Store, retry_failed: bool, bar: bool | None
) -> Iterator[Callable[[Outcome, Outcome], None]]:
    """Yield a function that reports the outcomes of (one task, all tasks so far).

    Parameters
    ----------
    store
        The store, before the run.
    retry_failed
        Whether failed trials are computed again.
    bar
        Whether to draw a bar; None draws one in a notebook and at a terminal.
    """
    found = store.counts()
    total = requested_trials(found)
    there = total - found["pending"] - (found["failed"] if retry_failed else 0)
    name = one_line(store.sweep.name)
    began = last = time.monotonic()
    log.info("%s: %d of %d trials are there, %d to compute", name, there, total, total - there)
    wanted = bar if bar is not None else _in_notebook() or sys.stderr.isatty()
    with _tqdm()(desc=name, total=total, initial=there, unit="trial", disable=not wanted) as drawn:

        def report(task: Outcome, so_far: Outcome) -> None:
            nonlocal last
            drawn.update(task.trials)
            done, now = there + so_far.trials, time.monotonic()
            if done >= total or now - last >= LOG_SECONDS:
                last = now
                log.info(
                    "%s: %d of %d trials after %.0f s, %d of them failed now",
                    name, done, total, now - began, so_far.failed,
                )  # fmt: skip

        yield report


def _tqdm() -> Any:
    """Return the bar of a notebook with widgets, or the plain one, which works everywhere."""
    if _in_notebook() and find_spec("ipywidgets"):
        return import_module("tqdm.notebook").tqdm
    return import_module("tqdm").tqdm


def _in_notebook() -> bool:
    """Return whether a Jupyter kernel runs this process."""
    ipython = sys.modules.get("IPython")
    return ipython is not None and hasattr(ipython.get_ipython(), "kernel")
