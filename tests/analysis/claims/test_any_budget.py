"""Rows on the width that training W needs at any budget, of simulated cells with a known law."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from analysis.claims.any_budget import any_budget
from analysis.claims.rows import Mark, Quantity
from analysis.study import Study
from analysis.success.budgets import budget_of

from ..slowing.many_cells import POWERS, store_of_cells
from ..slowing.simulation import BUDGET, THRESHOLD, store

pytestmark = pytest.mark.slow


def store_of(law: str, budget: int) -> xr.Dataset:
    """A store whose descents have a budget of steps."""
    ds = store(law, np.random.default_rng(3))
    ds["steps_to_tolerance"] = ds.steps_to_tolerance.where(ds.steps_to_tolerance <= budget, np.inf)
    ds.attrs["identity_fields"] = {"descent": {"steps": budget}}
    return ds


def rows_of(law: str, budget: int):
    """The rows of such a store."""
    return list(any_budget(Study(store_of(law, budget))))


def test_a_threshold_is_told_over_n_per_d_with_its_figure_and_the_test_beside_it() -> None:
    found, test = rows_of("diverging", 5 * BUDGET)
    reading = found.readings[0]
    assert reading.quantity == Quantity.ANY_BUDGET_ALONE
    ((low, high),) = reading.ends
    assert low < reading.values[0] < high
    assert reading.values[0] == pytest.approx(THRESHOLD * 8 / 160, rel=0.15)
    assert found.figure == "slowing"
    assert found.mark == test.mark == Mark.FINDING
    assert found.of_paper is test.of_paper is False
    assert "inside the predicted 95% interval in 1 of 1 cells" in test.detail
    assert [(r.quantity, r.values) for r in test.readings] == [(Quantity.PREDICTED, (1.0,))]


def test_a_cell_without_a_threshold_has_no_number() -> None:
    found, _ = rows_of("power", BUDGET)
    assert [r.quantity for r in found.readings] == [Quantity.UNSEEN_ALONE]
    assert "no finite threshold is seen in 1 of 1" in found.detail
    assert found.figure == ""


def test_cells_that_have_no_trials_are_not_counted() -> None:
    ds = store_of("power", BUDGET)
    found, _ = any_budget(Study(ds.reindex(n=[*ds.n.values, 999], fill_value={"status": 0})))
    assert "no finite threshold is seen in 1 of 1" in found.detail
    assert found.measured == "1 cell"


def test_chaotic_cells_are_told_wherever_the_model_is_used() -> None:
    ds = store("diverging", np.random.default_rng(3))
    steps = xr.full_like(ds.status, budget_of(ds), dtype=float)
    found, test = any_budget(Study(ds.assign(rises=0.3 * steps, steps=steps)))
    assert "times are chaotic in 1 of 1" in found.detail
    assert "times are chaotic in 1 of 1" in test.detail
    (edge,) = [r for r in found.readings if r.quantity == Quantity.AT_EDGE]
    assert edge.values == (1.0,)
    unknown, _ = any_budget(Study(ds))
    assert "whether times are chaotic is not known" in unknown.detail


def test_the_model_of_all_cells_decides_what_the_answer_states() -> None:
    study = Study(store_of_cells("diverging", np.random.default_rng(5)))
    vars(study)["held_out"] = pd.DataFrame()
    found, law, _ = any_budget(study)
    readings = {r.quantity: r for r in (*found.readings, *law.readings)}
    limit = readings[Quantity.ANY_BUDGET]
    assert len(set(limit.values)) == 1 < len(limit.values)
    assert limit.ends[0][0] < limit.values[0] < limit.ends[0][1]
    ((low, high),) = readings[Quantity.EXPONENT_N].ends
    assert low < POWERS["n"] < high
    assert "the best law is n log n/d" in law.detail


def test_a_fit_that_cannot_tell_the_laws_apart_has_no_exponent_in_the_answer() -> None:
    study = Study(store_of_cells("diverging", np.random.default_rng(5)))
    law = study.threshold_laws.iloc[0]
    vars(study)["held_out"] = pd.DataFrame()
    vars(study)["threshold_laws"] = pd.DataFrame(
        [dict(law) | {"exponent_d_low": law.exponent_d_high - 1.5}]
    )
    _, row, _ = any_budget(study)
    assert [(r.values, r.total) for r in row.readings] == [((), 1)] * 2


def test_the_test_fits_a_fifth_of_the_budget() -> None:
    study = Study(store("diverging", np.random.default_rng(3)))
    assert study.held_out.budget.tolist() == [BUDGET]
