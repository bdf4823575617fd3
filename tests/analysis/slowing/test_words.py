"""The words on thresholds: how the held-out test stands, and where gamma may be 0."""

from __future__ import annotations

import pandas as pd

from analysis.slowing.words import gamma_words, held_out_words, outcome_words


def test_the_outcome_of_the_held_out_test_is_the_share_of_cells_or_that_none_decides() -> None:
    rows = pd.DataFrame({"inside": [True, False, True], "at_edge": [0.0, 0.1, 0.0]})
    assert outcome_words(rows) == "the held-out test passed in 2 of 3 cells"
    assert outcome_words(pd.DataFrame()) == "no cell decides the held-out test"
    assert held_out_words(rows, 1000).endswith(": in 2 of 3 cells")
    assert held_out_words(pd.DataFrame(), 1000).endswith(": no cell decides")


def test_rows_whose_gamma_may_be_0_are_counted_among_those_with_a_threshold() -> None:
    table = pd.DataFrame(
        {"verdict": ["threshold", "none seen", "threshold"], "gamma_low": [0.0, float("nan"), 0.4]}
    )
    assert gamma_words(table) == (
        "the interval of gamma reaches 0 in 1 of 2 rows with a threshold: there times need not grow "
        "towards k_inf"
    )
    assert gamma_words(table[1:]) == ""
