"""The looseness of each step of the proof of Theorem 2."""

from __future__ import annotations

import xarray as xr

from pipeline.trial_status import Status

__all__ = ["proof_steps"]


def proof_steps(ds: xr.Dataset, widths: xr.Dataset) -> xr.Dataset:
    """Return the factors between the bound of each step of the proof and the trials.

    Parameters
    ----------
    ds
        A store of the experiment theorem2-proof.
    widths
        Its critical widths at the level 1/2.

    Returns
    -------
    xarray.Dataset
        Over the cells:

        - `norm_factor`, the median of delta² over the largest ‖φ(z)‖²/n;
        - `norm_broken`, the share of trials in which that norm exceeds delta² (the proof allows half);
        - `kept`, the median share of alpha² that remains after truncation at the sufficient width (the
          proof needs a half);
        - `width_factor` with `_low` and `_high`, the sufficient width over the critical one;
        - `edge_factor`, the predicted over the critical width.
    """
    names = ("delta_squared", "feature_norm", "sufficient_width", "truncated_at_sufficient", "alpha")
    ds = ds[[*names, "status"]].compute()
    done = ds[["delta_squared", "feature_norm"]].where(ds.status == Status.DONE)
    over = ["width", "seed"]
    enough = ds.sufficient_width.median("seed")
    return xr.Dataset(
        {
            "norm_factor": (done.delta_squared / done.feature_norm).median(over),
            "norm_broken": (done.feature_norm > done.delta_squared).sum(over)
            / (ds.status == Status.DONE).sum(over),
            "kept": (ds.truncated_at_sufficient / ds.alpha**2).median("seed"),
            "width_factor": enough / widths.k50,
            "width_factor_low": enough / widths.k50_high,
            "width_factor_high": enough / widths.k50_low,
            "edge_factor": widths.k_edge_finite / widths.k50,
        }
    )
