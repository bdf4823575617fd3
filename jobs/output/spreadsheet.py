"""Cells of CSV that a spreadsheet shows and does not run, in which nothing moves a terminal's cursor.

A spreadsheet takes a cell that starts with one of `= + - @` for a formula, and a formula can open files
and addresses. Such text gets an apostrophe in front, which makes it text; numbers stay as they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import IO, TYPE_CHECKING

from pipeline.printable import one_line

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["cell", "write_frame", "write_rows"]

STARTS = tuple("=+-@\t\r\n＝＋－＠")
"""First characters of a formula, also after blanks; some spreadsheets know the wide forms too."""


def cell(value: object) -> object:
    """Return a value as a cell: text without control characters, and never a formula."""
    if not isinstance(value, str):
        return value
    text = one_line(value)
    runs = len(value.strip()) > 1 and (value.startswith(STARTS) or value.lstrip().startswith(STARTS))
    return f"'{text}" if runs and not _is_number(value) else text


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def write_rows(header: Sequence[str], rows: Iterable[Iterable[object]], stream: IO[str]) -> None:
    """Write CSV with a header, one row a line."""
    import csv

    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(map(cell, header))
    writer.writerows(map(cell, row) for row in rows)


def write_frame(frame: pd.DataFrame, stream: IO[str], *, header: bool = True) -> None:
    """Write a frame as CSV; its numbers are written in full precision."""
    safe = frame.copy(deep=False)
    for name in safe:
        if safe[name].dtype.kind not in "biufc":
            safe[name] = safe[name].map(cell)
    safe = safe.rename(columns=cell)
    safe.to_csv(stream, index=False, header=header, lineterminator="\n")
