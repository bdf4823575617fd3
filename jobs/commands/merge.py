"""`widthlaw merge`: one store with the trials of several."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from jobs.options import STORE
from jobs.output.records import counted, print_change

if TYPE_CHECKING:
    from pipeline.store.location import StorePath

__all__ = ["merge"]


@click.command()
@click.argument("stores", type=STORE, nargs=-1, required=True)
@click.option(
    "-o", "--output", "out", type=STORE, required=True, help="New store, or the first of STORES."
)
@click.option("--dry-run", is_flag=True, help="Show what would be done and stop.")
def merge(stores: Sequence[StorePath], out: StorePath, dry_run: bool) -> None:
    """Join STORES of the same kind into one store.

    The stores must agree in everything that decides the value of a trial, such as experiment, entropy
    and activation.
    """
    from pipeline.errors import InputError
    from pipeline.maintenance.grow import merge as merge_stores

    if len(stores) < 2:
        raise InputError(f"merge: got {counted(len(stores), 'store')}, expected two or more")
    change = merge_stores(stores, out, dry_run=dry_run)
    if change.approximate:
        click.echo(
            f"{out}: {counted(change.approximate, 'trial')} agree within the tolerance for two "
            "platforms, not bit for bit; the values of the first store were kept",
            err=True,
        )
    print_change(change, out, dry_run)
