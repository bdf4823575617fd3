"""A Sweep: the one frozen description of what is computed.

It answers every question about the grid: its axes, the width k at each place, the cells it is made
of, and the identity that decides whether two stores hold values of one kind. `pipeline.sweep_file`
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
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any, Literal

from pipeline.datasets import KINDS, DatasetSpec

__all__ = ["NUMERICS_VERSION", "Cell", "Sweep"]

NUMERICS_VERSION = 1
"""Raised whenever a change of the numerics moves stored values; part of a sweep's identity."""


@dataclass(frozen=True)
class Cell:
    """One (activation, dataset, angle, d, n) of a sweep, with all its widths.

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


@dataclass(frozen=True)
class Sweep:
    """A validated sweep; `pipeline.load_sweep` makes one.

    Attributes
    ----------
    axes
        The names of the leading dimensions, in the store's order: `activation` and `dataset` where
        the file gives a list, `angle` where a dataset has one, then `d` and `n`.
    width_unit
        What the numbers of `width` are: `k`, `k_per_n` or `kd_per_n`.
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

    @property
    def trials(self) -> int:
        """Trials that the sweep asks for, excluded places not counted."""
        return sum(1 for _ in self.cells()) * len(self.width) * len(self.seeds)

    def k(self, d: int, n: int) -> tuple[int, ...]:
        """Return the width k at each place of the width axis, shape (widths,)."""
        scale = {"k": Fraction(1), "k_per_n": Fraction(n), "kd_per_n": Fraction(n, d)}
        return tuple(_nearest(ratio, scale[self.width_unit]) for ratio in self.width)

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
            yield Cell(index, activation, spec, own_angle, d, n, self.k(d, n))

    @cached_property
    def identity_fields(self) -> dict[str, Any]:
        """What decides a trial's value: not the extents of the axes, the name or provenance."""
        return {
            "activation": list(self.activation),
            "dataset": [_dataset_identity(spec) for spec in self.dataset],
            "entropy": self.entropy,
            "experiment": self.experiment,
            "nested": self.nested,
            "numerics_version": NUMERICS_VERSION,
        }

    @cached_property
    def identity(self) -> str:
        """SHA-256 of `identity_fields` as sorted JSON."""
        return hashlib.sha256(json.dumps(self.identity_fields, sort_keys=True).encode()).hexdigest()


def _nearest(ratio: float, scale: Fraction) -> int:
    # repr gives the decimal that the user wrote: 1.1 * 200 is 220, never 220.00000000000003.
    return math.floor(Fraction(repr(ratio)) * scale + Fraction(1, 2))


def _dataset_identity(spec: DatasetSpec) -> dict[str, Any]:
    fields: dict[str, Any] = {"kind": spec.kind}
    if spec.angle:
        fields["angle"] = list(spec.angle)
    if spec.path is not None:
        fields |= {"rows": spec.digest, "normalise": spec.normalise}
    return fields
