"""From outcomes to critical widths.

Every cell (a combination of everything but `width` and `seed`) holds a table of outcomes: did the
trial of this width and this seed succeed? The critical width `k50` is where success has
probability 1/2 under a binomial curve in log k, logistic or probit. What success means is said in
`success`, how one cell is estimated in `cells`.

With nested widths one seed's outcomes share one weight matrix, and in any case one data set, so
they are not independent: an interval from the binomial likelihood covers far too little. Seeds
are independent, so the intervals come from how whole seeds differ: by the standard error over them,
and by resampling them. A profile of the likelihood is on offer where widths are redrawn independently.
There too one seed's trials share its data set: the profile takes them for independent, so it is too
short where data sets of one kind differ much in their critical width. The interval over seeds is right
in both cases.

A cell is fitted only where its data determine a curve; `outcome` says what it was met with:

- `fitted`: the curve's maximum-likelihood estimate exists and crosses 1/2 inside the grid.
- `separated`: failures end where successes begin, so that any steep curve fits and no slope does.
  `k50` is the middle (in log k) of the bracketing widths and its interval runs from the last width
  at which every trial failed to the first at which every trial succeeded; the slope stays NaN. So
  few seeds that all could lie on one side of the median by chance (at 95%, five) give no interval.
- `censored`: the grid does not reach the transition. Nothing is extrapolated: `k50` is NaN, and
  the bracket says on which side it lies (0 to the narrowest width, or the widest to infinity).
- `unordered`: success does not rise with width, so there is no transition to locate.
- `degenerate`: a seed's alpha is 0, and success measured against alpha has no meaning.
- `empty`: no trial is done yet.

Trials are read by their status. A diverged trial is an outcome, a failure to train, whatever
tolerance it met before; pending, failed and excluded trials are none, and the first two are counted
beside the estimate. Seeds may have been tried at different widths, as long as the choice of a seed's
widths did not look at that seed's own outcomes.

What the intervals of nominal 95% cover was measured on simulated outcomes of known truth, 1,000 tables
each of 24 widths, by 20 and by 40 seeds, nested and independent, logistic and probit: k50 94 to 97%,
the profile (independent only) 94 to 96%, k50_isotonic 94 to 96%, slope and transition_width 94 to 97%.
Six seeds still have 93 to 96% of k50, and 95 to 98% of the slope. Where the whole transition fits
between two or three widths of the grid, both are covered more often: the slope in 97 to 99% of the
cells that have one, since those whose slope would be far too steep are separated. So it is where the
transition is narrower than a step; but there few cells have a slope, and those the flattest. Where it
is ten times as wide as the grid and hardly told from none, the slope's lower end lies too high in 7 to
16% of the cells that rise at all. `fit_p` is at most 0.05 in 2 to 5% of tables made by the very curve.
`k_crossing` covers the median's width of the grid in 95% or more.

`slope` itself is the maximum-likelihood one, that of the curve. It is too large where seeds are few, in
the geometric mean by 7% at 20 nested seeds and 4% at 40; the geometric middle of its interval is not.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import xarray as xr

from analysis.success.rules import Rule, Success, outcomes, rule_for, zero_alpha
from analysis.transitions.cells import Estimate, How, estimate
from analysis.transitions.curves import LINKS
from pipeline.errors import InputError
from pipeline.trial_status import Status

__all__ = ["INTERVALS", "OUTCOMES", "critical_widths", "success_counts"]

Floats = npt.NDArray[np.float64]

INTERVALS = {
    "seeds": "Student's t of log k50, robust to dependence within a seed",
    "profile": "profile likelihood of independent trials",
}

OUTCOMES = ("fitted", "separated", "censored", "unordered", "degenerate", "empty")

_VARIABLES = {
    "k50": ("critical width: success has probability 1/2", "hidden units"),
    "k50_low": ("lower end of the interval of k50; 0 where the data give none", "hidden units"),
    "k50_high": ("upper end of the interval of k50; inf where the data give none", "hidden units"),
    "slope": ("slope of the curve's linear predictor in log k", "1"),
    "slope_low": ("lower end of the interval of slope; 0 where the data give none", "1"),
    "slope_high": ("upper end of the interval of slope; inf where the data give none", "1"),
    "transition_width": ("ratio of the widths of 90% and 10% success", "1"),
    "transition_width_low": ("lower end of the interval of transition_width", "1"),
    "transition_width_high": (
        "upper end of the interval of transition_width; inf where the data give none",
        "1",
    ),
    "bracket_low": ("widest width up to which most trials fail; 0 for none", "hidden units"),
    "bracket_high": ("narrowest width from which most succeed; inf for none", "hidden units"),
    "outcome": ("how the transition was found: " + ", ".join(OUTCOMES), "1"),
    "deviance": ("binomial deviance of the curve, from a free share at every width", "1"),
    "fit_p": ("share of tables simulated from the curve that deviate as much as the data", "1"),
    "k50_isotonic": ("where the isotonic fit passes 1/2: no curve assumed", "hidden units"),
    "k50_isotonic_low": ("lower end of the interval of k50_isotonic", "hidden units"),
    "k50_isotonic_high": ("upper end of the interval of k50_isotonic", "hidden units"),
    "k_crossing": ("median over seeds of one past the last failing width", "hidden units"),
    "k_crossing_low": ("lower end of the interval of k_crossing", "hidden units"),
    "k_crossing_high": ("upper end of the interval of k_crossing", "hidden units"),
    "seeds": ("seeds with a counted trial", "1"),
    "trials": ("counted trials: done or diverged", "1"),
    "pending": ("trials still to be run", "1"),
    "failed": ("trials that raised an error and count as nothing", "1"),
    "alpha": ("median over seeds of the square root of the kernel's smallest eigenvalue", "1"),
    "k_edge": ("median over seeds of the width predicted by the spectral edge", "hidden units"),
    "k_edge_finite": ("the same with the finite-size shift of the edge", "hidden units"),
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
    """Critical width of every cell, with intervals from how its seeds differ.

    Parameters
    ----------
    ds
        An opened store: `status` (..., d, n, width, seed), the coordinate `k`, and what success is
        read from: `steps_to_tolerance` (..., tolerance) of a sweep that descends, or else
        `sigma_min` and `alpha`.
    threshold
        Of conditioning: a trial succeeds where sigma_min / sqrt(k) >= threshold * alpha; 1/2, as
        in Theorem 2, if None. Refused where success is something else.
    budgets
        Of descent: a trial succeeds where its relative loss came to the tolerance in so many steps.
        `tolerance` and `budget` become dims of the cells; without budgets the whole budget of the
        store is meant, and `budget` is an attribute.
    success
        A condition to use in place of these rules, in the language of `analysis.expressions`, such
        as `"sigma_min / sqrt(k) >= 0.5 * alpha"`; or booleans. Dims beyond those of `status` become
        cells.
    link
        The curve: "logistic" or "probit" in log k.
    interval
        Of k50. "seeds" takes seeds for independent, and nothing else: Student's t with the standard
        error over seeds, open towards an end of the grid that resampled seeds run over. "profile" is
        the likelihood's, of widths that were redrawn independently, and refused where they nest.
    confidence
        Level of all intervals. That of `slope` is Student's of log slope, by a jackknife over seeds,
        and that of `transition_width` the same in other terms; that of `k50_isotonic` comes from
        resampled seeds, in percentiles that are set wider for few seeds (exact for the mean of a
        normal sample); that of `k_crossing` from order statistics.
    resamples, entropy
        Number of resamples and seed of their random stream. Every cell uses the same stream, so
        that its interval does not depend on the cells beside it.
    tables
        Tables simulated for `fit_p`; 0 leaves it out, for a third less time.

    Returns
    -------
    xarray.Dataset
        Over the cells:

        - `k50`, and its interval `k50_low`, `k50_high`; `outcome`; `bracket_low`, `bracket_high`.
        - `slope` of the linear predictor and `transition_width` (k at 90% success over k at 10%), with
          `_low` and `_high`. The slope's interval reaches down to 0 where success may be as likely at
          all widths, and has no ends for fewer than three seeds.
        - `deviance` of the curve, and `fit_p`, its p-value by simulation (`goodness`).
        - `k50_isotonic` with `_low` and `_high`: the same width without a curve, a check on its shape.
        - `k_crossing` with `_low` and `_high`, of nested sweeps: the median over seeds of the first
          width of the grid from which a seed always succeeds, so up to one step above the transition.
          It is NaN where untried widths leave it open; its interval holds all the same.
        - `seeds`, `trials`, `pending`, `failed`; `alpha` where the store has it; `k_edge` and
          `k_edge_finite` where it has kernel eigenvalues and Theorem 2's conditioning is the rule.

        The attribute `rule` says in words what success was. One tolerance is picked with
        `.sel({"tolerance": 1e-2})`: `.sel(tolerance=...)` is a setting of xarray's own.

    Raises
    ------
    InputError
        For a variable that is missing, a parameter out of range, or a profile of nested widths.
    TypeError
        For a `ds` that is no Dataset, or a `success` that is not boolean.
    """
    _check_parameters(ds, link, interval, confidence, resamples, tables)
    rule = rule_for(ds, Success.of(threshold, budgets, success))
    # Read once what is used several times below: a chunk is a file.
    predicted = ["kernel_eigenvalues"] if rule.threshold is not None else []
    ds = _loaded(ds, rule, "alpha", *predicted)
    succeeded, counted = outcomes(ds, rule)
    cells = succeeded.dims[:-2]
    k = ds.k.broadcast_like(succeeded.isel(seed=0, drop=True)).transpose(*cells, "width")
    nested = bool(ds.attrs.get("nested", 0))
    how = How(nested, link, interval, confidence, resamples, tables, entropy)
    each = zip(_rows(succeeded), _rows(counted), _rows(k), strict=True)
    out = _assemble([estimate(*table, how) for table in each], succeeded, how, rule)
    if rule.against_alpha:
        out = _blank_degenerate(out, zero_alpha(ds, succeeded))
    return _with_summaries(out, ds, counted, rule.threshold)


def success_counts(
    ds: xr.Dataset,
    threshold: float | None = None,
    *,
    budgets: Sequence[int] | None = None,
    success: Success | xr.DataArray | str | None = None,
) -> xr.Dataset:
    """Successes and counted trials of every width, for heat maps.

    Parameters
    ----------
    ds, threshold, budgets, success
        As for `critical_widths`.

    Returns
    -------
    xarray.Dataset
        `successes` and `trials`, integers over (cells, width). Trials whose alpha is 0 count in
        neither where success is measured against alpha: it is undefined.
    """
    rule = rule_for(ds, Success.of(threshold, budgets, success))
    succeeded, counted = outcomes(_loaded(ds, rule), rule)
    counts = {"successes": succeeded.sum("seed"), "trials": counted.sum("seed")}
    return _described(xr.Dataset(counts, attrs=rule.attrs))


def _loaded(ds: xr.Dataset, rule: Rule, *more: str) -> xr.Dataset:
    """What a rule is read from, in memory, with what else of `more` there is."""
    names = dict.fromkeys(["status", "k", *rule.reads, *more])
    return ds[[name for name in names if name in ds]].compute()


# --- reading the store -------------------------------------------------------------------------


def _check_parameters(
    ds: xr.Dataset, link: str, interval: str, confidence: float, resamples: int, tables: int
) -> None:
    if not 0 < confidence < 1:
        raise InputError(f"confidence: got {confidence}; expected between 0 and 1, such as 0.95")
    if resamples < 1:
        raise InputError(f"resamples: got {resamples}; expected at least 1, better 1000")
    if tables < 0:
        raise InputError(f"tables: got {tables}; expected 0 for no `fit_p`, or some, such as 199")
    if link not in LINKS:
        raise InputError(f"link: got {link!r}; expected one of {', '.join(LINKS)}")
    if interval not in INTERVALS:
        raise InputError(f"interval: got {interval!r}; expected one of {', '.join(INTERVALS)}")
    if interval == "profile" and getattr(ds, "attrs", {}).get("nested", 1):
        raise InputError(
            "interval: a profile takes the trials of one seed for independent, and here its widths "
            "nest (attrs['nested']), so that it would cover far too little; leave 'seeds', or run a "
            "sweep with nested = false"
        )


def _rows(array: xr.DataArray) -> npt.NDArray[np.generic]:
    """Join the cell dims into one: (cells, width[, seed])."""
    kept = 2 if "seed" in array.dims else 1
    values: npt.NDArray[np.generic] = array.values.reshape(-1, *array.shape[-kept:])
    return values


# --- building the answer -----------------------------------------------------------------------


def _assemble(estimates: list[Estimate], succeeded: xr.DataArray, how: How, rule: Rule) -> xr.Dataset:
    cells, shape = succeeded.dims[:-2], succeeded.shape[:-2]
    columns = zip(Estimate._fields, zip(*estimates, strict=True), strict=True)
    variables = {name: (cells, np.array(values).reshape(shape)) for name, values in columns}
    coords = {name: c for name, c in succeeded.coords.items() if set(c.dims) <= set(cells)}
    attrs = {
        "confidence": how.confidence,
        "resamples": how.resamples,
        "nested": int(how.nested),
        "link": how.link,
        "interval_method": INTERVALS[how.interval],
    }
    return xr.Dataset(variables, coords, attrs | rule.attrs)


def _blank_degenerate(out: xr.Dataset, degenerate: xr.DataArray) -> xr.Dataset:
    """A cell with an alpha of 0 keeps nothing but that word."""
    numbers = out.drop_vars("outcome").where(~degenerate)
    words = xr.where(degenerate, "degenerate", out.outcome)
    return numbers.assign(outcome=words)[list(out.data_vars)].assign_attrs(out.attrs)


def _with_summaries(
    out: xr.Dataset, ds: xr.Dataset, counted: xr.DataArray, threshold: float | None
) -> xr.Dataset:
    """Add the counts, the median alpha and the predicted widths."""
    over = ["width", "seed"]
    ran = ds.status.isin([Status.DONE, Status.DIVERGED]).any("width").compute()
    out["seeds"] = counted.any("width").sum("seed")
    out["trials"] = counted.sum(over)
    status = ds.status.reset_coords(drop=True)
    out["pending"] = (status == Status.PENDING).sum(over).compute()
    out["failed"] = (status == Status.FAILED).sum(over).compute()
    if "alpha" in ds:
        alpha = ds.alpha.compute().where(ran).median("seed")
        out["alpha"] = alpha.transpose(*ran.dims[:-1]).reset_coords(drop=True)
    if threshold is not None and "kernel_eigenvalues" in ds:
        edges = _edge_widths(ds, ran, threshold)
        out = out.assign({name: edge.transpose(*out.k50.dims) for name, edge in edges.items()})
    return _described(out)


def _edge_widths(ds: xr.Dataset, ran: xr.DataArray, threshold: float) -> dict[str, xr.DataArray]:
    """Median over the seeds that ran of the width that the limiting spectrum predicts."""
    # Imported here: a store without kernel eigenvalues needs none of it.
    from pipeline.theory.marchenko_pastur import critical_width

    dims = ran.dims
    spectra = ds.kernel_eigenvalues.transpose(*dims, "index").values
    n = ds.n.broadcast_like(ran).transpose(*dims).values
    median: dict[bool, Floats] = {f: np.full(ran.shape[:-1], np.nan) for f in (False, True)}
    for cell in np.ndindex(*ran.shape[:-1]):
        seeds = [(*cell, int(s)) for s in np.flatnonzero(ran.values[cell])]
        own = [spectra[at][: n[at]] for at in seeds]
        for finite, into in median.items():
            widths = [critical_width(e, level=threshold**2, finite_size=finite) for e in own]
            into[cell] = np.median(widths) if widths else np.nan
    names = {"k_edge": False, "k_edge_finite": True}
    return {name: xr.DataArray(median[f], dims=dims[:-1]) for name, f in names.items()}


def _described(out: xr.Dataset) -> xr.Dataset:
    for name in out.data_vars:
        long_name, units = _VARIABLES[str(name)]
        out[name].attrs = {"long_name": long_name, "units": units}
    return out
