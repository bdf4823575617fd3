"""The time of a cell's trials by estimate, with the number of steps that trials were seen to take.

Rounds of a refinement depend on these estimates and not on clocks, so that they can be repeated.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from analysis.refinement.lines import Line
from pipeline.blocks import seed_seconds

__all__ = ["Costs"]


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
