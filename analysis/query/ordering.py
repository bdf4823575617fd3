"""The order of the rows of a table: by columns, each ascending, or descending with a `-` in front."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from analysis.expressions import QueryError
from pipeline.errors import nearest_name

__all__ = ["in_order"]


def in_order(frame: pd.DataFrame, order: Sequence[str]) -> pd.DataFrame:
    """Return the rows in the order of some columns; equal ones keep their order, NaN comes last.

    Parameters
    ----------
    frame
        The rows.
    order
        Labels of columns, with a `-` in front for the largest first. A statistic may stand without its
        column, `mean` for `mean(sigma_min)`, if only one column has it.

    Raises
    ------
    QueryError
        A column is unknown.
    """
    if not order:
        return frame
    labels = [_label(frame, text.removeprefix("-")) for text in order]
    rising = [not text.startswith("-") for text in order]
    return frame.sort_values(labels, ascending=rising, kind="stable", ignore_index=True)


def _label(frame: pd.DataFrame, name: str) -> str:
    """Return the label of the column that a name means."""
    labels = [str(label) for label in frame]
    named = [label for label in labels if label == name] or [
        label for label in labels if label.startswith(f"{name}(")
    ]
    if len(named) != 1:
        raise QueryError(
            f"sort {name!r}: no single column has this name{nearest_name(name, labels)}; there are "
            f"{', '.join(labels)}"
        )
    return named[0]
