"""From a store of descents to the trials that tell most about its thresholds at infinite budget.

Each cell and tolerance is fitted with the model of times (`analysis.slowing`). Trials are worth what
they are expected to take off the variance of log k_inf for a second of a core: new seeds at some
widths, or a larger budget for trials that have not arrived. A trial that would hardly ever arrive tells
next to nothing and costs its whole budget. So it is not begun, or not continued: it stays censored
where it is.

A round either adds trials or gives trials a larger budget, in one atomic change of the store. It
depends on outcomes alone, so an interrupted refinement continues as if it had not been interrupted: a
second is one by estimate, with the number of steps that trials were seen to take.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, replace

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from analysis.refinement.allocation import LEFT_OUT, limited, requests_of, within_conditions
from analysis.refinement.costs import Costs
from analysis.refinement.lines import Line, lines_of
from analysis.refinement.plans import LOST, OPEN, Plan
from analysis.refinement.time_cells import LONGER, CellOfTimes, TimeState
from analysis.refinement.time_choice import choose
from analysis.refinement.time_search import all_censored, search
from analysis.slowing.cells import VERDICTS, infinite_budget, trials_of
from analysis.success.budgets import budget_of
from analysis.transitions.scales import RISING, WIDTH
from pipeline.errors import ParameterError
from pipeline.sweep import Request, Sweep
from pipeline.trial_status import UNREQUESTED

__all__ = ["Longer", "Round", "TimeState", "next_round"]

PATIENCE = 128
"""Seeds after which a cell without an answer is abandoned."""


@dataclass(frozen=True)
class Longer:
    """A larger budget for some trials, mask of the shape of the store."""

    steps: int
    only: NDArray[np.bool_]


@dataclass(frozen=True)
class Round:
    """The state of every cell and tolerance, and the next change of the store: one kind, or none.

    `spent` are the core-seconds of the trials that are there, by estimate.
    """

    states: tuple[TimeState, ...]
    requests: tuple[Request, ...] = ()
    longer: Longer | None = None
    spent: float = 0.0


def next_round(
    ds: xr.Dataset,
    sweep: Sweep,
    target: float,
    *,
    trials: int | None = None,
    seconds: float | None = None,
    most_steps: int = 0,
) -> Round:
    """Return what is known of every threshold at infinite budget, and the trials to run next.

    Parameters
    ----------
    ds
        An opened store of descents without pending trials; pending trials are ignored.
    sweep
        Its sweep, on its axes.
    target
        Half the relative width that the interval of k_inf may have, such as 0.05.
    trials
        The most trials of the round.
    seconds
        Core-seconds of all trials of the store, by estimate, at which to stop.
    most_steps
        The largest budget that trials may go on to.

    Raises
    ------
    InputError
        The target is out of range (`ParameterError`), or the store has no times to a tolerance.
    """
    if not 0 < target < 1:
        raise ParameterError("target", f"got {target:g}; expected between 0 and 1, such as 0.05 for 5%")
    table, cells = infinite_budget(ds), trials_of(ds)
    answers = (dict(zip(table.columns.astype(str), row, strict=True)) for row in table.values.tolist())
    requested = (~ds.status.isin(UNREQUESTED)).transpose(*sweep.dims).values
    lines = {line.key: line for line in lines_of(sweep, requested, WIDTH, RISING)}
    taken = ds.steps.transpose(*sweep.dims).values
    costs = {key: Costs.of(line, taken[key]) for key, line in lines.items()}
    spent = math.fsum(one.spent for one in costs.values())
    left = math.inf if seconds is None else max(0.0, seconds - spent)
    budget = budget_of(ds)
    longer = LONGER * budget if LONGER * budget <= most_steps else 0
    every = itertools.product(np.ndindex(*sweep.shape[:-2]), range(ds.sizes["tolerance"]))
    states = [
        _state(CellOfTimes(lines[key], axes, answer, own, costs[key], target, left), budget, longer)
        for (key, _), answer, (axes, own, _, _) in zip(every, answers, cells, strict=True)
        if key in lines
    ]
    if not left:
        return Round(tuple(states), (), None, spent)
    return _round(states, sweep, requested.shape, trials, spent, budget)


def _state(cell: CellOfTimes, budget: int, longer: int) -> TimeState:
    """Return the state of the cell, with the trials that it needs next."""
    outcome = cell.row["verdict"]
    k_inf, low, high = (cell.row[name] for name in ("k_inf", "k_inf_low", "k_inf_high"))
    axes = {name: value for name, value in cell.at.items() if name != "budget"}
    plan = _settled(cell)
    state = TimeState(cell.line, axes, outcome, k_inf, low, high, cell.seeds, plan or Plan(OPEN))
    if plan is None and outcome in ("threshold", "none seen"):
        return choose(cell, state, budget, longer)
    if plan is None and outcome == "all censored":
        state = all_censored(cell, state, budget, longer)
    elif plan is None:
        state = replace(state, plan=search(cell))
    return replace(state, seconds=math.nan) if state.verdict == OPEN else state


def _settled(cell: CellOfTimes) -> Plan | None:
    """Return the plan of a cell that is done, or that nothing helps."""
    verdict = cell.row["verdict"]
    if verdict == "empty":
        return Plan(OPEN, "its trials are pending")
    if verdict != "threshold" and cell.seeds >= PATIENCE:
        return Plan(LOST, f"{VERDICTS[verdict]}; it has {cell.seeds} seeds")
    return None


def _round(
    states: list[TimeState],
    sweep: Sweep,
    shape: tuple[int, ...],
    trials: int | None,
    spent: float,
    budget: int,
) -> Round:
    """Return the round: trials that go on come first, since their past is paid."""
    only = np.zeros(shape, dtype=bool)
    for state in states:
        for width, seed in state.longer:
            only[(*state.line.cell.index, width, seed)] = True
    if only.any():
        return Round(tuple(states), (), Longer(LONGER * budget, only), spent)
    by_line: dict[tuple[int, ...], tuple[Line, list[Plan]]] = {}
    for state in states:
        by_line.setdefault(state.line.key, (state.line, []))[1].append(state.plan)
    kept, stuck = within_conditions(list(requests_of(by_line.values(), sweep.seeds)), sweep)
    told = tuple(
        replace(state, plan=Plan(LOST, LEFT_OUT), seconds=0.0)
        if state.line.key in stuck and state.verdict == OPEN
        else state
        for state in states
    )
    return Round(told, tuple(limited(kept, trials)), None, spent)
