"""The candidate laws for a critical width, and free power laws beside them.

A law says k* = C f(n, d, alpha) with one constant; adding one is a line in `LAWS`. A free power law
has exponents of its own: `free_models` nests them, from n alone to all that the points determine.

Where a law holds the fitted k inside a logarithm, k = C g log k is solved for k (its larger root, by
Lambert's function), so that measured widths never appear on both sides.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.scaling.fitting import Model

__all__ = ["LAWS", "VARIABLES", "Law", "determined", "free_models", "law_model"]

Floats = npt.NDArray[np.float64]

VARIABLES = ("n", "d", "alpha")
INFLATION = 100.0  # variance inflation beyond which an exponent cannot be told from the others


@dataclass(frozen=True)
class Law:
    """A shape f(n, d, alpha) with one constant in front.

    `log_shape` maps a table with columns n, d, alpha to log f (points,). With `log_k` the shape
    is multiplied by log k, k being the width that the law itself gives.
    """

    formula: str
    log_shape: Callable[[pd.DataFrame], Floats]
    log_k: bool = False


def _logs(t: pd.DataFrame, n: float = 0, d: float = 0, alpha: float = 0, log_n: int = 0) -> Floats:
    """Log of n^n d^d alpha^alpha (log n)^log_n; an absent power does not touch its column."""
    total = np.zeros(len(t))
    for name, power in (("n", n), ("d", d), ("alpha", alpha)):
        if power:
            total = total + power * np.log(t[name].to_numpy(float))
    return total + log_n * np.log(np.log(t["n"].to_numpy(float))) if log_n else total


LAWS: dict[str, Law] = {
    "n": Law("C n", lambda t: _logs(t, n=1)),
    "n log n": Law("C n log n", lambda t: _logs(t, n=1, log_n=1)),
    "n/alpha^2": Law("C n / alpha^2", lambda t: _logs(t, n=1, alpha=-2)),
    "n log n/alpha^2": Law("C n log n / alpha^2", lambda t: _logs(t, n=1, alpha=-2, log_n=1)),
    "n log n log k/alpha^2": Law(
        "C n log n log k / alpha^2", lambda t: _logs(t, n=1, alpha=-2, log_n=1), log_k=True
    ),
    "n/d": Law("C n / d", lambda t: _logs(t, n=1, d=-1)),
    "n^2/d": Law("C n^2 / d", lambda t: _logs(t, n=2, d=-1)),
    "n^4/d^3": Law("C n^4 / d^3", lambda t: _logs(t, n=4, d=-3)),
}


def law_model(law: Law) -> Model:
    """The model of a law: its constant is the one parameter."""

    def build(table: pd.DataFrame) -> tuple[Floats, Floats]:
        return law.log_shape(table), np.ones((len(table), 1))

    return Model(("constant",), build, law.log_k)


def free_models(table: pd.DataFrame) -> Iterator[tuple[str, str, Model, str]]:
    """Name, formula, model and note of the nested free power laws, from the narrowest.

    The widest is `free`; a narrower one is named after its variables, as in `free n`. The note says
    which variables the points do not determine, and why.
    """
    names, note = determined(table)
    for count in range(1, len(names)):
        yield f"free {', '.join(names[:count])}", *_free(names[:count]), ""
    yield "free", *_free(names), note


def _free(names: tuple[str, ...]) -> tuple[str, Model]:
    def build(table: pd.DataFrame) -> tuple[Floats, Floats]:
        columns = [np.log(table[name].to_numpy(float)) for name in names]
        return np.zeros(len(table)), np.stack([np.ones(len(table)), *columns], axis=1)

    formula = " ".join(["C", *(f"{name}^{power}" for name, power in zip(names, "abc", strict=False))])
    return formula, Model(("constant", *names), build)


def determined(table: pd.DataFrame) -> tuple[tuple[str, ...], str]:
    """The variables whose exponents the points determine, and a note on the others."""
    kept: list[str] = []
    notes: list[str] = []
    basis = np.ones((len(table), 1))
    for name in VARIABLES:
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
