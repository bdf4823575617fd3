"""Axes and cells follow from the table of axes, and the unit of widths from the store."""

from __future__ import annotations

import importlib
from dataclasses import replace

import numpy as np
import pytest
import xarray as xr

import pipeline.axes
from analysis import axes, cells, open_store
from pipeline.axes import AXES
from pipeline.execution.driver import run


def test_a_new_leading_axis_is_an_axis_of_cells_panels_and_networks(monkeypatch) -> None:
    axis = replace(AXES["depth"], name="blocks", symbol="B")
    table = dict(AXES)
    at = list(table).index("d")
    longer = dict([*list(table.items())[:at], ("blocks", axis), *list(table.items())[at:]])
    monkeypatch.setattr(pipeline.axes, "AXES", longer)
    try:
        importlib.reload(axes)
        assert axes.CELL[-3:] == ("blocks", "d", "n")
        assert "blocks" in axes.MODEL
        assert "blocks" in axes.PANEL
        assert axes.NETWORK[-1] == "blocks"
        assert axes.label("blocks", 3) == "B = 3"
    finally:
        monkeypatch.undo()
        importlib.reload(axes)
    assert "blocks" not in axes.CELL


@pytest.mark.parametrize(
    ("dim", "value", "label"),
    [
        ("activation", "relu", "relu"),
        ("angle", 0.0, ""),
        ("angle", 0.25, "angle 0.25"),
        ("trained", "input", "W trained"),
        ("depth", 2, "L = 2"),
        ("n", 100, "n = 100"),
        ("tolerance", 0.01, "loss ≤ 0.01"),
        ("budget", 20000, "20,000 steps"),
        ("multiple", 1.0, "1.0"),
    ],
)
def test_values_of_axes_have_labels(dim, value, label) -> None:
    assert axes.label(dim, value) == label


@pytest.mark.parametrize(
    ("width", "unit", "label"),
    [
        ("{ k = [10, 20] }", "k", "k = 10"),
        ("{ k_per_n = [1.5, 2.0] }", "k_per_n", "k/n = 1.5"),
        ("{ kd_per_n = [1.5, 2.0] }", "kd_per_n", "kd/n = 1.5"),
        ("{ k_per_d = [1.5, 2.0] }", "k_per_d", "k/d = 1.5"),
    ],
)
def test_the_unit_of_widths_comes_from_the_store_and_not_from_its_words(
    tmp_path, make_sweep, width, unit, label
) -> None:
    run(make_sweep(width=width, seeds=1, d="[3]", n="[6]"), tmp_path / "s.zarr")
    ds = open_store(tmp_path / "s.zarr")
    ds.width.attrs["long_name"] = "reworded"
    older = ds.copy()
    older.attrs.pop("width_unit", None)  # as before 0.5.0
    for store in (ds, older):
        assert cells.width_unit(store) == unit
        assert cells.width_label(store, "width", ds.width.values[0]) == label
    assert cells.width_label(ds, "d", 3) == "d = 3"


def test_a_width_is_located_and_its_interval_may_be_open() -> None:
    found = xr.Dataset(
        {
            "outcome": ("n", ["fitted", "separated", "fitted", "censored"]),
            "k50_low": ("n", [1.0, 0.0, 2.0, np.nan]),
            "k50_high": ("n", [3.0, 5.0, np.inf, np.nan]),
        }
    )
    assert cells.located(found).tolist() == [True, True, True, False]
    assert cells.has_interval(found).tolist() == [True, False, False, False]
    assert cells.is_open(found).tolist() == [False, True, True, False]
