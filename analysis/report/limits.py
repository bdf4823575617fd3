"""The widths below which no budget suffices, as a table beside the figure of slowing down."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import pandas as pd

from analysis.figures import kinds_for
from analysis.report.numbers import axis_value, number, whole, with_interval
from analysis.slowing.prediction import HELD_BACK
from analysis.slowing.words import (
    chaos_word,
    gamma_words,
    held_out_words,
    notes_on,
    verdict_words,
)
from analysis.study import Study
from analysis.success.budgets import budget_of
from pipeline.trial_status import Status

__all__ = ["Limits", "limits_of"]


@dataclass(frozen=True)
class Limits:
    """The fits of a store to its times: a row for each cell and tolerance, and words on them."""

    rows: list[dict[str, str]]
    notes: list[str]


def limits_of(study: Study) -> Limits | None:
    """Return the fits of a store; None where the figure of slowing down is not drawn unasked.

    The fits are those of the figure and of the claims, so nothing is fitted again for the page.
    """
    if "slowing" not in kinds_for(study.ds) or not (study.ds.status == Status.DONE).any():
        return None
    table = study.default.thresholds
    table = table[table["verdict"] != "empty"]
    if table.empty:
        return None
    budget = int(budget_of(study.ds))
    test = held_out_words(study.default.held_out, budget) if budget >= HELD_BACK else ""
    notes = [*verdict_words(table), gamma_words(table), *notes_on(table), test]
    return Limits(list(_rows(table)), [_sentence(note) for note in notes if note])


def _rows(table: pd.DataFrame) -> Iterable[dict[str, str]]:
    axes = [name for name in table.columns[: table.columns.get_loc("verdict")] if name != "budget"]
    varied = [
        str(name) for name in axes if name != "tolerance" and (table[name].astype(str).nunique() > 1)
    ]
    for _, row in table.iterrows():
        yield {
            "cell": ", ".join(f"{name} = {_value(row[name])}" for name in varied) or "all",
            "tolerance": axis_value(row["tolerance"]),
            "verdict": str(row["verdict"]),
            "k_inf": _interval(row, "k_inf"),
            "gamma": _interval(row, "gamma"),
            "trials": whole(row["trials"]),
            "censored": whole(row["censored"]),
            "chaotic": "not known" if row["at_edge"] != row["at_edge"] else chaos_word(row["at_edge"]),
        }


def _value(value: Any) -> str:
    return number(value) if isinstance(value, float) else str(value)


def _interval(row: pd.Series[Any], name: str) -> str:
    return with_interval(row[name], row[f"{name}_low"], row[f"{name}_high"])


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."
