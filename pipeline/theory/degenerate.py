"""Rows on which alpha is 0, and the cause that holds: read from the rows, without any trial.

K = E[phi(Xg) phi(Xg)^T] is singular if two rows coincide (or are opposite, where phi is even or odd),
or if the features of all rows span fewer than n dimensions: a polynomial phi of degree p turns rows of
rank r into features of at most as many dimensions as there are monomials of degree p in r variables,
and opposite rows have features whose difference (relu) or sum (step) is linear or constant. Then alpha
is exactly 0. Otherwise an alpha that cannot be told from 0 is lost to rounding, and may be a small
number: `alpha_error` tells the two apart.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.numerics.activations import apply
from pipeline.theory.kernels import (
    Resolved,
    alpha_from_eigenvalues,
    kernel_eigenvalues,
    kernel_matrix,
    resolved_eigenvalues,
)

__all__ = ["Cause", "alpha_error", "cause_of_zero", "coinciding_rows", "ignores_signs"]

Array = NDArray[np.float64]

EPS = float(np.finfo(np.float64).eps)

SAME = 8 * EPS
"""Largest distance between unit rows that coincide: they were scaled in double precision."""

ALONG = 1e-12
"""Largest distance along one direction of rows that may coincide: the errors of sums over d."""

HOMOGENEOUS = ("relu", "leaky_relu", "abs", "step", "sign", "linear", "square", "cube")
"""Activations that turn parallel rows into parallel features."""

SPANNED: dict[str, Callable[[int], int]] = {
    "linear": lambda r: r,
    "square": lambda r: r * (r + 1) // 2,
    "cube": lambda r: r * (r + 1) * (r + 2) // 6,
    "hermite2": lambda r: r * (r + 1) // 2,
    "hermite3": lambda r: r * (r + 1) * (r + 2) // 6,
}
"""Dimensions of the features of rows of rank r and of one norm, at most, for polynomials."""

LOWER_TERMS: dict[str, Callable[[int], int]] = {"hermite2": lambda r: 1, "hermite3": lambda r: r}
"""What the terms of lower degree add to that on rows of several norms."""


@dataclass(frozen=True)
class Cause:
    """Why alpha is 0.

    Attributes
    ----------
    text
        The cause, as the rest of a sentence that begins with `verdict` and "because".
    repair
        What to change.
    exact
        True if alpha is exactly 0; False if it cannot be told from 0.
    """

    text: str
    repair: str
    exact: bool = True

    @property
    def verdict(self) -> str:
        """The words for this alpha."""
        return "alpha is exactly 0" if self.exact else "alpha is lost to rounding"


def alpha_error(found: Resolved, X: Array, activation: str, depth: int = 1) -> float:
    """Return a bound on the error of alpha.

    Parameters
    ----------
    found
        Eigenvalues of the kernel.
    X, activation, depth
        The inputs, the activation and the number of hidden layers that the kernel belongs to.

    Returns
    -------
    float
        Where alpha is 0: 0 if it is so by the rows themselves (equal up to their last bits, or of low
        rank), else the largest alpha that rounding can hide.
    """
    least, largest = (float(value) for value in found.values[[0, -1]])
    if least <= 0:
        known = certain_cause(X, activation, depth)
        return 0.0 if known else float(np.sqrt(2 * found.unsure))
    low = np.sqrt(max(least - found.unsure, 0.0))
    return float(found.unsure / (np.sqrt(least) + low) + 4 * EPS * np.sqrt(len(X) * largest))


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
    return _groups(rows, opposite=ignores_signs(activation))


def _groups(rows: Array, opposite: bool) -> list[list[int]]:
    """Return the groups of equal rows, or of equal and opposite ones."""
    direction = np.random.default_rng(0).standard_normal(rows.shape[1])
    along = rows @ (direction / np.linalg.norm(direction))
    if opposite:
        rows = rows * np.where(along < 0, -1.0, 1.0)[:, None]
        along = np.abs(along)
    order = np.argsort(along, kind="stable")
    runs = np.split(order, np.flatnonzero(np.diff(along[order]) > ALONG) + 1)
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


def certain_cause(X: Array, activation: str, depth: int = 1) -> Cause | None:
    """Return why alpha is exactly 0, as far as the rows show it; None if they do not.

    Parameters
    ----------
    X : ndarray, shape (n, d)
        Rows of any norm.
    activation, depth
        The activation and the number of hidden layers.
    """
    n, norms = len(X), np.linalg.norm(X, axis=1)
    at_zero = float(apply(activation, np.zeros(1))[0])
    if not at_zero and not norms.all():
        return Cause(f"{activation} features of a row of zeros are 0", "leave such rows out")
    scaled = activation in HOMOGENEOUS
    rows = X / (np.where(norms > 0, norms, 1)[:, None] if scaled else max(norms.max(), 1))
    if groups := coinciding_rows(rows, activation):
        what = "coincide or are opposite" if ignores_signs(activation) else "coincide"
        extra = sum(map(len, groups)) - len(groups)
        once = " once they are scaled" if scaled or np.allclose(norms, 1) else ""
        return Cause(f"rows {what}{once} ({extra} of {n} repeat another)", "leave such rows out")
    rank = int(np.linalg.matrix_rank(X))
    if activation in SPANNED and (depth == 1 or activation == "linear"):
        span = SPANNED[activation](rank)
        if np.ptp(norms) > SAME * norms.max() and activation in LOWER_TERMS:
            span += LOWER_TERMS[activation](rank)
        if span < n:
            return Cause(
                f"{activation} features of rows of rank {rank} span at most {span} dimensions, so K "
                f"has rank {span} at most, below n = {n}",
                f"take n of {span} or less, or another activation",
            )
    return _too_many_opposites(rows, activation, rank) if depth == 1 else None


def _too_many_opposites(rows: Array, activation: str, rank: int) -> Cause | None:
    """Return the cause that pairs of opposite rows are, of which no two coincide."""
    z = np.linspace(0.1, 3, 30)
    ahead, behind = apply(activation, z.copy()), apply(activation, -z)
    if np.allclose(ahead - behind, (ahead[0] - behind[0]) / z[0] * z, rtol=1e-12, atol=0):
        most, what = rank, f"differences are linear and span {rank} dimensions"
    elif np.allclose(ahead + behind, ahead[0] + behind[0], rtol=1e-12, atol=0):
        most, what = 1, "sums are one constant"
    else:
        return None
    pairs = len(_groups(rows, opposite=True))
    if pairs <= most:
        return None
    return Cause(
        f"{pairs} pairs of rows are opposite, and their {activation} {what}",
        "leave one row of each such pair out",
    )


def cause_of_zero(X: Array, activation: str) -> Cause | None:
    """Return why alpha is 0 on some rows; None if it is not.

    Parameters
    ----------
    X : ndarray, shape (n, d)
        Rows of any norm.
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
    found = resolved_eigenvalues(kernel_eigenvalues(kernel_matrix(X, activation)), X, activation)
    if alpha_from_eigenvalues(found.values, resolved=True) > 0:
        return None
    return certain_cause(X, activation) or _lost_to_rounding(X, activation, found)


def _lost_to_rounding(X: Array, activation: str, found: Resolved) -> Cause:
    n, d = X.shape
    small, rank = int((found.values <= 0).sum()), int(np.linalg.matrix_rank(X))
    unit = X / np.linalg.norm(X, axis=1)[:, None]
    cosine = np.abs(unit @ unit.T) - 2 * np.eye(n)
    first, second = np.unravel_index(int(np.argmax(cosine)), cosine.shape)
    sign = np.sign(unit[first] @ unit[second])
    apart = float(np.linalg.norm(unit[first] - sign * unit[second]))
    low = f" of rank {rank} in {d} dimensions" if rank < d else ""
    return Cause(
        f"{small} of the {n} eigenvalues of K are lost to rounding, so alpha is at most "
        f"{np.sqrt(2 * found.unsure):.2g}: {activation} features of these rows{low} are nearly "
        f"dependent (the closest two are {apart:.2g} radians apart)",
        "take fewer rows, rows that lie farther apart, or an activation with a kink, such as relu",
        exact=False,
    )
