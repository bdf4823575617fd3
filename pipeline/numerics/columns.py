"""The columns of the user's rows: their names, which of them are read, which look like no input.

A first line of a .csv file holds names if none of its fields is a number, or if it counts 0, 1, 2, ...
as pandas names columns; its first field may be empty, as pandas writes the name of an index, and is
read as `index`.

A column looks like an **index** if it is named like one (`INDICES`), or if its values rise by exactly 1
from each sample to the next. It looks like a **label** if it is named like one (`LABELS`), or if it is
the first or the last and the only one of whole numbers, at most `MOST_LABELS` different ones.
Such columns are read like all others: only their owner knows what they are.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import DataError, listed, nearest_name, shortened

__all__ = ["Suspect", "is_number", "names_of", "selected", "suspects"]

Array = NDArray[np.float64]

UNNAMED = "index"

INDICES = frozenset((UNNAMED, "id", "unnamed: 0"))
"""Names of columns of row numbers, in small letters."""

LABELS = frozenset(
    ("label", "labels", "target", "targets", "class", "classes", "y", "outcome", "diagnosis", "species")
)
"""Names of columns of labels, in small letters."""

MOST_LABELS = 20

LEAST_COUNTED = 3
"""Columns of a line 0, 1, 2 that is read as names; and samples of a column that is read as an index."""


@dataclass(frozen=True)
class Suspect:
    """A column that may be no input.

    Attributes
    ----------
    column
        Its name, or its number among the columns that were read.
    what
        `index` or `label`.
    why
        The rule that it meets.
    """

    column: str
    what: str
    why: str


def is_number(field: str) -> bool:
    """Return whether a field of a .csv file is a number."""
    try:
        float(field)
    except ValueError:
        return False
    return "_" not in field  # Python reads 1_0 as 10


def names_of(record: Sequence[str]) -> tuple[str, ...]:
    """Return the names that the first line of a .csv file holds; () if it is a sample."""
    names = tuple(field.strip() for field in record)
    rest = names[1:] if not names[0] else names  # pandas leaves the name of its index empty
    counting = len(names) >= LEAST_COUNTED and rest == tuple(map(str, range(len(rest))))
    if not rest or (any(map(is_number, rest)) and not counting):
        return ()
    return names if names[0] else (UNNAMED, *rest)


def selected(
    names: Sequence[str], count: int, columns: Sequence[str], drop: Sequence[str], where: str
) -> list[int]:
    """Return the numbers of the columns to read, in the order of the file.

    Parameters
    ----------
    names
        The names of the columns; () if they have none.
    count
        Number of columns.
    columns, drop
        The names or numbers (from 0) of the columns to read, all if (); and of those to leave out.
    where
        The name of the file in messages.

    Raises
    ------
    DataError
        A column is not there, or none is left.
    """
    kept = {_number_of(item, names, count, where) for item in columns} or set(range(count))
    kept -= {_number_of(item, names, count, where) for item in drop}
    if not kept:
        raise DataError(f"{where}: no column is left; leave fewer out")
    return sorted(kept)


def _number_of(item: str, names: Sequence[str], count: int, where: str) -> int:
    """Return the number of a column that is given by its name or number; a name goes first."""
    places = [place for place, name in enumerate(names) if name == item]
    if len(places) > 1:
        raise DataError(
            f"{where}: {len(places)} columns are named {shortened(repr(item))}; give their numbers "
            f"({listed(places)}, from 0)"
        )
    if places:
        return places[0]
    if item.isdecimal() and len(item) < 10 and int(item) < count:
        return int(item)
    known = f"columns 0 to {count - 1}" + (f", named {listed(names)}" if names else "")
    raise DataError(
        f"{where}: has no column {shortened(repr(item))}{nearest_name(item, names)}; it has {known}"
    )


def suspects(rows: Array, names: Sequence[str] = ()) -> list[Suspect]:
    """Return the columns that look like an index or a label.

    Parameters
    ----------
    rows : ndarray, shape (samples, d)
        The rows as they were read.
    names
        The names of their columns; () if they have none.
    """
    if rows.shape[1] < 2:
        return []
    found = {}
    for number in range(rows.shape[1]):
        if why := _why_index(rows[:, number], names[number] if names else ""):
            found[number] = ("index", why)
    for number in range(rows.shape[1]):
        if number not in found and (why := _why_label(rows, number, names, found)):
            found[number] = ("label", why)
    return [
        Suspect(names[number] if names else str(number), *found[number]) for number in sorted(found)
    ]


def _why_index(values: Array, name: str) -> str:
    if name.lower() in INDICES:
        return "named like one"
    if len(values) >= LEAST_COUNTED and bool((np.diff(values) == 1).all()):
        return f"rises by 1 from each sample to the next, from {values[0]:g} to {values[-1]:g}"
    return ""


def _why_label(rows: Array, number: int, names: Sequence[str], indices: Container[int]) -> str:
    if names and names[number].lower() in LABELS:
        return "named like one"
    last = rows.shape[1] - 1
    if number not in (0, last) or not _is_whole(rows[:, number]):
        return ""
    others = [other for other in range(last + 1) if other != number and other not in indices]
    if any(_is_whole(rows[:, other]) for other in others):
        return ""
    different = len(np.unique(rows[:, number]))
    if different > MOST_LABELS or different == len(rows):
        return ""
    place = "last" if number else "first"
    return f"the {place} column, and the only one of whole numbers, {different} different ones"


def _is_whole(values: Array) -> bool:
    return bool((values == np.rint(values)).all())
