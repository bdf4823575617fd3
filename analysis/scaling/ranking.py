"""Compare scaling laws for the critical width.

The laws of `laws` and the free power laws C n^a d^b alpha^c are fitted to log k50 by the model of
`fitting`, and ranked by AICc. Two more columns help where the ranking is close: how well a law
predicts the largest n, or a d, when it is fitted without it, and the n from which it would differ
measurably from the best law.

The critical values of another axis than the width have laws of their own (`laws.Family`), which are
fitted and compared alike; the names of the columns follow its variables.

Only cells whose outcome is `fitted` or `separated` are used. The cells of all d, n and angles are one
sample, since a law should hold across them (angle changes alpha); every other dim, such as
activation, splits the cells into groups.
"""

from __future__ import annotations

import warnings
from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr
from scipy import special

from analysis.axes import SIZES
from analysis.cells import LOCATED
from analysis.scaling.fitting import Fit, Model, fit_model, parameters_of
from analysis.scaling.laws import (
    Candidate,
    Family,
    Law,
    collinear,
    determined,
    family_of,
    free_models,
    law_model,
)

__all__ = ["fit_laws"]

Floats = npt.NDArray[np.float64]

_LEAST_POINTS = 3
_FARTHEST = 1e4  # times the largest n, to which two laws are followed


def fit_laws(widths: xr.Dataset) -> pd.DataFrame:
    """Fit every law and the free power laws to the critical widths.

    Parameters
    ----------
    widths
        From `critical_widths`: `k50`, `k50_low`, `k50_high`, `outcome`, the coordinates `n` and
        `d`, and `alpha` for the laws that contain it. Along another axis its critical value takes the
        place of `k50`; of a critical n the variables are k and d, in the place of n and d below.

    Returns
    -------
    pandas.DataFrame
        One row per law, best AICc first. Where the widths have groups (several activations, ...),
        their dims are the first columns and each group is ranked separately.

        `law`, `formula`
            Name, and the law with its constant.
        `constant`, `exponent_n`, `exponent_d`, `exponent_alpha`
            Estimates, each with `_low` and `_high` (95%); exponents of free laws only.
        `scatter`, `rms_log_residual`
            tau of the model, and the rms residual of log k.
        `rms_error`, `excess_scatter`
            The rms error of log k by the intervals, and the scatter beyond it: the square root of what
            the mean square of the residuals has more than that of the errors, or 0.
        `aicc`, `delta_aicc`, `weight`
            An infinite AICc means that there are too few points for so many parameters.
        `error_largest_n`, `error_left_out_d`
            Rms error in log k of points predicted without their n, or without their d; NaN where
            the remaining points do not determine the law. `prediction` is the first as text.
        `telling_n`, `telling_d`
            The smallest n, beyond those measured, at which the law and the best one differ by more
            than the interval of a width, and the d at which that holds. inf if there is none within
            reach; NaN for the best law, and where the largest measured n would do.
        `points`, `points_n`, `points_d`, `points_at`
            Number of critical widths, the numbers of their n and d, and the values as text.
        `collinear`, `inflation`
            The variables of the points whose exponents cannot be told apart, as text, and the greatest
            variance inflation (`analysis.scaling.laws.collinear`).
        `is_free`
            True for power laws with free exponents.
        `same_as`
            Names of the laws that differ from it by a constant at these points; "" for none.
        `note`
            `same_as` as text, or the exponents that were dropped and why.

    Raises
    ------
    ValueError
        There are fewer than three usable points, or a variable is missing.

    Examples
    --------
    >>> import tempfile
    >>> import pipeline
    >>> folder = tempfile.TemporaryDirectory()
    >>> store = f"{folder.name}/tiny.zarr"
    >>> outcome = pipeline.run(pipeline.load_sweep("tiny"), store)
    >>> from analysis import critical_widths, open_store
    >>> laws = fit_laws(critical_widths(open_store(store)))
    >>> sorted(laws.loc[~laws.is_free, "law"])[:2]
    ['n', 'n log n']
    >>> round(float(laws.set_index("law").constant["n"]), 1)
    1.9
    """
    family = family_of(str(widths.attrs.get("along", "width")))
    table = _points(widths, family)
    pooled = _pooled(family)
    groups = [name for name in widths.outcome.dims if name not in pooled]
    each = ((dict(zip(groups, key, strict=True)), t) for key, t in _split(table, groups))
    parts = [(key, _with_alpha(t) if "alpha" in family.variables else t) for key, t in each]
    enough = [(key, t) for key, t in parts if len(t) >= _LEAST_POINTS]
    if not enough:
        most = max((len(t) for _, t in parts), default=0)
        raise ValueError(
            f"got {most} critical {_noun(family)}{'' if most == 1 else 's'} fitted or separated with a "
            f"finite interval; expected at least {_LEAST_POINTS} cells of {family.other} and "
            f"{family.lead} to compare laws{_per_group(groups)}. Add values of {family.lead} or "
            f"{family.other}, more seeds, or {_noun(family)}s that bracket the transition"
        )
    if len(enough) < _expected_groups(widths, groups):
        warnings.warn(
            f"groups with fewer than three critical {_noun(family)}s are skipped", stacklevel=2
        )
    return pd.concat([_fit_group(t, key, family) for key, t in enough], ignore_index=True)


def _noun(family: Family) -> str:
    return "width" if family.target == "k" else "value"


def _pooled(family: Family) -> tuple[str, ...]:
    """Return the axes across which a law should hold. An angle acts by alpha alone."""
    return (*SIZES, *(["angle"] if "alpha" in family.variables else []), "width")


# --- from widths to points ---------------------------------------------------------------------


def _points(widths: xr.Dataset, family: Family) -> pd.DataFrame:
    """Return one row per usable cell: its variables, the groups, y = log k50 and its error s."""
    located = [f"{family.target}50{end}" for end in ("", "_low", "_high")]
    needed = [*located, "outcome", family.lead, family.other]
    missing = [name for name in needed if name not in widths]
    if missing:
        raise ValueError(
            f"the widths have no {', '.join(missing)}; expected the result of critical_widths "
            f"with {', '.join(needed)}"
        )
    of_alpha = ("alpha", "alpha_error") if "alpha" in family.variables else ()
    more = [name for name in of_alpha if name in widths]
    table = widths[[*needed[:4], *more]].to_dataframe().reset_index()
    table = table.rename(columns=dict(zip(located, ("k50", "k50_low", "k50_high"), strict=True)))
    alpha = table["alpha"] if "alpha" in more else np.nan
    if "alpha_error" in more:
        alpha = table["alpha"].where(table["alpha"] > table["alpha_error"], 0.0)
    table = table.assign(alpha=alpha)
    table = table[table["outcome"].isin(LOCATED) & (table["k50"] > 0)]
    table = table.assign(y=np.log(table["k50"]))
    table = table.assign(bracket=table["outcome"] == "separated")
    table = table.assign(s=_errors(table, float(widths.attrs.get("confidence", 0.95))))
    return table[np.isfinite(table["s"])]


def _with_alpha(table: pd.DataFrame) -> pd.DataFrame:
    """Leave out the cells whose alpha is 0 or lost, so that all laws are compared on the same cells.

    Where it is so in all cells, they stay, and the laws that contain alpha are left out.
    """
    without = table["alpha"] == 0
    if not without.any():
        return table
    if without.all():
        told = f"the laws with alpha are left out: alpha is 0 or lost to rounding at all {len(table)}"
        warnings.warn(f"{told} critical widths", stacklevel=3)
        return table.assign(alpha=np.nan)
    told = f"{without.sum()} of {len(table)} critical widths are left out of the laws"
    warnings.warn(f"{told}: their alpha is 0 or lost to rounding", stacklevel=3)
    return table[~without]


def _errors(table: pd.DataFrame, confidence: float) -> Floats:
    """Return the standard error of log k50, from the longer finite arm of its interval."""
    with np.errstate(divide="ignore"):
        below = table["y"] - np.log(table["k50_low"].clip(lower=0))  # on a linear axis it may be below
        above = np.log(table["k50_high"]) - table["y"]
    arms = np.stack([below, above]).astype(float)
    arm = np.max(arms, axis=0, initial=-np.inf, where=np.isfinite(arms))
    arm = np.where(np.isneginf(arm), np.inf, arm)
    # A bracket is a uniform distribution; its standard deviation is half its length over sqrt 3.
    reach = np.where(table["bracket"], np.sqrt(3), _normal_reach(confidence))
    error: Floats = arm / reach
    return error


def _normal_reach(confidence: float) -> float:
    return float(special.ndtri((1 + confidence) / 2))


def _split(table: pd.DataFrame, groups: list[Any]) -> list[tuple[tuple[Any, ...], pd.DataFrame]]:
    if not groups:
        return [((), table)]
    return [(key, part) for key, part in table.groupby(groups, sort=False)]


def _per_group(groups: list[Any]) -> str:
    return f" (for each {' and '.join(groups)})" if groups else ""


def _expected_groups(widths: xr.Dataset, groups: list[Hashable]) -> int:
    return int(np.prod([widths.sizes[name] for name in groups], dtype=int))


# --- the table ----------------------------------------------------------------------------------


def _exponents(family: Family) -> list[str]:
    return [f"exponent_{v}{end}" for v in family.variables for end in ("", "_low", "_high")]


def _columns(family: Family) -> list[str]:
    lead, other = family.lead, family.other
    return [
        "law",
        "formula",
        "constant",
        "constant_low",
        "constant_high",
        *_exponents(family),
        "scatter",
        "rms_log_residual",
        "rms_error",
        "excess_scatter",
        "aicc",
        "delta_aicc",
        "weight",
        f"error_largest_{lead}",
        f"error_left_out_{other}",
        "prediction",
        f"telling_{lead}",
        f"telling_{other}",
        "points",
        f"points_{lead}",
        f"points_{other}",
        "points_at",
        "collinear",
        "inflation",
        "is_free",
        "same_as",
        "note",
    ]


def _fit_group(table: pd.DataFrame, key: dict[Any, Any], family: Family) -> pd.DataFrame:
    """Fit and rank all laws of one group."""
    candidates = [*_distinct(table, family), *free_models(table, family.variables)]
    fits = [fit_model(candidate.model, table) for candidate in candidates]
    pairs = zip(candidates, fits, strict=True)
    rows = [_row(candidate, fit, table, family) for candidate, fit in pairs]
    best = fits[int(np.argmin([fit.aicc for fit in fits]))]
    ahead, at = _ahead(table, family)
    telling = (f"telling_{family.lead}", f"telling_{family.other}")
    of_all = _described(table, family)
    for row, fit in zip(rows, fits, strict=True):
        found = _telling(fit, best, ahead, table, family.lead), at
        row |= dict(zip(telling, found, strict=True)) | of_all
    # Too few points have no AICc: then laws come before free exponents, and closer ones first.
    by = ["aicc", "is_free", "rms_log_residual"]
    ranked = pd.DataFrame(rows).sort_values(by, kind="stable", ignore_index=True)
    # Without any finite AICc (three points or fewer) there is no ranking.
    delta = ranked["aicc"] - ranked["aicc"].min() if np.isfinite(ranked["aicc"]).any() else np.nan
    ranked["delta_aicc"] = delta
    weight = np.exp(-0.5 * ranked["delta_aicc"])
    ranked["weight"] = weight / weight.sum()
    for position, (dim, value) in enumerate(key.items()):
        ranked.insert(position, dim, value)
    return ranked[[*key, *_columns(family)]]


def _described(table: pd.DataFrame, family: Family) -> dict[str, Any]:
    """Return what the points are: how many, what was varied, and which variables are collinear."""
    varied = dict.fromkeys([*(name for name in family.variables if name != "alpha"), "angle"])
    pooled = (*_pooled(family), "k")
    parts = {name: sorted(table[name].unique()) for name in varied if name in table and name in pooled}
    names, inflation = collinear(table, family.variables)
    return {
        "points": len(table),
        f"points_{family.lead}": table[family.lead].nunique(),
        f"points_{family.other}": table[family.other].nunique(),
        "points_at": "; ".join(
            f"{name} = {', '.join(f'{value:,g}' for value in values)}" for name, values in parts.items()
        ),
        "collinear": ", ".join(names),
        "inflation": inflation,
    }


def _distinct(table: pd.DataFrame, family: Family) -> list[Candidate]:
    """Return the laws that differ at these points, each with those that equal it up to a constant.

    Where d does not vary, n/d is the law n with another constant: it would only share its weight.
    """
    same: dict[str, list[str]] = {}
    known = family.laws
    shapes = {name: law.log_shape(table) for name, law in known.items()}
    for name, shape in shapes.items():
        if not np.isfinite(shape).all():
            continue
        twin = next((of for of in same if _is_multiple(known, of, name, shapes)), None)
        same.setdefault(twin or name, []).extend([name] if twin else [])
    return [
        Candidate(name, known[name].formula, law_model(known[name]), same_as=tuple(others))
        for name, others in same.items()
    ]


def _is_multiple(laws: Mapping[str, Law], of: str, name: str, shapes: dict[str, Floats]) -> bool:
    return laws[of].log_k == laws[name].log_k and bool(np.ptp(shapes[name] - shapes[of]) < 1e-9)


def _row(candidate: Candidate, fit: Fit, table: pd.DataFrame, family: Family) -> dict[str, Any]:
    lead, other = family.lead, family.other
    largest = table[lead].max()
    error = _left_out_error(candidate.model, table, lead, [largest], family.variables)
    within = f"predicts {lead} = {largest:,} to within {np.expm1(error):.1%}"
    same_as = ", ".join(candidate.same_as)
    errors = table["s"].to_numpy(float) ** 2
    return {
        "law": candidate.name,
        "formula": candidate.formula,
        **dict.fromkeys(_exponents(family), np.nan),
        **_parameters(fit),
        "scatter": fit.tau,
        "rms_log_residual": float(np.sqrt(np.mean(fit.residuals**2))),
        "rms_error": float(np.sqrt(np.mean(errors))),
        "excess_scatter": float(np.sqrt(max(0.0, np.mean(fit.residuals**2 - errors)))),
        "aicc": fit.aicc,
        f"error_largest_{lead}": error,
        f"error_left_out_{other}": _left_out_error(
            candidate.model, table, other, list(table[other].unique()), family.variables
        ),
        "prediction": within if np.isfinite(error) else "",
        "is_free": candidate.is_free,
        "same_as": same_as,
        "note": f"as {same_as} here" if same_as else candidate.dropped,
    }


def _parameters(fit: Fit) -> dict[str, float]:
    """Return the constant and the exponents, with their 95% intervals."""
    out: dict[str, float] = {}
    for index, name in enumerate(fit.model.names):
        low, high = fit.interval(index)
        found = {"": float(fit.theta[index]), "_low": low, "_high": high}
        with np.errstate(over="ignore"):  # an interval without an end
            out |= {
                (f"constant{end}" if index == 0 else f"exponent_{name}{end}"): (
                    float(np.exp(value)) if index == 0 else value
                )
                for end, value in found.items()
            }
    return out


def _left_out_error(
    model: Model, table: pd.DataFrame, by: str, values: list[Any], variables: tuple[str, ...]
) -> float:
    """Return the rms error in log k of the points with each value, fitted to all other points."""
    misses = []
    for value in values:
        held, rest = table[table[by] == value], table[table[by] != value]
        # A free exponent that the remaining points do not determine predicts nothing.
        if len(rest) < len(model.names) or not _determined(model, rest, variables):
            return np.nan
        theta = parameters_of(model, rest)
        misses.append(held["y"].to_numpy(float) - model.predict(theta, held)[0])
    return float(np.sqrt(np.mean(np.concatenate(misses) ** 2)))


def _determined(model: Model, table: pd.DataFrame, variables: tuple[str, ...]) -> bool:
    return len(model.names) == 1 or set(model.names[1:]) <= set(determined(table, variables)[0])


# --- the n at which two laws differ ---------------------------------------------------------------


def _ahead(table: pd.DataFrame, family: Family) -> tuple[pd.DataFrame, float]:
    """Return larger n at the middle d, with alpha extrapolated as a power of n, and that d.

    In another family than that of widths, its two sizes stand for n and d.
    """
    lead, other = family.lead, family.other
    d = float(table[other].quantile(0.5, interpolation="nearest"))
    n = float(table[lead].max()) * np.geomspace(1, _FARTHEST, 400)
    here = table[table[other] == d].groupby(lead)["alpha"].median()
    alpha = np.full(n.size, np.nan)
    if len(here) > 1 and (here > 0).all():
        slope, level = np.polyfit(np.log(here.index.to_numpy(float)), np.log(here.to_numpy(float)), 1)
        alpha = np.exp(level + slope * np.log(n))
    rest = {name: float(table[name].median()) for name in family.variables[2:] if name != "alpha"}
    return pd.DataFrame({lead: n, other: d, "alpha": alpha, **rest}), d


def _telling(fit: Fit, best: Fit, ahead: pd.DataFrame, table: pd.DataFrame, lead: str) -> float:
    """Return the smallest n from which the two fits differ by more than their errors allow.

    The errors are those of both fits and of a new width, at 95%.
    """
    if fit is best or fit.freedom <= 0 or best.freedom <= 0:
        return np.nan
    (one, error), (other, also) = fit.prediction(ahead), best.prediction(ahead)
    if not (np.isfinite(one).all() and np.isfinite(other).all()):
        return np.nan
    width = float(table.loc[table[lead] == table[lead].max(), "s"].median())
    unsure = np.abs(one - other) <= _normal_reach(0.95) * np.sqrt(error**2 + also**2 + width**2)
    if unsure[-1]:
        return np.inf
    last = np.flatnonzero(unsure)
    # Only n beyond the measured ones: at the largest n it is scatter that keeps the laws together.
    return float(ahead[lead].iloc[last[-1] + 1]) if len(last) else np.nan
