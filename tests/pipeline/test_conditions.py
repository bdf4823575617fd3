"""Conditions on coordinates: what they compute, and that nothing of Python is run."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.conditions import BadCondition, where_met
from pipeline.expressions import QueryError

N = np.array([[10], [20], [40]])
D = np.array([[2, 4]])
NAMES = {"n": N, "d": D, "phi": np.array([["relu", "tanh"]]), "flag": np.array(True)}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("n > 10*d", N > 10 * D),
        ("n <= 5*d or d == 2 and not n == 10", (N <= 5 * D) | ((D == 2) & (N != 10))),
        ("10 < n <= 40", (N > 10) & (N <= 40)),
        ("n in [10, 40]", (N == 10) | (N == 40)),
        ("n not in (10, 40)", N == 20),
        ("phi == 'relu' and n != 20", (np.array([[True, False]])) & (N != 20)),
        ("sqrt(n) / d >= max(2, d - 1)", np.sqrt(N) / D >= np.maximum(2, D - 1)),
        ("flag and n**2 > 100", N**2 > 100),
        ("n / (d - d) > 1", np.full((3, 2), True)),
        ("(n - n) / (d - d) >= 0", np.full((3, 2), False)),
    ],
)
def test_a_condition_holds_where_numpy_says_so(text, expected) -> None:
    np.testing.assert_array_equal(where_met(text, NAMES), expected)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("m > 1", "unknown name 'm'; known are n, d, phi, flag"),
        ("phj == 'relu'", "did you mean 'phi'?"),
        ("n", "'n' is not a condition"),
        ("n + 1", "is not a condition"),
        ("phi > 1", "compares text with a number"),
        ("phi + 1 > 1", "'phi' is not a number"),
        ("n in 10", "is not a list of values"),
        ("sqrt(n, 2) > 1", "sqrt takes 1, got 2 values"),
        ("n > 1e999999 * 10**400 and n > " + "9" * 400, "beyond 1.8e308"),
        ("n if d else 1", "got 'n if d else 1'"),
        ("open('x') > 1", "got \"open('x')\""),
        ("n.shape > 1", "got 'n.shape'"),
        ("(lambda: 1)() > 0", "got '(lambda: 1)()'"),
        ("[n for n in [1]] == 1", "expected numbers"),
    ],
)
def test_what_is_no_condition_is_refused_with_its_column(text, message) -> None:
    with pytest.raises(BadCondition) as caught:
        where_met(text, NAMES)
    assert message in str(caught.value)
    assert str(caught.value).startswith("column ")


@pytest.mark.parametrize("text", ["n = 10", "n > 1 & d > 2", "import os", "n >", "n > 1)", "(" * 900])
def test_what_cannot_be_read_is_refused_by_the_parser_of_queries(text) -> None:
    with pytest.raises(QueryError):
        where_met(text, NAMES)


def test_a_tower_of_powers_takes_no_time_and_no_memory() -> None:
    assert where_met("9**9**9**9**9 > n", NAMES).all()
