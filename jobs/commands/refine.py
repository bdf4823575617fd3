"""Refining a store: rounds of trials where they tell most, until every cell is located.

Each round looks at what is stored, asks the store for the next trials (one change, all or nothing),
and runs them as `run` does. So whatever ends it, the same command goes on: it runs what is pending,
and then decides as it would have done.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import click

from analysis.refinement.allocation import LOCATED, LOST, OPEN, Allocation, State, allocate
from analysis.success import Success
from jobs import launch
from jobs.commands.fit import check_rule
from jobs.output.records import INCOMPLETE, Record, aligned, asking, print_records
from pipeline import store as stores
from pipeline.blocks import estimated_seconds, seed_seconds
from pipeline.errors import StoreError
from pipeline.maintenance.grow import check_replaceable, request_trials
from pipeline.store import lease
from pipeline.store.location import Where, is_url, place
from pipeline.sweep import Sweep
from pipeline.trial_status import Status, requested_trials

__all__ = ["refine", "refuse_bucket", "rounds"]


def refine(
    path: Where,
    target: float,
    trials: int | None,
    dry_run: bool,
    success: Success,
    workplace: Mapping[str, Any],
    form: str | None,
) -> int:
    """Refine a store until half the relative width of every interval is at most `target`.

    Parameters
    ----------
    path
        The store, in a folder.
    target
        Such as 0.02 for 2%.
    trials
        The most trials that the store may ask for in all; no limit if None.
    dry_run
        Whether only to tell what it would take.
    success
        The success of a trial.
    workplace
        Where the workers are, as `launch.cluster` takes it.
    form
        How the table on stdout is printed.

    Returns
    -------
    int
        The exit status: 0; 1 where a cell is not locatable or trials failed; 3 where the limit of
        trials ended it.
    """
    sweep = _check(path, success)
    pending = stores.counts(path)["pending"]
    first = _look(path, target, trials, success)
    records = list(_records(first.states, sweep, target))
    if dry_run:
        print_records(records, form)
    else:
        click.echo(aligned(records), err=True)
    if pending:
        click.echo(f"{path}: {pending} trials are pending, and run first", err=True)
    _say_cost(path, first.states, sweep)
    if dry_run:
        return 0
    with launch.filling(workplace) as fill:
        last = rounds(path, target, trials, success, fill)
    print_records(list(_records(last.states, stores.stored_sweep(path), target)), form)
    return _report(path, last, trials)


def rounds(
    path: Where,
    target: float,
    trials: int | None,
    success: Success,
    fill: Callable[[Where], None],
    say: Callable[[str], None] = lambda line: click.echo(line, err=True),
) -> Allocation:
    """Ask a store for trials and have them run, until nothing more is to be asked for.

    Parameters
    ----------
    path, target, trials, success
        As for `refine`.
    fill
        Runs what is pending in a store.
    say
        Called with a line for each round.

    Returns
    -------
    Allocation
        The last one, without requests.
    """
    if stores.counts(path)["pending"]:
        fill(path)
    number = 0
    while True:
        allocation = _look(path, target, trials, success)
        if not allocation.requests:
            return allocation
        number += 1
        located = sum(state.verdict != OPEN for state in allocation.states)
        seeds = {(one.cell, seed) for one in allocation.requests for seed in one.seeds}
        say(
            f"round {number}: {located} of {len(allocation.states)} cells are done; asks for "
            f"{allocation.trials} trials of {len(seeds)} seeds"
        )
        request_trials(path, allocation.requests)
        fill(path)


def refuse_bucket(path: Where, remedy: str) -> None:
    """Refuse a store that cannot be refined where it lies."""
    if is_url(path):
        raise StoreError(
            f"store {path}: a bucket cannot replace a store at once, which every round does; {remedy}"
        )


def _check(path: Where, success: Success) -> Sweep:
    """Refuse what cannot be refined, before anything is done."""
    from analysis import open_store

    refuse_bucket(path, "refine a copy in a folder, and copy it back")

    sweep = stores.stored_sweep(path)
    launch.is_complete(sweep, path)
    lease.refuse(place(path))
    check_replaceable(place(path), sweep)
    with asking("refine", path):
        if success.condition is None:
            check_rule(open_store(path), path)
    return sweep


def _look(path: Where, target: float, trials: int | None, success: Success) -> Allocation:
    from analysis import open_store

    found = stores.counts(path)
    limit = None if trials is None else trials - requested_trials(found)
    with asking("refine", path):
        return allocate(
            open_store(path), stores.stored_sweep(path), target, limit=limit, success=success
        )


# ---- what is said


def _records(states: Sequence[State], sweep: Sweep, target: float) -> Iterator[Record]:
    """One record for each cell: where it stands, and what the target will take."""
    for state in states:
        sign = "≥ " if state.at_least else ""
        yield {
            **state.at,
            "outcome": state.outcome,
            "k50": state.k50,
            "k50_low": state.k50_low,
            "k50_high": state.k50_high,
            "now": f"{state.now:.2%}" if state.now < 1 else "-",
            "target": f"{target:.2%}",
            "verdict": state.verdict + (f": {state.why}" if state.why else ""),
            "seeds": state.seeds,
            "trials": f"{sign}{state.needed * state.each}",
            "core-seconds": round(_seconds(state, sweep), 2),
        }


def _seconds(state: State, sweep: Sweep, uniform: bool = False) -> float:
    """Estimated time of the seeds that a cell needs, at one width or at all of its grid."""
    cell = next(cell for cell in sweep.cells() if cell.index == state.cell)
    middle = state.k50 if state.k50 == state.k50 else cell.widths[-1]
    widths = state.grid if uniform else (round(middle),) * state.each
    return state.needed * seed_seconds(sweep, replace(cell, widths=widths))


def _say_cost(path: Where, states: Sequence[State], sweep: Sweep) -> None:
    """The total with what is pending, against new seeds at all widths of the grid."""
    pending = stores.statuses(path) == Status.PENDING
    first, before = int(pending.sum()), estimated_seconds(sweep, pending)
    trials = first + sum(state.needed * state.each for state in states)
    uniform = first + sum(state.needed * len(state.grid) for state in states)
    seconds, grid = (
        before + sum(_seconds(state, sweep, all_of) for state in states) for all_of in (False, True)
    )
    least = "at least " if any(state.at_least for state in states) else ""
    click.echo(
        f"{path}: will take {least}{trials} trials and {seconds:.1f} core-seconds; as many seeds at "
        f"all widths of the grid would take {uniform} and {grid:.1f}",
        err=True,
    )


def _report(path: Where, last: Allocation, trials: int | None) -> int:
    """Say how it ended, and return the exit status."""
    verdicts = [state.verdict for state in last.states]
    found = stores.counts(path)
    asked = requested_trials(found)
    lost, left = verdicts.count(LOST), verdicts.count(OPEN)
    told = [f"{verdicts.count(LOCATED)} of {len(verdicts)} cells located with {asked} trials"]
    told += [f"{lost} not locatable"] * bool(lost) + [f"{found['failed']} trials failed"] * bool(
        found["failed"]
    )
    if left:
        told.append(f"{left} wider than the target: --trials {trials} ended it, and more of them go on")
    click.echo(f"{path}: {'; '.join(told)}", err=True)
    return INCOMPLETE if left else 1 if lost or found["failed"] else 0
