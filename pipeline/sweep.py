"""A `Sweep`: the frozen description of everything that is computed.

It knows its grid: the axes, the width k at each index of the width axis, the cells, and the identity
that decides whether two stores can hold each other's trials. `sweep_files.load` makes a Sweep from a
TOML file, and refuses one that cannot be computed.

A *cell* is all widths and seeds of one combination of the leading axes (activation, dataset, angle,
trained, depth, d, n). Where a sweep lists several datasets, a combination that a dataset cannot form
(an odd n of pairs, an angle of a circle) is excluded: its trials have the status `excluded`. Trials
that the sub-grids and conditions of a sweep leave out are not requested (`selection`).
"""

from __future__ import annotations

import hashlib
import itertools
import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any, Literal

from pipeline.axes import AXES, Axis, Kind, names, optional
from pipeline.functionals import RIDGE, Functionals
from pipeline.numerics.datasets import KINDS, DatasetSpec
from pipeline.numerics.own_names import OwnName
from pipeline.selection import Selection, requested
from pipeline.settings import LOSSES, SETTINGS, budget

if TYPE_CHECKING:
    from pipeline.experiments.own.record import Own

__all__ = ["KNOWN_VERSIONS", "Cell", "Descent", "Request", "Sweep"]

NUMERICS_VERSION = 6
"""Part of a sweep's identity; incremented when a change of the numerics changes stored values."""

KNOWN_VERSIONS = (4, 5, 6)
"""Versions of the numerics whose stores can be resumed: they go on with the numerics that they began
with. Up to 4 rounding errors of smallest eigenvalues were stored, and alpha was 0 below those of K.
Up to 5 nothing told an alpha that is 0 from one that is lost to rounding."""


MARKS_PER_DECADE = 8
"""Number of steps per decade at which a loss curve is stored."""


@dataclass(frozen=True)
class Descent:
    """The settings of gradient descent.

    Attributes
    ----------
    steps
        The budget of a trial; the largest of any sweep where a formula gives it.
    tolerances
        Values of the relative loss ||r||^2 / ||r0||^2, descending; a trial ends when it reaches the
        last one.
    step_size
        In units of 1 / lambda_max(J0 J0^T).
    multiples
        Residuals at the start for Theorem 1, in multiples of the certified one, ascending.
    formula
        The budget as a formula of n, k and d; "" if it is a number.
    settings
        Pairs of a setting (`pipeline.settings`) that is not at its default and its value: a tuple of
        values where it is an axis.
    checkpoints
        Whether trials that the budget ends leave a checkpoint, from which a larger one goes on. They
        are no part of the identity: results have the same bits with and without.
    extended
        Whether the budget is larger than the one in the text of the sweep.
    """

    steps: int
    tolerances: tuple[float, ...]
    step_size: float
    multiples: tuple[float, ...] = (1.0,)
    formula: str = ""
    settings: tuple[tuple[str, Any], ...] = ()
    checkpoints: bool = False
    extended: bool = False

    @property
    def is_paper(self) -> bool:
        """True for the paper's training: full-batch descent on the squared loss and random signs."""
        return not self.settings and not self.formula

    def budget(self, cell: Cell, k: int) -> int:
        """Return the largest number of steps of a trial of one width."""
        steps = self.formula or self.steps
        if "most_steps" in dict(self.settings):
            steps = cell["most_steps"]
        return budget(steps, cell.n, k, cell.d) if isinstance(steps, str) else int(steps)

    @property
    def why_no_longer(self) -> str:
        """Why no trial can go on with a larger budget; "" if trials can."""
        given = dict(self.settings)
        if self.formula:
            return f"its budget is a formula, {self.formula!r}"
        if "most_steps" in given:
            return "its budgets are an axis"
        if "cosine" in given.get("schedule", ()):
            return 'the step sizes of schedule = "cosine" depend on the budget'
        return ""

    @property
    def other_loss(self) -> str:
        """The loss in words if it is not, or not everywhere, the squared one; "" if it is."""
        loss = dict(self.settings).get("loss", "squared")
        if isinstance(loss, tuple):
            return "loss that is minimised" if len(loss) > 1 else self._other(loss[0])
        return self._other(loss)

    @staticmethod
    def _other(loss: str) -> str:
        return "" if loss == "squared" else LOSSES[loss]

    @property
    def identity_fields(self) -> dict[str, Any]:
        """The fields that decide a trial's value; settings that are not given leave no trace."""
        fields: dict[str, Any] = {
            "steps": self.steps,
            "tolerances": list(self.tolerances),
            "step_size": self.step_size,
            "multiples": list(self.multiples),
        }
        if self.formula:
            fields["formula"] = self.formula
        if self.settings:
            fields["settings"] = {name: _as_json(value) for name, value in self.settings}
        return fields

    @property
    def marks(self) -> tuple[int, ...]:
        """Steps from 1 to the budget, evenly spaced in the logarithm, whole and distinct."""
        top = max(1, self.steps)
        count = math.floor(math.log10(top) * MARKS_PER_DECADE) + 1
        return tuple(sorted({*(round(10 ** (i / MARKS_PER_DECADE)) for i in range(count)), top}))


@dataclass(frozen=True)
class Cell:
    """One combination of the leading axes, with all its widths.

    The value on each leading axis is an attribute (`cell.n`, `cell.depth`, ...) and an item
    (`cell["n"]`).

    Attributes
    ----------
    index
        Its index on the leading dimensions of the store.
    coordinates
        Pairs of a leading axis and the cell's value on it, also for axes that this sweep has no
        dimension of.
    widths
        k at each index of the width axis, increasing.
    """

    index: tuple[int, ...]
    coordinates: tuple[tuple[str, Any], ...]
    widths: tuple[int, ...]

    @cached_property
    def _by_axis(self) -> dict[str, Any]:
        return dict(self.coordinates)

    def __getitem__(self, axis: str) -> Any:
        return self._by_axis[axis]

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("_") and name in self._by_axis:
            return self[name]
        raise AttributeError(f"a Cell has no attribute {name!r}")

    def moved(self, values: Mapping[str, Any]) -> Cell:
        """Return the cell with other values on some axes, and the same index and widths."""
        there = tuple((axis, values.get(axis, value)) for axis, value in self.coordinates)
        return replace(self, coordinates=there)

    @property
    def activation(self) -> str:
        """Name of the activation."""
        name: str = self["activation"]  # one of one's own is more than its letters
        return name

    @property
    def dataset(self) -> DatasetSpec:
        """The dataset of the inputs."""
        spec: DatasetSpec = self["dataset"]
        return spec

    @property
    def angle(self) -> float | None:
        """Rotation angle in radians; None where the dataset has none."""
        angle: float | None = self["angle"]
        return angle

    @property
    def d(self) -> int:
        """Input dimension."""
        return int(self["d"])

    @property
    def n(self) -> int:
        """Number of samples."""
        return int(self["n"])


@dataclass(frozen=True)
class Sweep:
    """A validated sweep; `pipeline.load_sweep` makes one.

    Attributes
    ----------
    axes
        Names of the leading dimensions, in the order of the store: `d` and `n`, before them `angle`
        if a dataset has one, and the other axes for which the file gives a list.
    width_unit
        Unit of the numbers in `width`: `k`, `k_per_n`, `kd_per_n` or `k_per_d`.
    seeds
        Labels of the seeds.
    nested
        Whether the widths of a seed share their first units.
    text
        The file as written.
    even
        Whether k is rounded up to an even number, so that the signs of v balance.
    options
        Pairs of an optional axis that the experiment takes (`trained`, `depth`) and its values, which
        are attributes of the sweep as well.
    descent
        None for experiments that do not descend.
    numerics_version
        One of `KNOWN_VERSIONS`; an older one only in the sweep of a store.
    own
        The experiment of one's own; None for those that come with widthlaw.
    parameters
        Its parameters that are axes, or settings of training that are: pairs of a name and the values.
    constants
        Its other parameters, as JSON.
    requests
        The trials that are requested, which are those in any of the selections; () for all.
    functionals
        The functionals of the features that conditioning stores as well; None if there are none.

    Examples
    --------
    >>> import pipeline
    >>> sweep = pipeline.load_sweep("theorem2")
    >>> isinstance(sweep, pipeline.Sweep), sweep.name, len(sweep.seeds)
    (True, 'theorem2', 40)
    """

    name: str
    experiment: str
    entropy: int
    activation: tuple[str, ...]
    dataset: tuple[DatasetSpec, ...]
    d: tuple[int, ...]
    n: tuple[int, ...]
    width_unit: Literal["k", "k_per_n", "kd_per_n", "k_per_d"]
    width: tuple[float, ...]
    seeds: tuple[int, ...]
    nested: bool
    axes: tuple[str, ...]
    text: str = ""
    even: bool = False
    options: tuple[tuple[str, tuple[Any, ...]], ...] = ()
    descent: Descent | None = None
    numerics_version: int = NUMERICS_VERSION
    own: Own | None = None
    parameters: tuple[tuple[str, tuple[Any, ...]], ...] = ()
    constants: str = "{}"
    requests: tuple[Selection, ...] = ()
    functionals: Functionals | None = None

    def __getattr__(self, name: str) -> Any:
        if any(name == axis.name for axis in optional()):
            return dict(self.options).get(name, ())
        raise AttributeError(f"a Sweep has no attribute {name!r}")

    @cached_property
    def angle(self) -> tuple[float, ...]:
        """All angles of all datasets, ascending; 0 for datasets without one."""
        angles = {angle for spec in self.dataset for angle in spec.angle or (0.0,)}
        return tuple(sorted(angles))

    @property
    def dims(self) -> tuple[str, ...]:
        """Dimensions of a per-trial variable in the store."""
        return (*self.axes, "width", "seed")

    @property
    def shape(self) -> tuple[int, ...]:
        """Extents of `dims`."""
        return (*(len(self.values(axis)) for axis in self.axes), len(self.width), len(self.seeds))

    @cached_property
    def inner(self) -> dict[str, tuple[Any, ...]]:
        """Coordinates of the dimensions that a variable can have beyond `dims`."""
        if self.own is not None:
            return dict(self.own.declaration.coords)
        inner: dict[str, tuple[Any, ...]] = {"index": tuple(range(max(self.n)))}
        if self.functionals is not None and self.functionals.ridge:
            inner["ridge"] = self.functionals.ridge
        if self.descent is None:
            return inner
        return inner | {
            "tolerance": self.descent.tolerances,
            "step": self.descent.marks,
            "multiple": self.descent.multiples,
        }

    @property
    def trials(self) -> int:
        """Number of requested trials."""
        if not self.requests:
            return self.possible_trials
        wanted = requested(self)
        return sum(int(wanted[cell.index].sum()) for cell in self.cells())

    @property
    def possible_trials(self) -> int:
        """Number of trials that can exist on the axes, requested or not."""
        return sum(1 for _ in self.cells()) * len(self.width) * len(self.seeds)

    def values(self, axis: str) -> tuple[Any, ...]:
        """Return the values on a leading axis; one value if the sweep has no such dimension."""
        if axis in (own := dict(self.parameters)):
            return own[axis]
        values: tuple[Any, ...] = getattr(self, axis)
        return values or (AXES[axis].default,)

    @cached_property
    def leading(self) -> tuple[str, ...]:
        """Names of all axes that a cell has a value on, in the order of a store."""
        own = dict(self.parameters)
        return (*(axis for axis in names(Kind.MODEL) if axis not in own), *own, *names(Kind.SIZE))

    def axis(self, name: str) -> Axis:
        """Return the record of an axis, or of a dimension of single variables."""
        if name in dict(self.parameters) and self.own is None:
            return Axis(name, "", SETTINGS[name].long_name, "1", Kind.MODEL)
        if name in dict(self.parameters):
            return Axis(name, name, f"parameter {name}", "1", Kind.MODEL)
        if name == "tolerance" and self.descent is not None and (loss := self.descent.other_loss):
            return replace(AXES[name], long_name=f"relative loss to be reached, of the {loss}")
        if self.own is not None and name in self.inner:
            return Axis(name, "", name, "1", Kind.INNER)
        return RIDGE if name == RIDGE.name else AXES[name]

    def labels(self, axis: str) -> tuple[Any, ...]:
        """Return the values on a leading axis as the store writes them: a dataset by its kind."""
        values = self.values(axis)
        return tuple(spec.kind for spec in values) if axis == "dataset" else values

    def k(self, d: int, n: int) -> tuple[int, ...]:
        """Return the width k at each index of the width axis, shape (widths,)."""
        units = {"k": (1, 1), "k_per_n": (n, 1), "kd_per_n": (n, d), "k_per_d": (d, 1)}
        scale = units[self.width_unit]
        return _whole_widths(self.width, *scale, self.even)

    def cells(self) -> Iterator[Cell]:
        """Yield the cells of the sweep in the order of the store."""
        for _, cell in self._grid():
            if cell is not None:
                yield cell

    def requested_cells(self) -> Iterator[Cell]:
        """Yield the cells with requested trials, each with the widths of these trials only."""
        if not self.requests:
            yield from self.cells()
            return
        wanted = requested(self)
        for cell in self.cells():
            rows = wanted[cell.index].any(axis=1)
            if rows.any():
                yield replace(cell, widths=tuple(itertools.compress(cell.widths, rows.tolist())))

    def excluded(self) -> Iterator[tuple[int, ...]]:
        """Yield the indices on the leading axes of the combinations that a dataset cannot form."""
        for index, cell in self._grid():
            if cell is None:
                yield index

    def _grid(self) -> Iterator[tuple[tuple[int, ...], Cell | None]]:
        """Yield every index on the leading axes with its cell, None where it is excluded."""
        values = {axis: self.values(axis) for axis in self.leading}
        for index in itertools.product(*(range(len(values[axis])) for axis in self.axes)):
            at = dict(zip(self.axes, index, strict=True))
            point = {axis: values[axis][at.get(axis, 0)] for axis in values}
            yield index, self._cell(index, point)

    def _cell(self, index: tuple[int, ...], point: dict[str, Any]) -> Cell | None:
        spec, d, n = point["dataset"], point["d"], point["n"]
        if spec is None:  # the experiment draws its own
            return Cell(index, tuple(point.items()), self.k(d, n))
        if n % KINDS[spec.kind].multiple or point["angle"] not in (spec.angle or (0.0,)):
            return None
        point["angle"] = point["angle"] if spec.angle else None
        return Cell(index, tuple(point.items()), self.k(d, n))

    @cached_property
    def identity_fields(self) -> dict[str, Any]:
        """Everything that decides a trial's value; not the extents of axes, the name or provenance."""
        fields: dict[str, Any] = {
            "activation": list(self.activation),
            "dataset": [_dataset_identity(spec) for spec in self.dataset],
            "entropy": self.entropy,
            "experiment": self.experiment,
            "nested": self.nested,
            "numerics_version": self.numerics_version,
        }
        fields |= {axis: list(values) for axis, values in self.options}
        if self.own is not None:
            axes = {name: list(values) for name, values in self.parameters}
            fields |= {"code": self.own.digest, "parameters": axes | json.loads(self.constants)}
        if self.functions:
            fields["functions"] = self.functions[0].code.digest
        if self.descent is not None:
            fields["descent"] = self.descent.identity_fields
        if self.functionals is not None:
            fields["functionals"] = self.functionals.identity_fields
        return fields

    @property
    def functions(self) -> tuple[Any, ...]:
        """Activations, datasets and labels of one's own: names that bring their code."""
        labels = dict(self.descent.settings).get("labels", ()) if self.descent is not None else ()
        names = (
            *self.activation,
            *(spec.kind for spec in self.dataset if spec is not None),
            *(labels if isinstance(labels, tuple) else (labels,)),
        )
        return tuple(name for name in names if isinstance(name, OwnName))

    def with_functions(self, change: Callable[[Any], Any]) -> Sweep:
        """Return the sweep with each activation, dataset and law of labels of one's own changed."""

        def changed(value: Any) -> Any:
            if isinstance(value, tuple):
                return tuple(map(changed, value))
            return change(value) if isinstance(value, OwnName) else value

        descent = self.descent
        if descent is not None:
            descent = replace(descent, settings=changed(descent.settings))
        return replace(
            self,
            activation=changed(self.activation),
            dataset=tuple(replace(spec, kind=changed(spec.kind)) for spec in self.dataset),
            descent=descent,
            parameters=changed(self.parameters),
        )

    @property
    def runs_code(self) -> bool:
        """True if its trials run code of one's own."""
        return self.own is not None or bool(self.functions)

    def with_cost_of(self, other: Sweep) -> Sweep:
        """Return the sweep with the measured cost of another sweep of the same experiment."""
        if self.own is None or other.own is None:
            return self
        return replace(self, own=replace(self.own, cost=other.own.cost))

    def with_numerics_of(self, fields: Mapping[str, Any]) -> Sweep:
        """Return the sweep with the numerics that the identity fields of a store name, if known."""
        version = fields.get("numerics_version")
        if type(version) is not int or version not in KNOWN_VERSIONS:
            return self
        return replace(self, numerics_version=version)

    def with_steps(self, steps: int) -> Sweep:
        """Return the sweep with a larger budget than that of its text."""
        assert self.descent is not None
        return replace(self, descent=replace(self.descent, steps=steps, extended=True))

    @cached_property
    def identity(self) -> str:
        """SHA-256 of `identity_fields` as sorted JSON."""
        return hashlib.sha256(json.dumps(self.identity_fields, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class Request:
    """A request for trials: one cell, one width, some seeds.

    The width, the seeds and the sizes may be new to the store.

    Attributes
    ----------
    cell
        Its index on the leading axes of the store.
    width
        In the store's unit.
    seeds
        Labels of the seeds.
    sizes
        Pairs of a size, `n` or `d`, and its value in the place of that of the cell.
    """

    cell: tuple[int, ...]
    width: float
    seeds: tuple[int, ...]
    sizes: tuple[tuple[str, int], ...] = ()


@lru_cache(maxsize=4096)
def _whole_widths(ratios: tuple[float, ...], above: int, below: int, even: bool) -> tuple[int, ...]:
    """Return the whole number nearest to each ratio times above / below, or the next even one."""
    scale = Fraction(above, below)
    widths = (_nearest(ratio, scale) for ratio in ratios)
    return tuple(k + k % 2 for k in widths) if even else tuple(widths)


def _nearest(ratio: float, scale: Fraction) -> int:
    # repr gives the decimal that the user wrote: 1.1 * 200 is 220, never 220.00000000000003.
    return math.floor(Fraction(repr(ratio)) * scale + Fraction(1, 2))


def _as_json(value: object) -> object:
    """Return a value as it reads back from JSON: a tuple becomes a list."""
    return list(value) if isinstance(value, tuple) else value


def _dataset_identity(spec: DatasetSpec) -> dict[str, Any]:
    fields: dict[str, Any] = {"kind": spec.kind}
    if spec.angle:
        fields["angle"] = list(spec.angle)
    if isinstance(spec.kind, OwnName) and spec.normalise:
        fields["normalise"] = True
    if spec.path is not None:
        fields |= {"rows": spec.digest, "normalise": spec.normalise}
    if spec.labels is not None:
        fields["labels"] = spec.labels.digest
    return fields
