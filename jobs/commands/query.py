"""What `widthlaw query` does: trials or statistics of a store, to the terminal or to a file."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from jobs.output.frames import by_column, check_output, print_rows, words_of, write_rows
from jobs.output.records import INCOMPLETE, asking, say_gaps

if TYPE_CHECKING:
    import pandas as pd

    from pipeline.store.location import Where

__all__ = ["answer"]


def answer(
    store: Where,
    expression: str | None,
    columns: str | None,
    stats: str | None,
    by: str | None,
    limit: int | None,
    output: Path | None,
    form: str | None,
) -> int:
    """Answer a query and return the exit status.

    Parameters
    ----------
    store
        What is asked.
    expression, columns, stats, by, limit
        As for `analysis.frames` and `analysis.summarise`; lists with commas.
    output, form
        A file, or what to print: csv, json, or text if None.
    """
    if output is not None and form is not None:
        raise click.UsageError(f"the ending of -o {output} says the format; leave --{form} out.")
    if output is not None:
        check_output(output)
    with asking("query", store):
        rows = _rows(store, expression, columns, stats, by, limit, folded=output is None and not form)
    if output is None:
        print_rows(rows, form)
    else:
        write_rows(rows, output)
        click.echo(output)
    code = say_gaps(store, "listed with what is there", explain=False)
    return code if code == INCOMPLETE else 0  # to list failed trials is no failure


def _rows(
    store: Where,
    expression: str | None,
    columns: str | None,
    stats: str | None,
    by: str | None,
    limit: int | None,
    folded: bool,
) -> Iterable[pd.DataFrame]:
    """The rows, of which trials come as they are read."""
    from analysis import frames, open_store, summarise

    ds = open_store(store, dask=False)
    if stats is None and by is None:
        return frames(ds, expression, words_of(columns), limit)
    keys = words_of(by) or []
    found = summarise(ds, expression, words_of(columns), words_of(stats), keys)[:limit]
    return [by_column(found, len(keys)) if folded and stats is not None else found]
