"""A Sweep: the one frozen description of what is computed.

It answers every question about the grid: its axes, the width k at each place, the cells it is made
of, and the identity that decides whether two stores hold values of one kind. `sweep_files.load`
makes one from a TOML file, and only from what can be computed.

A *cell* is one (activation, dataset, angle, d, n); it has all its widths and seeds. Where a sweep
lists several datasets, a combination that a dataset cannot form (an odd n of pairs, an angle of a
circle) is excluded: it has a place in the dense cube and the status `excluded`.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any, Literal

from pipeline.numerics.datasets import KINDS, DatasetSpec

__all__ = ["NUMERICS_VERSION", "Cell", "Descent", "Request", "Sweep"]

NUMERICS_VERSION = 4
"""Raised whenever a change of the numerics moves stored values; part of a sweep's identity."""


MARKS_PER_DECADE = 8
"""Steps at which a loss curve is kept, on a logarithmic grid."""


@dataclass(frozen=True)
class Descent:
    """How far gradient descent goes.

    Attributes
    ----------
    steps
        The budget of a trial.
    tolerances
        Of the relative loss ||r||^2 / ||r0||^2, descending; a trial ends when the last is met.
    step_size
        In units of 1 / lambda_max(J0 J0^T).
    multiples
        Of the certified residual, ascending, for Theorem 1.
    """

    steps: int
    tolerances: tuple[float, ...]
    step_size: float
    multiples: tuple[float, ...] = (1.0,)

    @property
    def marks(self) -> tuple[int, ...]:
        """Steps from 1 to the budget, evenly spaced in the logarithm, whole and distinct."""
        top = max(1, self.steps)
        decades = math.log10(top)
        places = range(math.floor(decades * MARKS_PER_DECADE) + 1)
        return tuple(sorted({*(round(10 ** (i / MARKS_PER_DECADE)) for i in places), top}))


@dataclass(frozen=True)
class Cell:
    """One (activation, dataset, angle, trained, depth, d, n) of a sweep, with all its widths.

    Attributes
    ----------
    index
        Its place on the store's leading dimensions.
    widths
        k at each place of the width axis, increasing.
    """

    index: tuple[int, ...]
    activation: str
    dataset: DatasetSpec
    angle: float | None
    d: int
    n: int
    widths: tuple[int, ...]
    trained: str = "input"
    depth: int = 1


@dataclass(frozen=True)
class Sweep:
    """A validated sweep; `pipeline.load_sweep` makes one.

    Attributes
    ----------
    axes
        The names of the leading dimensions, in the store's order: `activation` and `dataset` where
        the file gives a list, `angle` where a dataset has one, `trained` and `depth` where the file
        gives a list, then `d` and `n`.
    width_unit
        What the numbers of `width` are: `k`, `k_per_n` or `kd_per_n`.
    even
        Whether k is rounded up to an even number, so that the signs of v balance.
    trained, depth
        Weights that are trained, and numbers of hidden layers; () where the experiment has no such
        choice.
    descent
        None for experiments that do not descend.
    text
        The file as written.
    """

    name: str
    experiment: str
    entropy: int
    activation: tuple[str, ...]
    dataset: tuple[DatasetSpec, ...]
    d: tuple[int, ...]
    n: tuple[int, ...]
    width_unit: Literal["k", "k_per_n", "kd_per_n"]
    width: tuple[float, ...]
    seeds: tuple[int, ...]
    nested: bool
    axes: tuple[str, ...]
    text: str = ""
    even: bool = False
    trained: tuple[str, ...] = ()
    depth: tuple[int, ...] = ()
    descent: Descent | None = None

    @cached_property
    def angle(self) -> tuple[float, ...]:
        """All angles of all datasets; 0 stands for datasets that have none."""
        angles = {angle for spec in self.dataset for angle in spec.angle or (0.0,)}
        return tuple(sorted(angles))

    @property
    def dims(self) -> tuple[str, ...]:
        """Dimensions of a per-trial variable in the store."""
        return (*self.axes, "width", "seed")

    @property
    def shape(self) -> tuple[int, ...]:
        """Extents of `dims`."""
        return (*(len(getattr(self, axis)) for axis in self.axes), len(self.width), len(self.seeds))

    @cached_property
    def inner(self) -> dict[str, tuple[float, ...]]:
        """Coordinates of the dimensions that a variable can have beyond `dims`."""
        inner: dict[str, tuple[float, ...]] = {"index": tuple(range(max(self.n)))}
        if self.descent is None:
            return inner
        return inner | {
            "tolerance": self.descent.tolerances,
            "step": self.descent.marks,
            "multiple": self.descent.multiples,
        }

    @property
    def trials(self) -> int:
        """Trials that the sweep asks for, excluded places not counted."""
        return sum(1 for _ in self.cells()) * len(self.width) * len(self.seeds)

    def k(self, d: int, n: int) -> tuple[int, ...]:
        """Return the width k at each place of the width axis, shape (widths,)."""
        scale = {"k": Fraction(1), "k_per_n": Fraction(n), "kd_per_n": Fraction(n, d)}
        widths = (_nearest(ratio, scale[self.width_unit]) for ratio in self.width)
        return tuple(k + k % 2 for k in widths) if self.even else tuple(widths)

    def cells(self) -> Iterator[Cell]:
        """Go through the cells of the sweep in the order of the store."""
        for place in self._places():
            if place is not None:
                yield place

    def excluded(self) -> Iterator[tuple[int, ...]]:
        """Go through the places of the dense cube that the sweep does not ask for."""
        for index, place in zip(self._indices(), self._places(), strict=True):
            if place is None:
                yield index

    def _indices(self) -> Iterator[tuple[int, ...]]:
        return itertools.product(*(range(len(getattr(self, axis))) for axis in self.axes))

    def _places(self) -> Iterator[Cell | None]:
        for index in self._indices():
            at = dict(zip(self.axes, index, strict=True))
            spec = self.dataset[at.get("dataset", 0)]
            angle = self.angle[at["angle"]] if "angle" in at else 0.0
            d, n = self.d[at["d"]], self.n[at["n"]]
            if n % KINDS[spec.kind].multiple or angle not in (spec.angle or (0.0,)):
                yield None
                continue
            activation = self.activation[at.get("activation", 0)]
            own_angle = angle if spec.angle else None
            trained = self.trained[at.get("trained", 0)] if self.trained else "input"
            depth = self.depth[at.get("depth", 0)] if self.depth else 1
            widths = self.k(d, n)
            yield Cell(index, activation, spec, own_angle, d, n, widths, trained, depth)

    @cached_property
    def identity_fields(self) -> dict[str, Any]:
        """What decides a trial's value: not the extents of the axes, the name or provenance."""
        fields: dict[str, Any] = {
            "activation": list(self.activation),
            "dataset": [_dataset_identity(spec) for spec in self.dataset],
            "entropy": self.entropy,
            "experiment": self.experiment,
            "nested": self.nested,
            "numerics_version": NUMERICS_VERSION,
        }
        for name in ("trained", "depth"):
            if getattr(self, name):
                fields[name] = list(getattr(self, name))
        if self.descent is not None:
            fields["descent"] = {key: _listed(value) for key, value in asdict(self.descent).items()}
        return fields

    @cached_property
    def identity(self) -> str:
        """SHA-256 of `identity_fields` as sorted JSON."""
        return hashlib.sha256(json.dumps(self.identity_fields, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class Request:
    """Trials of one width of one cell that a store is asked for.

    Attributes
    ----------
    cell
        Its place on the leading axes of the store.
    width
        In the store's unit; it need not be on the axis yet.
    seeds
        They need not be there either.
    """

    cell: tuple[int, ...]
    width: float
    seeds: tuple[int, ...]


def _nearest(ratio: float, scale: Fraction) -> int:
    # repr gives the decimal that the user wrote: 1.1 * 200 is 220, never 220.00000000000003.
    return math.floor(Fraction(repr(ratio)) * scale + Fraction(1, 2))


def _listed(value: object) -> object:
    """As JSON gives it back."""
    return list(value) if isinstance(value, tuple) else value


def _dataset_identity(spec: DatasetSpec) -> dict[str, Any]:
    fields: dict[str, Any] = {"kind": spec.kind}
    if spec.angle:
        fields["angle"] = list(spec.angle)
    if spec.path is not None:
        fields |= {"rows": spec.digest, "normalise": spec.normalise}
    return fields
