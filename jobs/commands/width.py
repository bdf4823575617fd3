"""`widthlaw width`: the width that your own data need, measured and predicted.

The command runs a sweep of a few widths around the predicted one, and refines it. On structured data
the measured width may lie far from the prediction; the refinement goes outwards until it finds it.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import click

from jobs.commands.refine import Goal, allocation_status, refuse_bucket, rounds
from jobs.options import (
    FILE,
    SHARE,
    STORE,
    complete_activation,
    listing_options,
    worker_options,
)
from jobs.output.files import check_outputs, overwrite_option
from jobs.output.records import Record, print_records

if TYPE_CHECKING:
    import xarray as xr

    from analysis.refinement.allocation import State
    from analysis.study import Study
    from pipeline.store.location import StorePath
    from pipeline.sweep import Sweep

__all__ = ["own_sweep", "width"]

PROOF = "theorem2-proof"

SEEDS, AROUND = 4, (0.7, 0.9, 1.15, 1.5, 2.0)
"""The first sweep: number of draws, and widths relative to the predicted one."""

NAME_LETTERS = 30
"""Letters of a file's name that the name of its sweep takes; each has at most four bytes."""

MOST_WIDTH = 2**20
"""Largest width of the first sweep; the refinement starts here if the prediction is larger."""

ENDINGS = (".png", ".svg", ".pdf")


@click.command()
@click.argument("data", type=FILE)
@click.option("--n", type=int, required=True, help="Number of rows of DATA in each draw.")
@click.option(
    "--activation",
    default="relu",
    show_default=True,
    help="Activation of the hidden units.",
    shell_complete=complete_activation,
)
@click.option(
    "--to",
    "target",
    type=SHARE,
    default="5%",
    show_default=True,
    metavar="SHARE",
    help="Target precision: half-width of the 95% interval of the critical width, relative to it.",
)
@click.option(
    "--threshold",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    help="Success is sigma_min / sqrt(k) >= THRESHOLD * alpha.  [default: 0.5, as in Theorem 2]",
)
@click.option(
    "-o", "--output", "picture", type=FILE, help="Write a picture: a .png, .svg or .pdf file."
)
@click.option(
    "--store", type=STORE, help="Keep the trials here, and resume from them.  [default: not kept]"
)
@overwrite_option
@worker_options
@listing_options
def width(
    data: Path,
    n: int,
    activation: str,
    target: float,
    threshold: float | None,
    picture: Path | None,
    overwrite: bool,
    store: StorePath | None,
    workplace: dict[str, Any],
    form: str | None,
) -> None:
    """Measure how wide a network must be for your own data.

    DATA is a .npy file of shape (samples, d), or a .csv file with a sample on each line. Every draw
    takes --n of its rows without replacement, scaled to unit norm as Theorem 2 requires, and new
    weights. The table lists, over the draws:

    \b
    alpha             square root of the kernel's least eigenvalue (Assumption 4)
    sufficient width  width that suffices by the proof of Theorem 2
    k_edge            width predicted by the limiting spectrum (its left edge)
    k_edge_finite     the same, with the shift of the edge at finite n
    measured k*       width at which half of the draws succeed, with its 95%
                      interval

    The prediction holds for data without structure; the measurement does not rely on it.
    Exit status: 0; 1 if there is no critical width, for example because alpha is 0; 3 if it is not yet
    known to the precision --to.
    """
    from analysis.stores import load_store
    from analysis.study import Study
    from analysis.success import THRESHOLD, Success
    from jobs import launch
    from pipeline import store as stores
    from pipeline.errors import InputError

    if picture is not None and picture.suffix not in ENDINGS:
        raise InputError(f"width -o {picture}: expected an ending of {', '.join(ENDINGS)}")
    if picture is not None:
        check_outputs("width -o", [picture], overwrite)
    if store is not None:
        refuse_bucket(store, "give a path in a folder")
    sweep = own_sweep(data, n, activation, THRESHOLD if threshold is None else threshold)
    click.echo(f"{data}: rows are scaled to unit norm, as Theorem 2 requires", err=True)
    with ExitStack() as stack:
        path: StorePath = store or _temporary(stack) / "width.zarr"
        sweep = _resumed(path, sweep)
        if not launch.is_complete(sweep, path):
            stores.open_or_create(path, sweep)
        fill = stack.enter_context(launch.filling(workplace))
        success = Success(threshold)
        last = rounds(path, Goal(target, success), fill)
        study = Study(load_store(path), success)
        print_records(list(_records(study)), form)
        _explain(data, study, last.states[0])
        if picture is not None:
            _draw(study, picture)
        sys.exit(allocation_status(last))


def _temporary(stack: ExitStack) -> Path:
    """Return a folder that does not outlive the command."""
    from jobs import interrupts

    folder = Path(stack.enter_context(TemporaryDirectory()))
    stack.enter_context(interrupts.scratch(folder))
    return folder


def own_sweep(data: Path, n: int, activation: str, threshold: float) -> Sweep:
    """Return a sweep of the rows of a file, with widths around the predicted critical width.

    Parameters
    ----------
    data, n, activation, threshold
        As for `width`.

    Raises
    ------
    InputError
        The rows cannot be used, or the activation is unknown.
    """
    from pipeline.errors import InputError, shortened
    from pipeline.experiments import EXPERIMENTS
    from pipeline.input_files import UnusableFile, open_input
    from pipeline.numerics.activations import ACTIVATIONS
    from pipeline.sweep_files.extents import with_extents
    from pipeline.sweep_files.load import parse_sweep

    if n < 2:
        raise InputError(f"width: --n {n}: needs at least two rows; expected 2 or more")
    try:
        open_input(data, sys.maxsize).close()
    except UnusableFile as error:
        repair = "; give a .npy file of shape (samples, d) or a .csv" if error.missing else ""
        raise InputError(f"width {shortened(str(data))}: {error}{repair}") from None
    covered = EXPERIMENTS[PROOF].activations or ()
    experiment = PROOF if activation in covered or activation not in ACTIVATIONS else "conditioning"
    where = f"width {data}"

    def written(widths: list[int]) -> str:
        return (
            f'name = "{_name(data)}"\n'
            f'experiment = "{experiment}"\n'
            f"activation = {_quoted(activation)}\n"
            f'dataset = {{ kind = "file", path = {_quoted(str(data))}, normalise = true }}\n'
            f"n = [{n}]\n"
            f"width = {{ k = {widths} }}\n"
            f"seeds = {SEEDS}\n"
        )

    predicted = _predicted(parse_sweep(written([1]), where), threshold)
    if not math.isfinite(predicted):
        predicted = 2.0 * n  # alpha is 0 in the first draw; `_explain` reports it
    first = sorted({max(1, min(MOST_WIDTH, round(share * predicted))) for share in AROUND})
    return with_extents(parse_sweep(written(first), where), where)


def _name(data: Path) -> str:
    """Return a name for the sweep, after the first letters of the file's name."""
    words = "".join(letter if letter.isalnum() else "-" for letter in data.stem[:NAME_LETTERS])
    return f"width-{words}"


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")  # as TOML demands


def _predicted(sweep: Sweep, threshold: float) -> float:
    """Return the critical width that the edge predicts for the first draw; NaN if its alpha is 0."""
    from pipeline.numerics.datasets import draw
    from pipeline.numerics.streams import Role, stream
    from pipeline.theory.kernels import alpha_from_eigenvalues, kernel_eigenvalues, kernel_matrix
    from pipeline.theory.marchenko_pastur import critical_width

    d, n = sweep.d[0], sweep.n[0]
    X = draw(sweep.dataset[0], stream(sweep.entropy, d, n, 0, Role.DATA), n, d)
    eigenvalues = kernel_eigenvalues(kernel_matrix(X, sweep.activation[0]))
    if alpha_from_eigenvalues(eigenvalues) == 0:
        return math.nan
    return critical_width(eigenvalues, level=threshold**2, finite_size=True)


def _resumed(path: StorePath, sweep: Sweep) -> Sweep:
    """Return the sweep of an existing store, which must suit the new sweep, or the new sweep."""
    from pipeline import store as stores
    from pipeline.errors import StoreError
    from pipeline.store.location import locate

    if not locate(path).exists():
        return sweep
    stored = stores.stored_sweep(path)
    if (stored.identity, stored.n) != (sweep.identity, sweep.n):
        raise StoreError(f"store {path}: was made for other rows, n or activation; give a new path")
    return stored


# ---- the answer


def _explain(data: Path, study: Study, state: State) -> None:
    """Print on stderr the reason why there is no critical width, if there is none."""
    from analysis.refinement.allocation import LOST, OPEN

    if study.widths.outcome.item() == "degenerate":
        zero = _zero_draws(study.ds)
        click.echo(
            f"{data}: alpha is 0 in {zero} of {study.ds.sizes['seed']} draws, because rows coincide "
            "once they are scaled (or lie in another special position): no width is enough, and "
            "success against alpha is undefined; remove duplicate rows",
            err=True,
        )
    elif state.verdict in (LOST, OPEN):
        click.echo(f"{data}: no critical width: {state.why}", err=True)


def _draw(study: Study, picture: Path) -> None:
    from analysis.figures import save
    from analysis.figures.own_data import own_data_figure
    from pipeline.errors import InputError

    enough = _spread(study.ds, "sufficient_width")[0] if "sufficient_width" in study.ds else math.nan
    try:
        save(own_data_figure(study, enough), picture)
    except OSError as error:
        raise InputError(f"width -o {picture}: cannot be written ({error.strerror})") from None
    click.echo(str(picture), err=True)


def _records(study: Study) -> Iterator[Record]:
    """Yield a record for each quantity, with its range over the draws or its interval."""
    cell = study.widths.squeeze()
    yield _record("alpha", *_spread(study.ds, "alpha"), "median and range over the draws")
    if "sufficient_width" in study.ds:
        note = "sufficient by the proof of Theorem 2; median and range over the draws"
        yield _record("sufficient width", *_spread(study.ds, "sufficient_width"), note)
    else:
        note = "the proof of Theorem 2 does not cover this activation"
        yield _record("sufficient width", math.nan, math.nan, math.nan, note)
    yield _record(
        "k_edge",
        float(cell.k_edge),
        math.nan,
        math.nan,
        "predicted by the left edge of the limiting spectrum",
    )
    finite = float(cell.k_edge_finite)
    yield _record(
        "k_edge_finite", finite, math.nan, math.nan, "the same, with the shift of the edge at finite n"
    )
    interval = (float(cell.k50), float(cell.k50_low), float(cell.k50_high))
    outcome = str(cell.outcome.item())
    note = f"measured ({outcome}) from {int(cell.trials)} trials, with its 95% interval"
    yield _record("measured k*", *interval, note)


def _record(quantity: str, value: float, low: float, high: float, note: str) -> Record:
    return {"quantity": quantity, "value": value, "low": low, "high": high, "what": note}


def _spread(ds: xr.Dataset, name: str) -> tuple[float, float, float]:
    """Return the median and the range over the finished draws."""
    import numpy as np

    values = ds[name].values.ravel()
    values = values[~np.isnan(values)]
    if not values.size:
        return math.nan, math.nan, math.nan
    return float(np.median(values)), float(values.min()), float(values.max())


def _zero_draws(ds: xr.Dataset) -> int:
    from pipeline.trial_status import Status

    ran = (ds.status == Status.DONE).any("width")
    return int(((ds.alpha == 0) & ran).sum())
