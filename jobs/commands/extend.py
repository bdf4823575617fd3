"""`widthlaw extend`: more seeds, n, d or widths for a store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from jobs.options import STORE, SWEEP, code_option
from jobs.output.records import print_change

if TYPE_CHECKING:
    from pipeline.store.location import StorePath
    from pipeline.sweep import Sweep

__all__ = ["extend"]


@click.command()
@click.argument("store", type=STORE)
@click.argument("sweep", type=SWEEP, required=False)
@click.option("--seeds", type=click.IntRange(min=1, max=10**7), help="Seeds 0 to SEEDS - 1.")
@click.option("--n", "numbers", type=int, multiple=True, help="Number of samples; may be repeated.")
@click.option("--d", "dimensions", type=int, multiple=True, help="Input dimension; may be repeated.")
@click.option(
    "--width",
    "widths",
    type=float,
    multiple=True,
    help="Width, in the unit of the store; may be repeated.",
)
@click.option("-o", "--output", "out", type=STORE, help="New store.  [default: change STORE in place]")
@click.option("--dry-run", is_flag=True, help="Show what would be done and stop.")
@code_option
def extend(
    store: StorePath,
    sweep: str | None,
    seeds: int | None,
    numbers: tuple[int, ...],
    dimensions: tuple[int, ...],
    widths: tuple[float, ...],
    out: StorePath | None,
    dry_run: bool,
    code: Path | None,
) -> None:
    """Add seeds, n, d or widths to STORE.

    The values are those of SWEEP, or those of the options. Nothing is computed again; `widthlaw run
    STORE` computes what is new. After `widthlaw refine`, extend also schedules the trials that refine
    skipped: all trials of SWEEP, or with options the new values at the widths and seeds of the
    store's original sweep. New values come under the sub-grids and conditions of the store; SWEEP may
    have others, which add trials and remove none.
    """
    from jobs.launch import loaded_sweep
    from pipeline.maintenance.grow import extend as extend_store
    from pipeline.maintenance.plan import grid, widened
    from pipeline.store import stored_sweep
    from pipeline.store.code import with_code

    given: dict[str, Sequence[float]] = {
        "seeds": range(seeds or 0),
        "n": numbers,
        "d": dimensions,
        "width": widths,
    }
    more = {key: values for key, values in given.items() if values}
    if sweep is None and not more and out is None:
        raise click.UsageError("nothing to add; give a SWEEP, --seeds, --n, --d or --width.")
    if code is not None or (more and sweep is None):  # more trials of an experiment of one's own
        with_code(store, stored_sweep(store), code)
    requested = loaded_sweep(sweep, runs=False)[0] if sweep is not None else None
    if requested is None and more:
        requested = grid(store)
    if requested is not None:
        requested = widened(requested, f"extend {store}", **more)
        _check_admitted(requested, more, store)
    change = extend_store(store, requested, out, dry_run=dry_run)
    if change.grown or out:
        print_change(change, out or store, dry_run)
        return
    click.echo(f"{store}: already has all of that; nothing was done", err=True)


def _check_admitted(sweep: Sweep, more: Mapping[str, Sequence[float]], store: StorePath) -> None:
    """Refuse new values at which the sub-grids or conditions of a sweep request no trial."""
    import numpy as np

    from pipeline.errors import StoreError
    from pipeline.selection import requested

    wanted = requested(sweep)
    for key, values in more.items():
        dim = "seed" if key == "seeds" else key
        rest = tuple(axis for axis, name in enumerate(sweep.dims) if name != dim)
        there = np.asarray(wanted.any(axis=rest))
        own = getattr(sweep, key)
        if left_out := [value for value in values if not there[own.index(value)]]:
            raise StoreError(
                f"store {store}: its sub-grids and conditions request no trial at {dim} = "
                f"{left_out[0]:g}; give a SWEEP whose own sub-grids and conditions do"
            )
