"""The generalised Marchenko-Pastur law of random features.

Let the rows of ``Phi`` (k, n) be independent with second moment ``K`` (n, n), whose eigenvalues
are ``lambda_1 ... lambda_n``.  As n and k grow together, the spectrum of ``Phi^T Phi / k`` tends to
a law that depends on nothing but these eigenvalues and on k (Marchenko and Pastur 1967; Silverstein
1995).  It predicts, without a free parameter, what Theorem 2 of Oymak bounds: ``sigma_min(Phi)``.

The law lives on the curve on which

    z(w) = w (1 + (1/k) sum lambda_i / (w - lambda_i)),        w = 1/u = -1/m(z),

is real, m being the Stieltjes transform of the companion matrix ``Phi Phi^T / k``.  The left edge is
a critical point of z on the real line below ``lambda_min``; the density and the distribution
function are explicit on the part of the curve above the real line.

Everything is computed from sums of positive terms.  The textbook forms subtract numbers that agree
to nearly all digits when k is close to n or the spectrum is wide.  With ``t_i = lambda_i u - 1``:

    edge condition    (1/k) sum (1 + 1/t_i)^2 = 1       becomes   sum (2 t_i + 1) / t_i^2 = k - n
    edge              1/u - (1/k) sum lambda_i / t_i    becomes   (1 / (k u)) sum (1 + t_i) / t_i^2
    curvature there   |z''(u)| / 2                      becomes   (1 / (k u^3)) sum (1 + t_i)^2 / t_i^3

where the condition itself removes the cancellation.  The unknown is t, the smallest of the ``t_i``;
the others are ``t_i = r_i - 1 + r_i t`` with ``r_i = lambda_i / lambda_min``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pipeline.theory.spectral_curve import Curve, passed

__all__ = [
    "MEDIAN_SHIFT",
    "critical_width",
    "critical_widths",
    "density",
    "edge_and_scale",
    "left_edge",
    "nodes",
    "quantiles",
]

Floats = NDArray[np.float64]

MEDIAN_SHIFT = 1.2686
"""Minus the median of the Tracy-Widom law of real matrices (a test recomputes it)."""

EDGE_NODES, INNER_NODES = 24, 5
"""Gauss points in the least of the n parts of the law's mass, and in each of the others."""


# ---- the left edge ---------------------------------------------------------------------------


def left_edge(eigenvalues: ArrayLike, k: ArrayLike) -> Any:
    """Return the left edge of the limiting spectrum of ``Phi^T Phi / k``.

    The prediction for Theorem 2 is ``sigma_min(Phi) / sqrt(k) ~ sqrt(left_edge)``.  For
    ``K = c I`` it is ``c (1 - sqrt(n / k))^2``.

    Parameters
    ----------
    eigenvalues : (n,) eigenvalues of the population kernel K, in any order.
    k : scalar or array of widths; need not be integers.

    Returns
    -------
    float or array of the shape of `k`: 0 where ``k <= n``, and 0 for a degenerate spectrum
    (``lambda_min <= n eps lambda_max``).

    Raises
    ------
    ValueError : the eigenvalues are not a non-empty finite vector, or a width is not finite and > 0.

    Examples
    --------
    >>> from pipeline.theory import left_edge
    >>> left_edge([1.0, 1.0], k=[2, 8]).round(12).tolist()
    [0.0, 0.25]
    """
    return edge_and_scale(eigenvalues, k)[0]


def edge_and_scale(eigenvalues: ArrayLike, k: ArrayLike) -> tuple[Any, Any]:
    """Return the left edge and the scale s of the fluctuations of the least eigenvalue.

    ``(edge - lambda_min) / s`` tends to the Tracy-Widom law of real matrices, so that the predicted
    median at finite n is ``edge + MEDIAN_SHIFT * s``.  Arguments, shapes and errors are those of
    `left_edge`; both are 0 where the edge is 0.
    """
    spectrum = _spectrum(eigenvalues)
    widths = _widths(k)
    edge, scale = np.zeros(widths.shape), np.zeros(widths.shape)
    wide = widths > spectrum.size
    if not _degenerate(spectrum) and wide.any():
        edge[wide], scale[wide] = _edge_and_scale(_Gaps(spectrum), widths[wide])
    return edge[()], scale[()]


def critical_width(
    eigenvalues: ArrayLike,
    level: float = 0.25,
    *,
    finite_size: bool = False,
    shift: float | None = None,
) -> float:
    """Return the width at which the left edge is ``level * lambda_min(K)``.

    ``level = (1/2)^2`` is the conclusion of Theorem 2, ``sigma_min >= sqrt(k) alpha / 2`` with
    ``alpha^2 = lambda_min(K)``.  For ``K = c I`` the answer at that level is exactly ``4 n``.

    Parameters
    ----------
    eigenvalues : (n,) eigenvalues of the population kernel K, in any order.
    level : fraction of ``lambda_min`` to be reached, strictly between 0 and 1.
    finite_size : use the median of the least eigenvalue instead of its limit, the edge.
    shift : use the edge plus this many Tracy-Widom scales; minus the q-quantile of the Tracy-Widom law
        gives the width at which a share q of matrices succeeds.

    Returns
    -------
    A real width above n; NaN for a degenerate spectrum, where alpha counts as zero.

    Raises
    ------
    ValueError : `level` is outside (0, 1), or the eigenvalues are not a non-empty finite vector.

    Examples
    --------
    >>> from pipeline.theory import critical_width
    >>> round(critical_width([1.0, 1.0, 1.0]), 9)
    12.0
    """
    if not 0.0 < level < 1.0:
        raise ValueError(
            f"critical_width: level is {level!r}, expected a number strictly between 0 and 1; "
            "Theorem 2 with constant c needs level = c**2"
        )
    spectrum = _spectrum(eigenvalues)
    if _degenerate(spectrum):
        return float("nan")
    if shift is None:
        shift = MEDIAN_SHIFT if finite_size else 0.0
    return _critical_width(_Gaps(spectrum), level, shift)


def critical_widths(spectra: ArrayLike, level: float = 0.25, *, shift: float = 0.0) -> Floats:
    """Return the critical widths of many kernels at once, each as from `critical_width`.

    Parameters
    ----------
    spectra : (kernels, n) eigenvalues of each kernel, in any order.
    level, shift : as for `critical_width`.

    Returns
    -------
    (kernels,) widths, equal to those of `critical_width` up to rounding.
    """
    rows = np.sort(np.asarray(spectra, dtype=np.float64), axis=-1)
    if rows.ndim != 2 or not np.isfinite(rows).all():
        raise ValueError(
            f"spectra: got an array of shape {rows.shape}, expected finite numbers (kernels, n)"
        )
    found = np.full(len(rows), np.nan)
    known = rows[:, 0] > rows.shape[1] * np.finfo(np.float64).eps * rows[:, -1]
    if known.any():
        found[known] = _critical_widths(rows[known], level, shift)
    return found


# ---- the law itself ----------------------------------------------------------------------------


def density(eigenvalues: ArrayLike, k: float, x: ArrayLike) -> Floats:
    """Return the limiting density of the n eigenvalues of ``Phi^T Phi / k``, of total mass 1.

    The atom at 0 (mass ``1 - k / n``) that exists for ``k < n`` is left out.

    Parameters
    ----------
    eigenvalues : (n,) eigenvalues of the population kernel K; negative ones count as 0.
    k : the width.
    x : array of points.

    Returns
    -------
    Array of the shape of `x`; 0 outside the support.

    Raises
    ------
    ValueError : as for `left_edge`.
    """
    curve = Curve(_spectrum(eigenvalues), float(_widths(k)))
    points = np.asarray(x, dtype=np.float64)
    values = np.zeros(points.shape)
    inside = (points > 0.0) & (points < curve.right)
    abscissae = passed(curve.position, points[inside], curve.coarse)
    values[inside] = curve.density(abscissae)
    return values


def quantiles(eigenvalues: ArrayLike, k: float, count: int | None = None) -> Floats:
    """Return quantiles ``(i - 1/2) / count`` of the limiting law of ``Phi^T Phi / k``, ascending.

    With ``count = n``, the default, they are the deterministic equivalents of the n ordered
    eigenvalues, outliers included: Figure 1 compares with ``sqrt(k * quantiles)``.

    Parameters
    ----------
    eigenvalues : (n,) eigenvalues of the population kernel K; negative ones count as 0.
    k : the width.
    count : number of quantiles; n by default.

    Returns
    -------
    (count,) array, exactly 0 in the atom at 0 that exists for ``k < n``.

    Raises
    ------
    ValueError : `count` is below 1, or as for `left_edge`.
    """
    spectrum = _spectrum(eigenvalues)
    count = spectrum.size if count is None else count
    if count < 1:
        raise ValueError(f"quantiles: count is {count}, expected at least 1")
    curve = Curve(spectrum, float(_widths(k)))
    ranks = spectrum.size * (np.arange(count) + 0.5) / count
    return curve.quantiles(ranks)


def nodes(eigenvalues: ArrayLike, k: float) -> tuple[Floats, Floats]:
    """Return points and weights that integrate smooth functions over the law of ``Phi^T Phi / k``.

    A gap of the support lies at a whole number of eigenvalues, so every n-th of the mass has its own
    Gauss points.  Near an edge the quantile behaves like the mass to the power 2/3, which is smooth in
    the cube root of the mass.  The least part has more points, since it dominates long descent.

    Parameters
    ----------
    eigenvalues : (n,) eigenvalues of the population kernel K; negative ones count as 0.
    k : the width.

    Returns
    -------
    points, weights : ascending, weights of sum 1; the atom at 0 that exists for ``k < n`` is one point.

    Raises
    ------
    ValueError : as for `left_edge`.
    """
    curve = Curve(_spectrum(eigenvalues), float(_widths(k)))
    starts = np.unique(np.r_[curve.atom, np.arange(np.floor(curve.atom) + 1.0, curve.size)])
    ranks, masses = [], []
    for part, count in ((starts[:1], EDGE_NODES), (starts[1:], INNER_NODES)):
        share, weight = _between_edges(count)
        size = (np.floor(part) + 1.0 - part)[:, None]
        ranks.append((part[:, None] + size * share).ravel())
        masses.append((size * weight).ravel())
    there = curve.atom > 0.0
    points = np.r_[np.zeros(int(there)), curve.quantiles(np.concatenate(ranks))]
    return points, np.r_[[curve.atom] * there, np.concatenate(masses)] / curve.size


def _between_edges(count: int) -> tuple[Floats, Floats]:
    """Return shares of one part's mass, like u^3 at both ends where an edge may be, and weights."""
    x, w = np.polynomial.legendre.leggauss(count)
    u = (x + 1.0) / 2.0
    return u**3 * (10.0 - 15.0 * u + 6.0 * u**2), 15.0 * w * (u * (1.0 - u)) ** 2


# ---- solving for the edge ----------------------------------------------------------------------


class _Gaps:
    """A positive spectrum in units of its least eigenvalue: ``r_i`` and, uncancelled, ``r_i - 1``."""

    def __init__(self, spectrum: Floats) -> None:
        self.least = spectrum[0]
        self.size = spectrum.size
        self.ratio = spectrum / self.least
        self.above = (spectrum - self.least) / self.least

    def t(self, least: Floats) -> Floats:
        """Return all ``t_i`` along a new last axis, given the least of them."""
        return self.above + self.ratio * least[..., None]


def _edge_and_scale(gaps: _Gaps, widths: Floats) -> tuple[Floats, Floats]:
    least = _solve_condition(gaps, widths - gaps.size)
    edge, scale = _edge_terms(gaps, least)
    return edge / widths, scale / widths


def _edge_terms(gaps: _Gaps, least: Floats) -> tuple[Floats, Floats]:
    """Return width times the edge and width times the Tracy-Widom scale at ``t_min = least``."""
    inverse = 1.0 / gaps.t(least)
    ratio = 1.0 + inverse
    first = np.sum(inverse * ratio, axis=-1)
    third = np.sum(inverse * ratio * ratio, axis=-1)
    per_u = gaps.least / (1.0 + least)
    return per_u * first, per_u * np.cbrt(third)


def _excess(gaps: _Gaps, least: Floats) -> Floats:
    """Return ``k - n`` as a function of t: the left side of the edge condition."""
    inverse = 1.0 / gaps.t(least)
    return np.sum(inverse * (2.0 + inverse), axis=-1)


def _solve_condition(gaps: _Gaps, excess: Floats) -> Floats:
    """Return the t at which ``h(t) = sum (2 t_i + 1) / t_i^2`` equals `excess`."""
    # Imported here: the analysis of a store needs critical widths only, and no compiler.
    from pipeline.theory.edge_condition import solve

    least = np.array([solve(gaps.above, gaps.ratio, float(each)) for each in excess.flat])
    if np.isnan(least).any():
        raise ArithmeticError("left_edge: Newton's method did not converge in 100 steps; please report")
    return least.reshape(excess.shape)


def _critical_width(gaps: _Gaps, level: float, shift: float) -> float:
    """Return the critical width by one root in log t: width, edge and scale are explicit in t."""

    def width(log_t: float) -> float:
        return gaps.size + float(_excess(gaps, np.asarray(np.exp(log_t))))

    def surplus(log_t: float) -> float:
        edge, scale = _edge_terms(gaps, np.asarray(np.exp(log_t)))
        return float(edge + shift * scale) / (width(log_t) * gaps.least) - level

    from scipy.optimize import brentq  # 0.1 s, which no trial of a sweep needs

    low, high = -1.0, 1.0
    while surplus(low) < 0.0:
        low -= 2.0
    while surplus(high) > 0.0:
        high += 2.0
    return width(float(brentq(surplus, low, high, xtol=1e-15, rtol=1e-15)))


def _critical_widths(spectra: Floats, level: float, shift: float) -> Floats:
    """Return the roots of `_critical_width` for rows of ascending spectra."""
    from scipy.optimize import elementwise

    least = spectra[:, :1]
    ratio, above = spectra / least, (spectra - least) / least

    def at(log_t: Floats, rows: NDArray[np.intp]) -> tuple[Floats, Floats]:
        """Return the width, and the edge in units of the least eigenvalue less the level."""
        t = np.exp(log_t)
        inverse = 1.0 / (above[rows] + ratio[rows] * t[..., None])
        width = spectra.shape[1] + np.sum(inverse * (2.0 + inverse), axis=-1)
        first = np.sum(inverse * (1.0 + inverse), axis=-1)
        third = np.sum(inverse * (1.0 + inverse) ** 2, axis=-1)
        return width, (first + shift * np.cbrt(third)) / (1.0 + t) / width - level

    every = np.arange(len(spectra))
    low, high = np.full(len(spectra), -1.0), np.full(len(spectra), 1.0)
    while (short := at(low, every)[1] < 0.0).any():
        low[short] -= 2.0
    while (short := at(high, every)[1] > 0.0).any():
        high[short] += 2.0
    root = elementwise.find_root(lambda log_t, rows: at(log_t, rows)[1], (low, high), args=(every,))
    return at(root.x, every)[0]


# ---- checked arguments -------------------------------------------------------------------------


def _spectrum(eigenvalues: ArrayLike) -> Floats:
    spectrum = np.sort(np.atleast_1d(np.asarray(eigenvalues, dtype=np.float64)), axis=-1)
    if spectrum.ndim != 1 or spectrum.size == 0 or not np.all(np.isfinite(spectrum)):
        raise ValueError(
            f"eigenvalues: got an array of shape {spectrum.shape}, expected a non-empty vector of "
            "finite numbers; pass the eigenvalues of the kernel K of one dataset"
        )
    return spectrum


def _widths(k: ArrayLike) -> Floats:
    widths = np.asarray(k, dtype=np.float64)
    if not np.all(np.isfinite(widths) & (widths > 0.0)):
        raise ValueError(f"k: got {k!r}, expected finite widths above 0")
    return widths


def _degenerate(spectrum: Floats) -> bool:
    """Return True if alpha counts as zero: the least eigenvalue is below rounding."""
    return bool(spectrum[0] <= spectrum.size * np.finfo(np.float64).eps * spectrum[-1])
