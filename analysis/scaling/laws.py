"""The candidate laws for a critical width, and free power laws beside them.

A law says k* = C f(n, d, alpha) with one constant C. Adding one is a line in `LAWS`: it is then fitted,
ranked, named in verdicts and drawn. A free power law has free exponents: `free_models` nests them, from
n alone to all that the points determine.

The critical value of another axis follows laws of its own `Family`: those of the critical n are the
same laws, solved for n at a given k; no law is known for a critical noise or angle, so only free powers
are fitted to them. A law that reads what changes along the axis is none of a family: alpha is not known
at a critical n.

Where a law has the fitted k inside a logarithm, k = C g log k is solved for k (its larger root, by
Lambert's function), so that measured widths never appear on both sides.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.scaling.fitting import Model

__all__ = [
    "COLLINEAR",
    "LAWS",
    "VARIABLES",
    "Candidate",
    "Family",
    "Law",
    "collinear",
    "determined",
    "exponents_of",
    "family_of",
    "free_models",
    "group_columns",
    "law_model",
    "sizes_of",
]

Floats = npt.NDArray[np.float64]

VARIABLES = ("n", "d", "alpha")
INFLATION = 100.0
"""Variance inflation beyond which an exponent is not fitted: the others hold its part."""

COLLINEAR = 10.0
"""Variance inflation from which on exponents count as impossible to tell apart."""


@dataclass(frozen=True)
class Law:
    """A shape f(n, d, alpha) with one constant in front.

    Attributes
    ----------
    formula
        The law with its constant, as in `C n / d`.
    log_shape
        Maps a table with columns n, d, alpha to log f (points,).
    variables
        The columns that it reads.
    log_k
        Multiply the shape by log k, k being the width that the law itself gives.
    shown
        Draw it in figures where it is among the best.
    """

    formula: str
    log_shape: Callable[[pd.DataFrame], Floats]
    variables: tuple[str, ...] = ("n",)
    log_k: bool = False
    shown: bool = True

    def width(self, constant: float, table: pd.DataFrame) -> Floats:
        """Return the k that the law gives at each row of a table, with its constant fitted."""
        if not self.log_k:
            return np.asarray(constant * np.exp(self.log_shape(table)), dtype=np.float64)
        log_k, _ = law_model(self).predict(np.array([np.log(constant)]), table)
        return np.asarray(np.exp(log_k), dtype=np.float64)


def _law(formula: str, *, log_n: int = 0, log_k: bool = False, **powers: float) -> Law:
    """Return a law of powers of its variables and of log n."""

    def log_shape(table: pd.DataFrame) -> Floats:
        total = np.zeros(len(table))
        for name, power in powers.items():
            total = total + power * np.log(table[name].to_numpy(float))
        return total + log_n * np.log(np.log(table["n"].to_numpy(float))) if log_n else total

    return Law(formula, log_shape, tuple(powers), log_k)


LAWS: dict[str, Law] = {
    "n": _law("C n", n=1),
    "n log n": _law("C n log n", n=1, log_n=1),
    "n/alpha^2": _law("C n / alpha^2", n=1, alpha=-2),
    "n log n/alpha^2": _law("C n log n / alpha^2", n=1, alpha=-2, log_n=1),
    "n log n log k/alpha^2": _law("C n log n log k / alpha^2", n=1, alpha=-2, log_n=1, log_k=True),
    "n/d": _law("C n / d", n=1, d=-1),
    "n log n/d": _law("C n log n / d", n=1, d=-1, log_n=1),
    "n^2/d": _law("C n^2 / d", n=2, d=-1),
    "n^4/d^3": _law("C n^4 / d^3", n=4, d=-3),
}


@dataclass(frozen=True)
class Family:
    """The laws of the critical value of one axis.

    Attributes
    ----------
    target
        The letter of the critical value, k for a width.
    variables
        What it may depend on. The first two are varied as sizes: the largest of the first is left out
        to test a law, and so is each of the second.
    laws
        The candidates beside free powers, by their names.
    """

    target: str = "k"
    variables: tuple[str, ...] = VARIABLES
    laws: Mapping[str, Law] = field(default_factory=lambda: LAWS)

    @property
    def lead(self) -> str:
        """The variable whose largest value tests a law."""
        return self.variables[0]

    @property
    def other(self) -> str:
        """The second size."""
        return self.variables[1]


def family_of(axis: str) -> Family:
    """Return the laws of the critical value of an axis."""
    if axis == "width":
        return Family()
    if axis == "n":
        return Family("n", ("k", "d"), _OF_N)
    if axis == "d":
        return Family("d", ("n", "k"), _OF_D)
    return Family(axis, ("n", "d", "k"), {})


_OF_N: dict[str, Law] = {
    "k": _law("C k", k=1),
    "k d": _law("C k d", k=1, d=1),
    "k^0.5 d^0.5": _law("C k^0.5 d^0.5", k=0.5, d=0.5),
    "k^0.25 d^0.75": _law("C k^0.25 d^0.75", k=0.25, d=0.75),
}
"""The laws k = C n, n/d, n^2/d and n^4/d^3, solved for n."""

_OF_D: dict[str, Law] = {
    "n/k": _law("C n / k", n=1, k=-1),
    "n^2/k": _law("C n^2 / k", n=2, k=-1),
}
"""The laws k = C n/d and n^2/d, solved for d."""


def law_model(law: Law) -> Model:
    """Return the model of a law, whose one parameter is its constant."""

    def build(table: pd.DataFrame) -> tuple[Floats, Floats]:
        return law.log_shape(table), np.ones((len(table), 1))

    return Model(("constant",), build, law.log_k)


@dataclass(frozen=True)
class Candidate:
    """A law or a free power law that is fitted to a set of points.

    Attributes
    ----------
    name, formula
        Its name (`free` and the like for a free law), and the law with its constant.
    model
        The model to fit.
    is_free
        True for a power law with free exponents.
    same_as
        Names of the laws that differ from it by a constant at these points.
    dropped
        The variables whose exponents the points do not determine, with the reasons.
    """

    name: str
    formula: str
    model: Model
    is_free: bool = False
    same_as: tuple[str, ...] = ()
    dropped: str = ""


def free_models(table: pd.DataFrame, variables: tuple[str, ...] = VARIABLES) -> Iterator[Candidate]:
    """Yield the nested free power laws of a set of points, from the narrowest.

    The widest is `free`; a narrower one is named after its variables, as in `free n`.
    """
    names, dropped = determined(table, variables)
    for count in range(1, len(names)):
        yield _free(f"free {', '.join(names[:count])}", names[:count])
    yield _free("free", names, dropped)


def _free(name: str, names: tuple[str, ...], dropped: str = "") -> Candidate:
    def build(table: pd.DataFrame) -> tuple[Floats, Floats]:
        columns = [np.log(table[name].to_numpy(float)) for name in names]
        return np.zeros(len(table)), np.stack([np.ones(len(table)), *columns], axis=1)

    formula = " ".join(["C", *(f"{name}^{power}" for name, power in zip(names, "abc", strict=False))])
    return Candidate(name, formula, Model(("constant", *names), build), True, dropped=dropped)


def determined(
    table: pd.DataFrame, variables: tuple[str, ...] = VARIABLES
) -> tuple[tuple[str, ...], str]:
    """Return the variables whose exponents the points determine, and a note on the others."""
    kept: list[str] = []
    notes: list[str] = []
    basis = np.ones((len(table), 1))
    for name in variables:
        values = table[name].to_numpy(float)
        if not (np.isfinite(values) & (values > 0)).all():
            notes.append(f"{name} dropped: not known everywhere")
            continue
        column = np.log(values)
        if np.ptp(column) < 1e-9:
            notes.append(f"{name} dropped: it does not vary")
            continue
        rest = column - basis @ np.linalg.lstsq(basis, column, rcond=None)[0]
        if np.sum(rest**2) * INFLATION < np.sum((column - column.mean()) ** 2):
            notes.append(f"{name} dropped: collinear with {' and '.join(kept)}")
            continue
        kept.append(name)
        basis = np.column_stack([basis, column])
    return tuple(kept), "; ".join(notes)


def collinear(
    table: pd.DataFrame, variables: tuple[str, ...] = VARIABLES
) -> tuple[tuple[str, ...], float]:
    """Return the variables whose exponents other ones can stand for, and the greatest inflation.

    The variance of an exponent grows by the factor 1 / (1 - R^2) if its variable follows the others as
    a power law, where R^2 is the share of the variance of its logarithm that they explain. A factor of
    10 or more counts as collinear.

    Returns
    -------
    variables, inflation
        The variables are those of the points that are known and vary; none if all factors are below 10.
    """
    logs = {}
    for name in variables:
        values = table[name].to_numpy(float)
        if (np.isfinite(values) & (values > 0)).all() and np.ptp(np.log(values)) >= 1e-9:
            logs[name] = np.log(values)
    factors = {name: _inflation(name, logs) for name in logs}
    names = tuple(name for name, factor in factors.items() if factor >= COLLINEAR)
    return names, max(factors.values(), default=1.0)


def _inflation(name: str, logs: dict[str, Floats]) -> float:
    """Return 1 / (1 - R^2) of the regression of one logarithm on the others; inf if they give it."""
    y = logs[name]
    others = np.column_stack([np.ones_like(y), *(log for key, log in logs.items() if key != name)])
    rest = float(np.sum((y - others @ np.linalg.lstsq(others, y, rcond=None)[0]) ** 2))
    whole = float(np.sum((y - y.mean()) ** 2))
    return whole / rest if rest > 1e-12 * whole else np.inf


# --- reading the table of `fit_laws` --------------------------------------------------------------


def group_columns(laws: pd.DataFrame) -> list[str]:
    """Return the columns of a table of laws that name the group of a row: those before `law`."""
    return list(laws.columns[: laws.columns.get_loc("law")])


def sizes_of(columns: Iterable[Any]) -> tuple[str, str]:
    """Return the two sizes of a family from the columns of its table of laws: n and d for widths."""
    names = [str(name) for name in columns]
    lead = next(name for name in names if name.startswith("error_largest_"))
    other = next(name for name in names if name.startswith("error_left_out_"))
    return lead.removeprefix("error_largest_"), other.removeprefix("error_left_out_")


def exponents_of(law: pd.Series[Any]) -> list[tuple[str, float, float, float]]:
    """Return the variable, value, lower and upper end of each exponent that a row has fitted."""
    found = []
    whole = [str(name) for name in law.index if str(name).startswith("exponent_")]
    for name in [n.removeprefix("exponent_") for n in whole if not n.endswith(("_low", "_high"))]:
        value, low, high = (float(law[f"exponent_{name}{end}"]) for end in ("", "_low", "_high"))
        if np.isfinite(value):
            found.append((name, value, low, high))
    return found
