"""Claims of Section IV: how wide a network has to be where W is trained, where v is, and where both."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import xarray as xr

from analysis.claims.rows import (
    Claim,
    Mark,
    cells_of,
    done,
    is_located,
    judged,
    mean_interval,
    middle,
    spread,
    sufficient,
    width_of,
)
from analysis.study import Study
from analysis.success.budgets import budget_of
from analysis.transitions import critical_widths
from pipeline.trial_status import Status

__all__ = ["budget", "depth", "input_layer", "joint", "output_layer"]

FACTOR = 2.0
"""Up to it kd = n is said to hold: a count of degrees of freedom knows no constant."""

UNTOLD = "does not measurably move"


def input_layer(study: Study) -> Iterator[Claim]:
    """The count of weights against the count of samples, and the width that is proven to suffice."""
    widths = study.widths
    for tolerance in widths.tolerance.values:
        at = widths.sel({"tolerance": tolerance})
        cells = [c for c in cells_of(at, "d", "n") if is_located(c)]
        ratios = [float(c.k50 * c.d / c.n) for c in cells]
        verdict, mark = _count_of_freedom(cells)
        yield Claim(
            f"ReLU input layer: kd degrees of freedom fit n samples (relative loss {tolerance:g})",
            f"k* d/n = {spread(ratios)} in {len(ratios)} cells",
            verdict,
            mark,
            middle(ratios) if ratios else None,
            "ReLU input layer: kd degrees of freedom fit n samples (k* d/n)",
        )
    finest = widths.isel(tolerance=-1)
    cells = [c for c in cells_of(finest, "d", "n") if is_located(c)]
    asked = [float(c.n) ** 4 / float(c.d) ** 3 for c in cells]
    yield Claim(
        "k >= n^4/d^3 is sufficient for ReLU (input layer, constant 1)",
        f"n^4/d^3 over k* = {spread([k / float(c.k50) for k, c in zip(asked, cells, strict=True)])}",
        **sufficient(asked, cells, ".1e"),
    )


def _count_of_freedom(cells: Sequence[xr.Dataset]) -> tuple[str, Mark]:
    """Whether kd = n to `FACTOR` in all cells; it departs where the whole interval of one does."""
    if not cells:
        return "not located", Mark.OPEN
    low, mid, high = (
        np.array([float(c[name] * c.d / c.n) for c in cells]) for name in ("k50_low", "k50", "k50_high")
    )
    off = max(mid.max(), 1 / mid.min())
    if off < FACTOR:
        return f"kd = n holds to a factor of {off:.2f} at this budget", Mark.HOLDS
    told = f"k* d/n is off 1 by a factor of {off:.2f} at this budget"
    if (low > FACTOR).any() or (high < 1 / FACTOR).any():
        return told, Mark.DEPARTS
    return f"not located well enough: {told}, by its interval perhaps below {FACTOR:g}", Mark.OPEN


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
        found = [at for at in (row.sel(budget=b) for b in budgets) if is_located(at)]
        yield Claim(
            f"threshold k* d/n for {activation}, relative loss {tolerance:g} (d={d}, n={n})",
            "; ".join(told),
            _movement(found),
            Mark.FINDING if found else Mark.OPEN,
            float(row.k50.isel(budget=-1)) * d / n if is_located(row.isel(budget=-1)) else None,
            f"threshold k* d/n for {activation}, at the longest budget, over tolerances",
        )
    for cell in cells_of(widths.isel(tolerance=-1, budget=-1), "d", "n", "activation"):
        activation = str(cell.activation.item())
        if activation not in ("relu", "leaky_relu"):
            asked, known = float(cell.n) ** 2 / float(cell.d), [cell] if is_located(cell) else []
            yield Claim(
                f"k >= n^2/d is sufficient for smooth activations ({activation}, constant 1)",
                f"n^2/d over k* = {asked / float(cell.k50):.3g}" if known else width_of(cell),
                **sufficient([asked] * len(known), known, ".2g"),
            )


def _movement(found: Sequence[xr.Dataset]) -> str:
    """Whether a threshold moves with the budget, by the intervals of those that are located."""
    if not found:
        return "not located"
    if len(found) == 1:
        return "located at one budget only"
    moves = max(float(at.k50_low) for at in found) > min(float(at.k50_high) for at in found)
    return "moves with the budget" if moves else "does not move with the budget beyond its intervals"


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
    for finest in cells_of(widths.isel(tolerance=-1), "d", "n"):
        d, n, most = int(finest.d), int(finest.n), float(finest.k50 / finest.n)
        row, found = widths.sel(d=d, n=n), is_located(finest)
        told = [
            f"{t:g}: {width_of(row.sel({'tolerance': t}), 1 / n, '.2f')}" for t in row.tolerance.values
        ]
        yield Claim(
            f"k of order n suffices for zero training error by v alone (d={d}, n={n})",
            "k*/n for relative loss " + "; ".join(told),
            f"holds, with a constant of {most:.2f} at the finest" if found else "not located",
            Mark.HOLDS if found else Mark.OPEN,
            most if found else None,
            "k of order n suffices for zero training error by v alone (k*/n)",
        )


def _floor(ds: xr.Dataset, narrow: xr.DataArray) -> Claim:
    claim = "below n units no v fits: the relative loss of random signs floors near 1 - k/n"
    there = (ds.loss_final / ds.loss_initial / (1 - ds.k / ds.n)).where(narrow)
    floor = there.values[narrow.values]
    if not floor.size:
        return Claim(claim, "(none)", **judged(floor))
    measured = f"loss over it {floor.mean():.3f} in the mean, {spread(floor)}"
    if abs(floor.mean() - 1) < 0.1:
        return Claim(claim, measured, "holds in the mean", Mark.HOLDS)
    low, high = mean_interval(there.mean([dim for dim in there.dims if dim != "seed"]))
    if low > 1.1 or high < 0.9:
        return Claim(claim, measured, "finding: does not hold in the mean", Mark.FINDING)
    return Claim(claim, measured, "not located well enough: too few seeds for a mean", Mark.OPEN)


def joint(study: Study) -> Iterator[Claim]:
    """Whether training W needs fewer units than training v."""
    finest = study.widths.isel(tolerance=-1)
    if not {"input", "output"} <= set(map(str, finest.trained.values)):
        return
    for cell in cells_of(finest.isel(trained=0), "d", "n"):
        d, n = int(cell.d), int(cell.n)
        widths = finest.sel(d=d, n=n)
        told = [f"{name}: k* = {width_of(widths.sel(trained=name))}" for name in widths.trained.values]
        claim = f"W has more parameters than v, so it needs fewer units (d={d}, n={n})"
        both = (widths.sel(trained=name) for name in ("input", "output"))
        yield Claim(claim, "; ".join(told), *_fewer_units(*both))


def _fewer_units(w: xr.Dataset, v: xr.Dataset) -> tuple[str, Mark]:
    if not (is_located(w) and is_located(v)):
        return "not located", Mark.OPEN
    if w.k50_high < v.k50_low:
        return "holds in width; the proofs' bounds have it the other way round", Mark.HOLDS
    if w.k50_low > v.k50_high:
        return "does not hold here", Mark.DEPARTS
    return "not located well enough: the intervals overlap", Mark.OPEN


def depth(study: Study) -> Iterator[Claim]:
    """What more hidden layers do to width, to the count of weights, and to conditioning."""
    finest = study.widths.isel(tolerance=-1)
    for cell in cells_of(finest.isel(depth=0), "d", "n"):
        yield _depth_width(finest.sel(d=int(cell.d), n=int(cell.n)))
    widest = done(study.ds).isel(width=-1)
    for cell in cells_of(finest.isel(depth=0), "d", "n"):
        yield _depth_conditioning(widest.sel(d=int(cell.d), n=int(cell.n)))


def _depth_conditioning(ds: xr.Dataset) -> Claim:
    ratio = ds.sigma_min / np.sqrt(ds.k) / ds.kernel_alpha.where(ds.kernel_alpha > 0)
    told = [f"L={int(L)}: {middle(ratio.sel(depth=L)):.3f}" for L in ds.depth.values]
    known = bool(ratio.notnull().any())
    claim = "conditioning of the last layer against depth"
    return Claim(
        f"{claim} (d={int(ds.d)}, n={int(ds.n)}, k={int(ds.k.max())})",
        "sigma_min/sqrt(k) over alpha of the kernel, " + ", ".join(told) if known else "(none)",
        "finding, no claim" if known else "not located",
        Mark.FINDING if known else Mark.OPEN,
        group=claim,
    )


def _depth_width(widths: xr.Dataset) -> Claim:
    d, n = int(widths.d), int(widths.n)
    cells = [widths.sel(depth=layers) for layers in sorted(widths.depth.values)]
    found = [cell for cell in cells if is_located(cell)]
    claim = f"bounds for deep networks ask for more width (d={d}, n={n}, all weights trained)"
    told = [
        f"L={int(cell.depth)}: k* = {float(cell.k50):.1f} "
        f"[{float(cell.k50_low):.1f}, {float(cell.k50_high):.1f}], "
        f"parameters/n = {_parameters(cell):.2f}"
        for cell in found
    ]
    if len(found) < 2:
        return Claim(claim, "; ".join(told) or "(none)", "not located", Mark.OPEN)
    first, last = found[0], found[-1]
    width = _change(*(float(c[end]) for c in (first, last) for end in ("k50_low", "k50_high")))
    weights = _change(*(_parameters(c, end) for c in (first, last) for end in ("k50_low", "k50_high")))
    if {width, weights} == {UNTOLD}:
        return Claim(
            claim, "; ".join(told), "not located well enough: the intervals overlap", Mark.OPEN
        )
    verdict = f"depth {width} the width and {weights} the parameters that are needed"
    return Claim(claim, "; ".join(told), verdict, Mark.FINDING)


def _parameters(cell: xr.Dataset, end: str = "k50") -> float:
    """Weights of the network at its critical width, or at an end of the interval, over n."""
    k, d, layers = float(cell[end]), int(cell.d), int(cell.depth)
    return (k * d + (layers - 1) * k**2 + k) / int(cell.n)


def _change(first_low: float, first_high: float, last_low: float, last_high: float) -> str:
    if last_high < first_low:
        return "lowers"
    return "raises" if last_low > first_high else UNTOLD
