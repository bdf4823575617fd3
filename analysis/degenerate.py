"""Cells without a critical width because alpha is 0: in how many draws, and the cause that holds.

A store since numerics version 6 tells an alpha that is exactly 0 from one that is lost to rounding
(`alpha_error`). The cause is read from the rows of the first such draw, which are drawn again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from analysis.axes import is_of_seeds
from pipeline.errors import CodeError, StoreError
from pipeline.numerics.activations import ACTIVATIONS
from pipeline.trial_status import Status

__all__ = ["causes_of_zero", "is_lost"]


def is_lost(alpha: xr.DataArray, error: xr.DataArray) -> xr.DataArray:
    """Return where alpha cannot be told from 0 and is not known to be 0."""
    return (alpha <= error) & (error > 0)


def causes_of_zero(ds: xr.Dataset) -> list[str]:
    """Return a line for the cells in which alpha is exactly 0, and one for those in which it is lost.

    Parameters
    ----------
    ds
        An opened store.
    """
    if not is_of_seeds(ds, "alpha") or not {"seed", "width"} <= set(ds.status.dims):
        return []
    has_errors = is_of_seeds(ds, "alpha_error")
    ds = ds[["alpha", "status", *(["alpha_error"] if has_errors else [])]].compute()
    zero = (ds.alpha == 0) & ds.status.isin([Status.DONE, Status.DIVERGED]).any("width")
    lost = is_lost(ds.alpha, ds.alpha_error) & zero if has_errors else zero
    known = ((zero & ~lost, "alpha is exactly 0"), (lost, "alpha is lost to rounding"))
    return [_line(ds, where, verdict) for where, verdict in known if where.any()]


def _line(ds: xr.Dataset, zero: xr.DataArray, verdict: str) -> str:
    """Return the line of the draws of one kind; an older store has one kind only."""
    zero = zero.transpose(..., "seed")
    cells = int(zero.any("seed").sum())
    first = tuple(int(at[0]) for at in np.nonzero(zero.values))
    at = {
        str(dim): zero[dim].values.tolist()[index]
        for dim, index in zip(zero.dims, first, strict=True)
        if dim in zero.coords
    }
    seed = at.pop("seed", 0)
    own = zero.values[first[:-1]]
    where = " ".join(f"{dim}={value}" for dim, value in at.items())
    cause = _cause(ds.attrs, at, seed)
    if cause is not None:
        verdict = cause.verdict
    elif "alpha_error" not in ds:
        verdict = "alpha cannot be told from 0"
    others = f" ({cells} such cells in all)" if cells > 1 else ""
    why = "" if cause is None else f", because in draw {seed} {cause.text}; {cause.repair}"
    return f"{verdict} in {int(own.sum())} of {own.size} draws of {where}{others}{why}"


def _cause(attributes: Mapping[str, Any], at: Mapping[str, Any], seed: int) -> Any:
    """Return the cause in one draw; None if its rows are not at hand, or show none."""
    from pipeline.maintenance.recompute import redrawn_inputs
    from pipeline.theory.degenerate import cause_of_zero

    sizes = {name: at[name] for name in ("dataset", "angle") if name in at}
    try:
        X = redrawn_inputs(attributes, d=at["d"], n=at["n"], seed=seed, **sizes)
    except (StoreError, CodeError, KeyError):
        return None
    activation = at.get("activation") or attributes["identity_fields"]["activation"][0]
    if activation not in ACTIVATIONS:  # one's own, whose code is not at hand
        return None
    return cause_of_zero(X, activation)
