"""Findings on depth: when more hidden layers help or hurt, at equal width and at equal parameters.

The paper asks it and claims nothing. The rule: depth helps if the whole 95% interval of the ratio of
what a deep network needs to what a shallow one needs lies below 1, and hurts if it lies above. The
ratio that decides is that of the widths below which no budget suffices, if one is seen at both depths,
and otherwise that at the largest budget.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
import xarray as xr

from analysis.claims.rows import (
    NOT_LOCATED,
    Claim,
    Mark,
    Verdict,
    cells_of,
    done,
    is_located,
    middle,
    width_of,
)
from analysis.experiments.chaos import word_on_chaos
from analysis.experiments.depth import (
    ANY_BUDGET,
    Comparison,
    Estimate,
    compared,
    compared_at_any_budget,
)
from analysis.study import Study
from analysis.success.budgets import budget_of
from pipeline.descent.architecture import parameter_count

__all__ = ["RULE", "depth", "depth_budgets", "effects"]

RULE = (
    "depth helps if the whole 95% interval of the ratio lies below 1, and hurts if it lies above; "
    "the ratio at any budget decides, or where none is seen that at the largest budget"
)
"""The rule of the verdict, as the report states it."""

_WORDS = {-1: "depth helps", 0: "cannot be told", 1: "depth hurts"}


def depth(study: Study) -> Iterator[Claim]:
    """Yield what each depth needs, its ratios to the least depth, and the conditioning by depth."""
    ds, finest = study.ds, study.widths.isel(tolerance=-1)
    for cell in _cells(study):
        yield _needs(finest.sel(cell))
    yield from effects(study)
    for cell in _cells(study):
        yield _conditioning(done(ds).isel(width=-1).sel(cell))


def effects(study: Study) -> Iterator[Claim]:
    """Yield for each deeper network whether depth helps, at equal width and at equal parameters."""
    widths = study.at_budgets(depth_budgets(study.ds)).widths.isel(tolerance=-1)
    for cell in _cells(study):
        yield from _effects(widths.sel(cell), _thresholds(study.ds, cell))


def _cells(study: Study) -> list[dict[str, int]]:
    least = study.widths.isel(tolerance=-1, depth=0)
    return [{"d": int(cell.d), "n": int(cell.n)} for cell in cells_of(least, "d", "n")]


def depth_budgets(ds: xr.Dataset) -> list[int]:
    """Return the budgets at which depths are compared: the whole one, a third and a tenth of it."""
    top = budget_of(ds)
    return sorted({top // 10, top // 3, top})


def _thresholds(ds: xr.Dataset, cell: dict[str, int]) -> pd.DataFrame:
    """Return the thresholds at infinite budget of a cell, at the finest tolerance only."""
    from analysis.slowing import infinite_budget  # its optimiser is needed here only

    return infinite_budget(ds.sel({name: [size] for name, size in cell.items()}).isel(tolerance=[-1]))


# --- what each depth needs ------------------------------------------------------------------------


def _needs(widths: xr.Dataset) -> Claim:
    cells = [widths.sel(depth=layers) for layers in sorted(widths.depth.values)]
    found = [cell for cell in cells if is_located(cell)]
    measured = [
        f"L={int(cell.depth)}: k* = {width_of(cell, form='.1f')}, "
        f"parameters/n = {_per_sample(cell):.2f}"
        for cell in found
    ]
    return (Verdict(Mark.FINDING, "no claim") if found else NOT_LOCATED).on(
        f"width and parameters against depth (d={int(widths.d)}, n={int(widths.n)}, "
        f"all weights trained, relative loss {float(widths.tolerance):g})",
        "; ".join(measured) or "(none)",
        figure="depth",
        of_paper=False,
    )


def _per_sample(cell: xr.Dataset) -> float:
    """Return the weights of a network at its critical width, over n."""
    return parameter_count(float(cell.k50), int(cell.d), int(cell.depth)) / int(cell.n)


# --- the effect of depth --------------------------------------------------------------------------


def _effects(widths: xr.Dataset, thresholds: pd.DataFrame) -> Iterator[Claim]:
    """Yield a row for each deeper network, at equal width and at equal parameters."""
    shallow, *deeper = sorted(int(layers) for layers in widths.depth.values)
    for deep in deeper:
        limit = compared_at_any_budget(thresholds, deep, shallow)
        found = [*compared(widths, deep, shallow), limit]
        about = f"L={deep} against L={shallow}"
        where = f"(d={int(widths.d)}, n={int(widths.n)}, relative loss {float(widths.tolerance):g})"
        for name, symbol in (("width", "k*"), ("parameters", "p*")):
            yield _verdict(found, name, word_on_chaos(thresholds.at_edge)).on(
                f"does depth help at equal {name}? {about} {where}",
                f"{symbol}(L={deep})/{symbol}(L={shallow}): "
                + "; ".join(_told(one, name, widths, thresholds) for one in found),
                f"does depth help at equal {name}?",
                criterion=RULE,
                figure="depth",
                of_paper=False,
            )


def _verdict(found: Sequence[Comparison], name: str, chaos: str) -> Verdict:
    """Return the verdict by the ratio at any budget, or else at the largest budget."""
    *finite, limit = found
    unseen = "" if limit.width else f"no finite threshold is seen at {_layers(limit)}; "
    decisive = limit if limit.width else finite[-1]
    ratio = _ratio(decisive, name)
    if ratio is None:
        return Verdict(Mark.OPEN, f"{unseen}k* is not located at {_layers(decisive)}")
    sign = ratio.excludes_one
    detail = f"{unseen}{_budget(decisive)} the ratio is {_interval(ratio)}"
    detail = "; ".join(filter(None, [detail, chaos]))
    mark = Mark.FINDING if sign else Mark.OPEN
    return Verdict(mark, detail, ratio.value, _WORDS[sign])


def _ratio(one: Comparison, name: str) -> Estimate | None:
    return one.width if name == "width" else one.parameters


def _told(one: Comparison, name: str, widths: xr.Dataset, thresholds: pd.DataFrame) -> str:
    """Return the ratio at a budget as text, or why there is none."""
    ratio = _ratio(one, name)
    if ratio is not None:
        return f"{_budget(one)} {_interval(ratio)}"
    if one.budget == ANY_BUDGET:
        verdicts = thresholds.set_index("depth").verdict
        reasons = [f"L={layers} {verdicts[layers]}" for layers in one.missing]
    else:
        reasons = [
            _reason(widths.sel({"depth": layers, "budget": one.budget})) for layers in one.missing
        ]
    return f"{_budget(one)} no ratio ({', '.join(reasons)})"


def _reason(cell: xr.Dataset) -> str:
    """Return why a width is not known: it lies above the widths of the sweep, or the outcome."""
    above = str(cell.outcome.item()) == "censored" and np.isinf(float(cell.bracket_high))
    word = f"k* above {float(cell.bracket_low):g}" if above else width_of(cell, form=".1f")
    return f"L={int(cell.depth)} {word}"


def _budget(one: Comparison) -> str:
    return "at any budget" if one.budget == ANY_BUDGET else f"at {one.budget:.0f} steps"


def _layers(one: Comparison) -> str:
    return " and ".join(f"L={layers}" for layers in sorted(one.missing))


def _interval(ratio: Estimate) -> str:
    return f"{ratio.value:.2f} [{ratio.low:.2f}, {ratio.high:.2f}]"


# --- conditioning ---------------------------------------------------------------------------------


def _conditioning(ds: xr.Dataset) -> Claim:
    ratio = ds.sigma_min / np.sqrt(ds.k) / ds.kernel_alpha.where(ds.kernel_alpha > 0)
    layers = ", ".join(f"L={int(L)}: {middle(ratio.sel(depth=L)):.3f}" for L in ds.depth.values)
    known = bool(ratio.notnull().any())
    claim = "conditioning of the last layer against depth"
    return (Verdict(Mark.FINDING, "no claim") if known else NOT_LOCATED).on(
        f"{claim} (d={int(ds.d)}, n={int(ds.n)}, k={int(ds.k.max())})",
        f"sigma_min/sqrt(k) over alpha of the kernel, {layers}" if known else "(none)",
        claim,
        figure="depth",
        of_paper=False,
    )
