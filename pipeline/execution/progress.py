"""The progress of a run that Python started: a bar at a terminal, a display in a notebook, a log.

The command line draws a bar of its own (`jobs.launch`). The display of a notebook is not made here: an
installed package registers one by the entry-point group `widthlaw.displays`, as `analysis` does. It
takes a store and returns a context manager, which yields a function that is called whenever trials have
arrived. Without one, or where the caller asks for a bar, a notebook gets a bar.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from importlib import import_module
from importlib.metadata import entry_points
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from pipeline.printable import one_line
from pipeline.processes import in_notebook
from pipeline.store import Store
from pipeline.trial_status import requested_trials

if TYPE_CHECKING:
    from pipeline.execution.fill import Outcome

__all__ = ["reporting"]

DISPLAYS = "widthlaw.displays"
"""The entry-point group of displays."""

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
        Whether to draw a bar; None draws one at a terminal, and shows the store in a notebook.
    """
    found = store.counts()
    total = requested_trials(found)
    there = total - found["pending"] - (found["failed"] if retry_failed else 0)
    name = one_line(store.sweep.name)
    began = last = time.monotonic()
    log.info("%s: %d of %d trials are there, %d to compute", name, there, total, total - there)
    with ExitStack() as stack:
        shown = None
        if bar is None and in_notebook():
            shown = stack.enter_context(closing(_Display(store)))
            bar = not shown.shows
        wanted = sys.stderr.isatty() if bar is None else bar
        bars = _tqdm()(desc=name, total=total, initial=there, unit="trial", disable=not wanted)
        drawn = stack.enter_context(bars)

        def report(task: Outcome, so_far: Outcome) -> None:
            nonlocal last
            drawn.update(task.trials)
            if shown:
                shown.update()
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
    if in_notebook() and find_spec("ipywidgets"):
        return import_module("tqdm.notebook").tqdm
    return import_module("tqdm").tqdm


class _Display:
    """The registered display of a store. It comes from elsewhere: no error of it ends the run."""

    def __init__(self, store: Store) -> None:
        self._stack = ExitStack()
        self._updates: list[Callable[[], None]] = []
        with self._quietly():
            for point in entry_points(group=DISPLAYS, name="notebook"):
                self._updates.append(self._stack.enter_context(point.load()(store.location.name)))

    @property
    def shows(self) -> bool:
        """True if the store is shown."""
        return bool(self._updates)

    def update(self) -> None:
        """Show the store as it is now."""
        with self._quietly():
            for update in self._updates:
                update()

    def close(self) -> None:
        with self._quietly():
            self._stack.close()

    @contextmanager
    def _quietly(self) -> Iterator[None]:
        try:
            yield
        except Exception:
            self._updates = []
            log.warning("the run goes on, but its display has failed", exc_info=True)
