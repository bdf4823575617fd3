"""From outcomes to critical widths.

A cell is all widths and seeds of one combination of the leading axes, here also of tolerance and budget
where success depends on them. It is a table of outcomes: did the trial of this width and this seed
succeed? The critical width `k50` is where success has probability 1/2 under a binomial curve in log k,
logistic or probit, or where the isotonic fit passes 1/2 if no curve fits (`crossings`). It never rises
with the budget or the tolerance (`order`). `success` defines success, and `estimates` one cell.

With nested widths the outcomes of one seed share a weight matrix, and in any case they share a data
set, so they are not independent: an interval from the binomial likelihood would be far too narrow.
Seeds are independent, so the intervals come from the differences between whole seeds: from the standard
error over seeds, and from resampling them. A profile of the likelihood is available if widths are drawn
independently. There too the trials of a seed share its data set. The profile takes them for
independent, so it is too narrow if data sets of one kind differ much in their critical width. The
interval over seeds is right in both cases.

A cell is fitted only if its data determine a curve; `outcome` names the case:

- `fitted`: the curve's maximum-likelihood estimate exists and crosses 1/2 inside the grid. If it
  crosses where the isotonic fit is below 1/4 or above 3/4, it contradicts the counts (success may fall
  again at the widest networks, for lack of steps): then `k50` and its interval are those of the
  isotonic fit.
- `separated`: failures end where successes begin, so any steep curve fits and the slope is unknown.
  `k50` is that of the isotonic fit, and its interval runs from the last width at which every trial
  failed to the first at which every trial succeeded; the slope stays NaN. If there are so few seeds
  that all could lie on one side of the median by chance (at 95%, five or fewer), there is none.
- `censored`: the grid does not reach the transition. Nothing is extrapolated: `k50` is NaN, and the
  bracket shows the side on which it lies (0 to the narrowest width, or the widest to infinity).
- `unordered`: success does not rise with width, so there is no transition to locate.
- `degenerate`: a seed's alpha is 0 or lost to rounding, and success measured against alpha is
  undefined; `analysis.degenerate` tells which, and why. The same with `ntk_population` of tangent.
- `empty`: no trial is done yet.

Trials are read by their status. A diverged trial is an outcome, a failure to train, even if it met a
tolerance before. Pending, failed, excluded and not requested trials have no outcome; the first two are
counted beside the estimate. Seeds may have been tried at different widths, as long as the choice of a
seed's widths did not depend on that seed's own outcomes.

The coverage of the intervals of nominal 95% was measured on simulated outcomes with known truth: 1,000
tables each of 24 widths, with 20 and 40 seeds, nested and independent, logistic and probit.

==================================================  =======================  ==================
Regime                                              Interval                 Coverage
==================================================  =======================  ==================
20 or 40 seeds                                      k50, k50_isotonic        94 to 97%
20 or 40 seeds, independent widths                  k50 by profile           94 to 96%
20 or 40 seeds                                      slope, transition_width  94 to 97%
6 seeds                                             k50                      93 to 96%
6 seeds                                             slope                    95 to 98%
transition within 2 or 3 widths of the grid         k50, slope               above 95% [1]_
transition ten times as wide as the grid            lower end of slope       84 to 93% [2]_
any                                                 k_crossing               95% or more [3]_
==================================================  =======================  ==================

.. [1] The slope in 97 to 99% of the cells that have one: cells whose slope would be far too steep are
   separated. The same holds if the transition is narrower than a step; few cells have a slope then,
   and these are the flattest.
.. [2] Of the cells that rise at all; such a transition is hardly distinguishable from none.
.. [3] Of the width of the grid at which the median seed crosses.

`fit_p` is at most 0.05 in 2 to 5% of tables that the curve itself generates.

`slope` is the maximum-likelihood one. It is too large for few seeds, in the geometric mean by 7% at 20
nested seeds and 4% at 40; the geometric middle of its interval is not.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import xarray as xr

from analysis.cells import OUTCOMES
from analysis.success.rules import Rule, Success, outcomes, rule_for, undefined
from analysis.transitions.curves import LINKS
from analysis.transitions.estimates import Estimate, Settings, estimate
from analysis.transitions.order import ordered_locations
from analysis.walking import MOST, places
from pipeline.errors import ParameterError
from pipeline.trial_status import Status, among

__all__ = ["critical_widths", "success_counts"]

Floats = npt.NDArray[np.float64]

SPECTRA = 2**15
"""The most eigenvalues of kernels that are read at a time, unless a single chunk has more."""

INTERVALS = {
    "seeds": "Student's t of log k50, robust to dependence within a seed",
    "profile": "profile likelihood of independent trials",
}

_VARIABLES = {
    "k50": ("critical width: success has probability 1/2", "hidden units"),
    "k50_low": ("lower end of the interval of k50; 0 if the data give none", "hidden units"),
    "k50_high": ("upper end of the interval of k50; inf if the data give none", "hidden units"),
    "slope": ("slope of the curve's linear predictor in log k", "1"),
    "slope_low": ("lower end of the interval of slope; 0 if the data give none", "1"),
    "slope_high": ("upper end of the interval of slope; inf if the data give none", "1"),
    "transition_width": ("ratio of the widths of 90% and 10% success", "1"),
    "transition_width_low": ("lower end of the interval of transition_width", "1"),
    "transition_width_high": (
        "upper end of the interval of transition_width; inf if the data give none",
        "1",
    ),
    "bracket_low": ("widest width up to which most trials fail; 0 for none", "hidden units"),
    "bracket_high": ("narrowest width from which most succeed; inf for none", "hidden units"),
    "outcome": ("outcome of the cell: " + ", ".join(OUTCOMES), "1"),
    "deviance": ("binomial deviance of the curve, from a free share at every width", "1"),
    "fit_p": ("share of tables simulated from the curve that deviate from it as much as the data", "1"),
    "k50_isotonic": ("width at which the isotonic fit passes 1/2, without a curve", "hidden units"),
    "k50_isotonic_low": ("lower end of the interval of k50_isotonic", "hidden units"),
    "k50_isotonic_high": ("upper end of the interval of k50_isotonic", "hidden units"),
    "k_crossing": ("median over seeds of one past the last failing width", "hidden units"),
    "k_crossing_low": ("lower end of the interval of k_crossing", "hidden units"),
    "k_crossing_high": ("upper end of the interval of k_crossing", "hidden units"),
    "seeds": ("seeds with a counted trial", "1"),
    "trials": ("counted trials: done or diverged", "1"),
    "pending": ("trials still to be run", "1"),
    "failed": ("trials that raised an error and are not counted", "1"),
    "alpha": ("median over seeds of the square root of the kernel's smallest eigenvalue", "1"),
    "alpha_error": ("largest error of alpha of a seed; 0: exactly known to be 0", "1"),
    "k_edge": ("median over seeds of the width predicted by the spectral edge", "hidden units"),
    "k_edge_finite": ("k_edge with the finite-size shift of the edge", "hidden units"),
    "successes": ("successful trials", "1"),
}


def critical_widths(
    ds: xr.Dataset,
    threshold: float | None = None,
    *,
    budgets: Sequence[int] | None = None,
    success: Success | xr.DataArray | str | None = None,
    link: str = "logistic",
    interval: str = "seeds",
    confidence: float = 0.95,
    resamples: int = 1000,
    tables: int = 199,
    entropy: int = 0,
) -> xr.Dataset:
    """Return the critical width of every cell, with intervals from the differences between seeds.

    Parameters
    ----------
    ds
        An opened store: `status` (..., d, n, width, seed), the coordinate `k`, and the variables of
        success: `steps_to_tolerance` (..., tolerance) of a sweep that descends, or else `sigma_min`
        and `alpha`.
    threshold
        For conditioning: a trial succeeds if sigma_min / sqrt(k) >= threshold * alpha; 1/2, as in
        Theorem 2, by default. Refused if success is measured otherwise.
    budgets
        For descent: a trial succeeds if its relative loss reaches the tolerance in so many steps.
        `tolerance` and `budget` become dims of the cells; by default the budget is that of the store
        and `budget` is an attribute.
    success
        A condition that replaces these rules, in the language of `analysis.expressions`, such as
        `"sigma_min / sqrt(k) >= 0.5 * alpha"`; or booleans; or an `analysis.success.Success`. Dims
        beyond those of `status` become cells.
    link
        The curve: "logistic" or "probit" in log k.
    interval
        Interval of k50. "seeds" assumes only that seeds are independent: Student's t with the standard
        error over seeds, open at an end of the grid that resampled seeds cross. "profile" is the
        profile likelihood of independently drawn widths, and refused for nested ones.
    confidence
        Level of all intervals. The interval of `slope` is Student's t of log slope, by a jackknife
        over seeds, and that of `transition_width` follows from it. The interval of `k50_isotonic`
        comes from percentiles over resampled seeds, widened for few seeds (exact for the mean of a
        normal sample), and that of `k_crossing` from order statistics.
    resamples, entropy
        Number of resamples and seed of their random stream. Every cell uses the same stream, so its
        interval does not depend on the other cells. Of a cell with more than a thousand seeds, those
        with equal outcomes are drawn together.
    tables
        Number of tables simulated for `fit_p`; 0 skips it and saves a third of the time.

    Returns
    -------
    xarray.Dataset
        Over the cells:

        - `k50`, and its interval `k50_low`, `k50_high`; `outcome`; `bracket_low`, `bracket_high`.
        - `slope` of the linear predictor and `transition_width` (k at 90% success over k at 10%), with
          `_low` and `_high`. The slope's interval reaches down to 0 if success may be equally likely at
          all widths, and has no ends for fewer than three seeds.
        - `deviance` of the curve, and `fit_p`, its p-value by simulation (`goodness`).
        - `k50_isotonic` with `_low` and `_high`: the same width without a curve, a check on its shape.
          `k50` equals it where no curve fits.
        - `k_crossing` with `_low` and `_high`, for nested sweeps: the median over seeds of the first
          width of the grid from which a seed always succeeds, so up to one step above the transition.
          It is NaN if untried widths leave it open; its interval is valid even then.
        - `seeds`, `trials`, `pending`, `failed`; `alpha` and `alpha_error` if the store has them;
          `k_edge` and `k_edge_finite` if it has kernel eigenvalues and the rule is Theorem 2's
          conditioning.

        The attribute `rule` is the rule of success as text. Select one tolerance with
        `.sel({"tolerance": 1e-2})`: in `.sel(tolerance=...)` xarray takes it for its own option.

    Raises
    ------
    InputError
        A variable is missing, a parameter is out of range (`ParameterError`), or a profile is
        requested for nested widths.
    TypeError
        `ds` is no Dataset, or `success` is not boolean.

    Examples
    --------
    >>> import tempfile
    >>> import pipeline
    >>> folder = tempfile.TemporaryDirectory()
    >>> store = f"{folder.name}/tiny.zarr"
    >>> outcome = pipeline.run(pipeline.load_sweep("tiny"), store)
    >>> from analysis import open_store
    >>> widths = critical_widths(open_store(store))
    >>> widths.outcome.values.tolist()
    [['fitted', 'fitted', 'separated']]
    >>> widths.k50.sel(d=10, n=20).round().item()
    37.0
    >>> critical_widths(open_store(store), success="sigma_min > 0.2").attrs["rule"]
    'sigma_min > 0.2'
    """
    _check_parameters(ds, link, interval, confidence, resamples, tables)
    rule = rule_for(ds, Success.of(threshold, budgets, success))
    # Read once, since a chunk is a file and several steps below use it.
    ds = _loaded(ds, rule)
    succeeded, counted = outcomes(ds, rule)
    cells = succeeded.dims[:-2]
    k = ds.k.broadcast_like(succeeded.isel(seed=0, drop=True)).transpose(*cells, "width")
    nested = bool(ds.attrs.get("nested", 0))
    settings = Settings(nested, link, interval, confidence, resamples, tables, entropy)
    ordered = ordered_locations(ds, rule, succeeded, counted, link).ravel()
    each = zip(_rows(succeeded), _rows(counted), _rows(k), ordered, strict=True)
    found = [estimate(won, counts, widths, settings, at) for won, counts, widths, at in each]
    out = _assemble(found, succeeded, settings, rule)
    if rule.against_alpha or rule.against_population:
        out = _blank_degenerate(out, undefined(ds, rule, succeeded))
    return _with_summaries(out, ds, counted, rule.threshold)


def success_counts(
    ds: xr.Dataset,
    threshold: float | None = None,
    *,
    budgets: Sequence[int] | None = None,
    success: Success | xr.DataArray | str | None = None,
) -> xr.Dataset:
    """Return the successes and counted trials of every width, for heat maps.

    Parameters
    ----------
    ds, threshold, budgets, success
        As for `critical_widths`.

    Returns
    -------
    xarray.Dataset
        `successes` and `trials`, integers over (cells, width). If success is measured against alpha,
        neither counts trials whose alpha is 0.

    Examples
    --------
    >>> import tempfile
    >>> import pipeline
    >>> folder = tempfile.TemporaryDirectory()
    >>> store = f"{folder.name}/tiny.zarr"
    >>> outcome = pipeline.run(pipeline.load_sweep("tiny"), store)
    >>> from analysis import open_store
    >>> counts = success_counts(open_store(store), threshold=0.5)
    >>> counts.successes.sel(d=10, n=20).values.tolist()
    [0, 0, 3, 13, 17, 20, 20, 20, 20, 20, 20, 20]
    """
    rule = rule_for(ds, Success.of(threshold, budgets, success))
    succeeded, counted = outcomes(_loaded(ds, rule), rule)
    counts = {"successes": succeeded.sum("seed"), "trials": counted.sum("seed")}
    return _described(xr.Dataset(counts, attrs=rule.attrs))


def _loaded(ds: xr.Dataset, rule: Rule) -> xr.Dataset:
    """Load what a fit reads: of a large store only the statuses and what has one value for each seed.

    Its outcomes, of which only successes are kept, are read piece by piece. The steps of descents are
    all read, since their order needs the budgets at which counts change.
    """
    whole = ds.status.size <= MOST or rule.within_budget
    names = dict.fromkeys(["status", "k", "alpha", "alpha_error", *(rule.reads if whole else ())])
    part = ds[[name for name in names if name in ds]].compute()
    return ds.assign(part.data_vars).assign_coords(part.coords)


# --- reading the store -------------------------------------------------------------------------


def _check_parameters(
    ds: xr.Dataset, link: str, interval: str, confidence: float, resamples: int, tables: int
) -> None:
    if not 0 < confidence < 1:
        raise ParameterError("confidence", f"got {confidence}; expected between 0 and 1, such as 0.95")
    if resamples < 1:
        raise ParameterError("resamples", f"got {resamples}; expected at least 1, better 1000")
    if tables < 0:
        raise ParameterError("tables", f"got {tables}; expected 0 (no `fit_p`) or more, such as 199")
    if link not in LINKS:
        raise ParameterError("link", f"got {link!r}; expected one of {', '.join(LINKS)}")
    if interval not in INTERVALS:
        raise ParameterError("interval", f"got {interval!r}; expected one of {', '.join(INTERVALS)}")
    if interval == "profile" and getattr(ds, "attrs", {}).get("nested", 1):
        raise ParameterError(
            "interval",
            "a profile assumes that the trials of a seed are independent, but here widths nest "
            "(attrs['nested']), so it would be far too narrow; use 'seeds', or run a sweep with "
            "nested = false",
        )


def _rows(array: xr.DataArray) -> npt.NDArray[np.generic]:
    """Join the cell dims into one: (cells, width[, seed])."""
    kept = 2 if "seed" in array.dims else 1
    values: npt.NDArray[np.generic] = array.values.reshape(-1, *array.shape[-kept:])
    return values


# --- building the answer -----------------------------------------------------------------------


def _assemble(
    estimates: list[Estimate], succeeded: xr.DataArray, settings: Settings, rule: Rule
) -> xr.Dataset:
    cells, shape = succeeded.dims[:-2], succeeded.shape[:-2]
    columns = zip(Estimate._fields, zip(*estimates, strict=True), strict=True)
    variables = {name: (cells, np.array(values).reshape(shape)) for name, values in columns}
    coords = {name: c for name, c in succeeded.coords.items() if set(c.dims) <= set(cells)}
    attrs = {
        "confidence": settings.confidence,
        "resamples": settings.resamples,
        "nested": int(settings.nested),
        "link": settings.link,
        "interval_method": INTERVALS[settings.interval],
    }
    return xr.Dataset(variables, coords, attrs | rule.attrs)


def _blank_degenerate(out: xr.Dataset, degenerate: xr.DataArray) -> xr.Dataset:
    """Blank the numbers of cells in which success is undefined."""
    numbers = out.drop_vars("outcome").where(~degenerate)
    words = xr.where(degenerate, "degenerate", out.outcome)
    return numbers.assign(outcome=words)[list(out.data_vars)].assign_attrs(out.attrs)


def _with_summaries(
    out: xr.Dataset, ds: xr.Dataset, counted: xr.DataArray, threshold: float | None
) -> xr.Dataset:
    """Add the counts, the median alpha and the predicted widths."""
    over = ["width", "seed"]
    ran = among(ds.status, [Status.DONE, Status.DIVERGED]).any("width").compute()
    out["seeds"] = counted.any("width").sum("seed")
    out["trials"] = counted.sum(over)
    status = ds.status.reset_coords(drop=True)
    out["pending"] = (status == Status.PENDING).sum(over).compute()
    out["failed"] = (status == Status.FAILED).sum(over).compute()
    if "alpha" in ds:
        alpha = ds.alpha.compute().where(ran).median("seed")
        out["alpha"] = alpha.transpose(*ran.dims[:-1]).reset_coords(drop=True)
    if "alpha_error" in ds:
        error = ds.alpha_error.compute().where(ran).max("seed")
        out["alpha_error"] = error.transpose(*ran.dims[:-1]).reset_coords(drop=True)
    if threshold is not None and "kernel_eigenvalues" in ds:
        edges = _edge_widths(ds, ran, threshold)
        out = out.assign({name: edge.transpose(*out.k50.dims) for name, edge in edges.items()})
    if threshold is not None and "ntk_edge" in ds:
        out["k_edge"] = _tangent_edge_widths(ds, ran, threshold).transpose(*out.k50.dims)
    return _described(out)


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


def _described(out: xr.Dataset) -> xr.Dataset:
    for name in out.data_vars:
        long_name, units = _VARIABLES[str(name)]
        out[name].attrs = {"long_name": long_name, "units": units}
    return out
