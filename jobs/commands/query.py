"""`widthlaw query`: trials of a store, or statistics, on the terminal or in a file."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from jobs.options import FILE, STORE, listing_options
from jobs.output.files import overwrite_option

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from pipeline.store.location import StorePath

__all__ = ["query"]


class _Query(click.Command):
    """A command whose expression may start with a minus sign, where click looks for options."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        known = tuple(name for option in self.get_params(ctx) for name in option.opts if len(name) == 2)
        return super().parse_args(
            ctx, [f" {word}" if _starts_low(word, known) else word for word in args]
        )


def _starts_low(word: str, options: tuple[str, ...]) -> bool:
    """Return True for a condition such as `-sigma_min < 0`: it has a comparison, and is no option."""
    compares = not set("<>=").isdisjoint(word)
    return compares and word[:1] == "-" != word[1:2] and not word.startswith(options)


@dataclass(frozen=True)
class _Question:
    """The options of a query."""

    expression: str | None
    columns: list[str] | None
    stats: list[str] | None
    by: list[str] | None
    order: list[str]
    limit: int | None


def _list_option(name: str, parameter: str, text: str) -> Callable[..., Any]:
    """Return an option with a list; repeated, its lists are joined."""

    def joined(ctx: click.Context, param: click.Parameter, texts: tuple[str, ...]) -> list[str] | None:
        from jobs.output.frames import split_list

        return [word for text in texts for word in split_list(text) or ()] if texts else None

    return click.option(name, parameter, metavar="LIST", multiple=True, callback=joined, help=text)


@click.command(cls=_Query)
@click.argument("store", type=STORE)
@click.argument("expression", required=False)
@_list_option("--columns", "columns", "Columns: names or expressions, in this order.")
@_list_option("--stat", "stats", "Print statistics of the columns, not trials.")
@_list_option("--by", "by", "Print a row of statistics for each value of these columns.")
@_list_option("--sort", "order", "Sort by these columns; -COLUMN has the largest first.")
@click.option("--limit", type=click.IntRange(min=1), help="Print at most this many rows.")
@click.option("-o", "--output", type=FILE, help="Write a .csv, .json or .parquet file.")
@overwrite_option
@listing_options
def query(
    store: StorePath,
    expression: str | None,
    columns: list[str] | None,
    stats: list[str] | None,
    by: list[str] | None,
    order: list[str] | None,
    limit: int | None,
    output: Path | None,
    overwrite: bool,
    form: str | None,
) -> None:
    """List the trials of STORE that meet EXPRESSION, or statistics.

    EXPRESSION is a condition such as 'n >= 200 and sigma_min < 0.1' or 'n in [100, 200]'. For a
    variable with an extra axis give its value in brackets: 'steps_to_tolerance[0.01] <= 2000'. Put text
    in quotes: "status == 'failed'". A column may be an expression too: --columns
    'sigma_min/sqrt(k)/alpha,edge'. Trials that were not requested, or cannot exist, are listed only for
    "status == 'not_requested'" or "status == 'excluded'".

    \b
    --stat  count, sum, mean, std, sem, min, max, median; quantile: the 5, 25,
            50, 75 and 95% quantiles; quantile:0.1: one quantile; share: the
            fraction of trials for which a condition in --columns is true
    --by    axes (d, n, width, seed, activation, tolerance, ...), k, status,
            or any column; without --stat it counts trials

    A LIST has commas between its items; an option given twice joins its lists. Statistics use trials
    with an outcome (done or diverged) and skip missing values; count is the number of values used. A
    line on stderr says which axes they pool. In JSON a missing or infinite value is null, such as the
    steps to a tolerance that a trial never reached.
    """
    from jobs.output.frames import check_output, print_rows, write_rows
    from jobs.output.records import naming_options, report_gaps

    if output is not None and form is not None:
        raise click.UsageError(f"-o {output} already gives the format; remove --{form}.")
    if output is not None:
        check_output("query -o", output, overwrite)
    question = _Question(expression, columns, stats, by, order or [], limit)
    with naming_options("query", store):
        rows, keys = _rows(store, question, folded=output is None and not form)
    if output is None:
        print_rows(rows, form, keys, cut=columns is None and stats is None)
    else:
        write_rows(rows, output)
        click.echo(output)
    sys.exit(report_gaps(store, "the list has what is there", listing=True))


def _rows(store: StorePath, question: _Question, folded: bool) -> tuple[Iterable[pd.DataFrame], int]:
    """Return the rows, and the number of columns that identify one; trials are read lazily."""
    from analysis.query.selection import frames
    from analysis.query.summaries import summarise
    from analysis.stores import open_store
    from jobs.output.frames import by_column

    ds = open_store(store, dask=False)
    expression, columns, order = question.expression, question.columns, question.order
    _say_not_requested(store, ds, expression)
    if question.stats is None and question.by is None:
        keys = len({*ds.status.dims, "k"} - set(columns or []))
        return frames(ds, expression, columns, question.limit, order=order), keys
    by = question.by or []
    found = summarise(ds, expression, columns, question.stats, by, order=order)
    if question.stats is not None:
        _say_pooled(store, found.attrs["pooled"])
    found = found[: question.limit]
    if folded and question.stats is not None:
        return [by_column(found, len(by))], len(by) + 1
    return [found], len(by)


def _say_pooled(store: StorePath, pooled: dict[str, int]) -> None:
    """Tell along which axes a row of statistics joins several values."""
    if not pooled:
        return
    text = ", ".join(f"{axis} ({number} values)" for axis, number in pooled.items())
    settings = [axis for axis in pooled if axis != "seed"]
    warning = f"; this mixes different settings: --by {','.join(settings)} keeps them apart"
    click.echo(f"{store}: statistics over {text}{warning if settings else ''}", err=True)


def _say_not_requested(store: StorePath, ds: xr.Dataset, expression: str | None) -> None:
    """Tell who asks for excluded trials of a refined store that it has others of this kind."""
    from analysis.expressions import conjuncts, words_in
    from pipeline.trial_status import Status

    words = {word for node in conjuncts(expression) for word in words_in(node)}
    if Status.EXCLUDED.word not in words or Status.NOT_REQUESTED.word in words:
        return
    if skipped := int((ds.status == Status.NOT_REQUESTED).sum()):
        click.echo(
            f"{store}: {skipped} trials were not requested: \"status == 'not_requested'\" lists them; "
            "excluded are those that cannot exist",
            err=True,
        )
