"""What stands beside a critical value: counts of trials, alpha, and the width that theory predicts."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import xarray as xr

from analysis.axes import is_of_seeds
from analysis.transitions.scales import WIDTH
from analysis.walking import places
from pipeline.trial_status import Status, among

__all__ = ["with_summaries"]

Floats = npt.NDArray[np.float64]

SPECTRA = 2**15
"""The most eigenvalues of kernels that are read at a time, unless a single chunk has more."""


def with_summaries(
    out: xr.Dataset, ds: xr.Dataset, counted: xr.DataArray, threshold: float | None
) -> xr.Dataset:
    """Add the counts, the median alpha and the predicted widths.

    Alpha is that of inputs, so it is left out where it changes along the axis of a cell; and the
    spectrum predicts a width, so that is left out along any other axis.

    Parameters
    ----------
    out
        The critical values.
    ds
        The store.
    counted
        (cells..., axis, seed) trials that count.
    threshold
        That of the rule of success, if it is Theorem 2's.
    """
    axis = str(counted.dims[-2])
    over = [axis, "seed"]
    ran = among(ds.status, [Status.DONE, Status.DIVERGED]).any(axis).compute()
    out["seeds"] = counted.any(axis).sum("seed")
    out["trials"] = counted.sum(over)
    status = ds.status.reset_coords(drop=True)
    out["pending"] = (status == Status.PENDING).sum(over).compute()
    out["failed"] = (status == Status.FAILED).sum(over).compute()
    if is_of_seeds(ds, "alpha") and axis not in ds.alpha.dims:
        alpha = ds.alpha.compute().where(ran).median("seed")
        out["alpha"] = alpha.transpose(*ran.dims[:-1]).reset_coords(drop=True)
    if is_of_seeds(ds, "alpha_error") and axis not in ds.alpha_error.dims:
        error = ds.alpha_error.compute().where(ran).max("seed")
        out["alpha_error"] = error.transpose(*ran.dims[:-1]).reset_coords(drop=True)
    if threshold is not None and axis == WIDTH and is_of_seeds(ds, "kernel_eigenvalues"):
        edges = _edge_widths(ds, ran, threshold)
        out = out.assign({name: edge.transpose(*out.k50.dims) for name, edge in edges.items()})
    if threshold is not None and axis == WIDTH and "ntk_edge" in ds:
        out["k_edge"] = _tangent_edge_widths(ds, ran, threshold).transpose(*out.k50.dims)
    return out


def _edge_widths(ds: xr.Dataset, ran: xr.DataArray, threshold: float) -> dict[str, xr.DataArray]:
    """Return the predicted width of the limiting spectrum, the median over the seeds that ran."""
    # Imported here: a store without kernel eigenvalues does not need it.
    from pipeline.theory.marchenko_pastur import MEDIAN_SHIFT, critical_widths

    shifts = {"k_edge": 0.0, "k_edge_finite": MEDIAN_SHIFT}
    found = {name: np.full(ran.shape, np.nan) for name in shifts}
    # A piece of one width has each spectrum once.
    first = ds[["status", "kernel_eigenvalues"]].isel(width=slice(1))
    for place in places(first, most=max(1, SPECTRA // ds.sizes["index"])):
        at = {dim: place[dim] for dim in ran.dims}
        here = ran.isel(at)
        piece = ds[["kernel_eigenvalues"]].isel(at)
        spectra = piece.kernel_eigenvalues.transpose(*ran.dims, "index").values
        n = piece.n.broadcast_like(here).transpose(*ran.dims).values
        for name, shift in shifts.items():
            part = found[name][tuple(at.values())]  # a view
            for cell in np.ndindex(*here.shape[:-1]):
                seeds = here.values[cell]
                own = spectra[cell][seeds, : n[cell][0]]
                part[cell][seeds] = critical_widths(own, threshold**2, shift=shift)
    return {name: _median(widths, ran) for name, widths in found.items()}


def _tangent_edge_widths(ds: xr.Dataset, ran: xr.DataArray, threshold: float) -> xr.DataArray:
    """Return where the stored edge of the NTK passes a share of its population value.

    It is interpolated in log k between the widths of the grid, and is the median over the seeds that
    ran; NaN where the edge does not pass within the grid.
    """
    parts = ds[["ntk_edge", "ntk_population"]].compute()
    share = (parts.ntk_edge / parts.ntk_population.where(parts.ntk_population > 0)).transpose(
        *ran.dims, "width"
    )
    log_k = np.log(ds.k.broadcast_like(share).transpose(*share.dims).values.astype(float))
    found = np.full(ran.shape, np.nan)
    for at in np.ndindex(*ran.shape):
        known = np.isfinite(share.values[at])
        heights, places = share.values[at][known], log_k[at][known]
        if known.any() and heights[0] < threshold <= heights[-1]:
            after = int((heights >= threshold).argmax())
            pair = slice(after - 1, after + 1)
            found[at] = np.exp(np.interp(threshold, heights[pair], places[pair]))
    return _median(found, ran & xr.DataArray(np.isfinite(found), dims=ran.dims))


def _median(widths: Floats, ran: xr.DataArray) -> xr.DataArray:
    """Return the median over the seeds that ran of each cell; NaN if there are none."""
    median = np.full(ran.shape[:-1], np.nan)
    for cell in np.ndindex(*median.shape):
        if ran.values[cell].any():
            median[cell] = np.median(widths[cell][ran.values[cell]])
    return xr.DataArray(median, dims=ran.dims[:-1])
