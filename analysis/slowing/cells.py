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
from scipy.stats import chi2

from analysis.slowing.fitting import FAR, LIMITS, Fit, maximise, profile
from analysis.slowing.likelihood import Trials
from analysis.success.budgets import budget_of
from pipeline.errors import InputError, ParameterError
from pipeline.trial_status import Status, among

__all__ = ["REACH", "VERDICTS", "infinite_budget", "trials_of"]

REACH = 2.0
"""A cell is fitted to widths up to so many times the narrowest at which half of the trials arrive."""

RISES = 0.05
"""A trial whose loss rose on more than this share of its steps ran at the edge of stability."""

FEWEST_SEEDS = 5
"""With fewer seeds the spread of their thresholds is not known."""

VERDICTS = {
    "threshold": "a law that diverges at a finite width explains the times better than others",
    "none seen": "no finite threshold seen: a law that is finite at every width explains the times too",
    "one width": "the sweep has one width, and times at one width show no slowing",
    "too few seeds": f"fewer than {FEWEST_SEEDS} seeds: the spread of their thresholds is not known",
    "all censored": "half of the trials arrive at no width: run more steps, or wider networks",
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

    The times to a tolerance follow log T = a - gamma log(k/k_inf - 1) + scatter, where every seed has a
    k_inf of its own; a trial that does not arrive is censored at the budget. So is a trial that
    diverged, at every budget. The law is compared with two that are finite at every width, k^-gamma and
    exp(c k^-gamma): if either explains the times as well, the verdict is `none seen`.

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
        geometric mean over seeds) and `gamma` with `_low` and `_high`, NaN for other verdicts than
        `threshold`; `spread`, the standard deviation of log k_inf over seeds; `scatter`, that of log T;
        `level`, a of the model; `trials`, `censored` and `diverged`, among the widths up to `widest`,
        to which the cell is fitted; `evidence`, the gain in log-likelihood on the better of the other
        laws; and `at_edge`, the share of trials whose loss rose on more than a twentieth of the steps,
        NaN unless the store has `rises`.

    Raises
    ------
    InputError
        The store has no times to a tolerance.
    ParameterError
        A budget or confidence out of range.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> k, u = np.arange(16, 41), 2.9 + 0.05 * np.linspace(-1.5, 1.5, 12)[:, None]
    >>> with np.errstate(invalid="ignore"):
    ...     time = np.ceil(1000 * (k / np.exp(u) - 1) ** -0.8 * np.exp(0.05 * np.cos(7 * k * u)))
    >>> time = np.where(time <= 9000, time, np.inf).T[None, None, :, :, None]
    >>> ds = xr.Dataset(
    ...     {"steps_to_tolerance": (("d", "n", "width", "seed", "tolerance"), time),
    ...      "status": (("d", "n", "width", "seed"), np.ones((1, 1, 25, 12), dtype="int8"))},
    ...     {"d": [8], "n": [160], "tolerance": [0.01], "k": (("n", "d", "width"), k[None, None])},
    ...     {"identity_fields": {"descent": {"steps": 9000}}},
    ... )
    >>> row = infinite_budget(ds).iloc[0]
    >>> row.verdict, bool(row.k_inf_low < np.exp(2.9) < row.k_inf_high)
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
    whole = budget_of(ds)
    budget = whole if budget is None else budget
    if not 1 <= budget <= whole:
        raise ParameterError("budget", f"got {budget}; expected from 1 to {whole}, the store's steps")
    names = [name for name in ("steps_to_tolerance", "status", "steps", "rises") if name in ds]
    parts = ds[names].compute()
    cells = [str(dim) for dim in ds.status.dims if dim not in ("width", "seed")]
    found: list[Cell] = []
    for index in np.ndindex(*(ds.sizes[dim] for dim in cells)):
        part = parts.isel(dict(zip(cells, index, strict=True)))
        axes = {dim: part[dim].item() for dim in cells if dim in part.coords}
        for position, tolerance in enumerate(ds.tolerance.values.tolist()):
            trials, diverged, edge = _cell(part, position, budget)
            found.append((axes | {"tolerance": tolerance, "budget": budget}, trials, diverged, edge))
    return found


def _cell(part: xr.Dataset, position: int, budget: int) -> tuple[Trials, NDArray[np.bool_], float]:
    """Return the trials of one cell, censored at the budget."""
    order = ("seed", "width")
    steps = part.steps_to_tolerance.isel(tolerance=position).transpose(*order).values
    status = part.status.transpose(*order)
    diverged = (status == Status.DIVERGED).values
    counted = among(status, [Status.DONE, Status.DIVERGED]).values
    arrived = counted & ~diverged & (steps <= budget)
    time = np.log(np.maximum(np.where(arrived, steps, budget), 1))
    log_k = np.broadcast_to(np.log(part.k.values.astype(float)), time.shape)
    edge = np.nan
    if "rises" in part and counted.any():
        rose = (part.rises / part.steps).transpose(*order).values
        edge = float((rose[counted] > RISES).mean())
    return Trials(log_k, time, arrived, counted), diverged, edge


def near(trials: Trials) -> NDArray[np.bool_]:
    """Return the widths to which a cell is fitted; none if half of the trials arrive at no width."""
    counts = trials.counted.sum(axis=0)
    half = (counts > 0) & (2 * trials.arrived.sum(axis=0) >= np.maximum(counts, 1))
    if not half.any():
        return np.zeros(len(half), dtype=bool)
    log_k = trials.log_k[0]
    widths: NDArray[np.bool_] = (counts > 0) & (log_k <= log_k[half].min() + np.log(REACH) + 1e-9)
    return widths


def restricted(trials: Trials, widths: NDArray[np.bool_]) -> Trials:
    """Return the trials of some widths, without seeds that have none."""
    seeds = trials.counted[:, widths].any(axis=1)
    own = (trials.log_k, trials.log_time, trials.arrived, trials.counted)
    return Trials(*(array[np.ix_(seeds, widths)] for array in own))  # type: ignore[arg-type]


def _obstacle(trials: Trials, widths: NDArray[np.bool_]) -> str | None:
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
    row: dict[str, Any] = {"verdict": _obstacle(trials, widths)} | dict.fromkeys(NUMBERS, np.nan)
    row |= dict.fromkeys(("spread", "scatter", "level", "evidence"), np.nan)
    row |= {
        "widest": float(np.exp(trials.log_k[0, chosen].max())) if chosen.any() else np.nan,
        "trials": int(counted.sum()),
        "censored": int((counted & ~arrived).sum()),
        "diverged": int(diverged[:, chosen].sum()),
        "at_edge": edge,
    }
    if row["verdict"] is None:
        row |= _fitted(restricted(trials, widths), confidence)
    return row


def _fitted(trials: Trials, confidence: float) -> dict[str, Any]:
    """Fit the model and the laws without a threshold to one cell."""
    best = maximise(trials)
    lowest, highest = float(trials.log_k.min()), float(trials.log_k.max())
    flat = maximise(trials, fixed={2: lowest - FAR}, start=best.theta)
    rival = max(flat.value, maximise(trials, "bent").value)
    row: dict[str, Any] = {"evidence": best.value - rival}
    if 2 * row["evidence"] < chi2.ppf(confidence, 1):
        return row | {"verdict": "none seen"}
    low, high = profile(trials, best, 2, (lowest - FAR, highest + 1), confidence)
    if np.isinf(low):
        return row | {"verdict": "none seen"}
    slow, fast = profile(trials, best, 1, (float(LIMITS[0][0]), float(LIMITS[0][1])), confidence)
    return row | {"verdict": "threshold"} | _numbers(best, low, high, slow, fast)


def _numbers(best: Fit, low: float, high: float, slow: float, fast: float) -> dict[str, float]:
    level, log_gamma, m, log_tau, log_sigma = best.theta
    values = np.exp([m, low, high, log_gamma, slow, fast])
    others = {"spread": np.exp(log_tau), "scatter": np.exp(log_sigma), "level": level}
    return dict(zip(NUMBERS, values.tolist(), strict=True)) | {k: float(v) for k, v in others.items()}
