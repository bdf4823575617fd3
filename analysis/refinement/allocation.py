"""From a store to the trials of its next round of refinement.

`plans` decides what each cell needs; here the new trials of all cells become requests.

All of it depends on the outcomes alone, so an interrupted refinement continues as if it had not been
interrupted. New widths are points of one dyadic lattice in log width, and new seeds are the smallest
that a cell has not used, so that refined stores can be merged.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count, islice
from typing import Any

import numpy as np
import xarray as xr

from analysis.refinement.lattice import Widths
from analysis.refinement.plans import LOCATED, LOST, OPEN, CellData, Plan, plan_of, precision
from analysis.success import Success
from analysis.transitions import critical_widths, success_counts
from pipeline.errors import ParameterError
from pipeline.selection import admitted
from pipeline.sweep import Request, Sweep
from pipeline.trial_status import UNREQUESTED

__all__ = ["LOCATED", "LOST", "OPEN", "Allocation", "State", "allocate"]


@dataclass(frozen=True)
class State:
    """The precision of one cell, and the trials that it still needs.

    Attributes
    ----------
    cell
        Its index on the leading axes of the store.
    at
        Its coordinates, by dimension; with tolerance and budget if it has them.
    outcome, k50, k50_low, k50_high
        From `critical_widths`.
    now
        Half the relative width of the interval; inf if an end is missing.
    seeds
        Number of seeds with an outcome.
    grid
        k at the widths of its first seed: its grid before refinement.
    verdict
        `LOCATED`, `OPEN` or `LOST`.
    why
        The reason for `LOST`, for `LOCATED` with an interval wider than the target, or for `OPEN` with
        one that is not.
    needed, each
        Seeds that are expected to reach the target, and the number of trials of each.
    """

    cell: tuple[int, ...]
    at: Mapping[str, Any]
    outcome: str
    k50: float
    k50_low: float
    k50_high: float
    now: float
    seeds: int
    grid: tuple[int, ...]
    verdict: str
    why: str = ""
    needed: int = 0
    each: int = 1


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

    Returns
    -------
    Allocation

    Raises
    ------
    InputError
        The target is out of range (`ParameterError`), or the store has no measure of success.
    """
    if not 0 < target < 1:
        raise ParameterError("target", f"got {target:g}; expected between 0 and 1, such as 0.02 for 2%")
    if success.condition is None:
        ds = ds.drop_vars("kernel_eigenvalues", errors="ignore")  # no prediction is needed
    found = critical_widths(ds, resamples=resamples, success=success)
    found = found.merge(success_counts(ds, success=success).rename(trials="counted"))
    requested = (~ds.status.isin(UNREQUESTED)).transpose(*sweep.dims).values
    widths = Widths(sweep)
    # If the time of a seed is measured as a whole, more of its widths cost little.
    together = sweep.nested and "seconds" in ds and "width" not in ds.seconds.dims
    states, plans = [], []
    for cell in sweep.cells():
        if not requested[cell.index].any():  # its sub-grids and conditions leave the cell out
            continue
        at = dict(zip(sweep.axes, cell.index, strict=True))
        of_first = requested[cell.index][:, np.argmax(requested[cell.index].any(axis=0))]
        grid = tuple(np.array(cell.widths)[of_first].tolist())
        per_criterion = [
            CellData(found.isel(at | index), cell, grid, widths, together)
            for index in _criteria(found, sweep)
        ]
        cell_plans = [plan_of(data, target) for data in per_criterion]
        states += [_state(data, plan) for data, plan in zip(per_criterion, cell_plans, strict=True)]
        plans.append((cell.index, cell_plans))
    requests = list(_requests(plans, requested, sweep.seeds))
    kept = [Request(one.cell, one.width, admitted(sweep, one)) for one in requests]
    states = _without_trials(states, requests, kept)
    return Allocation(tuple(states), tuple(_limited((one for one in kept if one.seeds), limit)))


def _without_trials(
    states: Sequence[State], requests: Sequence[Request], kept: Sequence[Request]
) -> list[State]:
    """Return states in which cells are lost if the sweep's conditions leave out all they ask for."""
    asked = {one.cell for one in requests}
    stuck = asked - {one.cell for one in kept if one.seeds}
    why = "the conditions of the sweep leave out the trials that it needs"
    return [
        replace(state, verdict=LOST, why=why, needed=0)
        if state.cell in stuck and state.verdict == OPEN
        else state
        for state in states
    ]


def _criteria(found: xr.Dataset, sweep: Sweep) -> Iterator[dict[str, int]]:
    """Yield indices along the dims of the answer that are no axes of the store: tolerance, budget."""
    dims = [str(dim) for dim in found.k50.dims if dim not in sweep.axes]
    for index in np.ndindex(*(found.sizes[dim] for dim in dims)):
        yield dict(zip(dims, index, strict=True))


def _state(data: CellData, plan: Plan) -> State:
    coords = data.answer.coords.items()
    return State(
        cell=data.cell.index,
        at={str(name): value.item() for name, value in coords if value.ndim == 0},
        outcome=data.outcome,
        k50=data.k50,
        k50_low=data.low,
        k50_high=data.high,
        now=precision(data.low, data.high),
        seeds=data.seeds,
        grid=data.grid,
        verdict=plan.verdict,
        why=plan.why,
        needed=plan.needed,
        each=len(plan.widths) if plan.together else 1,
    )


# ---- requests


def _requests(
    plans: Sequence[tuple[tuple[int, ...], list[Plan]]], requested: Any, seeds: Sequence[int]
) -> Iterator[Request]:
    """Distribute the new seeds of every cell over its widths, the same seeds for all criteria."""
    for index, cell_plans in plans:
        used = {seeds[at] for at in np.flatnonzero(requested[index].any(axis=0)).tolist()}
        most = max(plan.seeds for plan in cell_plans)
        new = list(islice((seed for seed in count() if seed not in used), most))
        trials = dict.fromkeys(
            (width, seed)
            for plan in cell_plans
            for number, seed in enumerate(new[: plan.seeds])
            for width in _widths_of_seed(plan, number)
        )
        for width in sorted({width for width, _ in trials}):
            yield Request(index, width, tuple(seed for at, seed in trials if at == width))


def _widths_of_seed(plan: Plan, number: int) -> tuple[float, ...]:
    """Return the widths of the new seed of a number."""
    if plan.together or not plan.widths:
        return plan.widths
    return (plan.widths[number % len(plan.widths)],)


def _limited(requests: Iterator[Request], limit: int | None) -> Iterator[Request]:
    """Yield requests up to a number of trials."""
    left = math.inf if limit is None else max(0, limit)
    for request in requests:
        kept = request.seeds[: int(min(left, len(request.seeds)))]
        left -= len(kept)
        if kept:
            yield Request(request.cell, request.width, kept)
