"""`widthlaw fit`: the critical widths of stores in one table, and their laws in another.

With --along the critical values of another axis take their places, and their names.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from jobs.options import (
    FILE,
    STORE,
    along_options,
    among,
    lapse_option,
    listing_options,
    success_options,
)
from jobs.output.files import overwrite_option
from jobs.output.records import json_text, naming_options, plain, report_gaps
from jobs.output.slowing import show_infinite_budget
from jobs.output.spreadsheet import write_frame
from jobs.output.tables import frame_text

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from analysis.comparison import Answer
    from analysis.success import Success
    from analysis.transitions.scales import Along
    from pipeline.store.location import StorePath

__all__ = ["fit", "require_success"]

CELL_COLUMNS = [
    "outcome",
    "k50",
    "k50_low",
    "k50_high",
    "bracket_low",
    "bracket_high",
    "transition_width",
    "transition_width_low",
    "transition_width_high",
    "lapse",
    "lapse_low",
    "lapse_high",
    "lapse_delta_aicc",
    "fit_p",
    "k50_isotonic",
    "k_crossing",
    "falls_from",
    "rises_from",
    "k_edge",
    "k_edge_finite",
    "alpha",
    "alpha_error",
    "seeds",
    "pending",
]
"""Variables of `critical_widths` that the table shows, by their names along the width."""

INTERVALS = ("k50", "transition_width", "lapse")
"""Columns that the text shows with their interval."""

ANSWER = ("outcome", "k50", "bracket", "k_edge_finite")
"""Columns of the text that come first, after those that identify a cell."""


@click.command()
@click.argument("stores", type=STORE, nargs=-1, required=True)
@click.option(
    "--link",
    default="logistic",
    show_default=True,
    help="Curve: logistic or probit.",
    shell_complete=among("logistic", "probit"),
)
@click.option(
    "--interval",
    default="seeds",
    show_default=True,
    shell_complete=among("seeds", "profile"),
    help="Interval of k50: seeds, or profile (independent widths only).",
)
@click.option(
    "--infinite-budget",
    is_flag=True,
    help="Width below which descent never arrives, from the steps to each tolerance.",
)
@click.option(
    "--joint",
    is_flag=True,
    help="With --infinite-budget: exponents of n and d in that width, from all cells together.",
)
@click.option(
    "--where",
    metavar="EXPRESSION",
    help="Fit only the trials that meet a condition, as of `query`: 'k > 50'.",
)
@click.option("-o", "--output", type=FILE, help="Write a .csv, .json or .parquet file.")
@overwrite_option
@success_options
@along_options
@lapse_option
@listing_options
def fit(
    stores: Sequence[StorePath],
    success: Success,
    form: str | None,
    link: str,
    interval: str,
    infinite_budget: bool,
    joint: bool,
    where: str | None,
    along: Along,
    lapse: bool | str,
    output: Path | None,
    overwrite: bool,
) -> None:
    """Fit the critical widths of STORES, and rank the laws.

    There is one for each cell: all widths and seeds of one combination of the other axes. Several
    stores make one table, with a column for each setting that differs (activation, dataset, budget,
    ...). CSV and Parquet have the critical widths only; with several stores JSON is a list.

    \b
    outcome        fitted; separated: failures end where successes begin;
                   censored: the transition lies outside the widths; unordered:
                   success does not rise with width, or surely falls below 1/2
                   again, and a line says where; degenerate: alpha is 0 or lost
                   to rounding, and a line says which and why; empty: nothing
                   done
    k50            width at which half of the trials succeed, with 95% interval:
                   the curve's, or k50_isotonic where no curve fits, or where
                   the curve contradicts the counts
    bracket_low    most trials fail up to this width; 0: most succeed at all
    bracket_high   most succeed from this width on; inf: most fail at all
    transition_width  ratio of the widths of 90% and 10% success, with interval
    fit_p          goodness-of-fit p-value, by simulation; small: a bad fit
    k50_isotonic   estimate of k50 that assumes only that success rises with width
    k_crossing     median over the seeds of the smallest width from which on a
                   seed always succeeds
    falls_from     of an unordered cell: last width of most successes before
                   success falls; rises_from: last of most failures after that
    lapse          with --lapse: share of trials that fail at any size, with
                   interval; k50 is then where the other trials succeed in half
                   of the cases, and a line tells whether AICc prefers it to none
    k_edge         width predicted by the limiting spectrum (its left edge)
    k_edge_finite  the same, with the shift of the edge at finite n

    With --along AXIS the table has the critical value of AXIS for each cell of all other axes: along n
    the columns are n50, n_crossing, ..., and the laws are those of the critical n at a fixed k. Where
    success falls, most trials succeed up to bracket_low and most fail from bracket_high on.

    A missing value is NaN in the text, empty in CSV, null in JSON; infinity in JSON is "inf". The
    text leaves out columns without any value, and alpha_error, the largest error of a seed's alpha.

    With --infinite-budget the table has one row for each cell and tolerance: k_inf, the width below
    which no budget suffices, and gamma, how fast the steps grow towards it, with 95% intervals; or a
    verdict that says why there is none. It is fitted to the trials at widths up to twice the narrowest
    at which half of them arrive, which the columns count. --budget then hides what happened later. With
    --joint it has one row for each tolerance: the exponents of n and d in k_inf from one model of all
    cells, k_inf d/n where times show a threshold, the laws n/d, n log n/d, n^2/d and n^4/d^3 by AICc,
    and the largest n predicted from the smaller ones. Below, the text has the exponents of k50 at three
    budgets.
    """
    from analysis.stores import open_stores
    from jobs.output.frames import check_output

    if output is not None:
        if form is not None:
            raise click.UsageError(f"-o {output} already gives the format; remove --{form}.")
        check_output("fit -o", output, overwrite)
    if joint and not infinite_budget:
        raise click.UsageError("--joint is about the width at infinite budget; add --infinite-budget.")
    if infinite_budget:
        _check_infinite_budget(link, interval, along, lapse)
        show_infinite_budget(stores, success, where, form, output, joint=joint)
        sys.exit(max(report_gaps(path, "the fit uses what is there") for path in stores))
    tree = open_stores(stores, dask=False)
    locations = dict(zip(tree.children, stores, strict=True))
    answers = {
        name: _fitted(
            path,
            tree[name].to_dataset(),
            success,
            where,
            link=link,
            interval=interval,
            along=along,
            lapse=lapse,
        )
        for name, path in locations.items()
    }  # before anything is printed: a store that cannot be fitted is refused
    for name, answer in answers.items():
        for note in answer.notes:
            click.echo(f"{locations[name]}: {note}", err=True)
    if output is not None:
        _write(answers, locations, output)
        click.echo(output)
    elif form == "json":
        click.echo(_json(answers, locations))
    elif form == "csv":
        write_frame(_rows(answers, locations), sys.stdout)
    else:
        _show(answers, locations)
    sys.exit(max(report_gaps(path, "the fit uses what is there") for path in stores))


def _check_infinite_budget(link: str, interval: str, along: Along, lapse: bool | str) -> None:
    """Refuse options of critical widths, which say nothing about times."""
    from analysis.transitions.scales import ALONG_WIDTH

    given = {
        "--link": link != "logistic",
        "--interval": interval != "seeds",
        "--along": along != ALONG_WIDTH,
        "--lapse": lapse is not False,
    }
    if unused := [name for name, is_given in given.items() if is_given]:
        raise click.UsageError(
            "--infinite-budget models the steps to each tolerance at each width; remove "
            f"{', '.join(unused)}."
        )


def _fitted(
    path: StorePath, ds: xr.Dataset, success: Success, where: str | None, along: Along, **settings: Any
) -> Answer:
    from analysis.comparison import answer_of
    from analysis.query.restriction import restrict
    from analysis.transitions.scales import one_width_words
    from pipeline.errors import InputError

    with naming_options("fit", path):
        if success.condition is None:
            require_success(ds, path)
        part = restrict(ds, where)
        if along.is_width and (words := one_width_words(part)):
            raise InputError(words)
        answer = answer_of(part, success=success, along=along, **settings)
    return answer if where is None else replace(answer, rule=f"{answer.rule}, where {where}")


def require_success(ds: xr.Dataset, path: StorePath) -> None:
    """Refuse a store without a default success, with a message that names options."""
    from pipeline.errors import InputError

    known = ({"steps_to_tolerance"}, {"ntk_population"}, {"sigma_min", "alpha"})
    if not any(names <= set(ds) for names in known):
        raise InputError(
            f"a store of {ds.attrs['experiment']} has no success that a critical width could be "
            f"fitted to; define one with --success, or draw its content with `widthlaw plot {path}`"
        )


def _record(path: StorePath, answer: Answer) -> dict[str, Any]:
    along = answer.along
    told = {} if along.is_width else {"along": along.axis, "direction": along.direction}
    name = "critical_widths" if along.is_width else f"critical_{along.axis}"
    return {
        "store": str(path),
        "rule": answer.rule,
        **told,
        name: plain(_narrowed(answer.cells, answer.axes, along), "inf"),
        "verdict": answer.verdict,
        "laws": [] if answer.laws is None else plain(answer.laws, "inf"),
    }


def _json(answers: Mapping[str, Answer], locations: Mapping[str, StorePath]) -> str:
    records = [_record(locations[name], answer) for name, answer in answers.items()]
    return json_text(records[0] if len(records) == 1 else records)


def _rows(answers: Mapping[str, Answer], locations: Mapping[str, StorePath]) -> pd.DataFrame:
    """Return the cells of all stores, for programs."""
    whole = _table({str(locations[name]): answer for name, answer in answers.items()})
    return whole.drop(columns="store") if len(answers) == 1 else whole


def _write(answers: Mapping[str, Answer], locations: Mapping[str, StorePath], file: Path) -> None:
    """Write what --json prints to a .json file, and what --csv prints to any other."""
    from jobs.output.files import draft_of
    from jobs.output.frames import write_rows

    if file.suffix != ".json":
        write_rows([_rows(answers, locations)], file)
        return
    with draft_of("fit -o", file) as draft:
        draft.write_text(_json(answers, locations) + "\n", encoding="utf-8")


# ---- tables


def _table(answers: Mapping[str, Answer]) -> pd.DataFrame:
    """Return the cells of all stores; the first columns distinguish them."""
    from analysis.comparison import joined_cells

    whole = joined_cells(answers)
    variables = {name for a in answers.values() for name in a.cells if name not in a.axes}
    first = [str(name) for name in whole if name not in variables]
    return _narrowed(whole, first, _along(answers))


def _along(answers: Mapping[str, Answer]) -> Along:
    return next(iter(answers.values())).along


def _narrowed(cells: pd.DataFrame, first: Sequence[str], along: Along) -> pd.DataFrame:
    from analysis.transitions.descriptions import renamed

    names = [renamed(name, along) for name in CELL_COLUMNS]
    return cells[[*first, *(name for name in names if name in cells)]]


def _show(answers: Mapping[str, Answer], locations: Mapping[str, StorePath]) -> None:
    """Print the verdict on the laws, then the critical widths, then the laws."""
    from analysis.comparison import joined_laws
    from analysis.scaling import rule_of_words
    from analysis.scaling.laws import sizes_of

    alone = len(answers) == 1
    for name, answer in answers.items():
        click.echo(f"{locations[name] if alone else name}: {_subject(answer)} at {answer.rule}")
    for name, answer in answers.items():
        head = "" if alone else f"{name}: "
        if not len(answer.cells):
            what = "width" if answer.along.is_width else answer.along.axis
            click.echo(f"{head}no critical {what}: no trial has an outcome, and none is pending")
        for words in answer.lapses:
            click.echo(f"{head}{words}")
        click.echo(f"{head}{answer.verdict}")
    cells = _table(answers).drop(columns=["store"] if alone else ["rule"], errors="ignore")
    if len(cells):
        click.echo(
            "\n" + frame_text(_legible(_merged(cells, _along(answers))), list(cells).index("outcome"))
        )
    laws = joined_laws(answers)
    if len(laws):
        shown = _legible(_compact(laws))
        shown = shown.drop(columns="store") if alone else shown
        click.echo("\nlaws, by AICc\n" + frame_text(shown, list(shown).index("formula") + 1))
        if laws["delta_aicc"].notna().any():
            click.echo("\n" + rule_of_words(sizes_of(laws.columns)))


def _subject(answer: Answer) -> str:
    """Return what the numbers of a store are, with the direction of success along its axis."""
    along = answer.along
    if along.is_width:
        return "critical widths" + (", success falling," if along.direction == "falling" else "")
    verb = "falls" if along.direction == "falling" else "rises"
    return f"critical {along.axis}, along which success {verb},"


def _legible(frame: pd.DataFrame) -> pd.DataFrame:
    """Round to four decimals, except for coordinates: 1e-8 must not become 0, or depth 2 be 2.0."""
    exact = {
        name: [f"{value:.12g}".replace("nan", "NaN") for value in frame[name]]
        for name in ("angle", "tolerance", "budget", "depth", "step_size")
        if name in frame and frame[name].dtype.kind in "if"
    }
    return frame.round(4).assign(**exact)


def _merged(cells: pd.DataFrame, along: Along) -> pd.DataFrame:
    """Put each interval into the column of its value, with four digits, the answer first.

    Columns in which no cell has a value are left out.
    """
    from analysis.transitions.descriptions import renamed

    shown = cells.copy()
    every = [renamed(name, along) for name in CELL_COLUMNS]
    for name in [name for name in every if name in cells and cells[name].dtype.kind == "f"]:
        shown[name] = [_short(value) for value in cells[name]]
    for name in [own for own in (renamed(name, along) for name in INTERVALS) if own in shown]:
        ends = zip(shown[name], shown.pop(f"{name}_low"), shown.pop(f"{name}_high"), strict=True)
        shown[name] = ["NaN" if value == "NaN" else f"{value} [{a}, {b}]" for value, a, b in ends]
    shown["bracket_low"] += "-" + shown.pop("bracket_high")
    shown = shown.rename(columns={"bracket_low": "bracket"})
    # The error of alpha decides lines of their own, and so does the gain of a lapse rate.
    shown = shown.drop(columns=["alpha_error", "lapse_delta_aicc"], errors="ignore")
    value = renamed("k50", along)
    known = [name for name in shown if not (shown[name] == "NaN").all() or name == value]
    first = known[: known.index("outcome")]
    answer = [name for name in (renamed(name, along) for name in ANSWER) if name in known]
    return shown[[*first, *answer, *(name for name in known if name not in {*first, *answer})]]


def _short(value: float) -> str:
    """Return a number with four digits, or with all digits before the point."""
    if value != value or abs(value) == float("inf"):
        return "NaN" if value != value else f"{value:g}"
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def _compact(laws: pd.DataFrame) -> pd.DataFrame:
    """Return the main columns of the laws, to fit into a terminal; JSON has all of them."""
    from analysis.scaling.laws import group_columns, sizes_of

    groups, (lead, _) = group_columns(laws), sizes_of(laws.columns)
    shown = laws[[*groups, "formula", "constant"]].copy()
    shown["constant"] = [f"{value:.3g}" for value in laws["constant"]]
    shown["exponents"] = [_exponents(row) for _, row in laws.iterrows()]
    shown["rms"] = laws["rms_log_residual"].round(3)
    shown["delta AICc"] = laws["delta_aicc"].round(1)
    shown["weight"] = laws["weight"].round(3)
    shown[f"rms, largest {lead} left out"] = laws[f"error_largest_{lead}"].round(3)
    return shown.dropna(axis="columns", how="all")  # of three points no AICc, and so no weight


def _exponents(law: pd.Series[Any]) -> str:
    """Return each fitted exponent with its interval, such as `n^1.01 [0.98, 1.04]`."""
    from analysis.scaling.laws import exponents_of

    return ", ".join(
        f"{name}^{value:.2f} [{low:.2f}, {high:.2f}]" for name, value, low, high in exponents_of(law)
    )
