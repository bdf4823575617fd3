"""Singular values of random features Phi = phi(W X^T), shape (k, n), one hidden unit per row.

`singular_values` is a plain SVD. `RandomFeatures` handles a whole axis of widths in one pass: the
rows of one W are drawn in fixed panels, their products are added to a growing Gram matrix, and at
each width only its two extreme eigenvalues are computed, by Lanczos: the largest from the matrix
itself, the smallest from the inverse of the matrix shifted to just below where random matrix theory
expects it. The expectation only saves steps: a wrong one costs time, never digits.

A Gram matrix has the squares of the singular values, and with them half the digits. Where
sigma_min/sigma_max is small (`GRAM_LIMIT`) they come from an SVD instead: not of Phi, whose rows may be
many, but of the triangle R of Phi = QR, which grows in fixed panels as the Gram matrix does.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import blas

from pipeline.numerics.activations import apply
from pipeline.numerics.lanczos import largest_eigenvalue, smallest_eigenvalue

__all__ = ["GRAM_LIMIT", "PANEL", "RandomFeatures", "descending_singular_values", "singular_values"]

Array = NDArray[np.float64]

PANEL = 64
"""Rows of W per panel. Panels are always computed whole and added in order, so that no bit of a
result depends on the other widths."""

TOGETHER = 4
"""Panels per update of the triangle: with fewer, R itself would be factored more often."""

GRAM_LIMIT = 1e-7
"""Below this lambda_min/lambda_max a Gram matrix is not used: its eigenvalues are accurate to about
eps * lambda_max, so that above it sigma_min keeps nine digits."""


def descending_singular_values(Phi: Array) -> Array:
    """Return the n singular values of Phi, shape (k, n), exactly 0 beyond the k-th where k < n.

    Raises
    ------
    FloatingPointError
        Phi is not finite.
    """
    _check_finite(Phi)
    values = np.zeros(Phi.shape[1])
    values[: min(Phi.shape)] = np.linalg.svd(Phi, compute_uv=False)
    return values


def singular_values(W: Array, X: Array, activation: str) -> Array:
    """Return the singular values of Phi = phi(W X^T), descending.

    Parameters
    ----------
    W : ndarray, shape (k, d)
        Input weights.
    X : ndarray, shape (n, d)
        Inputs.
    activation
        A key of `pipeline.numerics.activations.ACTIVATIONS`.

    Returns
    -------
    ndarray, shape (n,)
        Exactly 0 beyond the k-th where k < n. The last one is sigma_min of the paper.

    Raises
    ------
    ValueError
        The shapes do not match, values are not finite, or the activation is unknown.
    FloatingPointError
        W X^T or phi of it overflows.

    Examples
    --------
    >>> from pipeline.numerics import singular_values
    >>> singular_values([[1.0, 0.0], [0.0, 2.0]], [[1.0, 0.0], [0.0, 1.0]], "relu").tolist()
    [2.0, 1.0]
    """
    W, X = np.asarray(W, dtype=np.float64), np.asarray(X, dtype=np.float64)
    if W.ndim != 2 or X.ndim != 2 or W.shape[1] != X.shape[1]:
        raise ValueError(
            f"got W of shape {W.shape} and X of shape {X.shape}, expected (k, d) and (n, d)"
        )
    if not (np.isfinite(W).all() and np.isfinite(X).all()):
        raise ValueError("W and X: got values that are not finite, expected finite numbers")
    return descending_singular_values(apply(activation, W @ X.T))


def _check_finite(Phi: Array) -> None:
    if not np.isfinite(Phi).all():
        raise FloatingPointError("features are not finite: the inputs overflow in phi(W X^T)")


class RandomFeatures:
    """The random features of one seed, grown to any number of rows.

    Parameters
    ----------
    X : ndarray, shape (n, d)
        Inputs.
    activation
        A key of `pipeline.numerics.activations.ACTIVATIONS`.
    weights
        The random stream of the rows of W; nothing else may use it.
    """

    def __init__(self, X: Array, activation: str, weights: np.random.Generator) -> None:
        self._Xt = np.ascontiguousarray(X.T)
        self._activation = activation
        self._weights = weights
        self._drawn: list[Array] = []  # panels of W
        self._latest: tuple[int, Array] | None = None  # the panel of Phi computed last, and its number
        n = X.shape[0]
        self._gram = np.zeros((n, n), order="F")  # lower triangle of the whole panels added so far
        self._added = 0
        self._work = np.empty_like(self._gram)
        self._triangle = np.empty((0, n))  # R of the groups of panels factored so far
        self._factored = 0

    def features(self, k: int) -> Array:
        """Return the first k rows of Phi, shape (k, n)."""
        return self._rows(0, k)

    def gram(self, k: int) -> Array:
        """Return the lower triangle of Phi^T Phi at width k, shape (n, n), Fortran order.

        Widths must not decrease from call to call. The next call overwrites the matrix: new memory
        for each width would take the system as long as a tenth of the mathematics.
        """
        whole, rest = divmod(k, PANEL)
        if whole < self._added:
            raise ValueError(f"got width {k} after {self._added * PANEL} rows, expected no smaller one")
        while self._added < whole:
            self._gram = _add(self._gram, self._panel(self._added))
            self._added += 1
        np.copyto(self._work, self._gram)
        return _add(self._work, self._panel(whole)[:rest]) if rest else self._work

    def condensed(self, k: int) -> Array:
        """Return a matrix of few rows with the singular values of the first k rows of Phi.

        It is R of Phi = QR for whole groups of panels, followed by the remaining rows of Phi. Widths
        must not decrease from call to call.
        """
        whole = k // (TOGETHER * PANEL)
        while self._factored < whole:
            rows = self._rows(self._factored * TOGETHER, (self._factored + 1) * TOGETHER * PANEL)
            stacked = np.concatenate([self._triangle, rows])
            self._triangle = np.asarray(np.linalg.qr(stacked, mode="r"))
            self._factored += 1
        return np.concatenate([self._triangle, self._rows(whole * TOGETHER, k)])

    def extremes(self, k: int, floor: float = 0.0) -> tuple[float, float]:
        """Return (sigma_min, sigma_max) of Phi at width k.

        Parameters
        ----------
        k
            Width; must not decrease from call to call.
        floor
            A guess at the smallest eigenvalue of Phi^T Phi / k, preferably slightly too low.

        Returns
        -------
        tuple of float
            Accurate to nine digits; sigma_min is exactly 0 where k < n.
        """
        gram = self.gram(k)
        largest = largest_eigenvalue(gram)
        if k < len(gram) and np.isfinite(largest):
            return 0.0, float(np.sqrt(largest))
        smallest = smallest_eigenvalue(gram, k * floor)
        if np.isnan(smallest) and floor > 0:  # the guess was too high
            smallest = smallest_eigenvalue(self.gram(k))
        if not smallest >= GRAM_LIMIT * largest:  # nan too, where either did not converge
            values = descending_singular_values(self.condensed(k))
            return float(values[-1]), float(values[0])
        return float(np.sqrt(smallest)), float(np.sqrt(largest))

    def _rows(self, first: int, k: int) -> Array:
        """Return the rows of Phi from the panel `first` on up to the k-th row."""
        Phi = np.empty((k - first * PANEL, self._Xt.shape[1]))
        for begin in range(0, len(Phi), PANEL):
            part = Phi[begin : begin + PANEL]
            part[...] = self._panel(first + begin // PANEL)[: len(part)]
        return Phi

    def _panel(self, index: int) -> Array:
        """Return a panel of Phi, until another is asked for.

        Only W is kept. All of Phi would be most of the memory, and again and again new memory.
        """
        while len(self._drawn) <= index:
            self._drawn.append(self._weights.standard_normal((PANEL, self._Xt.shape[0])))
        if self._latest is None or self._latest[0] != index:
            panel = apply(self._activation, self._drawn[index] @ self._Xt)
            _check_finite(panel)
            self._latest = index, panel
        return self._latest[1]


def _add(gram: Array, panel: Array) -> Array:
    """Add panel^T panel to the lower triangle of `gram`, in place."""
    return np.asarray(blas.dsyrk(1.0, panel.T, beta=1.0, c=gram, lower=1, overwrite_c=1))
