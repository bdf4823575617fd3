"""Does the gap between test and training loss go as Gamma / sqrt(n)? The slope, and its interval.

The slope is that of a straight line through log(mean gap over seeds) against log n: the mean, since
the logarithm of a single seed's gap has no meaning where chance makes the gap negative. Trials of
different n are independent of each other, so their seeds are resampled apart.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr
from scipy import stats

from pipeline.trial_status import Status

__all__ = ["gap_slope", "gaps", "local_slopes"]

Floats = npt.NDArray[np.float64]


def gaps(ds: xr.Dataset, *, scaled: bool = False) -> xr.DataArray:
    """Test minus training loss of the trials that are done; over Gamma, the distance, if scaled."""
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
    """Slope of log(gap / Gamma) on log n.

    Parameters
    ----------
    ds
        One cell but for `n`: all other dims than n and seed have one entry.
    scaled
        Of gap / Gamma if true (the rate to compare with is -1/2), of the gap itself if not.
    confidence, resamples, entropy
        Of the expanded percentile bootstrap over seeds: its level, size and random stream.

    Returns
    -------
    dict
        `slope`, `low` and `high`, and `level`, the line's height at n = 1. NaN where fewer than two
        n have a positive mean gap; the ends are NaN as well where no n has two seeds.
    """
    n, rows = _rows(ds, scaled)
    mean = np.array([row.mean() for row in rows])
    slope, level = _line(n, mean[None])
    draws = _resampled(rows, resamples, entropy)
    low, high = _interval(_line(n, draws)[0], min(map(len, rows), default=0), confidence)
    return {"slope": float(slope[0]), "low": low, "high": high, "level": float(level[0])}


def local_slopes(ds: xr.Dataset, *, scaled: bool = True) -> Floats:
    """Slopes between neighbouring n: they are all alike where a power law holds."""
    n, rows = _rows(ds, scaled)
    with np.errstate(invalid="ignore", divide="ignore"):
        log_mean = np.log([row.mean() for row in rows])
    slopes: Floats = np.diff(log_mean) / np.diff(np.log(n))
    return slopes


def _rows(ds: xr.Dataset, scaled: bool) -> tuple[Floats, list[Floats]]:
    """The n that have trials, ascending, and the gaps of each."""
    gap = gaps(ds, scaled=scaled)
    more = {dim: size for dim, size in gap.sizes.items() if dim not in ("n", "seed") and size > 1}
    if more:
        raise ValueError(f"got several places on {more}; select one of each, such as ds.sel(d=10)")
    values = gap.squeeze([dim for dim in gap.dims if dim not in ("n", "seed")]).transpose("n", "seed")
    rows = [row[np.isfinite(row)] for row in values.values]
    there = [place for place, row in enumerate(rows) if len(row)]
    return gap.n.values[there].astype(float), [rows[place] for place in there]


def _line(n: Floats, mean: Floats) -> tuple[Floats, Floats]:
    """Least squares in the logarithms for each row of means (rows, n): slope, height at n = 1."""
    if len(n) < 2:
        return np.full(len(mean), np.nan), np.full(len(mean), np.nan)
    with np.errstate(invalid="ignore", divide="ignore"):
        y = np.log(np.where(mean > 0, mean, np.nan))
    x = np.log(n) - np.log(n).mean()
    slope = y @ x / (x @ x)
    return slope, np.exp(y.mean(axis=1) - slope * np.log(n).mean())


def _resampled(rows: list[Floats], resamples: int, entropy: int) -> Floats:
    """Means over seeds drawn with replacement, (resamples, n)."""
    rng = np.random.default_rng(entropy)
    means: list[Any] = [row[rng.integers(len(row), size=(resamples, len(row)))].mean(1) for row in rows]
    return np.stack(means, axis=1) if means else np.empty((resamples, 0))


def _interval(slopes: Floats, seeds: int, confidence: float) -> tuple[float, float]:
    """Percentiles set wider to make up for few seeds, as for critical widths."""
    if seeds < 2 or not np.isfinite(slopes).any():
        return np.nan, np.nan
    reach = stats.t.ppf((1 + confidence) / 2, seeds - 1) * np.sqrt(seeds / (seeds - 1))
    tail = float(stats.norm.sf(reach))
    # A resample without a slope could lie anywhere: it widens both ends.
    known = np.isfinite(slopes)
    low = np.quantile(np.where(known, slopes, -np.inf), tail, method="lower")
    high = np.quantile(np.where(known, slopes, np.inf), 1 - tail, method="higher")
    return float(low), float(high)
