"""The activations phi, elementwise in float64.

`ACTIVATIONS` is the register: a new activation is one line here, and one in `pipeline.kernels` that
says what its kernel is.
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
    return np.asarray(np.maximum(z, 0) + np.log1p(np.exp(-np.abs(z))))


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
        "gelu": lambda z: np.asarray(z * special.ndtr(z)),
        "sigmoid": lambda z: np.asarray(special.expit(z, out=z)),
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
    close = difflib.get_close_matches(str(name), list(ACTIVATIONS), n=1)
    meant = f" (did you mean {close[0]!r}?)" if close else ""
    raise ValueError(f"got {name!r}{meant}, expected one of {', '.join(ACTIVATIONS)}")


def apply(activation: str, z: Array) -> Array:
    """Return phi(z).

    Parameters
    ----------
    activation
        A key of `ACTIVATIONS`.
    z : ndarray of float64
        Pre-activations, of any shape; may be overwritten.

    Returns
    -------
    ndarray, shape of z
    """
    check_activation(activation)
    return ACTIVATIONS[activation](z)
