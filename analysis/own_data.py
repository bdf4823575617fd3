"""One's own rows before and after they are measured: what was read, and what may be wrong with them.

Everything here is read from the rows themselves. Remarks are sentences for the owner of the data; no
row or column is left out on their account.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import listed
from pipeline.numerics.columns import suspects
from pipeline.numerics.data_files import Table
from pipeline.theory.degenerate import coinciding_rows

__all__ = ["FAR", "chance_of_repeats", "reading", "remarks", "why_far"]

Array = NDArray[np.float64]

FAR = 2.0
"""Factor between the measured and the predicted width that is remarked on."""

ONE_COLUMN, ONE_DIRECTION = 0.5, 0.9
"""Shares of the rows' squared length in one column, or in one direction, that explain such a factor."""

STANDARDISE = "subtract from each column its mean and divide it by its standard deviation"

CLOSE = 0.05
"""Distance of the two closest rows of a draw that explains it, in radians."""


def reading(table: Table) -> str:
    """Return what was read: samples, columns, and their names."""
    samples, kept = table.rows.shape
    of_all = "" if kept == table.columns else f" of {table.columns}"
    header = f"line 1 holds their names: {listed(table.names)}" if table.names else "they have no names"
    return f"read {samples} samples of {kept}{of_all} columns; {header}"


def remarks(table: Table) -> list[str]:
    """Return a sentence for each column that may be no input."""
    return [
        f"column {one.column!r} looks like {_a(one.what)} ({one.why}), "
        f"and was read as an input; --drop {one.column!r} leaves it out"
        for one in suspects(table.rows, table.names)
    ]


def chance_of_repeats(rows: Array, n: int, activation: str) -> tuple[float, list[list[int]]]:
    """Return the share of draws of n rows that hold two which coincide, and the groups that do.

    Parameters
    ----------
    rows : ndarray, shape (samples, d)
        All rows, of unit norm.
    n
        Rows of a draw.
    activation
        Decides whether opposite rows count as well.
    """
    groups, samples = coinciding_rows(rows, activation), len(rows)
    pairs = sum(len(group) * (len(group) - 1) // 2 for group in groups)
    if not pairs:
        return 0.0, []
    both = n * (n - 1) / (samples * (samples - 1))
    return (1.0 if both >= 1 else -math.expm1(pairs * math.log1p(-both))), groups


def why_far(table: Table, rows: Array, X: Array) -> str:
    """Return the likely reason why the measured width is far from the predicted one.

    Parameters
    ----------
    table
        The rows as they were read.
    rows, X
        All rows of unit norm, and those of one draw.
    """
    share = np.mean(rows**2, axis=0)
    top = int(np.argmax(share))
    doubted = {one.column: one.what for one in suspects(table.rows, table.names)}
    name = table.names[top] if table.names else str(top)
    if share[top] >= ONE_COLUMN and rows.shape[1] > 1:
        kind = f", which looks like {_a(doubted[name])}," if name in doubted else ""
        repair = f"--drop {name!r}" if kind else STANDARDISE
        return (
            f"column {name!r}{kind} holds {share[top]:.0%} of the rows' squared length, so all rows "
            f"point in nearly the same direction; if its scale means nothing, {repair}"
        )
    leading = float(np.linalg.norm(X, 2) ** 2 / len(X))
    if leading >= ONE_DIRECTION:
        return (
            f"one direction holds {leading:.0%} of the rows' squared length, so all rows are nearly "
            f"parallel; if the means of the columns mean nothing, {STANDARDISE}"
        )
    if doubted:
        plural = "s" if len(doubted) > 1 else ""
        names = ", ".join(map(repr, doubted))
        return f"column{plural} {names} may be no input{plural}; --drop {','.join(doubted)}"
    apart = _closest(X)
    if apart < CLOSE:
        return f"the closest two rows of a draw are only {apart:.2g} radians apart"
    return "the rows have a structure that the prediction for n rows in general position does not know"


def _a(what: str) -> str:
    return f"an {what}" if what == "index" else f"a {what}"


def _closest(X: Array) -> float:
    """Return the angle between the two closest rows, or one and the opposite of the other."""
    cosine = np.abs(X @ X.T)
    np.fill_diagonal(cosine, 0)
    return float(np.arccos(min(1.0, cosine.max())))
