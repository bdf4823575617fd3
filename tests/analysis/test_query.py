"""Expressions over a store: what they select, and what they refuse."""

from __future__ import annotations

import numpy as np
import pytest

import pipeline
from analysis import open_store, select
from analysis.query import QueryError, evaluate


@pytest.fixture(scope="module")
def store(tmp_path_factory, make_sweep):
    path = tmp_path_factory.mktemp("query") / "small.zarr"
    pipeline.run(make_sweep(), path)
    return open_store(path)


def test_every_trial_is_a_row(store) -> None:
    frame = select(store)
    assert len(frame) == store.status.size
    assert {"d", "n", "width", "seed", "k", "status"} <= set(frame.columns)
    assert set(frame["status"]) == {"done"}


def test_conditions_on_axes_and_values_join(store) -> None:
    frame = select(
        store, "n == 12 and d >= 5 and sigma_min / sqrt(k) < 0.5 * alpha", ["sigma_min", "alpha"]
    )
    part = store.sel(n=12, d=5)
    expected = (part.sigma_min / np.sqrt(part.k) < 0.5 * part.alpha).sum()
    assert len(frame) == int(expected)
    assert set(frame["n"]) <= {12}


def test_a_limit_keeps_the_first_rows(store) -> None:
    assert select(store, "n == 6", ["sigma_min"], 3).equals(
        select(store, "n == 6", ["sigma_min"]).head(3)
    )


def test_arithmetic_follows_xarray(store) -> None:
    found = evaluate(store, "log10(sigma_max ** 2 / k) - -1")
    expected = np.log10(store.sigma_max**2 / store.k) + 1
    np.testing.assert_allclose(found, expected)


def test_a_misspelt_name_is_told_the_nearest(store) -> None:
    with pytest.raises(QueryError, match="sigma_min"):
        select(store, "sigma_mim > 0")


@pytest.mark.parametrize(
    "hostile",
    [
        "__import__('os').system('true')",
        "n.__class__",
        "(lambda: 1)()",
        "[x for x in [1]]",
        "sigma_min[0]",
        "9 ** 9 ** 9",
        "n == ",
        "open('x')",
        "f'{n}'",
        "n if d else k",
        "(" * 500 + "n" + ")" * 500,
        "n := 3",
        "",
    ],
)
def test_anything_but_an_expression_is_refused(store, hostile: str) -> None:
    with pytest.raises(QueryError):
        select(store, hostile)


def test_columns_beyond_a_trial_are_refused(store) -> None:
    with pytest.raises(QueryError, match="index"):
        select(store, None, ["kernel_eigenvalues"])
