"""Ratios of the width, and of the number of weights, that a deep and a shallow network need.

Depth is compared twice. The ratio of critical widths k*(L)/k*(1) tells who needs fewer units: below 1 a
deeper network fits with units that are too few for a shallow one, so at equal width depth helps. The
ratio of the weights at these widths, p*(L)/p*(1), tells the same at equal parameters.

The interval of a ratio comes from those of its two widths, by the square-and-add rule on the logarithm
(Zou and Donner 2008), which respects that they are uneven. It takes the two as independent. Networks of
all depths are trained on the same data, which moves both widths alike, so it is rather too wide.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import xarray as xr

from analysis.cells import has_interval
from pipeline.descent.architecture import parameter_count

__all__ = ["ANY_BUDGET", "Comparison", "Estimate", "compared", "compared_at_any_budget", "ratio_of"]

ANY_BUDGET = np.inf
"""The budget of a comparison of thresholds at infinite budget."""


@dataclass(frozen=True)
class Estimate:
    """A positive number with its 95% interval; an end that is not known is 0 or infinite."""

    value: float
    low: float
    high: float

    @property
    def excludes_one(self) -> int:
        """-1 if the whole interval lies below 1, 1 if above, and 0 if it holds 1."""
        return int(self.low > 1) - int(self.high < 1)

    def through(self, rising: Callable[[float], float]) -> Estimate:
        """Return the estimate of a rising function of the number."""
        return Estimate(*map(rising, (self.value, self.low, self.high)))


@dataclass(frozen=True)
class Comparison:
    """A deep network against a shallow one, at one budget and tolerance.

    Attributes
    ----------
    budget
        Steps of descent, or `ANY_BUDGET`.
    width, parameters
        The ratios of critical widths and of the weights at them; None where a width is not known.
    missing
        The numbers of layers whose width is not known.
    """

    budget: float
    width: Estimate | None
    parameters: Estimate | None
    missing: tuple[int, ...] = ()


def ratio_of(top: Estimate, bottom: Estimate) -> Estimate:
    """Return the ratio of two estimates that are taken as independent."""
    with np.errstate(divide="ignore"):
        a, a_low, a_high = np.log([top.value, top.low, top.high])
        b, b_low, b_high = np.log([bottom.value, bottom.low, bottom.high])
    down, up = np.hypot(a - a_low, b_high - b), np.hypot(a_high - a, b - b_low)
    return Estimate(*(float(end) for end in np.exp([a - b, a - b - down, a - b + up])))


def compared(widths: xr.Dataset, deep: int, shallow: int) -> Iterator[Comparison]:
    """Yield the comparison at each budget of one d, n and tolerance of `critical_widths`."""
    for budget in widths.budget.values.tolist():
        cells = {depth: widths.sel({"depth": depth, "budget": budget}) for depth in (deep, shallow)}
        known = {
            depth: Estimate(float(cell.k50), float(cell.k50_low), float(cell.k50_high))
            for depth, cell in cells.items()
            if has_interval(cell)
        }
        yield _comparison(float(budget), known, (deep, shallow), int(widths.d))


def compared_at_any_budget(rows: pd.DataFrame, deep: int, shallow: int) -> Comparison:
    """Return the comparison of the rows of one d, n and tolerance of `infinite_budget`."""
    seen = rows[rows.verdict == "threshold"].set_index("depth")
    ends = seen[["k_inf", "k_inf_low", "k_inf_high"]].astype(float)
    known = {
        int(depth): Estimate(*values)
        for depth, values in zip(seen.index.tolist(), ends.to_numpy().tolist(), strict=True)
    }
    return _comparison(ANY_BUDGET, known, (deep, shallow), int(rows.d.iloc[0]))


def _comparison(budget: float, known: dict[int, Estimate], depths: Sequence[int], d: int) -> Comparison:
    missing = tuple(depth for depth in depths if depth not in known)
    if missing:
        return Comparison(budget, None, None, missing)
    weights = [known[depth].through(_weights(d, depth)) for depth in depths]
    return Comparison(budget, ratio_of(*(known[depth] for depth in depths)), ratio_of(*weights))


def _weights(d: int, depth: int) -> Callable[[float], float]:
    return lambda k: parameter_count(k, d, depth)
