"""The statement on a law of the width at infinite budget, for a reader who doubts it."""

from __future__ import annotations

from typing import Any

import pandas as pd

from analysis.scaling.verdicts import EQUAL
from analysis.slowing.laws import RANKED

__all__ = ["growth", "law_statement"]


def law_statement(row: pd.Series[Any]) -> str:
    """Return a row of `threshold_laws` as one sentence.

    Examples
    --------
    >>> row = {"verdict": "too few cells", "cells": 2, "left_out": 1}
    >>> law_statement(pd.Series(row))
    'Of 3 cells 2 can be fitted, too few for exponents of n and d.'
    """
    every = row.cells + row.left_out
    if row.verdict == "too few cells":
        cells = "1 cell" if every == 1 else f"{every} cells"
        return f"Of {cells} {row.cells} can be fitted, too few for exponents of n and d."
    if row.verdict == "threshold":
        subject = "the width below which no budget suffices"
        more = f", and k_inf d/n is {_interval(row, 'ratio')} in the geometric mean"
    else:
        subject = "no finite threshold is seen, and the width at which slowing sets in"
        more = ""
    parts = [
        f"In {row.cells} of {every} cells up to n = {row.n_max:g} {subject} grows as {growth(row)}"
        f"{more}",
        _ranking(row),
    ]
    if row.misfit < 0.05:
        parts.append(f"but no power law fits all cells (p = {row.misfit:.1g})")
    if row.held_out == row.held_out:
        reach = f"[{row.held_out_low:.2f}, {row.held_out_high:.2f}]"
        hits = "inside" if row.held_out_low <= row.held_out <= row.held_out_high else "outside"
        parts.append(
            f"fitted to smaller n it predicts n = {row.n_max:g} to a factor of {row.held_out:.2f}, "
            f"{hits} its interval {reach}"
        )
    if row.chaotic:
        parts.append(f"times are chaotic in {row.chaotic} of the cells")
    return f"{'; '.join(filter(None, parts))}."


def growth(row: pd.Series[Any]) -> str:
    """Return the power law of a row with its intervals, `n^0.97 [0.89, 1.04] d^-0.96 [-1, -0.9]`."""
    return " ".join(f"{name}^{_interval(row, f'exponent_{name}', '.2f')}" for name in ("n", "d"))


def _interval(row: pd.Series[Any], name: str, form: str = ".3g") -> str:
    value, low, high = (format(row[f"{name}{end}"], form) for end in ("", "_low", "_high"))
    return f"{value} [{low}, {high}]"


def _ranking(row: pd.Series[Any]) -> str:
    """Return which law is best by AICc and by how much, and which ones that cannot tell from it."""
    others = {law: float(row[f"delta {law}"]) for law in RANKED if law != row.best}
    behind = ", ".join(f"{law} by {delta:.1f}" for law, delta in others.items())
    close = [law for law, delta in others.items() if delta < EQUAL]
    note = f": it cannot be told from {', '.join(close)}" if close else ""
    return f"by AICc the best law is {row.best}, ahead of {behind}{note}"
