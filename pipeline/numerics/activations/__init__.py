"""The activations phi: one record each, with everything that the rest of the package needs of it.

To add an activation, write its record in a file of this folder (or in one of those that are there)
and add a line to `MODULES`. Only `function` is required. Without a closed-form `kernel` the population
kernel is integrated, which needs an analytic phi. Without a `derivative` no network can be trained
through it. `concentrates` admits it to the experiment on the proof of Theorem 2. Sweep files, kernels,
descent, certificates and cost estimates read the record and need no change.

An activation of one's own needs no record here: its name brings one (`own_names`).

A record is imported on first use, because derivatives come with the compiler; names alone are cheap.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module

import numpy as np

from pipeline.errors import nearest_name
from pipeline.numerics.activations.record import Activation, Array
from pipeline.numerics.own_names import OwnName

__all__ = ["ACTIVATIONS", "apply", "apply_with_slope", "check_activation"]

MODULES = {
    "relu": "rectifiers",
    "leaky_relu": "rectifiers",
    "abs": "rectifiers",
    "step": "steps",
    "sign": "steps",
    "erf": "sigmoids",
    "linear": "polynomials",
    "square": "polynomials",
    "cos": "waves",
    "sin": "waves",
    "tanh": "sigmoids",
    "softplus": "smooth_rectifiers",
    "gelu": "smooth_rectifiers",
    "sigmoid": "sigmoids",
    "elu": "exponential_units",
    "selu": "exponential_units",
    "gaussian": "bells",
    "cube": "polynomials",
    "hermite2": "polynomials",
    "hermite3": "polynomials",
}
"""For each name, the file whose `RECORDS` has the activation."""


class _Register(Mapping[str, Activation]):
    """Activations by the names that sweep files use."""

    def __getitem__(self, name: str) -> Activation:
        if isinstance(name, OwnName):
            own: Activation = name.record
            return own
        record: Activation = import_module(f"{__name__}.{MODULES[name]}").RECORDS[name]
        return record

    def __contains__(self, name: object) -> bool:
        return isinstance(name, OwnName) or name in MODULES

    def __iter__(self) -> Iterator[str]:
        return iter(MODULES)

    def __len__(self) -> int:
        return len(MODULES)


ACTIVATIONS = _Register()


def check_activation(name: str) -> None:
    """Refuse a name that is no activation.

    Raises
    ------
    ValueError
        The message names the nearest activation and lists all of them.
    """
    if name in ACTIVATIONS:
        return
    hint = nearest_name(name, ACTIVATIONS)
    raise ValueError(f"got {name!r}{hint}, expected one of {', '.join(ACTIVATIONS)}")


def apply(activation: str, z: Array) -> Array:
    """Return phi(z), the random features of Theorem 2 for z = W X^T.

    Parameters
    ----------
    activation
        A key of `ACTIVATIONS`.
    z : ndarray of float64
        Pre-activations, of any shape. They may be overwritten: pass a copy of values that are still
        needed.

    Returns
    -------
    ndarray of float64, shape of z

    Raises
    ------
    ValueError
        The activation is unknown.
    """
    check_activation(activation)
    return ACTIVATIONS[activation].function(z)


def apply_with_slope(activation: str, z: Array) -> tuple[Array, Array]:
    """Return phi(z) and phi'(z), by the function that descent uses.

    Parameters
    ----------
    activation
        A key of `ACTIVATIONS`.
    z : ndarray of float64, contiguous
        Pre-activations, of any shape. They are overwritten by phi'(z).

    Raises
    ------
    ValueError
        The activation is unknown, or none that networks can be trained through.
    """
    check_activation(activation)
    derivative = ACTIVATIONS[activation].derivative
    if derivative is None:
        known = [name for name, record in ACTIVATIONS.items() if record.derivative is not None]
        raise ValueError(f"got {activation!r}, expected one with a derivative: {', '.join(known)}")
    if isinstance(activation, OwnName):
        return activation.with_slope(z)
    values = np.empty_like(z)
    derivative.row(z.reshape(-1), values.reshape(-1))  # views, since both are contiguous
    return values, z
