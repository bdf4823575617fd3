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
  crosses where the isotonic fit is below 1/4 or above 3/4, or outside the bracket, and `fit_p` is at
  most 0.01, it contradicts the counts: then `k50` and its interval are those of the isotonic fit.
- `separated`: failures end where successes begin, so any steep curve fits and the slope is unknown.
  `k50` is that of the isotonic fit, and its interval runs from the last width at which every trial
  failed to the first at which every trial succeeded; the slope stays NaN. If there are so few seeds
  that all could lie on one side of the median by chance (at 95%, five or fewer), there is none.
- `censored`: the grid does not reach the transition. Nothing is extrapolated: `k50` is NaN, and the
  bracket shows the side on which it lies (0 to the narrowest width, or the widest to infinity).
- `unordered`: success does not rise with width, or is surely above 1/2 at one width and surely below it
  at a later one (`disorder`; the widest networks may lack steps, say). So there is no transition to
  locate. `falls_from` and `rises_from` tell the place.
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

Along another axis than the width (`along`) a cell is a combination of all others, the width too: the
critical n at a fixed k, the critical noise, the critical angle. Success may fall there; everything
above then holds with the axis read backwards. Values that are not all positive have a linear covariate.
Trials of one seed share their draws at all angles, depths and parameters, as they do at nested widths,
and not at different n or d.

With `lapse` success has the probability (1 - r) F: `lapses` has the rate r, and `k50` is where F, the
curve of the trials that do not lapse, is 1/2; success has then the probability (1 - r) / 2.

`fit_p` is at most 0.05 in 2 to 5% of tables that the curve itself generates.

`slope` is the maximum-likelihood one. It is too large for few seeds, in the geometric mean by 7% at 20
nested seeds and 4% at 40; the geometric middle of its interval is not.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import xarray as xr

from analysis.axes import SIZES
from analysis.success.rules import Rule, Success, outcomes, rule_for
from analysis.transitions.assembly import INTERVALS, answer_from
from analysis.transitions.curves import LINKS
from analysis.transitions.descriptions import described
from analysis.transitions.estimates import Settings
from analysis.transitions.every_cell import estimates_of
from analysis.transitions.scales import Along, axis_values, checked, scale_of
from analysis.walking import MOST
from pipeline.errors import ParameterError

__all__ = ["critical_widths", "success_counts"]

Floats = npt.NDArray[np.float64]


def critical_widths(
    ds: xr.Dataset,
    threshold: float | None = None,
    *,
    budgets: Sequence[int] | None = None,
    success: Success | xr.DataArray | str | None = None,
    along: str | Along = "width",
    direction: str | None = None,
    scale: str | None = None,
    lapse: bool | str = False,
    link: str = "logistic",
    interval: str = "seeds",
    confidence: float = 0.95,
    resamples: int = 1000,
    tables: int = 199,
    entropy: int = 0,
) -> xr.Dataset:
    """Return the critical width of every cell, with intervals from the differences between seeds.

    With `along` it is the critical value of another axis: the n, the noise, the angle, ... at which
    success passes 1/2.

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
    along
        The axis of the transition: "width", or any other dim of `status` with numbers, such as "n",
        "angle" or a parameter. The others make cells, so each needs one k along the axis. Or an
        `Along`, which holds the next two as well.
    direction
        "rising" or "falling" success along the axis. By default rising along the width, and elsewhere
        as all cells together have it.
    scale
        The covariate of the curve: "log" or "linear" in the values; by default log if all are positive.
    lapse
        True for curves whose upper end is 1 minus a lapse rate, one for all n and d (`lapses`); "cell"
        for a rate of each cell.
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
        - `falls_from` and `rises_from` of an unordered cell, where success falls below 1/2 again.
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

        With `lapse`: `lapse`, `lapse_low`, `lapse_high`, and `lapse_delta_aicc`, AICc without lapses
        minus that with them. `k50` is then where the curve without lapses passes 1/2, and the interval
        of `k50_isotonic`, where the isotonic fit passes half of the upper end, takes the rate as known.
        No order of budgets is imposed.

        Along another axis the names follow it: `n50`, `n50_low`, `n_crossing`, ... (`n_crossing` only
        where the trials of a seed share their draws). Falling success has a negative `slope`, and most
        succeed up to `bracket_low`.

        The attribute `rule` is the rule of success as text, and `along`, `direction` and `scale` tell
        the axis. Select one tolerance with `.sel({"tolerance": 1e-2})`: in `.sel(tolerance=...)` xarray
        takes it for its own option.

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
    rule = rule_for(ds, Success.of(threshold, budgets, success), _axis_of(along))
    along = checked(ds, along, direction, scale)
    nested = _together(ds, along)
    if lapse not in (False, True, "cell"):
        raise ParameterError("lapse", f"got {lapse!r}; expected True, False or 'cell'")
    _check_parameters(nested, link, interval, confidence, resamples, tables)
    # Read once, since a chunk is a file and several steps below use it.
    ds = _loaded(ds, rule)
    succeeded, counted = _ordered_dims(*outcomes(ds, rule), along)
    places = axis_values(ds, along.axis)
    own = scale_of(along, places, succeeded, counted)
    settings = Settings(nested, link, interval, confidence, resamples, tables, entropy, own)
    found, rates = estimates_of(ds, rule, succeeded, counted, places, settings, lapse)
    return answer_from(found, rates, ds, rule, (succeeded, counted), along, settings, lapse)


def success_counts(
    ds: xr.Dataset,
    threshold: float | None = None,
    *,
    budgets: Sequence[int] | None = None,
    success: Success | xr.DataArray | str | None = None,
    along: str | Along = "width",
) -> xr.Dataset:
    """Return the successes and counted trials of every width, for heat maps.

    Parameters
    ----------
    ds, threshold, budgets, success, along
        As for `critical_widths`.

    Returns
    -------
    xarray.Dataset
        `successes` and `trials`, integers over (cells, width), or with another axis in the place of the
        width, which then belongs to the cells. If success is measured against alpha,
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
    rule = rule_for(ds, Success.of(threshold, budgets, success), _axis_of(along))
    along = checked(ds, along, None, None)
    succeeded, counted = _ordered_dims(*outcomes(_loaded(ds, rule), rule), along)
    counts = {"successes": succeeded.sum("seed"), "trials": counted.sum("seed")}
    return described(xr.Dataset(counts, attrs=rule.attrs))


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
    nested: bool, link: str, interval: str, confidence: float, resamples: int, tables: int
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
    if interval == "profile" and nested:
        raise ParameterError(
            "interval",
            "a profile assumes that the trials of a seed are independent, but here they share their "
            "draws (widths nest by attrs['nested'], and parameters and angles always do), so it would "
            "be far too narrow; use 'seeds', or along the width run a sweep with nested = false",
        )


def _axis_of(along: str | Along) -> str:
    return along.axis if isinstance(along, Along) else along


def _together(ds: xr.Dataset, along: Along) -> bool:
    """Return True if the trials of a seed share their draws along an axis."""
    return bool(ds.attrs.get("nested", 0)) if along.is_width else along.axis not in SIZES


def _ordered_dims(
    succeeded: xr.DataArray, counted: xr.DataArray, along: Along
) -> tuple[xr.DataArray, xr.DataArray]:
    """Bring the axis of the transition next to the seeds; the other axes are those of cells."""
    cells = [dim for dim in succeeded.dims if dim not in (along.axis, "seed")]
    dims = (*cells, along.axis, "seed")
    return succeeded.transpose(*dims), counted.transpose(*dims)
