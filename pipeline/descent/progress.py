"""The state of a descent that its budget has ended: all that its further steps depend on.

A descent that goes on from here makes the same steps, to the bit, as one that was never interrupted.
The start of the network is no part of it, because a trial draws it again. The state is kept as named
rows of numbers (`Rows`), which a store writes to a file.

With batches the loss is judged where an epoch begins, and once more where the budget ends. That last
judgement would not be made in a longer descent, so the state is the one before it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["BadProgress", "Progress", "Rows", "steps_made"]

Array = NDArray[np.float64]

Rows = Mapping[str, Array]
"""Rows of float64 by name."""

NUMBERS = (
    "step", "judged", "first", "loss", "rises", "accurate_at", "low_at", "state_high", "state_low",
)  # fmt: skip
"""The single numbers of a state, in the order of its row `numbers`."""


class BadProgress(Exception):
    """Rows are not the state of the descent that is to go on from them."""


def _none() -> Array:
    return np.empty(0)


@dataclass(frozen=True)
class Progress:
    """The state of a descent between two steps.

    Attributes
    ----------
    step
        Updates made.
    judged
        The last step whose loss has been recorded.
    first, loss
        The loss at the start, and the one that was judged last.
    reached
        First step at each tolerance, from coarse to fine; inf for those that are not met.
    marks, curve
        Marked steps, and the relative loss there, NaN where there is none yet.
    weights
        All weights: W, the other hidden layers, v.
    moments
        The two means of gradients of all weights; none for plain gradient descent.
    order
        The order of the samples in this epoch; none for full batches.
    rises, accurate_at, low_at
        As in `methods.Outcome`.
    state_high, state_low
        Upper and lower 32 bits of the state of the random orders.
    """

    step: float
    judged: float
    first: float
    loss: float
    reached: Array
    marks: Array
    curve: Array
    weights: Array
    moments: Array = field(default_factory=_none)
    order: Array = field(default_factory=_none)
    rises: float = 0.0
    accurate_at: float = np.inf
    low_at: float = np.inf
    state_high: float = 0.0
    state_low: float = 0.0

    def rows(self) -> dict[str, Array]:
        """Return the state as rows."""
        numbers = np.array([getattr(self, name) for name in NUMBERS], dtype=np.float64)
        arrays = {name: np.asarray(getattr(self, name), dtype=np.float64) for name in ARRAYS}
        return {"numbers": numbers, **arrays}

    @classmethod
    def of(cls, rows: Rows, *, steps: int, weights: int, tolerances: int, n: int) -> Progress:
        """Return the state that rows hold.

        Parameters
        ----------
        rows
            The rows; others than those of a state are left out.
        steps, weights, tolerances, n
            The budget, and the numbers of weights, tolerances and samples of the descent.

        Raises
        ------
        BadProgress
            They do not fit these sizes. Compiled loops trust them, so all is checked here.
        """
        if any(name not in rows for name in ("numbers", *ARRAYS)):
            raise BadProgress("a row is missing")
        if rows["numbers"].shape != (len(NUMBERS),):
            raise BadProgress("the row of numbers has another length")
        held: dict[str, Any] = {name: rows[name] for name in ARRAYS}
        found = cls(**held | dict(zip(NUMBERS, rows["numbers"].tolist(), strict=True)))
        sizes = {
            "weights": found.weights.shape == (weights,),
            "moments": found.moments.size in (0, 2 * weights),
            "reached": found.reached.shape == (tolerances,),
            "curve": found.curve.shape == found.marks.shape,
            "order": not found.order.size or sorted(found.order.tolist()) == list(range(n)),
            "step": found.step in range(1, steps + 1) and 0 <= found.judged <= found.step,
            "state": all(0 <= half < 2**32 for half in (found.state_high, found.state_low)),
        }
        if wrong := [name for name, fits in sizes.items() if not fits]:
            raise BadProgress(f"its {wrong[0]} does not fit")
        return found

    @property
    def met(self) -> int:
        """Number of tolerances that are met."""
        return int(np.isfinite(self.reached).sum())

    @property
    def state(self) -> int:
        """State of the random orders."""
        return (int(self.state_high) << 32) + int(self.state_low)

    def curve_at(self, marks: NDArray[np.int64]) -> tuple[Array, int]:
        """Return the curve at other marks, and the number of those that are judged already.

        Marks are spaced in the same way for every budget, so those up to this budget are known.
        """
        known = dict(zip(self.marks.tolist(), self.curve.tolist(), strict=True))
        number = int(np.searchsorted(marks, self.judged, side="right"))
        curve = np.full(marks.size, np.nan)
        curve[:number] = [known.get(float(mark), np.nan) for mark in marks[:number]]
        return curve, number


def steps_made(rows: Rows) -> float:
    """Return the steps that a descent has made, by the rows of its state; 0 if they are no state."""
    numbers = rows.get("numbers", _none())
    step = float(numbers[NUMBERS.index("step")]) if numbers.size == len(NUMBERS) else 0.0
    return step if np.isfinite(step) else 0.0


ARRAYS = tuple(one.name for one in fields(Progress) if one.name not in NUMBERS)
