"""The words on fits of the width at infinite budget, for `fit --infinite-budget` and the report."""

from __future__ import annotations

import pandas as pd

from analysis.experiments.chaos import CHAOTIC, word_on_chaos
from analysis.slowing.cells import VERDICTS
from analysis.slowing.prediction import HELD_BACK

__all__ = ["chaos_word", "gamma_words", "held_out_words", "notes_on", "outcome_words", "verdict_words"]


def held_out_words(rows: pd.DataFrame, budget: int) -> str:
    """Return the held-out test of a budget as one line; "" if the budget is too short for a test.

    Parameters
    ----------
    rows
        From `predicted_k50`, fitted to the share 1/`HELD_BACK` of the budget.
    budget
        The steps that it predicts.
    """
    if budget < HELD_BACK:
        return ""
    inside = _passed(rows) if len(rows) else "no cell decides"
    if len(rows) and (chaos := word_on_chaos(rows["at_edge"])):
        inside += f"; {chaos}"
    return (
        f"held-out test: fitted to {budget // HELD_BACK} steps alone, the model predicts k50 at "
        f"{budget} steps, to its 95% interval: {inside}"
    )


def outcome_words(rows: pd.DataFrame) -> str:
    """Return how the held-out test stands, as a part of a sentence; see `held_out_words`."""
    if not len(rows):
        return "no cell decides the held-out test"
    return f"the held-out test passed {_passed(rows)}"


def _passed(rows: pd.DataFrame) -> str:
    return f"in {int(rows.inside.sum())} of {len(rows)} cells"


def notes_on(table: pd.DataFrame) -> list[str]:
    """Return a line for cells at the edge of stability, and one for trials that diverged."""
    notes = []
    if (many := int((table["at_edge"] > CHAOTIC).sum())) > 0:
        notes.append(
            f"{many} of {len(table)} rows are chaotic: most trials ran at the edge of stability (the "
            "loss rose on more than a twentieth of the steps, at a sharpness near 2 over the step "
            "size), so their times are samples and the intervals may be too narrow"
        )
    if table["at_edge"].isna().all():
        notes.append(
            "the store has no rises of the loss, so it is not known which cells run at the edge of "
            "stability; a sweep with diagnostics = true stores them"
        )
    if (lost := int(table["diverged"].max())) > 0:
        notes.append(f"up to {lost} trials of a cell diverged; they count as never arriving")
    return notes


def verdict_words(table: pd.DataFrame) -> list[str]:
    """Return a line for each verdict that occurs."""
    return [f"{verdict}: {VERDICTS[verdict]}" for verdict in dict.fromkeys(table["verdict"])]


def gamma_words(table: pd.DataFrame) -> str:
    """Return in how many rows the interval of gamma reaches 0, and what that means; "" if in none."""
    many = int((table["gamma_low"] == 0).sum())
    if not many:
        return ""
    found = int((table["verdict"] == "threshold").sum())
    return (
        f"the interval of gamma reaches 0 in {many} of {found} rows with a threshold: there times need "
        "not grow towards k_inf"
    )


def chaos_word(at_edge: float) -> str:
    """Return whether a cell is chaotic, and the share of its trials at the edge of stability."""
    if at_edge != at_edge:
        return "-"
    return f"{'yes' if at_edge > CHAOTIC else 'no'}, {at_edge:.0%}"
