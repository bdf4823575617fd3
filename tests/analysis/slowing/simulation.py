"""Descents with a known law of time, and how often the answers about them are right.

`python -m tests.analysis.slowing.simulation 200` measures coverage, false thresholds and prediction
over so many simulated cells of each law; a second number is that of the seeds, 24 by default.
"""

from __future__ import annotations

import sys
from collections import Counter

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from analysis.slowing import infinite_budget, predicted_k50
from analysis.slowing.fitting import PRIOR
from analysis.slowing.sampling import EXPECTED

Floats = NDArray[np.float64]

BUDGET = 4000
LONG = 5 * BUDGET
THRESHOLD = 20.0
GAMMA = 1.1

LEAST_SHAPE = 0.02
"""The least s = 1/gamma that is drawn."""

FINITE = ("power", "exponential", "cut off")
"""Laws without a threshold: up to `LONG` every trial arrives, so they are fitted to `BUDGET`."""

LAWS = ("model", "drawn", "diverging", "two scatters", "no limit", *FINITE)


def store(
    law: str, rng: np.random.Generator, seeds: int = 24, threshold: float = THRESHOLD
) -> xr.Dataset:
    """Return a store of one cell whose times, up to `LONG`, follow a law.

    `model` is the model itself, with numbers as in real descents and a beta drawn from its prior;
    `drawn` has a gamma drawn too, as predictions expect it, and `diverging` has beta = 1, below
    nineteen in twenty of these. `two scatters` is that with a threshold of its own for every trial, and
    a factor on its time. `no limit` falls as a power of k/k_inf - 1 at any width. `power`,
    `exponential` and `cut off` have no threshold: the last is `diverging` with times that grow no
    further than 3,500 steps, times the factor of the seed. Attributes have s = 1/gamma and log beta.
    """
    k = np.unique(np.round(np.geomspace(14, 56, 14)))
    beta = 1.0
    if law in ("model", "drawn"):
        beta = float(np.exp(PRIOR[0] + PRIOR[1] * rng.standard_normal()))
    gamma = 1 / _drawn_shape(rng) if law == "drawn" else GAMMA
    z, e, w = (rng.standard_normal(shape) for shape in ((seeds, 1), (seeds, len(k)), (seeds, len(k))))
    ratio = (threshold * np.exp(0.03 * z) / k) ** beta
    quick = np.exp(-_growth(law, ratio, e, w, beta, gamma))  # e^a / T; 0 if it never arrives
    with np.errstate(divide="ignore"):
        time = np.ceil(600 * np.exp(0.25 * z) / quick)
    steps = np.where(time <= LONG, time, np.inf).T[None, None, :, :, None]
    status = np.ones(steps.shape[:-1], dtype="int8")
    return xr.Dataset(
        {
            "steps_to_tolerance": (("d", "n", "width", "seed", "tolerance"), steps),
            "status": (("d", "n", "width", "seed"), status),
        },
        {"d": [8], "n": [160], "tolerance": [0.01], "k": (("n", "d", "width"), k[None, None])},
        {"identity_fields": {"descent": {"steps": LONG}}, "s": 1 / gamma, "log_beta": np.log(beta)},
    )


def _drawn_shape(rng: np.random.Generator) -> float:
    """Draw s = 1/gamma as predictions expect it, above 0."""
    while (s := float(rng.normal(*EXPECTED["s"]))) < LEAST_SHAPE:
        pass
    return s


def _growth(law: str, ratio: Floats, e: Floats, w: Floats, beta: float, gamma: float) -> Floats:
    """Return log T - a of every trial; ratio is (k_inf/k)^beta, and e and w are normal."""
    sigma, rho = 0.08, 0.05
    if law in ("model", "drawn", "diverging", "cut off"):
        growth = _diverging(_scattered(1 - ratio, sigma / gamma, rho * beta, e), gamma)
        return -np.log(np.exp(-growth) + 600 / 3500) if law == "cut off" else growth
    if law == "power":
        return 1.1 + 2.5 * np.log(ratio) + sigma * e + 2.5 * rho * w
    own = ratio * np.exp(rho * w)
    if law == "exponential":
        return 2.0 * own + sigma * e - 0.6
    above = 1 - own if law == "two scatters" else 1 / own - 1
    return _diverging(above, gamma) + sigma * e + (0.3 if law == "no limit" else 0.0)


def _scattered(q: Floats, c: float, rho: float, e: Floats) -> Floats:
    """Return q with scatters c q and rho (1 - q), normal where their joint variance is constant."""
    norm = c**2 + rho**2
    place = np.arcsinh((norm * q - rho**2) / (rho * c)) + np.sqrt(norm) * e
    scattered: Floats = (np.sinh(place) * rho * c + rho**2) / norm
    return scattered


def _diverging(q: Floats, gamma: float = GAMMA) -> Floats:
    with np.errstate(divide="ignore"):
        return -gamma * np.log(np.maximum(q, 0.0))


def coverage(law: str, cells: int, entropy: int = 0, seeds: int = 24) -> Counter[str]:
    """Count over simulated cells the verdicts, and the 95% intervals that are right.

    Those of gamma mean nothing where it is drawn.
    """
    rng, found = np.random.default_rng(entropy), Counter[str]()
    budget = BUDGET if law in FINITE else LONG
    for _ in range(cells):
        row = infinite_budget(store(law, rng, seeds), budget=budget).iloc[0]
        found[row.verdict] += 1
        found["k_inf covered"] += bool(row.k_inf_low <= THRESHOLD <= row.k_inf_high)
        found["gamma covered"] += bool(row.gamma_low <= GAMMA <= row.gamma_high)
    return found


def prediction(law: str, cells: int, entropy: int = 0, seeds: int = 24) -> Counter[str]:
    """Count over simulated cells, fitted to `BUDGET`: verdicts, and the predictions at `LONG`."""
    rng, found = np.random.default_rng(entropy), Counter[str]()
    for cell in range(cells):
        ds = store(law, rng, seeds)
        found[infinite_budget(ds, budget=BUDGET).iloc[0].verdict] += 1
        for later in predicted_k50(ds, BUDGET, entropy=cell).itertuples():
            found["predictions"] += 1
            found["inside"] += bool(later.inside)
    return found


if __name__ == "__main__":
    cells, *more = map(int, sys.argv[1:])
    for law in LAWS:
        for measured in (coverage, prediction):
            counts = measured(law, cells, seeds=more[0] if more else 24)
            print(f"{law:12} {measured.__name__:10}", dict(counts), flush=True)
