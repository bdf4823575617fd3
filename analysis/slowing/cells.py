"""The threshold at infinite budget of every cell of a store, with a word on whether it can be trusted.

The far side must not steer the fit, since a law of slowing holds near the threshold only. So a cell is
fitted to widths up to `REACH` times the narrowest width at which half of the trials arrive. The
`verdict` of a cell is one of `VERDICTS`, and only `threshold` comes with numbers.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray
from scipy.special import chdtri

from analysis.slowing.fitting import (
    BOUNDS,
    Fit,
    S,
    finite,
    interval,
    log_threshold,
    maximise,
    spread_of_threshold,
    worth,
)
from analysis.slowing.likelihood import NAMES, Trials
from analysis.success.budgets import budget_of
from pipeline.errors import InputError, ParameterError
from pipeline.trial_status import Status

__all__ = [
    "REACH",
    "VERDICTS",
    "arriving",
    "infinite_budget",
    "near",
    "obstacle",
    "restricted",
    "share_at_edge",
    "trials_of",
]

Floats = NDArray[np.float64]

REACH = 2.0
"""A cell is fitted to widths up to so many times the narrowest at which half of the trials arrive."""

RISES, SHARP = 0.05, 1.5
"""A trial ran at the edge of stability if its loss rose on more than this share of its steps, and its
sharpness ended above this over the step size. It is near 2 there, and near 1 where the loss rises only
since units of a ReLU switch: then a change of 1e-15 in W moves no time to a tolerance."""

FAR = 6.0
"""An interval that goes below the narrowest width over exp(6) has no lower end."""

FEWEST_SEEDS = 5
"""With fewer seeds the spread of their thresholds is not known."""

VERDICTS = {
    "threshold": "times end at a finite width: laws that stay finite explain them less well",
    "none seen": "no finite threshold seen: a law that is finite at every width explains the times too",
    "one width": "the sweep has one width, and times at one width show no slowing",
    "too few seeds": f"fewer than {FEWEST_SEEDS} seeds: the spread of their thresholds is not known",
    "all censored": "there is no width at which half of the trials arrive: run more steps, or wider "
    "networks",
    "none censored": "every trial arrives: run narrower networks",
    "budget too short": "fewer than 3 widths arrive near the threshold: run more steps, or more widths",
    "empty": "no trial has run",
}
"""The verdicts on a cell, and what each says."""

NUMBERS = ("k_inf", "k_inf_low", "k_inf_high", "gamma", "gamma_low", "gamma_high")


def infinite_budget(
    ds: xr.Dataset, *, budget: int | None = None, confidence: float = 0.95
) -> pd.DataFrame:
    """Return the width below which descent never arrives, for every cell and tolerance.

    The times to a tolerance follow log T = a - gamma log(1 - (k_inf/k)^beta), where every seed has its
    own a and k_inf, and every trial a scatter that grows near the threshold. A trial that does not
    arrive is censored at the budget, or at the steps that it took if these are fewer. A trial that
    diverged is censored at every budget. As gamma grows this becomes a law that is finite at every
    width. Unless times exclude that, the verdict is `none seen`.

    Parameters
    ----------
    ds
        An opened store of a sweep that descends.
    budget
        Steps at which all trials are censored; all steps of the store by default.
    confidence
        Level of the intervals, by profile likelihood.

    Returns
    -------
    pandas.DataFrame
        One row for each cell and tolerance: its axes; `verdict`, a key of `VERDICTS`; `k_inf` (the
        median over seeds, at which half of the trials ever arrive) and `gamma` with `_low` and `_high`,
        NaN for other verdicts than `threshold`; `evidence`, the gain in log-likelihood on the law
        that is finite at every width; `level` and `beta`, a and beta of the law; `omega`, the standard
        deviation of a over seeds; `kappa`, by how much log k_inf rises with that; `sigma` and `rho`,
        the scatter of log T far from the threshold and of log k_inf near it; `trials`, `censored` and
        `diverged`, among the widths up to `widest`, to which the cell is fitted; and `at_edge`, the
        share of trials at the edge of stability (`RISES`, `SHARP`), NaN unless the store has `rises`.

    Raises
    ------
    InputError
        The store has no times to a tolerance.
    ParameterError
        A budget or confidence out of range.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> k, z = np.arange(14, 41), np.linspace(-1.5, 1.5, 12)[:, None]
    >>> with np.errstate(invalid="ignore"):
    ...     q = 1 - 18 / k + 0.03 * np.cos(7 * k * (z + 3))
    ...     time = np.ceil(1000 * np.exp(0.3 * z) * q**-0.8)
    >>> time = np.where(time <= 9000, time, np.inf).T[None, None, :, :, None]
    >>> ds = xr.Dataset(
    ...     {"steps_to_tolerance": (("d", "n", "width", "seed", "tolerance"), time),
    ...      "status": (("d", "n", "width", "seed"), np.ones((1, 1, 27, 12), dtype="int8"))},
    ...     {"d": [8], "n": [160], "tolerance": [0.01], "k": (("n", "d", "width"), k[None, None])},
    ...     {"identity_fields": {"descent": {"steps": 9000}}},
    ... )
    >>> row = infinite_budget(ds).iloc[0]
    >>> row.verdict, bool(row.k_inf_low < 18 < row.k_inf_high)
    ('threshold', True)
    """
    if not 0 < confidence < 1:
        raise ParameterError("confidence", f"got {confidence}; expected between 0 and 1, such as 0.95")
    cells = trials_of(ds, budget)
    return pd.DataFrame([axes | _row(trials, diverged, edge, confidence)
                         for axes, trials, diverged, edge in cells])  # fmt: skip


Cell = tuple[dict[str, Any], Trials, NDArray[np.bool_], float]


def trials_of(ds: xr.Dataset, budget: int | None = None) -> list[Cell]:
    """Return the axes, trials, diverged trials and share at the edge of stability of every cell."""
    if "steps_to_tolerance" not in ds or not {"width", "seed"} <= set(ds.status.dims):
        raise InputError(
            f"a store of {ds.attrs.get('experiment')} has no steps_to_tolerance over widths and seeds; "
            "expected a sweep that descends, such as `budget`"
        )
    whole = max(1, budget_of(ds))  # no step at all leaves every trial censored
    budget = whole if budget is None else budget
    if not 1 <= budget <= whole:
        raise ParameterError("budget", f"got {budget}; expected from 1 to {whole}, the store's steps")
    cells = [str(dim) for dim in ds.status.dims if dim not in ("width", "seed")]
    first, status, log_k, taken = _arrays(ds, (*cells, "seed", "width"))
    edges = share_at_edge(ds).transpose(*cells).values
    found: list[Cell] = []
    for index in np.ndindex(*status.shape[:-2]):
        axes = {
            dim: ds[dim][at].item() for dim, at in zip(cells, index, strict=True) if dim in ds.coords
        }
        diverged = status[index] == Status.DIVERGED
        counted = diverged | (status[index] == Status.DONE)
        known = np.where(diverged, budget, np.minimum(taken[index], budget))
        for position, tolerance in enumerate(ds.tolerance.values.tolist()):
            arrived = counted & ~diverged & (first[position][index] <= budget)
            time = np.log(np.maximum(np.where(arrived, first[position][index], known), 1))
            trials = Trials(np.broadcast_to(log_k[index], time.shape), time, arrived, counted)
            axes = axes | {"tolerance": tolerance, "budget": budget}
            found.append((axes, trials, diverged, float(edges[index])))
    return found


def _arrays(ds: xr.Dataset, order: tuple[str, ...]) -> tuple[Floats, ...]:
    """Return first steps by tolerance, status, log k, and steps taken."""
    names = ("steps_to_tolerance", "status", "steps")
    parts = ds[[name for name in names if name in ds]].compute()
    status = parts.status.transpose(*order)
    k = parts.k.broadcast_like(status.isel(seed=[0])).transpose(*order)
    taken = parts.steps if "steps" in parts else xr.full_like(status, np.inf, dtype=float)
    return (
        parts.steps_to_tolerance.transpose("tolerance", *order).values,
        status.values,
        np.log(k.values.astype(float)),
        taken.transpose(*order).values,
    )


def share_at_edge(ds: xr.Dataset) -> xr.DataArray:
    """Return the share of the trials of every cell at the edge of stability; NaN if it is not known."""
    names = ("status", "steps", "rises", "sharpness", "step_size")
    parts = ds[[name for name in names if name in ds]].compute()
    counted = parts.status.isin((Status.DONE, Status.DIVERGED))
    share = _at_edge(parts).where(counted).mean(("width", "seed"))
    return share if "rises" in ds else xr.full_like(share, np.nan)


def _at_edge(parts: xr.Dataset) -> xr.DataArray:
    """Return which trials ran at the edge of stability; none if it is not known."""
    if "rises" not in parts:
        return xr.zeros_like(parts.status, dtype=bool)
    rose: xr.DataArray = parts.rises / parts.steps > RISES
    if not {"sharpness", "step_size"} <= set(parts):
        return rose
    # A sharpness that is lost, such as after a divergence, excuses nothing; nor does any of Adam, whose
    # steps are stable up to another bound.
    return rose & ~((parts.sharpness * parts.step_size <= SHARP) & ~_is_adam(parts))


def _is_adam(ds: xr.Dataset) -> xr.DataArray:
    """Return which trials descend by Adam, along the axis of methods if there is one."""
    if "descent_method" in ds.coords:
        return ds.descent_method == "adam"
    settings = ds.attrs["identity_fields"]["descent"].get("settings", {})
    return xr.DataArray(settings.get("descent_method") == "adam")


def near(trials: Trials) -> NDArray[np.bool_]:
    """Return the widths to which a cell is fitted; none if half of the trials arrive at no width."""
    half, log_k = arriving(trials), trials.log_k[0]
    if not half.any():
        return half
    there = trials.counted.any(axis=0)
    widths: NDArray[np.bool_] = there & (log_k <= log_k[half].min() + np.log(REACH) + 1e-9)
    return widths


def arriving(trials: Trials) -> NDArray[np.bool_]:
    """Return the widths at which at least half of the trials arrive."""
    counts = trials.counted.sum(axis=0)
    half: NDArray[np.bool_] = (counts > 0) & (2 * trials.arrived.sum(axis=0) >= counts)
    return half


def restricted(trials: Trials, widths: NDArray[np.bool_]) -> Trials:
    """Return the trials of some widths, without seeds that have none."""
    seeds = trials.counted[:, widths].any(axis=1)
    own = (trials.log_k, trials.log_time, trials.arrived, trials.counted)
    return Trials(*(array[np.ix_(seeds, widths)] for array in own))  # type: ignore[arg-type]


def obstacle(trials: Trials, widths: NDArray[np.bool_]) -> str | None:
    """Return the verdict on a cell that cannot be fitted."""
    counted, arrived = trials.counted, trials.arrived
    if not counted.any():
        return "empty"
    if counted.any(axis=0).sum() == 1:
        return "one width"
    if counted.any(axis=1).sum() < FEWEST_SEEDS:
        return "too few seeds"
    if not widths.any():
        return "all censored"
    if (arrived == counted).all():
        return "none censored"
    return "budget too short" if arrived[:, widths].any(axis=0).sum() < 3 else None


def _row(trials: Trials, diverged: NDArray[np.bool_], edge: float, confidence: float) -> dict[str, Any]:
    """Return the columns of one cell."""
    widths = near(trials)
    chosen = widths if widths.any() else trials.counted.any(axis=0)
    counted, arrived = trials.counted[:, chosen], trials.arrived[:, chosen]
    row: dict[str, Any] = {"verdict": obstacle(trials, widths)} | dict.fromkeys(NUMBERS, np.nan)
    row |= dict.fromkeys(("evidence", "level", "beta", "omega", "kappa", "sigma", "rho"), np.nan)
    row |= {
        "widest": round(np.exp(trials.log_k[0, chosen].max())) if chosen.any() else np.nan,
        "trials": int(counted.sum()),
        "censored": int((counted & ~arrived).sum()),
        "diverged": int(diverged[:, chosen].sum()),
        "at_edge": edge,
    }
    if row["verdict"] is None:
        row |= _fitted(restricted(trials, widths), confidence)
    return row


def _fitted(trials: Trials, confidence: float) -> dict[str, Any]:
    """Fit the model to one cell; without evidence of a threshold there are no numbers."""
    best = maximise(trials)
    endless = finite(trials, best)
    share, covariance = worth(best, trials)
    evidence = share * (best.value - endless.value) if best.theta[S] > 0 else 0.0
    row: dict[str, Any] = {"evidence": evidence}
    if 2 * row["evidence"] < chdtri(1, 1 - confidence):
        return row | {"verdict": "none seen"}
    allowed = float(chdtri(1, 1 - confidence) / share)
    shapes = interval(
        best,
        lambda s, start: maximise(trials, start, s=s),
        best.theta[S],
        float(np.sqrt(share * covariance[S, S])),
        (0.0, BOUNDS[S, 1]),
        allowed,
    )
    widths = interval(
        best,
        lambda m, start: maximise(trials, start, threshold=m),
        log_threshold(best.theta, trials),
        float(np.sqrt(share)) * spread_of_threshold(best.theta, covariance),
        (float(trials.log_k.min()) - FAR, float(trials.log_k.max())),
        allowed,
    )
    return row | {"verdict": "threshold"} | _numbers(best, trials, widths, shapes)


def _numbers(
    best: Fit, trials: Trials, widths: tuple[float, float], shapes: tuple[float, float]
) -> dict[str, float]:
    known = dict(zip(NAMES, best.theta.tolist(), strict=True))
    low, high = (max(s, 0.0) for s in shapes)
    k_inf = np.exp([log_threshold(best.theta, trials), *widths]).tolist()
    gammas = [1 / known["s"], 1 / high, 1 / low if low > 0 else np.inf]
    logs = {name: float(np.exp(known[f"log_{name}"])) for name in ("beta", "omega", "sigma", "rho")}
    shown = {"level": known["a"], "kappa": known["kappa"]} | logs
    shown["rho"] /= shown["beta"]
    return dict(zip(NUMBERS, [*k_inf, *gammas], strict=True)) | shown
