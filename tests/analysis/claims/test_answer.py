"""The answer states the readings of the claims, counts each claim once, and says nothing else."""

from __future__ import annotations

import re
from dataclasses import replace

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


ANY_BUDGET = Claim(
    "d", "m", Mark.FINDING, "finding", of_paper=False,
    readings=(
        Reading(Quantity.ANY_BUDGET, (0.7, 0.6), "loss 0.1", ((0.5, 0.9), (0.3, 0.8)), total=5),
        Reading(Quantity.AT_EDGE, (0.9, np.nan), "loss 0.1"),
        Reading(Quantity.UNSEEN, (1.0,) * 3, "0.001"),
        Reading(Quantity.UNSEEN, (1.0,), "0.01"),
        Reading(Quantity.PREDICTED, (1.0, 0.0, 1.0)),
    ),
)  # fmt: skip


def test_the_answer_is_on_the_output_layer_the_input_layer_and_the_bounds() -> None:
    output, trained, bounds = answer(ROWS)
    assert "v alone fits n random labels from k* = 1.11 (1.05 to 1.17) n units on (loss 0.01)" in output
    assert "sigma_min >= alpha sqrt(k)/2, from 2.00 (1.86 to 2.13) n on" in output
    assert "1.02 (0.997 to 1.04) times what random matrix theory predicts" in output
    assert "W alone fits n random labels from k* d = 1.40 (1.20 to 1.60) n weights" in trained
    assert (
        "2\u202f530 (253 to 22\u202f000) (Theorem 2, output layer) and 123\u202f000 (123\u202f000) (n^4"
        in bounds
    )
    for sentence in (output, trained, bounds):
        assert len(re.findall(r"\.(?:\s|$)", sentence)) == 1


def test_the_width_at_any_budget_stands_with_its_interval_its_cells_and_its_chaos() -> None:
    trained = answer([*ROWS, ANY_BUDGET])[1]
    assert "at any budget of steps, k_inf d = 0.650 [0.300, 0.900] n in 2 of 5 cells" in trained
    assert "(loss 0.1, chaotic in 1 of 1, not known in 1)" in trained
    assert "seen in 4 cells more (one model of all cells, relative loss 0.01, 0.001)" in trained
    assert "from k* d = 1.40 (1.20 to 1.60) n on" in trained


def test_exponents_say_of_which_width_they_are_and_how_many_fits_are_left_out() -> None:
    fits = [
        Reading(quantity, values, at, ((0.5, 1.2),) * len(values), total=1)
        for quantity in (Quantity.EXPONENT_N, Quantity.EXPONENT_D)
        for at, values in (("k_inf", (0.9,)), ("the onset", (-0.8,)), ("the onset", ()))
    ]
    (told,) = answer([replace(ANY_BUDGET, readings=tuple(fits))])
    assert told == "Input layer: k_inf grows with n to the power 0.900 [0.500, 1.20] (1 fit)."
    onset = [reading for reading in fits if reading.at != "k_inf"]
    (told,) = answer([replace(ANY_BUDGET, readings=tuple(onset))])
    assert told.endswith("the onset grows with n to the power −0.800 [0.500, 1.20] (1 of 2 fits).")


def test_a_number_says_in_how_many_cells_it_is_located_and_that_others_lie_above() -> None:
    reading = Reading(Quantity.INPUT, (1.2, 1.6), "loss 0.01", total=4, above=1)
    (told,) = answer([replace(ROWS[4], readings=(reading,))])
    assert told.endswith("on (loss 0.01) in 2 of 4 cells, k* above the widths in 1.")
    (number,) = headlines([replace(ROWS[4], readings=(reading,))])
    assert number.text == "1.40 (1.20 to 1.60) in 2 of 4 cells"


@pytest.mark.parametrize(
    ("edges", "told"),
    [((0.9, 0.8), "(loss 0.1, all chaotic)"), ((0.9, 0.1), "chaotic in 1 of 2)"), ((0.1, 0.1), "0.1)")],
)
def test_chaos_is_told_of_cells_that_have_it(edges, told) -> None:
    limit, _, *rest = ANY_BUDGET.readings
    edge = Reading(Quantity.AT_EDGE, edges, "loss 0.1")
    (text,) = answer([replace(ANY_BUDGET, readings=(limit, edge, *rest))])
    assert told in text


def test_a_bound_says_in_how_many_cells_it_is_compared() -> None:
    reading = Reading(Quantity.THEOREM2, (250.0,), total=3, above=2)
    (told,) = answer([replace(ROWS[2], readings=(reading,))])
    assert "(Theorem 2, output layer in 1 of 3 cells, k* above the widths in 2)" in told


def test_cells_without_a_threshold_are_counted_by_the_fit_that_says_so() -> None:
    alone = Reading(Quantity.UNSEEN_ALONE, (1.0,) * 2, "0.001")
    (told,) = answer([replace(ANY_BUDGET, readings=(*ANY_BUDGET.readings, alone))])
    assert "in 4 cells more (one model of all cells, relative loss 0.01, 0.001)" in told
    assert "each cell alone" not in told  # among many cells some seem to have a threshold by chance
    (told,) = answer([replace(ANY_BUDGET, readings=(alone,))])
    assert "seen in 2 cells (each cell alone, relative loss 0.001)" in told


def test_brackets_hold_the_intervals_of_all_cells() -> None:
    (limit, test) = headlines([ANY_BUDGET])
    assert limit.text == "0.650 [0.300, 0.900] in 2 of 5 cells"
    assert test.text == "in 2 of 3 cells"


def test_rows_without_a_width_are_answered_by_their_verdicts() -> None:
    assert answer([row("e", Mark.HOLDS), row("f", Mark.DEPARTS)]) == [
        "Of the 2 claims of the paper that were tested, 1 holds and 1 departs."
    ]


def test_a_claim_with_several_cases_counts_once_and_by_its_worst_case() -> None:
    assert tally(ROWS) == {Mark.LOOSE: 1, Mark.HOLDS: 1, Mark.DEPARTS: 1}
    assert tally([*ROWS, row("b, n=3", Mark.OPEN, "b")])[Mark.OPEN] == 1
    assert Mark.FINDING not in tally(ROWS)  # it is no claim of the paper


def test_the_numbers_are_medians_with_ranges_over_cells() -> None:
    assert [found.text for found in headlines(ROWS)] == [
        "1.11 (1.05 to 1.17) in 2 cells",
        "2.00 (1.86 to 2.13) in 2 cells",
        "1.02 (0.997 to 1.04) in 2 cells",
        "1.40 (1.20 to 1.60) in 2 cells",
        "2\u202f530 (253 to 22\u202f000) in 3 cells",
        "123\u202f000 (123\u202f000) in 1 cell",
    ]
    assert headlines(ROWS)[0].label.endswith("(loss 0.01)")


@pytest.mark.parametrize("kept", [[], [0], [3], [2], [6]])
def test_the_answer_leaves_out_what_was_not_measured(kept) -> None:
    rows = [ROWS[index] for index in kept]
    known = {reading.quantity for found in rows for reading in found.readings}
    sentences = answer(rows)
    about = (
        {Quantity.FEATURES, Quantity.OUTPUT},
        {Quantity.INPUT},
        {Quantity.THEOREM2, Quantity.INPUT_BOUND},
    )
    assert len(sentences) == sum(bool(known & own) for own in about)
    assert "nan" not in " ".join(sentences)
