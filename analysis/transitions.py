"""From outcomes to critical widths.

Every cell (a combination of everything but `width` and `seed`) holds a table of outcomes: did the
trial of this width and this seed succeed? The critical width `k50` is where success has
probability 1/2 under a binomial logistic curve in log k. What success means is said in `success`.

With nested widths one seed's outcomes share one weight matrix, and in any case one data set, so
they are not independent: an interval from the binomial likelihood covers far too little. Seeds
are independent, so the intervals come from resampling whole seeds. All resamples of a cell are
one matrix product (how often each seed was drawn, times its outcomes) and one Newton iteration
over all their curves at once.

A cell is fitted only where its data determine a curve; `outcome` says what it was met with:

- `fitted`: the curve's maximum-likelihood estimate exists and crosses 1/2 inside the grid.
- `separated`: failures end where successes begin, so that any steep curve fits and no slope does.
  `k50` is the middle (in log k) of the bracketing widths and its interval runs from the last width
  at which every trial failed to the first at which every trial succeeded; the slope stays NaN.
- `censored`: the grid does not reach the transition. Nothing is extrapolated: `k50` is NaN, and
  the bracket says on which side it lies (0 to the narrowest width, or the widest to infinity).
- `unordered`: success does not rise with width, so there is no transition to locate.
- `degenerate`: a seed's alpha is 0, and success measured against alpha has no meaning.
- `empty`: no trial is done yet.

Trials are read by their status. A diverged trial is an outcome, a failure to train, whatever
tolerance it met before; pending, failed and excluded trials are none, and the first two are counted
beside the estimate.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import xarray as xr
from scipy import stats

from analysis.logistic import logistic_fit
from analysis.success import Rule, outcomes, rule_for, zero_alpha
from pipeline.status import Status

__all__ = ["OUTCOMES", "critical_widths", "success_counts"]

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

OUTCOMES = ("fitted", "separated", "censored", "unordered", "degenerate", "empty")

_VARIABLES = {
    "k50": ("critical width: success has probability 1/2", "hidden units"),
    "k50_low": ("lower end of the interval of k50; 0 where the data give none", "hidden units"),
    "k50_high": ("upper end of the interval of k50; inf where the data give none", "hidden units"),
    "transition_width": ("ratio of the widths of 90% and 10% success", "1"),
    "bracket_low": ("widest width up to which most trials fail; 0 for none", "hidden units"),
    "bracket_high": ("narrowest width from which most succeed; inf for none", "hidden units"),
    "outcome": ("how the transition was found: " + ", ".join(OUTCOMES), "1"),
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
    success: xr.DataArray | str | None = None,
    confidence: float = 0.95,
    resamples: int = 1000,
    entropy: int = 0,
) -> xr.Dataset:
    """Critical width of every cell, with an interval from resampling seeds.

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
    confidence
        Level of the intervals: of k50 by the expanded percentile bootstrap over seeds (exact for
        the mean of a normal sample), of `k_crossing` by order statistics.
    resamples, entropy
        Number of resamples and seed of their random stream. Every cell uses the same stream, so
        that its interval does not depend on the cells beside it.

    Returns
    -------
    xarray.Dataset
        Over the cells: `k50`, `k50_low`, `k50_high`, `transition_width` (k at 90% success over k
        at 10%), `bracket_low`, `bracket_high`, `outcome`, `k_crossing` with its interval (nested
        sweeps only, from seeds whose widths are all counted; it sits up to one grid step above
        the crossing), `seeds`, `trials`, `pending`, `failed`; `alpha` where the store has it;
        `k_edge` and `k_edge_finite` where it has kernel eigenvalues and conditioning is the rule.
        The attribute `rule` says in words what success was. One tolerance is picked with
        `.sel({"tolerance": 1e-2})`: `.sel(tolerance=...)` is a setting of xarray's own.

    Raises
    ------
    ValueError
        For a variable that is missing or a parameter out of range.
    TypeError
        For a `ds` that is no Dataset, or a `success` that is not boolean.
    """
    _check_parameters(confidence, resamples)
    rule = rule_for(ds, threshold, budgets, success)
    # Read once what is used several times below: a chunk is a file.
    predicted = ["kernel_eigenvalues"] if rule.threshold is not None else []
    ds = _loaded(ds, rule, "alpha", *predicted)
    succeeded, counted = outcomes(ds, rule)
    cells = succeeded.dims[:-2]
    k = ds.k.broadcast_like(succeeded.isel(seed=0, drop=True)).transpose(*cells, "width")
    nested = bool(ds.attrs.get("nested", 0))
    estimates = [
        _cell(s, c, row, nested, confidence, resamples, entropy)
        for s, c, row in zip(_rows(succeeded), _rows(counted), _rows(k), strict=True)
    ]
    out = _assemble(estimates, succeeded, confidence, resamples, nested, rule)
    if rule.against_alpha:
        out = _blank_degenerate(out, zero_alpha(ds, succeeded))
    return _with_summaries(out, ds, counted, rule.threshold)


def success_counts(
    ds: xr.Dataset,
    threshold: float | None = None,
    *,
    budgets: Sequence[int] | None = None,
    success: xr.DataArray | str | None = None,
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
    rule = rule_for(ds, threshold, budgets, success)
    succeeded, counted = outcomes(_loaded(ds, rule), rule)
    counts = {"successes": succeeded.sum("seed"), "trials": counted.sum("seed")}
    return _described(xr.Dataset(counts, attrs=rule.attrs))


def _loaded(ds: xr.Dataset, rule: Rule, *more: str) -> xr.Dataset:
    """What a rule is read from, in memory, with what else of `more` there is."""
    names = dict.fromkeys(["status", "k", *rule.reads, *more])
    return ds[[name for name in names if name in ds]].compute()


# --- curves: rows of counts over one set of widths ------------------------------------------


class _Curves(NamedTuple):
    """What each row of counts says of the transition; all (rows,)."""

    location: Floats  # log k50; -inf or inf beyond the grid, NaN where success does not rise
    slope: Floats  # NaN where none is determined
    separated: Bools
    low: Floats  # log of the bracket
    high: Floats


def _curves(log_k: Floats, successes: Floats, trials: Floats) -> _Curves:
    """Locate the transition in every row; log_k (widths,) ascends, counts are (rows, widths)."""
    failures = trials - successes
    separated = _last(failures > 0) <= _first(successes > 0)
    falling = ~separated & (_last(successes > 0) <= _first(failures > 0))
    low, high = _brackets(log_k, successes, failures)
    location, slope = np.full(len(trials), np.nan), np.full(len(trials), np.nan)
    with np.errstate(invalid="ignore"):  # -inf + inf: one width alone, half of it successful
        location[separated] = ((low + high) / 2)[separated]
    regular = ~separated & ~falling
    if regular.any():
        intercept, slope[regular] = logistic_fit(log_k, successes[regular], trials[regular])
        location[regular] = _crossings(intercept, slope[regular], log_k)
    return _Curves(location, slope, separated, low, high)


def _first(flags: Bools) -> npt.NDArray[np.intp]:
    """Index of the first true entry of each row; the row's length where there is none."""
    return np.where(flags.any(axis=1), flags.argmax(axis=1), flags.shape[1])


def _last(flags: Bools) -> npt.NDArray[np.intp]:
    """Index of the last true entry of each row; -1 where there is none."""
    return flags.shape[1] - 1 - _first(flags[:, ::-1])


def _brackets(log_k: Floats, successes: Floats, failures: Floats) -> tuple[Floats, Floats]:
    """The last width of the failing majority and the first of the succeeding one."""
    padded = np.concatenate([[-np.inf], log_k, [np.inf]])
    low = padded[_first(successes >= failures)]
    high = padded[_last(failures >= successes) + 2]
    return low, high


def _crossings(intercept: Floats, slope: Floats, log_k: Floats) -> Floats:
    """Where rising curves pass 1/2; beyond the grid only the side is kept."""
    with np.errstate(divide="ignore", invalid="ignore"):
        x = -intercept / slope
    x = np.where(x < log_k[0], -np.inf, np.where(x > log_k[-1], np.inf, x))
    return np.where(slope > 0, x, np.nan)


# --- one cell ----------------------------------------------------------------------------------


class _Estimate(NamedTuple):
    """A cell's answer; the fields are the names of the variables."""

    k50: float = np.nan
    k50_low: float = np.nan
    k50_high: float = np.nan
    transition_width: float = np.nan
    bracket_low: float = np.nan
    bracket_high: float = np.nan
    outcome: str = "empty"
    k_crossing: float = np.nan
    k_crossing_low: float = np.nan
    k_crossing_high: float = np.nan


def _cell(
    succeeded: Bools,
    counted: Bools,
    k: npt.NDArray[np.int64],
    nested: bool,
    confidence: float,
    resamples: int,
    entropy: int,
) -> _Estimate:
    """Estimate one cell from its outcomes (width, seed) and widths (width,)."""
    order = np.flatnonzero(counted.any(axis=1))
    order = order[np.argsort(k[order], kind="stable")]
    seeds = np.flatnonzero(counted.any(axis=0))
    if not len(order):
        return _Estimate()
    # (seed, width), the shape that resampling seeds wants
    won = succeeded[np.ix_(order, seeds)].T.astype(float)
    tried = counted[np.ix_(order, seeds)].T.astype(float)
    log_k = np.log(k[order].astype(float))
    draws = _draws(len(seeds), resamples, entropy)
    curves = _curves(log_k, draws @ won, draws @ tried)
    estimate = _read(curves, log_k, won.sum(axis=0), tried.sum(axis=0), confidence, len(seeds))
    if not nested:
        return estimate
    whole = tried.all(axis=1)
    return estimate._replace(**_crossing(won[whole] > 0, k[order], confidence))


def _draws(seeds: int, resamples: int, entropy: int) -> Floats:
    """How often each seed is drawn: (1 + resamples, seeds); the first row is the data itself."""
    rng = np.random.default_rng(entropy)
    drawn = rng.multinomial(seeds, np.full(seeds, 1 / seeds), size=resamples)
    return np.concatenate([np.ones((1, seeds)), drawn])


def _read(
    curves: _Curves,
    log_k: Floats,
    successes: Floats,
    trials: Floats,
    confidence: float,
    seeds: int,
) -> _Estimate:
    """The first row is the estimate, the others are its resamples."""
    location, bracket = curves.location[0], (curves.low[0], curves.high[0])
    if np.isnan(location):
        return _estimate("unordered", bracket)
    if np.isinf(location):
        below = (-np.inf, log_k[0])
        return _estimate("censored", below if location < 0 else (log_k[-1], np.inf))
    if curves.separated[0]:
        interval = _separated_interval(log_k, successes, trials)
        return _estimate("separated", bracket, location, interval)
    interval = _percentiles(curves.location[1:], confidence, seeds)
    # From 10% to 90% the linear predictor rises by 2 log 9.
    ratio = float(np.exp(min(2 * np.log(9) / curves.slope[0], 700.0)))
    return _estimate("fitted", bracket, location, interval)._replace(transition_width=ratio)


def _estimate(
    outcome: str,
    bracket: tuple[float, float],
    location: float = np.nan,
    interval: tuple[float, float] = (np.nan, np.nan),
) -> _Estimate:
    """From log widths to widths."""
    k50, k50_low, k50_high = (float(np.exp(place)) for place in (location, *interval))
    low, high = (float(np.exp(end)) for end in bracket)
    return _Estimate(k50, k50_low, k50_high, bracket_low=low, bracket_high=high, outcome=outcome)


def _separated_interval(log_k: Floats, successes: Floats, trials: Floats) -> tuple[float, float]:
    """From the last width at which all failed to the first at which all succeeded."""
    before = _first(successes[None] > 0)[0] - 1
    after = _last(successes[None] < trials[None])[0] + 1
    return log_k[max(before, 0)], log_k[min(after, len(log_k) - 1)]


def _percentiles(locations: Floats, confidence: float, seeds: int) -> tuple[float, float]:
    """Expanded percentile interval: percentiles set wider to make up for few seeds."""
    if seeds < 2:
        return -np.inf, np.inf
    reach = stats.t.ppf((1 + confidence) / 2, seeds - 1) * np.sqrt(seeds / (seeds - 1))
    tail = float(stats.norm.sf(reach))
    # A resample in which success does not rise could lie anywhere: it widens both ends.
    known = ~np.isnan(locations)
    low = np.quantile(np.where(known, locations, -np.inf), tail, method="lower")
    high = np.quantile(np.where(known, locations, np.inf), 1 - tail, method="higher")
    return float(low), float(high)


def _crossing(won: Bools, k: npt.NDArray[np.int64], confidence: float) -> dict[str, Any]:
    """Median over seeds of the first width from which a seed always succeeds; won (seed, width)."""
    names = ("k_crossing", "k_crossing_low", "k_crossing_high")
    if not len(won):
        return dict.fromkeys(names, np.nan)
    # A seed that never fails crosses below the grid, one that ends failing above it.
    padded = np.concatenate([[0.0], k[1:], [np.inf]])
    crossings = np.sort(padded[_last(~won) + 1])
    below, above = crossings[(len(won) - 1) // 2], crossings[len(won) // 2]
    median = np.nan
    if below > 0 and np.isfinite(above):
        median = below if below == above else np.sqrt(below * above)
    rank = int(stats.binom.ppf((1 - confidence) / 2, len(won), 0.5))
    ends = np.concatenate([[0.0], crossings, [np.inf]])[[rank, len(won) + 1 - rank]]
    return dict(zip(names, map(float, [median, *ends]), strict=True))


# --- reading the store -------------------------------------------------------------------------


def _check_parameters(confidence: float, resamples: int) -> None:
    if not 0 < confidence < 1:
        raise ValueError(f"confidence: got {confidence}; expected between 0 and 1, such as 0.95")
    if resamples < 1:
        raise ValueError(f"resamples: got {resamples}; expected at least 1, better 1000")


def _rows(array: xr.DataArray) -> npt.NDArray[np.generic]:
    """Join the cell dims into one: (cells, width[, seed])."""
    kept = 2 if "seed" in array.dims else 1
    values: npt.NDArray[np.generic] = array.values.reshape(-1, *array.shape[-kept:])
    return values


# --- building the answer -----------------------------------------------------------------------


def _assemble(
    estimates: list[_Estimate],
    succeeded: xr.DataArray,
    confidence: float,
    resamples: int,
    nested: bool,
    rule: Rule,
) -> xr.Dataset:
    cells, shape = succeeded.dims[:-2], succeeded.shape[:-2]
    columns = zip(_Estimate._fields, zip(*estimates, strict=True), strict=True)
    variables = {name: (cells, np.array(values).reshape(shape)) for name, values in columns}
    coords = {name: c for name, c in succeeded.coords.items() if set(c.dims) <= set(cells)}
    attrs = {
        "confidence": confidence,
        "resamples": resamples,
        "nested": int(nested),
        "interval_method": "expanded percentile bootstrap over seeds",
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
    from pipeline.marchenko_pastur import critical_width

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
