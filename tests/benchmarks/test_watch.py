"""CPU seconds of one update of a page, HTML included, while trials arrive in a large store."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from analysis.live.page import state_of
from analysis.live.view import View
from analysis.success import Success
from pipeline.store import Store, create
from pipeline.sweep import Sweep

from .calls import of_calls
from .large import fill_with_repeated_seeds

UPDATES = 8

MOST = 2e6
"""Half a second of CPU, in calls of a small function on an idle machine."""

LARGE = {
    "one cell": {"n": "[2]", "width": f"{{ k = {list(range(4, 104))} }}", "seeds": 10_000},
    "forty cells": {
        "d": list(range(2, 22)),
        "n": "[2, 3]",
        "width": f"{{ k = {list(range(3, 28))} }}",
        "seeds": 1000,
    },
}
"""Sweeps of a million trials."""


def cpu(call: Callable[[], object]) -> float:
    """Return the CPU time that a page waits for; laws are fitted in another thread meanwhile."""
    began = time.thread_time()
    call()
    return time.thread_time() - began


def updates(sweep: Sweep, path: Path) -> tuple[float, list[float]]:
    """Fill a store but for its last tiles; return the cost of the first look and of later ones."""
    create(path, sweep)
    store, view = Store(path, sweep), View(path, Success())
    todo = list(store.pending_tiles())
    fill_with_repeated_seeds(store, todo[:-UPDATES])

    def look() -> None:
        view.update()
        state_of([view])

    first, later = cpu(look), []
    while view.is_behind:
        later.append(cpu(look))
    for tile in todo[-UPDATES:]:
        fill_with_repeated_seeds(store, [tile])
        later.append(cpu(look))
    while view.is_behind:
        later.append(cpu(look))
    assert view.counts == {**view.counts, "done": sweep.trials}
    return first, later


@pytest.mark.benchmark
@pytest.mark.parametrize("shape", LARGE)
def test_a_million_trials_take_half_a_second_an_update(make_sweep, tmp_path, shape) -> None:
    keys = {"d": "[2]"} | LARGE[shape]
    sweep = make_sweep(**keys)
    assert sweep.trials == 10**6
    _, small = updates(make_sweep(**keys | {"seeds": 100}), tmp_path / "small.zarr")
    first, large = updates(sweep, tmp_path / "large.zarr")
    few, many = (float(np.median(found)) for found in (small, large))
    print(
        f"\n{shape}: {few:.2f} s of CPU an update at {sweep.trials * 100 // keys['seeds']:.0e} trials, "
        f"{many:.2f} s at 1e+06 (at most {max(large):.2f} s); the first look {first:.2f} s"
    )
    assert of_calls(many) < MOST
