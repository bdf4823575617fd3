"""The answer states the readings of the claims, counts each claim once, and says nothing else."""

from __future__ import annotations

import re

import numpy as np
import pytest

from analysis.claims import Claim, Mark, Quantity, Reading
from analysis.claims.answer import answer, headlines, tally


def row(claim: str, mark: Mark, group: str = "", of_paper: bool = True, **readings) -> Claim:
    known = tuple(
        Reading(
            Quantity[name],
            tuple(np.atleast_1d(values).tolist()),
            "loss 0.01" if name == "OUTPUT" else "",
        )
        for name, values in readings.items()
    )
    return Claim(claim, "m", mark, mark.value, group=group, of_paper=of_paper, readings=known)


ROWS = [
    row("a, n=1", Mark.LOOSE, "a", of_paper=False, FEATURES=2.134, EDGE=1.04),
    row("a, n=2", Mark.FINDING, "a", of_paper=False, FEATURES=1.863, EDGE=0.997),
    row("theorem", Mark.LOOSE, THEOREM2=[253.4, 21993, 2530]),
    row("b, n=1", Mark.HOLDS, "b", OUTPUT=1.05),
    row("c, n=1", Mark.HOLDS, "c", INPUT=[1.2, 1.60]),
    row("b, n=2", Mark.HOLDS, "b", OUTPUT=1.17),
    row("c, n=2", Mark.DEPARTS, "c", INPUT_BOUND=[123456.0]),
]


def test_the_answer_has_three_sentences_with_the_ranges_of_the_readings() -> None:
    features, training, claims = answer(ROWS)
    assert "from k* = 1.86 n to 2.13 n hidden units" in features
    assert "0.997 to 1.04 times what random matrix theory predicts" in features
    assert "Theorem 2 is 253 to 22,000 times as large" in features
    assert "k* = 1.05 n to 1.17 n units if it trains v alone (loss 0.01)" in training
    assert "k* d = 1.20 n to 1.60 n weights if it trains W alone" in training
    assert "is 123,000 times as large" in training
    assert claims == (
        "Of the 3 claims of the paper that were tested, 1 holds, 1 holds but is loose and 1 departs."
    )
    for sentence in (features, training, claims):
        assert len(re.findall(r"\.(?:\s|$)", sentence)) == 1


def test_a_claim_with_several_cases_counts_once_and_by_its_worst_case() -> None:
    assert tally(ROWS) == {Mark.LOOSE: 1, Mark.HOLDS: 1, Mark.DEPARTS: 1}
    assert tally([*ROWS, row("b, n=3", Mark.OPEN, "b")])[Mark.OPEN] == 1
    assert Mark.FINDING not in tally(ROWS)  # it is no claim of the paper


def test_the_five_numbers_are_medians_with_ranges_over_cells() -> None:
    assert [found.text for found in headlines(ROWS)] == [
        "2.00 (1.86 to 2.13) in 2 cells",
        "1.02 (0.997 to 1.04) in 2 cells",
        "2,530 (253 to 22,000) in 3 cells",
        "1.40 (1.20 to 1.60) in 2 cells",
        "1.11 (1.05 to 1.17) in 2 cells",
    ]
    assert headlines(ROWS)[-1].label.endswith("(loss 0.01)")


@pytest.mark.parametrize("kept", [[], [0], [3], [2], [6]])
def test_the_answer_leaves_out_what_was_not_measured(kept) -> None:
    rows = [ROWS[index] for index in kept]
    known = {reading.quantity for found in rows for reading in found.readings}
    sentences = answer(rows)
    own = bool(known & {Quantity.FEATURES}) + bool(known & {Quantity.INPUT, Quantity.OUTPUT})
    assert len(sentences) == own + any(found.of_paper for found in rows)
    assert "nan" not in " ".join(sentences)
