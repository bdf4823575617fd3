"""`widthlaw extend`: more seeds, n, d or widths for a store, or a larger budget of steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from jobs.options import STORE, SWEEP, WholeRange, code_option
from jobs.output.records import print_change, print_continued

if TYPE_CHECKING:
    import numpy as np
    import xarray as xr
    from numpy.typing import NDArray

    from pipeline.store.location import StorePath
    from pipeline.sweep import Sweep

__all__ = ["extend"]

MOST_VALUES = 12
"""Most values of an axis that a message lists."""


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
@click.option(
    "--steps",
    type=WholeRange(min=0),
    help="Larger budget of every descent; trials go on from their checkpoints.",
)
@click.option("--where", help="With --steps: only trials that meet this condition get more steps.")
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
    steps: int | None,
    where: str | None,
    out: StorePath | None,
    dry_run: bool,
    code: Path | None,
) -> None:
    """Add seeds, n, d, widths or steps to STORE.

    The values are those of SWEEP, or those of the options. Nothing is computed again; `widthlaw run
    STORE` computes what is new. After `widthlaw refine`, extend also schedules the trials that refine
    skipped: all trials of SWEEP, or with options the new values at the widths and seeds of the
    store's original sweep. New values come under the sub-grids and conditions of the store; SWEEP may
    have others, which add trials and remove none.

    With --steps, trials that met all tolerances or diverged stay as they are. The others become
    pending, and go on from their checkpoints where the sweep keeps some (`checkpoints = true` in
    [descent]); else they start anew. Their results are those of a sweep with that budget, to the bit.
    Trials that do not meet --where stay at the steps that they took: they are censored there, and
    `fit` counts them neither as successes nor as failures of more steps.
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
    if steps is not None:
        if sweep is not None or more:
            raise click.UsageError("--steps stands alone; extend the store by other values afterwards.")
        _lengthen(store, steps, where, out, dry_run, code)
        return
    if where is not None:
        raise click.UsageError("--where chooses the trials that get more steps; add --steps.")
    if sweep is None and not more and out is None:
        raise click.UsageError("nothing to add; give a SWEEP, --seeds, --n, --d, --width or --steps.")
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


def _lengthen(
    store: StorePath,
    steps: int,
    where: str | None,
    out: StorePath | None,
    dry_run: bool,
    code: Path | None,
) -> None:
    """Give the descents of a store more steps; say how many go on, and how many start anew."""
    from pipeline.maintenance.longer import lengthen
    from pipeline.store import stored_sweep
    from pipeline.store.code import with_code

    if code is not None:
        with_code(store, stored_sweep(store), code)
    only = None if where is None else _meeting(store, where)
    change = lengthen(store, steps, out, only=only, dry_run=dry_run)
    if not (change.grown or change.written or dry_run or out):
        click.echo(f"{store}: has a budget of {steps} steps already; nothing was done", err=True)
        return
    print_change(change, out or store, dry_run)
    if change.continued is not None:
        print_continued(change.continued, out or store)


def _meeting(store: StorePath, where: str) -> NDArray[np.bool_]:
    """Return the trials of a store that meet a condition, in the shape of its statuses."""
    import xarray as xr

    from analysis.expressions import evaluate, names_in
    from analysis.stores import open_store
    from pipeline.errors import StoreError

    ds = open_store(store)
    met = evaluate(ds, where)
    if met.dtype != bool or not {*met.dims} <= {*ds.status.dims}:
        raise StoreError(
            f"store {store}: --where: got {where!r}, expected a condition that a trial meets or not, "
            "such as 'steps_to_tolerance[0.1] < 1000'"
        )
    whole, _ = xr.broadcast(met, ds.status)
    found: NDArray[np.bool_] = whole.transpose(*ds.status.dims).values
    if not found.any():
        known = "".join(f"; {name} is {_values_of(ds, name)}" for name in names_in(where) if name in ds)
        raise StoreError(f"store {store}: --where: got {where!r}, which no trial meets{known}")
    return found


def _values_of(ds: xr.Dataset, name: str) -> str:
    """Return the values of an axis, or the least and the largest value of a variable, as text."""
    import numpy as np

    values = ds[name].values
    if name in ds.dims and len(values) <= MOST_VALUES:
        return ", ".join(str(value) for value in values.tolist())
    known = values[np.isfinite(values)] if values.dtype.kind == "f" else values
    if known.dtype.kind not in "iuf" or not known.size:
        return "no number in any trial"
    return f"{known.min():g} to {known.max():g}"


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
