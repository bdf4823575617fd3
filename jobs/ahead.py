"""Workers that start while the plan is made.

Workers that are asked for by number, for a store that is not there yet, will be needed. So they start
before the command imports what reads and makes stores: its imports, its checks and the new store then
take the time in which it would wait for them. Nothing here may import Zarr.

A signal ends the command at once as long as workers start: nothing was computed yet.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from jobs import interrupts
from pipeline.execution import forkserver

if TYPE_CHECKING:
    from distributed import Client

    from pipeline.store.location import StorePath

__all__ = ["LOOK_SECONDS", "wants_dashboard", "workers_ahead"]

LOOK_SECONDS = 10.0
"""A run on this machine that is shorter has no dashboard unless it is asked for: it takes half a second
to import, and nobody opens it in time."""


def wants_dashboard(workplace: Mapping[str, Any], seconds: float) -> bool:
    """Return whether workers have a dashboard: if it is asked for, or the run is long enough to look.

    Parameters
    ----------
    workplace
        Keywords of `launch.cluster`.
    seconds
        Estimated time of the trials on one core.
    """
    if workplace["dashboard"] is not None:
        return bool(workplace["dashboard"])
    return seconds / (workplace["workers"] or os.cpu_count() or 1) >= LOOK_SECONDS


@contextmanager
def workers_ahead(
    sweep: str, store: StorePath | None, workplace: Mapping[str, Any]
) -> Iterator[Begun | None]:
    """Begin to start workers if they are named by number and the store is new, else yield None.

    Parameters
    ----------
    sweep, store
        As given to the command.
    workplace
        Keywords of `launch.cluster`.
    """
    number = workplace["workers"]
    if not number or _is_url(sweep) or os.path.isdir(sweep):
        yield None
        return
    with interrupts.starting():
        forkserver.start(number)  # imports on another core from here on
        begun = _begin(sweep, store, workplace)
    try:
        yield begun
    finally:
        if begun is not None:
            begun.close()


def _begin(sweep: str, store: StorePath | None, workplace: Mapping[str, Any]) -> Begun | None:
    from pipeline.blocks import estimated_seconds
    from pipeline.sweep_files.load import load_sweep

    loaded = load_sweep(sweep)
    path = store or f"{loaded.name}.zarr"
    if _is_url(path) or os.path.lexists(path):
        return None
    from pipeline.execution.local import begin

    dashboard = wants_dashboard(workplace, estimated_seconds(loaded))
    return Begun(begin(workplace["workers"], dashboard=dashboard))


def _is_url(path: object) -> bool:
    return "://" in str(path)  # as pipeline.store.location.is_url, which comes with Zarr


class Begun:
    """A client whose workers are starting; it is closed at the end, whoever has used it."""

    def __init__(self, wait: Callable[[], Client]) -> None:
        self._wait = wait
        self._client: Client | None = None

    def client(self) -> Client:
        """Wait for the client."""
        if self._client is None:
            self._client = self._wait()
        return self._client

    def close(self) -> None:
        """Close the client, after a wait if nobody has waited for it."""
        self.client().close()
