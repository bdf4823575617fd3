"""The activations phi, elementwise in float64.

`ACTIVATIONS` is the register: a new activation is one line here. Its kernel is then integrated,
unless `theory.kernels.KERNELS` has a closed form for it; one with a kink needs that second line.

The functions stand where the time of a sweep goes, so they work in place and are built from the
ufuncs that NumPy vectorises, where these lose no digits.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray
from scipy import special

__all__ = ["ACTIVATIONS", "LEAKY_SLOPE", "activation_names", "apply", "check_activation"]

Array = NDArray[np.float64]

LEAKY_SLOPE = 0.01


def _softplus(z: Array) -> Array:
    # max(z, 0) + log(1 + e^-|z|) neither overflows nor loses the small values
    bent = np.asarray(np.abs(z))
    np.negative(bent, out=bent)
    np.exp(bent, out=bent)
    np.log1p(bent, out=bent)
    np.maximum(z, 0, out=z)
    return np.add(z, bent, out=z)


def _sigmoid(z: Array) -> Array:
    # a third of the time of scipy.special.expit; where e^-z overflows, 1/inf = 0 is right
    np.negative(z, out=z)
    with np.errstate(over="ignore"):
        np.exp(z, out=z)
    z += 1
    return np.reciprocal(z, out=z)


ACTIVATIONS = MappingProxyType[str, Callable[[Array], Array]](
    {
        "relu": lambda z: np.maximum(z, 0, out=z),
        "leaky_relu": lambda z: np.maximum(z, LEAKY_SLOPE * z, out=z),
        "abs": lambda z: np.abs(z, out=z),
        "step": lambda z: (z > 0).astype(np.float64),
        "sign": lambda z: np.sign(z, out=z),
        "erf": lambda z: np.asarray(special.erf(z, out=z)),
        "linear": lambda z: z,
        "square": lambda z: np.multiply(z, z, out=z),
        "cos": lambda z: np.cos(z, out=z),
        "sin": lambda z: np.sin(z, out=z),
        "tanh": lambda z: np.tanh(z, out=z),
        "softplus": _softplus,
        "gelu": lambda z: np.multiply(z, special.ndtr(z), out=z),
        "sigmoid": _sigmoid,
    }
)


def activation_names() -> tuple[str, ...]:
    """Return the names of all activations."""
    return tuple(ACTIVATIONS)


def check_activation(name: str) -> None:
    """Refuse a name that is no activation.

    Raises
    ------
    ValueError
        Naming the nearest activation and all of them.
    """
    if name in ACTIVATIONS:
        return
    close = difflib.get_close_matches(str(name).lower(), list(ACTIVATIONS), n=1)
    meant = f" (did you mean {close[0]!r}?)" if close else ""
    raise ValueError(f"got {name!r}{meant}, expected one of {', '.join(ACTIVATIONS)}")


def apply(activation: str, z: Array) -> Array:
    """Return phi(z), the random features of Theorem 2 for z = W X^T.

    Parameters
    ----------
    activation
        A key of `ACTIVATIONS`.
    z : ndarray of float64
        Pre-activations, of any shape. Writable: they may be overwritten, so pass a copy of what is
        still needed.

    Returns
    -------
    ndarray of float64, shape of z

    Raises
    ------
    ValueError
        The activation is unknown.
    """
    check_activation(activation)
    return ACTIVATIONS[activation](z)
