"""Rows of a sequence of frames, printed or written to a file lazily.

A file is written atomically: under a temporary name beside it, renamed at the end.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import click

from jobs.output.files import check_outputs, draft_of
from jobs.output.records import plain
from jobs.output.spreadsheet import write_frame
from jobs.output.tables import blocks, column_widths, frame_text, terminal_width
from pipeline.errors import InputError, installing

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["by_column", "check_output", "print_rows", "split_list", "write_rows"]

Frames = Iterable["pd.DataFrame"]


def print_rows(frames: Frames, form: str | None, keys: int, *, cut: bool = False) -> None:
    """Print rows as text, CSV or JSON.

    Parameters
    ----------
    frames
        The rows.
    form
        "csv", "json", or None for text.
    keys
        Number of columns that identify a row; they stand in every block of a text that is too wide
        for the terminal.
    cut
        Whether a text that is too wide loses columns instead; a line on stderr names them.
    """
    if form is None:
        _text(_cut(frames, keys) if cut else frames, sys.stdout, keys)
    else:
        _STREAMS[form](frames, sys.stdout)
    sys.stdout.flush()  # a closed pipe raises here, not when Python exits


def check_output(where: str, file: Path, overwrite: bool) -> None:
    """Refuse a file that rows cannot be written to, before any are read.

    Parameters
    ----------
    where, file, overwrite
        As for `check_outputs`.

    Raises
    ------
    InputError
        The ending is unknown, the path is a folder, a library is missing, or `check_outputs`
        refuses the file.
    """
    if file.suffix not in ENDINGS:
        raise InputError(f"{where} {file}: unknown ending; expected one of {', '.join(ENDINGS)}")
    if file.is_dir():
        raise InputError(f"{where} {file}: is a folder; give the name of a file")
    check_outputs(where, [file], overwrite)
    if file.suffix == ".parquet":
        try:
            import pyarrow.parquet  # noqa: F401
        except ImportError:
            raise InputError(
                f"{where} {file}: Parquet needs pyarrow, which is not installed: "
                f"{installing('parquet')}; or give a .csv or .json file"
            ) from None


def write_rows(frames: Frames, file: Path, where: str = "-o") -> None:
    """Write rows to a file in the format of its ending; an existing file is replaced at the end.

    `where` names the option in messages.

    Raises
    ------
    InputError
        The file cannot be written.
    """
    with draft_of(where, file) as draft:
        ENDINGS[file.suffix](frames, draft)


def by_column(frame: pd.DataFrame, keys: int) -> pd.DataFrame:
    """Return statistics with a row for each group and column, which fits into a terminal.

    Parameters
    ----------
    frame
        From `analysis.summarise`.
    keys
        Number of its columns that identify the group.
    """
    import pandas as pd

    labels: dict[str, dict[str, str]] = {}
    for label in frame.columns[keys:]:
        name, _, column = label.removesuffix(")").partition("(")
        labels.setdefault(column, {})[label] = name
    groups = frame.columns[:keys]
    parts = [
        frame[[*groups, *names]].rename(columns=names).assign(column=column)
        for column, names in labels.items()
    ]
    whole = pd.concat(parts).sort_index(kind="stable")
    statistics = [name for name in whole if name not in (*groups, "column")]
    return whole[[*groups, "column", *statistics]]


def split_list(text: str | None) -> list[str] | None:
    """Split a list at its commas outside of brackets and quotes."""
    if text is None:
        return None
    words, depth, quote = [""], 0, ""
    for sign in text:
        if quote or sign in "'\"":
            quote = "" if sign == quote else quote or sign
        else:
            depth += (sign in "([") - (sign in ")]")
        if sign == "," and not depth and not quote:
            words.append("")
        else:
            words[-1] += sign
    return [word.strip() for word in words]


# ---- formats; all frames have the same columns, and the first may be empty


def _text(frames: Frames, stream: IO[str], keys: int) -> None:
    """Write a table; later frames get the column widths of the first."""
    first, spaces = None, None
    for frame in frames:
        if not len(frame):
            stream.write("(no trial)\n")
            return
        if first is None:
            stream.write(frame_text(frame, keys) + "\n")
            first = frame
            continue
        spaces = spaces or dict(zip(first, column_widths(first), strict=True))
        for part in blocks(list(spaces.values()), keys, 1, terminal_width()):
            names = [frame.columns[index] for index in part]
            own = [spaces[name] for name in names]
            stream.write(frame[names].to_string(index=False, header=False, col_space=own) + "\n")


def _cut(frames: Frames, keys: int) -> Frames:
    """Leave out columns of all frames if the first is too wide for the terminal."""
    shown: list[str] | None = None
    for frame in frames:
        if shown is None:
            shown = _fitting(frame, keys)
        yield frame[shown]


def _fitting(frame: pd.DataFrame, keys: int) -> list[str]:
    """Return the columns that fit into the terminal, and name the others on stderr.

    A column of blanks goes first, then the times, then the last ones but the status.
    """
    room = terminal_width()
    names = [str(name) for name in frame]
    if room is None or not len(frame):
        return names
    widths = dict(zip(names, column_widths(frame), strict=True))
    blank = [name for name in names if (frame[name] == "").all()]
    others = [name for name in reversed(names[keys:]) if name != "status"]
    order = dict.fromkeys([*blank, *(name for name in others if name == "seconds"), *others])
    left = []
    for name in order:
        if sum(widths.values()) + len(widths) - 1 <= room:
            break
        left.append(name)
        del widths[name]
    if left:
        words = ", ".join(name for name in names if name in left)
        click.echo(
            f"the terminal is too narrow for {words}; --columns selects, --csv has all", err=True
        )
    return list(widths)


def _csv(frames: Frames, stream: IO[str]) -> None:
    for number, frame in enumerate(frames):
        write_frame(frame, stream, header=number == 0)


def _json(frames: Frames, stream: IO[str]) -> None:
    """Write a list with one row per line."""
    stream.write("[")
    before = "\n"
    for frame in frames:
        for record in plain(frame):
            stream.write(before + json.dumps(record, allow_nan=False))
            before = ",\n"
    stream.write("]\n" if before == "\n" else "\n]\n")


def _parquet(frames: Frames, file: Path) -> None:
    """Write each frame as a row group."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    writer = None
    try:
        for frame in frames:
            if writer is None:
                schema = pa.schema([(name, _arrow_type(pa, frame[name])) for name in frame])
                writer = pq.ParquetWriter(file, schema)
            writer.write_table(pa.Table.from_pandas(frame, writer.schema, preserve_index=False))
    finally:
        if writer is not None:
            writer.close()


def _arrow_type(pa: Any, column: pd.Series[Any]) -> Any:
    """Return the type of a column from its dtype alone, as there may be no values."""
    known = {"b": pa.bool_(), "i": pa.int64(), "u": pa.uint64(), "f": pa.float64()}
    return known.get(column.dtype.kind, pa.string())


_STREAMS: dict[str, Callable[[Frames, IO[str]], None]] = {
    "csv": _csv,
    "json": _json,
}


def _filed(form: str) -> Callable[[Frames, Path], None]:
    def write(frames: Frames, file: Path) -> None:
        with file.open("w", encoding="utf-8", newline="") as stream:
            _STREAMS[form](frames, stream)

    return write


ENDINGS: dict[str, Callable[[Frames, Path], None]] = {
    ".csv": _filed("csv"),
    ".json": _filed("json"),
    ".parquet": _parquet,
}
"""Writers of files by their ending."""
