"""The parts of a spectrum of random features: outliers, bulk, and both ends."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import xarray as xr

from pipeline.trial_status import Status

__all__ = ["Levels", "levels_of"]


class Levels(NamedTuple):
    """Singular values of Phi / sqrt(k), medians over seeds; NaN for a part that is empty.

    The largest one stands for the mean of the features, the d outliers below it for their linear
    part, and the bulk holds all others, down to sigma_min; `edge` is the predicted sigma_min.
    """

    sigma_max: float
    outliers: float
    bulk_top: float
    bulk: float
    sigma_min: float
    edge: float


def levels_of(cell: xr.Dataset) -> Levels:
    """Return the levels of one cell and width of a spectrum store, over the seeds that are done.

    Parameters
    ----------
    cell
        `singular_values` (seed, index), `edge` and `status` (seed,), and scalars n, d and k.
    """
    n, d = int(cell.n), int(cell.d)
    done = cell.isel(seed=np.flatnonzero(cell.status == Status.DONE))
    spectra = done.singular_values.transpose("seed", "index").values[:, :n]
    values = _median(spectra / np.sqrt(float(cell.k)))
    outliers, bulk = values[1 : d + 1], values[d + 1 :]
    return Levels(
        sigma_max=float(values[0]),
        outliers=float(np.median(outliers)) if len(outliers) else np.nan,
        bulk_top=float(bulk[0]) if len(bulk) else np.nan,
        bulk=float(np.median(bulk)) if len(bulk) else np.nan,
        sigma_min=float(values[-1]),
        edge=float(np.sqrt(_median(done.edge.values))),
    )


def _median(seeds: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the median over the seeds, NaN if there are none."""
    found = np.median(seeds, axis=0) if len(seeds) else np.full(seeds.shape[1:], np.nan)
    return np.asarray(found)
