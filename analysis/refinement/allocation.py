"""From a store to the trials of its next round of refinement.

`plans` decides what each cell needs; here the new trials of all cells become requests. Along another
axis than the width the cells are `lines` of trials.

All of it depends on the outcomes alone, so an interrupted refinement continues as if it had not been
interrupted. New values are points of one dyadic lattice, and new seeds are the smallest that a cell has
not used, so that refined stores can be merged.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import count, islice
from typing import Any

import numpy as np
import xarray as xr

from analysis.refinement.lines import Line, lines_of
from analysis.refinement.plans import LOCATED, LOST, OPEN, LineData, Plan, plan_of, precision
from analysis.success import Success
from analysis.transitions import critical_widths, success_counts
from analysis.transitions.descriptions import as_widths
from analysis.transitions.scales import ALONG_WIDTH, WIDTH, Along, Scale
from pipeline.errors import ParameterError
from pipeline.selection import admitted
from pipeline.sweep import Request, Sweep
from pipeline.trial_status import UNREQUESTED

__all__ = [
    "LEFT_OUT",
    "LOCATED",
    "LOST",
    "OPEN",
    "Allocation",
    "State",
    "allocate",
    "limited",
    "requests_of",
    "within_conditions",
]


@dataclass(frozen=True)
class State:
    """The precision of one cell, and the trials that it still needs.

    Attributes
    ----------
    line
        Its trials.
    at
        Its coordinates, by dimension; with tolerance and budget if it has them.
    outcome, k50, k50_low, k50_high
        From `critical_widths`; along another axis than the width, of n50 and so on.
    now
        Half the relative width of the interval; inf if an end is missing.
    seeds
        Number of seeds with an outcome.
    grid
        k at the widths of its first seed: its grid before refinement. Of another axis its values.
    verdict
        `LOCATED`, `OPEN` or `LOST`.
    why
        The reason for `LOST`, for `LOCATED` with an interval wider than the target, or for `OPEN` with
        one that is not.
    needed, each
        Seeds that are expected to reach the target, and the number of trials of each.
    """

    line: Line = field(compare=False, repr=False)
    at: Mapping[str, Any]
    outcome: str
    k50: float
    k50_low: float
    k50_high: float
    now: float
    seeds: int
    grid: tuple[float, ...]
    verdict: str
    why: str = ""
    needed: int = 0
    each: int = 1

    def seconds(self, uniform: bool = False) -> float:
        """Return the estimated time of the seeds that it needs, at one value or at its whole grid."""
        middle = self.k50 if math.isfinite(self.k50) else float(self.line.values[-1])
        values = self.grid if uniform else (middle,) * self.each
        return self.needed * self.line.seconds(values)


@dataclass(frozen=True)
class Allocation:
    """The state of every cell, and the requests of the next round; none if no cell is open."""

    states: tuple[State, ...]
    requests: tuple[Request, ...]

    @property
    def trials(self) -> int:
        """Number of trials of the next round."""
        return sum(len(request.seeds) for request in self.requests)


def allocate(
    ds: xr.Dataset,
    sweep: Sweep,
    target: float,
    *,
    limit: int | None = None,
    resamples: int = 1000,
    success: Success = Success(),  # noqa: B008 (frozen)
    along: Along = ALONG_WIDTH,
) -> Allocation:
    """Return the state of every cell and the trials to run next.

    Parameters
    ----------
    ds
        An opened store without pending trials; pending trials are ignored.
    sweep
        Its sweep, on its axes.
    target
        Half the relative width that the interval of k50 may have, such as 0.02.
    limit
        The most trials of the round.
    resamples
        Number of resamples for the intervals.
    success
        The success of a trial. With several tolerances or budgets a cell continues until it is
        located at all of them.
    along
        The axis of the transition.

    Returns
    -------
    Allocation

    Raises
    ------
    InputError
        The target is out of range (`ParameterError`), the store has no measure of success, or all
        trials have one outcome, so that the direction of success along another axis is not known.
    """
    if not 0 < target < 1:
        raise ParameterError("target", f"got {target:g}; expected between 0 and 1, such as 0.02 for 2%")
    if success.condition is None:
        ds = ds.drop_vars("kernel_eigenvalues", errors="ignore")  # no prediction is needed
    found = critical_widths(ds, resamples=resamples, success=success, along=along)
    scale = Scale(found.attrs["scale"] == "log", found.attrs["direction"] == "falling")
    counts = success_counts(ds, success=success, along=along).rename(trials="counted")
    _check_direction(counts, along)
    found = as_widths(found, along).merge(counts)
    requested = (~ds.status.isin(UNREQUESTED)).transpose(*sweep.dims).values
    # If the time of a seed is measured as a whole, more of its widths cost little.
    whole = sweep.nested and "seconds" in ds and "width" not in ds.seconds.dims
    together = along.is_width and whole
    states, plans = [], []
    for line in lines_of(sweep, requested, along.axis, scale):
        per_criterion = [
            LineData(found.isel({**line.at, **index}), line, together)
            for index in _criteria(found, line)
        ]
        line_plans = [plan_of(data, target) for data in per_criterion]
        states += [_state(data, plan) for data, plan in zip(per_criterion, line_plans, strict=True)]
        plans.append((line, line_plans))
    requests, stuck = within_conditions(list(requests_of(plans, sweep.seeds)), sweep)
    states = _without_trials(states, stuck)
    return Allocation(tuple(states), tuple(limited(requests, limit)))


def _check_direction(counts: xr.Dataset, along: Along) -> None:
    """Refuse to guess on which side of the grid a transition lies."""
    if along.is_width or along.direction is not None:
        return
    won, tried = int(counts.successes.sum()), int(counts.counted.sum())
    if tried and won in (0, tried):
        raise ParameterError(
            "direction",
            f"not given, and all {tried} trials {'succeed' if won else 'fail'}, so that they do not "
            f"show whether success rises or falls with {along.axis}; expected rising or falling",
        )


Asked = tuple[Line, Request]
"""A request, and the line that it is for."""

LEFT_OUT = "the conditions of the sweep leave out the trials that it needs"
"""Why a line is lost whose requests a sweep does not admit."""


def within_conditions(
    asked: Sequence[Asked], sweep: Sweep
) -> tuple[list[Request], set[tuple[int, ...]]]:
    """Return what a sweep's conditions leave of some requests, and the lines that have none left."""
    kept = [(line, replace(one, seeds=admitted(sweep, one))) for line, one in asked]
    stuck = {line.key for line, _ in asked} - {line.key for line, one in kept if one.seeds}
    return [one for _, one in kept if one.seeds], stuck


def _without_trials(states: Sequence[State], stuck: set[tuple[int, ...]]) -> list[State]:
    """Return states in which cells are lost that have no request left."""
    return [
        replace(state, verdict=LOST, why=LEFT_OUT, needed=0)
        if state.line.key in stuck and state.verdict == OPEN
        else state
        for state in states
    ]


def _criteria(found: xr.Dataset, line: Line) -> Iterator[dict[str, int]]:
    """Yield indices along the dims of the answer that are no axes of the store: tolerance, budget."""
    dims = [str(dim) for dim in found.k50.dims if dim not in line.at]
    for index in np.ndindex(*(found.sizes[dim] for dim in dims)):
        yield dict(zip(dims, index, strict=True))


def _state(data: LineData, plan: Plan) -> State:
    answer = data.answer
    at = {str(name): value.item() for name, value in answer.coords.items() if value.ndim == 0}
    if data.line.width is not None:  # a cell has one k, which says more than its place on the axis
        at = {"k": data.line.cell.widths[0]} | {name: at[name] for name in at if name != WIDTH}
    return State(
        line=data.line,
        at=at,
        outcome=data.outcome,
        k50=float(answer.k50),
        k50_low=float(answer.k50_low),
        k50_high=float(answer.k50_high),
        now=precision(data.low, data.high),
        seeds=data.seeds,
        grid=data.line.grid,
        verdict=plan.verdict,
        why=plan.why,
        needed=plan.needed,
        each=len(plan.values) if plan.together else 1,
    )


# ---- requests


def requests_of(plans: Iterable[tuple[Line, list[Plan]]], seeds: Sequence[int]) -> Iterator[Asked]:
    """Distribute the new seeds of every line over its values, the same seeds for all criteria."""
    for line, line_plans in plans:
        used = {seeds[at] for at in np.flatnonzero(line.requested.any(axis=0)).tolist()}
        most = max(plan.seeds for plan in line_plans)
        new = list(islice((seed for seed in count() if seed not in used), most))
        trials = dict.fromkeys(
            (value, seed)
            for plan in line_plans
            for number, seed in enumerate(new[: plan.seeds])
            for value in _values_of_seed(plan, number)
        )
        for value in sorted({value for value, _ in trials}):
            yield line, line.request(value, tuple(seed for at, seed in trials if at == value))


def _values_of_seed(plan: Plan, number: int) -> tuple[float, ...]:
    """Return the values of the new seed of a number."""
    if plan.together or not plan.values:
        return plan.values
    return (plan.values[number % len(plan.values)],)


def limited(requests: Iterable[Request], limit: int | None) -> Iterator[Request]:
    """Yield requests up to a number of trials."""
    left = math.inf if limit is None else max(0, limit)
    for request in requests:
        kept = request.seeds[: int(min(left, len(request.seeds)))]
        left -= len(kept)
        if kept:
            yield replace(request, seeds=kept)
