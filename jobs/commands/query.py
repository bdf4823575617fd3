"""`widthlaw query`: trials of a store, or statistics, on the terminal or in a file."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from jobs.options import FILE, STORE, listing_options

if TYPE_CHECKING:
    import pandas as pd

    from pipeline.store.location import StorePath

__all__ = ["query"]


@dataclass(frozen=True)
class _Question:
    """The options of a query; lists are separated by commas."""

    expression: str | None
    columns: str | None
    stats: str | None
    by: str | None
    limit: int | None


@click.command()
@click.argument("store", type=STORE)
@click.argument("expression", required=False)
@click.option("--columns", metavar="LIST", help="Columns, separated by commas: names or expressions.")
@click.option("--stat", "stats", metavar="LIST", help="Print statistics of the columns, not trials.")
@click.option("--by", metavar="LIST", help="Print a row of statistics for each value of these columns.")
@click.option("--limit", type=click.IntRange(min=1), help="Print at most this many rows.")
@click.option("-o", "--output", type=FILE, help="Write a .csv, .json or .parquet file.")
@listing_options
def query(
    store: StorePath,
    expression: str | None,
    columns: str | None,
    stats: str | None,
    by: str | None,
    limit: int | None,
    output: Path | None,
    form: str | None,
) -> None:
    """List the trials of STORE that meet EXPRESSION, or statistics.

    EXPRESSION is a condition such as 'n >= 200 and sigma_min < 0.1'. For a variable with an extra axis
    give its value in brackets: 'steps_to_tolerance[0.01] <= 2000'. Put text in quotes:
    "status == 'failed'". A column may be an expression too: --columns 'sigma_min/sqrt(k)/alpha,edge'.
    A refined STORE lists trials that were not requested only for "status == 'not_requested'".

    \b
    --stat  count, mean, std, sem, min, max, median; quantile: the 5, 25, 50,
            75 and 95% quantiles; quantile:0.1: one quantile; share: the
            fraction of trials for which a condition in --columns is true
    --by    axes (d, n, width, seed, activation, tolerance, ...), k, status,
            or any column; without --stat it counts trials

    Statistics use trials with an outcome (done or diverged) and skip missing values; count is the
    number of values used. In JSON a missing or infinite value is null, such as the steps to a tolerance
    that a trial never reached.
    """
    from jobs.output.frames import check_output, print_rows, write_rows
    from jobs.output.records import naming_options, report_gaps

    if output is not None and form is not None:
        raise click.UsageError(f"-o {output} already gives the format; remove --{form}.")
    if output is not None:
        check_output(output)
    question = _Question(expression, columns, stats, by, limit)
    with naming_options("query", store):
        rows = _rows(store, question, folded=output is None and not form)
    if output is None:
        print_rows(rows, form)
    else:
        write_rows(rows, output)
        click.echo(output)
    sys.exit(report_gaps(store, "the list has what is there", listing=True))


def _rows(store: StorePath, question: _Question, folded: bool) -> Iterable[pd.DataFrame]:
    """Return the rows; trials are read lazily."""
    from analysis.query.selection import frames
    from analysis.query.summaries import summarise
    from analysis.stores import open_store
    from jobs.output.frames import by_column, split_list

    ds = open_store(store, dask=False)
    if question.stats is None and question.by is None:
        return frames(ds, question.expression, split_list(question.columns), question.limit)
    keys = split_list(question.by) or []
    found = summarise(
        ds, question.expression, split_list(question.columns), split_list(question.stats), keys
    )[: question.limit]
    return [by_column(found, len(keys)) if folded and question.stats is not None else found]
