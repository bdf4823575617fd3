"""The answer of `widthlaw fit --infinite-budget --joint`: exponents of n and d."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from jobs.output.tables import frame_text

if TYPE_CHECKING:
    import pandas as pd

    from pipeline.store.location import StorePath

__all__ = ["show_budgets", "show_laws"]


def show_laws(table: pd.DataFrame) -> None:
    """Print the exponents of each tolerance, and a sentence on each that a sceptic can check."""
    from analysis.slowing.statements import law_statement

    keys = [str(name) for name in table.columns[: list(table.columns).index("verdict")]]
    shown = table[keys].copy()
    shown["tolerance"] = [f"{value:g}" for value in table["tolerance"]]
    shown["verdict"] = table["verdict"]
    for name in ("exponent_n", "exponent_d", "ratio"):
        shown["k_inf d/n" if name == "ratio" else name] = _with_interval(table, name)
    shown[["best", "cells", "left_out"]] = table[["best", "cells", "left_out"]]
    click.echo(
        "exponents of n and d in the width below which no budget suffices, one model of all cells\n"
    )
    click.echo(frame_text(shown, len(keys)))
    click.echo()
    names = shown[[key for key in keys if key != "budget"]].astype(str)
    where = [
        ", ".join(f"{name} {value}" for name, value in zip(names, row, strict=True))
        for row in names.to_numpy()
    ]
    for place, (_, row) in zip(where, table.iterrows(), strict=True):
        click.echo(f"{place}: {law_statement(row)}")


def show_budgets(path: StorePath, where: str | None) -> None:
    """Print the exponents of the critical width at three budgets, if a store has enough widths."""
    from analysis.query.restriction import restrict
    from analysis.slowing import exponents_at_budgets
    from analysis.stores import open_store

    table = exponents_at_budgets(restrict(open_store(path, dask=False), where))
    if table.empty:
        return
    keys = [str(name) for name in table.columns[: list(table.columns).index("exponent_n")]]
    shown = table[[*keys, "points"]].copy()
    shown["tolerance"] = [f"{value:g}" for value in table["tolerance"]]
    for name in ("exponent_n", "exponent_d"):
        shown[name] = _with_interval(table, name)
    click.echo("\nthe same of the critical width at a finite budget, by a fit to each cell\n")
    click.echo(frame_text(shown, len(keys)))


def _with_interval(table: pd.DataFrame, name: str) -> list[str]:
    ends = zip(table[name], table[f"{name}_low"], table[f"{name}_high"], strict=True)
    return ["-" if a != a else f"{a:.2f} [{b:.2f}, {c:.2f}]" for a, b, c in ends]
