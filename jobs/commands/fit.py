"""`widthlaw fit`: the critical widths of stores in one table, and their laws in another."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from jobs.options import STORE, listing_options, success_options
from jobs.output.records import json_text, naming_options, plain, report_gaps
from jobs.output.spreadsheet import write_frame

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from analysis.comparison import Answer
    from analysis.success import Success
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
    "fit_p",
    "k50_isotonic",
    "k_crossing",
    "k_edge",
    "k_edge_finite",
    "alpha",
    "seeds",
    "pending",
]
"""Variables of `critical_widths` that the table shows."""


@click.command()
@click.argument("stores", type=STORE, nargs=-1, required=True)
@click.option("--link", default="logistic", show_default=True, help="Curve: logistic or probit.")
@click.option(
    "--interval",
    default="seeds",
    show_default=True,
    help="Interval of k50: seeds, or profile (independent widths only).",
)
@success_options
@listing_options
def fit(
    stores: Sequence[StorePath], success: Success, form: str | None, link: str, interval: str
) -> None:
    """Fit the critical widths of STORES, and rank the laws.

    There is one for each cell: all widths and seeds of one combination of the other axes. Several
    stores make one table, with a column for each setting that differs (activation, dataset, budget,
    ...). --csv prints the critical widths only; with several stores --json prints a list.

    \b
    outcome        fitted; separated: failures end where successes begin;
                   censored: the transition lies outside the widths; unordered:
                   success does not rise with width; degenerate: alpha cannot
                   be told from 0; empty: nothing done
    k50            width at which half of the trials succeed, with 95% interval
    bracket_low    most trials fail up to this width; 0: most succeed at all
    bracket_high   most succeed from this width on; inf: most fail at all
    transition_width  ratio of the widths of 90% and 10% success, with interval
    fit_p          goodness-of-fit p-value, by simulation; small: a bad fit
    k50_isotonic   estimate of k50 that assumes only that success rises with width
    k_crossing     median over the seeds of the smallest width from which on a
                   seed always succeeds
    k_edge         width predicted by the limiting spectrum (its left edge)
    k_edge_finite  the same, with the shift of the edge at finite n

    A missing value is NaN in the text, empty in CSV, null in JSON; infinity in JSON is "inf".
    """
    from analysis.stores import open_stores

    tree = open_stores(stores)
    locations = dict(zip(tree.children, stores, strict=True))
    answers = {
        name: _fitted(path, tree[name].to_dataset(), success, link, interval)
        for name, path in locations.items()
    }  # before anything is printed: a store that cannot be fitted is refused
    for name, answer in answers.items():
        for note in answer.notes:
            click.echo(f"{locations[name]}: {note}", err=True)
    if form == "json":
        records = [_record(locations[name], answer) for name, answer in answers.items()]
        click.echo(json_text(records[0] if len(records) == 1 else records))
    elif form == "csv":
        _print_csv({str(locations[name]): answer for name, answer in answers.items()})
    else:
        _show(answers, locations)
    sys.exit(max(report_gaps(path, "the fit uses what is there") for path in stores))


def _fitted(path: StorePath, ds: xr.Dataset, success: Success, link: str, interval: str) -> Answer:
    from analysis.comparison import answer_of

    with naming_options("fit", path):
        if success.condition is None:
            require_success(ds, path)
        return answer_of(ds, success=success, link=link, interval=interval)


def require_success(ds: xr.Dataset, path: StorePath) -> None:
    """Refuse a store without a default success, with a message that names options."""
    from pipeline.errors import InputError

    if "steps_to_tolerance" not in ds and not {"sigma_min", "alpha"} <= set(ds):
        raise InputError(
            f"a store of {ds.attrs['experiment']} has no success that a critical width could be "
            f"fitted to; define one with --success, or draw its content with `widthlaw plot {path}`"
        )


def _record(path: StorePath, answer: Answer) -> dict[str, Any]:
    return {
        "store": str(path),
        "rule": answer.rule,
        "critical_widths": plain(_narrowed(answer.cells, answer.axes), "inf"),
        "verdict": answer.verdict,
        "laws": [] if answer.laws is None else plain(answer.laws, "inf"),
    }


def _print_csv(answers: Mapping[str, Answer]) -> None:
    whole = _table(answers)
    alone = whole.drop(columns="store") if len(answers) == 1 else whole
    write_frame(alone, sys.stdout)


# ---- tables


def _table(answers: Mapping[str, Answer]) -> pd.DataFrame:
    """Return the cells of all stores; the first columns distinguish them."""
    from analysis.comparison import joined_cells

    whole = joined_cells(answers)
    variables = {name for a in answers.values() for name in a.cells if name not in a.axes}
    return _narrowed(whole, [str(name) for name in whole if name not in variables])


def _narrowed(cells: pd.DataFrame, first: Sequence[str]) -> pd.DataFrame:
    return cells[[*first, *(name for name in CELL_COLUMNS if name in cells)]]


def _show(answers: Mapping[str, Answer], locations: Mapping[str, StorePath]) -> None:
    from analysis.comparison import joined_laws

    alone = len(answers) == 1
    for name, answer in answers.items():
        click.echo(f"{locations[name] if alone else name}: critical widths at {answer.rule}")
    cells = _table(answers).drop(columns=["store"] if alone else ["rule"], errors="ignore")
    if len(cells):
        click.echo(_legible(_merged(cells)).to_string(index=False))
    for name, answer in answers.items():
        if not len(answer.cells):
            head = "" if alone else f"{name}: "
            click.echo(f"{head}no critical width: no trial has an outcome, and none is pending")
    click.echo("\nlaws, by AICc")
    laws = joined_laws(answers)
    if len(laws):
        shown = _legible(_compact(laws))
        click.echo((shown.drop(columns="store") if alone else shown).to_string(index=False))
    for name, answer in answers.items():
        click.echo(answer.verdict if alone else f"{name}: {answer.verdict}")


def _legible(frame: pd.DataFrame) -> pd.DataFrame:
    """Round to four decimals, except for coordinates: 1e-8 must not become 0, or depth 2 be 2.0."""
    exact = {
        name: [f"{value:.12g}".replace("nan", "NaN") for value in frame[name]]
        for name in ("angle", "tolerance", "budget", "depth", "step_size")
        if name in frame and frame[name].dtype.kind in "if"
    }
    return frame.round(4).assign(**exact)


def _merged(cells: pd.DataFrame) -> pd.DataFrame:
    """Put each interval into the column of its value, with four digits, to fit into a terminal."""
    shown = cells.copy()
    for name in [name for name in CELL_COLUMNS if name in cells and cells[name].dtype.kind == "f"]:
        shown[name] = [_short(value) for value in cells[name]]
    for name in ("k50", "transition_width"):
        ends = zip(shown[name], shown.pop(f"{name}_low"), shown.pop(f"{name}_high"), strict=True)
        shown[name] = ["NaN" if value == "NaN" else f"{value} [{a}, {b}]" for value, a, b in ends]
    shown["bracket_low"] += "-" + shown.pop("bracket_high")
    return shown.rename(columns={"bracket_low": "bracket"})


def _short(value: float) -> str:
    """Return a number with four digits, or with all digits before the point."""
    if value != value or abs(value) == float("inf"):
        return "NaN" if value != value else f"{value:g}"
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def _compact(laws: pd.DataFrame) -> pd.DataFrame:
    """Return the main columns of the laws, to fit into a terminal; JSON has all of them."""
    from analysis.scaling.laws import group_columns

    groups = group_columns(laws)
    shown = laws[[*groups, "formula", "constant"]].copy()
    shown["constant"] = [f"{value:.3g}" for value in laws["constant"]]
    shown["exponents"] = [_exponents(row) for _, row in laws.iterrows()]
    shown["rms"] = laws["rms_log_residual"].round(3)
    shown["delta AICc"] = laws["delta_aicc"].round(1)
    shown["weight"] = laws["weight"].round(3)
    shown["rms, largest n left out"] = laws["error_largest_n"].round(3)
    return shown


def _exponents(law: pd.Series[Any]) -> str:
    """Return each fitted exponent with its interval, such as `n^1.01 [0.98, 1.04]`."""
    from analysis.scaling.laws import exponents_of

    return ", ".join(
        f"{name}^{value:.2f} [{low:.2f}, {high:.2f}]" for name, value, low, high in exponents_of(law)
    )
