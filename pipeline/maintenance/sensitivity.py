"""The sensitivity of a trial: how far its outcome moves when its inputs move in their last bits.

Descent beyond its stable step is chaotic: a change of 1e-15 grows until the first step that meets a
tolerance is hundreds of steps away. On another platform sums are rounded otherwise, which is such a
change. So a trial that differs there is run again from inputs moved in their last bits. Its stored
outcome is *chaotic* if it lies where these runs lie; before the step at which they part, that is within
rounding, so that a wrong value is found there.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.blocks import Block, BlockResult
from pipeline.execution.compute import compute_block
from pipeline.experiments.training import CURVE, DESCENT, MEASURED
from pipeline.store.names import STATUS
from pipeline.sweep import Sweep

__all__ = ["Sensitivity"]

MOVES = (8, 24)
"""Number of runs from moved inputs; the larger number where the smaller one explains too little."""

BEYOND = 3.0
"""Distance of an outcome from the range of the runs that is still explained, in widths of the range.

Outcomes of chaotic descents have long tails: of a hundred, one lay 2 widths outside the range of nine.
"""

FIRST_STEPS = (DESCENT[0].name, MEASURED[1].name, MEASURED[2].name)
"""Variables with a first step, which is inf where there is none."""


class Sensitivity:
    """The outcomes of one trial from moved inputs, which are run when they are first asked for.

    Parameters
    ----------
    sweep, block
        The trial, as a block of one.
    now
        Its outcome from the inputs as they are drawn.
    """

    def __init__(self, sweep: Sweep, block: Block, now: BlockResult) -> None:
        self._sweep, self._block, self._now = sweep, block, now
        self._runs = [self._comparable(now)]

    def _run(self, moves: int) -> None:
        """Run from moved inputs until there are so many runs."""
        for move in range(len(self._runs), moves + 1):
            run = compute_block(self._sweep, self._block, moved=move)
            self._runs.append(self._comparable(run))

    def range(self, name: str, index: tuple[int, ...]) -> tuple[Any, Any]:
        """Return the least and the largest value of an element of a variable in all runs."""
        values = [_array(run, name)[index] for run in self._runs]
        return min(values), max(values)

    def unexplained(
        self, stored: BlockResult, apart: dict[str, NDArray[np.bool_]]
    ) -> dict[str, NDArray[np.bool_]]:
        """Return the elements of a stored outcome, of some by variable, that lie where no runs lie.

        Runs lie within their range, widened on both sides by `BEYOND` of its widths; a status must be
        that of a run.
        """
        if not self._curve_ends_where_it_stops(stored):
            return apart
        own = self._comparable(stored)
        left = apart
        for moves in MOVES:
            self._run(moves)
            left = {name: mask & ~self._within(name, own) for name, mask in apart.items()}
            if not any(mask.any() for mask in left.values()):
                break
        return left

    def _within(self, name: str, stored: BlockResult) -> NDArray[np.bool_]:
        values, own = np.stack([_array(run, name) for run in self._runs]), _array(stored, name)
        if name == STATUS:
            return np.isin(own, values)
        with np.errstate(invalid="ignore"):  # infinity minus infinity, where all runs diverged
            low, high = values.min(axis=0), values.max(axis=0)
            aside = BEYOND * (high - low)
            return np.asarray((own >= low - aside) & (own <= high + aside))

    def _comparable(self, result: BlockResult) -> BlockResult:
        """Return a result whose values have an order also where a run has ended.

        A tolerance or an accuracy that was not met counts as met one step after the budget, and a
        curve keeps the loss of the last step.
        """
        values = dict(result.values)
        descent = self._sweep.descent
        for name in FIRST_STEPS:
            if descent is not None and name in values:
                values[name] = np.minimum(values[name], float(descent.steps + 1))
        if self._has_curve(result):
            last = values["loss_final"] / values["loss_initial"]
            curve = values[CURVE.name]
            values[CURVE.name] = np.where(np.isnan(curve), last[..., None], curve)
        return replace(result, values=values)

    def _has_curve(self, result: BlockResult) -> bool:
        return CURVE.name in result.values and bool(np.isfinite(self._now.values[CURVE.name]).any())

    def _curve_ends_where_it_stops(self, stored: BlockResult) -> bool:
        """Return True unless a curve has a value after the trial's last step, or lacks one before."""
        if not self._has_curve(stored):
            return True
        assert self._sweep.descent is not None
        after = np.array(self._sweep.descent.marks) > stored.values["steps"][..., None]
        return bool((np.isnan(stored.values[CURVE.name]) == after).all())


def _array(result: BlockResult, name: str) -> NDArray[Any]:
    return result.status if name == STATUS else result.values[name]
