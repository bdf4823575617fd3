"""The tables of faults and of attacks, as text and as CSV.

A test of a fault tells its row as a property of its report, and a test of an attack its kind. So both
arrive where the tables are printed, also from another process of pytest-xdist.

    python -m pytest -q -n 2 -m "fault or attack" [--fault-table FILE.csv]

tries everything and prints both tables.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

PROPERTY = "fault"

COLUMNS = ("fault", "survived", "repeated trials", "seconds", "ideal seconds", "MB")

OF_ONES_OWN = ", trials of one's own"
"""Ending of the rows whose trials are functions of a file beside the sweep."""

FAULTS = (
    "kill -9 of a worker",
    "kill -9 of worker and nanny",
    "kill -9 of the driver, same command again",
    "kill -9 of the controller",
    "scancel of a worker's job",
    "scancel of the controller, submit again",
    "scancel of the controller, a worker hangs",
    "walltime of workers",
    "walltime of the controller",
    "slurmd killed, worker's job runs twice",
    "slurmd killed, controller runs twice",
    "link cut for 20 s",
    "link cut for 60 s",
    "hung worker, for good",
    "hung worker, back when all is done",
    "trial that kills its process",
    "two such trials in different blocks",
    "disk full",
    "S3 server killed, back after 5 s",
    "login shell killed after submit",
    "32 workers on few cores",
    "eight readers during a run",
    "descents for long, memory of a worker",
    f"kill -9 of a worker{OF_ONES_OWN}",
    f"kill -9 of the driver, same command again{OF_ONES_OWN}",
    f"kill -9 of worker and controller{OF_ONES_OWN}",
)
"""All rows, in their order. A row of a new kind is a line here and a test with that mark."""


def rows(reports: Iterable[Any]) -> list[dict[str, Any]]:
    """The rows that reports tell, in the order of `FAULTS`."""
    found = {
        value["fault"]: value
        for report in reports
        for name, value in getattr(report, "user_properties", ())
        if name == PROPERTY
    }
    return [found[fault] for fault in FAULTS if fault in found]


ATTACK = "attack"
"""Property of a report that names the kind of attack."""


def attacks(reports: Iterable[Any]) -> list[str]:
    """The table of attacks: how many of each kind were tried, and how many survived."""
    tried: Counter[str] = Counter()
    survived: Counter[str] = Counter()
    for report in reports:
        kinds = [value for name, value in getattr(report, "user_properties", ()) if name == ATTACK]
        counts = getattr(report, "when", "") == "call" or getattr(report, "failed", False)
        if kinds and counts and not report.skipped:
            tried[kinds[0]] += 1
            survived[kinds[0]] += report.passed
    total = [("all", sum(tried.values()), sum(survived.values()))] if tried else []
    rows = [(kind, tried[kind], survived[kind]) for kind in sorted(tried)]
    width = max((len(kind) for kind in tried), default=0)
    head = [f"{'attack'.ljust(width)}  tried  survived"] if tried else []
    return head + [f"{kind.ljust(width)}  {n:5}  {left:8}" for kind, n, left in rows + total]


def lines(table: list[dict[str, Any]]) -> list[str]:
    """The table as aligned text."""
    cells = [COLUMNS, *(tuple(_text(row[column]) for column in COLUMNS) for row in table)]
    widths = [max(len(row[place]) for row in cells) for place in range(len(COLUMNS))]
    return [
        "  ".join(
            cell.ljust(width) if place < 2 else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in cells
    ]


def _text(value: object) -> str:
    if value is None:
        return "-"
    return f"{value:.1f}" if isinstance(value, float) else str(value)


def write_csv(table: list[dict[str, Any]], file: Path) -> None:
    with file.open("w", newline="", encoding="utf-8") as out:
        writer = csv.DictWriter(out, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(table)
