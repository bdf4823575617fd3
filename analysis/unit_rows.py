"""Stores of conditioning on rows of other norms than 1: what of Theorem 2 is left out, and why.

The condition sigma_min / sqrt(k) >= alpha / 2, alpha and the edge mean the same for rows of any norm.
The theorem and its sufficient width are about rows of norm 1.
"""

from __future__ import annotations

import xarray as xr

from pipeline.numerics.datasets import KINDS

__all__ = ["note_on_norms", "other_kinds"]


def other_kinds(ds: xr.Dataset) -> list[str]:
    """Return the kinds of inputs of a store whose rows are not known to have norm 1."""
    specs = ds.attrs.get("identity_fields", {}).get("dataset", [])
    kinds = {str(spec["kind"]) for spec in specs if not spec.get("normalise")}
    return sorted(kind for kind in kinds if kind not in KINDS or not KINDS[kind].unit_norm)


def note_on_norms(ds: xr.Dataset) -> str:
    """Return the line that an answer about conditioning on such rows needs; "" for all other stores."""
    kinds = other_kinds(ds) if ds.attrs.get("experiment") == "conditioning" else []
    if not kinds:
        return ""
    return (
        f"rows of {' and '.join(kinds)} are not known to have norm 1, which Theorem 2 requires: its "
        "claims are left out; alpha and the edge hold for rows of any norm"
    )
