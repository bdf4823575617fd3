"""Compare scaling laws for the critical width.

A law says k* = C f(n, d, alpha), with one constant; the free power law k* = C n^a d^b alpha^c
stands beside them. All are fitted to log k50 by one model: the residual of a point has variance
s^2 + tau^2, where s comes from the interval of its k50 and tau, one for each law and estimated
by maximum likelihood, is the scatter that the intervals do not explain. So precise points weigh
more, yet no law is hanged by one of them, and laws compare by AICc, tau counted as a parameter.

Where the law holds the fitted k inside a logarithm, k = C g log k is solved for k (its larger
root, by Lambert's function), so that measured widths never appear on both sides.

Only cells whose outcome is `fitted` or `separated` enter. The cells of d, n and angle are one
sample, since a law ought to hold across them (angle moves alpha); every other dim, such as
activation, makes groups of its own. Adding a law is one line in `LAWS`.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr
from scipy import optimize, special, stats

__all__ = ["LAWS", "Law", "distinguishable", "fit_laws"]

Floats = npt.NDArray[np.float64]

_POOLED = ("d", "n", "angle")
_VARIABLES = ("n", "d", "alpha")
_LEAST_POINTS = 3
_FLOOR = 1e-12  # of a variance in log k: far below the rounding of any width to an integer
_INFLATION = 100.0  # variance inflation beyond which an exponent cannot be told from the others


@dataclass(frozen=True)
class Law:
    """A shape f(n, d, alpha) with one constant in front.

    `log_shape` maps a table with columns n, d, alpha to log f (points,). With `log_k` the shape
    is multiplied by log k, k being the width that the law itself gives.
    """

    formula: str
    log_shape: Callable[[pd.DataFrame], Floats]
    log_k: bool = False


def _logs(t: pd.DataFrame, n: float = 0, d: float = 0, alpha: float = 0, log_n: int = 0) -> Floats:
    """Log of n^n d^d alpha^alpha (log n)^log_n; an absent power does not touch its column."""
    total = np.zeros(len(t))
    for name, power in (("n", n), ("d", d), ("alpha", alpha)):
        if power:
            total = total + power * np.log(t[name].to_numpy(float))
    return total + log_n * np.log(np.log(t["n"].to_numpy(float))) if log_n else total


LAWS: dict[str, Law] = {
    "n": Law("C n", lambda t: _logs(t, n=1)),
    "n log n": Law("C n log n", lambda t: _logs(t, n=1, log_n=1)),
    "n/alpha^2": Law("C n / alpha^2", lambda t: _logs(t, n=1, alpha=-2)),
    "n log n/alpha^2": Law("C n log n / alpha^2", lambda t: _logs(t, n=1, alpha=-2, log_n=1)),
    "n log n log k/alpha^2": Law(
        "C n log n log k / alpha^2", lambda t: _logs(t, n=1, alpha=-2, log_n=1), log_k=True
    ),
    "n/d": Law("C n / d", lambda t: _logs(t, n=1, d=-1)),
    "n^2/d": Law("C n^2 / d", lambda t: _logs(t, n=2, d=-1)),
    "n^4/d^3": Law("C n^4 / d^3", lambda t: _logs(t, n=4, d=-3)),
}


def fit_laws(widths: xr.Dataset) -> pd.DataFrame:
    """Fit every law and the free power law to the critical widths.

    Parameters
    ----------
    widths
        From `critical_widths`: `k50`, `k50_low`, `k50_high`, `outcome`, the coordinates `n` and
        `d`, and `alpha` for the laws that hold it.

    Returns
    -------
    pandas.DataFrame
        One row for each law, best AICc first (within each group, whose dims are the first
        columns): `law`, `formula`, `constant`, `exponent_n`, `exponent_d`, `exponent_alpha` with
        `_low` and `_high` (95%, free law only), `scatter` (tau), `rms_log_residual`, `aicc`,
        `delta_aicc`, `weight` (of AICc), `error_largest_n` and `error_left_out_d` (rms error in
        log k of points predicted without their n, or without their d; NaN where what is left
        does not determine the law), `points`, `note` (exponents that were dropped, and why).
        An infinite AICc means that the points are too few to judge so many parameters.

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
            f"interval; expected at least {_LEAST_POINTS} cells of d and n to compare laws. "
            "Add values of n or d, more seeds, or widths that bracket the transition"
        )
    if len(enough) < _expected_groups(widths, groups):
        warnings.warn("groups with fewer than three critical widths are left out", stacklevel=2)
    return pd.concat([_fit_group(t, key) for key, t in enough], ignore_index=True)


def distinguishable(laws: pd.DataFrame) -> str:
    """Say in one sentence (for each group) which laws the data can tell apart.

    Parameters
    ----------
    laws
        From `fit_laws`.

    Returns
    -------
    str
        The best law; those it cannot be told from (delta AICc below 2), those weakly disfavoured
        (below 4) and those clearly worse. AICc ranks laws; it does not say that the best is true.
    """
    groups = list(laws.columns[: laws.columns.get_loc("law")])
    return " ".join(
        _sentence(t, dict(zip(groups, key, strict=True))) for key, t in _split(laws, groups)
    )


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


def _expected_groups(widths: xr.Dataset, groups: list[Hashable]) -> int:
    return int(np.prod([widths.sizes[name] for name in groups], dtype=int))


# --- models: a parameter vector to predicted log widths ----------------------------------------


@dataclass(frozen=True)
class _Model:
    """log k = offset + design @ theta, or the k solving log k - log log k = that."""

    names: tuple[str, ...]
    build: Callable[[pd.DataFrame], tuple[Floats, Floats]]  # offset (points,), design (points, p)
    log_k: bool = False

    def predict(self, theta: Floats, table: pd.DataFrame) -> tuple[Floats, Floats]:
        """Predicted log k (points,) and its derivative in theta (points, p)."""
        offset, design = self.build(table)
        linear = offset + design @ theta
        if not self.log_k:
            return linear, design
        log_k = _solve_log_k(linear)
        return log_k, design / (1 - 1 / log_k)[:, None]


def _solve_log_k(log_a: Floats) -> Floats:
    """The larger root m = log k of k = a log k; a below e has none, and takes the root of e."""
    # e^m = a m reads -m e^-m = -1/a; just above e the derivative of m stays finite.
    a = np.maximum(log_a, 1 + 1e-6)
    root: Floats = -special.lambertw(-np.exp(-a), -1).real
    return root


def _law_model(law: Law) -> _Model:
    def build(table: pd.DataFrame) -> tuple[Floats, Floats]:
        return law.log_shape(table), np.ones((len(table), 1))

    return _Model(("constant",), build, law.log_k)


def _free_model(names: tuple[str, ...]) -> _Model:
    def build(table: pd.DataFrame) -> tuple[Floats, Floats]:
        columns = [np.log(table[name].to_numpy(float)) for name in names]
        return np.zeros(len(table)), np.stack([np.ones(len(table)), *columns], axis=1)

    return _Model(("constant", *names), build)


def _free_names(table: pd.DataFrame) -> tuple[tuple[str, ...], str]:
    """The variables whose exponents the points determine, and a note on the others."""
    kept: list[str] = []
    notes: list[str] = []
    basis = np.ones((len(table), 1))
    for name in _VARIABLES:
        values = table[name].to_numpy(float)
        if not (np.isfinite(values) & (values > 0)).all():
            notes.append(f"{name} dropped: not known everywhere")
            continue
        column = np.log(values)
        if np.ptp(column) < 1e-9:
            notes.append(f"{name} dropped: it does not vary")
            continue
        rest = column - basis @ np.linalg.lstsq(basis, column, rcond=None)[0]
        if np.sum(rest**2) * _INFLATION < np.sum((column - column.mean()) ** 2):
            notes.append(f"{name} dropped: collinear with {' and '.join(kept)}")
            continue
        kept.append(name)
        basis = np.column_stack([basis, column])
    return tuple(kept), "; ".join(notes)


# --- fitting ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Fit:
    model: _Model
    theta: Floats
    tau: float
    covariance: Floats
    residuals: Floats
    log_likelihood: float

    @property
    def aicc(self) -> float:
        """Akaike's criterion for small samples; tau is a parameter too."""
        points, p = len(self.residuals), len(self.theta) + 1
        if points - p - 1 <= 0:
            return np.inf
        return 2 * p - 2 * self.log_likelihood + 2 * p * (p + 1) / (points - p - 1)


def _fit(model: _Model, table: pd.DataFrame) -> _Fit:
    """Maximum likelihood in theta and tau."""
    y, s = table["y"].to_numpy(float), table["s"].to_numpy(float)

    def cost(log_tau: float) -> float:
        variance = s**2 + np.exp(2 * log_tau)
        return -_log_likelihood(y - model.predict(_solve(model, table, variance), table)[0], variance)

    log_tau = _minimise(cost, np.log(_FLOOR) / 2, np.log(np.ptp(y) + 10))
    variance = s**2 + np.exp(2 * log_tau)
    theta = _solve(model, table, variance)
    mean, jacobian = model.predict(theta, table)
    residuals = y - mean
    return _Fit(
        model,
        theta,
        float(np.exp(log_tau)),
        _covariance(jacobian, residuals, variance),
        residuals,
        _log_likelihood(residuals, variance),
    )


def _minimise(cost: Callable[[float], float], low: float, high: float) -> float:
    """Least cost over an interval: a scan for the right valley, then a polish."""
    grid = np.linspace(low, high, 33)
    costs = [cost(x) for x in grid]
    best = int(np.argmin(costs))
    around = grid[max(best - 1, 0)], grid[min(best + 1, len(grid) - 1)]
    polished = optimize.minimize_scalar(cost, bounds=around, method="bounded", options={"xatol": 1e-9})
    return float(polished.x if polished.fun < costs[best] else grid[best])


def _log_likelihood(residuals: Floats, variance: Floats) -> float:
    return float(-0.5 * np.sum(np.log(2 * np.pi * variance) + residuals**2 / variance))


def _solve(model: _Model, table: pd.DataFrame, variance: Floats) -> Floats:
    """Weighted least squares by Gauss-Newton; a linear model takes a single step."""
    y, root = table["y"].to_numpy(float), 1 / np.sqrt(variance)
    theta = _start(model, table, root)
    for _ in range(100 if model.log_k else 0):
        mean, jacobian = model.predict(theta, table)
        step = np.linalg.lstsq(jacobian * root[:, None], (y - mean) * root, rcond=None)[0]
        theta = theta + step
        if np.abs(step).max() < 1e-13 * (1 + np.abs(theta).max()):
            break
    return theta


def _start(model: _Model, table: pd.DataFrame, root: Floats) -> Floats:
    """The linear solution; for a log k inside, with the measured k there."""
    y = table["y"].to_numpy(float)
    offset, design = model.build(table)
    target = y - np.log(np.maximum(y, 1.1)) if model.log_k else y
    theta: Floats = np.linalg.lstsq(design * root[:, None], (target - offset) * root, rcond=None)[0]
    return theta


def _covariance(jacobian: Floats, residuals: Floats, variance: Floats) -> Floats:
    """Of theta; widened where maximum likelihood, blind to degrees of freedom, is too sure."""
    information = jacobian.T @ (jacobian / variance[:, None])
    freedom = len(residuals) - jacobian.shape[1]
    excess = np.sum(residuals**2 / variance) / freedom if freedom > 0 else np.inf
    covariance: Floats = np.linalg.pinv(information) * max(1.0, excess)
    return covariance


# --- the table ----------------------------------------------------------------------------------


def _fit_group(table: pd.DataFrame, key: dict[Any, Any]) -> pd.DataFrame:
    """All laws of one group, ranked."""
    names, note = _free_names(table)
    rows = [
        _row(name, law.formula, _law_model(law), table)
        for name, law in LAWS.items()
        if np.isfinite(law.log_shape(table)).all()
    ]
    formula = " ".join(["C", *(f"{v}^{e}" for v, e in zip(names, "abc", strict=False))])
    rows.append(_row("free", formula, _free_model(names), table) | {"note": note})
    ranked = pd.DataFrame(rows).sort_values("aicc", kind="stable", ignore_index=True)
    # With no finite AICc at all (three points and less to judge by) nothing is ranked.
    delta = ranked["aicc"] - ranked["aicc"].min() if np.isfinite(ranked["aicc"]).any() else np.nan
    ranked["delta_aicc"] = delta
    weight = np.exp(-0.5 * ranked["delta_aicc"])
    ranked["weight"] = weight / weight.sum()
    for position, (dim, value) in enumerate(key.items()):
        ranked.insert(position, dim, value)
    return ranked[[*key, *_COLUMNS]]


_EXPONENTS = [f"exponent_{v}{end}" for v in _VARIABLES for end in ("", "_low", "_high")]
_COLUMNS = [
    "law",
    "formula",
    "constant",
    *_EXPONENTS,
    "scatter",
    "rms_log_residual",
    "aicc",
    "delta_aicc",
    "weight",
    "error_largest_n",
    "error_left_out_d",
    "points",
    "note",
]


def _row(name: str, formula: str, model: _Model, table: pd.DataFrame) -> dict[str, Any]:
    fit = _fit(model, table)
    return {
        "law": name,
        "formula": formula,
        "constant": float(np.exp(fit.theta[0])),
        **dict.fromkeys(_EXPONENTS, np.nan),
        **_exponents(fit),
        "scatter": fit.tau,
        "rms_log_residual": float(np.sqrt(np.mean(fit.residuals**2))),
        "aicc": fit.aicc,
        "error_largest_n": _left_out_error(model, table, "n", [table["n"].max()]),
        "error_left_out_d": _left_out_error(model, table, "d", list(table["d"].unique())),
        "points": len(table),
        "note": "",
    }


def _exponents(fit: _Fit) -> dict[str, float]:
    """Exponents with 95% intervals of Student's distribution."""
    freedom = len(fit.residuals) - len(fit.theta)
    out: dict[str, float] = {}
    for i, name in enumerate(fit.model.names[1:], start=1):
        arm = np.inf
        if freedom > 0:
            arm = stats.t.ppf(0.975, freedom) * np.sqrt(fit.covariance[i, i])
        value = float(fit.theta[i])
        ends = {f"exponent_{name}_low": value - arm, f"exponent_{name}_high": value + arm}
        out |= {f"exponent_{name}": value, **ends}
    return out


def _left_out_error(model: _Model, table: pd.DataFrame, by: str, values: list[Any]) -> float:
    """Rms error in log k of the points with each value, predicted by a fit to all the others."""
    misses = []
    for value in values:
        held, rest = table[table[by] == value], table[table[by] != value]
        # A free exponent that the rest does not determine predicts nothing.
        if len(rest) < len(model.names) or not _determined(model, rest):
            return np.nan
        theta = _fit(model, rest).theta
        misses.append(held["y"].to_numpy(float) - model.predict(theta, held)[0])
    return float(np.sqrt(np.mean(np.concatenate(misses) ** 2)))


def _determined(model: _Model, table: pd.DataFrame) -> bool:
    return len(model.names) == 1 or set(model.names[1:]) <= set(_free_names(table)[0])


def _sentence(laws: pd.DataFrame, key: dict[Any, Any]) -> str:
    where = f"For {', '.join(f'{k} {v}' for k, v in key.items())}: " if key else ""
    points = int(laws["points"].iloc[0])
    if laws["delta_aicc"].isna().all():
        return f"{where}{points} points are too few to tell any of the laws apart."
    best, rest = laws.iloc[0], laws.iloc[1:]
    delta = rest["delta_aicc"]
    parts = [
        ("cannot tell it from", rest[delta < 2]),
        ("weakly disfavour", rest[(delta >= 2) & (delta < 4)]),
        ("clearly disfavour", rest[(delta >= 4) & np.isfinite(delta)]),
        ("are too few to judge", rest[np.isinf(delta)]),
    ]
    said = "; ".join(f"they {verb} {_listed(part)}" for verb, part in parts if len(part))
    return (
        f"{where}{points} points rank {best['law']} first (rms log residual "
        f"{best['rms_log_residual']:.2g}); {said} (delta AICc in brackets)."
    )


def _listed(laws: pd.DataFrame) -> str:
    pairs = zip(laws["law"], laws["delta_aicc"], strict=True)
    return ", ".join(f"{law} ({delta:.1f})" for law, delta in pairs)
