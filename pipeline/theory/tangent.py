"""The neural tangent kernel of a network with one hidden layer, in the limit of infinite width.

With fixed v = +-1/sqrt(k), the rows of the Jacobian in W are (1/sqrt(k)) phi'(w_j x_i) x_i over all
units j, so E J J^T = (X X^T) o E[phi'(Xg) phi'(Xg)^T], the same at every width. In v, J = Phi^T and
E J J^T = k K. In both, the sum.

The *edge* predicts the least eigenvalue of J J^T at a finite width from these kernels, without a free
parameter. In v it is that of Phi^T Phi. In W, a unit adds to J J^T a matrix of rank d, D X X^T D / k
with D = diag phi'(X w): its d columns are taken for independent, so that J counts as a sample of k d
columns with covariance E J J^T. That is exact where (D X)^T G D X, with G the resolvent, is a multiple
of the identity for almost every w. It is nearly so for rows that point in all directions, d of 10 or
more, and phi' that is not close to linear: see the tests for the accuracy. In both, columns are of two
kinds: k with covariance K, and k d with that of W. For phi with phi(cz) = c phi(z) the features of a
unit are a combination of its d columns, phi(w x_i) = phi'(w x_i) w x_i, so that d - 1 others are left,
with the covariance less K / d.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pipeline.numerics.activations import ACTIVATIONS, apply_with_slope
from pipeline.theory.geometry import Rows
from pipeline.theory.kernels import quadrature
from pipeline.theory.kinked import kinked_kernel

__all__ = ["both_edge", "input_kernel", "is_homogeneous", "slope_kernel"]

Array = NDArray[np.float64]

BELOW = np.concatenate([np.geomspace(1e-6, 0.9, 30), np.linspace(1.0, 30.0, 117)])
"""Distances of log r below log k at which the largest value on the curve is bracketed: near k the
features decide, far below it the columns of W."""


def slope_kernel(X: ArrayLike, activation: str) -> Array:
    """Return E[phi'(Xg) phi'(Xg)^T], g ~ N(0, I_d), shape (n, n).

    Parameters
    ----------
    X : array_like, shape (n, d)
        Inputs, one sample per row.
    activation
        An activation with a derivative, which is 0 at 0 for ReLU.

    Examples
    --------
    >>> from pipeline.theory.tangent import slope_kernel
    >>> slope_kernel([[1.0, 0.0], [0.0, 2.0]], "relu").tolist()
    [[0.5, 0.25], [0.25, 0.5]]
    """
    rows, record = Rows(np.asarray(X, dtype=np.float64)), ACTIVATIONS[activation]
    if record.derivative is not None and record.derivative.kernel is not None:
        return record.derivative.kernel(rows)

    def slope(z: Array) -> Array:
        return apply_with_slope(activation, np.array(z, order="C"))[1]

    return kinked_kernel(slope, record.kinks, rows) if record.kinks else quadrature(slope, rows)


def input_kernel(X: ArrayLike, activation: str) -> Array:
    """Return E J J^T for W trained and v = +-1/sqrt(k), shape (n, n): the same at every width."""
    rows = np.asarray(X, dtype=np.float64)
    K = slope_kernel(rows, activation)
    K *= rows @ rows.T
    return K


def is_homogeneous(activation: str) -> bool:
    """Return whether phi(cz) = c phi(z) for c > 0, as for rectifiers and the identity."""
    z = np.linspace(-2, 2, 9)
    values, slopes = apply_with_slope(activation, z.copy())
    return bool(np.array_equal(values, slopes * z))


def both_edge(K: Array, tangent: Array, k: ArrayLike, d: int, activation: str) -> Array:
    """Return the predicted least eigenvalue of J J^T with all weights trained, shape of k.

    Parameters
    ----------
    K, tangent : ndarray, shape (n, n)
        The kernel of the features, and that of W (`input_kernel`). Only the diagonal of the second in
        the basis of the first is used: both are functions of the same angles.
    k
        Widths, any array.
    d
        Input dimension.
    activation
        The activation.

    Returns
    -------
    ndarray
        0 where the k columns of features and those of W are together no more than n; nan where it is
        not known (`_two_kinds`).
    """
    values, basis = np.linalg.eigh(K)
    other = np.einsum("ij,ij->j", basis, tangent @ basis)
    own = d
    if is_homogeneous(activation):
        own, other = d - 1, other - values / d
    floor = len(K) * np.finfo(np.float64).eps * values[-1]
    if values[0] <= floor or other.min() <= floor:
        return np.zeros(np.shape(k))
    widths = np.asarray(k, dtype=np.float64)
    edges = [_two_kinds(values, other, float(one), float(one) * own) for one in widths.flat]
    return np.reshape(edges, widths.shape)


def _two_kinds(first: Array, second: Array, k: float, columns: float) -> float:
    """Return the left edge of a sum over two kinds of independent columns with commuting covariances.

    The k columns of the first kind have the eigenvalues `first`, the `columns` others `second` over
    `columns`. The resolvent at z is 1 / (b (r first + second - y)) with z = b y, where b = 1 - s,
    s = sum second q / columns, q = 1 / (r first + second - y), and r solves
    r (1 - s + sum first q) = k. The edge is the largest z along r, which is below k. nan where a column
    of the second kind outweighs one of the first so much that r has no solution.
    """
    from scipy import optimize

    if k + columns <= len(first):
        return 0.0

    def z(log_r: float) -> float:
        return _on_curve(first, second, k, columns, log_r)

    grid = np.log(k) - BELOW
    heights = np.array([z(log_r) for log_r in grid])
    if np.isnan(heights).all():
        return float("nan")
    top = int(np.nanargmax(heights))
    if heights[top] <= 0:
        return 0.0
    around = sorted((grid[max(top - 1, 0)], grid[min(top + 1, len(grid) - 1)]))
    best = optimize.minimize_scalar(
        lambda log_r: -np.nan_to_num(z(log_r)), bounds=around, method="bounded"
    )
    return float(max(-best.fun, heights[top]))


def _on_curve(first: Array, second: Array, k: float, columns: float, log_r: float) -> float:
    """Return z at one r, by the gap between y and the least r first + second; nan if there is none."""
    from scipy import optimize

    level = np.exp(log_r) * first + second
    least = level.min()
    above = level - least
    surplus = first - second / columns

    def excess(log_gap: float) -> float:
        q = 1 / (above + np.exp(log_gap))
        return float(np.exp(log_r) * (1 + surplus @ q) - k)

    low, high = np.log(least) + np.array([-80.0, 40.0])
    if excess(low) <= 0 or excess(high) >= 0:
        return float("nan")
    gap = np.exp(optimize.brentq(excess, low, high, xtol=1e-12))
    return float((least - gap) * (1 - second @ (1 / (above + gap)) / columns))
