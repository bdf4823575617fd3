"""Claims of Section IV: how wide a network has to be where W is trained, where v is, and where both."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import xarray as xr

from analysis import critical_widths
from analysis.budgets import budget_of
from analysis.claims.rows import (
    Claim,
    Mark,
    cells_of,
    done,
    is_located,
    judged,
    middle,
    spread,
    width_of,
)
from analysis.figures import Study
from pipeline.status import Status

__all__ = ["budget", "depth", "input_layer", "joint", "output_layer"]

FACTOR = 2.0
"""Up to it kd = n is said to hold: a count of degrees of freedom knows no constant."""


def input_layer(study: Study) -> Iterator[Claim]:
    """The count of weights against the count of samples, and the width that is proven to suffice."""
    widths = study.widths
    for tolerance in widths.tolerance.values:
        at = widths.sel({"tolerance": tolerance})
        cells = [c for c in cells_of(at, "d", "n") if is_located(c)]
        ratios = [float(c.k50 * c.d / c.n) for c in cells]
        if not ratios:
            continue
        off = max(max(ratios), 1 / min(ratios))
        yield Claim(
            f"ReLU input layer: kd degrees of freedom fit n samples (relative loss {tolerance:g})",
            f"k* d/n = {spread(ratios)} in {len(ratios)} cells",
            f"kd = n holds to a factor of {off:.2f} at this budget",
            Mark.HOLDS if off < FACTOR else Mark.DEPARTS,
            middle(ratios),
            "ReLU input layer: kd degrees of freedom fit n samples (k* d/n)",
        )
    finest = widths.isel(tolerance=-1)
    cells = [c for c in cells_of(finest, "d", "n") if is_located(c)]
    factors = [float(c.n**4 / c.d**3 / c.k50) for c in cells]
    if factors:
        yield Claim(
            "k >= n^4/d^3 is sufficient for ReLU (input layer, constant 1)",
            f"n^4/d^3 over k* = {spread(factors)}",
            f"sufficient, loose by a factor of {middle(factors):.1e}",
            Mark.LOOSE,
            middle(factors),
        )


def budget(study: Study) -> Iterator[Claim]:
    """How the threshold moves with tolerance and budget, for every activation."""
    top = budget_of(study.ds)
    budgets = sorted({top // 10, top // 3, top})
    widths = critical_widths(study.ds, budgets=budgets)
    for cell in cells_of(widths.isel(budget=-1), "d", "n", "activation", "tolerance"):
        d, n, activation = int(cell.d), int(cell.n), str(cell.activation.item())
        tolerance = float(cell.tolerance)
        row = widths.sel({"activation": activation, "tolerance": tolerance, "d": d, "n": n})
        told = [f"{b:g} steps: {width_of(row.sel(budget=b), d / n, '.2f')}" for b in budgets]
        found = any(is_located(row.sel(budget=b)) for b in budgets)
        yield Claim(
            f"threshold k* d/n for {activation}, relative loss {tolerance:g} (d={d}, n={n})",
            "; ".join(told),
            "moves with tolerance and budget" if found else "not located",
            Mark.FINDING if found else Mark.OPEN,
            float(row.k50.isel(budget=-1)) * d / n if is_located(row.isel(budget=-1)) else None,
            f"threshold k* d/n for {activation}, at the longest budget, over tolerances",
        )
    for cell in cells_of(widths.isel(tolerance=-1, budget=-1), "d", "n", "activation"):
        activation = str(cell.activation.item())
        if activation not in ("relu", "leaky_relu") and is_located(cell):
            factor = float(cell.n**2 / cell.d / cell.k50)
            yield Claim(
                f"k >= n^2/d is sufficient for smooth activations ({activation}, constant 1)",
                f"n^2/d over k* = {factor:.3g}",
                f"sufficient, loose by a factor of {factor:.2g}",
                Mark.LOOSE,
                factor,
            )


def output_layer(study: Study) -> Iterator[Claim]:
    """Where descent on v ends, and the width from which it fits."""
    ds, widths = done(study.ds), study.widths
    there = ds.status == Status.DONE
    ratio = (ds.k / ds.n).broadcast_like(ds.status)
    error = ds.solution_error.values[((ratio >= 2) & there).values]
    yield Claim(
        "descent on v tends to the pseudo-inverse solution (k >= 2n, full budget)",
        f"relative distance from it {spread(error, '.1e')}",
        **judged(error < 1e-3, " to 1e-3"),
    )
    yield _floor(ds, (ratio < 0.8) & there)
    for n in widths.n.values:
        told, most = [], np.nan
        for place, tolerance in enumerate(widths.tolerance.values):
            cell = widths.sel(n=n).isel(tolerance=place, d=0)
            told.append(f"{tolerance:g}: {width_of(cell, 1 / n, '.2f')}")
            most = float(cell.k50) / n
        yield Claim(
            f"k of order n suffices for zero training error by v alone (n={n})",
            "k*/n for relative loss " + "; ".join(told),
            "not located" if np.isnan(most) else f"holds, with a constant of {most:.2f} at the finest",
            Mark.OPEN if np.isnan(most) else Mark.HOLDS,
            None if np.isnan(most) else most,
            "k of order n suffices for zero training error by v alone (k*/n)",
        )


def _floor(ds: xr.Dataset, narrow: xr.DataArray) -> Claim:
    claim = "below n units no v fits: the relative loss of random signs floors near 1 - k/n"
    floor = (ds.loss_final / ds.loss_initial / (1 - ds.k / ds.n)).values[narrow.values]
    if not floor.size:
        return Claim(claim, "(none)", **judged(floor))
    holds = abs(floor.mean() - 1) < 0.1
    return Claim(
        claim,
        f"loss over it {floor.mean():.3f} in the mean, {spread(floor)}",
        "holds in the mean" if holds else "does not hold in the mean",
        Mark.HOLDS if holds else Mark.DEPARTS,
    )


def joint(study: Study) -> Iterator[Claim]:
    """Whether training W needs fewer units than training v."""
    finest = study.widths.isel(tolerance=-1)
    if not {"input", "output"} <= set(map(str, finest.trained.values)):
        return
    for cell in cells_of(finest.isel(trained=0), "d", "n"):
        d, n = int(cell.d), int(cell.n)
        widths = finest.sel(d=d, n=n)
        told = [f"{name}: k* = {width_of(widths.sel(trained=name))}" for name in widths.trained.values]
        ends = [float(widths.k50.sel(trained=name)) for name in ("input", "output")]
        claim = f"W has more parameters than v, so it needs fewer units (d={d}, n={n})"
        if np.isnan(ends).any():
            yield Claim(claim, "; ".join(told), "not located", Mark.OPEN)
        elif ends[0] < ends[1]:
            verdict = "holds in width; the proofs' bounds have it the other way round"
            yield Claim(claim, "; ".join(told), verdict, Mark.HOLDS)
        else:
            yield Claim(claim, "; ".join(told), "does not hold here", Mark.DEPARTS)


def depth(study: Study) -> Iterator[Claim]:
    """What more hidden layers do to width, to the count of weights, and to conditioning."""
    finest = study.widths.isel(tolerance=-1)
    for cell in cells_of(finest.isel(depth=0), "d", "n"):
        yield from _depth_width(finest.sel(d=int(cell.d), n=int(cell.n)))
    ds = done(study.ds).isel(width=-1, d=0, n=0)
    ratio = ds.sigma_min / np.sqrt(ds.k) / ds.kernel_alpha.where(ds.kernel_alpha > 0)
    told = [f"L={int(L)}: {middle(ratio.sel(depth=L)):.3f}" for L in ds.depth.values]
    known = bool(ratio.notnull().any())
    yield Claim(
        f"conditioning of the last layer against depth (k={int(ds.k.max())})",
        "sigma_min/sqrt(k) over alpha of the kernel, " + ", ".join(told) if known else "(none)",
        "finding, no claim" if known else "not located",
        Mark.FINDING if known else Mark.OPEN,
    )


def _depth_width(widths: xr.Dataset) -> Iterator[Claim]:
    d, n = int(widths.d), int(widths.n)
    located = {}
    for layers in widths.depth.values:
        cell = widths.sel(depth=layers)
        if is_located(cell):
            k = float(cell.k50)
            located[int(layers)] = (k, (k * d + (layers - 1) * k**2 + k) / n)
    claim = f"bounds for deep networks ask for more width (d={d}, n={n}, all weights trained)"
    told = [f"L={L}: k* = {k:.1f}, parameters/n = {p:.2f}" for L, (k, p) in located.items()]
    if len(located) < 2:
        yield Claim(claim, "; ".join(told) or "(none)", "not located", Mark.OPEN)
        return
    first, last = located[min(located)], located[max(located)]
    yield Claim(
        claim,
        "; ".join(told),
        f"depth {'lowers' if last[0] < first[0] else 'raises'} the width and "
        f"{'lowers' if last[1] < first[1] else 'raises'} the parameters that are needed",
        Mark.FINDING,
    )
