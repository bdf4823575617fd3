"""Stores that are kept for long: verified, extended, merged; what the three commands print.

What was found or added goes to stdout; the next command to stderr.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from jobs.output.records import INCOMPLETE, Record, print_records, say_gaps
from pipeline.errors import InputError
from pipeline.store.location import Where, is_url
from pipeline.sweep import Sweep

if TYPE_CHECKING:
    from pipeline.maintenance.plan import Change
    from pipeline.maintenance.verify import Damage

__all__ = ["extend_store", "loaded_sweep", "merge_stores", "verify_stores"]

FOUND = 1
"""Exit status where a store is damaged or does not hold what the program computes."""


def loaded_sweep(sweep: str) -> tuple[Sweep, Where]:
    """Return what SWEEP stands for, and its store; a store stands for its own sweep on its own axes."""
    from pipeline.store import stored_sweep
    from pipeline.sweep_files.load import load_sweep

    if is_url(sweep) or Path(sweep, "zarr.json").is_file():
        return stored_sweep(sweep), sweep if is_url(sweep) else Path(sweep)
    loaded = load_sweep(sweep)
    return loaded, Path(f"{loaded.name}.zarr")


# ---- verify


def verify_stores(paths: Sequence[Where], repair: bool, number: int | None, form: str | None) -> int:
    """Print what is wrong with stores, mend it if asked to, and return the exit status."""
    from pipeline.maintenance.verify import damage

    records: list[Record] = []
    codes = []
    for path in paths:
        found = damage(path)
        records += [_damage_record(path, one) for one in found]
        codes.append(_mend(path, found) if repair and found else _say(path, found))
        if number and codes[-1] != FOUND:
            differing = _sampled(path, number)
            records += differing
            codes[-1] = FOUND if differing else codes[-1]
    if records or form:
        print_records(records, form)
    return FOUND if FOUND in codes else max(codes)


def _damage_record(path: Where, found: Damage) -> Record:
    return {
        "store": str(path),
        "kind": found.kind,
        "array": found.array,
        "file": found.key,
        "trials": found.trials,
        "where": found.where,
        "what": found.what,
    }


def _say(path: Where, found: list[Damage]) -> int:
    if found:
        files = len(found)
        click.echo(
            f"{path}: {_number(files, 'thing')} wrong; `widthlaw verify {path} --repair` makes what is "
            "lost pending and removes what is left over",
            err=True,
        )
        return FOUND
    from pipeline.store import check_store

    said = ""
    if check_store(path)["format_version"] == 1:
        said = (
            "; format version 1: a chunk that was lost can be told of status and seconds alone "
            "(`widthlaw extend STORE -o NEW` writes the present format)"
        )
    click.echo(f"{path}: sound{said}", err=True)
    return _pending(path)


def _mend(path: Where, found: list[Damage]) -> int:
    from pipeline.maintenance.repair import repair

    done = repair(path, found)
    click.echo(
        f"{path}: repaired: {_number(done.trials, 'trial')} made pending, "
        f"{_number(done.rewritten, 'file')} written anew, {_number(done.removed, 'file')} removed",
        err=True,
    )
    return _pending(path)


def _pending(path: Where) -> int:
    """3 while trials are pending; a failed trial is no damage."""
    code = say_gaps(path, f"`widthlaw run {path}` computes them", explain=False)
    return code if code == INCOMPLETE else 0


def _sampled(path: Where, number: int) -> list[Record]:
    from pipeline.maintenance.recompute import sample

    shown = sample(path, number)
    level = "equal bits" if shown.exact else "values that agree as on two platforms"
    trials = len({difference.where for difference in shown.differences})
    click.echo(
        f"{path}: {_number(shown.trials, 'trial')} run again, {trials} of them without {level}",
        err=True,
    )
    return [
        {
            "store": str(path),
            "kind": "sample",
            "array": difference.variable,
            "file": "",
            "trials": 1,
            "where": difference.where,
            "what": f"stored {difference.stored}, now {difference.now}",
        }
        for difference in shown.differences
    ]


def _number(number: int, word: str) -> str:
    return f"{number} {word}" + ("" if number == 1 else "s")


# ---- extend and merge


def extend_store(
    path: Where,
    sweep: str | None,
    more: Mapping[str, Sequence[float]],
    out: Where | None,
    dry_run: bool,
) -> int:
    """Extend a store by the axes of a sweep and by single values; print what came of it."""
    from pipeline.maintenance.grow import extend
    from pipeline.maintenance.plan import grid, widened

    added = {key: values for key, values in more.items() if values}
    asked = loaded_sweep(sweep)[0] if sweep is not None else grid(path) if added else None
    if asked is not None:
        asked = widened(asked, f"extend {path}", **added)
    change = extend(path, asked, out, dry_run=dry_run)
    if change.grown or out:
        return _told(change, out or path, dry_run)
    click.echo(f"{path}: has all of that already; nothing was done", err=True)
    return 0


def merge_stores(paths: Sequence[Where], out: Where, dry_run: bool) -> int:
    """Merge stores; print what came of it."""
    from pipeline.maintenance.grow import merge

    if len(paths) < 2:
        raise InputError(f"merge: got {_number(len(paths), 'store')}, expected two or more")
    change = merge(paths, out, dry_run=dry_run)
    if change.approximate:
        click.echo(
            f"{out}: {_number(change.approximate, 'trial')} agree as on two platforms, not to the bit; "
            "the values of the first store were kept",
            err=True,
        )
    return _told(change, out, dry_run)


def _told(change: Change, out: Where, dry_run: bool) -> int:
    records: list[dict[str, Any]] = [
        {"axis": axis, "before": _values(change.before[axis]), "after": _values(change.after[axis])}
        for axis in change.after
    ]
    print_records(records, None)
    does = "would have" if dry_run else "has"
    click.echo(
        f"{out}: {does} {_number(change.there, 'trial')} with an outcome and {change.pending} pending",
        err=True,
    )
    if change.pending and not dry_run:
        click.echo(f"`widthlaw run {out}` computes them", err=True)
    return 0


def _values(values: Sequence[float]) -> str:
    if len(values) <= 8:
        return ", ".join(f"{value:g}" for value in values)
    return f"{len(values)} values from {min(values):g} to {max(values):g}"
