"""`widthlaw status`: the progress of a store, and the run that fills it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from jobs.options import STORE, listing_options
from jobs.output.records import Record, print_records, report_gaps

if TYPE_CHECKING:
    from pipeline.store.location import StorePath

__all__ = ["status"]


@click.command()
@click.argument("store", type=STORE)
@listing_options
def status(store: StorePath, form: str | None) -> None:
    """Show how many trials of STORE are done, failed and pending."""
    from pipeline.store import lease
    from pipeline.store.location import locate

    print_records(_status_records(store), form)
    held = lease.read(locate(store)) is not None
    sys.exit(report_gaps(store, "a run is in progress" if held else f"`widthlaw run {store}` resumes"))


def _status_records(path: StorePath) -> list[Record]:
    """Return one record: trials by status, the estimated time left, and the run in progress."""
    from jobs.cluster.run_folder import run_message
    from pipeline.store import Store, check_store
    from pipeline.store.location import normal
    from pipeline.trial_status import requested_trials

    attributes = check_store(path)
    found = Store(path).counts()
    requested = requested_trials(found)
    share = found["pending"] / requested if requested else 0.0
    record = {
        "store": str(path),
        "name": attributes["name"],
        "experiment": attributes["experiment"],
        "trials": requested,
        **{word: found[word] for word in ("done", "failed", "diverged", "pending")},
        **({"damaged": found["damaged"]} if found["damaged"] else {}),
        **({"not requested": found["not_requested"]} if attributes.get("refined") else {}),
        "core-seconds left": round(share * attributes["estimated_seconds"], 1),
        "run": run_message(normal(path), found["pending"]),
    }
    return [record]
