"""Rows on depth, of simulated descents whose widths at infinite budget are known for each depth."""

from __future__ import annotations

import re

import numpy as np
import pytest
import xarray as xr

from analysis.claims.depth import effects
from analysis.claims.rows import Mark
from analysis.study import Study

from ..slowing.simulation import store

pytestmark = pytest.mark.slow

DEEP, SHALLOW, D = 20.0, 30.0, 8


def rows_of(*laws: str, deep: float = DEEP) -> dict[str, object]:
    """The rows of one and of two layers whose times follow these laws, by what is held equal."""
    rng = np.random.default_rng(11)
    cells = [
        store(law, rng, threshold=threshold)
        for law, threshold in zip(laws, (SHALLOW, deep), strict=True)
    ]
    ds = xr.concat(cells, xr.IndexVariable("depth", [1, 2]), data_vars="all", combine_attrs="override")
    ds = ds.assign_coords(k=cells[0].k)
    width, parameters = effects(Study(ds))
    return {"width": width, "parameters": parameters}


def last_ratio(row) -> list[float]:
    """The last ratio of a row with the ends of its interval."""
    return [float(number) for number in re.findall(r"[\d.]+", row.detail.split("the ratio is")[1])]


def test_a_known_ratio_at_any_budget_lies_inside_its_interval_and_decides() -> None:
    rows = rows_of("diverging", "diverging")
    weights = [DEEP * (D + 1) + DEEP**2, SHALLOW * (D + 1)]
    for name, truth in (("width", DEEP / SHALLOW), ("parameters", weights[0] / weights[1])):
        row = rows[name]
        value, low, high = last_ratio(row)
        assert low < truth < high
        assert row.factor == pytest.approx(value, abs=0.01)
        assert row.detail.startswith("at any budget")
        assert row.mark == Mark.FINDING
        assert not row.of_paper
    assert rows["width"].word == "depth helps"
    assert rows["parameters"].word == "depth hurts"


def test_without_a_threshold_the_row_says_so_and_tells_the_ratio_at_the_largest_budget() -> None:
    for row in rows_of("diverging", "power", deep=45.0).values():
        assert row.detail.startswith("no finite threshold is seen at L=2; at 20000 steps the ratio is")
        assert "at any budget no ratio (L=2 none seen)" in row.measured
