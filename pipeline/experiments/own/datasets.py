"""Datasets and labels of one's own.

`dataset = { kind = "mine.py:rows" }` names a function of a stream, n and d that returns rows, or rows
and labels; `[labels] kind = "mine.py:labels"` one of a stream and rows that returns labels. They are
drawn anew for every seed from the seed's own streams, like any others, and each draw is checked: a
function is somebody else's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import CodeError, first_line, shortened
from pipeline.experiments.own.calls import call_alone, told
from pipeline.experiments.own.code import Code, Named
from pipeline.numerics.datasets import DatasetSpec, Kind
from pipeline.numerics.streams import Role, stream

__all__ = [
    "DatasetFacts",
    "LabelsFacts",
    "OwnDataset",
    "OwnLabels",
    "dataset_facts",
    "try_labels",
]

Array = NDArray[np.float64]

UNIT = 1e-6
"""Largest distance of a norm from 1, as for files."""


@dataclass(frozen=True)
class DatasetFacts:
    """Facts on a dataset that need no code.

    Attributes
    ----------
    unit_norm
        True if its rows have norm 1.
    labelled
        True if it returns rows and labels.
    fresh
        True if a further draw has other samples.
    """

    unit_norm: bool
    labelled: bool
    fresh: bool

    def as_json(self) -> dict[str, Any]:
        """Return the facts as a store keeps them."""
        return asdict(self)

    @classmethod
    def from_json(cls, found: Any) -> DatasetFacts:
        """Return the facts that a store keeps.

        Raises
        ------
        TypeError, KeyError, ValueError
            They are none.
        """
        given = {key: found[key] for key in ("unit_norm", "labelled", "fresh")}
        if not all(isinstance(value, bool) for value in given.values()):
            raise ValueError("facts that no dataset has")
        return cls(**given)


class OwnDataset(Named):
    """The name of a dataset of one's own, which brings its record."""

    __slots__ = ()

    facts: DatasetFacts

    @property
    def record(self) -> Kind:
        """Return its record, as for the datasets that come with widthlaw."""

        def rows(
            spec: DatasetSpec, rng: np.random.Generator, n: int, d: int, angle: float | None
        ) -> Array:
            return self.draw(rng, n, d, spec.normalise)[0]

        def labels(spec: DatasetSpec, rng: np.random.Generator, n: int, d: int) -> Array:
            y = self.draw(rng, n, d, spec.normalise)[1]
            assert y is not None
            return y

        return Kind(
            rows,
            unit_norm=self.facts.unit_norm,
            fresh=self.facts.fresh,
            labels=labels if self.facts.labelled else None,
        )

    def draw(
        self, rng: np.random.Generator, n: int, d: int, normalise: bool
    ) -> tuple[Array, Array | None]:
        """Return rows and labels, or None without labels.

        Raises
        ------
        CodeError
            They are not what the function returned when the sweep was read.
        """
        X, y = checked_draw(self, self.function, rng, n, d, normalise)
        if (y is not None) != self.facts.labelled:
            raise CodeError(
                f"{self}: returned {'rows' if y is None else 'rows and labels'} at n = {n}, d = {d}, "
                "unlike when the sweep was read; return the same for all sizes"
            )
        if self.facts.unit_norm:
            norms = np.linalg.norm(X, axis=1)
            worst = int(np.argmax(np.abs(norms - 1)))
            if abs(norms[worst] - 1) > UNIT:
                raise CodeError(
                    f"{self}: row {worst} has norm {norms[worst]:.6g} at n = {n}, d = {d}, expected 1 "
                    "as when the sweep was read; divide by the norm, or set normalise = true"
                )
        return X, y


def checked_draw(
    entry: str, function: Any, rng: np.random.Generator, n: int, d: int, normalise: bool
) -> tuple[Array, Array | None]:
    """Call the function of a dataset, and check what it returns.

    Raises
    ------
    CodeError
        It raises, or returns something else than numbers of the right shapes.
    """
    where = f"{entry}: at n = {n}, d = {d}"
    try:
        found = call_alone(function, rng, n, d)
    except Exception as error:
        raise CodeError(f"{where} it raises {first_line(error)}; repair it") from error
    pair = isinstance(found, tuple) and len(found) == 2
    X = _numbers(where, "rows", found[0] if pair else found, (n, d))
    y = _numbers(where, "labels", found[1], (n,)) if pair else None
    if normalise:
        largest = np.abs(X).max(axis=1, keepdims=True)
        if not largest.all():
            raise CodeError(
                f"{where} row {int(np.argmin(largest))} is all zeros and cannot be normalised; leave "
                "such rows out"
            )
        X = X / largest  # squares of huge or tiny numbers leave the range of floats
        X /= np.linalg.norm(X, axis=1, keepdims=True)
    return X, y


def _numbers(where: str, what: str, value: Any, shape: tuple[int, ...]) -> Array:
    expected = f"{what} of shape {shape}"
    repair = "one sample per row" if len(shape) == 2 else "one number per sample"
    try:
        array = np.asarray(value)
    except Exception as error:
        raise CodeError(
            f"{where} its {what} are {type(value).__name__}, expected {expected} ({first_line(error)})"
        ) from None
    if array.dtype.kind not in "fiub":
        raise CodeError(
            f"{where} its {what} are {told(value)}, expected real numbers of shape {shape}; "
            f"return an array, {repair}"
        )
    if array.shape != shape:
        raise CodeError(
            f"{where} it returned {what} of shape {array.shape}, expected {shape}, {repair}"
        )
    numbers = np.array(array, dtype=np.float64, order="C")
    if not np.isfinite(numbers).all():
        at = tuple(map(int, np.unravel_index(np.argmin(np.isfinite(numbers)), shape)))
        place = f"sample {at[0]}" + (f", column {at[1]}" if len(at) > 1 else "")
        raise CodeError(
            f"{where} its {what} have {numbers[at]} at {place}, expected finite numbers; repair it"
        )
    return numbers


def dataset_facts(
    entry: str, code: Code, n: int, d: int, normalise: bool, entropy: int
) -> DatasetFacts:
    """Draw from a dataset twice, and return what is found.

    Raises
    ------
    CodeError
        It cannot be used.
    """
    function = code.function(entry)
    if not callable(function):
        raise CodeError(
            f"{entry}: is {shortened(repr(function))}, expected a function of a stream, n and d"
        )
    draws = [
        checked_draw(entry, function, stream(entropy, d, n, seed, Role.DATA), n, d, normalise)
        for seed in (0, 1, 0)
    ]
    (X, y), (other, _), (again, _) = draws
    if not np.array_equal(X, again):
        raise CodeError(
            f"{entry}: returns other rows from the same stream, expected a function of its stream, n "
            "and d alone; draw from the generator that it gets"
        )
    with np.errstate(over="ignore"):  # the norm of huge numbers is infinite, and not 1
        norms = np.linalg.norm(np.vstack([X, other]), axis=1)
    unit = np.allclose(norms, 1, rtol=0, atol=UNIT)
    return DatasetFacts(bool(unit), y is not None, not np.array_equal(X, other))


@dataclass(frozen=True)
class LabelsFacts:
    """Facts on labels that need no code: they are numbers, and no more is known."""

    def as_json(self) -> dict[str, Any]:
        """Return the facts as a store keeps them."""
        return {}

    @classmethod
    def from_json(cls, found: Any) -> LabelsFacts:
        """Return the facts that a store keeps."""
        return cls()


class OwnLabels(Named):
    """The name of a law of labels of one's own."""

    __slots__ = ()

    facts: LabelsFacts

    @property
    def record(self) -> Callable[[np.random.Generator, Array], Array]:
        """Return the function of (stream, X) that returns the labels, shape (n,)."""
        return partial(_labels, str(self), self.function)


def _labels(entry: str, function: Any, rng: np.random.Generator, X: Array) -> Array:
    where = f"{entry}: for X of shape {X.shape}"
    try:
        found = call_alone(function, rng, X.copy())
    except Exception as error:
        raise CodeError(f"{where} it raises {first_line(error)}; repair it") from error
    return _numbers(where, "labels", found, (len(X),))


def try_labels(entry: str, code: Code, n: int, d: int) -> None:
    """Draw labels for random rows.

    Raises
    ------
    CodeError
        They cannot be used.
    """
    function = code.function(entry)
    if not callable(function):
        raise CodeError(
            f"{entry}: is {shortened(repr(function))}, expected a function of a stream and X"
        )
    X = np.random.default_rng(0).standard_normal((n, d))
    first, again = (_labels(entry, function, np.random.default_rng(1), X) for _ in range(2))
    if not np.array_equal(first, again):
        raise CodeError(
            f"{entry}: returns other labels from the same stream, expected a function of its stream "
            "and X alone; draw from the generator that it gets"
        )
