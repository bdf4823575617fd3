"""`widthlaw run`: fill the store of a sweep with workers on this machine or at a scheduler."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from jobs.ahead import workers_ahead
from jobs.options import (
    PORT,
    STORE,
    SWEEP,
    accept_option,
    code_option,
    force_option,
    worker_options,
)
from jobs.output.records import Record, print_records

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pipeline.blocks import Tile
    from pipeline.store.location import StorePath
    from pipeline.sweep import Sweep

__all__ = ["plan_records", "run"]


@click.command()
@click.argument("sweep", type=SWEEP)
@click.option("-o", "--output", "store", type=STORE, help="Store.  [default: NAME.zarr]")
@worker_options
@click.option("--retry-failed", is_flag=True, help="Compute failed trials again.")
@click.option("--watch", is_flag=True, help="Show the store on a page while it is filled.")
@click.option("--port", type=PORT, help="Port of that page on 127.0.0.1.  [default: a free one]")
@click.option("--dry-run", is_flag=True, help="Show the plan and stop.")
@code_option
@accept_option
@force_option
def run(
    sweep: str,
    store: StorePath | None,
    workplace: dict[str, Any],
    retry_failed: bool,
    watch: bool,
    port: int | None,
    dry_run: bool,
    code: Path | None,
    accept_code: bool,
    force: bool,
) -> None:
    """Fill the store of SWEEP; the same command again resumes.

    SWEEP may also be a store, for example one that was extended or repaired: its own sweep is resumed.
    Trials that take less than a second together run in this process, unless workers are named.
    """
    if port is not None and not watch:
        raise click.UsageError("--port is that of the page of --watch; add --watch, or remove --port.")
    if dry_run:
        from jobs import launch

        loaded, path = launch.loaded_sweep(
            sweep, store, code=code, accept_code=accept_code, dry_run=True
        )
        _show_plan(loaded, path, workplace, retry_failed, force)
        return
    _check_page(watch, port)
    with workers_ahead(sweep, store, workplace) as begun:
        from jobs import interrupts, launch

        with interrupts.starting() if begun else nullcontext():
            loaded, path = launch.loaded_sweep(sweep, store, code=code, accept_code=accept_code)
            launch.check_workplace(workplace)
            if launch.is_complete(loaded, path, retry_failed):
                _tell_of_page(path, watch, "nothing is left to run")
                sys.exit(launch.report_run(path))
            seconds = launch.remaining_seconds(loaded, path, retry_failed)
            cells = launch.cells_to_run(loaded, path, retry_failed)
            quiet = launch.is_short(workplace, seconds)
            launch.check_memory(loaded, workplace, force, quiet, cells)
        with _page_of(path, watch, port), launch.workers(workplace, seconds, begun) as client:
            outcome = launch.run_sweep(loaded, path, client, retry_failed=retry_failed)
    _tell_of_page(path, watch, "the page has ended with the run")
    sys.exit(launch.report_run(path, outcome))


def _check_page(watch: bool, port: int | None) -> None:
    """Refuse a port that the page cannot have, before anything runs."""
    if watch and port:
        from jobs.watching import check_port

        check_port(port)


def _tell_of_page(path: StorePath, watch: bool, why: str) -> None:
    """Say why there is no page any more, and which command shows one."""
    if watch:
        click.echo(f"watch: {why}; `widthlaw watch {path}` shows the store", err=True)


def _page_of(path: StorePath, watch: bool, port: int | None) -> AbstractContextManager[None]:
    from jobs.commands.watch import watching

    return watching(path, port or 0) if watch else nullcontext()


def _show_plan(
    loaded: Sweep, path: StorePath, workplace: dict[str, Any], retry_failed: bool, force: bool
) -> None:
    """Print the plan of a run, and the memory that it needs."""
    from jobs import launch

    launch.check_workplace(workplace)
    print_records(plan_records(loaded, path, retry_failed), None)
    cells = launch.cells_to_run(loaded, path, retry_failed)
    launch.check_memory(loaded, workplace, force, cells=cells)


def plan_records(sweep: Sweep, path: StorePath, retry_failed: bool = False) -> list[Record]:
    """Return the plan of a run: all of the sweep, or what its store still lacks."""
    from dask.utils import format_bytes

    from jobs.launch import cells_to_run
    from pipeline.blocks import chunk_extents, cut_to_requests, tasks, tiles
    from pipeline.execution.memory import trial_memory, worker_memory
    from pipeline.execution.pace import time_left
    from pipeline.experiments import variables
    from pipeline.store import Store, as_in_store, check_store, check_target
    from pipeline.store.code import takes_code
    from pipeline.store.location import locate

    check_target(path, sweep)
    resumed = locate(path).exists()
    if resumed and takes_code(path, check_store(path), sweep):
        retry_failed = True  # as the run does: other code has failed
    sweep = as_in_store(path, sweep)
    store = Store(path, sweep)
    left = time_left(store, retry_failed) if resumed else None
    cells = cells_to_run(sweep, path, retry_failed)
    whole = list(store.pending_tiles(retry_failed) if resumed else tiles(sweep, chunk_extents(sweep)))
    cut = list(cut_to_requests(sweep, whole))
    seconds = [tile.seconds if left is None else left.of(tile) for tile in cut]
    excluded = sweep.possible_trials - sweep.trials
    plan = {
        "store": str(path),
        "exists": resumed,
        "identity": sweep.identity[:12],
        "trials": sweep.trials,
        **({"trials excluded": excluded} if sweep.requests else {}),
        "trials to compute": _trials_of(sweep, cut),
        "blocks": sum(len(tile.blocks) for tile in cut),
        "tasks": sum(1 for _ in tasks(cut)),
        "longest block, s": round(max(seconds, default=0.0), 2),
        "memory of a trial, at most": format_bytes(max(2**20, int(trial_memory(sweep, cells))))
        if cells
        else "0 B",
        "memory of a worker": format_bytes(int(worker_memory(sweep, cells)) if cells else 0),
        "new files, at most": len(cut) * (len(variables(sweep)) + 3) + 2 * (len(whole) - len(cut)) + 40,
        **_checkpoints_of(sweep),
        "core-hours": round(sum(seconds) / 3600, 4),
    }
    if left is not None and left.pace.cells:
        plan["times so far over their estimates"] = f"{left.pace.ratio:.3g}"
    return [{"plan": key, "value": str(value)} for key, value in plan.items()]


def _checkpoints_of(sweep: Sweep) -> Record:
    """Return the size of the checkpoints of a sweep that keeps some, if no trial is finished."""
    from dask.utils import format_bytes

    from pipeline.experiments.training_cost import checkpoint_bytes

    descent = sweep.descent
    if descent is None or not descent.checkpoints:
        return {}
    each = (checkpoint_bytes(cell, k, descent) for cell in sweep.requested_cells() for k in cell.widths)
    return {"checkpoints, at most": format_bytes(len(sweep.seeds) * sum(each))}


def _trials_of(sweep: Sweep, cut: Iterable[Tile]) -> int:
    """Return the number of trials of some tiles, without those that the sweep excludes."""
    from pipeline.selection import requested

    wanted = requested(sweep)
    blocks = (block for tile in cut for block in tile.blocks)
    return sum(int(wanted[one.cell.index][one.widths, one.seeds].sum()) for one in blocks)
