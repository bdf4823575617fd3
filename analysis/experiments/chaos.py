"""Cells whose trials run at the edge of stability, where times to a tolerance are samples.

There the loss rises on many steps while the sharpness stays near 2 over the step size, and a change of
1e-15 in W moves the time by hundreds of steps. The model of times is fitted all the same, but whoever
shows its numbers says so.
"""

from __future__ import annotations

import pandas as pd

__all__ = ["CHAOTIC", "word_on_chaos"]

CHAOTIC = 0.5
"""A cell is chaotic if more than this share of its trials ran at the edge of stability."""


def word_on_chaos(at_edge: pd.Series[float]) -> str:
    """Return how many cells are chaotic, as text; empty if all are known to be calm."""
    if at_edge.empty:
        return ""
    if at_edge.isna().all():
        return "whether times are chaotic is not known"
    many = int((at_edge > CHAOTIC).sum())
    return f"times are chaotic in {many} of {len(at_edge)}" if many else ""
