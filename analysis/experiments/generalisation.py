"""The decay of the gap between test and training loss with n: its slope and interval.

The paper's bound is Gamma / sqrt(n). The slope is that of a straight line through log(mean gap over
seeds) against log n. It uses the mean because a single seed's gap may be negative by chance and then
has no logarithm. Trials of different n are independent, so their seeds are resampled separately.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from analysis.transitions.intervals import percentiles
from pipeline.trial_status import Status

__all__ = ["gap_slope", "gaps", "local_slopes"]

Floats = npt.NDArray[np.float64]


def gaps(ds: xr.Dataset, *, scaled: bool = False) -> xr.DataArray:
    """Return test minus training loss of the trials that are done; divided by Gamma if scaled.

    Gamma is the distance that the weights moved.
    """
    gap = ds.test_loss - ds.train_loss
    if scaled:
        gap = gap / ds.distance.where(ds.distance > 0)  # none where no step was taken
    return gap.where(ds.status == Status.DONE).compute()


def gap_slope(
    ds: xr.Dataset,
    *,
    scaled: bool = True,
    confidence: float = 0.95,
    resamples: int = 2000,
    entropy: int = 0,
) -> dict[str, float]:
    """Return the slope of log(gap / Gamma) on log n.

    Parameters
    ----------
    ds
        A store in which all dims other than n and seed have one entry.
    scaled
        True for gap / Gamma (the rate to compare with is -1/2), False for the gap itself.
    confidence, resamples, entropy
        Level, size and random stream of the expanded percentile bootstrap over seeds.

    Returns
    -------
    dict
        `slope`, `low` and `high`, and `level`, the line's height at n = 1. NaN if fewer than two n
        have a positive mean gap; the ends are also NaN if an n has a single seed.
    """
    n, rows = _rows(ds, scaled)
    mean = np.array([row.mean() for row in rows])
    slope, level = _line(n, mean[None])
    draws = _resampled(rows, resamples, entropy)
    low, high = _interval(_line(n, draws)[0], min(map(len, rows), default=0), confidence)
    return {"slope": float(slope[0]), "low": low, "high": high, "level": float(level[0])}


def local_slopes(ds: xr.Dataset, *, scaled: bool = True) -> Floats:
    """Return the slopes between neighbouring n, which are equal if a power law holds."""
    n, rows = _rows(ds, scaled)
    with np.errstate(invalid="ignore", divide="ignore"):
        log_mean = np.log([row.mean() for row in rows])
    slopes: Floats = np.diff(log_mean) / np.diff(np.log(n))
    return slopes


def _rows(ds: xr.Dataset, scaled: bool) -> tuple[Floats, list[Floats]]:
    """Return the n that have trials, ascending, and the gaps of each."""
    gap = gaps(ds, scaled=scaled)
    more = {dim: size for dim, size in gap.sizes.items() if dim not in ("n", "seed") and size > 1}
    if more:
        raise ValueError(f"got several values on {more}; select one of each, such as ds.sel(d=10)")
    values = gap.squeeze([dim for dim in gap.dims if dim not in ("n", "seed")]).transpose("n", "seed")
    rows = [row[np.isfinite(row)] for row in values.values]
    known = [index for index, row in enumerate(rows) if len(row)]
    return gap.n.values[known].astype(float), [rows[index] for index in known]


def _line(n: Floats, mean: Floats) -> tuple[Floats, Floats]:
    """Fit a line in logarithms to each row of means (rows, n); return slope and height at n = 1."""
    if len(n) < 2:
        return np.full(len(mean), np.nan), np.full(len(mean), np.nan)
    with np.errstate(invalid="ignore", divide="ignore"):
        y = np.log(np.where(mean > 0, mean, np.nan))
    x = np.log(n) - np.log(n).mean()
    slope = y @ x / (x @ x)
    return slope, np.exp(y.mean(axis=1) - slope * np.log(n).mean())


def _resampled(rows: list[Floats], resamples: int, entropy: int) -> Floats:
    """Return means over seeds drawn with replacement, (resamples, n)."""
    rng = np.random.default_rng(entropy)
    means: list[Any] = [row[rng.integers(len(row), size=(resamples, len(row)))].mean(1) for row in rows]
    return np.stack(means, axis=1) if means else np.empty((resamples, 0))


def _interval(slopes: Floats, seeds: int, confidence: float) -> tuple[float, float]:
    """Return percentiles of resampled slopes; a resample without a slope widens both ends."""
    if seeds < 2 or not np.isfinite(slopes).any():
        return np.nan, np.nan
    return percentiles(np.where(np.isfinite(slopes), slopes, np.nan), confidence, seeds)
