"""Reading the user's rows from a file: .npy, or .csv with one sample per line.

A file is refused before it takes more memory than its numbers need: the header of a .npy file is
compared with the size of the file before any array is made, and a .csv file is read line by line.
"""

from __future__ import annotations

import csv
import hashlib
import io
import math
from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import DataError, listed, shortened
from pipeline.input_files import UnusableFile, in_bytes, open_input
from pipeline.numerics.columns import is_number, names_of, selected

__all__ = ["Table", "read_labels", "read_rows", "read_table", "rows_digest"]

Array = NDArray[np.float64]

MOST_NUMBERS = 2**30
"""Numbers in a data file; every worker holds them, which are 8 GiB."""

LARGEST_CSV = 2**28
"""Bytes; a .npy file of the same numbers is smaller, and read a hundred times faster."""

LONGEST_LINE = 2**22
"""Letters of a sample in a .csv file, enough for 100,000 numbers."""

MOST_LINES = 10**7
"""Lines of a .csv file."""


@dataclass(frozen=True)
class Table:
    """The user's rows, and where they come from.

    Attributes
    ----------
    rows : ndarray, shape (samples, d)
    names
        The names of their columns, from the first line of a .csv file; () if there is none.
    columns
        Number of columns of the file.
    """

    rows: Array
    names: tuple[str, ...]
    columns: int


def read_rows(path: str, columns: Sequence[str] = (), drop: Sequence[str] = ()) -> Array:
    """Return the rows of `read_table`, shape (samples, d)."""
    return read_table(path, columns, drop).rows


def read_labels(path: str, column: str = "") -> Array:
    """Read the user's labels: one column of a file of `read_table`, or a .npy file of one dimension.

    Parameters
    ----------
    path
        The file.
    column
        The name or the number (from 0) of the column; "" if the file has no other.

    Returns
    -------
    ndarray, shape (samples,)

    Raises
    ------
    DataError
        As for `read_table`; also if a file of several columns comes without a `column`.
    """
    table = read_table(path, (column,) if column else (), flat=True)
    if table.rows.shape[1] > 1:
        known = f", named {listed(table.names)}" if table.names else ""
        raise DataError(
            f"data file {shortened(path)}: got {table.columns} columns{known}, expected one of labels; "
            "add column with its name, or its number from 0"
        )
    return np.ascontiguousarray(table.rows[:, 0])


def read_table(
    path: str, columns: Sequence[str] = (), drop: Sequence[str] = (), *, flat: bool = False
) -> Table:
    """Read the user's rows from a .npy or .csv file.

    Parameters
    ----------
    path
        The file; .npy holds one 2-D array of numbers, .csv one sample per line (a first line of
        column names is skipped, see `columns`).
    columns, drop
        The names or numbers (from 0) of the columns to read, all if (); and of those to leave out.
    flat
        True if a .npy array of shape (samples,) is read as one column.

    Raises
    ------
    DataError
        The file is missing, no regular file, neither .npy nor .csv, ragged, not numeric, not finite,
        empty or too large; or a column is not there.
    """
    name = f"data file {shortened(path)}"
    ending = Path(path).suffix
    try:
        with _opened(path, name, LARGEST_CSV if ending == ".csv" else 16 * MOST_NUMBERS) as file:
            if ending not in _READERS:
                raise DataError(f"{name}: got the ending {ending!r}, expected .npy or .csv")
            table = _READERS[ending](file, name, columns, drop, flat)
    except OSError as error:
        raise DataError(f"{name}: cannot be read ({error.strerror})") from None
    except MemoryError:
        raise DataError(
            f"{name}: got more numbers than this process has memory for; give fewer rows, or run on a "
            "machine with more memory"
        ) from None
    _check_finite(table, name)
    return table


def _check_finite(table: Table, name: str) -> None:
    finite = np.isfinite(table.rows)
    if not finite.all():
        sample, column = map(int, np.unravel_index(np.argmin(finite), finite.shape))
        called = f"column {shortened(repr(table.names[column]))}" if table.names else f"column {column}"
        raise DataError(
            f"{name}: sample {sample}, {called} is {table.rows[sample, column]}, "
            "expected finite numbers; drop or fill that sample, or leave the column out (drop)"
        )


def rows_digest(rows: Array) -> str:
    """Return the SHA-256 of rows: the identity of a data file, whatever its path."""
    digest = hashlib.sha256(repr(rows.shape).encode())
    digest.update(np.ascontiguousarray(rows).data)
    return digest.hexdigest()


def _opened(path: str, name: str, most: int) -> BinaryIO:
    try:
        return open_input(Path(path), most)
    except UnusableFile as error:
        hint = "; paths are relative to the sweep's folder" if error.missing else ""
        raise DataError(f"{name}: {error}{hint}") from None


# ---- .npy


def _read_npy(
    file: BinaryIO, name: str, columns: Sequence[str], drop: Sequence[str], flat: bool
) -> Table:
    shape, dtype = _header(file, name)
    shape = (*shape, 1) if flat and len(shape) == 1 else shape
    if dtype.hasobject:
        raise DataError(f"{name}: not a .npy array of numbers: it holds pickled objects")
    if dtype.kind not in "iufb":
        raise DataError(f"{name}: got {dtype} values, expected real numbers")
    if len(shape) != 2 or not all(type(size) is int and size > 0 for size in shape):
        raise DataError(
            f"{name}: got an array of shape {shape}, expected (samples, d), one sample per row"
        )
    begin, size = file.tell(), file.seek(0, io.SEEK_END)
    needed = math.prod(shape) * dtype.itemsize
    if needed > size - begin:
        raise DataError(
            f"{name}: not a .npy array of numbers: its header tells of {shape[0]} x {shape[1]} numbers "
            f"in {in_bytes(needed)}, but {in_bytes(size - begin)} follow; copy or save it again"
        )
    _check_size(math.prod(shape), name)
    file.seek(0)
    kept = selected((), shape[1], columns, drop, name)
    rows = np.lib.format.read_array(file, allow_pickle=False).reshape(shape)
    if len(kept) < shape[1]:
        rows = rows[:, kept]
    return Table(np.asarray(rows, dtype=np.float64, order="C"), (), shape[1])


def _header(file: BinaryIO, name: str) -> tuple[tuple[int, ...], np.dtype]:
    """Return the shape and the type that a .npy file tells of, without reading its numbers."""
    readers = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    try:
        shape, _, dtype = readers[np.lib.format.read_magic(file)](file)
    except OSError:
        raise
    except Exception:  # the header is a Python literal, and fails as Python's parser does
        raise DataError(
            f"{name}: not a .npy array of numbers: its header cannot be read; write it with numpy.save"
        ) from None
    return shape, dtype


# ---- .csv


class _Lines:
    """The lines of a text, of which a record may span several: its length is bounded all the same.

    Attributes
    ----------
    letters
        Letters since a record began; who reads records sets it to 0 after each.
    """

    def __init__(self, text: io.TextIOWrapper, name: str) -> None:
        self._text, self._name = text, name
        self._line = self.letters = 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._text.readline(LONGEST_LINE + 1)
        if not line:
            raise StopIteration
        self._line += 1
        self.letters += len(line)
        if self.letters > LONGEST_LINE:
            raise DataError(
                f"{self._name}, line {self._line}: got a sample of more than {LONGEST_LINE} letters, "
                "expected less; put one sample on each line, or save the rows as .npy"
            )
        return line


def _check_lines(file: BinaryIO, name: str) -> None:
    """Refuse a text of too many lines before it is read, which takes a hundred times longer."""
    ends = [0, 0]
    while part := file.read(2**20):
        ends = [known + part.count(end) for known, end in zip(ends, (b"\n", b"\r"), strict=True)]
    file.seek(0)
    if max(ends) > MOST_LINES:
        raise DataError(
            f"{name}: got more than {MOST_LINES} lines, expected at most that many; save the "
            "rows as .npy"
        )


def _records(file: BinaryIO, name: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the number of the last line of each record, and its fields; skip empty lines."""
    with io.TextIOWrapper(file, encoding="utf-8-sig", newline="") as text:
        lines = _Lines(text, name)
        reader = csv.reader(lines)
        try:
            for record in reader:
                lines.letters = 0
                if record:
                    yield reader.line_num, record
        except (UnicodeDecodeError, csv.Error) as error:
            raise DataError(f"{name}: not readable as text ({shortened(str(error))})") from None


def _read_csv(
    file: BinaryIO, name: str, columns: Sequence[str], drop: Sequence[str], flat: bool
) -> Table:
    _check_lines(file, name)
    numbers, count = array("d"), 0
    names: tuple[str, ...] = ()
    kept: list[int] = []
    for index, (line, record) in enumerate(_records(file, name)):
        if index == 0:
            names, count = names_of(record), len(record)
            kept = selected(names, count, columns, drop, name)
            if names:
                continue
        if len(record) != count:
            raise DataError(
                f"{name}, line {line}: got {len(record)} columns, expected {count} "
                "as on the lines above"
            )
        fields = record if len(kept) == count else [record[column] for column in kept]
        if not all(map(is_number, fields)):
            column = next(column for column in kept if not is_number(record[column]))
            raise _no_number(record[column], names[column] if names else str(column), line, name)
        numbers.extend(map(float, fields))
        _check_size(len(numbers), name)
    if not numbers:
        raise DataError(f"{name}: holds no samples, expected one per line")
    rows = np.frombuffer(numbers).reshape(-1, len(kept))
    return Table(rows, tuple(names[column] for column in kept) if names else (), count)


def _no_number(field: str, column: str, line: int, name: str) -> DataError:
    return DataError(
        f"{name}, line {line}: got {shortened(repr(field))}, expected a number in column "
        f"{shortened(repr(column))}; mend it, or leave the column out (drop)"
    )


def _check_size(numbers: int, name: str) -> None:
    if numbers > MOST_NUMBERS:
        raise DataError(
            f"{name}: got {numbers} numbers, expected at most {MOST_NUMBERS}; give fewer rows"
        )


_Reader = Callable[[BinaryIO, str, Sequence[str], Sequence[str], bool], Table]

_READERS: dict[str, _Reader] = {".npy": _read_npy, ".csv": _read_csv}
