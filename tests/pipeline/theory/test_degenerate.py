"""The cause of alpha = 0 is read from the rows: duplicates, a rank, or rounding, whichever holds."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.numerics.activations import ACTIVATIONS
from pipeline.theory import alpha, kernel_matrix
from pipeline.theory.degenerate import (
    LOWER_TERMS,
    SPANNED,
    cause_of_zero,
    coinciding_rows,
    ignores_signs,
)


def sphere(n: int, d: int, seed: int = 0) -> np.ndarray:
    rows = np.random.default_rng(seed).standard_normal((n, d))
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_scaled_copies_coincide_and_near_ones_do_not() -> None:
    X = np.random.default_rng(1).standard_normal((40, 7))
    rows = np.vstack([X, 3 * X[5:7], 0.7 * X[5:6], X[:1] + 1e-9])
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    assert coinciding_rows(rows, "relu") == [[5, 40, 42], [6, 41]]


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_opposite_rows_count_where_they_make_alpha_zero(activation) -> None:
    rows = sphere(5, 6)
    rows = np.vstack([rows, -rows[:1]])
    assert coinciding_rows(rows, activation) == ([[0, 5]] if ignores_signs(activation) else [])
    assert (alpha(rows, activation) == 0) == ignores_signs(activation)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_rows_in_general_position_have_no_cause(activation) -> None:
    assert cause_of_zero(sphere(5, 6), activation) is None


@pytest.mark.parametrize("activation", SPANNED)
@pytest.mark.parametrize(("rank", "d"), [(3, 3), (4, 9)])
def test_a_polynomial_spans_as_many_dimensions_as_is_said(activation, rank, d) -> None:
    turned = np.linalg.qr(np.random.default_rng(2).standard_normal((d, d)))[0][:rank]
    rows, span = sphere(30, rank) @ turned, SPANNED[activation](rank)
    assert np.linalg.matrix_rank(kernel_matrix(rows, activation)) == span
    cause = cause_of_zero(rows, activation)
    assert f"rows of rank {rank} span at most {span} dimensions" in cause.text
    assert f"take n of {span} or less" in cause.repair
    assert cause_of_zero(rows[:span], activation) is None


@pytest.mark.parametrize("activation", LOWER_TERMS)
def test_terms_of_lower_degree_add_to_it_on_rows_of_several_norms(activation) -> None:
    rows = sphere(40, 3) * np.random.default_rng(4).uniform(0.5, 2, (40, 1))
    span = SPANNED[activation](3) + LOWER_TERMS[activation](3)
    assert np.linalg.matrix_rank(kernel_matrix(rows, activation)) == span
    assert f"span at most {span} dimensions" in cause_of_zero(rows, activation).text
    assert cause_of_zero(rows[:span], activation) is None


def test_duplicates_are_the_cause_also_where_the_rank_is_low() -> None:
    rows = sphere(6, 8)
    cause = cause_of_zero(np.vstack([rows, rows[:2]]), "linear")
    assert "coincide or are opposite once they are scaled (2 of 8 repeat another)" in cause.text
    assert cause.repair == "leave such rows out"


def test_smooth_features_of_few_dimensions_are_lost_to_rounding_and_said_to_be() -> None:
    rows = sphere(60, 2)
    cause = cause_of_zero(np.hstack([rows, np.zeros((60, 3))]), "softplus")
    assert "of the 60 eigenvalues of K are lost to rounding" in cause.text
    assert "of rank 2 in 5 dimensions" in cause.text
    assert "coincide" not in cause.text
