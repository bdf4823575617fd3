"""The population kernel of an activation with kinks, by quadrature that is cut at each of them.

K_ij = E[phi(|x_i| u) phi(|x_j| v)] for standard normal u and v of correlation rho. Its Hermite series
falls like a power where phi has a kink, but every term has a factor rho^m: off the diagonal it ends
after some hundred terms. The diagonal is one integral in u. The few pairs of nearly parallel rows that
are left are integrated in the plane, u = c p + s q and v = c p - s q with c and s of half their angle:
the inner integral is cut where either phi bends, the outer one where two such lines cross. Between the
cuts everything is analytic, so Gauss's rule converges exponentially.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.numerics.activations.record import Geometry

__all__ = ["kinked_kernel"]

Array = NDArray[np.float64]
Function = Callable[[Array], Array]

REACH = 13.0
"""Beyond this many standard deviations a normal density is below 1e-37."""

GAUSS_NODES, GAUSS_WEIGHTS = np.polynomial.legendre.leggauss(16)

PANEL = 0.25
"""Width of the panels of the integrals in one variable: Hermite functions have many waves."""

PLANE_PANEL = 1.0
"""Width of the panels in the plane."""

MOST_TERMS, TERMS = 1024, 128
"""Terms of the series at most, and at a time."""

TAIL = 1e-14
"""The rest of a series, relative to sqrt(K_ii K_jj)."""


def kinked_kernel(phi: Function, kinks: Sequence[float], rows: Geometry) -> Array:
    """Return K, shape (n, n).

    Parameters
    ----------
    phi
        Function of arrays; it may overwrite its argument.
    kinks
        Where phi is not analytic.
    rows
        The geometry of the rows.
    """
    mantissa, exponent = np.frexp(rows.norms)
    distinct, group = np.unique(np.ldexp(np.round(mantissa, 13), exponent), return_inverse=True)
    series = [_Series(phi, kinks, float(norm)) for norm in distinct]
    squares = np.array([one.square for one in series])
    scale = np.sqrt(np.outer(squares, squares))[np.ix_(group, group)]
    rho = np.abs(rows.cosine)
    np.fill_diagonal(rho := rho.copy(), 0)
    while True:
        rest = np.sqrt([one.rest for one in series])[group]
        terms = series[0].terms
        with np.errstate(under="ignore"):
            left = np.outer(rest, rest) * rho**terms > TAIL * scale
        if terms >= MOST_TERMS or not left.any():
            break
        for one in series:
            one.extend()
    K = _sum(np.array([one.coefficients() for one in series])[group], rows.cosine)
    np.fill_diagonal(K, squares[group])
    for i, j in zip(*np.nonzero(np.triu(left)), strict=True):
        norms = float(distinct[group[i]]), float(distinct[group[j]])
        K[i, j] = K[j, i] = _pair(phi, kinks, *norms, float(rows.angle[i, j]))
    return K


def _sum(coefficients: Array, rho: Array) -> Array:
    """Return the sum over m of a_im a_jm rho^m, by Horner's rule."""
    K, term = np.zeros_like(rho), np.empty_like(rho)
    for column in coefficients.T[::-1]:
        K *= rho
        K += np.multiply.outer(column, column, out=term)
    return K


def _nodes(cuts: Array) -> tuple[Array, Array]:
    """Return nodes and weights between neighbouring cuts, in the last two axes."""
    half, middle = np.diff(cuts) / 2, (cuts[..., 1:] + cuts[..., :-1]) / 2
    return middle[..., None] + half[..., None] * GAUSS_NODES, half[..., None] * GAUSS_WEIGHTS


def _edges(width: float) -> Array:
    return np.linspace(-REACH, REACH, int(np.ceil(2 * REACH / width)) + 1)


def _density(x: Array) -> Array:
    return np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi)


class _Series:
    """The coefficients of u -> phi(norm u) in normalised Hermite polynomials.

    Attributes
    ----------
    square
        E[phi(norm u)^2].
    rest
        The share of it beyond the terms so far.
    terms
        Number of terms so far.
    """

    def __init__(self, phi: Function, kinks: Sequence[float], norm: float) -> None:
        bends = [bend / norm for bend in kinks if norm > 0 and abs(bend / norm) < REACH]
        cuts = np.union1d(_edges(PANEL / max(1.0, norm)), bends)
        x, weights = (part.reshape(-1) for part in _nodes(cuts))
        root = np.sqrt(_density(x))  # Hermite functions, not polynomials: these stay in range
        self._x, self._weighted = x, weights * root * np.asarray(phi(norm * x))
        self.square = float(self._weighted**2 @ (1 / weights))
        self._before, self._now = np.zeros_like(x), root
        self._found: list[Array] = []
        self.rest, self.terms = self.square, 0

    def extend(self) -> None:
        """Add `TERMS` terms."""
        functions = []
        for order in range(self.terms, self.terms + TERMS):
            functions.append(self._now)
            grown = (self._x * self._now - np.sqrt(order) * self._before) / np.sqrt(order + 1)
            self._before, self._now = self._now, grown
        self._found.append(np.array(functions) @ self._weighted)
        self.terms += TERMS
        rest = self.rest - float(self._found[-1] @ self._found[-1])
        self.rest = max(rest, np.finfo(np.float64).eps * self.square)

    def coefficients(self) -> Array:
        """Return the coefficients so far."""
        return np.concatenate(self._found) if self._found else np.empty(0)


def _pair(phi: Function, kinks: Sequence[float], first: float, second: float, angle: float) -> float:
    """Return E[phi(first u) phi(second v)] for u and v at an angle, in the plane."""
    sign = 1.0
    if angle > np.pi / 2:  # v is the opposite of one that is close to u
        angle, sign = np.pi - angle, -1.0
    c, s = np.cos(angle / 2), np.sin(angle / 2)
    ours = [bend / first for bend in kinks if first > 0]
    theirs = [sign * bend / second for bend in kinks if second > 0]
    width = PLANE_PANEL / max(1.0, first, second)
    crossings = [(a - b) / (2 * s) for a, b in itertools.product(ours, theirs) if s > 0]
    outer = np.union1d(_edges(width), [at for at in crossings if abs(at) < REACH])
    q, outer_weights = (part.reshape(-1) for part in _nodes(outer))
    if s == 0:
        q, outer_weights = np.zeros(1), np.sqrt(2 * np.pi) * np.ones(1)
    bends = [(a - s * q) / c for a in ours] + [(b + s * q) / c for b in theirs]
    fixed = np.broadcast_to(_edges(width), (len(q), len(_edges(width))))
    cuts = np.sort(np.column_stack([fixed, *(np.clip(one, -REACH, REACH) for one in bends)]), axis=1)
    total = 0.0
    for part in np.array_split(np.arange(len(q)), max(1, len(q) // 64)):  # bounds the memory
        p, weights = _nodes(cuts[part])
        at = q[part, None, None]
        values = np.asarray(phi(first * (c * p + s * at)))
        values = values * np.asarray(phi(sign * second * (c * p - s * at)))
        inner = np.sum(values * weights * _density(p), axis=(1, 2))
        total += float(inner @ (outer_weights[part] * _density(q[part])))
    return total
