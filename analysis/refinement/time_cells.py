"""One cell and tolerance of a store of descents: its trials, and what is known of its threshold."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from analysis.refinement.costs import Costs
from analysis.refinement.lines import Line
from analysis.refinement.plans import Plan, precision
from analysis.slowing.likelihood import Trials

__all__ = ["BATCH", "LONGER", "CellOfTimes", "TimeState"]

BATCH = 4
"""Seeds of a step that searches for the transition, and the fewest of any step."""

LONGER = 2
"""Factor of a larger budget."""


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
