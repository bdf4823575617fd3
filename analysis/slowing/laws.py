"""The laws of the width at infinite budget: its exponents of n and d, from all cells together.

Cells of one activation and tolerance are fitted jointly (`joint`), with the widths tied by a power
law and free. The exponents are those of the tied fit. Their intervals come from its likelihood at its
worth, and where free widths fit better than chance allows, they grow by the square root of the excess,
as for measurements that disagree. `misfit` is the probability of that gain if the power law were true.

The free widths, less what all cells share, are ranked by the laws of `analysis.scaling`. A cell in
which half of the trials arrive at no width has no width to fit: it is left out and counted, never taken
at an end of its widths.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray
from scipy.special import chdtrc, chdtri, ndtri, stdtrit

from analysis.experiments.chaos import CHAOTIC
from analysis.scaling.fitting import Fit, fit_model
from analysis.scaling.laws import LAWS, group_columns, law_model
from analysis.scaling.ranking import fit_laws
from analysis.slowing.cells import near, restricted, trials_of
from analysis.slowing.joint import Joint, fit_jointly
from analysis.slowing.likelihood import Trials
from analysis.success.budgets import budget_of
from analysis.transitions import critical_widths

__all__ = ["RANKED", "exponents_at_budgets", "threshold_laws"]

Floats = NDArray[np.float64]

RANKED = ("n/d", "n log n/d", "n^2/d", "n^4/d^3")
"""The laws that are ranked: the count of weights, one with a logarithm, and the bounds of the paper."""

FEWEST_CELLS = 4
"""A power law of n and d has three parameters."""

FEWEST_WIDTHS = 2
"""A cell needs so many widths at which trials arrive: one for its level, one for its threshold."""

REACH = float(ndtri(0.975))


@dataclass(frozen=True)
class _Cell:
    """A cell that has run: its sizes, the trials to which it is fitted, and its share at the edge."""

    axes: dict[str, Any]
    trials: Trials | None
    at_edge: float


def threshold_laws(ds: xr.Dataset, *, budget: int | None = None) -> pd.DataFrame:
    """Return the law of the width at infinite budget for each activation and tolerance.

    Parameters
    ----------
    ds
        An opened store of a sweep that descends, over several d and n.
    budget
        Steps at which all trials are censored; all steps of the store by default.

    Returns
    -------
    pandas.DataFrame
        One row for each tolerance, and each value of further axes. All intervals are of 95%.

        `verdict`
            `threshold` if times in all cells together exclude laws that are finite at every width,
            `none seen` if not, `too few cells` if fewer than four can be fitted, or all have one n or
            one d.
        `exponent_n`, `exponent_d`
            Exponents of k_inf, or if none is seen of the width at which slowing sets in, with `_low`
            and `_high`.
        `constant`, `ratio`
            Of a threshold: c in k_inf = c n^a d^b, and the geometric mean of k_inf d/n over cells,
            with `_low` and `_high`.
        `evidence`, `gamma`, `beta`
            The gain in log-likelihood on a law that is finite at every width, at its worth; the
            exponent of slowing, and beta.
        `misfit`
            Probability of a gain by free widths as large as that found, if the power law were true.
        `best`, and `delta n/d` and so on
            The law of `RANKED` with the least AICc on the free widths, and by how much each exceeds it.
        `held_out`, `held_out_low`, `held_out_high`
            Largest n: geometric mean of the widths over those that the best law predicts from smaller
            n, and the interval of that prediction, in which it should lie.
        `cells`, `left_out`, `chaotic`, `n_max`
            Cells fitted; left out since half of the trials arrive at no width, or at one width alone;
            fitted, though at the edge of stability; and the largest n.

    Raises
    ------
    InputError
        The store has no times to a tolerance.
    ParameterError
        A budget out of range.
    """
    return pd.DataFrame([key | _row(cells) for key, cells in _groups(ds, budget)])


def _groups(ds: xr.Dataset, budget: int | None) -> list[tuple[dict[str, Any], list[_Cell]]]:
    groups: dict[tuple[Any, ...], list[_Cell]] = {}
    names: list[str] = []
    for axes, trials, _, edge in trials_of(ds, budget):
        names = [name for name in axes if name not in ("d", "n")]
        found = groups.setdefault(tuple(axes[name] for name in names), [])
        if trials.counted.any():
            found.append(_Cell(axes, _near(trials), edge))
    return [(dict(zip(names, key, strict=True)), cells) for key, cells in groups.items()]


def _near(trials: Trials) -> Trials | None:
    """Return the trials to which a cell is fitted; None if they cannot tell its width."""
    widths = near(trials)
    arrive = trials.arrived[:, widths].any(axis=0).sum()
    return restricted(trials, widths) if arrive >= FEWEST_WIDTHS else None


NUMBERS = (
    *(f"{name}{end}" for name in ("exponent_n", "exponent_d", "constant", "ratio", "held_out")
      for end in ("", "_low", "_high")),
    "evidence", "gamma", "beta", "misfit", *(f"delta {law}" for law in RANKED),
)  # fmt: skip


def _row(cells: Sequence[_Cell]) -> dict[str, Any]:
    fitted = [cell for cell in cells if cell.trials is not None]
    sizes = pd.DataFrame([{name: float(c.axes[name]) for name in ("n", "d")} for c in fitted])
    row: dict[str, Any] = {"verdict": "too few cells"} | dict.fromkeys(NUMBERS, np.nan) | {
        "best": "",
        "cells": len(fitted),
        "left_out": len(cells) - len(fitted),
        "chaotic": sum(cell.at_edge > CHAOTIC for cell in fitted),
        "n_max": sizes.n.max() if len(sizes) else np.nan,
    }  # fmt: skip
    if len(fitted) < FEWEST_CELLS or sizes.nunique().min() < 2:
        return row
    trials = [cell.trials for cell in fitted if cell.trials is not None]
    free = fit_jointly(trials, np.eye(len(trials)))
    return row | _exponents(free, sizes) | _threshold(free, sizes) | _ranked(free, sizes)


def _exponents(free: Joint, sizes: pd.DataFrame) -> dict[str, float]:
    logs = np.log(sizes[["n", "d"]].to_numpy())
    centred = logs - logs.mean(axis=0)
    law = fit_jointly(free.cells, np.column_stack([np.ones(len(logs)), centred]), near=free)
    share, covariance = law.worth
    spare = len(logs) - 3
    gain = max(0.0, 2 * share * (free.value - law.value))
    grown = max(1.0, gain / spare)
    row = {"misfit": float(chdtrc(spare, gain))}
    for name, place in (("exponent_n", -2), ("exponent_d", -1)):
        error = np.sqrt(grown * covariance[place, place])
        row |= _interval(name, float(law.vector[place]), float(error))
    if law.log_rise > -np.inf:
        start = len(law.vector) - 3
        slope = law.slope_of_rise()
        slope[start:] = 1, *-logs.mean(axis=0)
        value = float(law.vector[start] - law.vector[start + 1 :] @ logs.mean(axis=0)) + law.log_rise
        error = float(np.sqrt(grown * (slope @ covariance @ slope)))
        row |= {key: float(np.exp(end)) for key, end in _interval("constant", value, error).items()}
    return row


def _interval(name: str, value: float, error: float, reach: float = REACH) -> dict[str, float]:
    return {
        name: float(value),
        f"{name}_low": float(value - reach * error),
        f"{name}_high": float(value + reach * error),
    }


def _threshold(free: Joint, sizes: pd.DataFrame) -> dict[str, Any]:
    """Return whether times exclude that they are finite at every width, and the threshold over n/d."""
    finite = fit_jointly(free.cells, free.design, s=0.0, near=free)
    evidence = free.worth[0] * (free.value - finite.value)
    row: dict[str, Any] = {
        "evidence": max(0.0, evidence),
        "beta": float(np.exp(free.shape["log_beta"])),
        "verdict": "none seen",
    }
    if 2 * evidence < chdtri(1, 0.05):
        return row | dict.fromkeys(("constant", "constant_low", "constant_high"), np.nan)
    mean, error = free.mean_threshold(np.asarray(np.log(sizes.n / sizes.d)))
    ratio = {key: float(np.exp(end)) for key, end in _interval("ratio", mean, error).items()}
    return row | {"verdict": "threshold", "gamma": 1 / free.shape["s"]} | ratio


def _ranked(free: Joint, sizes: pd.DataFrame) -> dict[str, Any]:
    """Return the laws ranked on the free widths, and the largest n predicted from smaller ones."""
    table = sizes.assign(y=free.log_width, s=free.contrasts)
    fits = {name: fit_model(law_model(LAWS[name]), table) for name in RANKED}
    best = min(fits, key=lambda name: fits[name].aicc)
    least = fits[best].aicc
    row: dict[str, Any] = {f"delta {name}": fit.aicc - least for name, fit in fits.items()}
    return row | {"best": best} | _held_out(best, table)


def _held_out(best: str, table: pd.DataFrame) -> dict[str, float]:
    """Return the widths of the largest n over those that a law predicts from the smaller ones."""
    largest = table.n == table.n.max()
    held, rest = table[largest], table[~largest]
    if len(rest) < 3:
        return {}
    law: Fit = fit_model(law_model(LAWS[best]), rest)
    mean, error = law.prediction(held)
    off = float((held.y - mean).mean())
    own = float(np.sum(np.asarray(held["s"], dtype=float) ** 2 + law.tau**2)) / len(held) ** 2
    arm = float(stdtrit(law.freedom, 0.975)) * np.sqrt(float(error.mean()) ** 2 + own)
    ends = {"held_out": off, "held_out_low": -arm, "held_out_high": arm}
    return {key: float(np.exp(end)) for key, end in ends.items()}


def exponents_at_budgets(ds: xr.Dataset, budgets: Sequence[int] | None = None) -> pd.DataFrame:
    """Return the exponents of n and d in the critical width at some budgets, which needs no model.

    Parameters
    ----------
    ds
        An opened store of a sweep that descends, over several d and n.
    budgets
        Numbers of steps; a sixteenth, a quarter and all of the store's by default.

    Returns
    -------
    pandas.DataFrame
        One row for each tolerance, budget and value of further axes that has at least four critical
        widths: `exponent_n` and `exponent_d` with `_low` and `_high`, and `points`, the widths. Cells
        whose widths do not bracket the transition are no points.
    """
    whole = budget_of(ds)
    chosen = (whole // 16, whole // 4, whole) if budgets is None else tuple(budgets)
    widths = critical_widths(ds, budgets=[budget for budget in chosen if budget > 0])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # groups with too few widths
        try:
            laws = fit_laws(widths)
        except ValueError:  # too few widths in every group
            return pd.DataFrame()
    ends = [f"exponent_{name}{end}" for name in ("n", "d") for end in ("", "_low", "_high")]
    free = laws[laws.is_free & laws[ends].notna().all(axis=1) & (laws.points >= FEWEST_CELLS)]
    keys = [name for name in group_columns(laws) if name != "budget"]
    found = free.groupby([*keys, "budget"], sort=False).head(1)
    found = found.sort_values(
        [*keys, "budget"], key=lambda part: -part if part.name == "tolerance" else part
    )
    return found[[*keys, "budget", *ends, "points"]].reset_index(drop=True)
