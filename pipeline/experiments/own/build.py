"""An `Experiment` made of a function of one's own: it runs like those that come with widthlaw.

Whatever the function does, its trial has one outcome, and other trials are not touched: what it
returns must be what it declared, its exceptions are stored as messages, a process that it forks ends
with it, what it prints goes to stderr, and numpy's and Python's global generators are seeded from the
trial's coordinates before each call.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Mapping
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import shortened
from pipeline.experiments.base import (
    Experiment,
    SeedResult,
    SeedTrial,
    Variable,
    WidthResult,
    blank,
    describe,
    visit_widths,
)
from pipeline.experiments.own.calls import call_alone, told
from pipeline.experiments.own.record import Own, function_of
from pipeline.experiments.own.trial import Diverged, Seed, Trial
from pipeline.trial_status import Status

if TYPE_CHECKING:
    from pipeline.sweep import Cell, Descent

__all__ = ["Mismatch", "built"]

GUESS = 1e-3
"""Seconds of a trial before it is measured."""

Array = NDArray[np.float64]


class Mismatch(Exception):
    """A function has returned something else than it declared."""


@lru_cache(maxsize=8)
def built(own: Own, constants: str, axes: tuple[str, ...] = ()) -> Experiment:
    """Return the experiment of a function of one's own.

    Parameters
    ----------
    own
        The function, and what it declares.
    constants
        The parameters that are no axes, as JSON.
    axes
        Names of the parameters that are axes.
    """
    declared = own.declaration

    @cache
    def function() -> Any:
        return function_of(own)  # runs the file, which may fail on this machine

    def run_seed(trial: SeedTrial) -> SeedResult:
        values = json.loads(constants) | {axis: trial.cell[axis] for axis in axes}
        call = _Call(function(), declared.variables, Seed(trial, values))
        return call.together() if declared.together else call.each()

    def seconds(cell: Cell, descent: Descent | None) -> float:
        sizes = [float(cell.n) * cell.d * k for k in cell.widths]
        if own.cost is None:
            return GUESS * len(sizes)
        if declared.together:
            return own.cost.at(max(sizes))
        return float(sum(map(own.cost.at, sizes)))

    def memory(cell: Cell, descent: Descent | None) -> float:
        size = float(cell.n) * cell.d * max(cell.widths)
        return 0.0 if own.cost is None else own.cost.memory_at(size)

    return Experiment(
        declared.variables,
        run_seed,
        seconds,
        memory,
        independent=not declared.together,
        together=declared.together,
        frugal=True,
    )


class _Call:
    """The calls of a function for one seed."""

    def __init__(self, function: Any, variables: tuple[Variable, ...], seed: Seed) -> None:
        self._function, self._variables, self._seed = function, variables, seed
        self._trial = seed.trial
        self._declared = {one.name for one in variables}
        self._result = blank(seed.trial, variables)

    def each(self) -> SeedResult:
        """Call the function for each width."""

        def measure(index: int, k: int) -> WidthResult:
            try:
                found = self._checked(Trial(self._seed, (k,)), ())
            except Diverged as error:
                return WidthResult({}, Status.DIVERGED, describe(error))
            return WidthResult({name: value.reshape(-1) for name, value in found.items()})

        return visit_widths(self._trial, self._result, measure)

    def together(self) -> SeedResult:
        """Call the function once for all widths."""
        widths, result = self._trial.widths, self._result
        try:
            result.values |= self._checked(Trial(self._seed, widths), (len(widths),))
            outcome, message = Status.DONE, ""
        except Diverged as error:
            outcome, message = Status.DIVERGED, describe(error)
        result.statuses, result.messages = [outcome] * len(widths), [message] * len(widths)
        return result

    def _checked(self, trial: Trial, widths: tuple[int, ...]) -> dict[str, Array]:
        """Run a trial, and return its arrays as they were declared."""
        found = self._alone(trial)
        if not isinstance(found, Mapping):
            raise Mismatch(
                f"got {shortened(repr(type(found).__name__))}, expected a dict of {self._names()}"
            )
        for name in found:
            if name not in self._declared:
                raise Mismatch(
                    f"returned {name!r}, which is not declared; expected {self._names()}; rename it "
                    "or declare it too"
                )
        arrays = {}
        for one in self._variables:
            if one.name not in found:
                raise Mismatch(f"did not return {one.name!r}, which is declared; add it")
            shape = (*widths, *self._result.values[one.name].shape[1:])
            arrays[one.name] = _as_array(one.name, found[one.name], shape)
        return arrays

    def _alone(self, trial: Trial) -> Any:
        """Call the function so that it cannot disturb what runs beside it."""
        _seed_global_generators(self._trial, trial.k)
        return call_alone(self._function, trial)

    def _names(self) -> str:
        return ", ".join(one.name for one in self._variables)


def _seed_global_generators(trial: SeedTrial, k: int) -> None:
    """Seed the generators that libraries draw from, so that no trial depends on those before it."""
    at = (trial.entropy, trial.cell.d, trial.cell.n, trial.seed, None if trial.nested else k)
    start = int.from_bytes(hashlib.sha256(repr(at).encode()).digest()[:4], "little")
    np.random.seed(start)  # noqa: NPY002  # the generator of others
    random.seed(start)


def _as_array(name: str, value: Any, shape: tuple[int, ...]) -> Array:
    """Return a value as an array of the declared shape."""
    try:
        array = np.asarray(value)
    except Exception as error:
        raise Mismatch(
            f"{name} is {type(value).__name__}, expected numbers ({describe(error)})"
        ) from None
    if array.dtype.kind not in "fiub":
        raise Mismatch(f"{name} is {told(value)}, expected real numbers; NaN is one")
    if array.shape != shape:
        raise Mismatch(
            f"{name} has the shape {array.shape}, expected {shape} as declared; return that or "
            "declare its dims and coords"
        )
    return array.astype(np.float64)
