"""What every experiment is made of: a seed's coordinates, what it leaves, and the loop over widths.

A width that raises is recorded as failed with its message, and the others go on.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipeline.numerics.datasets import draw
from pipeline.numerics.streams import Role, stream
from pipeline.trial_status import Status

if TYPE_CHECKING:
    from pipeline.sweep import Cell, Descent

__all__ = [
    "Experiment",
    "Measured",
    "SeedResult",
    "SeedTrial",
    "Variable",
    "blank",
    "describe",
    "visit_widths",
]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Variable:
    """An array of a store.

    Attributes
    ----------
    dims
        Dimensions beyond the cell's and the seed's: `width`, then at most one more of those in
        `Sweep.inner`.
    """

    name: str
    dims: tuple[str, ...]
    long_name: str
    units: str = "1"


@dataclass(frozen=True)
class SeedTrial:
    """The coordinates of all trials of one seed of one cell; what they compute depends on no more.

    Attributes
    ----------
    sizes
        Extents of the dimensions that a variable can have beyond the cell's and the seed's.
    """

    entropy: int
    nested: bool
    cell: Cell
    seed: int
    sizes: Mapping[str, int]
    descent: Descent | None = None

    @property
    def n(self) -> int:
        """Number of samples."""
        return self.cell.n

    @property
    def widths(self) -> tuple[int, ...]:
        """Widths k of this block, increasing."""
        return self.cell.widths

    def stream(self, role: Role, k: int | None = None) -> np.random.Generator:
        """Return the stream of one role, of one width where k is given."""
        return stream(self.entropy, self.cell.d, self.cell.n, self.seed, role, k)

    def weights(self, k: int) -> np.random.Generator:
        """Return the stream of W, one for all widths where they nest."""
        return self.stream(Role.WEIGHTS, None if self.nested else k)

    def inputs(self) -> Array:
        """Draw X, shape (n, d)."""
        cell = self.cell
        return draw(cell.dataset, self.stream(Role.DATA), cell.n, cell.d, cell.angle)

    def signs(self) -> Array:
        """Draw random labels +1 and -1, shape (n,)."""
        return self.stream(Role.LABELS).choice([-1.0, 1.0], self.cell.n)


@dataclass
class SeedResult:
    """What one seed left: arrays by variable; for each width its status, and a message or ''."""

    values: dict[str, Array] = field(default_factory=dict)
    statuses: list[Status] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Measured:
    """What one width left; a message says what is particular about it."""

    values: Mapping[str, Any]
    status: Status = Status.DONE
    message: str = ""


@dataclass(frozen=True)
class Experiment:
    """What an experiment stores, computes and costs.

    Attributes
    ----------
    variables
        The arrays it leaves.
    run_seed
        All given widths of one seed of one cell.
    seconds
        Estimated time of `run_seed` on one core, of a cell with the widths to be run.
    unit_norm
        Its statement is about rows of unit norm only.
    independent
        No width needs what another has computed: a block may hold some of the widths, and the time
        is kept for each.
    descends
        It takes the [descent] table.
    balanced
        Its output weights are +-1/sqrt(k), as many of either sign: k is even.
    options
        Optional axes that it takes (`pipeline.axes`), each with the values it knows, the default
        first; () for all values within the limits of the axis.
    tests
        It draws fresh samples to test on, which a dataset must have.
    widthless
        It has no hidden units: `width` is left out.
    activations
        What it can do; None for all.
    """

    variables: Sequence[Variable]
    run_seed: Callable[[SeedTrial], SeedResult]
    seconds: Callable[[Cell, Descent | None], float]
    unit_norm: bool = False
    independent: bool = False
    descends: bool = False
    balanced: bool = False
    options: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    tests: bool = False
    widthless: bool = False
    activations: tuple[str, ...] | None = None

    @property
    def certifies(self) -> bool:
        """Whether it descends from multiples of a certified residual, by steps of its own choice."""
        return any("multiple" in variable.dims for variable in self.variables)


def blank(trial: SeedTrial, variables: Iterable[Variable]) -> SeedResult:
    """Return a result of NaN, every width pending."""
    return SeedResult(
        {v.name: np.full([trial.sizes[dim] for dim in v.dims], np.nan) for v in variables},
        [Status.PENDING] * len(trial.widths),
        [""] * len(trial.widths),
    )


def visit_widths(
    trial: SeedTrial, result: SeedResult, measure: Callable[[int, int], Measured]
) -> SeedResult:
    """Fill the widths of a seed in increasing order.

    Parameters
    ----------
    trial, result
        The seed, and what it has so far; values shorter than their dimension leave NaN behind.
    measure
        From (place, k) to what that width leaves.
    """
    result.values["seconds"] = np.full(len(trial.widths), np.nan)
    for place, k in enumerate(trial.widths):
        began = time.perf_counter()
        try:
            found = measure(place, k)
            for name, value in found.values.items():
                where = result.values[name][place : place + 1].reshape(-1)
                where[: np.size(value)] = value
            result.statuses[place], result.messages[place] = found.status, found.message
        except Exception as error:  # a failed trial is an outcome: stored, and the others go on
            result.statuses[place], result.messages[place] = Status.FAILED, describe(error)
        result.values["seconds"][place] = time.perf_counter() - began
    return result


def describe(error: Exception) -> str:
    """One line for a failure, as stored."""
    return f"{type(error).__name__}: {error}".splitlines()[0][:500]
