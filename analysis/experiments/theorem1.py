"""Theorem 1 in a store: bounds (4) and (5) and those on the distance, in trials with a certificate."""

from __future__ import annotations

import numpy as np
import xarray as xr

from analysis.axes import NETWORK
from pipeline.trial_status import Status

__all__ = ["applies", "worst_ratios"]

BOUNDS = ("rate_ratio", "path_ratio", "lower_ratio", "upper_ratio")
"""Left over right side of (4), of (5), and of both bounds on the distance; at most 1 if they hold."""

_CASES = (*NETWORK, "multiple")


def applies(ds: xr.Dataset) -> xr.DataArray:
    """Return the trials and multiples to which the theorem applies, and that can test it.

    The trial is certified, its residual lies within the certificate, and descent took a step because
    the residual was above rounding.
    """
    within = (ds.multiple <= 1) | np.isinf(ds.radius)
    return (ds.certified == 1) & (ds.status == Status.DONE) & within & (ds.steps > 0)


def worst_ratios(ds: xr.Dataset) -> xr.Dataset:
    """Return the worst ratios of every kind of network and multiple, over all other axes.

    Returns
    -------
    xarray.Dataset
        Over activation, trained, depth (those that the store has) and multiple: the largest of each
        of `BOUNDS`; `trials`, those done; `uncertain`, those done without any certificate (alpha = 0);
        `proven`, those to which the theorem applies; `violations`, proven trials that break a bound
        (a missing ratio counts as broken).
    """
    ds = ds[[*BOUNDS, "certified", "radius", "jacobian_alpha", "status", "steps"]].compute()
    over = [dim for dim in ds.rate_ratio.dims if dim not in _CASES]
    proven, done = applies(ds), ds.status == Status.DONE
    kept = xr.ones_like(proven)
    for name in BOUNDS:
        kept = kept & (ds[name] <= 1)
    out = ds[list(BOUNDS)].max(over)
    per_multiple = xr.ones_like(ds.multiple, dtype=int)
    out["trials"] = done.sum(over) * per_multiple
    out["uncertain"] = (done & (ds.jacobian_alpha == 0)).sum(over) * per_multiple
    out["proven"] = proven.sum(over)
    out["violations"] = (proven & ~kept).sum(over)
    return out
