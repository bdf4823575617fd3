"""Tables that fit into the terminal: one that is too wide is cut into blocks of whole columns.

Each block starts with the columns that identify a row. Where stdout is no terminal a table stays whole,
since programs read it.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["blocks", "column_widths", "frame_text", "terminal_width"]


def terminal_width() -> int | None:
    """Return the number of letters in a line of the terminal; None if stdout is no terminal."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def blocks(widths: Sequence[int], keys: int, gap: int, room: int | None) -> list[list[int]]:
    """Return the columns of each block of a table, as indices.

    Parameters
    ----------
    widths
        Letters of each column.
    keys
        Number of columns, from the first, that stand in every block.
    gap
        Letters between two columns.
    room
        Letters of a line; None for no limit.
    """
    found: list[list[int]] = [[]]
    taken = 0
    for index, width in enumerate(widths):
        if room is not None and len(found[-1]) > keys and taken + gap + width > room:
            found.append(list(range(keys)))
            taken = sum(widths[:keys]) + gap * (keys - 1)
        found[-1].append(index)
        taken += width + (gap if len(found[-1]) > 1 else 0)
    return found


def column_widths(frame: pd.DataFrame) -> list[int]:
    """Return the letters that each column of a printed frame takes."""
    return [max(map(len, _lines(frame, index))) for index in range(frame.shape[1])]


def _lines(frame: pd.DataFrame, index: int) -> list[str]:
    return frame.iloc[:, [index]].to_string(index=False).splitlines()


def frame_text(frame: pd.DataFrame, keys: int) -> str:
    """Return a frame as text that fits into the terminal; `keys` columns identify a row."""
    room = terminal_width()
    if room is None:
        return frame.to_string(index=False)
    parts = blocks(column_widths(frame), keys, 1, room)
    return "\n\n".join(frame.iloc[:, part].to_string(index=False) for part in parts)
