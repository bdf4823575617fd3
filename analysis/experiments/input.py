"""The input layer: widths that suffice by proof, over the critical width that was measured."""

from __future__ import annotations

import xarray as xr

from pipeline.numerics.activations import ACTIVATIONS

__all__ = ["SUFFICIENT", "is_smooth", "looseness"]

SUFFICIENT = {"n²/d": "smooth φ", "n⁴/d³": "ReLU"}
"""Widths that suffice for the input layer, up to constants and logarithms, and their activations."""


def is_smooth(activation: str) -> bool:
    """Return True if the derivative of an activation has no jump."""
    derivative = ACTIVATIONS[activation].derivative
    return derivative is not None and derivative.jump == 0


def looseness(widths: xr.Dataset) -> xr.Dataset:
    """Return the sufficient widths with constant 1 over the critical width, a variable per law."""
    n, d = widths.n.astype(float), widths.d.astype(float)
    laws = {"n²/d": n**2 / d, "n⁴/d³": n**4 / d**3}
    return xr.Dataset({law: width / widths.k50 for law, width in laws.items()})
