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
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from analysis.refinement.allocation import LEFT_OUT, limited, requests_of, within_conditions
from analysis.refinement.lines import Line, lines_of
from analysis.refinement.plans import FARTHEST, LOCATED, LOST, MOST_SEEDS, OPEN, Plan, precision
from analysis.slowing.cells import (
    VERDICTS,
    arriving,
    infinite_budget,
    near,
    restricted,
    trials_of,
)
from analysis.slowing.information import Outlook, Prospect, outlook_of, with_widths
from analysis.slowing.likelihood import Trials
from analysis.success.budgets import budget_of
from analysis.transitions.scales import RISING, WIDTH
from pipeline.blocks import seed_seconds
from pipeline.errors import ParameterError
from pipeline.sweep import Request, Sweep
from pipeline.trial_status import UNREQUESTED

__all__ = ["Longer", "Round", "TimeState", "next_round"]

NORMAL = 1.96
"""Half of a 95% interval in standard deviations."""

BATCH = 4
"""Seeds of a step that searches for the transition, and the fewest of any step."""

LEAST_SEEDS = 24
"""Seeds before a narrow interval is trusted: the model's own spreads are estimated from them."""

PATIENCE = 128
"""Seeds after which a cell without an answer is abandoned."""

GROWTH = 0.5
"""A round takes at most so many times the seconds that the cell has taken by now."""

STEP = 1.5
"""Factor of a step outwards, where the widths do not reach the transition."""

LONGER = 2
"""Factor of a larger budget."""

LONGEST = 64
"""Largest factor of the budget with which the search for trials that arrive began."""

HOPELESS = 0.05
"""A trial that arrives with less than this chance does not go on."""

MOST_WIDTHS = 4
"""Widths of a new seed, at most: those of one seed tell less and less."""

FINENESS = 1.09
"""Ratio of neighbouring widths among which a new seed chooses."""


@dataclass(frozen=True)
class TimeState:
    """The threshold of one cell and tolerance as far as it is known, and what it still needs.

    Attributes
    ----------
    line
        Its trials.
    at
        Its coordinates, with the tolerance.
    outcome
        A key of `analysis.slowing.VERDICTS`.
    k_inf, low, high
        The threshold and its interval; NaN if none is seen.
    seeds
        Number of seeds with an outcome.
    verdict, why
        `LOCATED`, `OPEN` or `LOST`, and the reason where the interval does not show it.
    plan
        The next seeds; none where trials go on.
    longer
        Indices (width, seed) of the trials that are to go on to a larger budget, along the axes of the
        store.
    seconds
        Core-seconds that it is expected to need, by estimate; NaN if that is not known.
    uniform
        Those of as many seeds at all widths of its first seed, up to the present budget.
    """

    line: Line = field(compare=False, repr=False)
    at: Mapping[str, Any]
    outcome: str
    k_inf: float
    low: float
    high: float
    seeds: int
    plan: Plan
    longer: tuple[tuple[int, int], ...] = ()
    seconds: float = 0.0
    uniform: float = 0.0

    @property
    def verdict(self) -> str:
        """`LOCATED`, `OPEN` or `LOST`."""
        return self.plan.verdict

    @property
    def why(self) -> str:
        """The reason where the interval does not show it."""
        return self.plan.why

    @property
    def now(self) -> float:
        """Half the relative width of the interval; inf if an end is missing."""
        return precision(self.low, self.high) if self.outcome == "threshold" else math.inf


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
        CellOfTimes(lines[key], axes, answer, own, costs[key], target, left).state(budget, longer)
        for (key, _), answer, (axes, own, _, _) in zip(every, answers, cells, strict=True)
        if key in lines
    ]
    if not left:
        return Round(tuple(states), (), None, spent)
    return _round(states, sweep, requested.shape, trials, spent, budget)


@dataclass(frozen=True)
class Costs:
    """The time of the trials of a cell, by estimate: of a start and of a step, at any width.

    Attributes
    ----------
    line
        The cell.
    taken
        Mean steps of the trials of each width that has some.
    spent
        Seconds of its trials by now.
    """

    line: Line
    taken: Mapping[int, float]
    spent: float

    @classmethod
    def of(cls, line: Line, taken: NDArray[np.float64]) -> Costs:
        """Return the costs of a cell from the steps that its trials took, (widths, seeds)."""
        ran, empty = np.isfinite(taken), cls(line, {}, 0.0)
        spent = math.fsum(
            empty.seconds(k, float(row[there].sum()), int(there.sum()))
            for k, row, there in zip(line.values, taken, ran, strict=True)
        )
        mean = {
            int(k): float(row[there].mean())
            for k, row, there in zip(line.values, taken, ran, strict=True)
            if there.any()
        }
        return cls(line, mean, spent)

    def seconds(self, k: float, steps: float, starts: int = 1) -> float:
        """Return the time of some starts, and some steps in all, at a width."""
        start, step = self._at(int(k))
        return starts * start + step * steps

    def _at(self, k: int) -> tuple[float, float]:
        """Return the time of a start and of a step: that of two budgets which every trial takes."""
        sweep, cell = self.line.sweep, replace(self.line.cell, widths=(k,))
        assert sweep.descent is not None
        ends = [seed_seconds(sweep.with_steps(steps), cell) for steps in (100, 200)]
        step = (ends[1] - ends[0]) / 100
        if step <= 0:  # the budget is no number, so the estimate is that of all steps
            return 0.0, ends[0] / sweep.descent.budget(cell, k)
        return ends[0] - 100 * step, step


Trial = tuple[int, int]
"""Indices of a width and a seed."""


@dataclass(frozen=True)
class Pattern:
    """Widths of new seeds, k, and what they are worth.

    Attributes
    ----------
    widths
        The widths.
    seconds, information
        The time of a seed, and what it tells.
    variance
        What remains of the variance after the seconds of a round.
    """

    widths: tuple[int, ...]
    seconds: float
    information: NDArray[np.float64]
    variance: float


@dataclass(frozen=True)
class CellOfTimes:
    """One cell and tolerance, and what is known of it."""

    line: Line
    at: Mapping[str, Any]
    row: Mapping[str, Any]
    trials: Trials
    costs: Costs
    target: float
    left: float

    @property
    def seeds(self) -> int:
        """Number of seeds with an outcome."""
        return int(self.trials.counted.any(axis=1).sum())

    def state(self, budget: int, longer: int) -> TimeState:
        """Return the state of the cell, with the trials that it needs next."""
        outcome = self.row["verdict"]
        k_inf, low, high = (self.row[name] for name in ("k_inf", "k_inf_low", "k_inf_high"))
        axes = {name: value for name, value in self.at.items() if name != "budget"}
        plan = self._settled()
        state = TimeState(self.line, axes, outcome, k_inf, low, high, self.seeds, plan or Plan(OPEN))
        if plan is None and outcome in ("threshold", "none seen"):
            return self._fitted(state, budget, longer)
        if plan is None and outcome == "all censored":
            state = self._all_censored(state, budget, longer)
        elif plan is None:
            state = replace(state, plan=self._search())
        return replace(state, seconds=math.nan) if state.verdict == OPEN else state

    def _settled(self) -> Plan | None:
        """Return the plan of a cell that is done, or that nothing helps."""
        verdict = self.row["verdict"]
        if verdict == "empty":
            return Plan(OPEN, "its trials are pending")
        if verdict != "threshold" and self.seeds >= PATIENCE:
            return Plan(LOST, f"{VERDICTS[verdict]}; it has {self.seeds} seeds")
        return None

    # ---- the search for the transition

    def _all_censored(self, state: TimeState, budget: int, longer: int) -> TimeState:
        """Return the state of a cell without arrivals: with wider networks, or longer trials.

        Either may be what is missing. The budget grows as the square of the width: every width takes
        some steps, while most grids of widths reach the transition.
        """
        widest = int(np.flatnonzero(self.trials.counted.any(axis=0))[-1])
        k = round(math.exp(self.trials.log_k[0, widest]))
        waits = self.trials.counted & ~self.trials.arrived
        grown = budget / round(math.exp(self.trials.log_time[waits].min()))
        why = f"after {budget} steps most are censored even at"
        if longer and (k / self.line.grid[-1]) ** 2 > grown:
            if LONGER * grown > LONGEST:
                return replace(state, plan=Plan(LOST, f"{why} k = {k}"))
            seeds = np.flatnonzero(waits[:, widest])
            # The rows of `trials` are the seeds of the store.
            return replace(state, longer=tuple((widest, seed) for seed in seeds.tolist()))
        return replace(state, plan=self._beyond(k * STEP, why))

    def _search(self) -> Plan:
        """Plan seeds at widths that make the cell one that can be fitted."""
        there = self.trials.counted.any(axis=0)
        k = np.exp(self.trials.log_k[0, there])
        if self.row["verdict"] == "none censored":
            return self._beyond(float(k[0]) / math.sqrt(STEP), "every trial arrives even at")
        half = arriving(self.trials)  # only widths at which trials arrive end the search
        base = float(np.exp(self.trials.log_k[0, half].min())) if half.any() else float(k[0])
        wanted = (base * factor for factor in (1.0, 1.15, 1.35, 1.6))
        widths = dict.fromkeys(self.line.lattice.near(one, 0.05) for one in wanted)
        return Plan(OPEN, "", BATCH, BATCH, tuple(widths), True)

    def _beyond(self, k: float, why: str) -> Plan:
        """Plan seeds beyond the widths that are there."""
        grid = self.line.grid
        log_k = self.trials.log_k[0, self.trials.counted.any(axis=0)]
        end = float(np.exp(log_k[-1 if k > np.exp(log_k[0]) else 0]))
        value = self.line.lattice.near(max(k, 1.0), 0.1)
        new = self.line.lattice.number(value)
        reached = not grid[0] / FARTHEST <= new <= grid[-1] * FARTHEST or not self.line.fits(new)
        if reached or abs(math.log(new / end)) < 1e-9:
            return Plan(LOST, f"{why} k = {end:g}")
        return Plan(OPEN, "", BATCH, BATCH, (value,), True)

    # ---- the choice of what tells most

    def _fitted(self, state: TimeState, budget: int, longer: int) -> TimeState:
        """Return the state of a cell with a fit: with new seeds, or trials that go on."""
        widths = near(self.trials)
        choices = self._choices(widths)
        part = with_widths(restricted(self.trials, widths), np.log(list(choices)))
        outlook = outlook_of(part, threshold=self.row["verdict"] == "threshold")
        if self._is_narrow(state, outlook):
            return replace(state, plan=Plan(LOCATED))
        most = min(GROWTH * self.costs.spent, self.left)
        best = self._pattern(outlook, list(choices), budget, most)
        going: list[Trial] = []
        if longer and self._pattern(outlook, list(choices), longer, most).variance < best.variance:
            going = self._going_on(outlook, widths, longer, most, best.variance)
        more = self._seeds(state, outlook, best)
        plan = Plan(
            OPEN,
            "" if state.now > self.target else "the interval may be narrow by chance",
            more,
            max(BATCH, min(more, int(most / best.seconds))),
            tuple(choices[k] for k in best.widths),
            True,
        )
        seconds, uniform = more * best.seconds, more * self._uniform(budget)
        return replace(state, plan=plan, longer=tuple(going), seconds=seconds, uniform=uniform)

    def _is_narrow(self, state: TimeState, outlook: Outlook) -> bool:
        """Return whether the interval is as narrow as the target, by the curvature of the fit too."""
        curved = math.expm1(NORMAL * math.sqrt(outlook.variance()))
        return self.seeds >= LEAST_SEEDS and max(state.now, curved) <= self.target

    def _uniform(self, budget: int) -> float:
        """Return the time of a seed at all widths of the grid, as far as is known."""
        arrives = np.exp(self.trials.log_k[0, near(self.trials)].min())
        steps = {k: self.costs.taken.get(int(k), budget) for k in self.line.grid}
        return math.fsum(
            self.costs.seconds(k, steps[k] if k >= arrives else budget) for k in self.line.grid
        )

    def _choices(self, widths: NDArray[np.bool_]) -> dict[int, float]:
        """Return the widths at which new seeds may run, k and value in the unit of the store."""
        log_k = self.trials.log_k[0, widths]
        least = math.log(self.row["k_inf"]) - 0.2 if self.row["k_inf"] > 0 else log_k[0] - 0.3
        count = math.ceil((log_k[-1] - least) / math.log(FINENESS))
        values = dict.fromkeys(
            self.line.lattice.near(math.exp(one), math.log(FINENESS) / 2)
            for one in np.linspace(max(least, 0.0), log_k[-1], max(count, 2)).tolist()
        )
        return {round(self.line.lattice.number(value)): value for value in values}

    def _pattern(self, outlook: Outlook, choices: Sequence[int], budget: int, most: float) -> Pattern:
        """Return the widths of new seeds that tell most, if they take so many seconds together."""
        best: Pattern | None = None
        while best is None or len(best.widths) < MOST_WIDTHS:
            there = best.widths if best else ()
            tried = [
                self._one_more(outlook, (*there, k), budget, most) for k in choices if k not in there
            ]
            wider = min(tried, key=lambda one: (one.variance, one.widths), default=best)
            if wider is None or (best is not None and wider.variance >= best.variance):
                break
            best = wider
        assert best is not None
        return replace(best, widths=tuple(sorted(best.widths)))

    def _one_more(self, outlook: Outlook, widths: tuple[int, ...], budget: int, most: float) -> Pattern:
        prospect = outlook.of_seed(np.log(widths), math.log(budget))
        seconds = self._seconds(widths, prospect)
        seeds = max(most / seconds, 1.0)
        return Pattern(
            widths, seconds, prospect.information, outlook.variance(seeds * prospect.information)
        )

    def _seconds(self, widths: Sequence[int], prospect: Prospect) -> float:
        pairs = zip(widths, prospect.steps.tolist(), strict=True)
        return math.fsum(self.costs.seconds(k, steps * self._beyond_tolerance(k)) for k, steps in pairs)

    def _beyond_tolerance(self, k: int) -> float:
        """Return how many steps trials take, up to their last tolerance, for each up to this one."""
        near_by = min(self.costs.taken, key=lambda one: abs(math.log(one / k)))
        column = int(np.argmin(np.abs(self.trials.log_k[0] - math.log(near_by))))
        there = self.trials.counted[:, column]
        own = float(np.exp(self.trials.log_time[there, column]).mean())
        return max(1.0, self.costs.taken[near_by] / own)

    def _going_on(
        self, outlook: Outlook, widths: NDArray[np.bool_], longer: int, most: float, least: float
    ) -> list[Trial]:
        """Return trials for a larger budget, if so many seconds of them tell more than new seeds do."""
        chosen: list[Trial] = []
        spent, told = 0.0, np.zeros_like(outlook.precision)
        prospects = self._prospects(outlook, widths, longer)
        now = outlook.variance()
        for _, seconds, trial, information in sorted(
            prospects, key=lambda one: (-(now - outlook.variance(one[3])) / one[1], one[2])
        ):
            if chosen and spent + seconds > most:
                break
            chosen.append(trial)
            spent, told = spent + seconds, told + information
        if not chosen:
            return []
        scale = max(1.0, most / spent)  # fewer seconds may tell less, but for less
        return chosen if outlook.variance(scale * told) < least else []

    def _prospects(
        self, outlook: Outlook, widths: NDArray[np.bool_], longer: int
    ) -> Iterator[tuple[float, float, Trial, NDArray[np.float64]]]:
        """Yield chance, seconds, index and information of the trials that may arrive later."""
        trials = self.trials
        rows = np.flatnonzero(trials.counted[:, widths].any(axis=1)).tolist()
        for row, seed in enumerate(rows):
            for column, width in enumerate(np.flatnonzero(widths).tolist()):
                if not trials.counted[seed, width] or trials.arrived[seed, width]:
                    continue
                prospect = outlook.of_longer(row, column, math.log(longer))
                chance = float(prospect.arrives[0])
                if chance < HOPELESS:
                    continue
                k, since = round(math.exp(trials.log_k[0, width])), trials.log_time[seed, width]
                steps = float(prospect.steps[0]) - (math.exp(since) if self._keeps else 0.0)
                seconds = self.costs.seconds(k, max(steps, 1.0) * self._beyond_tolerance(k))
                yield chance, seconds, (width, seed), prospect.information

    @property
    def _keeps(self) -> bool:
        descent = self.line.sweep.descent
        return descent is not None and descent.checkpoints

    def _seeds(self, state: TimeState, outlook: Outlook, best: Pattern) -> int:
        """Return how many seeds at some widths are expected to reach the target."""
        fewest = max(BATCH, LEAST_SEEDS - self.seeds)
        if state.outcome != "threshold":
            return max(fewest, self.seeds // 2)
        now = outlook.variance()
        wanted = now if state.now < math.inf else now / 4
        if state.now < math.inf:
            wanted *= (math.log1p(self.target) / math.log1p(state.now)) ** 2
        seeds = fewest
        while outlook.variance(seeds * best.information) > wanted and seeds < MOST_SEEDS:
            seeds *= 2
        return seeds


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
