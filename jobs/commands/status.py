"""`widthlaw status`: the progress of stores, and the runs that fill them."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from jobs.options import STORE, listing_options
from jobs.output.records import Record, print_records, report_gaps

if TYPE_CHECKING:
    from pipeline.store.location import StorePath

__all__ = ["status"]


NO_RUN = "-"
"""The run of a store that no run fills, and whose last one did not end early."""


@click.command()
@click.argument("stores", type=STORE, nargs=-1, required=True)
@listing_options
def status(stores: Sequence[StorePath], form: str | None) -> None:
    """Show how many trials of STORES are done, failed and pending.

    Of the trials that are done, those are censored that descended and did not arrive at the finest
    tolerance within their steps.

    A run in progress has a column of its own, as has the reason why the last one ended early.
    """
    from pipeline.store import lease
    from pipeline.store.code import run_command
    from pipeline.store.location import locate

    records = _aligned([_status_record(path) for path in stores])
    if form is None and all(record["run"] == NO_RUN for record in records):
        for record in records:
            del record["run"]
    print_records(records, form)
    codes = []
    for path in stores:
        held = lease.read(locate(path))
        in_progress = held is not None and not held.stale
        then = "a run is in progress" if in_progress else f"{run_command(path)} resumes"
        codes.append(report_gaps(path, then))
    sys.exit(max(codes))


def _aligned(records: list[Record]) -> list[Record]:
    """Give all records the same keys, in the same order: some stores alone have damaged trials."""
    names = [name for name in OPTIONAL if any(name in record for record in records)]
    return [
        {name: record.get(name, 0) for name in ORDER if name in record or name in names}
        for record in records
    ]


ORDER = (
    "store",
    "name",
    "experiment",
    "trials",
    "done",
    "censored",
    "failed",
    "diverged",
    "pending",
    "damaged",
    "not requested",
    "core-seconds left",
    "run",
)
OPTIONAL = ("censored", "damaged", "not requested")
"""All columns in their order, and those that only some stores have."""


def _status_record(path: StorePath) -> Record:
    """Return trials by status, the estimated time left, and the run in progress."""
    from jobs.cluster.run_folder import run_message
    from pipeline.store import Store, check_store
    from pipeline.store.location import normal
    from pipeline.trial_status import requested_trials

    attributes = check_store(path)
    found = Store(path).counts()
    censored = _censored(path)
    requested = requested_trials(found)
    share = found["pending"] / requested if requested else 0.0
    return {
        "store": str(path),
        "name": attributes["name"],
        "experiment": attributes["experiment"],
        "trials": requested,
        **{word: found[word] for word in ("done", "failed", "diverged", "pending")},
        **({} if censored is None else {"censored": censored}),
        **({"damaged": found["damaged"]} if found["damaged"] else {}),
        **({"not requested": found["not_requested"]} if attributes.get("refined") else {}),
        "core-seconds left": round(share * attributes["estimated_seconds"], 1),
        "run": run_message(normal(path), found["pending"]),
    }


def _censored(path: StorePath) -> int | None:
    """Return the censored trials of a store; None if it has no tolerances, or they cannot be read."""
    from pipeline.errors import StoreDamaged
    from pipeline.store import Store

    try:
        return Store(path).censored()
    except StoreDamaged:  # `verify` tells; what the statuses say is still known
        return None
