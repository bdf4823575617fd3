"""Finite-size scaling: the sharpening of the transition with n, and the collapse of its curves.

Near the transition the success of a cell is a function of x = (log k - log k50) / w alone, where w is
its transition width, the log of the ratio of the widths of 90% and 10% success. A store answers two
questions:

1. The exponent b in w ~ n^-b. For conditioning the spectral edge predicts b = 2/3: a trial succeeds if
   lambda_min(Phi^T Phi / k) exceeds level * alpha^2, lambda_min lies below the edge by s times a
   Tracy-Widom variable, s = (|g''| / 2)^(1/3) k^(-2/3), and the edge rises with log k by an amount of
   order 1 at fixed k/n. So log k at success p is the one at which edge - s q_p = level alpha^2, where
   q_p is the quantile, and w is close to s (q_90 - q_10) / (d edge / d log k), of order n^(-2/3). From
   the kernel's eigenvalues w is predicted without a parameter (`w_predicted`, the median over seeds).
2. Whether one master curve describes all cells. The departure of each cell from a logistic curve, in
   bins of x, is compared with the mean of all cells, in units of its error. The error comes from
   resampling seeds, with location and width refitted in each resample: `chi2` is the mean square.
   `chi2_law` is the same with widths from one power of n instead of each cell's own. `p_value` and
   `p_value_law` are the shares of resamples, moved to a common curve, whose own chi2 is larger:
   departures of a cell are correlated, since its widths share their seeds, so no table of chi2 applies.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr
from scipy import special

from analysis.axes import is_of_seeds
from analysis.scaling.fitting import Fit, Model, fit_model
from analysis.success.rules import Rule, Success, outcomes, rule_for
from analysis.transitions.curves import RISE, fit_curves
from analysis.transitions.separation import separated
from analysis.transitions.tables import table_of

__all__ = ["TooFewCurves", "collapse"]

Floats = npt.NDArray[np.float64]

BINS = np.array([-1.5, -0.75, -0.25, 0.25, 0.75, 1.5])
"""Ends of the bins of x in which curves are compared."""

TRACY_WIDOM = {0.1: -2.7824, 0.9: 0.4501}
"""Quantiles of the Tracy-Widom law of real matrices (a test recomputes them)."""

_LEAST_CELLS = 3


class TooFewCurves(ValueError):
    """A store has too few success curves for a collapse."""


def collapse(
    ds: xr.Dataset,
    threshold: float | None = None,
    *,
    budgets: Sequence[int] | None = None,
    success: Success | xr.DataArray | str | None = None,
    resamples: int = 400,
    entropy: int = 0,
) -> xr.Dataset:
    """Scale the success curves of all cells of a store onto each other.

    Parameters
    ----------
    ds, threshold, budgets, success
        As for `critical_widths`. All cells are one sample: select one tolerance, activation, and so on
        first, unless pooling them makes sense.
    resamples, entropy
        Number of resamples of seeds, and seed of their random stream.

    Returns
    -------
    xarray.Dataset
        - over `cell` (those with a curve; its coordinates are the store's axes): `log_k50`, `log_w`
          and `log_w_error`; `w_predicted` if the store has kernel eigenvalues and the rule is
          conditioning.
        - over (cell, width): `x` (in own widths), `x_law` (in those of the law), `share`.
        - over (cell, bin): `departure` from the logistic curve and `departure_error`.
        - over bin: `master`.
        - `exponent` with `exponent_low` and `exponent_high` (95%), `amplitude` (w = amplitude n^-b),
          `chi2`, `p_value`, `chi2_law`, `p_value_law`.

        The attribute `rule` is the rule of success as text.

    Raises
    ------
    TooFewCurves
        A ValueError: fewer than three curves, or curves of fewer than two n.
    InputError, TypeError
        As `critical_widths`.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> n, seeds = np.array([50, 100, 200, 400]), range(40)
    >>> k = (n[:, None] * np.geomspace(1.5, 3.2, 24)).round()
    >>> first = 2.2 * n[:, None] * np.exp(n[:, None] ** (-2 / 3) * rng.normal(size=(4, 40)))
    >>> ds = xr.Dataset(
    ...     {"status": (("n", "width", "seed"), np.ones((4, 24, 40), dtype=int))},
    ...     {"n": n, "k": (("n", "width"), k), "seed": seeds},
    ... )
    >>> found = collapse(ds, success=ds.k >= xr.DataArray(first, {"n": n, "seed": seeds}))
    >>> bool(found.exponent_low < 2 / 3 < found.exponent_high)
    True
    """
    rule = rule_for(ds, Success.of(threshold, budgets, success))
    curves, axes = _curves(ds, rule, resamples, entropy)
    n = axes["n"].astype(float)
    if len(curves) < _LEAST_CELLS or len(np.unique(n)) < 2:
        raise TooFewCurves(
            f"got {len(curves)} curves of {len(np.unique(n))} values of n; expected at least "
            f"{_LEAST_CELLS} cells, with two n or more, whose success rises within the widths. Add "
            "values of n, more seeds, or widths that bracket the transition"
        )
    out = _scaled(curves, n).assign_attrs(rule.attrs)
    out = out.assign_coords({name: ("cell", values) for name, values in axes.items()})
    if rule.threshold is not None and is_of_seeds(ds, "kernel_eigenvalues"):
        out["w_predicted"] = ("cell", _predicted(ds, out, rule.threshold))
    return out


def _curves(
    ds: xr.Dataset, rule: Rule, resamples: int, entropy: int
) -> tuple[list[_Curve], dict[str, Any]]:
    """Return the curves of the cells that have one, and the values of these cells on each axis."""
    trials = outcomes(ds, rule)
    axes = trials[0].dims[:-2]
    k = ds.k.broadcast_like(trials[0].isel(seed=0, drop=True))
    succeeded, counted, k = (array.stack(cell=axes) for array in (*trials, k))
    found = {
        index: curve
        for index in range(succeeded.sizes["cell"])
        if (curve := _curve(succeeded, counted, k, index, resamples, entropy)) is not None
    }
    return list(found.values()), {str(name): succeeded[name].values[list(found)] for name in axes}


# --- one cell -----------------------------------------------------------------------------------


class _Curve(NamedTuple):
    """A cell's success curve and its resamples; the first row is the data."""

    log_k: Floats  # (widths,)
    wins: Floats  # (1 + resamples, widths)
    trials: Floats
    location: Floats  # (1 + resamples,)
    log_w: Floats
    seeds: int


def _curve(
    succeeded: xr.DataArray,
    counted: xr.DataArray,
    k: xr.DataArray,
    at: int,
    resamples: int,
    entropy: int,
) -> _Curve | None:
    """Return the curve of one cell, or None if it is not determined or leaves the grid."""
    won, tried = (a.isel(cell=at).transpose("width", "seed").values for a in (succeeded, counted))
    table = table_of(won, tried, k.isel(cell=at).values)
    if table.seeds < 3 or len(table.k) < 3:
        return None
    log_k = table.x
    wins, trials = table.resampled(resamples, entropy)
    overlap = ~separated(wins, trials - wins)
    if not overlap[0]:
        return None
    intercept, slope = fit_curves(log_k, wins[overlap], trials[overlap])
    if not (slope[0] > 0 and log_k[0] < -intercept[0] / slope[0] < log_k[-1]):
        return None
    rising = slope > 0
    location = -intercept[rising] / slope[rising]
    kept = wins[overlap][rising], trials[overlap][rising]
    return _Curve(log_k, *kept, location, np.log(RISE / slope[rising]), table.seeds)


# --- all cells ----------------------------------------------------------------------------------


def _scaled(curves: list[_Curve], n: Floats) -> xr.Dataset:
    # The rows that all have: some resamples of a steep curve determine no slope.
    rows = min(len(curve.location) for curve in curves)
    locations = np.stack([curve.location[:rows] for curve in curves])
    log_w = np.stack([curve.log_w[:rows] for curve in curves])
    # The spread of resamples around the data is too small by this factor.
    widen = np.array([np.sqrt(curve.seeds / (curve.seeds - 1)) for curve in curves])
    error = log_w[:, 1:].std(axis=1, ddof=1) * widen
    fit = _power(n, log_w[:, 0], error)
    law = np.stack([_power_at(n, log_w[:, row], error, fit.tau) for row in range(rows)], axis=1)
    departures = {
        "own": np.stack([_departures(*of) for of in zip(curves, locations, log_w, strict=True)]),
        "law": np.stack([_departures(*of) for of in zip(curves, locations, law, strict=True)]),
    }
    tests = {name: _chi2(rows_of, widen) for name, rows_of in departures.items()}
    widest = max(len(curve.log_k) for curve in curves)
    x = _padded([(c.log_k - c.location[0]) / np.exp(c.log_w[0]) for c in curves], widest)
    x_law = _padded(
        [(c.log_k - c.location[0]) / np.exp(w) for c, w in zip(curves, law[:, 0], strict=True)], widest
    )
    low, high = fit.interval(1)
    numbers = {
        "exponent": -float(fit.theta[1]),
        "exponent_low": -high,
        "exponent_high": -low,
        "amplitude": float(np.exp(fit.theta[0])),
        "chi2": tests["own"][0],
        "p_value": tests["own"][1],
        "chi2_law": tests["law"][0],
        "p_value_law": tests["law"][1],
    }
    arrays = {
        "log_k50": ("cell", locations[:, 0]),
        "log_w": ("cell", log_w[:, 0]),
        "log_w_error": ("cell", error),
        "x": (("cell", "width"), x),
        "x_law": (("cell", "width"), x_law),
        "share": (
            ("cell", "width"),
            _padded([curve.wins[0] / curve.trials[0] for curve in curves], widest),
        ),
        "departure": (("cell", "bin"), departures["own"][:, 0]),
        "departure_error": (("cell", "bin"), _errors(departures["own"], widen)),
        "master": ("bin", tests["own"][2]),
    }
    middle = (BINS[1:] + BINS[:-1]) / 2
    return xr.Dataset({**arrays, **numbers}, {"bin": middle})


def _padded(rows: list[Floats], size: int) -> Floats:
    return np.stack([np.pad(row, (0, size - len(row)), constant_values=np.nan) for row in rows])


def _power(n: Floats, log_w: Floats, error: Floats) -> Fit:
    """Fit log w = log amplitude - b log n."""
    table = pd.DataFrame({"n": n, "y": log_w, "s": error})
    return fit_model(Model(("amplitude", "n"), _design), table)


def _design(table: pd.DataFrame) -> tuple[Floats, Floats]:
    log_n = np.log(table["n"].to_numpy(float))
    return np.zeros(len(table)), np.stack([np.ones(len(table)), log_n], axis=1)


def _power_at(n: Floats, log_w: Floats, error: Floats, tau: float) -> Floats:
    """Return the log widths of the fitted power of n, with the weights of the fit to the data."""
    root = 1 / np.sqrt(error**2 + tau**2)
    design = np.stack([np.ones(len(n)), np.log(n)], axis=1)
    theta = np.linalg.lstsq(design * root[:, None], log_w * root, rcond=None)[0]
    return np.asarray(design @ theta, dtype=np.float64)


def _departures(curve: _Curve, location: Floats, log_w: Floats) -> Floats:
    """Return the mean departure from the logistic curve over the trials of each bin, per resample.

    It is NaN in a bin without trials: in the data, or by chance in a resample of a ragged table.
    """
    x = (curve.log_k - location[:, None]) / np.exp(log_w)[:, None]
    wins, trials = curve.wins[: len(location)], curve.trials[: len(location)]
    excess = wins - trials * special.expit(RISE * x)
    # The bins have the same widths in all resamples, those of the data.
    in_bin = (np.digitize(x[0], BINS) - 1)[:, None] == np.arange(len(BINS) - 1)
    with np.errstate(invalid="ignore"):
        return np.asarray((excess @ in_bin) / (trials @ in_bin), dtype=np.float64)


def _errors(departures: Floats, widen: Floats) -> Floats:
    drawn = np.ma.masked_invalid(departures[:, 1:])
    return np.asarray(drawn.std(axis=1, ddof=1).filled(0) * widen[:, None], dtype=np.float64)


def _chi2(departures: Floats, widen: Floats) -> tuple[float, float, Floats]:
    """Return the mean square of (cell, bin) around the master curve, its p-value, and that curve."""
    error = _errors(departures, widen)
    with np.errstate(divide="ignore", invalid="ignore"):
        weight = np.where(error > 1e-9, 1 / error**2, 0.0)
    weight = np.where(np.isfinite(departures[:, 0]), weight, 0.0)
    bins = (weight > 0).sum(axis=0)
    freedom = int(np.sum(bins[bins > 0] - 1))
    if freedom < 1:
        return np.nan, np.nan, np.full(departures.shape[-1], np.nan)
    filled = np.nan_to_num(departures)
    total = np.where(bins > 0, weight.sum(axis=0), np.nan)
    # Moved to one curve, the resamples keep only the scatter of seeds.
    drawn = np.ma.masked_invalid(departures[:, 1:])
    null = (drawn - drawn.mean(axis=1, keepdims=True)).filled(0) * widen[:, None, None]
    every = np.concatenate([filled[:, :1], null], axis=1)
    master = (weight[:, None] * every).sum(axis=0) / total
    squares = np.nansum(weight[:, None] * (every - master) ** 2, axis=(0, 2)) / freedom
    p = float((1 + np.sum(squares[1:] >= squares[0])) / len(squares))
    return float(squares[0]), p, master[0]


# --- the prediction of the edge -----------------------------------------------------------------


def _predicted(ds: xr.Dataset, out: xr.Dataset, threshold: float) -> Floats:
    """Return log k at 90% minus log k at 10% by the kernel and Tracy-Widom, the median over seeds."""
    # Imported here: a store without kernel eigenvalues does not need it.
    from pipeline.theory.marchenko_pastur import critical_widths

    spectra = ds.kernel_eigenvalues.transpose(..., "seed", "index")
    dims = [dim for dim in spectra.dims if dim not in ("seed", "index")]
    widths = []
    for index in range(out.sizes["cell"]):
        at: dict[Any, Any] = {dim: out[dim].values[index] for dim in dims}
        known = spectra.sel(at).values[:, : int(out.n.values[index])]
        known = known[np.isfinite(known).all(axis=1)]
        low, high = (
            np.log(critical_widths(known, threshold**2, shift=-TRACY_WIDOM[p])) for p in (0.1, 0.9)
        )
        widths.append(float(np.median(high - low)))
    return np.array(widths)
