"""The axes of a store: one table of their names, symbols, meanings and units.

Sweep files, the store's coordinates, tables, figures and fits all take the words and the order of
their dimensions from here, so that a new leading axis is one line of this table and the experiment
that varies it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

__all__ = ["AXES", "Axis", "Kind", "names"]


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
    """

    name: str
    symbol: str
    long_name: str
    units: str
    kind: Kind


_TABLE = (
    Axis("activation", "", "activation function phi", "1", Kind.MODEL),
    Axis("dataset", "", "kind of the inputs X", "1", Kind.MODEL),
    Axis("angle", "", "rotation angle of near-duplicate rows", "rad", Kind.MODEL),
    Axis("trained", "", "weights that are trained", "1", Kind.MODEL),
    Axis("depth", "L", "number of hidden layers", "1", Kind.MODEL),
    Axis("d", "d", "input dimension", "1", Kind.SIZE),
    Axis("n", "n", "number of samples", "1", Kind.SIZE),
    Axis("width", "k", "width", "1", Kind.TRIAL),
    Axis("seed", "", "seed", "1", Kind.TRIAL),
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

AXES: Mapping[str, Axis] = MappingProxyType({axis.name: axis for axis in _TABLE})
"""All axes by name, in the order in which a store has them."""


def names(*kinds: Kind) -> tuple[str, ...]:
    """Return the names of all axes of some kinds, in the order of the store."""
    return tuple(axis.name for axis in AXES.values() if axis.kind in kinds)
