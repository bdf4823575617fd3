"""The sweeps of the paper, their claims, and the screenful with which they end."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest

from analysis.claims import PARTS, SECTIONS, Mark, Quantity, Reading
from analysis.claims.rows import Verdict
from jobs.commands.reproduce import FULL_FACTOR, PAPER, _as_csv, _screenful, _sweep
from pipeline.sweep import Sweep


def test_every_sweep_of_the_paper_has_its_claims_and_its_part() -> None:
    assert set(SECTIONS) == set(PAPER)
    assert [name for part in PARTS.values() for name in part] == list(SECTIONS)
    assert next(iter(SECTIONS)) == "theorem2"


@pytest.mark.parametrize("name", PAPER)
def test_the_full_paper_has_more_seeds_of_the_same_trials(name: str) -> None:
    plain, full = _sweep(name, full=False), _sweep(name, full=True)
    assert isinstance(full, Sweep)
    assert full.seeds == tuple(range(FULL_FACTOR * len(plain.seeds)))
    assert full.trials == FULL_FACTOR * plain.trials
    assert full.identity == plain.identity


WIDTHS = (Reading(Quantity.OUTPUT, (1.5,), "relative loss 1e-08"),)
ROWS = [
    Verdict(Mark.HOLDS).on("one", "1", criterion="it is 1"),
    Verdict(Mark.HOLDS).on("two (n=1)", "2", "two", readings=WIDTHS),
    Verdict(Mark.LOOSE, factor=3.0).on("two (n=2)", "2", "two"),
    Verdict(Mark.DEPARTS).on("three", "3"),
    Verdict(Mark.FINDING).on("more", "4", of_paper=False),
]


def test_it_ends_with_a_screenful_of_counts_numbers_and_where_the_rest_is() -> None:
    many = [Reading(quantity, (1.25, 123456.0), "relative loss 1e-08") for quantity in Quantity]
    rows = [*ROWS, Verdict(Mark.HOLDS).on("five", "5", readings=tuple(many))]
    text = _screenful(rows, Path("reproduction/report.html"), "13 stores, 72 pictures")
    lines = text.splitlines()
    assert lines[:4] == [
        "4 claims of the paper",
        "    2  holds",
        "    1  holds, loose",
        "    1  departs",
    ]
    assert len(lines) < 32
    assert max(map(len, lines)) <= 80
    assert sum(" in 2 cells" in line for line in lines) == 7  # of output, 3
    assert "reproduction/report.html: " in text
    assert "reproduction/claims.csv: " in text


def test_the_table_of_claims_tells_claims_from_findings_and_has_their_criteria() -> None:
    rows = list(csv.DictReader(io.StringIO(_as_csv(ROWS))))
    assert [row["claim"] for row in rows] == [row.claim for row in ROWS]
    assert [row["kind"] for row in rows] == ["paper"] * 4 + ["finding"]
    assert rows[0]["criterion"] == "it is 1"
    assert list(rows[0])[:3] == ["claim", "measured", "verdict"]
