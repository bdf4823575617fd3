"""Rounds of a refinement: look at a store, change it atomically, run what is pending then."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from pipeline.store.location import StorePath
    from pipeline.sweep import Cell, Request, Sweep

__all__ = ["add_trials", "repeat", "requested_cells"]

Look = TypeVar("Look")


def repeat(
    path: StorePath,
    fill: Callable[[StorePath], None],
    look: Callable[[], Look],
    change: Callable[[int, Look], bool],
) -> Look:
    """Change a store and run it until nothing is to be changed; return the last look.

    Parameters
    ----------
    path
        The store, in a folder. Trials that are pending already are run first.
    fill
        Function that runs the pending trials of a store.
    look
        Function that returns what is known of the store.
    change
        Function of the number of the round and a look that changes the store; False if it does not.
    """
    from pipeline import store as stores

    if stores.Store(path).counts()["pending"]:
        fill(path)
    for number in itertools.count(1):
        found = look()
        if not change(number, found):
            break
        fill(path)
    return found


def add_trials(
    path: StorePath,
    requests: Sequence[Request],
    require: Callable[..., None],
    report: Callable[[str], None],
    begin: str,
) -> None:
    """Request trials of a store and report them, unless `require` refuses what no worker can hold."""
    from pipeline import store as stores
    from pipeline.maintenance.grow import request_trials

    sweep = stores.stored_sweep(path)
    require(sweep, cells=requested_cells(requests, sweep))
    seeds = {(one.cell, seed) for one in requests for seed in one.seeds}
    report(f"{begin}; adding {sum(len(one.seeds) for one in requests)} trials of {len(seeds)} seeds")
    request_trials(path, requests)


def requested_cells(requests: Sequence[Request], sweep: Sweep) -> list[Cell]:
    """Return the cells of some requests, each with the width that it requests."""
    cells = {cell.index: cell for cell in sweep.cells()}

    def requested(request: Request) -> Cell:
        cell = cells[request.cell].moved(dict(request.sizes))
        return replace(cell, widths=replace(sweep, width=(request.width,)).k(cell.d, cell.n))

    return [requested(request) for request in requests]
