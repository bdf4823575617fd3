"""The curve above the real line on which the generalised Marchenko-Pastur law is explicit.

`marchenko_pastur` says what the law is. Its density and its distribution function are closed forms in
the abscissa of the curve; a quantile, or the density at a point, needs the abscissa at which an
increasing function takes a value. Many are solved for together: a coarse pass brackets each of them,
then Chandrupatla's method (inverse quadratic steps if they are safe, else bisection) closes in.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

__all__ = ["Curve", "passed"]

Floats = NDArray[np.float64]

FEW = 256
"""Largest number of points of the coarse pass."""


class Curve:
    """The curve ``w = a + i b`` on which z(w) is real, as functions of its abscissa a.

    For every real a there is one ``b >= 0``: the root of ``(1/k) sum lambda_i^2 / |w - lambda_i|^2
    = 1``, or 0 where the sum stays below 1 (a gap of the support).  Both the position ``z`` and the
    rank ``n F(z)`` increase with a.
    """

    def __init__(self, spectrum: Floats, width: float) -> None:
        self.spectrum = spectrum[spectrum > 0.0]  # the others only add to the atom at 0
        self.width = width
        self.size = spectrum.size
        largest = float(self.spectrum.max(initial=0.0))
        # Outside these abscissae every term is at most k / n, so the sum cannot exceed k.
        self.left = min(0.0, largest * (1.0 - np.sqrt(self.size / width)))
        self.right = largest * (1.0 + np.sqrt(self.size / width)) ** 2
        self.atom = self.size - min(float(width), float(self.spectrum.size))

    @property
    def coarse(self) -> Floats:
        """Ascending abscissae to start a search from; the whole support lies between them."""
        inside = self.spectrum[(self.spectrum > self.left) & (self.spectrum < self.right)]
        return np.unique(np.concatenate([[self.left], inside, [self.right]]))

    def quantiles(self, ranks: Floats) -> Floats:
        """Return the points at which the rank takes the given values; 0 in the atom at 0."""
        found = np.zeros(ranks.shape)
        above = ranks > self.atom  # none where every eigenvalue is 0
        if above.any():
            found[above] = self.position(passed(self.rank, ranks[above], self.coarse))
        return found

    def height_squared(self, a: Floats) -> Floats:
        """Return ``b^2``, by Newton on the reciprocal of the sum, concave and increasing in ``b^2``."""
        squares = self.spectrum**2
        offsets = (a[:, None] - self.spectrum) ** 2
        tiny = np.finfo(np.float64).tiny
        height = np.maximum(np.max(squares / self.width - offsets, axis=1), tiny)
        for _ in range(100):
            terms = 1.0 / (offsets + height[:, None])
            value = terms @ squares
            slope = (terms * terms) @ squares
            step = np.where(value > self.width, value * (value / self.width - 1.0) / slope, 0.0)
            height = height + step
            if np.all(step <= 1e-9 * height):
                break
        return np.where(height > tiny, height, 0.0)

    def position(self, a: Floats) -> Floats:
        """Return the real number z(w); on the curve it is a sum of positive terms."""
        height = self.height_squared(a)
        inverse = 1.0 / np.maximum(
            (a[:, None] - self.spectrum) ** 2 + height[:, None], np.finfo(np.float64).tiny
        )
        real = np.where(height > 0.0, 0.0, 1.0 - inverse @ self.spectrum**2 / self.width)
        return a * real + (a * a + height) * (inverse @ self.spectrum) / self.width

    def rank(self, a: Floats) -> Floats:
        """Return n times the distribution function: the integral of m dz, in closed form."""
        b = np.sqrt(self.height_squared(a))[:, None]
        offsets = a[:, None] - self.spectrum
        squares = np.maximum(offsets**2 + b**2, np.finfo(np.float64).tiny)
        angles = np.sum(np.arctan2(b, offsets), axis=1)
        angles += (self.width - self.spectrum.size) * np.arctan2(b[:, 0], a)
        angles -= b[:, 0] * ((1.0 / squares) @ self.spectrum)
        return self.size - angles / np.pi

    def density(self, a: Floats) -> Floats:
        """Return the density ``(k / n) Im m / pi`` with ``m = -1/w``."""
        height = self.height_squared(a)
        return self.width * np.sqrt(height) / (self.size * np.pi * (a * a + height))


def passed(increasing: Callable[[Floats], Floats], targets: Floats, coarse: Floats) -> Floats:
    """Return the abscissae at which an increasing function passes each target.

    Parameters
    ----------
    increasing
        Function from abscissae to values.
    targets : (m,) values between those at the first and the last coarse abscissa.
    coarse
        Ascending abscissae; the search starts from the first and the last.

    Returns
    -------
    (m,) abscissae, accurate to rounding; the nearer end for targets outside.
    """
    coarse = coarse[np.unique(np.linspace(0, coarse.size - 1, FEW).round().astype(int))]
    heights = increasing(coarse)
    # Rounding may bend the coarse heights where the law has a gap.
    upper = np.clip(np.searchsorted(np.maximum.accumulate(heights), targets), 1, coarse.size - 1)
    low, high = coarse[upper - 1], coarse[upper]
    below, above = heights[upper - 1] - targets, heights[upper] - targets
    found = np.where(above <= 0, high, low)
    open_ = np.flatnonzero((below < 0) & (above > 0))
    found[open_] = _chandrupatla(
        lambda a, at: increasing(a) - targets[open_][at],
        (low[open_], below[open_]),
        (high[open_], above[open_]),
    )
    return found


def _chandrupatla(
    surplus: Callable[[Floats, NDArray[np.intp]], Floats],
    low: tuple[Floats, Floats],
    high: tuple[Floats, Floats],
) -> Floats:
    """Return the roots between brackets given with values; `surplus` takes abscissae and indices."""
    (x1, f1), (x2, f2) = low, high
    x3, f3 = x1, f1
    found = np.empty(x1.shape)
    at = np.arange(x1.size)
    t = np.full(x1.shape, 0.5)
    while at.size:
        x = x1 + t * (x2 - x1)
        f = surplus(x, at)
        same = np.sign(f) == np.sign(f1)
        x3, f3 = np.where(same, x1, x2), np.where(same, f1, f2)
        x2, f2 = np.where(same, x2, x1), np.where(same, f2, f1)
        x1, f1 = x, f
        nearer = np.where(np.abs(f2) < np.abs(f1), x2, x1)
        gap = np.abs(x2 - x1)
        least = (np.finfo(float).eps * np.abs(nearer) + np.finfo(float).tiny) / np.maximum(
            gap, np.finfo(float).tiny
        )
        done = (least >= 0.25) | (f == 0)
        found[at[done]] = np.where(f == 0, x, nearer)[done]
        left = ~done
        at, least = at[left], least[left]
        x1, x2, x3, f1, f2, f3 = (v[left] for v in (x1, x2, x3, f1, f2, f3))
        t = np.clip(_next_share(x1, x2, x3, f1, f2, f3), least, 1 - least)
    return found


def _next_share(x1: Floats, x2: Floats, x3: Floats, f1: Floats, f2: Floats, f3: Floats) -> Floats:
    """Return the next share between x1 and x2: by an inverse parabola if monotone, else one half."""
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        xi, phi = (x1 - x2) / (x3 - x2), (f1 - f2) / (f3 - f2)
        safe = (phi**2 < xi) & ((1 - phi) ** 2 < 1 - xi)
        parabola = f1 / (f2 - f1) * f3 / (f2 - f3)
        parabola += (x3 - x1) / (x2 - x1) * f1 / (f3 - f1) * f2 / (f3 - f2)
    return np.where(safe, parabola, 0.5)
