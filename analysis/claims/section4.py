"""Claims of Section IV: the width that a network needs if W, if v, or if both are trained."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import xarray as xr

from analysis.claims.rows import (
    NOT_LOCATED,
    SUFFICES,
    Claim,
    Mark,
    Quantity,
    Reading,
    Verdict,
    cells_of,
    counted,
    done,
    is_located,
    lies_above,
    looseness_of,
    mean_interval,
    reach_of,
    reading_of,
    spread,
    sufficient,
    width_of,
)
from analysis.experiments.input import is_smooth
from analysis.study import Study
from analysis.success.budgets import budget_of
from pipeline.trial_status import Status

__all__ = ["budget", "input_layer", "joint", "output_layer"]

FACTOR = 2.0
"""kd = n counts as met up to this factor, since a count of degrees of freedom has no constant."""

LIMIT, FLOOR = 1e-3, 0.1
"""Relative errors up to which descent on v counts as ended, and its loss as the floor."""

OVERLAP = Verdict(Mark.OPEN, "the intervals overlap")


# --- W trained ------------------------------------------------------------------------------------


def input_layer(study: Study) -> Iterator[Claim]:
    """Yield the claims on the count of weights and on the width that is proven to suffice."""
    widths = study.widths
    for tolerance in widths.tolerance.values:
        at = widths.sel({"tolerance": tolerance})
        cells = list(cells_of(at, "d", "n"))
        yield _degrees_of_freedom(cells).on(
            f"ReLU input layer: kd degrees of freedom fit n samples (relative loss {tolerance:g})",
            _freedom_of(cells),
            "ReLU input layer: kd degrees of freedom fit n samples (k* d/n)",
            criterion=f"k* d/n is within a factor of {FACTOR:g} of 1 in every cell",
            figure="thresholds",
            readings=_weights(study, cells, tolerance) if tolerance == widths.tolerance[-1] else (),
        )
    finest = widths.isel(tolerance=-1)
    cells = list(cells_of(finest, "d", "n"))
    proven = [float(c.n) ** 4 / float(c.d) ** 3 for c in cells]
    ratios = [k / float(c.k50) for k, c in zip(proven, cells, strict=True) if is_located(c)]
    yield sufficient(proven, cells, ".1e").on(
        "k >= n^4/d^3 is sufficient for ReLU (input layer, constant 1)",
        f"n^4/d^3 over k* = {spread(ratios)}",
        criterion=SUFFICES,
        figure="laws",
        readings=looseness_of(Quantity.INPUT_BOUND, cells, proven, _loss(finest)),
    )


def _weights(study: Study, cells: Sequence[xr.Dataset], tolerance: float) -> tuple[Reading, ...]:
    """Return k* d/n of cells, with the loss and the budget at which it holds."""
    at = f"relative loss {tolerance:g}, {budget_of(study.ds)} steps"
    return reading_of(Quantity.INPUT, cells, [float(c.d / c.n) for c in cells], at)


def _loss(widths: xr.Dataset) -> str:
    return f"relative loss {float(widths.tolerance):g}"


def _freedom_of(cells: Sequence[xr.Dataset]) -> str:
    """Return k* d/n of the located cells as text, and the number of cells above the widths."""
    ratios = [float(c.k50 * c.d / c.n) for c in cells if is_located(c)]
    above = sum(map(lies_above, cells))
    more = f"; above the widths in {above}" if above else ""
    return f"k* d/n = {spread(ratios)} in {len(ratios)} of {len(cells)} cells{more}"


def _degrees_of_freedom(cells: Sequence[xr.Dataset]) -> Verdict:
    """Return whether kd = n up to `FACTOR`; it departs if the whole interval of a cell does.

    A cell that is not located counts against it if its one end does, and is undecided if not.
    """
    known = [c for c in cells if is_located(c)]
    mid = np.array([float(c.k50 * c.d / c.n) for c in known])
    reach = [[end * float(c.d / c.n) for end in reach_of(c)] for c in cells]
    low, high = np.reshape(reach, (-1, 2)).T
    against = (low > FACTOR) | (high < 1 / FACTOR)
    met = int(((mid < FACTOR) & (mid > 1 / FACTOR)).sum())
    left = len(cells) - int(against.sum()) - met
    ratio = float(np.median(mid)) if known else None
    rule = f"; below {FACTOR:g} holds ({_sizes(cells)})"
    if against.any():
        where = f"surely by more than {FACTOR:g} in {int(against.sum())} of {len(cells)} cells"
        others = f", undecided in {left}" if left else ""
        detail = f"k* d/n differs from 1 by a factor of {_farthest(cells)} at this budget"
        return Verdict(Mark.DEPARTS, f"{detail}, {where}{others}{rule}", ratio)
    if not known:
        return NOT_LOCATED
    off = max(mid.max(), 1 / mid.min())
    if not left:
        return Verdict(Mark.HOLDS, f"kd = n to a factor of {off:.2f} at this budget{rule}", ratio)
    detail = f"k* d/n differs from 1 by a factor of {off:.2f} at this budget where it is located"
    return Verdict(Mark.OPEN, f"{detail}; undecided in {left} of {len(cells)} cells{rule}", ratio)


def _farthest(cells: Sequence[xr.Dataset]) -> str:
    """Return the largest factor between k* d/n and 1 as text, `3.41` or `more than 4.00`."""
    found = []
    for cell in cells:
        scale, is_known = float(cell.d / cell.n), is_located(cell)
        low, high = (float(cell.k50),) * 2 if is_known else reach_of(cell)
        found.append((max(low * scale, 1 / (high * scale)), is_known))
    off, is_known = max(found)
    return f"{off:.2f}" if is_known else f"more than {off:.2f}"


def _sizes(cells: Sequence[xr.Dataset]) -> str:
    """Return the number of cells and the sizes that they have, `4 cells: n = 300, 390; d = 10, 15`."""
    sizes = "; ".join(
        f"{name} = {', '.join(f'{size:g}' for size in sorted({c[name].item() for c in cells}))}"
        for name in ("n", "d")
    )
    return f"{len(cells)} cell{'' if len(cells) == 1 else 's'}: {sizes}"


def budget(study: Study) -> Iterator[Claim]:
    """Yield the thresholds of every activation against tolerance and budget."""
    top = budget_of(study.ds)
    budgets = sorted({top // 10, top // 3, top})
    widths = study.at_budgets(budgets).widths
    for cell in cells_of(widths.isel(budget=-1), "d", "n", "activation", "tolerance"):
        d, n, activation = int(cell.d), int(cell.n), str(cell.activation.item())
        tolerance = float(cell.tolerance)
        row = widths.sel({"activation": activation, "tolerance": tolerance, "d": d, "n": n})
        at_budgets = [row.sel(budget=b) for b in budgets]
        measured = [
            f"{b:g} steps: {width_of(at, d / n, '.2f')}"
            for b, at in zip(budgets, at_budgets, strict=True)
        ]
        yield _movement(at_budgets, d / n).on(
            f"threshold k* d/n for {activation}, relative loss {tolerance:g} (d={d}, n={n})",
            "; ".join(measured),
            f"threshold k* d/n for {activation}, at the longest budget, over tolerances",
            figure="budget",
            of_paper=False,
        )
    for cell in cells_of(widths.isel(tolerance=-1, budget=-1), "d", "n", "activation"):
        activation = str(cell.activation.item())
        if is_smooth(activation):
            proven = float(cell.n) ** 2 / float(cell.d)
            yield sufficient([proven], [cell], ".2g").on(
                f"k >= n^2/d is sufficient for smooth activations ({activation}, constant 1)",
                f"n^2/d over k* = {proven / float(cell.k50):.3g}"
                if is_located(cell)
                else width_of(cell),
                criterion=SUFFICES,
                figure="budget",
                readings=looseness_of(Quantity.SMOOTH_BOUND, [cell], [proven], _loss(cell)),
            )


def _movement(at_budgets: Sequence[xr.Dataset], scale: float) -> Verdict:
    """Return whether a threshold moves with the budget, by the intervals of those that are located."""
    found = [at for at in at_budgets if is_located(at)]
    if not found:
        return NOT_LOCATED
    longest = at_budgets[-1]
    factor = float(longest.k50) * scale if is_located(longest) else None
    lows, highs = zip(*map(reach_of, at_budgets), strict=True)
    moves = max(lows) > min(highs)
    if len(found) == 1 and not moves:
        return Verdict(Mark.FINDING, "located at one budget only", factor)
    detail = "it moves with the budget" if moves else "it does not move beyond the intervals"
    return Verdict(Mark.FINDING, detail, factor)


# --- v trained ------------------------------------------------------------------------------------


def output_layer(study: Study) -> Iterator[Claim]:
    """Yield the claims on the limit of descent on v and on the width from which it fits."""
    ds, widths = done(study.ds), study.widths
    there = ds.status == Status.DONE
    ratio = (ds.k / ds.n).broadcast_like(ds.status)
    error = ds.solution_error.values[((ratio >= 2) & there).values]
    yield counted(error < LIMIT, f", to {LIMIT:g}").on(
        "descent on v tends to the pseudo-inverse solution (k >= 2n, full budget)",
        f"relative distance from it {spread(error, '.1e')}",
        criterion=f"that distance is below {LIMIT:g} in every trial",
        figure="curves",
    )
    yield _floor(ds, (ratio < 0.8) & there)
    for finest in cells_of(widths.isel(tolerance=-1), "d", "n"):
        d, n, most = int(finest.d), int(finest.n), float(finest.k50 / finest.n)
        row = widths.sel(d=d, n=n)
        measured = [
            f"{t:g}: {width_of(row.sel({'tolerance': t}), 1 / n, '.2f')}" for t in row.tolerance.values
        ]
        detail = f"with a constant of {most:.2f} at the finest, at one n; below {FACTOR:g} holds"
        holds = Verdict(Mark.HOLDS if most < FACTOR else Mark.FINDING, detail, most)
        yield (holds if is_located(finest) else _beyond(finest)).on(
            f"k of order n suffices for zero training error by v alone (d={d}, n={n})",
            "k*/n for relative loss " + "; ".join(measured),
            "k of order n suffices for zero training error by v alone (k*/n)",
            criterion="k* is located at the finest tolerance; its constant is then known",
            figure="laws",
            readings=reading_of(
                Quantity.OUTPUT, [finest], [1 / n], f"{_loss(finest)}, {budget_of(ds)} steps"
            ),
        )


def _beyond(cell: xr.Dataset) -> Verdict:
    """Return that the constant of k*/n is large where the widths of the sweep do not reach k*."""
    least = reach_of(cell)[0] / float(cell.n)
    if least < FACTOR:
        return NOT_LOCATED
    detail = f"with a constant above {least:.2f} at the finest, at one n; below {FACTOR:g} holds"
    return Verdict(Mark.FINDING, detail, word="beyond the widths")


def _floor(ds: xr.Dataset, narrow: xr.DataArray) -> Claim:
    claim = "below n units no v fits: the relative loss of random signs floors near 1 - k/n"
    more: dict[str, Any] = {"figure": "curves", "of_paper": False}
    there = (ds.loss_final / ds.loss_initial / (1 - ds.k / ds.n)).where(narrow)
    floor = there.values[narrow.values]
    if not floor.size:
        return counted(floor).on(claim, "(none)", **more)
    measured = f"loss over it {floor.mean():.3f} in the mean, {spread(floor)}"
    if abs(floor.mean() - 1) < FLOOR:
        return Verdict(Mark.FINDING, f"it holds in the mean, to {FLOOR:.0%}").on(
            claim, measured, **more
        )
    low, high = mean_interval(there.mean([dim for dim in there.dims if dim != "seed"]))
    if low > 1 + FLOOR or high < 1 - FLOOR:
        return Verdict(Mark.FINDING, "it does not hold in the mean").on(claim, measured, **more)
    return Verdict(Mark.OPEN, "too few seeds for a mean").on(claim, measured, **more)


# --- both, and more layers ------------------------------------------------------------------------


def joint(study: Study) -> Iterator[Claim]:
    """Yield the comparison of the widths that training W and training v need."""
    finest = study.widths.isel(tolerance=-1)
    if not {"input", "output"} <= set(map(str, finest.trained.values)):
        return
    for cell in cells_of(finest.isel(trained=0), "d", "n"):
        d, n = int(cell.d), int(cell.n)
        widths = finest.sel(d=d, n=n)
        w, v = (widths.sel(trained=name) for name in ("input", "output"))
        yield _fewer_units(w, v).on(
            f"W has more parameters than v, so it needs fewer units (d={d}, n={n})",
            "; ".join(f"{t}: k* = {width_of(widths.sel(trained=t))}" for t in widths.trained.values),
            criterion="the 95% intervals of both k* are disjoint, and W's is the lower one",
            figure="layers",
        )


def _fewer_units(w: xr.Dataset, v: xr.Dataset) -> Verdict:
    (w_low, w_high), (v_low, v_high) = reach_of(w), reach_of(v)
    if w_high < v_low:
        return Verdict(Mark.HOLDS, "in width; the bounds of the proofs are ordered the other way")
    if w_low > v_high:
        return Verdict(Mark.DEPARTS, "it does not hold here")
    return OVERLAP if is_located(w) and is_located(v) else NOT_LOCATED
