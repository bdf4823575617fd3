"""Compare scaling laws for the critical width.

The laws of `laws` and the free power laws C n^a d^b alpha^c are fitted to log k50 by the model of
`fitting`, and ranked by AICc. What the ranking cannot settle is told beside it: how well a law
predicts the largest n, or a d, that it has not seen, and at which n it would part from the best.

Only cells whose outcome is `fitted` or `separated` enter. The cells of d, n and angle are one
sample, since a law ought to hold across them (angle moves alpha); every other dim, such as
activation, makes groups of its own.
"""

from __future__ import annotations

import warnings
from collections.abc import Hashable
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr
from scipy import stats

from analysis.scaling.fitting import Fit, Model, fit_model
from analysis.scaling.laws import LAWS, VARIABLES, determined, free_models, law_model

__all__ = ["fit_laws"]

Floats = npt.NDArray[np.float64]

_POOLED = ("d", "n", "angle")
_LEAST_POINTS = 3
_FARTHEST = 1e4  # times the largest n, to which two laws are followed


def fit_laws(widths: xr.Dataset) -> pd.DataFrame:
    """Fit every law and the free power laws to the critical widths.

    Parameters
    ----------
    widths
        From `critical_widths`: `k50`, `k50_low`, `k50_high`, `outcome`, the coordinates `n` and
        `d`, and `alpha` for the laws that hold it.

    Returns
    -------
    pandas.DataFrame
        One row for each law, best AICc first (within each group, whose dims are the first
        columns): `law`, `formula`, `constant` with `_low` and `_high`, `exponent_n`, `exponent_d`,
        `exponent_alpha` with `_low` and `_high` (95%; exponents of free laws only), `scatter` (tau),
        `rms_log_residual`, `aicc`, `delta_aicc`, `weight` (of AICc), `error_largest_n` and
        `error_left_out_d` (rms error in log k of points predicted without their n, or without their
        d; NaN where what is left does not determine the law), `prediction` (the first of them in
        words), `telling_n` (the least n, beyond those measured, at which the law and the best one
        differ by more than the interval of a width; inf for none within reach, NaN for the best and
        where the largest measured n would do), `telling_d` (the d that is meant), `points`, `note`
        (exponents that were dropped, and why; laws that are the same at these points). An infinite
        AICc means that the points are too few to judge so many parameters.

    Raises
    ------
    ValueError
        With fewer than three usable points, or without a variable that is needed.
    """
    table = _points(widths)
    groups = [name for name in widths.k50.dims if name not in _POOLED]
    parts = [(dict(zip(groups, key, strict=True)), t) for key, t in _split(table, groups)]
    enough = [(key, t) for key, t in parts if len(t) >= _LEAST_POINTS]
    if not enough:
        most = max((len(t) for _, t in parts), default=0)
        raise ValueError(
            f"got {most} critical width{'' if most == 1 else 's'} fitted or separated with a finite "
            f"interval; expected at least {_LEAST_POINTS} cells of d and n to compare laws"
            f"{_of_each(groups)}. Add values of n or d, more seeds, or widths that bracket the "
            "transition"
        )
    if len(enough) < _expected_groups(widths, groups):
        warnings.warn("groups with fewer than three critical widths are left out", stacklevel=2)
    return pd.concat([_fit_group(t, key) for key, t in enough], ignore_index=True)


# --- from widths to points ---------------------------------------------------------------------


def _points(widths: xr.Dataset) -> pd.DataFrame:
    """One row for each usable cell: n, d, alpha, the groups, y = log k50 and its error s."""
    needed = ["k50", "k50_low", "k50_high", "outcome", "n", "d"]
    missing = [name for name in needed if name not in widths]
    if missing:
        raise ValueError(
            f"the widths have no {', '.join(missing)}; expected the result of critical_widths "
            f"with {', '.join(needed)}"
        )
    has_alpha = ["alpha"] if "alpha" in widths else []
    table = widths[[*needed[:4], *has_alpha]].to_dataframe().reset_index()
    table = table.assign(alpha=table["alpha"] if has_alpha else np.nan)
    table = table[table["outcome"].isin(["fitted", "separated"])]
    table = table.assign(y=np.log(table["k50"]))
    table = table.assign(s=_errors(table, float(widths.attrs.get("confidence", 0.95))))
    return table[np.isfinite(table["s"])]


def _errors(table: pd.DataFrame, confidence: float) -> Floats:
    """Standard error of log k50: from the ends of its interval that are finite, the longer one."""
    with np.errstate(divide="ignore"):
        below = table["y"] - np.log(table["k50_low"])
        above = np.log(table["k50_high"]) - table["y"]
    arms = np.stack([below, above]).astype(float)
    arm = np.max(arms, axis=0, initial=-np.inf, where=np.isfinite(arms))
    arm = np.where(np.isneginf(arm), np.inf, arm)
    # A bracket is a uniform distribution, of standard deviation half its length over sqrt 3.
    reach = np.where(table["outcome"] == "separated", np.sqrt(3), _normal_reach(confidence))
    error: Floats = arm / reach
    return error


def _normal_reach(confidence: float) -> float:
    return float(stats.norm.ppf((1 + confidence) / 2))


def _split(table: pd.DataFrame, groups: list[Any]) -> list[tuple[tuple[Any, ...], pd.DataFrame]]:
    if not groups:
        return [((), table)]
    return [(key, part) for key, part in table.groupby(groups, sort=False)]


def _of_each(groups: list[Any]) -> str:
    """That groups are judged each by itself."""
    return f" (of each {' and '.join(groups)} by itself)" if groups else ""


def _expected_groups(widths: xr.Dataset, groups: list[Hashable]) -> int:
    return int(np.prod([widths.sizes[name] for name in groups], dtype=int))


# --- the table ----------------------------------------------------------------------------------


_EXPONENTS = [f"exponent_{v}{end}" for v in VARIABLES for end in ("", "_low", "_high")]
_COLUMNS = [
    "law",
    "formula",
    "constant",
    "constant_low",
    "constant_high",
    *_EXPONENTS,
    "scatter",
    "rms_log_residual",
    "aicc",
    "delta_aicc",
    "weight",
    "error_largest_n",
    "error_left_out_d",
    "prediction",
    "telling_n",
    "telling_d",
    "points",
    "note",
]


def _fit_group(table: pd.DataFrame, key: dict[Any, Any]) -> pd.DataFrame:
    """All laws of one group, ranked."""
    candidates = [
        (
            name,
            LAWS[name].formula,
            law_model(LAWS[name]),
            f"as {', '.join(twins)} here" if twins else "",
        )
        for name, twins in _distinct(table).items()
    ]
    candidates += free_models(table)
    fits = [fit_model(model, table) for _, _, model, _ in candidates]
    rows = [_row(*of, fit, table) for of, fit in zip(candidates, fits, strict=True)]
    best = fits[int(np.argmin([fit.aicc for fit in fits]))]
    ahead, d = _ahead(table)
    for row, fit in zip(rows, fits, strict=True):
        row |= {"telling_n": _telling_n(fit, best, ahead, table), "telling_d": d}
    ranked = pd.DataFrame(rows).sort_values("aicc", kind="stable", ignore_index=True)
    # With no finite AICc at all (three points and less to judge by) nothing is ranked.
    delta = ranked["aicc"] - ranked["aicc"].min() if np.isfinite(ranked["aicc"]).any() else np.nan
    ranked["delta_aicc"] = delta
    weight = np.exp(-0.5 * ranked["delta_aicc"])
    ranked["weight"] = weight / weight.sum()
    for position, (dim, value) in enumerate(key.items()):
        ranked.insert(position, dim, value)
    return ranked[[*key, *_COLUMNS]]


def _distinct(table: pd.DataFrame) -> dict[str, list[str]]:
    """The laws that can be told apart at all, each with those that differ from it by a constant here.

    Where d does not vary, n/d is the law n with another constant: it would only share its weight.
    """
    kept: dict[str, list[str]] = {}
    shapes = {name: law.log_shape(table) for name, law in LAWS.items()}
    for name, shape in shapes.items():
        if not np.isfinite(shape).all():
            continue
        twin = next((of for of in kept if _is_multiple(of, name, shapes)), None)
        kept.setdefault(twin or name, []).extend([name] if twin else [])
    return kept


def _is_multiple(of: str, name: str, shapes: dict[str, Floats]) -> bool:
    return LAWS[of].log_k == LAWS[name].log_k and bool(np.ptp(shapes[name] - shapes[of]) < 1e-9)


def _row(
    name: str, formula: str, model: Model, note: str, fit: Fit, table: pd.DataFrame
) -> dict[str, Any]:
    largest = table["n"].max()
    error = _left_out_error(model, table, "n", [largest])
    within = f"predicts n = {largest:,} to within {np.expm1(error):.1%}"
    return {
        "law": name,
        "formula": formula,
        **dict.fromkeys(_EXPONENTS, np.nan),
        **_parameters(fit),
        "scatter": fit.tau,
        "rms_log_residual": float(np.sqrt(np.mean(fit.residuals**2))),
        "aicc": fit.aicc,
        "error_largest_n": error,
        "error_left_out_d": _left_out_error(model, table, "d", list(table["d"].unique())),
        "prediction": within if np.isfinite(error) else "",
        "points": len(table),
        "note": note,
    }


def _parameters(fit: Fit) -> dict[str, float]:
    """The constant and the exponents, with their 95% intervals."""
    out: dict[str, float] = {}
    for place, name in enumerate(fit.model.names):
        low, high = fit.interval(place)
        found = {"": float(fit.theta[place]), "_low": low, "_high": high}
        with np.errstate(over="ignore"):  # an interval without an end
            out |= {
                (f"constant{end}" if place == 0 else f"exponent_{name}{end}"): (
                    float(np.exp(value)) if place == 0 else value
                )
                for end, value in found.items()
            }
    return out


def _left_out_error(model: Model, table: pd.DataFrame, by: str, values: list[Any]) -> float:
    """Rms error in log k of the points with each value, predicted by a fit to all the others."""
    misses = []
    for value in values:
        held, rest = table[table[by] == value], table[table[by] != value]
        # A free exponent that the rest does not determine predicts nothing.
        if len(rest) < len(model.names) or not _determined(model, rest):
            return np.nan
        theta = fit_model(model, rest).theta
        misses.append(held["y"].to_numpy(float) - model.predict(theta, held)[0])
    return float(np.sqrt(np.mean(np.concatenate(misses) ** 2)))


def _determined(model: Model, table: pd.DataFrame) -> bool:
    return len(model.names) == 1 or set(model.names[1:]) <= set(determined(table)[0])


# --- where two laws part ------------------------------------------------------------------------


def _ahead(table: pd.DataFrame) -> tuple[pd.DataFrame, float]:
    """Larger n at the middle d, with alpha carried on as a power of n; and that d."""
    d = float(table["d"].quantile(0.5, interpolation="nearest"))
    n = float(table["n"].max()) * np.geomspace(1, _FARTHEST, 400)
    here = table[table["d"] == d].groupby("n")["alpha"].median()
    alpha = np.full(n.size, np.nan)
    if len(here) > 1 and (here > 0).all():
        slope, level = np.polyfit(np.log(here.index.to_numpy(float)), np.log(here.to_numpy(float)), 1)
        alpha = np.exp(level + slope * np.log(n))
    return pd.DataFrame({"n": n, "d": d, "alpha": alpha}), d


def _telling_n(fit: Fit, best: Fit, ahead: pd.DataFrame, table: pd.DataFrame) -> float:
    """Least n from which the two differ by more than 95% of what fits and a new width may be off."""
    if fit is best or fit.freedom <= 0 or best.freedom <= 0:
        return np.nan
    (one, error), (other, also) = fit.prediction(ahead), best.prediction(ahead)
    if not (np.isfinite(one).all() and np.isfinite(other).all()):
        return np.nan
    width = float(table.loc[table["n"] == table["n"].max(), "s"].median())
    unsure = np.abs(one - other) <= _normal_reach(0.95) * np.sqrt(error**2 + also**2 + width**2)
    if unsure[-1]:
        return np.inf
    last = np.flatnonzero(unsure)
    # Beyond what is measured: where the largest n would do, its scatter is what keeps them together.
    return float(ahead["n"].iloc[last[-1] + 1]) if len(last) else np.nan
