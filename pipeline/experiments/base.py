"""The parts that every experiment is made of: a seed's coordinates, its result, the loop over widths.

A width that raises is recorded as failed with its message, and the other widths go on.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipeline.descent.progress import Rows
from pipeline.errors import first_line
from pipeline.formulas import formula_value
from pipeline.numerics.compile_time import compile_seconds
from pipeline.numerics.datasets import KINDS, draw, draw_rows, file_rows
from pipeline.numerics.own_names import raise_faults
from pipeline.numerics.streams import Role, stream
from pipeline.settings import SETTINGS
from pipeline.trial_status import Status

if TYPE_CHECKING:
    from pipeline.sweep import Cell, Descent

__all__ = [
    "FIRST_WITH_ALPHA_ERRORS",
    "FLOAT",
    "LAST_BITS",
    "Experiment",
    "SeedResult",
    "SeedTrial",
    "Variable",
    "WidthResult",
    "blank",
    "describe",
    "matrices_memory",
    "set_exact_zeros",
    "training_at",
    "visit_widths",
]

Array = NDArray[np.float64]

LAST_BITS = 1e-15
LAST_BITS_32 = 5e-7
"""Size of the moves that show how sensitive a trial is: some units in the last place of each input, of
those that are trained in float32 as well."""

FIRST_WITH_EXACT_ZEROS = 5
"""Version of the numerics since which rounding errors are not stored as smallest eigenvalues."""

FIRST_WITH_ALPHA_ERRORS = 6
"""Version of the numerics since which the error of alpha is stored."""

DEFAULTS = {name: setting.default for name, setting in SETTINGS.items()}
"""The settings of training that a sweep does not give."""

FLOAT = 8
"""Bytes of a number. Estimates of memory count arrays of it, by a fit to measured peaks."""


@dataclass(frozen=True)
class Variable:
    """An array of a store.

    Attributes
    ----------
    dims
        Dimensions beyond those of the cell and the seed: `width`, then at most one of `Sweep.inner`.
    below
        For eigenvalues or singular values of a matrix of n columns: the variable with the largest of
        them. Values up to n eps of it are rounding errors, and are stored as exactly 0.
    since
        Version of the numerics since which stores have it.
    """

    name: str
    dims: tuple[str, ...]
    long_name: str
    units: str = "1"
    below: str = ""
    since: int = 0


@dataclass(frozen=True)
class SeedTrial:
    """The coordinates of all trials of one seed of one cell. Results depend on nothing else.

    Attributes
    ----------
    sizes
        Extents of the dimensions that a variable can have beyond those of the cell and the seed.
    numerics_version
        Version of the numerics, as in `Sweep`.
    moved
        Number of a move of the inputs in their last bits, to see how sensitive the trials are; 0 for
        the inputs as they are drawn.
    checkpoints
        The checkpoints from which trials go on, by their width k. They save time and change no result.
    """

    entropy: int
    nested: bool
    cell: Cell
    seed: int
    sizes: Mapping[str, int]
    descent: Descent | None = None
    numerics_version: int = FIRST_WITH_ALPHA_ERRORS
    moved: int = 0
    checkpoints: Mapping[int, Rows] = field(default_factory=dict)

    @property
    def has_exact_zeros(self) -> bool:
        """True if what cannot be told from 0 is stored as exactly 0."""
        return self.numerics_version >= FIRST_WITH_EXACT_ZEROS

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
        X = draw(cell.dataset, self.stream(Role.DATA), cell.n, cell.d, cell.angle)
        if not self.moved:
            return X
        trains = self.descent is not None
        single = trains and self.training(self.widths[0])["precision"] == "float32"
        size = LAST_BITS_32 if single else LAST_BITS
        return X * (1 + size * np.random.default_rng(self.moved).uniform(-1, 1, X.shape))

    def drawn(self, test: int = 0) -> NDArray[np.int64]:
        """Return the numbers of the rows drawn from a data file, or of a test set that follows them."""
        order = draw_rows(self.cell.dataset, self.stream(Role.DATA))
        return order[self.n : self.n + test] if test else order[: self.n]

    def fresh_inputs(self, count: int) -> Array:
        """Draw the inputs of a test set: from a stream of its own, or the next rows of a data file."""
        cell = self.cell
        if KINDS[cell.dataset.kind].has_file:
            return file_rows(cell.dataset)[self.drawn(test=count)]
        return draw(cell.dataset, self.stream(Role.TEST), count, cell.d, cell.angle)

    def training(self, k: int) -> Mapping[str, Any]:
        """Return all settings of training, with numbers in the place of formulas."""
        return training_at(self.cell, self.descent, k)

    def signs(self) -> Array:
        """Draw the labels: those of the dataset if it has any, else random +1 and -1, shape (n,)."""
        labels = None if self.cell["dataset"] is None else KINDS[self.cell.dataset.kind].labels
        if labels is not None:
            return labels(self.cell.dataset, self.stream(Role.DATA), self.cell.n, self.cell.d)
        return self.stream(Role.LABELS).choice([-1.0, 1.0], self.cell.n)


@dataclass
class SeedResult:
    """Result of one seed: arrays by variable; for each width its status, and a message or ''.

    `checkpoints` has those of the widths whose descent a larger budget would continue, by their index.
    """

    values: dict[str, Array] = field(default_factory=dict)
    statuses: list[Status] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)
    checkpoints: dict[int, Rows] = field(default_factory=dict)


@dataclass(frozen=True)
class WidthResult:
    """Result of one width: its values, its status, and a note on it or ''.

    `earlier` is the time that the trial had taken up to the checkpoint that it went on from, and
    `checkpoint` is the one from which a larger budget goes on, if that is wanted and possible.
    """

    values: Mapping[str, Any]
    status: Status = Status.DONE
    message: str = ""
    earlier: float = 0.0
    checkpoint: Rows | None = None


def training_at(cell: Cell, descent: Descent | None, k: int) -> Mapping[str, Any]:
    """Return all settings of training of a cell at one width, with numbers in the place of formulas."""
    assert descent is not None
    sizes = {"n": cell.n, "k": k, "d": cell.d}
    found = dict(DEFAULTS)
    for name, given in descent.settings:
        value = cell[name] if isinstance(given, tuple) else given
        text = SETTINGS[name].formula and isinstance(value, str)
        found[name] = formula_value(value, sizes) if text else value
    return found


def matrices_memory(cell: Cell, descent: Descent | None) -> float:
    """Estimate the memory of trials that hold some matrices of shapes (n, n) and (k, n)."""
    return FLOAT * cell.n * (5.0 * cell.n + 3.0 * max(cell.widths) + cell.d)


@dataclass(frozen=True)
class Experiment:
    """An experiment: the arrays that it stores, how it computes them, and its cost.

    Attributes
    ----------
    variables
        The arrays that it stores.
    run_seed
        Function that runs all given widths of one seed of one cell.
    seconds
        Function that estimates the time of `run_seed` on one core, for a cell with these widths.
    memory
        Function that estimates the largest memory of `run_seed` in bytes, for a cell with these widths.
    unit_norm
        True if it requires rows of unit norm.
    independent
        True if no width uses results of another: a block may hold some of the widths only, and each
        width has its own time.
    descends
        True if it takes the [descent] table.
    continues
        True if its descents can go on from checkpoints.
    balanced
        True if its output weights are +-1/sqrt(k), half of them positive, so that k must be even.
    options
        Optional axes that it takes (`pipeline.axes`), each with its possible values, the default
        first; () for all values within the limits of the axis.
    tests
        True if it tests on fresh samples, which the dataset must be able to draw.
    widthless
        True if it has no hidden units, so that sweeps leave `width` out.
    together
        True if the last bits of a width may depend on the widths that run with it.
    frugal
        True if sweeps may leave out `dataset`, `d`, `n`, `width` and `activation`.
    activations
        Names of the supported activations; None for all.
    why_not_own
        Why it takes no activation of one's own; "" if it does.
    draws_labels
        True if it makes labels by itself, so that those of a dataset would have no effect.
    why_fixed
        Why it takes no settings of training (`pipeline.settings`); "" if it takes them.
    measured
        The arrays that it stores as well in sweeps with such settings.
    """

    variables: Sequence[Variable]
    run_seed: Callable[[SeedTrial], SeedResult]
    seconds: Callable[[Cell, Descent | None], float]
    memory: Callable[[Cell, Descent | None], float] = matrices_memory
    unit_norm: bool = False
    independent: bool = False
    descends: bool = False
    continues: bool = False
    balanced: bool = False
    options: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    tests: bool = False
    widthless: bool = False
    together: bool = False
    frugal: bool = False
    activations: tuple[str, ...] | None = None
    why_not_own: str = ""
    draws_labels: bool = False
    why_fixed: str = "it does not train networks"
    measured: Sequence[Variable] = ()

    @property
    def certifies(self) -> bool:
        """True if it starts at multiples of a certified residual and chooses the step size itself."""
        return any("multiple" in variable.dims for variable in self.variables)


def blank(trial: SeedTrial, variables: Iterable[Variable]) -> SeedResult:
    """Return a result of NaN with every width pending."""
    return SeedResult(
        {v.name: np.full([trial.sizes[dim] for dim in v.dims], np.nan) for v in variables},
        [Status.PENDING] * len(trial.widths),
        [""] * len(trial.widths),
    )


def visit_widths(
    trial: SeedTrial, result: SeedResult, measure: Callable[[int, int], WidthResult]
) -> SeedResult:
    """Fill the widths of a seed in increasing order.

    Parameters
    ----------
    trial, result
        The seed, and its result so far, which is filled in. Values that are shorter than their
        dimension are padded with NaN.
    measure
        Function of (index, k) that returns the result of one width.
    """
    result.values["seconds"] = np.full(len(trial.widths), np.nan)
    for index, k in enumerate(trial.widths):
        began, compiling, found = time.perf_counter(), compile_seconds(), WidthResult({})
        try:
            found = measure(index, k)
            raise_faults()
            for name, value in found.values.items():
                row = result.values[name][index : index + 1].reshape(-1)
                row[: np.size(value)] = value
            result.statuses[index], result.messages[index] = found.status, found.message
        except Exception as error:  # a failed trial is an outcome: stored, and the others go on
            result.statuses[index], result.messages[index] = Status.FAILED, describe(error)
        spent = time.perf_counter() - began - (compile_seconds() - compiling) + found.earlier
        result.values["seconds"][index] = spent
        if found.checkpoint is not None and result.statuses[index] != Status.FAILED:
            result.checkpoints[index] = {**found.checkpoint, "seconds": np.array([spent])}
    return result


def set_exact_zeros(trial: SeedTrial, result: SeedResult, variables: Iterable[Variable]) -> None:
    """Replace what cannot be told from 0, in the variables that say so, by 0."""
    for variable in variables:
        if variable.below:
            values, largest = result.values[variable.name], result.values[variable.below]
            level = trial.n * np.finfo(np.float64).eps * largest
            level = level.reshape(level.shape + (1,) * (values.ndim - level.ndim))
            values[np.abs(values) <= level] = 0.0


def describe(error: BaseException) -> str:
    """Return the line that is stored as the message of a failure."""
    return first_line(error)
