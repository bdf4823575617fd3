"""The record of an activation, and the geometry of rows that its kernel is a function of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["Activation", "Array", "Derivative", "Geometry"]

Array = NDArray[np.float64]


class Geometry(Protocol):
    """Norms of the rows of X and angles between them: all that a population kernel depends on."""

    @property
    def norms(self) -> Array:
        """|x_i|, shape (n,)."""

    @property
    def variance(self) -> Array:
        """p = |x_i|^2, shape (n,)."""

    @property
    def covariance(self) -> Array:
        """c = x_i x_j, shape (n, n)."""

    @property
    def cosine(self) -> Array:
        """rho, shape (n, n)."""

    @property
    def angle(self) -> Array:
        """theta = arccos(rho), shape (n, n)."""

    @property
    def sine(self) -> Array:
        """sin theta, shape (n, n)."""


@dataclass(frozen=True)
class Derivative:
    """Properties of an activation that descent and its certificates use.

    Attributes
    ----------
    row
        Compiled function of (z, a), the pre-activations of one hidden unit at all samples and an
        empty row: it writes phi(z) to a, then overwrites z by phi'(z). One function does both, as
        both come from one exponential or error function. For an activation of one's own, a
        function that returns the address of a C function of (z, a, samples), which does the same.
    slope
        B = sup |phi'|; inf where it has no bound.
    bend
        M = sup |phi''|, on either side of 0 where phi' jumps there; inf where it has no bound, None
        where phi is linear on either side.
    seconds
        Measured time of `row` for one element.
    jump
        Height of the jump of phi' at 0; 0 where there is none.
    below
        phi'(z) for z < 0 where phi(z) = max(z, below z): for such rectifiers the loop has a faster
        path through the last layer. None for all others.
    row32
        `row` for rows of float32; None where it serves both.
    kernel
        Closed form of E[phi'(x_i g) phi'(x_j g)], shape (n, n); None where it has to be integrated,
        which needs an analytic phi'.
    """

    row: Any
    slope: float
    bend: float | None
    seconds: float
    jump: float = 0.0
    below: float | None = None
    row32: Any = None
    kernel: Callable[[Geometry], Array] | None = None


@dataclass(frozen=True)
class Activation:
    """Everything that the package knows of one activation phi.

    Attributes
    ----------
    function
        phi, elementwise on float64 of any shape. It may overwrite its argument, since most of the
        time of a sweep is spent here; it is built from ufuncs that NumPy vectorises, where these
        lose no digits.
    kernel
        Closed form of E[phi(x_i g) phi(x_j g)], shape (n, n); None where it has to be integrated,
        which needs an analytic phi.
    derivative
        None where networks cannot be trained through it.
    concentrates
        True if bound (6) of the paper is proven for it: |phi(z)| <= |z|, or |phi| <= 1, or phi is
        1-Lipschitz and E[phi(g)^2] <= 1.
    kinks
        Where phi is not analytic, if it has no closed form of the kernel: the integral is cut there.
    """

    function: Callable[[Array], Array]
    kernel: Callable[[Geometry], Array] | None = None
    derivative: Derivative | None = None
    concentrates: bool = False
    kinks: tuple[float, ...] = ()
