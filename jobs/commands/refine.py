"""`widthlaw refine`: rounds of trials where they are most informative, until every cell is located.

Each round fits the store, requests the next trials (one atomic change of the store), and runs them as
`run` does. So the same command resumes after any interruption: it runs the pending trials first, and
its next round is the one that it would have made without the interruption.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from jobs.options import (
    SHARE,
    STORE,
    WholeRange,
    along_options,
    code_option,
    force_option,
    listing_options,
    success_options,
    worker_options,
)
from jobs.output.records import FAILED, INCOMPLETE, Record, aligned, naming_options, print_records
from jobs.rounds import add_trials, repeat, requested_cells

if TYPE_CHECKING:
    from analysis.refinement.allocation import Allocation, State
    from analysis.success import Success
    from analysis.transitions.scales import Along
    from pipeline.store.location import StorePath
    from pipeline.sweep import Sweep

__all__ = [
    "Goal",
    "allocation_status",
    "refine",
    "refuse_bucket",
    "rounds",
]


@dataclass(frozen=True)
class Goal:
    """The aim of a refinement.

    Attributes
    ----------
    target
        Half the relative width that the interval of every k50, or n50, may have, such as 0.02.
    success
        The success of a trial.
    trials
        The most trials that the store may hold; no limit if None.
    along
        The axis of the transition; the width if None.
    """

    target: float
    success: Success
    trials: int | None = None
    along: Along | None = None


@click.command()
@click.argument("store", type=STORE)
@click.option(
    "--to",
    "target",
    type=SHARE,
    required=True,
    metavar="SHARE",
    help="Target precision: half-width of the 95% interval of k50 or n50, relative to it, such as 2%.",
)
@click.option(
    "--trials",
    type=WholeRange(min=1),
    metavar="N",
    help="Stop once STORE holds N trials, existing ones included.  [default: no limit]",
)
@click.option(
    "--infinite-budget",
    is_flag=True,
    help="Locate k_inf, below which descent never arrives, from the steps to each tolerance.",
)
@click.option(
    "--core-seconds",
    "core_seconds",
    type=click.FloatRange(min=0, min_open=True),
    metavar="S",
    help="With --infinite-budget: stop once the trials of STORE took S core-seconds, by estimate.",
)
@click.option("--dry-run", is_flag=True, help="Show the expected cost and stop.")
@worker_options
@code_option
@force_option
@success_options
@along_options
@listing_options
def refine(
    store: StorePath,
    target: float,
    trials: int | None,
    infinite_budget: bool,
    core_seconds: float | None,
    dry_run: bool,
    workplace: dict[str, Any],
    code: Path | None,
    force: bool,
    success: Success,
    along: Along,
    form: str | None,
) -> None:
    """Add trials to STORE until its critical values reach a precision.

    Start from a coarse sweep: a few widths and seeds. Each round fits every cell and adds seeds at
    one to three widths, where they are most informative: around k50; between the widths where
    failures end and successes begin; or outwards, where the grid does not reach the transition. STORE
    stays a dense cube; trials that were skipped are marked `not_requested`. The table shows for every
    cell:

    \b
    now      half the relative width of its interval, sqrt(k50_high / k50_low) - 1
    trials   about how many further trials it needs; a rough guess while no curve
             can be fitted
    verdict  located, open, or not locatable, and the reason where the interval
             does not show it

    With several tolerances (or --budget) a cell is located when it is located at all of them.

    With --along AXIS a cell is a combination of all other axes and one width, and STORE gives its
    widths as k. New values join along n and d. The values of any other axis belong to the identity of
    STORE: seeds are added at those that it has, and a cell is located as closely as these allow. Where
    AXIS has values that are not positive, precision is relative to the largest of them.

    With --infinite-budget the target is the precision of k_inf, the width below which no budget
    suffices, for every cell and tolerance (see `fit --infinite-budget`). Start from few seeds and a
    small budget, with `checkpoints = true` in [descent]. A round adds seeds at the widths that tell
    most about k_inf for a second of a core, or gives more steps to trials that have not arrived.
    Trials that would hardly ever arrive are not begun or not continued; they are censored where they
    stopped. A cell whose times show no finite threshold after 128 seeds is not locatable.

    The same command resumes after any interruption, and ends with the same store. Pending trials run
    first. Exit status: 0 all cells are located; 1 some are not locatable, or trials failed; 3
    --trials or --core-seconds stopped it.
    """
    from jobs import launch
    from pipeline import store as stores
    from pipeline.store.code import with_code

    _check_options(infinite_budget, core_seconds, success, along)
    if infinite_budget:
        options = {"code": code, "force": force, "dry_run": dry_run, "form": form}
        sys.exit(_thresholds(store, (target, trials, core_seconds), workplace, **options))
    sweep = with_code(store, _check(store, success, along, dry_run), code)
    pending = stores.Store(store).counts()["pending"]
    goal = Goal(target, success, trials, along)
    first = _look(store, goal)
    records = list(_records(first.states, goal))
    keys = max((len(state.at) for state in first.states), default=1)
    if dry_run:
        print_records(records, form, keys)
    else:
        click.echo(aligned(records, keys), err=True)
    if any(state.outcome == "degenerate" for state in first.states):
        _explain(store)
    if pending:
        click.echo(f"{store}: {pending} trials are pending and run first", err=True)
    _print_cost(store, first.states, sweep, along)
    there = _requested(store)
    if trials is not None and trials <= there:
        click.echo(f"{store}: holds {there} trials already: --trials {trials} allows no more", err=True)
    launch.check_workplace(workplace)
    if pending:
        launch.check_memory(sweep, workplace, force, cells=stores.Store(store).pending_cells())
    require = partial(launch.require_memory, workplace=workplace, force=force)
    require(sweep, cells=requested_cells(first.requests, sweep))
    if dry_run:
        return
    with launch.filling(workplace, code=code) as fill:
        last = rounds(store, goal, fill, require=require)
    print_records(list(_records(last.states, goal)), form, keys)
    sys.exit(_report(store, last, trials))


def _check_options(
    infinite_budget: bool, core_seconds: float | None, success: Success, along: Along
) -> None:
    """Refuse options that say nothing about what is sought."""
    from analysis.success import Success
    from analysis.transitions.scales import ALONG_WIDTH

    if infinite_budget and success != Success():
        raise click.UsageError(
            "--infinite-budget models the steps to each tolerance; remove --success, --threshold and "
            "--budget."
        )
    if infinite_budget and along != ALONG_WIDTH:
        raise click.UsageError("--infinite-budget seeks a width; remove --along and what goes with it.")
    if core_seconds is not None and not infinite_budget:
        raise click.UsageError("--core-seconds stops --infinite-budget; add that, or give --trials.")


def _thresholds(
    store: StorePath,
    goal: tuple[float, int | None, float | None],
    workplace: dict[str, Any],
    **options: Any,
) -> int:
    """Locate thresholds at infinite budget; return the exit status."""
    from jobs.thresholds import ThresholdGoal, refine_thresholds
    from pipeline.store.code import with_code

    sweep = with_code(store, _check_place(store, options["dry_run"]), options["code"])
    return refine_thresholds(store, sweep, ThresholdGoal(*goal), workplace, **options)


def rounds(
    path: StorePath,
    goal: Goal,
    fill: Callable[[StorePath], None],
    report: Callable[[str], None] = lambda line: click.echo(line, err=True),
    require: Callable[..., None] = lambda sweep, cells: None,
) -> Allocation:
    """Request trials of a store and run them, until no more are needed.

    Parameters
    ----------
    path
        The store, in a folder.
    goal
        The precision that every cell must reach, and the limit on trials.
    fill
        Function that runs the pending trials of a store.
    report
        Function that is called with a line for each round.
    require
        Function of (sweep, cells=...) that refuses trials which no worker can hold, before they are
        requested.

    Returns
    -------
    Allocation
        The last one, which requests no trial.
    """
    from analysis.refinement.allocation import OPEN

    def change(number: int, found: Allocation) -> bool:
        if found.requests:
            done = sum(state.verdict != OPEN for state in found.states)
            begin = f"round {number}: {done} of {len(found.states)} cells are done"
            add_trials(path, found.requests, require, report, begin)
        return bool(found.requests)

    return repeat(path, fill, partial(_look, path, goal), change)


def refuse_bucket(path: StorePath, remedy: str) -> None:
    """Refuse a store in a bucket, where it cannot be refined."""
    from pipeline.errors import StoreError
    from pipeline.store.location import is_url

    if is_url(path):
        raise StoreError(
            f"store {path}: S3 cannot replace a store atomically, and every round does that; {remedy}"
        )


def _check(path: StorePath, success: Success, along: Along, dry_run: bool) -> Sweep:
    """Refuse a store that cannot be refined, before anything is done."""
    from analysis.stores import open_store
    from jobs.commands.fit import require_success

    sweep = _check_place(path, dry_run, along)
    with naming_options("refine", path):
        if success.condition is None:
            require_success(open_store(path), path)
    return sweep


def _check_place(path: StorePath, dry_run: bool, along: Along | None = None) -> Sweep:
    """Refuse a store that cannot grow, or has no width to look along; return its sweep."""
    from jobs import launch
    from pipeline import store as stores
    from pipeline.maintenance.grow import check_replaceable
    from pipeline.store.location import locate

    refuse_bucket(path, "refine a copy in a folder, and copy it back")
    sweep = stores.stored_sweep(path)
    if along is not None:
        _require_width(path, sweep, along)
    launch.is_complete(sweep, path, dry_run=dry_run)  # which refuses a store that a run holds
    check_replaceable(locate(path), sweep)
    return sweep


def _require_width(path: StorePath, sweep: Sweep, along: Along) -> None:
    """Refuse to add widths to a sweep that has none: its trials would not heed them."""
    from pipeline.errors import CommandError
    from pipeline.sweep_files.load import gives_width

    if sweep.own is None or not along.is_width or gives_width(sweep):  # others say why they have none
        return
    axes = {"d": sweep.d, "n": sweep.n} | dict(sweep.parameters)
    others = [axis for axis, values in axes.items() if len(values) > 1 and not _are_words(values)]
    advice = " or ".join(f"--along {axis}" for axis in others)
    raise CommandError(
        f"refine {path}: its sweep has no width, which is the axis that refine looks along; "
        + (f"give {advice}" if others else "write width into the sweep, or another axis of numbers")
    )


def _are_words(values: Sequence[object]) -> bool:
    return isinstance(values[0], str)


def _look(path: StorePath, goal: Goal) -> Allocation:
    """Return the trials that a store needs next."""
    from analysis.refinement.allocation import allocate
    from analysis.stores import open_store
    from analysis.transitions.scales import ALONG_WIDTH
    from pipeline import store as stores

    limit = None if goal.trials is None else goal.trials - _requested(path)
    with naming_options("refine", path):
        sweep = stores.stored_sweep(path)
        return allocate(
            open_store(path),
            sweep,
            goal.target,
            limit=limit,
            success=goal.success,
            along=goal.along or ALONG_WIDTH,
        )


def _explain(path: StorePath) -> None:
    """Print on stderr why success is undefined in some cells."""
    from analysis.degenerate import causes_of_zero
    from analysis.stores import open_store

    for line in causes_of_zero(open_store(path)):
        click.echo(f"{path}: {line}", err=True)


def _requested(path: StorePath) -> int:
    """Return the number of requested trials of a store, with and without an outcome."""
    from pipeline.store import Store
    from pipeline.trial_status import requested_trials

    return requested_trials(Store(path).counts())


# ---- reports


def _records(states: Sequence[State], goal: Goal) -> Iterator[Record]:
    """Yield a record for each cell: its state, and the cost of reaching the target."""
    from analysis.transitions.descriptions import renamed
    from analysis.transitions.scales import ALONG_WIDTH

    names = [renamed(name, goal.along or ALONG_WIDTH) for name in ("k50", "k50_low", "k50_high")]
    for state in states:
        needed = state.needed * state.each
        yield {
            **state.at,
            "outcome": state.outcome,
            **dict(zip(names, (state.k50, state.k50_low, state.k50_high), strict=True)),
            "now": f"{state.now:.2%}" if state.now < 1 else "-",
            "target": f"{goal.target:.2%}",
            "verdict": state.verdict + (f": {state.why}" if state.why else ""),
            "seeds": state.seeds,
            "trials": f"about {needed}" if needed else "0",
            "core-seconds": round(state.seconds(), 2),
        }


def _print_cost(path: StorePath, states: Sequence[State], sweep: Sweep, along: Along) -> None:
    """Print the total cost with pending trials, and that of new seeds at the whole grid."""
    from analysis.refinement.allocation import OPEN
    from pipeline import store as stores
    from pipeline.blocks import estimated_seconds
    from pipeline.trial_status import Status

    pending = stores.Store(path).statuses() == Status.PENDING
    first, before = int(pending.sum()), estimated_seconds(sweep, pending)
    trials = first + sum(state.needed * state.each for state in states)
    uniform = first + sum(state.needed * len(state.grid) for state in states)
    seconds, grid = (
        before + sum(state.seconds(all_of) for state in states) for all_of in (False, True)
    )
    blind = any(state.verdict == OPEN and not state.needed for state in states)
    places = "widths of the grid" if along.is_width else f"values of {along.axis}"
    later = "; what follows depends on the pending trials" if blind else ""
    click.echo(
        f"{path}: needs about {trials} trials and {seconds:.1f} core-seconds; as many seeds "
        f"at all {places} would need {uniform} and {grid:.1f}{later}",
        err=True,
    )


def _report(path: StorePath, last: Allocation, trials: int | None) -> int:
    """Print the result, and return the exit status."""
    from analysis.refinement.allocation import LOCATED, LOST, OPEN
    from pipeline.store import Store

    verdicts = [state.verdict for state in last.states]
    failed = Store(path).counts()["failed"]
    lost, left = verdicts.count(LOST), verdicts.count(OPEN)
    parts = [
        f"{verdicts.count(LOCATED)} of {len(verdicts)} cells located with {_requested(path)} trials"
    ]
    if lost:
        parts.append(f"{lost} not locatable")
    if failed:
        parts.append(f"{failed} trials failed")
    if left:
        parts.append(
            f"{left} still wider than the target: stopped at --trials {trials}; allow more to go on"
        )
    for words in _reasons(last.states):
        click.echo(f"{path}: {words}", err=True)
    click.echo(f"{path}: {'; '.join(parts)}", err=True)
    return allocation_status(last, failed)


def _reasons(states: Sequence[State]) -> Iterator[str]:
    """Yield a sentence on each reason for which cells are not locatable."""
    from analysis.axes import label
    from analysis.refinement.allocation import LOST
    from analysis.transitions.disorder import of_cells

    varying = [axis for axis in states[0].at if len({state.at[axis] for state in states}) > 1]
    cells: dict[str, list[str]] = {}
    for state in states:
        if state.verdict == LOST:
            name = ", ".join(label(axis, state.at[axis]) for axis in varying)
            cells.setdefault(state.why, []).append(name)
    for why, names in cells.items():
        yield of_cells(names, f"not locatable: {why}")


def allocation_status(last: Allocation, failed: int = 0) -> int:
    """Return the exit status: 3 if a cell is still open, 1 if one is not locatable or trials failed."""
    from analysis.refinement.allocation import LOST, OPEN

    verdicts = {state.verdict for state in last.states}
    return INCOMPLETE if OPEN in verdicts else FAILED if LOST in verdicts or failed else 0
