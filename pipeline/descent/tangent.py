"""The empirical neural tangent kernel J J^T of one seed, grown to any width in one pass.

J J^T is a sum over units: in W it is (X X^T) o (1/k) sum_j phi'(X w_j) phi'(X w_j)^T, in v it is
sum_j phi(X w_j) phi(X w_j)^T. So no J of n times k d numbers is formed, and a wider network adds its
further units. As for random features, units come in fixed panels that are added in order, so that no
bit depends on the other widths.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import linalg
from scipy.linalg import blas

from pipeline.descent.architecture import parameter_count
from pipeline.numerics.activations import apply_with_slope
from pipeline.numerics.lanczos import largest_eigenvalue, smallest_eigenvalue
from pipeline.numerics.random_features import PANEL

__all__ = ["TangentKernels"]

Array = NDArray[np.float64]

LIMIT = 1e-10
"""Below this share of the largest, the least eigenvalue is that of LAPACK: Lanczos needs a factor."""


class TangentKernels:
    """J J^T of the networks of one seed at their start, v = +-1/sqrt(k), for growing widths.

    Parameters
    ----------
    X : ndarray, shape (n, d)
        Inputs.
    activation
        An activation with a derivative.
    weights
        The random stream of the rows of W; nothing else may use it.
    trained
        One of `pipeline.descent.architecture.TRAINED`.
    """

    def __init__(
        self, X: Array, activation: str, weights: np.random.Generator, trained: str = "input"
    ) -> None:
        self._Xt = np.ascontiguousarray(X.T)
        self._activation, self._weights, self._trained = activation, weights, trained
        n = len(X)
        self._of_features = _Sum(n) if trained != "input" else None
        self._of_slopes = _Sum(n) if trained != "output" else None
        self._inner = X @ X.T if trained != "output" else None
        self._whole = 0
        self._latest: tuple[Array, Array] | None = (
            None  # phi and phi' of the panel after the whole ones
        )

    def at(self, k: int) -> Array:
        """Return the lower triangle of J J^T at width k, shape (n, n), Fortran order.

        Widths must not decrease from call to call. The next call overwrites the matrix.

        Raises
        ------
        FloatingPointError
            J is not finite.
        """
        whole, rest = divmod(k, PANEL)
        if whole < self._whole:
            raise ValueError(
                f"got width {k} after {self._whole * PANEL} units, expected no smaller one"
            )
        while self._whole < whole:
            self._add(self._panel())
            self._latest = None
            self._whole += 1
        features, slopes = self._panel() if rest else (None, None)
        found: Array | None = None
        if self._of_slopes is not None and self._inner is not None:
            found = self._of_slopes.with_rows(slopes, rest)
            found *= self._inner
            found /= k
        if self._of_features is not None:
            others = self._of_features.with_rows(features, rest)
            found = others if found is None else np.add(found, others, out=found)
        assert found is not None
        return found

    def extremes(self, k: int, floor: float = 0.0) -> tuple[float, float]:
        """Return the least and the largest eigenvalue of J J^T at width k.

        Parameters
        ----------
        k
            Width; must not decrease from call to call.
        floor
            A guess at the least eigenvalue, preferably too low; a wrong one costs time only.

        Returns
        -------
        tuple of float
            The least is exactly 0 if there are fewer parameters than samples. Errors are of the order
            of n eps times the largest.
        """
        d, n = self._Xt.shape
        kernel = self.at(k)
        largest = largest_eigenvalue(kernel)
        if parameter_count(k, d, 1, self._trained) < n and np.isfinite(largest):
            return 0.0, largest
        least = smallest_eigenvalue(kernel, floor)
        if np.isnan(least) and floor > 0:  # the guess was too high
            least = smallest_eigenvalue(self.at(k))
        if not least >= LIMIT * largest:  # nan too, where either did not converge
            values = linalg.eigvalsh(self.at(k), lower=True, overwrite_a=True, check_finite=False)
            return float(values[0]), float(values[-1])
        return least, largest

    def _add(self, panel: tuple[Array, Array]) -> None:
        for total, rows in zip((self._of_features, self._of_slopes), panel, strict=True):
            if total is not None:
                total.add(rows)

    def _panel(self) -> tuple[Array, Array]:
        """Return phi and phi' of the panel of units that follows the whole ones added so far."""
        if self._latest is None:
            drawn = self._weights.standard_normal((PANEL, len(self._Xt)))
            self._latest = apply_with_slope(self._activation, drawn @ self._Xt)
            if not all(np.isfinite(rows).all() for rows in self._latest):
                raise FloatingPointError("J is not finite: the inputs overflow in phi(W X^T)")
        return self._latest


class _Sum:
    """The lower triangle of A^T A, for a matrix A that grows by rows."""

    def __init__(self, n: int) -> None:
        self._whole = np.zeros((n, n), order="F")
        self._work = np.empty_like(self._whole)

    def add(self, rows: Array) -> None:
        """Append rows to A."""
        self._whole = _grown(self._whole, rows)

    def with_rows(self, rows: Array | None, count: int) -> Array:
        """Return the sum with the first `count` of further rows; the next call overwrites it."""
        np.copyto(self._work, self._whole)
        return self._work if rows is None else _grown(self._work, rows[:count])


def _grown(total: Array, rows: Array) -> Array:
    """Add rows^T rows to a lower triangle, in place."""
    return np.asarray(blas.dsyrk(1.0, rows.T, beta=1.0, c=total, lower=1, overwrite_c=1))
