"""Rows on which alpha is 0, and the cause that holds: read from the rows, without any trial.

K = E[phi(Xg) phi(Xg)^T] is singular if two rows of unit norm coincide (or are opposite, where phi is
even or odd), or if the features of all rows span fewer than n dimensions: a polynomial phi of degree
p turns rows of rank r into features of at most as many dimensions as there are monomials of degree p
in r variables. Otherwise K is singular to rounding only.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.numerics.activations import apply
from pipeline.theory.kernels import alpha_from_eigenvalues, kernel_eigenvalues, kernel_matrix

__all__ = ["Cause", "cause_of_zero", "coinciding_rows", "ignores_signs"]

Array = NDArray[np.float64]

SAME = 1e-12
"""Largest distance between unit rows that coincide: they were scaled in double precision."""

SPANNED = {"linear": lambda r: r, "square": lambda r: r * (r + 1) // 2}
"""Dimensions of the features of rows of rank r, at most, for activations that are homogeneous
polynomials."""


@dataclass(frozen=True)
class Cause:
    """Why alpha is 0.

    Attributes
    ----------
    text
        The cause, as the rest of a sentence that begins with "alpha is 0, because".
    repair
        What to change.
    """

    text: str
    repair: str


def ignores_signs(activation: str) -> bool:
    """Return whether opposite rows have dependent features, because phi is even or odd."""
    z = np.linspace(0.1, 3, 30)
    ahead, behind = apply(activation, z.copy()), apply(activation, -z)
    return bool(np.array_equal(ahead, behind) or np.array_equal(ahead, -behind))


def coinciding_rows(rows: Array, activation: str) -> list[list[int]]:
    """Return the groups of rows that have dependent features, as numbers of rows, ascending.

    Parameters
    ----------
    rows : ndarray, shape (samples, d)
        Rows of unit norm.
    activation
        Decides whether opposite rows count as well.
    """
    direction = np.random.default_rng(0).standard_normal(rows.shape[1])
    along = rows @ (direction / np.linalg.norm(direction))
    if ignores_signs(activation):
        rows = rows * np.where(along < 0, -1.0, 1.0)[:, None]
        along = np.abs(along)
    order = np.argsort(along, kind="stable")
    runs = np.split(order, np.flatnonzero(np.diff(along[order]) > SAME) + 1)
    groups = [group for run in runs if len(run) > 1 for group in _equal(rows, np.sort(run))]
    return sorted(groups)


def _equal(rows: Array, run: NDArray[np.intp]) -> list[list[int]]:
    """Return the groups of equal rows among some that are equal along one direction."""
    groups, left = [], run
    while len(left):
        same = np.linalg.norm(rows[left] - rows[left[0]], axis=1) <= SAME
        groups.append(left[same].tolist())
        left = left[~same]
    return [group for group in groups if len(group) > 1]


def cause_of_zero(X: Array, activation: str) -> Cause | None:
    """Return why alpha is 0 on some rows; None if it is not.

    Parameters
    ----------
    X : ndarray, shape (n, d)
        Rows of unit norm.
    activation
        A key of `pipeline.numerics.activations.ACTIVATIONS`.

    Examples
    --------
    >>> import numpy as np
    >>> cause_of_zero(np.eye(3)[[0, 1, 2, 0]], "relu").repair
    'leave such rows out'
    >>> print(cause_of_zero(np.array([[1.0, 0.0], [0.6, 0.8], [0.8, -0.6]]), "linear").text)
    linear features of rows of rank 2 span at most 2 dimensions, so K has rank 2 at most, below n = 3
    """
    eigenvalues = kernel_eigenvalues(kernel_matrix(X, activation))
    if alpha_from_eigenvalues(eigenvalues) > 0:
        return None
    n, rank = len(X), int(np.linalg.matrix_rank(X))
    if groups := coinciding_rows(X, activation):
        what = "coincide or are opposite" if ignores_signs(activation) else "coincide"
        extra = sum(map(len, groups)) - len(groups)
        return Cause(
            f"rows {what} once they are scaled ({extra} of {n} repeat another)", "leave such rows out"
        )
    if activation in SPANNED and (span := SPANNED[activation](rank)) < n:
        return Cause(
            f"{activation} features of rows of rank {rank} span at most {span} dimensions, so K has "
            f"rank {span} at most, below n = {n}",
            f"take n of {span} or less, or another activation",
        )
    return _lost_to_rounding(X, activation, eigenvalues, rank)


def _lost_to_rounding(X: Array, activation: str, eigenvalues: Array, rank: int) -> Cause:
    n, d = X.shape
    small = int((eigenvalues <= n * np.finfo(float).eps * eigenvalues[-1]).sum())
    cosine = np.abs(X @ X.T) - 2 * np.eye(n)
    first, second = np.unravel_index(int(np.argmax(cosine)), cosine.shape)
    sign = np.sign(X[first] @ X[second])
    apart = float(np.linalg.norm(X[first] - sign * X[second]))
    low = f" of rank {rank} in {d} dimensions" if rank < d else ""
    return Cause(
        f"{small} of the {n} eigenvalues of K are lost to rounding: {activation} features of these rows"
        f"{low} are nearly dependent (the closest two are {apart:.2g} radians apart)",
        "take fewer rows, rows that lie farther apart, or an activation with a kink, such as relu",
    )
