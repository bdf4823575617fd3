"""Remarks on one's own rows: what was read, how often rows repeat, why a measured width is far."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.own_data import chance_of_repeats, reading, remarks, why_far
from pipeline.numerics.data_files import Table

X = np.random.default_rng(0).standard_normal((100, 5))
NAMES = ("a", "b", "c", "d", "e")


def unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def far(rows: np.ndarray, names: tuple[str, ...] = ()) -> str:
    return why_far(Table(rows, names, rows.shape[1]), unit(rows), unit(rows)[:40])


def test_what_was_read_is_said() -> None:
    assert reading(Table(X, NAMES, 6)) == (
        "read 100 samples of 5 of 6 columns; line 1 holds their names: a, b, c, d, e"
    )
    assert reading(Table(X, (), 5)) == "read 100 samples of 5 columns; they have no names"


def test_a_column_that_may_be_no_input_is_remarked_on_with_its_rule() -> None:
    (remark,) = remarks(Table(X, ("a", "b", "label", "d", "e"), 5))
    assert remark.startswith("column 'label' looks like a label (named like one), and was read as an i")
    assert remarks(Table(X, NAMES, 5)) == []


@pytest.mark.parametrize("copies", [1, 5])
def test_the_share_of_draws_with_a_repeated_row_is_that_of_draws(copies) -> None:
    rows, n = unit(np.vstack([X, 3 * X[:copies]])), 20
    chance, groups = chance_of_repeats(rows, n, "relu")
    assert groups == [[row, 100 + row] for row in range(copies)]
    rng, hits, draws = np.random.default_rng(1), 0, 20_000
    for _ in range(draws):
        drawn = set(rng.choice(len(rows), n, replace=False).tolist())
        hits += any(set(group) <= drawn for group in groups)
    assert chance == pytest.approx(hits / draws, abs=4 * np.sqrt(chance / draws))


def test_no_repeated_row_is_no_chance_and_a_draw_of_all_rows_has_each() -> None:
    assert chance_of_repeats(unit(X), 20, "relu") == (0.0, [])
    twice = unit(np.vstack([X, X[:1]]))
    assert chance_of_repeats(twice, 101, "relu")[0] == 1.0


def test_the_likely_reason_is_the_one_that_was_built_in() -> None:
    counted = np.hstack([np.arange(100.0)[:, None], X])
    assert "column 'index', which looks like an index, holds" in far(counted, ("index", *NAMES))
    assert "subtract from each column its mean and divide" in far(X * [1, 1, 900, 1, 1])
    assert "one direction holds" in far(X / 9 + 1)
    labelled = np.hstack([X, (X[:, :1] > 0)])
    assert far(labelled, (*NAMES, "label")) == "column 'label' may be no input; --drop label"
    close = np.vstack([X[:39], X[:1] + 1e-3, X[40:]])
    assert "the closest two rows of a draw are only" in far(close)
    assert "general position" in far(np.eye(40, 5000)[:, :] + 0.0)
