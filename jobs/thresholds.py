"""`widthlaw refine --infinite-budget`: rounds of trials that tell most about thresholds.

As with critical widths, each round fits the store, makes one atomic change of it, and runs what is
pending then: new trials, or more steps for trials that have not arrived.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from jobs.output.records import FAILED, INCOMPLETE, Record, aligned, naming_options, print_records
from jobs.rounds import add_trials, repeat, requested_cells

if TYPE_CHECKING:
    from analysis.refinement.times import Round, TimeState
    from pipeline.store.location import StorePath
    from pipeline.sweep import Sweep

__all__ = ["ThresholdGoal", "refine_thresholds", "rounds_of_thresholds"]


@dataclass(frozen=True)
class ThresholdGoal:
    """The aim of a refinement of thresholds at infinite budget.

    Attributes
    ----------
    target
        Half the relative width that the interval of every k_inf may have, such as 0.05.
    trials
        The most trials that the store may hold; no limit if None.
    seconds
        Estimated core-seconds of the store's trials at which to stop; no limit if None.
    """

    target: float
    trials: int | None = None
    seconds: float | None = None


def refine_thresholds(
    path: StorePath,
    sweep: Sweep,
    goal: ThresholdGoal,
    workplace: dict[str, Any],
    *,
    code: Path | None,
    force: bool,
    dry_run: bool,
    form: str | None,
) -> int:
    """Print what is known of every threshold, run what tells most, and return the exit status."""
    from jobs import launch
    from pipeline import store as stores

    first = _look(path, goal)
    _print_plan(path, first, goal, form, dry_run)
    pending = stores.Store(path).counts()["pending"]
    if pending:
        click.echo(f"{path}: {pending} trials are pending and run first", err=True)
    launch.check_workplace(workplace)
    if pending:
        launch.check_memory(sweep, workplace, force, cells=stores.Store(path).pending_cells())
    require = partial(launch.require_memory, workplace=workplace, force=force)
    require(sweep, cells=requested_cells(first.requests, sweep))
    if dry_run:
        return 0
    with launch.filling(workplace, code=code) as fill:
        last = rounds_of_thresholds(path, goal, fill, require=require)
    print_records(list(_records(last.states, goal)), form, _keys(last))
    return _report(path, last, goal)


def rounds_of_thresholds(
    path: StorePath,
    goal: ThresholdGoal,
    fill: Callable[[StorePath], None],
    report: Callable[[str], None] = lambda line: click.echo(line, err=True),
    require: Callable[..., None] = lambda sweep, cells: None,
) -> Round:
    """Add trials and steps to a store and run them, until no more are needed.

    Parameters
    ----------
    path
        The store, in a folder.
    goal
        The precision that every threshold must reach, and the limits.
    fill
        Function that runs the pending trials of a store.
    report
        Function that is called with a line for each round.
    require
        Function of (sweep, cells=...) that refuses trials which no worker can hold, before they are
        requested.

    Returns
    -------
    Round
        The last one, which changes nothing.
    """
    from analysis.refinement.plans import OPEN
    from pipeline.maintenance.longer import lengthen

    def change(number: int, found: Round) -> bool:
        done = sum(state.verdict != OPEN for state in found.states)
        begin = f"round {number}: {done} of {len(found.states)} thresholds are done"
        if found.longer is not None:
            count = int(found.longer.only.sum())
            report(f"{begin}; {count} trials go on to {found.longer.steps} steps")
            lengthen(path, found.longer.steps, only=found.longer.only)
        elif found.requests:
            add_trials(path, found.requests, require, report, begin)
        return found.longer is not None or bool(found.requests)

    return repeat(path, fill, partial(_look, path, goal), change)


def _look(path: StorePath, goal: ThresholdGoal) -> Round:
    """Return what a store needs next."""
    from analysis.refinement.times import next_round
    from analysis.stores import open_store
    from pipeline import store as stores
    from pipeline.maintenance.longer import longest_budget

    limit = None if goal.trials is None else goal.trials - _held(path)
    with naming_options("refine", path):
        sweep = stores.stored_sweep(path)
        return next_round(
            open_store(path, dask=False),
            sweep,
            goal.target,
            trials=limit,
            seconds=goal.seconds,
            most_steps=longest_budget(sweep),
        )


def _held(path: StorePath) -> int:
    """Return the number of requested trials of a store, with and without an outcome."""
    from pipeline.store import Store
    from pipeline.trial_status import requested_trials

    return requested_trials(Store(path).counts())


# ---- reports


def _keys(found: Round) -> int:
    return max((len(state.at) for state in found.states), default=1)


def _print_plan(
    path: StorePath, found: Round, goal: ThresholdGoal, form: str | None, dry_run: bool
) -> None:
    """Print the state of every threshold, and what the targets need."""
    records = list(_records(found.states, goal))
    if dry_run:
        print_records(records, form, _keys(found))
    else:
        click.echo(aligned(records, _keys(found)), err=True)
    known = [state for state in found.states if not math.isnan(state.seconds)]
    unknown = len(found.states) - len(known)
    parts = [f"its trials took {found.spent:.1f} core-seconds by estimate"]
    if known:
        seconds, uniform = sum(one.seconds for one in known), sum(one.uniform for one in known)
        parts.append(
            f"those that are missing take about {seconds:.1f}; as many seeds at all widths of the grid "
            f"for the whole budget would take {uniform:.1f}"
        )
    if unknown:
        cells = "1 cell" if unknown == 1 else f"{unknown} cells"
        parts.append(f"the cost of {cells} is not known before a model of their times can be fitted")
    click.echo(f"{path}: {'; '.join(parts)}", err=True)
    if found.longer is not None:
        count = int(found.longer.only.sum())
        click.echo(f"{path}: {count} trials go on to {found.longer.steps} steps first", err=True)


def _records(states: Sequence[TimeState], goal: ThresholdGoal) -> Iterator[Record]:
    """Yield a record for each threshold: its state, and the cost of reaching the target."""
    for state in states:
        needed = state.plan.needed * max(1, len(state.plan.values))
        yield {
            **state.at,
            "outcome": state.outcome,
            "k_inf": state.k_inf,
            "k_inf_low": state.low,
            "k_inf_high": state.high,
            "now": f"{state.now:.2%}" if state.now < 1 else "-",
            "target": f"{goal.target:.2%}",
            "verdict": state.verdict + (f": {state.why}" if state.why else ""),
            "seeds": state.seeds,
            "trials": f"about {needed}" if needed else "0",
            "core-seconds": round(state.seconds, 2),
        }


def _report(path: StorePath, last: Round, goal: ThresholdGoal) -> int:
    """Print the result, and return the exit status."""
    from analysis.refinement.plans import LOCATED, LOST, OPEN
    from pipeline.store import Store

    verdicts = [state.verdict for state in last.states]
    failed = Store(path).counts()["failed"]
    parts = [
        f"{verdicts.count(LOCATED)} of {len(verdicts)} thresholds located with {_held(path)} trials "
        f"and {last.spent:.1f} core-seconds by estimate"
    ]
    if LOST in verdicts:
        parts.append(f"{verdicts.count(LOST)} not locatable")
    if failed:
        parts.append(f"{failed} trials failed")
    if OPEN in verdicts:
        parts.append(f"{verdicts.count(OPEN)} stopped by {_limit(goal)}; allow more to go on")
    parts.append(_tested(path))
    click.echo(f"{path}: {'; '.join(parts)}", err=True)
    return INCOMPLETE if OPEN in verdicts else FAILED if LOST in verdicts or failed else 0


def _tested(path: StorePath) -> str:
    """Return how the model of a store stands the held-out test: a threshold is no better than that."""
    from analysis.slowing import held_out_test
    from analysis.slowing.words import outcome_words
    from analysis.stores import open_store

    return outcome_words(held_out_test(open_store(path, dask=False)))


def _limit(goal: ThresholdGoal) -> str:
    limits = {"--trials": goal.trials, "--core-seconds": goal.seconds}
    return " or ".join(f"{name} {value:g}" for name, value in limits.items() if value is not None)
