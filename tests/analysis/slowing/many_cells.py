"""Stores of many cells whose width at infinite budget is a known power of n and d.

`python -m tests.analysis.slowing.many_cells 20` measures how often the intervals of both exponents hold
the truth, and how often a threshold is seen, over so many simulated stores of each law.
"""

from __future__ import annotations

import sys
from collections import Counter

import numpy as np
import xarray as xr

from analysis.slowing import threshold_laws

from .simulation import GAMMA, _diverging, _scattered

STEPS = 20_000
POWERS = {"n": 1.2, "d": -0.9}
CONSTANT = 0.4
SIZES = {"d": [5, 10, 20], "n": [100, 200, 400]}


def store_of_cells(law: str, rng: np.random.Generator, seeds: int = 8) -> xr.Dataset:
    """Return a store of nine cells whose times follow a law.

    `diverging` has k_inf = 0.4 n^1.2 d^-0.9. `exponential` is finite at every width, and slows down at
    a width that scales alike.
    """
    n, d = (np.array(SIZES[name], dtype=float) for name in ("n", "d"))
    scale = CONSTANT * n[:, None] ** POWERS["n"] * d[None] ** POWERS["d"]
    ratios = np.array([0.8, 1.0, 1.2, 1.4, 1.7, 2.0, 2.5, 3.0])
    k = np.round(2 * scale[:, :, None] * ratios) / 2
    shape = (len(d), len(n), len(ratios), seeds)
    z, e = rng.standard_normal((*shape[:2], 1, seeds)), rng.standard_normal(shape)
    own = scale.T[:, :, None, None] * np.exp(0.03 * z) / k.transpose(1, 0, 2)[..., None]
    if law == "diverging":
        growth = _diverging(_scattered(1 - own, 0.08 / GAMMA, 0.05, e))
    else:
        growth = 2.0 * own + 0.12 * e - 0.6
    levels = 400 * (n[None, :] / 100) ** 0.7 * (d[:, None] / 10) ** -0.5
    with np.errstate(over="ignore"):
        time = np.ceil(levels[:, :, None, None] * np.exp(0.25 * z + growth))
    steps = np.where(time <= STEPS, time, np.inf)[..., None]
    return xr.Dataset(
        {
            "steps_to_tolerance": (("d", "n", "width", "seed", "tolerance"), steps),
            "status": (("d", "n", "width", "seed"), np.ones(shape, dtype="int8")),
        },
        {**SIZES, "tolerance": [0.01], "k": (("n", "d", "width"), k)},
        {"identity_fields": {"descent": {"steps": STEPS}}, "experiment": "input"},
    )


def measure(law: str, stores: int, entropy: int = 0) -> Counter[str]:
    """Count over simulated stores of a law."""
    rng, found = np.random.default_rng(entropy), Counter[str]()
    for _ in range(stores):
        row = threshold_laws(store_of_cells(law, rng)).iloc[0]
        found[row.verdict] += 1
        for name, power in POWERS.items():
            inside = row[f"exponent_{name}_low"] <= power <= row[f"exponent_{name}_high"]
            found[f"exponent of {name} covered"] += bool(inside)
        found["misfit"] += bool(row.misfit < 0.05)
        found["constant covered"] += bool(row.constant_low <= CONSTANT <= row.constant_high)
    return found


if __name__ == "__main__":
    for law in ("diverging", "exponential"):
        print(f"{law:12}", dict(measure(law, int(sys.argv[1]))), flush=True)
