"""The law of the width at infinite budget, of simulated stores of many cells whose law is known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import approx_fprime

from analysis.slowing import exponents_at_budgets, threshold_laws
from analysis.slowing.cells import trials_of
from analysis.slowing.joint import SHARED, _summed

from .many_cells import CONSTANT, POWERS, STEPS, store_of_cells


def test_the_gradient_of_all_cells_is_that_of_its_differences() -> None:
    ds = store_of_cells("diverging", np.random.default_rng(0)).isel(n=slice(2), d=slice(1, 2))
    cells = [trials for _, trials, _, _ in trials_of(ds)]
    design = np.array([[1.0, 0.3], [1.0, -0.4]])
    vector = np.array([0.6, -1.4, 0.04, -2.0, -1.5, 0.7, 6.0, 6.3, 4.0, 0.9])
    assert len(vector) == len(SHARED) + len(cells) + 2
    slopes = approx_fprime(vector, lambda at: _summed(at, design, cells)[0], 1e-6)
    np.testing.assert_allclose(_summed(vector, design, cells)[1], slopes, rtol=1e-3, atol=1e-2)


@pytest.mark.slow
@pytest.mark.parametrize("law", ["diverging", "exponential"])
def test_the_exponents_are_found_whether_or_not_times_diverge(law: str) -> None:
    row = threshold_laws(store_of_cells(law, np.random.default_rng(5))).iloc[0]
    assert row.verdict == ("threshold" if law == "diverging" else "none seen")
    for name, power in POWERS.items():
        assert row[f"exponent_{name}_low"] < power < row[f"exponent_{name}_high"]
        assert row[f"exponent_{name}_high"] - row[f"exponent_{name}_low"] < 0.2
    assert row.best == "n log n/d"  # over these n nearest to n^1.2
    assert row["delta n log n/d"] == 0 < 10 < row["delta n^2/d"] < row["delta n^4/d^3"]
    assert row.misfit > 0.01
    if law == "diverging":
        assert row.constant_low < CONSTANT < row.constant_high
    else:
        assert np.isnan([row.constant, row.ratio, row.gamma]).all()


@pytest.mark.slow
def test_a_power_law_that_cells_depart_from_is_told() -> None:
    ds = store_of_cells("diverging", np.random.default_rng(5))
    k = ds.k.copy()
    k[1, 1] = 1.5 * k[1, 1]
    row = threshold_laws(ds.assign_coords(k=k)).iloc[0]
    assert row.misfit < 1e-4
    assert row.exponent_n_high - row.exponent_n_low > 0.2


@pytest.mark.slow
def test_a_cell_that_arrives_nowhere_is_left_out_and_counted() -> None:
    ds = store_of_cells("diverging", np.random.default_rng(5))
    ds.steps_to_tolerance[0, 2] = np.inf
    row = threshold_laws(ds).iloc[0]
    assert (row.cells, row.left_out) == (8, 1)
    assert row.exponent_n_low < POWERS["n"] < row.exponent_n_high


def test_too_few_cells_have_no_exponents() -> None:
    ds = store_of_cells("diverging", np.random.default_rng(5))
    for part in (ds.isel(n=slice(1)), ds.isel(d=slice(1)), ds.isel(n=slice(2), d=slice(1))):
        row = threshold_laws(part).iloc[0]
        assert row.verdict == "too few cells"
        assert np.isnan([row.exponent_n, row.exponent_d, row.ratio]).all()


def test_exponents_at_budgets_move_to_those_of_the_limit() -> None:
    rows = exponents_at_budgets(store_of_cells("diverging", np.random.default_rng(5)))
    assert rows.budget.tolist() == [STEPS // 16, STEPS // 4, STEPS]
    last = rows.iloc[-1]
    assert last.exponent_n_low < POWERS["n"] + 0.15
    off = (rows.exponent_n - POWERS["n"]).abs()
    assert off.iloc[-1] < off.iloc[0]
