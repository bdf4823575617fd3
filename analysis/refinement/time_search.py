"""The search for widths and budgets at which some trials of a cell arrive and some do not.

Without both, the model of times has no fit. The search ends where the cell can be fitted, or where
neither wider networks nor longer trials help.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from analysis.refinement.plans import FARTHEST, LOST, OPEN, Plan
from analysis.refinement.time_cells import BATCH, LONGER, CellOfTimes, TimeState
from analysis.slowing.cells import arriving

__all__ = ["all_censored", "search"]

STEP = 1.5
"""Factor of a step outwards, where the widths do not reach the transition."""

LONGEST = 64
"""Largest factor of the budget with which the search for trials that arrive began."""


def all_censored(cell: CellOfTimes, state: TimeState, budget: int, longer: int) -> TimeState:
    """Return the state of a cell without arrivals: with wider networks, or longer trials.

    Either may be what is missing. The budget grows as the square of the width: every width takes
    some steps, while most grids of widths reach the transition.
    """
    widest = int(np.flatnonzero(cell.trials.counted.any(axis=0))[-1])
    k = round(math.exp(cell.trials.log_k[0, widest]))
    waits = cell.trials.counted & ~cell.trials.arrived
    grown = budget / round(math.exp(cell.trials.log_time[waits].min()))
    why = f"after {budget} steps most are censored even at"
    if longer and (k / cell.line.grid[-1]) ** 2 > grown:
        if LONGER * grown > LONGEST:
            return replace(state, plan=Plan(LOST, f"{why} k = {k}"))
        seeds = np.flatnonzero(waits[:, widest])
        # The rows of `trials` are the seeds of the store.
        return replace(state, longer=tuple((widest, seed) for seed in seeds.tolist()))
    return replace(state, plan=_beyond(cell, k * STEP, why))


def search(cell: CellOfTimes) -> Plan:
    """Plan seeds at widths that make the cell one that can be fitted."""
    there = cell.trials.counted.any(axis=0)
    k = np.exp(cell.trials.log_k[0, there])
    if cell.row["verdict"] == "none censored":
        return _beyond(cell, float(k[0]) / math.sqrt(STEP), "every trial arrives even at")
    half = arriving(cell.trials)  # only widths at which trials arrive end the search
    base = float(np.exp(cell.trials.log_k[0, half].min())) if half.any() else float(k[0])
    wanted = (base * factor for factor in (1.0, 1.15, 1.35, 1.6))
    widths = dict.fromkeys(cell.line.lattice.near(one, 0.05) for one in wanted)
    return Plan(OPEN, "", BATCH, BATCH, tuple(widths), True)


def _beyond(cell: CellOfTimes, k: float, why: str) -> Plan:
    """Plan seeds beyond the widths that are there."""
    grid = cell.line.grid
    log_k = cell.trials.log_k[0, cell.trials.counted.any(axis=0)]
    end = float(np.exp(log_k[-1 if k > np.exp(log_k[0]) else 0]))
    value = cell.line.lattice.near(max(k, 1.0), 0.1)
    new = cell.line.lattice.number(value)
    reached = not grid[0] / FARTHEST <= new <= grid[-1] * FARTHEST or not cell.line.fits(new)
    if reached or abs(math.log(new / end)) < 1e-9:
        return Plan(LOST, f"{why} k = {end:g}")
    return Plan(OPEN, "", BATCH, BATCH, (value,), True)
