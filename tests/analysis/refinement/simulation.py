"""Whole refinements of simulated thresholds: `next_round` itself, and outcomes from a known law.

A simulated store holds times of the model of `analysis.slowing`, with parameters as in real descents.
Its trials cost what real ones are estimated to cost, and none is run. So a refinement takes seconds.

`python -m tests.analysis.refinement.simulation 20` refines so many stores, and sets their core-seconds
against those of a uniform grid. Two more numbers are those of the cells and tolerances of each, 1 and 1
by default.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from analysis.refinement.plans import LOCATED, precision
from analysis.refinement.times import Round, next_round
from analysis.slowing import infinite_budget
from analysis.slowing.fitting import PRIOR
from pipeline.maintenance.plan import widened
from pipeline.sweep import Sweep
from pipeline.sweep_files.load import parse_sweep
from pipeline.trial_status import Status

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

SWEEP = """
name = "simulated"
experiment = "input"
activation = "softplus"
entropy = 1
dataset = {{ kind = "sphere" }}
d = [5]
n = {n}
width = {{ k_per_n = {width} }}
seeds = {seeds}
nested = true
[descent]
steps = {steps}
tolerances = {tolerances}
checkpoints = true
"""

COARSE = {"width": [0.12, 0.16, 0.2, 0.26, 0.34], "seeds": 6, "steps": 4000}
"""From where a refinement starts."""

UNIFORM = {
    "width": [0.08, 0.1, 0.12, 0.14, 0.16, 0.18, 0.2, 0.24, 0.28, 0.34, 0.4],
    "seeds": 36,
    "steps": 64000,
}
"""The grid of `tests/benchmarks/test_refine_thresholds.py`."""

MOST_STEPS = 10**9

WIDEST = 2000
"""A seed has a scatter at the widths from 1 to this."""

SCALE = 0.15
"""Networks of one seed share neurons: at widths 10% apart their scatter has a correlation of 0.5."""


@dataclass(frozen=True)
class Law:
    """The law of the times of a cell to a tolerance; `ratio` is k_inf / n."""

    ratio: float
    level: float
    gamma: float
    beta: float
    omega: float
    kappa: float
    sigma: float
    rho: float

    @classmethod
    def drawn(cls, rng: np.random.Generator) -> Law:
        """Draw a law like those of real cells with n/d = 20."""
        return cls(
            ratio=0.13 * math.exp(0.1 * rng.standard_normal()),
            level=math.log(2000) + 0.2 * rng.standard_normal(),
            gamma=rng.uniform(0.8, 1.6),
            beta=math.exp(PRIOR[0] + 0.2 + 0.3 * rng.standard_normal()),
            omega=rng.uniform(0.1, 0.25),
            kappa=rng.uniform(0.02, 0.07),
            sigma=rng.uniform(0.05, 0.12),
            rho=rng.uniform(0.04, 0.09),
        )

    def stricter(self) -> Law:
        """Return the law of a tolerance a tenth as large."""
        return replace(self, ratio=1.1 * self.ratio, level=self.level + 0.5)

    def first_steps(self, n: int, z: float, e: Floats) -> Floats:
        """Return the first steps of a seed at the widths 1, 2, ...; inf for never."""
        far, near = self.sigma / self.gamma, self.rho * self.beta
        norm = far**2 + near**2
        k = np.arange(1, len(e) + 1)
        q = 1 - (self.ratio * n * math.exp(self.kappa * z) / k) ** self.beta
        place = np.arcsinh((norm * q - near**2) / (near * far)) + math.sqrt(norm) * e
        scattered = (np.sinh(place) * near * far + near**2) / norm
        with np.errstate(divide="ignore", over="ignore"):
            rise = -self.gamma * np.log(np.maximum(scattered, 0.0))
            steps: Floats = np.ceil(np.exp(self.level + self.omega * z + rise))
        return steps


def scatter(rng: np.random.Generator) -> Floats:
    """Return correlated normal numbers for all widths: a Markov chain in log k."""
    kept = np.exp(-np.diff(np.log(np.arange(1, WIDEST + 1))) / SCALE)
    fresh = rng.standard_normal(WIDEST)
    e = np.empty(WIDEST)
    e[0] = fresh[0]
    for at, share in enumerate(kept, 1):
        e[at] = share * e[at - 1] + math.sqrt(1 - share**2) * fresh[at]
    return e


class Simulated:
    """A store whose trials are simulated.

    Parameters
    ----------
    laws
        The laws of its cells, one for each tolerance.
    entropy
        Seed of its draws.
    grid
        Its widths, its number of seeds and its budget.
    """

    def __init__(
        self, laws: Sequence[Sequence[Law]], entropy: int, grid: dict[str, Any] = COARSE
    ) -> None:
        n = [100 + 20 * number for number in range(len(laws))]
        tolerances = [10.0 ** -(1 + number) for number in range(len(laws[0]))]
        self.laws, self.entropy = laws, entropy
        self.sweep: Sweep = parse_sweep(SWEEP.format(n=n, tolerances=tolerances, **grid))
        self.requested: Mask = np.ones(self.sweep.shape, dtype=bool)
        self.steps: Floats = np.full(self.sweep.shape, np.nan)
        self._known: dict[tuple[int, int], Floats] = {}
        self._run(self.requested)

    def _first_steps(self, cell: int, seed: int) -> Floats:
        """Return the first steps of a seed, (tolerance, width)."""
        if (cell, seed) not in self._known:
            rng = np.random.default_rng([self.entropy, cell, seed])
            z, e = rng.standard_normal(), scatter(rng)
            steps = [law.first_steps(self.sweep.n[cell], z, e) for law in self.laws[cell]]
            self._known[cell, seed] = np.maximum.accumulate(steps, axis=0)
        return self._known[cell, seed]

    def _run(self, only: Mask) -> None:
        """Run some trials to the end of the budget."""
        for cell in self.sweep.cells():
            for row, column in np.argwhere(only[cell.index]).tolist():
                last = self._first_steps(cell.index[-1], self.sweep.seeds[column])[-1]
                taken = min(self.sweep.descent.steps, last[cell.widths[row] - 1])
                self.steps[(*cell.index, row, column)] = taken

    @property
    def dataset(self) -> xr.Dataset:
        """What `open_store` returns of such a store, as far as thresholds need it."""
        sweep, dims = self.sweep, self.sweep.dims
        first = np.full((*sweep.shape, len(sweep.descent.tolerances)), np.inf)
        k = np.empty(sweep.shape[:-1])
        for cell in sweep.cells():
            k[cell.index] = cell.widths
            for column, seed in enumerate(sweep.seeds):
                own = self._first_steps(cell.index[-1], seed)[:, np.array(cell.widths) - 1]
                first[(*cell.index, slice(None), column)] = own.T
        first[~(first <= self.steps[..., None])] = np.inf
        status = np.where(self.requested, Status.DONE, Status.NOT_REQUESTED).astype("int8")
        return xr.Dataset(
            {
                "steps_to_tolerance": ((*dims, "tolerance"), first),
                "status": (dims, status),
                "steps": (dims, self.steps),
            },
            {axis: list(sweep.values(axis)) for axis in sweep.axes}
            | {"tolerance": list(sweep.descent.tolerances), "k": (dims[:-1], k)},
            {"identity_fields": {"descent": {"steps": sweep.descent.steps}}},
        )

    def change(self, found: Round) -> bool:
        """Make the change of a round, and run what is pending then; False if there is none."""
        if found.longer is not None:
            self.sweep = self.sweep.with_steps(found.longer.steps)
            self._run(found.longer.only)
        elif found.requests:
            self._grow(found)
        return found.longer is not None or bool(found.requests)

    def _grow(self, found: Round) -> None:
        old = self.sweep
        new = self.sweep = widened(
            old,
            width={one.width for one in found.requests},
            seeds={seed for one in found.requests for seed in one.seeds},
        )
        there = np.ix_(
            *(range(len(old.values(axis))) for axis in old.axes),
            [new.width.index(one) for one in old.width],
            [new.seeds.index(one) for one in old.seeds],
        )
        before, steps = np.zeros(new.shape, dtype=bool), np.full(new.shape, np.nan)
        before[there], steps[there] = self.requested, self.steps
        requested = before.copy()
        for one in found.requests:
            columns = [new.seeds.index(seed) for seed in one.seeds]
            requested[(*one.cell, new.width.index(one.width), columns)] = True
        self.requested, self.steps = requested, steps
        self._run(requested & ~before)


def refined(store: Simulated, target: float, seconds: float) -> Round:
    """Refine a simulated store to its end, or to so many core-seconds; return the last round."""
    while True:
        found = next_round(store.dataset, store.sweep, target, seconds=seconds, most_steps=MOST_STEPS)
        if not store.change(found):
            return found


def laws_of(entropy: int, cells: int = 1, tolerances: int = 1) -> list[list[Law]]:
    """Draw the laws of the cells of a store, each with all its tolerances."""
    rng, found = np.random.default_rng([entropy, 0]), []
    for _ in range(cells):
        own = [Law.drawn(rng)]
        while len(own) < tolerances:
            own.append(own[-1].stricter())
        found.append(own)
    return found


def measured(laws: list[list[Law]], entropy: int, target: float = 0.1) -> dict[str, float]:
    """Refine a store: the number of thresholds, of those located and covered, and core-seconds."""
    thresholds = [law.ratio * (100 + 20 * cell) for cell, own in enumerate(laws) for law in own]
    last = refined(Simulated(laws, entropy), target, 60.0 * len(thresholds))
    located = [
        (state, k) for state, k in zip(last.states, thresholds, strict=True) if state.verdict == LOCATED
    ]
    return {
        "entropy": entropy,
        "thresholds": len(thresholds),
        "located": len(located),
        "covered": sum(state.low <= k <= state.high for state, k in located),
        "widest": max((state.now for state, _ in located), default=math.inf),
        "seconds": last.spent,
    }


def uniform_seconds(laws: list[list[Law]], entropy: int, now: float) -> float:
    """Return the core-seconds of the uniform grid with as many seeds as reach an interval.

    The square of an interval falls as one over the seeds. Infinite if the grid locates no threshold.
    """
    grid = Simulated(laws, entropy + 10**6, UNIFORM)
    spent = next_round(grid.dataset, grid.sweep, 0.1, seconds=0.0).spent
    rows = infinite_budget(grid.dataset).itertuples()
    widest = max(precision(row.k_inf_low, row.k_inf_high) for row in rows)
    return spent * ((widest if widest > 0 else math.inf) / now) ** 2


if __name__ == "__main__":
    stores, *sizes = map(int, sys.argv[1:])
    every = []
    for entropy in range(stores):
        laws = laws_of(entropy, *sizes)
        one = measured(laws, entropy)
        every.append(one | {"uniform": uniform_seconds(laws, entropy, one["widest"])})
        print(every[-1], flush=True)
    total = {key: sum(one[key] for one in every) for key in ("thresholds", "located", "covered")}
    ratio = np.median([one["uniform"] / one["seconds"] for one in every])
    print(total, f"median ratio of core-seconds: {ratio:.1f}")
