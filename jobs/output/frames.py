"""Rows of a sequence of frames, printed or written to a file lazily.

A file is written atomically: under a temporary name beside it, renamed at the end.
"""

from __future__ import annotations

import json
import sys
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from jobs.output.records import plain
from jobs.output.spreadsheet import write_frame
from pipeline.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["by_column", "check_output", "print_rows", "split_list", "write_rows"]

Frames = Iterable["pd.DataFrame"]


def print_rows(frames: Frames, form: str | None) -> None:
    """Print rows as text, CSV or JSON."""
    _STREAMS[form](frames, sys.stdout)
    sys.stdout.flush()  # a closed pipe raises here, not when Python exits


def check_output(file: Path, option: str = "-o") -> None:
    """Refuse a file that rows cannot be written to, before any are read; the option names it.

    Raises
    ------
    InputError
        The ending is unknown, the path is a folder, or a library is missing.
    """
    if file.suffix not in ENDINGS:
        raise InputError(f"{option} {file}: unknown ending; expected one of {', '.join(ENDINGS)}")
    if file.is_dir():
        raise InputError(f"{option} {file}: is a folder; give the name of a file")
    if file.suffix == ".parquet":
        try:
            import pyarrow.parquet  # noqa: F401
        except ImportError:
            raise InputError(
                f"{option} {file}: Parquet needs pyarrow, which is not installed: "
                "pip install 'widthlaw[parquet]'; or give a .csv or .json file"
            ) from None


def write_rows(frames: Frames, file: Path, option: str = "-o") -> None:
    """Write rows to a file in the format of its ending; an existing file is replaced at the end.

    The option names the file in messages.

    Raises
    ------
    InputError
        The file cannot be written.
    """
    with _beside(file, option) as draft:
        ENDINGS[file.suffix](frames, draft)


@contextmanager
def _beside(file: Path, option: str) -> Iterator[Path]:
    """Yield a temporary path; its file replaces `file` on success, and is removed otherwise."""
    draft = file.with_name(f".{file.name}.{uuid.uuid4().hex[:8]}.partial")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        draft.touch()
    except OSError as error:
        raise InputError(
            f"{option} {file}: cannot be written ({error.strerror or error}); "
            "give a file in a writable folder"
        ) from None
    try:
        yield draft
        draft.replace(file)
    finally:
        draft.unlink(missing_ok=True)


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


def _text(frames: Frames, stream: IO[str]) -> None:
    """Write a table; later frames get the column widths of the first."""
    first, spaces = None, None
    for frame in frames:
        if not len(frame):
            stream.write("(no trial)\n")
            return
        if first is not None and spaces is None:
            spaces = {name: _width(first[[name]]) for name in first}
        stream.write(frame.to_string(index=False, header=first is None, col_space=spaces) + "\n")
        first = frame if first is None else first


def _width(column: pd.DataFrame) -> int:
    return max(map(len, column.to_string(index=False).splitlines()))


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


_STREAMS: dict[str | None, Callable[[Frames, IO[str]], None]] = {
    None: _text,
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
