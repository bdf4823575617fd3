"""The outcomes of one cell as a table, with a row for each seed or for each distinct outcome of a seed.

How many seeds have each pattern of successes and failures over the widths is all that a fit needs. Up
to `MANY` seeds each has a row of its own, so that resampling draws one seed at a time. More are counted
by their pattern, and resampling draws patterns by their numbers, which is the same distribution: time
and memory then grow with the patterns, not with the seeds.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from analysis.transitions.intervals import draws
from analysis.transitions.scales import RISING, Scale

__all__ = ["MANY", "Table", "table_of"]

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

MANY = 1000
"""The most seeds with a row each."""

AT_ONCE = 2**18
"""The most numbers of patterns that are drawn at a time."""


class Table(NamedTuple):
    """The counted trials of a cell, at the widths and for the seeds that have one.

    The axis is named for the width; along another one `k` holds its values.

    Attributes
    ----------
    k
        (widths,) ascending; descending where success falls.
    won, tried
        (rows, widths) 0 or 1.
    times
        (rows,) the number of seeds of each row.
    scale
        The scale of the axis.
    """

    k: Floats
    won: Floats
    tried: Floats
    times: Floats
    scale: Scale = Scale()

    @property
    def seeds(self) -> int:
        """The number of seeds."""
        return int(self.times.sum())

    @property
    def x(self) -> Floats:
        """The covariate of curves, (widths,): log k, unless the scale is another."""
        return self.scale.covariate(self.k)

    def resampled(self, resamples: int, entropy: int) -> tuple[Floats, Floats]:
        """Return successes and trials (1 + resamples, widths) of resampled seeds; row 0 is the data."""
        if len(self.times) == self.seeds <= MANY:
            drawn = draws(self.seeds, resamples, entropy)
            return drawn @ self.won, drawn @ self.tried
        rng = np.random.default_rng(entropy)
        shares, seeds = self.times / self.seeds, self.seeds
        both = np.concatenate([self.won, self.tried], axis=1)
        parts = [self.times[None] @ both]
        step = max(1, AT_ONCE // len(self.times))
        for start in range(0, resamples, step):
            counts = rng.multinomial(seeds, shares, size=min(step, resamples - start))
            parts.append(counts.astype(float) @ both)
        successes, trials = np.split(np.concatenate(parts), 2, axis=1)
        return successes, trials


def table_of(
    succeeded: Bools, counted: Bools, k: npt.NDArray[np.generic], scale: Scale = RISING
) -> Table:
    """Return the table of a cell.

    Parameters
    ----------
    succeeded, counted
        (widths, seeds) outcomes, and the trials that count.
    k
        (widths,) in any order.
    scale
        The scale of the axis.
    """
    order = np.flatnonzero(counted.any(axis=1))
    order = order[np.argsort(scale.upright(k[order]), kind="stable")]
    seeds = np.flatnonzero(counted.any(axis=0))
    won, tried = (a[np.ix_(order, seeds)].T for a in (succeeded & counted, counted))
    times = np.ones(len(seeds))
    if len(seeds) > MANY:
        won, tried, times = _grouped(won, tried)
    return Table(k[order].astype(float), won.astype(float), tried.astype(float), times, scale)


def _grouped(won: Bools, tried: Bools) -> tuple[Bools, Bools, Floats]:
    """Return each distinct row once, and how often it occurs."""
    bits = np.packbits(np.concatenate([won, tried], axis=1), axis=1)
    whole = np.ascontiguousarray(bits).view(f"V{bits.shape[1]}").ravel()
    _, first, times = np.unique(whole, return_index=True, return_counts=True)
    return won[first], tried[first], times.astype(float)
