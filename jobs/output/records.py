"""What the command line prints: records as aligned text, CSV or JSON on stdout, gaps on stderr.

JSON is strict and in full precision: null where a number is missing. An infinite one is null too in a
list of trials, where the status tells the two apart; of a fit it is the string "inf".
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    import pandas as pd

    from pipeline.store.location import Where
    from pipeline.sweep import Sweep

__all__ = [
    "INCOMPLETE",
    "Record",
    "aligned",
    "asking",
    "json_text",
    "plain",
    "plan_records",
    "print_records",
    "profile_records",
    "say_gaps",
    "status_records",
    "sweep_records",
]

Record = dict[str, Any]

FAILED = 1
INCOMPLETE = 3
"""Exit statuses of a store with failed trials, and of one with pending trials."""

OPTIONS = {f"{name}:": f"--{name}:" for name in ("interval", "link", "threshold")}
OPTIONS["budgets:"] = "--budget:"
"""What the parameters of the analysis are called on the command line."""


def print_records(records: list[Record], form: str | None) -> None:
    """Print records with the same keys, as text, CSV or JSON."""
    if form == "json":
        click.echo(json_text([{k: _strict(v, "inf") for k, v in record.items()} for record in records]))
    elif form == "csv":
        import csv

        columns = list(records[0]) if records else []
        writer = csv.DictWriter(sys.stdout, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(records)
    else:
        click.echo(aligned(records))


def json_text(value: object) -> str:
    """Strict JSON."""
    return json.dumps(value, indent=2, allow_nan=False)


def aligned(records: list[Record]) -> str:
    """Lay records out in columns, numbers to the right."""
    if not records:
        return "(nothing)"
    columns = [[name, *(_text(record[name]) for record in records)] for name in records[0]]
    numeric = [all(isinstance(record[name], int | float) for record in records) for name in records[0]]
    sides = [
        [
            cell.rjust(max(map(len, column))) if right else cell.ljust(max(map(len, column)))
            for cell in column
        ]
        for column, right in zip(columns, numeric, strict=True)
    ]
    return "\n".join("  ".join(row).rstrip() for row in zip(*sides, strict=True))


def _text(value: object) -> str:
    if isinstance(value, float):
        return "-" if value != value else f"{value:.4g}"
    return str(value)


def sweep_records() -> list[Record]:
    """One record per bundled sweep; the first comment of its file says what it is for."""
    from pipeline.blocks import estimated_seconds
    from pipeline.sweep_files.load import bundled_sweeps, load_sweep

    records = []
    for name, file in bundled_sweeps().items():
        sweep = load_sweep(file)
        records.append(
            {
                "sweep": name,
                "experiment": sweep.experiment,
                "trials": sweep.trials,
                "core-seconds": round(estimated_seconds(sweep), 1),
                "about": sweep.text.splitlines()[0].lstrip("# "),
            }
        )
    return records


def profile_records() -> list[Record]:
    """One record per profile; one that cannot be read is told among the others."""
    from jobs.cluster.profile import profile_files

    return [_profile_record(name, file) for name, file in profile_files().items()]


def _profile_record(name: str, file: Path) -> Record:
    from jobs.cluster.job_scripts import why_unusable
    from jobs.cluster.profile import ProfileError, is_bundled, load_profile

    try:
        profile = load_profile(file)
        system, about, why_not = profile.system, profile.about, why_unusable(profile)
    except ProfileError as error:
        system, about, why_not = "-", "", "; ".join(map(str.strip, str(error).splitlines()))
    return {
        "profile": name,
        "system": system,
        "usable": "no" if why_not else "yes",
        "from": "bundled" if is_bundled(file) else str(file),
        "about": about,
        "why not": why_not or "",
    }


def plan_records(sweep: Sweep, path: Where, retry_failed: bool = False) -> list[Record]:
    """What a run of the sweep would do, where something is there already: what is left of it."""
    from pipeline.blocks import block_shape, blocks, tasks
    from pipeline.experiments import variables
    from pipeline.store import check_target, todo
    from pipeline.store.location import place

    check_target(path, sweep)
    resumed = place(path).exists()
    cut = list(todo(path, sweep, retry_failed) if resumed else blocks(sweep, *block_shape(sweep)))
    plan = {
        "store": str(path),
        "exists": resumed,
        "identity": sweep.identity[:12],
        "trials": sweep.trials,
        "trials to compute": sum(block.trials for block in cut),
        "blocks": len(cut),
        "tasks": sum(1 for _ in tasks(cut)),
        "longest block, s": round(max((block.seconds for block in cut), default=0.0), 2),
        "new files, at most": len(cut) * (len(variables(sweep)) + 1) + 40,
        "core-hours": round(sum(block.seconds for block in cut) / 3600, 4),
    }
    return [{"plan": key, "value": str(value)} for key, value in plan.items()]


def status_records(path: Where) -> list[Record]:
    """Trials by status, the time that is left, and who is at it."""
    from jobs.cluster.run_folder import told
    from pipeline.store import check_store, counts
    from pipeline.store.location import normal
    from pipeline.trial_status import requested_trials

    attributes = check_store(path)
    found = counts(path)
    asked = requested_trials(found)
    share = found["pending"] / asked if asked else 0.0
    record = {
        "store": str(path),
        "name": attributes["name"],
        "experiment": attributes["experiment"],
        "trials": asked,
        **{word: found[word] for word in ("done", "failed", "diverged", "pending")},
        **({"not requested": found["not_requested"]} if attributes.get("refined") else {}),
        "core-seconds left": round(share * attributes["estimated_seconds"], 1),
        "run": told(normal(path), found["pending"]),
    }
    return [record]


def say_gaps(path: Where, then: str, *, explain: bool = True) -> int:
    """Say on stderr which trials of a store are missing, and return the exit status.

    Parameters
    ----------
    path
        The store.
    then
        What follows for the command where trials are pending.
    explain
        Whether to say why trials failed, and how to list them.
    """
    from pipeline.store import counts, messages

    found = counts(path)
    if found["pending"]:
        click.echo(f"{path}: {_trials(found['pending'])} pending; {then}", err=True)
    if found["failed"]:
        way = f"; `widthlaw query {path} \"status == 'failed'\"` lists them" if explain else ""
        click.echo(f"{path}: {_trials(found['failed'])} failed{way}", err=True)
        for message, times in messages(path) if explain else []:
            click.echo(f"  {times} x {message}", err=True)
    return INCOMPLETE if found["pending"] else FAILED if found["failed"] else 0


def _trials(number: int) -> str:
    return f"{number} trial" if number == 1 else f"{number} trials"


@contextmanager
def asking(command: str, path: Where) -> Iterator[None]:
    """Let errors of the input name the command, its options, and the store that was asked."""
    from pipeline.errors import InputError, StoreError

    try:
        yield
    except StoreError:
        raise  # it names the store
    except InputError as error:
        text = str(error)
        if text.startswith(f"{command} "):
            raise
        for parameter, option in OPTIONS.items():
            text = text.replace(parameter, option)
        raise InputError(f"{command} {path}: {text}") from error


def plain(frame: pd.DataFrame, infinite: str | None = None) -> list[Record]:
    """Records of what JSON knows, to the last digit; `infinite` is the word for infinity, else null."""
    columns = [[_strict(value, infinite) for value in frame[name].tolist()] for name in frame]
    return [dict(zip(frame.columns, row, strict=True)) for row in zip(*columns, strict=True)]


def _strict(value: Any, infinite: str | None) -> Any:
    if not isinstance(value, float) or math.isfinite(value):
        return value
    if math.isnan(value) or infinite is None:
        return None
    return infinite if value > 0 else f"-{infinite}"
