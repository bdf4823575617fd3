"""The axes of a store: one table of their names, symbols, meanings, units and limits.

Sweep files, the store's coordinates, tables, figures and fits take the names, the words and the order
of their dimensions from this table. A new leading axis, such as `depth`, is one line here and an entry
in `Experiment.options` of each experiment that varies it: the key of the sweep file, its checks, the
dimension, the coordinate and its part in the identity follow.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Any

__all__ = ["AXES", "Axis", "Kind", "leading", "names", "optional"]


class Kind(StrEnum):
    """The role of an axis.

    `MODEL` axes distinguish what is simulated (activation, dataset, ...), `SIZE` axes are the sizes d
    and n; together they lead the dimensions of a store, and one combination of them is a cell. `TRIAL`
    axes, width and seed, enumerate the trials of a cell. `INNER` axes belong to single variables.
    """

    MODEL = "model"
    SIZE = "size"
    TRIAL = "trial"
    INNER = "inner"


@dataclass(frozen=True)
class Axis:
    """One dimension of a store.

    Attributes
    ----------
    name
        The dimension, and the coordinate on it.
    symbol
        The letter that figures and tables write; "" where the value speaks for itself.
    long_name, units
        Attributes of the coordinate.
    kind
        Its role.
    limits
        Least and largest whole number on the axis; None where its values are not whole numbers. The
        limits of `width` are those of k.
    default
        The value of cells in sweeps of an experiment that does not take the axis. Only optional axes
        have one: those that are a key of some experiments' sweep files.
    """

    name: str
    symbol: str
    long_name: str
    units: str
    kind: Kind
    limits: tuple[int, int] | None = None
    default: Any = None


_TABLE = (
    Axis("activation", "", "activation function phi", "1", Kind.MODEL),
    Axis("dataset", "", "kind of the inputs X", "1", Kind.MODEL),
    Axis("angle", "", "rotation angle of near-duplicate rows", "rad", Kind.MODEL),
    Axis("trained", "", "weights that are trained", "1", Kind.MODEL, default="input"),
    Axis("depth", "L", "number of hidden layers", "1", Kind.MODEL, limits=(1, 16), default=1),
    Axis("d", "d", "input dimension", "1", Kind.SIZE, limits=(1, 2**31 - 1)),
    Axis("n", "n", "number of samples", "1", Kind.SIZE, limits=(1, 10**6)),
    Axis("width", "k", "width", "1", Kind.TRIAL, limits=(1, 2**31 - 1)),
    Axis("seed", "", "seed", "1", Kind.TRIAL, limits=(0, 2**32 - 1)),
    Axis("index", "", "rank of a value", "1", Kind.INNER),
    Axis("tolerance", "", "relative loss to be reached, ||r||^2 / ||r0||^2", "1", Kind.INNER),
    Axis("step", "", "gradient descent steps", "1", Kind.INNER),
    Axis(
        "multiple",
        "",
        "residual at the start, in multiples of the largest that is certified",
        "1",
        Kind.INNER,
    ),
)

_BY_NAME = {axis.name: axis for axis in _TABLE}

AXES: Mapping[str, Axis] = MappingProxyType(_BY_NAME)
"""All axes by name, in the order in which a store has them."""


def names(*kinds: Kind) -> tuple[str, ...]:
    """Return the names of all axes of some kinds, in the order of the store."""
    return tuple(axis.name for axis in AXES.values() if axis.kind in kinds)


def leading() -> tuple[str, ...]:
    """Return the names of the axes that lead the dimensions of a store; a cell is one point on them."""
    return names(Kind.MODEL, Kind.SIZE)


def optional() -> tuple[Axis, ...]:
    """Return the leading axes that only some experiments take."""
    return tuple(axis for axis in AXES.values() if axis.default is not None)
