"""`widthlaw verify`: find damage in stores, repair it, and recompute trials to compare them."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from jobs.options import STORE, code_option, listing_options
from jobs.output.records import Record, counted, print_records, report_gaps

if TYPE_CHECKING:
    from pipeline.maintenance.recompute import Comparison, Difference
    from pipeline.maintenance.verify import Damage
    from pipeline.store.location import StorePath

__all__ = ["verify"]

DAMAGED = 1
"""Exit status of a store that is damaged, or in which a recomputed trial differs."""

NOTES = {
    1: "; format 1: lost chunks are found only of `status` and `seconds`, moved ones not at all "
    "(--upgrade brings it to the present format)",
    2: "; format 2: valid chunks in a wrong place are not found (--upgrade brings it to the present "
    "format)",
}
"""Limits of what can be found in stores of older formats."""


@click.command()
@click.argument("stores", type=STORE, nargs=-1, required=True)
@click.option("--repair", is_flag=True, help="Reset damaged trials to pending and delete leftovers.")
@click.option("--upgrade", is_flag=True, help="Bring sound stores of older formats to the present one.")
@click.option(
    "--sample",
    "number",
    type=click.IntRange(min=1),
    metavar="N",
    help="Also recompute N random trials and compare them with what is stored.",
)
@code_option
@listing_options
def verify(
    stores: Sequence[StorePath],
    repair: bool,
    upgrade: bool,
    number: int | None,
    code: Path | None,
    form: str | None,
) -> None:
    """Find damage in STORES: check every chunk, coordinate and file.

    Since format 3 the chunks of a block are bound to their places and statuses, so that moved and
    changed ones are found too.

    On another platform than the one that filled the store, a recomputed trial may differ because its
    descent is chaotic. It is then run again from inputs moved in their last bits, and listed as chaotic
    if these runs part as far: that is no error.

    Exit status: 0 sound; 1 damaged, or a recomputed trial differs; 3 sound, but trials are pending.
    After --repair it is 0 or 3.
    """
    from pipeline.maintenance.verify import damage

    records: list[Record] = []
    codes = []
    for path in stores:
        found = damage(path)
        records += [_damage_record(path, one) for one in found]
        codes.append(_repair(path, found) if repair and found else _report(path, found))
        if upgrade and codes[-1] != DAMAGED:
            _upgrade(path)
        if number and codes[-1] != DAMAGED:
            shown = _sampled(path, number, code)
            records += [_trial_record(path, "sample", one) for one in shown.differences]
            records += [_trial_record(path, "chaotic", one) for one in shown.chaotic]
            codes[-1] = DAMAGED if shown.differences else codes[-1]
    if records or form:
        print_records(records, form)
    sys.exit(DAMAGED if DAMAGED in codes else max(codes))


def _damage_record(path: StorePath, found: Damage) -> Record:
    return {
        "store": str(path),
        "kind": found.kind,
        "array": found.array,
        "file": found.key,
        "trials": found.trials,
        "where": found.where,
        "what": found.what,
    }


def _report(path: StorePath, found: list[Damage]) -> int:
    if found:
        repair = (
            f"`widthlaw verify {path} --repair` resets lost trials to pending and removes leftovers"
            if all(one.remedy for one in found)
            else "--repair cannot help: run the sweep into a new path, or restore a backup"
        )
        click.echo(f"{path}: {counted(len(found), 'problem')} found; {repair}", err=True)
        return DAMAGED
    from pipeline.store import check_store

    note = NOTES.get(check_store(path)["format_version"], "")
    click.echo(f"{path}: sound{note}", err=True)
    return _pending(path)


def _upgrade(path: StorePath) -> None:
    from pipeline.maintenance.grow import upgrade
    from pipeline.store import check_store

    before = check_store(path)["format_version"]
    done = upgrade(path)
    after = check_store(path)["format_version"]
    verb = (
        f"upgraded from format {before} to {after}" if done.written else f"has format {after} already"
    )
    click.echo(f"{path}: {verb}", err=True)


def _repair(path: StorePath, found: list[Damage]) -> int:
    from pipeline.maintenance.repair import repair

    done = repair(path, found)
    click.echo(
        f"{path}: repaired: {counted(done.trials, 'trial')} reset to pending, "
        f"{counted(done.rewritten, 'file')} rewritten, {counted(done.removed, 'file')} removed",
        err=True,
    )
    return _pending(path)


def _pending(path: StorePath) -> int:
    """Return 3 while trials are pending; a failed trial is no damage."""
    from pipeline.store.code import run_command

    return report_gaps(path, f"{run_command(path)} computes them", listing=True)


def _sampled(path: StorePath, number: int, code: Path | None) -> Comparison:
    """Recompute trials of a store, and say how many of them differ."""
    from pipeline.maintenance.recompute import sample

    shown = sample(path, number, code=code)
    level = "equal bits" if shown.exact else "values that agree as on two platforms"
    trials = len({difference.where for difference in shown.differences})
    line = f"{path}: {counted(shown.trials, 'trial')} recomputed; {trials} of them without {level}"
    if shown.chaotic:
        line += (
            f"; {len(shown.chaotic)} chaotic: runs from inputs moved by 1e-15 part as far, so that "
            "their single values hold on one platform only"
        )
    click.echo(line, err=True)
    return shown


def _trial_record(path: StorePath, kind: str, found: Difference) -> Record:
    what = f"stored {found.stored}, now {found.now}"
    if kind == "chaotic":
        what += f"; from moved inputs {found.low} to {found.high}"
    return {
        "store": str(path),
        "kind": kind,
        "array": found.variable,
        "file": "",
        "trials": 1,
        "where": found.where,
        "what": what,
    }
