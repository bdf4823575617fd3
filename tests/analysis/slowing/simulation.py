"""Descents with a known law of time, and how often the answers about them are right.

`python -m tests.analysis.slowing.simulation 200` measures coverage, false thresholds and prediction
over so many simulated cells of each law.
"""

from __future__ import annotations

import sys
from collections import Counter

import numpy as np
import xarray as xr

from analysis.slowing import infinite_budget, predicted_k50

BUDGET = 4000
THRESHOLD = 20.0


def store(law: str, rng: np.random.Generator, seeds: int = 24, tau: float = 0.06, sigma: float = 0.15,
          gamma: float = 0.8) -> xr.Dataset:  # fmt: skip
    """Return a store of one cell whose times, up to five times `BUDGET`, follow a law.

    `diverging` is the model itself. `far bend` falls as the model near the threshold and stays constant
    far above it. `power`, `exponential` and `cut off` have no threshold: the last is the model whose
    time grows no further than 2,500 steps.
    """
    k = np.unique(np.round(np.geomspace(14, 56, 14)))
    u = np.log(THRESHOLD) + tau * rng.standard_normal((seeds, 1))
    x = np.log(k) - u
    with np.errstate(invalid="ignore", divide="ignore"):
        time = 1000 * np.where(x > 0, np.expm1(x), 0.0) ** -gamma
        if law == "far bend":
            time = time + 300
        elif law == "cut off":
            time = 1 / (1 / time + 1 / 2500)
        elif law == "power":
            time = 1800 * np.exp(-2.5 * x)
        elif law == "exponential":
            time = 300 * np.exp(2.6 * np.exp(-x))
    time = np.ceil(time * np.exp(sigma * rng.standard_normal(x.shape)))
    steps = np.where(time <= 5 * BUDGET, time, np.inf).T[None, None, :, :, None]
    status = np.ones(steps.shape[:-1], dtype="int8")
    return xr.Dataset(
        {
            "steps_to_tolerance": (("d", "n", "width", "seed", "tolerance"), steps),
            "status": (("d", "n", "width", "seed"), status),
        },
        {"d": [8], "n": [160], "tolerance": [0.01], "k": (("n", "d", "width"), k[None, None])},
        {"identity_fields": {"descent": {"steps": 5 * BUDGET}}},
    )


def measure(law: str, cells: int, entropy: int = 0) -> Counter[str]:
    """Count over simulated cells, fitted at `BUDGET` and predicted at five times as many steps."""
    rng, found = np.random.default_rng(entropy), Counter[str]()
    for cell in range(cells):
        ds = store(law, rng)
        row = infinite_budget(ds, budget=BUDGET).iloc[0]
        found[row.verdict] += 1
        found["covered"] += bool(row.k_inf_low <= THRESHOLD <= row.k_inf_high)
        found["gamma covered"] += bool(row.gamma_low <= 0.8 <= row.gamma_high)
        for later in predicted_k50(ds, BUDGET, entropy=cell).itertuples():
            found["predictions"] += 1
            found["inside"] += bool(later.inside)
    return found


if __name__ == "__main__":
    for law in ("diverging", "far bend", "power", "exponential", "cut off"):
        print(f"{law:12}", dict(measure(law, int(sys.argv[1]))), flush=True)
