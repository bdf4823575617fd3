"""A store in a notebook: its progress and its phase diagram, in a frame that is updated in place.

`watch` follows a store in the background, whoever fills it. `showing` is what `pipeline.run` shows in a
notebook; `pipeline` finds it by the entry-point group `widthlaw.displays`, since it imports nothing
from here. Either takes a twentieth of the time at most.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import xarray as xr

from analysis.live.page import frame_of
from analysis.live.view import View
from analysis.success import Success
from pipeline.errors import InputError
from pipeline.processes import in_notebook
from pipeline.store.location import StorePath, normal

__all__ = ["Watch", "showing", "watch"]

PERIOD = 1.0
"""The fewest seconds between two looks at a store."""

SHARE = 20
"""The next look waits for so many times the seconds that the last one took."""

LAST_SECONDS = 5.0
"""Time for fits that are left when a run ends."""

_followed: dict[str, Watch] = {}
"""The stores that are followed: a cell of the notebook that is run again takes over."""


class Frame:
    """A store as it was at one moment, in the forms that a notebook chooses from."""

    def __init__(self, view: View) -> None:
        self._forms = {"text/plain": view.line, "text/html": frame_of(view)}

    def _repr_mimebundle_(self, *_: Any, **__: Any) -> dict[str, str]:
        return self._forms


class Shown:
    """A store on the display of a notebook.

    Parameters
    ----------
    view
        The store.
    display
        `IPython.display.display`.
    """

    def __init__(self, view: View, display: Callable[..., Any]) -> None:
        self.view, self._next = view, 0.0
        view.update()
        self._handle = display(Frame(view), display_id=True)
        self._wait(0.0)

    def update(self) -> None:
        """Look at the store, unless the last look was a moment ago, and show what has changed."""
        began = time.monotonic()
        if began >= self._next:
            self._show()
            self._wait(time.monotonic() - began)

    def finish(self) -> None:
        """Show the store as it is at the end."""
        end = time.monotonic() + LAST_SECONDS
        self._show()
        while self.view.is_behind and time.monotonic() < end:
            self._show()

    def _show(self) -> None:
        if self.view.update():
            self._handle.update(Frame(self.view))

    def _wait(self, took: float) -> None:
        self._next = time.monotonic() + max(PERIOD, SHARE * took)

    @property
    def pause(self) -> float:
        """Seconds until the next look."""
        return max(0.0, self._next - time.monotonic())


class Watch:
    """A store that a notebook shows until it is complete, or until `stop`.

    Attributes
    ----------
    view
        What is shown.
    """

    def __init__(self, shown: Shown) -> None:
        self.view, self._shown = shown.view, shown
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Follow the store no more; what is shown stays."""
        self._end.set()
        self._thread.join()

    def _follow(self) -> None:
        while not self._end.wait(self._shown.pause) and not self.view.is_complete:
            self._shown.update()

    def _ipython_display_(self) -> None:
        """Show nothing more: the display has the store already."""


def watch(
    store: StorePath,
    threshold: float | None = None,
    *,
    budgets: Sequence[int] | None = None,
    success: Success | xr.DataArray | str | None = None,
) -> Watch:
    """Show a store in a notebook, and follow it while trials arrive.

    The store is only read, in the background: it may be filled by another process, by a cluster or in a
    bucket, and it need not exist yet. (`pipeline.run` shows its store by itself.) A page with all
    answers comes from `widthlaw watch`.

    Parameters
    ----------
    store
        Path or s3:// URL of the store.
    threshold, budgets, success
        The success of a trial, as for `critical_widths`.

    Returns
    -------
    Watch
        Its method `stop` ends it. It ends by itself when no trial is pending.

    Raises
    ------
    InputError
        This is no notebook.

    Examples
    --------
    >>> watch("mine.zarr")  # at a Python prompt
    Traceback (most recent call last):
    pipeline.errors.InputError: watch mine.zarr: this is no notebook; `widthlaw watch` shows a page
    """
    if not in_notebook():
        raise InputError(f"watch {store}: this is no notebook; `widthlaw watch` shows a page")
    path = normal(store)
    if str(path) in _followed:
        _followed.pop(str(path)).stop()
    view = View(path, Success.of(threshold, budgets, success))
    _followed[str(path)] = found = Watch(Shown(view, _display()))
    return found


@contextmanager
def showing(store: StorePath) -> Iterator[Callable[[], None]]:
    """Show a store in the notebook that runs this process, while this block fills it.

    Yields
    ------
    A function that is called whenever trials have arrived.
    """
    shown = Shown(View(store, Success()), _display())
    try:
        yield shown.update
    finally:
        shown.finish()


def _display() -> Callable[..., Any]:
    display: Callable[..., Any] = import_module("IPython.display").display
    return display
