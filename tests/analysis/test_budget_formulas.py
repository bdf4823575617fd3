"""Budgets that a formula gives: every trial of a store may take the smallest of them."""

from __future__ import annotations

import pytest

import analysis
import pipeline
from analysis import figures
from analysis.success.budgets import budget_grid, budget_of
from pipeline.errors import ParameterError
from pipeline.sweep_files.load import parse_sweep

TEXT = """
name = "formula"
experiment = "input"
dataset = { kind = "sphere" }
d = 4
n = [6, 8]
width = { k_per_n = [1.0, 2.0, 4.0] }
seeds = 3
[descent]
steps = "10 * n + k"
step_size = { absolute = 0.1 }
"""


@pytest.fixture(scope="module")
def ds(tmp_path_factory):
    path = tmp_path_factory.mktemp("formula") / "a.zarr"
    pipeline.run(parse_sweep(TEXT), path)
    return analysis.open_store(path)


def test_the_budget_of_a_store_is_that_of_its_smallest_trial(ds) -> None:
    assert budget_of(ds) == 66
    assert budget_grid(ds)[-1] == 66


def test_the_rule_names_the_formula(ds) -> None:
    assert "(10 * n + k steps)" in str(analysis.critical_widths(ds).attrs)


def test_a_budget_beyond_that_of_a_trial_is_refused(ds) -> None:
    with pytest.raises(ParameterError, match="66"):
        analysis.critical_widths(ds, budgets=[70])


def test_the_figure_of_layers_draws_a_store_with_an_axis_of_a_setting(tmp_path) -> None:
    text = TEXT.replace('"input"', '"joint"\ntrained = ["both", "input"]')
    text += "[labels]\nflip = [0.0, 0.3]\n"
    pipeline.run(parse_sweep(text), tmp_path / "a.zarr")
    figure = figures.draw(analysis.open_store(tmp_path / "a.zarr"), "layers")
    titles = {axes.get_title(loc="left") + axes.get_title() for axes in figure.axes}
    assert all(any(f"flip = {flip}" in title for title in titles) for flip in ("0,", "0.3,")), titles
