"""Findings on the width that training W needs at any budget, and the test of the model behind them.

A critical width of descent moves with the budget of steps. `analysis.slowing` fits the times of trials
and tells, for each cell and tolerance, the width below which no budget suffices, or that none is seen.
One model of all cells gives the exponents of n and d in it, and the laws that they rank; rows and
numbers say whether they come from it or from each cell alone. Cells without trials are no cells.
The test beside it fits a fifth of the steps and predicts the critical width at all of them. Where
trials run at the edge of stability, both say so.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from analysis.claims.rows import NOT_LOCATED, Claim, Mark, Quantity, Reading, Verdict, spread
from analysis.experiments.chaos import word_on_chaos
from analysis.slowing.statements import growth, law_statement
from analysis.study import Study

__all__ = ["any_budget", "held_out"]

EXPONENTS = ("exponent_n", "exponent_d")

JOINTLY, ALONE = "one model of all cells", "each cell alone"
"""The fit from which a number comes, as text."""

SEEN, ONSET = "k_inf", "the width at which slowing sets in"
"""The width of which the exponents are."""

TELLING = 1.0
"""Fits with wider intervals tell no exponent in the answer: those of n/d and n^2/d differ by 1."""


def any_budget(study: Study) -> Iterator[Claim]:
    """Yield the width at any budget of each tolerance and activation, and the held-out test."""
    table, laws = study.thresholds, study.threshold_laws
    laws = laws[laws.verdict != "too few cells"]
    by = [name for name in ("activation", "tolerance") if name in table]
    for values, part in table.groupby(by, sort=False):
        where = ", ".join(_name(key, value) for key, value in zip(by, values, strict=True))
        tried = part[part.verdict != "empty"]
        yield _threshold(tried).on(
            f"width for W at any budget ({where}), {ALONE}",
            _measured(tried),
            f"width for W at any budget, {ALONE}: k_inf d/n",
            figure="slowing" if (tried.verdict == "threshold").any() else "",
            of_paper=False,
            readings=_readings(tried, _law_of(laws, by, values), float(part.tolerance.iloc[0])),
        )
    for _, law in laws.iterrows():
        yield _law(law, ", ".join(_name(key, law[key]) for key in by))
    yield replace(held_out(study.held_out), readings=_predicted(study.held_out))


def _name(key: str, value: Any) -> str:
    return f"relative loss {value:g}" if key == "tolerance" else str(value)


def _law(row: pd.Series[Any], where: str) -> Claim:
    """Return what one model of all cells says on the exponents of n and d."""
    tells = all(row[f"{each}_high"] - row[f"{each}_low"] < TELLING for each in EXPONENTS)
    at = SEEN if row.verdict == "threshold" else ONSET
    readings = [
        Reading(quantity, (row[name],), at, ((row[f"{name}_low"], row[f"{name}_high"]),), total=1)
        if tells
        else Reading(quantity, (), at, total=1)
        for quantity, name in zip((Quantity.EXPONENT_N, Quantity.EXPONENT_D), EXPONENTS, strict=True)
    ]
    return Verdict(Mark.FINDING, law_statement(row)).on(
        f"law of the width for W at any budget ({where})",
        growth(row),
        f"law of the width for W at any budget, {JOINTLY}",
        of_paper=False,
        readings=tuple(readings),
    )


def _ratios(part: pd.DataFrame, name: str = "k_inf") -> pd.Series[float]:
    """Return k_inf d/n, or an end of its interval, of the cells that have a threshold."""
    known = part[part.verdict == "threshold"]
    found: pd.Series[float] = known[name] * known.d / known.n
    return found


def _measured(part: pd.DataFrame) -> str:
    ratios = _ratios(part)
    cells = f"{len(part)} cell{'' if len(part) == 1 else 's'}"
    return f"k_inf d/n = {spread(ratios)} in {len(ratios)} of {cells}" if len(ratios) else cells


def _threshold(part: pd.DataFrame) -> Verdict:
    ratios, low, high = (_ratios(part, name) for name in ("k_inf", "k_inf_low", "k_inf_high"))
    unseen = int((part.verdict == "none seen").sum())
    if not len(ratios):
        word = f"no finite threshold is seen in {unseen} of {len(part)}"
        return Verdict(Mark.FINDING, _and_chaos(word, part)) if unseen else NOT_LOCATED
    below, above = int((high < 1).sum()), int((low > 1).sum())
    detail = f"the interval lies below kd = n in {below} of {len(ratios)}, above it in {above}"
    return Verdict(Mark.FINDING, _and_chaos(detail, part), float(np.median(ratios)))


def _and_chaos(text: str, part: pd.DataFrame) -> str:
    """Return a text with a word on cells at the edge of stability, among those that are fitted."""
    fitted = part[part.verdict.isin(["threshold", "none seen"])]
    return "; ".join(filter(None, [text, word_on_chaos(fitted.at_edge)]))


def _law_of(laws: pd.DataFrame, by: list[str], values: tuple[Any, ...]) -> pd.Series[Any] | None:
    """Return what the model of all cells says on one activation and tolerance, if it was fitted."""
    found = laws[(laws[by] == list(values)).all(axis=1)]
    return None if found.empty else found.iloc[0]


def _readings(part: pd.DataFrame, law: pd.Series[Any] | None, tolerance: float) -> tuple[Reading, ...]:
    """Return the thresholds that the answer states, and the number of cells that show none.

    Among many cells some seem to have a threshold by chance, so the model of all cells decides.
    """
    if law is not None:
        return _jointly(law, tolerance, int(part.at_edge.isna().sum()))
    at, known = f"relative loss {tolerance:g}, {ALONE}", part[part.verdict == "threshold"]
    values, low, high = (
        tuple(_ratios(part, name).tolist()) for name in ("k_inf", "k_inf_low", "k_inf_high")
    )
    found = (
        Reading(
            Quantity.ANY_BUDGET_ALONE, values, at, tuple(zip(low, high, strict=True)), total=len(part)
        ),
        Reading(Quantity.AT_EDGE, tuple(known.at_edge.tolist()), at),
        Reading(
            Quantity.UNSEEN_ALONE, (1.0,) * int((part.verdict == "none seen").sum()), f"{tolerance:g}"
        ),
    )
    return tuple(reading for reading in found if reading.values)


def _jointly(law: pd.Series[Any], tolerance: float, untold: int) -> tuple[Reading, ...]:
    """Return the numbers of the model of all cells; `untold` cells have no share of rising steps."""
    if law.verdict != "threshold":
        return (Reading(Quantity.UNSEEN, (1.0,) * law.cells, f"{tolerance:g}"),)
    at, others = f"relative loss {tolerance:g}, {JOINTLY}", law.cells - law.chaotic
    ends = ((law.ratio_low, law.ratio_high),) * law.cells
    unknown = min(untold, others)
    edges = (1.0,) * law.chaotic + (np.nan,) * unknown + (0.0,) * (others - unknown)
    return (
        Reading(
            Quantity.ANY_BUDGET, (law.ratio,) * law.cells, at, ends, total=law.cells + law.left_out
        ),
        Reading(Quantity.AT_EDGE, edges, at),
    )


def _predicted(rows: pd.DataFrame) -> tuple[Reading, ...]:
    """Return in which cells the measured width lies in the predicted interval; none without cells."""
    return (Reading(Quantity.PREDICTED, tuple(rows.inside.astype(float))),) if len(rows) else ()


def held_out(rows: pd.DataFrame) -> Claim:
    """Return the finding on the held-out test of the times of a store."""
    claim = "times at a fifth of the steps predict the critical width at all of them"
    if rows.empty:
        return NOT_LOCATED.on(claim, "(no cell)", of_paper=False)
    detail = f"inside the predicted 95% interval in {int(rows.inside.sum())} of {len(rows)} cells"
    detail = "; ".join(filter(None, [detail, word_on_chaos(rows.at_edge)]))
    return Verdict(Mark.FINDING, detail).on(
        claim,
        f"k* over the prediction {spread(rows.measured / rows.predicted)}",
        of_paper=False,
    )
