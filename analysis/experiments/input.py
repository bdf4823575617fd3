"""The input layer: widths that suffice by proof, over the critical width that was measured."""

from __future__ import annotations

import xarray as xr

__all__ = ["SUFFICIENT", "looseness"]

SUFFICIENT = {"n²/d": "smooth φ", "n⁴/d³": "ReLU"}
"""Widths up to constants and logarithms that suffice for the input layer, and for which activation."""


def looseness(widths: xr.Dataset) -> xr.Dataset:
    """Sufficient widths through the constant 1 over the critical width, one variable for each law."""
    n, d = widths.n.astype(float), widths.d.astype(float)
    laws = {"n²/d": n**2 / d, "n⁴/d³": n**4 / d**3}
    return xr.Dataset({law: width / widths.k50 for law, width in laws.items()})
