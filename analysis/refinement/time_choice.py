"""The choice of the trials that tell most about the threshold of a fitted cell for their time.

New seeds at some widths compete with a larger budget for trials that have not arrived.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from analysis.refinement.plans import LOCATED, MOST_SEEDS, OPEN, Plan
from analysis.refinement.time_cells import BATCH, CellOfTimes, TimeState
from analysis.slowing.cells import near, restricted
from analysis.slowing.information import Outlook, outlook_of, with_widths

__all__ = ["choose"]

NORMAL = 1.96
"""Half of a 95% interval in standard deviations."""

LEAST_SEEDS = 24
"""Seeds before a narrow interval is trusted: the model's own spreads are estimated from them."""

GROWTH = 0.5
"""A round takes at most so many times the seconds that the cell has taken by now."""

HOPELESS = 0.05
"""A trial that arrives with less than this chance does not go on."""

MOST_WIDTHS = 4
"""Widths of a new seed, at most: those of one seed tell less and less."""

FINENESS = 1.09
"""Ratio of neighbouring widths among which a new seed chooses."""


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


def choose(cell: CellOfTimes, state: TimeState, budget: int, longer: int) -> TimeState:
    """Return the state of a cell with a fit: with new seeds, or trials that go on.

    Parameters
    ----------
    cell
        The cell, with a threshold or with a fit that sees none.
    state
        What is known of it.
    budget
        The budget of new trials, in steps.
    longer
        A larger budget for trials that are there; 0 if they may have none.
    """
    choice = Choice.of(cell)
    if choice.is_narrow(state):
        return replace(state, plan=Plan(LOCATED))
    best = choice.pattern(budget)
    going: list[Trial] = []
    if longer and choice.pattern(longer).variance < best.variance:
        going = choice.going_on(longer, best.variance)
    more = choice.seeds(state, best)
    plan = Plan(
        OPEN,
        "" if state.now > cell.target else "the interval may be narrow by chance",
        more,
        max(BATCH, min(more, int(choice.most / best.seconds))),
        tuple(choice.values[k] for k in best.widths),
        True,
    )
    seconds, uniform = more * best.seconds, more * _uniform(cell, budget)
    return replace(state, plan=plan, longer=tuple(going), seconds=seconds, uniform=uniform)


@dataclass(frozen=True)
class Choice:
    """The trials among which a fitted cell chooses.

    Attributes
    ----------
    cell
        The cell.
    widths
        Mask of its widths near the transition.
    values
        The widths of new seeds, k to the value in the unit of the store.
    outlook
        What the trials near the transition tell, and what more of them would.
    most
        The most seconds of a round.
    """

    cell: CellOfTimes
    widths: NDArray[np.bool_]
    values: Mapping[int, float]
    outlook: Outlook
    most: float

    @classmethod
    def of(cls, cell: CellOfTimes) -> Choice:
        """Return the choice of a cell."""
        widths = near(cell.trials)
        values = _values(cell, widths)
        part = with_widths(restricted(cell.trials, widths), np.log(list(values)))
        outlook = outlook_of(part, threshold=cell.row["verdict"] == "threshold")
        return cls(cell, widths, values, outlook, min(GROWTH * cell.costs.spent, cell.left))

    def is_narrow(self, state: TimeState) -> bool:
        """Return whether the interval is as narrow as the target, by the curvature of the fit too."""
        curved = math.expm1(NORMAL * math.sqrt(self.outlook.variance()))
        return self.cell.seeds >= LEAST_SEEDS and max(state.now, curved) <= self.cell.target

    # ---- new seeds

    def pattern(self, budget: int) -> Pattern:
        """Return the widths of new seeds that tell most, if they take a round together."""
        best: Pattern | None = None
        while best is None or len(best.widths) < MOST_WIDTHS:
            there = best.widths if best else ()
            tried = [self._one_more((*there, k), budget) for k in self.values if k not in there]
            wider = min(tried, key=lambda one: (one.variance, one.widths), default=best)
            if wider is None or (best is not None and wider.variance >= best.variance):
                break
            best = wider
        assert best is not None
        return replace(best, widths=tuple(sorted(best.widths)))

    def _one_more(self, widths: tuple[int, ...], budget: int) -> Pattern:
        prospect = self.outlook.of_seed(np.log(widths), math.log(budget))
        pairs = zip(widths, prospect.steps.tolist(), strict=True)
        seconds = math.fsum(self._seconds(k, steps) for k, steps in pairs)
        seeds = max(self.most / seconds, 1.0)
        variance = self.outlook.variance(seeds * prospect.information)
        return Pattern(widths, seconds, prospect.information, variance)

    def seeds(self, state: TimeState, best: Pattern) -> int:
        """Return how many seeds at some widths are expected to reach the target."""
        fewest = max(BATCH, LEAST_SEEDS - self.cell.seeds)
        if state.outcome != "threshold":
            return max(fewest, self.cell.seeds // 2)
        now = self.outlook.variance()
        wanted = now if state.now < math.inf else now / 4
        if state.now < math.inf:
            wanted *= (math.log1p(self.cell.target) / math.log1p(state.now)) ** 2
        seeds = fewest
        while self.outlook.variance(seeds * best.information) > wanted and seeds < MOST_SEEDS:
            seeds *= 2
        return seeds

    # ---- trials that go on

    def going_on(self, longer: int, least: float) -> list[Trial]:
        """Return trials for a larger budget, if a round of them leaves less than a variance."""
        now = self.outlook.variance()
        chosen: list[Trial] = []
        spent, told = 0.0, np.zeros_like(self.outlook.precision)
        for seconds, trial, information in sorted(
            self._prospects(longer),
            key=lambda one: (-(now - self.outlook.variance(one[2])) / one[0], one[1]),
        ):
            if chosen and spent + seconds > self.most:
                break
            chosen.append(trial)
            spent, told = spent + seconds, told + information
        if not chosen:
            return []
        scale = max(1.0, self.most / spent)  # fewer seconds may tell less, but for less
        return chosen if self.outlook.variance(scale * told) < least else []

    def _prospects(self, longer: int) -> Iterator[tuple[float, Trial, NDArray[np.float64]]]:
        """Yield seconds, index and information of the trials that may arrive later."""
        trials = self.cell.trials
        rows = np.flatnonzero(trials.counted[:, self.widths].any(axis=1)).tolist()
        columns = np.flatnonzero(self.widths).tolist()
        for (row, seed), (column, width) in itertools.product(enumerate(rows), enumerate(columns)):
            if not trials.counted[seed, width] or trials.arrived[seed, width]:
                continue
            prospect = self.outlook.of_longer(row, column, math.log(longer))
            if float(prospect.arrives[0]) < HOPELESS:
                continue
            k, since = round(math.exp(trials.log_k[0, width])), trials.log_time[seed, width]
            steps = float(prospect.steps[0]) - (math.exp(since) if self._keeps else 0.0)
            yield self._seconds(k, max(steps, 1.0)), (width, seed), prospect.information

    @property
    def _keeps(self) -> bool:
        descent = self.cell.line.sweep.descent
        return descent is not None and descent.checkpoints

    # ---- the time of trials

    def _seconds(self, k: int, steps: float) -> float:
        """Return the time of a trial that takes so many steps to this tolerance."""
        return self.cell.costs.seconds(k, steps * self._beyond_tolerance(k))

    def _beyond_tolerance(self, k: int) -> float:
        """Return how many steps trials take, up to their last tolerance, for each up to this one."""
        trials, taken = self.cell.trials, self.cell.costs.taken
        near_by = min(taken, key=lambda one: abs(math.log(one / k)))
        column = int(np.argmin(np.abs(trials.log_k[0] - math.log(near_by))))
        own = float(np.exp(trials.log_time[trials.counted[:, column], column]).mean())
        return max(1.0, taken[near_by] / own)


def _values(cell: CellOfTimes, widths: NDArray[np.bool_]) -> dict[int, float]:
    """Return the widths at which new seeds may run, k to the value in the unit of the store."""
    log_k, lattice, k_inf = cell.trials.log_k[0, widths], cell.line.lattice, cell.row["k_inf"]
    least = math.log(k_inf) - 0.2 if k_inf > 0 else log_k[0] - 0.3
    count = math.ceil((log_k[-1] - least) / math.log(FINENESS))
    values = dict.fromkeys(
        lattice.near(math.exp(one), math.log(FINENESS) / 2)
        for one in np.linspace(max(least, 0.0), log_k[-1], max(count, 2)).tolist()
    )
    return {round(lattice.number(value)): value for value in values}


def _uniform(cell: CellOfTimes, budget: int) -> float:
    """Return the time of a seed at all widths of the grid, as far as is known."""
    arrives = np.exp(cell.trials.log_k[0, near(cell.trials)].min())
    taken = {k: cell.costs.taken.get(int(k), budget) for k in cell.line.grid}
    steps = {k: taken[k] if k >= arrives else budget for k in cell.line.grid}
    return math.fsum(cell.costs.seconds(k, steps[k]) for k in cell.line.grid)
