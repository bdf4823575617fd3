"""Findings on depth: the width, and the number of weights, that deeper networks need.

The paper asks when depth helps and when it hurts. At equal width a deeper network has more weights, so
there are two answers: the ratio of critical widths, and that of the weights at these widths, of depth L
over depth 1. All weights are trained. A ratio says something only if its 95% interval excludes 1.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import xarray as xr

from analysis.claims.any_budget import held_out
from analysis.claims.rows import NOT_LOCATED, Claim, Mark, Verdict, cells_of, done, is_located, middle
from analysis.study import Study
from analysis.success.budgets import budget_of
from pipeline.descent.architecture import parameter_count

__all__ = ["depth"]

CRITERION = "depth lowers or raises a number if the 95% interval of its ratio excludes 1"


@dataclass(frozen=True)
class _Needed:
    """The critical width of one depth, with its 95% interval."""

    layers: int
    d: int
    width: tuple[float, float, float]

    @property
    def weights(self) -> tuple[float, float, float]:
        """The weights of the networks of these widths."""
        low, least, high = (parameter_count(k, self.d, self.layers) for k in self.width)
        return low, least, high


def depth(study: Study) -> Iterator[Claim]:
    """Yield the effect of more hidden layers on width, number of weights, and conditioning."""
    steps = budget_of(study.ds)
    for tolerance in study.widths.tolerance.values:
        at = study.widths.sel({"tolerance": tolerance})
        for cell in cells_of(at.isel(depth=0), "d", "n"):
            where = f"d={int(cell.d)}, n={int(cell.n)}, relative loss {tolerance:g}, {steps:,} steps"
            yield _row(where, int(cell.n), _located(at.sel(d=int(cell.d), n=int(cell.n))))
    yield from _at_any_budget(study.thresholds)
    yield held_out(study.held_out)
    widest = done(study.ds).isel(width=-1)
    for cell in cells_of(study.widths.isel(tolerance=-1, depth=0), "d", "n"):
        yield _conditioning(widest.sel(d=int(cell.d), n=int(cell.n)))


def _located(widths: xr.Dataset) -> list[_Needed]:
    """Return the depths of a cell whose critical width is located, from the least."""
    cells = (widths.sel(depth=layers) for layers in sorted(widths.depth.values))
    return [
        _Needed(int(c.depth), int(c.d), (float(c.k50_low), float(c.k50), float(c.k50_high)))
        for c in cells
        if is_located(c)
    ]


def _at_any_budget(table: pd.DataFrame) -> Iterator[Claim]:
    """Yield the same ratios of the widths below which no budget suffices."""
    for _, part in table.groupby(["d", "n", "tolerance"], sort=False):
        d, n = int(part.d.iloc[0]), int(part.n.iloc[0])
        known = part[part.verdict == "threshold"].sort_values("depth")
        ends = known[["k_inf_low", "k_inf", "k_inf_high"]].to_numpy(float).tolist()
        found = [
            _Needed(int(layers), d, (low, width, high))
            for layers, (low, width, high) in zip(known.depth, ends, strict=True)
        ]
        unseen = [
            f"L={int(layers)}: no finite threshold is seen"
            for layers in part[part.verdict == "none seen"].depth
        ]
        where = f"d={d}, n={n}, relative loss {part.tolerance.iloc[0]:g}, any budget"
        yield _row(where, n, found, "k_inf", unseen)


def _row(
    where: str, n: int, found: Sequence[_Needed], name: str = "k*", others: Iterable[str] = ()
) -> Claim:
    measured = [
        f"L={needed.layers}: {name} = {needed.width[1]:.1f} [{needed.width[0]:.1f}, "
        f"{needed.width[2]:.1f}], weights/n = {needed.weights[1] / n:.2f}"
        for needed in found
    ]
    return _effect(found).on(
        f"width and weights against depth ({where})",
        "; ".join([*measured, *others]) or "(none)",
        "width and weights against depth, all weights trained",
        criterion=CRITERION,
        figure="depth",
        of_paper=False,
    )


def _effect(found: Sequence[_Needed]) -> Verdict:
    """Compare the deepest network of a cell with the shallowest."""
    if len(found) < 2:
        return NOT_LOCATED
    first, last = found[0], found[-1]
    width, weights = ratio(last.width, first.width), ratio(last.weights, first.weights)
    signs = [int(low > 1) - int(high < 1) for low, _, high in (width, weights)]
    verbs = {-1: "lowers", 0: "does not measurably move", 1: "raises"}
    detail = (
        f"depth {verbs[signs[0]]} the width and {verbs[signs[1]]} the weights that are needed: "
        f"L={last.layers} over L={first.layers}, width {_told(width)}, weights {_told(weights)}"
    )
    return Verdict(Mark.FINDING if any(signs) else Mark.OPEN, detail, width[1])


def ratio(
    over: tuple[float, float, float], under: tuple[float, float, float]
) -> tuple[float, float, float]:
    """Return the ratio of two positive numbers with its interval, from low, value and high of each.

    On the log scale, the squares of the arms of both intervals add (the method of variance estimates
    recovery). Both cells have the same inputs and labels, so the interval is too wide, if anything.
    """
    low, a, high = np.log(over)
    other_low, b, other_high = np.log(under)
    below, above = np.hypot(a - low, other_high - b), np.hypot(high - a, b - other_low)
    least, value, most = np.exp([a - b - below, a - b, a - b + above])
    return float(least), float(value), float(most)


def _told(numbers: tuple[float, float, float]) -> str:
    low, value, high = numbers
    return f"{value:.2f} [{low:.2f}, {high:.2f}]"


def _conditioning(ds: xr.Dataset) -> Claim:
    ratios = ds.sigma_min / np.sqrt(ds.k) / ds.kernel_alpha.where(ds.kernel_alpha > 0)
    layers = ", ".join(f"L={int(L)}: {middle(ratios.sel(depth=L)):.3f}" for L in ds.depth.values)
    known = bool(ratios.notnull().any())
    claim = "conditioning of the last layer against depth"
    return (Verdict(Mark.FINDING, "no claim") if known else NOT_LOCATED).on(
        f"{claim} (d={int(ds.d)}, n={int(ds.n)}, k={int(ds.k.max())})",
        f"sigma_min/sqrt(k) over alpha of the kernel, {layers}" if known else "(none)",
        claim,
        figure="depth",
        of_paper=False,
    )
