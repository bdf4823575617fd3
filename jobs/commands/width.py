"""`widthlaw width`: the width that your own data need, measured and predicted.

The command says what it read, and refuses rows on which alpha is 0 before any trial. Then it runs a
sweep of a few widths around the predicted one, and refines it. On structured data the measured width
may lie far from the prediction; the refinement goes outwards until it finds it.
"""

from __future__ import annotations

import csv
import math
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import click

from jobs.commands.refine import Goal, allocation_status, refuse_bucket, rounds
from jobs.options import (
    FILE,
    SHARE,
    STORE,
    WholeRange,
    complete_activation,
    force_option,
    listing_options,
    worker_options,
)
from jobs.output.files import check_outputs, overwrite_option
from jobs.output.own_width import answer_record, answer_records, draw_answer, explain
from jobs.output.records import FAILED, INCOMPLETE, Record, print_records

if TYPE_CHECKING:
    from analysis.refinement.allocation import Allocation
    from analysis.study import Study
    from jobs.own_rows import OwnRows
    from jobs.own_training import OwnTraining
    from pipeline.store.location import StorePath
    from pipeline.sweep import Sweep

__all__ = ["width"]

LIKELY = 0.01
"""Share of draws with repeated rows from which on no trial is run."""

ENDINGS = (".png", ".svg", ".pdf")


@click.command()
@click.argument("data", type=FILE)
@click.option("--n", type=int, required=True, help="Number of rows of DATA in each draw.")
@click.option(
    "--columns", metavar="A,B,...", help="Read these columns only: their names, or numbers from 0."
)
@click.option("--drop", metavar="A,B,...", help="Leave these columns out, such as labels.")
@click.option(
    "--labels",
    metavar="FILE|COLUMN",
    help="Measure training as well, on these labels: a .npy or .csv file with one for each row of DATA,"
    " or a column of DATA, which is no input then.",
)
@click.option(
    "--train",
    "trained",
    type=click.Choice(["output", "input", "both"]),
    help="Weights that are trained: v, W or both.  [default: both]",
)
@click.option(
    "--tolerance",
    type=click.FloatRange(1e-20, 1, min_open=True, max_open=True),
    help="Relative loss that training has to reach.  [default: 0.01]",
)
@click.option("--steps", type=WholeRange(1, 10**9), help="Steps that it has for it.  [default: 20000]")
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
    help="Target precision: half-width of the 95% interval of the critical width, relative to it."
    " Above about 5% it saves little: an interval from fewer draws could not be trusted.",
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
@force_option
@listing_options
def width(
    data: Path,
    n: int,
    columns: str | None,
    drop: str | None,
    labels: str | None,
    trained: str | None,
    tolerance: float | None,
    steps: int | None,
    activation: str,
    target: float,
    threshold: float | None,
    picture: Path | None,
    overwrite: bool,
    store: StorePath | None,
    workplace: dict[str, Any],
    force: bool,
    form: str | None,
) -> None:
    """Measure how wide a network must be for your own data.

    DATA is a .npy file of shape (samples, d), or a .csv file with a sample on each line. The first
    line of a .csv file holds the names of the columns if none of its fields is a number, or if it
    counts 0, 1, 2, ...; an empty first field is read as index. Every column is an input, unless
    --columns or --drop leaves it out. A remark is printed on one that looks like an index (no name, a
    name such as id, or values that rise by 1) or a label (a name such as label or target, or the first
    or last column if it alone has whole numbers, of at most 20 different values).

    Every draw takes --n of the rows without replacement, scaled to unit norm as Theorem 2 requires, and
    new weights. The table lists, over the draws:

    \b
    alpha             square root of the kernel's least eigenvalue (Assumption 4)
    sufficient width  width that suffices by the proof of Theorem 2
    k_edge            width predicted by the limiting spectrum (its left edge)
    k_edge_finite     the same, with the shift of the edge at finite n
    measured k*       width at which half of the draws succeed, with its 95%
                      interval
    training k*       with --labels: width at which half of the draws reach
                      --tolerance in --steps of gradient descent

    The last two are answers to different questions: measured k* concerns the features of random
    weights, whatever the labels; training k* concerns gradient descent on one set of labels. The
    prediction holds for data without structure; the measurement does not rely on it.
    Exit status: 0; 1 if there is no critical width, for example because alpha is 0; 3 if it is not yet
    known to the precision --to.
    """
    from analysis.success import THRESHOLD, Success
    from jobs import launch
    from jobs.own_rows import OwnRows
    from jobs.own_training import LABEL_FILES, OwnTraining
    from pipeline.errors import InputError

    if picture is not None and picture.suffix not in ENDINGS:
        raise InputError(f"width -o {picture}: expected an ending of {', '.join(ENDINGS)}")
    if picture is not None:
        check_outputs("width -o", [picture], overwrite)
    if store is not None:
        refuse_bucket(store, "give a path in a folder")
    if labels is None and (trained, tolerance, steps) != (None, None, None):
        raise InputError("width --train, --tolerance and --steps: belong to --labels; add it")
    of_column = (labels,) if labels is not None and Path(labels).suffix not in LABEL_FILES else ()
    rows = OwnRows(data, n, activation, _names(columns), (*_names(drop), *of_column))
    _tell(rows)
    training = None
    if labels is not None:
        training = OwnTraining(rows, labels, trained or "both", tolerance or 1e-2, steps or 20_000)
        launch.require_memory(training.sweep, workplace, force)
    launch.require_memory(rows.draft, workplace, force)
    sweep = None
    if cause := _why_no_width(rows):
        click.echo(f"{data}: no critical width, and no trial was run: {cause}", err=True)
        if picture is not None:
            click.echo(f"width -o {picture}: not drawn, because nothing was measured", err=True)
    else:
        sweep = rows.sweep(THRESHOLD if threshold is None else threshold)
    goal = Goal(target, Success(threshold))
    asked = _Asked(rows, sweep, training, goal, store, picture, workplace, force)
    with ExitStack() as stack:
        records, status = _measure(asked, stack)
        print_records(records, form)
    sys.exit(status)


@dataclass(frozen=True)
class _Asked:
    """The question: the rows, their sweep (None if there is no width), training, and the options."""

    rows: OwnRows
    sweep: Sweep | None
    training: OwnTraining | None
    goal: Goal
    store: StorePath | None
    picture: Path | None
    workplace: dict[str, Any]
    force: bool


def _names(text: str | None) -> tuple[str, ...]:
    """Split a list of names as a line of a .csv file: a name that has a comma stands in quotes."""
    return tuple(name.strip() for name in next(csv.reader([text]), [])) if text else ()


def _measure(asked: _Asked, stack: ExitStack) -> tuple[list[Record], int]:
    """Run and refine the sweeps; return the answer and the exit status."""
    from jobs import launch

    if asked.sweep is None and asked.training is None:
        return list(_records_of_zero(asked.rows)), FAILED
    path: StorePath = asked.store or _temporary(stack) / "width.zarr"
    fill = stack.enter_context(launch.filling(asked.workplace, keeps=asked.store is not None))
    if asked.sweep is None:
        records, status = list(_records_of_zero(asked.rows)), FAILED
    else:
        last, study = _refined(path, asked.sweep, asked, fill, asked.goal)
        records, status = list(answer_records(study)), allocation_status(last)
        explain(asked.rows, study, last.states[0], asked.goal.target)
        if asked.picture is not None:
            draw_answer(study, asked.picture)
    if asked.training is not None:
        record, other = _trained(asked, Path(path), fill)
        records, status = [*records, record], max(status, other, key=_gravity)
    return records, status


def _gravity(status: int) -> int:
    """Return the order of exit statuses: a failure, then what is open, then success."""
    return [0, INCOMPLETE, FAILED].index(status)


def _refined(
    path: StorePath, sweep: Sweep, asked: _Asked, fill: Callable[[StorePath], None], goal: Goal
) -> tuple[Allocation, Study]:
    """Run and refine a sweep to the goal; return the last allocation, and what the store answers."""
    from analysis.stores import load_store
    from analysis.study import Study
    from jobs import launch
    from pipeline import store as stores

    sweep = _resumed(path, sweep)
    require = partial(launch.require_memory, workplace=asked.workplace, force=asked.force)
    launch.check_memory(sweep, asked.workplace, asked.force)
    if not launch.is_complete(sweep, path):
        stores.open_or_create(path, sweep)
    last = rounds(path, goal, fill, require=require)
    return last, Study(load_store(path), goal.success)


def _trained(asked: _Asked, beside: Path, fill: Callable[[StorePath], None]) -> tuple[Record, int]:
    """Measure the width from which training succeeds; return its record and the exit status."""
    from analysis.refinement.allocation import LOST, OPEN
    from analysis.success import Success

    training = asked.training
    assert training is not None
    path = beside.with_name(f"{beside.stem}-training{beside.suffix}")
    if asked.store is not None:
        click.echo(f"{path}: keeps the trials of training", err=True)
    goal = Goal(asked.goal.target, Success())
    last, study = _refined(path, training.sweep, asked, fill, goal)
    cell, state = study.widths.squeeze(), last.states[0]
    if state.verdict in (LOST, OPEN):
        click.echo(f"{asked.rows.data}: no critical width of training: {state.why}", err=True)
    interval = (float(cell.k50), float(cell.k50_low), float(cell.k50_high))
    note = f"{training.words}; {cell.outcome.item()} from {int(cell.trials)} trials, 95% interval"
    return answer_record("training k*", *interval, note), allocation_status(last)


def _temporary(stack: ExitStack) -> Path:
    """Return a folder that does not outlive the command."""
    from jobs import interrupts

    folder = Path(stack.enter_context(TemporaryDirectory()))
    stack.enter_context(interrupts.scratch(folder))
    return folder


# ---- before any trial


def _tell(rows: OwnRows) -> None:
    """Print on stderr what was read, and what may be wrong with it."""
    from analysis.own_data import chance_of_repeats, reading, remarks

    rows.draft  # noqa: B018 (refuses what cannot be used)
    click.echo(f"{rows.data}: {reading(rows.table)}", err=True)
    click.echo(f"{rows.data}: rows are scaled to unit norm, as Theorem 2 requires", err=True)
    for remark in remarks(rows.table):
        click.echo(f"{rows.data}: {remark}", err=True)
    chance, groups = chance_of_repeats(rows.all, rows.n, rows.activation)
    if 0 < chance < LIKELY:
        click.echo(
            f"{rows.data}: {_repeats(groups)}; about {chance:.2g} of the draws hold two such rows, and "
            "there alpha is 0",
            err=True,
        )


def _repeats(groups: list[list[int]]) -> str:
    """Return a clause on the rows that coincide with another, with the first of them."""
    extra, (first, second, *_) = sum(map(len, groups)) - len(groups), groups[0]
    verb = "repeats another once it is scaled" if extra == 1 else "repeat others once they are scaled"
    return f"{extra} of the rows {verb} (row {second} is row {first}, from 0)"


def _why_no_width(rows: OwnRows) -> str:
    """Return why alpha is 0 in the first draws, or in too many of all draws; "" if it is not."""
    from analysis.own_data import chance_of_repeats
    from jobs.own_rows import FIRST_SEEDS
    from pipeline.theory.degenerate import cause_of_zero

    chance, groups = chance_of_repeats(rows.all, rows.n, rows.activation)
    if chance >= LIKELY:
        return (
            f"alpha is exactly 0 in about {chance:.0%} of the draws, because {_repeats(groups)}; "
            "remove duplicate rows"
        )
    for seed in range(FIRST_SEEDS):
        if cause := cause_of_zero(rows.draw(seed), rows.activation):
            return f"{cause.verdict} in draw {seed}, because {cause.text}; {cause.repair}"
    return ""


def _records_of_zero(rows: OwnRows) -> Iterator[Record]:
    """Yield the records of rows without a critical width: what is known without a trial."""
    import numpy as np

    from jobs.own_rows import FIRST_SEEDS
    from pipeline.theory.kernels import alpha

    values = [alpha(rows.draw(seed), rows.activation) for seed in range(FIRST_SEEDS)]
    spread = (float(np.median(values)), min(values), max(values))
    yield answer_record("alpha", *spread, f"median and range over the first {FIRST_SEEDS} draws")
    note = "none: alpha is 0 or lost to rounding in some draws"
    for quantity in ("sufficient width", "k_edge", "k_edge_finite", "measured k*"):
        yield answer_record(quantity, math.nan, math.nan, math.nan, note)


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
