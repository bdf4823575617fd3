"""The answer of `widthlaw fit --infinite-budget`: thresholds, and what they rest on."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from jobs.output.laws import show_budgets, show_laws
from jobs.output.records import json_text, naming_options, plain
from jobs.output.spreadsheet import write_frame
from jobs.output.tables import frame_text

if TYPE_CHECKING:
    import pandas as pd

    from analysis.success import Success
    from pipeline.store.location import StorePath

__all__ = ["show_infinite_budget"]


def show_infinite_budget(
    stores: Sequence[StorePath],
    success: Success,
    where: str | None,
    form: str | None,
    output: Path | None,
    *,
    joint: bool = False,
) -> None:
    """Print or write one row for each cell, tolerance and budget of the stores.

    With `joint` there is one row for all cells of a tolerance.
    """
    import pandas as pd

    from analysis.slowing.words import notes_on

    if success.condition is not None or success.threshold is not None:
        raise click.UsageError(
            "--infinite-budget models the steps to each tolerance; remove --success and --threshold."
        )
    found = [_fitted(path, success, where, joint) for path in stores]
    found = [part if joint else _with_trials(part) for part in found]
    table = pd.concat(found, ignore_index=True)
    for path, part in zip(stores, found, strict=True):
        for note in (*([] if joint else notes_on(part)), *_test_of(path, success)):
            click.echo(f"{path}: {note}", err=True)
    table = table if len(stores) > 1 else table.drop(columns="store")
    if output is not None:
        _write(table, output)
        click.echo(output)
    elif form == "json":
        click.echo(json_text(plain(table, "inf")))
    elif form == "csv":
        write_frame(table, sys.stdout)
    elif joint:
        show_laws(table)
        for path in stores:
            show_budgets(path, where)
    else:
        _show(table)


def _fitted(path: StorePath, success: Success, where: str | None, joint: bool) -> pd.DataFrame:
    import pandas as pd

    from analysis.query.restriction import restrict
    from analysis.slowing import infinite_budget, threshold_laws
    from analysis.stores import open_store

    with naming_options("fit", path):
        ds = restrict(open_store(path, dask=False), where)
        fitted = threshold_laws if joint else infinite_budget
        rows = [fitted(ds, budget=budget) for budget in success.budgets or (None,)]
    whole = pd.concat(rows, ignore_index=True)
    whole.insert(0, "store", str(path))
    return whole


def _test_of(path: StorePath, success: Success) -> list[str]:
    """Return a line on the held-out test of each budget of a store."""
    from analysis.slowing.prediction import HELD_BACK, predicted_k50
    from analysis.slowing.words import held_out_words
    from analysis.stores import open_store
    from analysis.success.budgets import budget_of

    ds = open_store(path, dask=False)
    return [
        held_out_words(predicted_k50(ds, budget // HELD_BACK, int(budget)), int(budget))
        for budget in success.budgets or (budget_of(ds),)
        if budget >= HELD_BACK
    ]


def _write(table: pd.DataFrame, file: Path) -> None:
    from jobs.output.files import draft_of
    from jobs.output.frames import write_rows

    if file.suffix != ".json":
        write_rows([table], file)
        return
    with draft_of("fit -o", file) as draft:
        draft.write_text(json_text(plain(table, "inf")) + "\n", encoding="utf-8")


def _with_trials(table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of cells that have trials; all rows if no cell has."""
    there = table["verdict"] != "empty"
    return table[there] if there.any() else table


def _show(table: pd.DataFrame) -> None:
    """Print the table, and a line for each verdict that occurs."""
    from analysis.slowing.cells import REACH
    from analysis.slowing.words import chaos_word, gamma_words, verdict_words

    first = [name for name in table if name not in _ANSWER]
    first = first[: first.index("evidence")]
    shown = table[[*first, "verdict"]].copy()
    for name in ("tolerance", "k_inf", "gamma"):
        if name == "tolerance":
            shown[name] = [f"{value:g}" for value in table[name]]
            continue
        parts = zip(table[name], table[f"{name}_low"], table[f"{name}_high"], strict=True)
        shown[name] = ["-" if a != a else f"{a:.3g} [{b:.3g}, {c:.3g}]" for a, b, c in parts]
    shown["trials"], shown["censored"] = table["trials"], table["censored"]
    if table["at_edge"].notna().any():
        shown["chaotic"] = [chaos_word(share) for share in table["at_edge"]]
    click.echo("width below which no budget suffices: log T = a - gamma log(1 - (k_inf/k)^beta)")
    click.echo(
        f"trials: up to {REACH:g} times the narrowest width at which half of the trials arrive\n"
    )
    click.echo(frame_text(shown, len(first)))
    click.echo()
    for line in filter(None, [*verdict_words(table), gamma_words(table)]):
        click.echo(line)


_ANSWER = ("verdict", "k_inf", "k_inf_low", "k_inf_high", "gamma", "gamma_low", "gamma_high")
