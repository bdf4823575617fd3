"""Printed records: aligned text, CSV or JSON on stdout, and reports on missing trials on stderr.

JSON is strict and in full precision: a missing number is null. Infinity is null too in a list of
trials, where the status distinguishes the two; `fit` writes it as the string "inf".
"""

from __future__ import annotations

import json
import math
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from jobs.output.spreadsheet import write_rows
from jobs.output.tables import blocks, terminal_width
from pipeline.printable import one_line

if TYPE_CHECKING:
    import pandas as pd

    from pipeline.maintenance.plan import Change
    from pipeline.store.location import StorePath

__all__ = [
    "FAILED",
    "INCOMPLETE",
    "Record",
    "aligned",
    "counted",
    "exit_status",
    "json_text",
    "naming_options",
    "plain",
    "print_change",
    "print_continued",
    "print_damaged",
    "print_failures",
    "print_records",
    "report_gaps",
]

Record = dict[str, Any]

FAILED = 1
INCOMPLETE = 3
"""Exit statuses of a store with failed trials, and of one with pending trials."""

SHORTEST = 20
"""The fewest letters of a line to which a text is wrapped."""

OPTIONS = {"budgets": "budget"}
"""Options whose name differs from that of the parameter in `analysis`."""


def print_records(records: list[Record], form: str | None, keys: int = 1) -> None:
    """Print records with the same keys, as text, CSV or JSON; the first `keys` identify a record."""
    if form == "json":
        click.echo(json_text([{k: _strict(v, "inf") for k, v in record.items()} for record in records]))
    elif form == "csv":
        columns = list(records[0]) if records else []
        write_rows(columns, (record.values() for record in records), sys.stdout)
    else:
        click.echo(aligned(records, keys))


def json_text(value: object) -> str:
    """Return strict JSON."""
    return json.dumps(value, indent=2, allow_nan=False)


def aligned(records: list[Record], keys: int = 1) -> str:
    """Return records as a table of text with aligned columns, numbers to the right.

    On a terminal that is too narrow the table is cut into blocks that start with `keys` columns.
    """
    if not records:
        return "(nothing)"
    columns = [[name, *(_text(record[name]) for record in records)] for name in records[0]]
    numeric = [all(isinstance(record[name], int | float) for record in records) for name in records[0]]
    sides = [
        [
            cell.rjust(max(map(len, column))) if right else cell.ljust(max(map(len, column)))
            for cell in column
        ]
        for column, right in zip(columns, numeric, strict=True)
    ]
    room = terminal_width()
    parts = blocks([len(side[0]) for side in sides], keys, 2, room)
    return "\n\n".join(
        "\n".join(_line(row, room) for row in zip(*(sides[i] for i in part), strict=True))
        for part in parts
    )


def _line(cells: Sequence[str], room: int | None) -> str:
    """Return a row of a table; a text at its end that is too long for the terminal is wrapped."""
    line = "  ".join(cells).rstrip()
    start = len(line) - len(cells[-1].rstrip())
    if room is None or len(line) <= room or room - start < SHORTEST:
        return line
    return line[:start] + f"\n{' ' * start}".join(textwrap.wrap(line[start:], room - start))


def _text(value: object) -> str:
    if isinstance(value, float):
        return "-" if value != value else f"{value:.4g}"
    return one_line(str(value))


def counted(number: int, noun: str) -> str:
    """Return a number with its noun, such as `1 trial` or `3 trials`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def exit_status(counts: Mapping[str, int]) -> int:
    """Return the exit status for trials by status: 1 if some are damaged, else 3 or 1 or 0.

    3 if some are pending, 1 if some failed.
    """
    if counts["damaged"]:
        return FAILED
    return INCOMPLETE if counts["pending"] else FAILED if counts["failed"] else 0


def print_failures(path: StorePath) -> None:
    """Print the most frequent messages of failed trials on stderr."""
    from pipeline.store import Store

    for message, times in Store(path).messages():
        click.echo(f"  {times} x {one_line(message)}", err=True)


def print_damaged(path: StorePath, counts: Mapping[str, int]) -> None:
    """Report trials whose results are lost on stderr."""
    if counts["damaged"]:
        from pipeline.store.code import run_command

        click.echo(
            f"{path}: {counted(counts['damaged'], 'trial')} damaged: their results are lost, so they "
            f"are left out; `widthlaw verify {path} --repair` makes them pending, and then "
            f"{run_command(path)} computes them again",
            err=True,
        )


def report_gaps(path: StorePath, then: str, *, listing: bool = False) -> int:
    """Report the trials of a store without a result on stderr, and return the exit status.

    Parameters
    ----------
    path
        The store.
    then
        The consequence of pending trials, for the message.
    listing
        True for a command that lists or checks trials. Failed trials then do not make the command fail,
        and their messages are not printed.
    """
    from pipeline.store import Store

    found = Store(path).counts()
    print_damaged(path, found)
    if found["pending"]:
        click.echo(f"{path}: {counted(found['pending'], 'trial')} pending; {then}", err=True)
    if found["failed"]:
        hint = "" if listing else f"; `widthlaw query {path} \"status == 'failed'\"` lists them"
        click.echo(f"{path}: {counted(found['failed'], 'trial')} failed{hint}", err=True)
        if not listing:
            print_failures(path)
    code = exit_status(found)
    return 0 if listing and code == FAILED and not found["damaged"] else code


def print_change(change: Change, out: StorePath, dry_run: bool) -> None:
    """Print the change of the axes of a store, and its numbers of finished and pending trials."""
    axes = [
        {"axis": axis, "before": _values(change.before[axis]), "after": _values(change.after[axis])}
        for axis in change.after
    ]
    print_records(axes, None)
    verb = "would have" if dry_run else "has"
    click.echo(
        f"{out}: {verb} {counted(change.there, 'trial')} with an outcome and {change.pending} pending",
        err=True,
    )
    if change.pending and not dry_run:
        from pipeline.store.code import run_command

        click.echo(f"{run_command(out)} computes them", err=True)


def print_continued(continued: Mapping[str, int], out: StorePath) -> None:
    """Say how many descents go on from their checkpoints, and how many start anew, and why."""
    anew = {why: number for why, number in continued.items() if why and number}
    line = f"{out}: {counted(continued.get('', 0), 'trial')} to go on from a checkpoint"
    if anew:
        reasons = ", ".join(f"that of {number} is {why}" for why, number in sorted(anew.items()))
        line += (
            f"; {counted(sum(anew.values()), 'trial')} to start anew, without a checkpoint ({reasons})"
        )
    click.echo(line, err=True)


def _values(values: Sequence[float]) -> str:
    if len(values) <= 8:
        return ", ".join(f"{value:g}" for value in values)
    return f"{len(values)} values from {min(values):g} to {max(values):g}"


@contextmanager
def naming_options(command: str, path: StorePath) -> Iterator[None]:
    """Make input errors name the command, its option, and the store."""
    from pipeline.errors import CommandError, InputError, ParameterError, StoreError

    try:
        yield
    except (StoreError, CommandError):
        raise  # the message names the store already
    except ParameterError as error:
        option = OPTIONS.get(error.parameter, error.parameter)
        raise CommandError(f"{command} {path}: --{option}: {error.text}") from error
    except InputError as error:
        raise CommandError(f"{command} {path}: {error}") from error


def plain(frame: pd.DataFrame, infinite: str | None = None) -> list[Record]:
    """Return records of JSON values in full precision; infinity becomes `infinite`, or null."""
    columns = [[_strict(value, infinite) for value in frame[name].tolist()] for name in frame]
    return [dict(zip(frame.columns, row, strict=True)) for row in zip(*columns, strict=True)]


def _strict(value: Any, infinite: str | None) -> Any:
    if not isinstance(value, float) or math.isfinite(value):
        return value
    if math.isnan(value) or infinite is None:
        return None
    return infinite if value > 0 else f"-{infinite}"
