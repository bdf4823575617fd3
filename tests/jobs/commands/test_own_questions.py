"""`fit` and `plot` on own stores: one width, missing numbers, parts, and infinite values."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

import pipeline
from jobs.cli import main

CODE = """
import numpy as np
from pipeline import Trial, experiment, variable

@experiment(overlap=variable("overlap"), steps=variable("steps, inf if never"))
def trial(trial: Trial):
    lam = trial.parameters["lam"] if "lam" in trial.parameters else trial.k / 100
    noise = trial.rng("noise", int(100 * lam)).normal() / 10
    if lam == 2.0 and trial.seed < 2:
        return {"overlap": np.nan, "steps": np.inf}
    return {"overlap": lam - 1 + noise, "steps": 10 / lam if lam > 0.6 else np.inf}
"""

ONE_WIDTH = """
name = "spike"
experiment = "spike.py:trial"
entropy = 1
n = [50, 100]
seeds = 10
[parameters]
lam = [0.5, 0.8, 1.0, 1.2, 2.0]
"""

WIDTHS = """
name = "wide"
experiment = "spike.py:trial"
entropy = 1
n = [50]
width = { k = [50, 80, 100, 120, 200] }
seeds = 10
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("questions")
    (found / "spike.py").write_text(CODE)
    for name, text in (("spike", ONE_WIDTH), ("wide", WIDTHS)):
        (found / f"{name}.toml").write_text(text)
        pipeline.run(found / f"{name}.toml", found / f"{name}.zarr")
    return found


def invoked(*line: object):
    return CliRunner().invoke(main, list(map(str, line)))


def test_fit_of_one_width_is_refused_in_a_line_that_names_the_other_axes(folder) -> None:
    result = invoked("fit", folder / "spike.zarr", "--success", "overlap > 0")
    assert result.exit_code == 2
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert "the store has one width" in line
    assert line.endswith("give --along with one of lam, n")


def test_fit_along_another_axis_fits_such_a_store(folder) -> None:
    line = ["fit", folder / "spike.zarr", "--success", "overlap > 0", "--along", "lam", "--json"]
    cells = json.loads(invoked(*line).stdout)["critical_lam"]
    assert [cell["outcome"] in ("fitted", "separated") for cell in cells] == [True, True]


def test_missing_numbers_count_as_failures_and_fit_says_how_many(folder) -> None:
    for store, axis, count in (("spike", "lam", 4), ("wide", "width", 2)):
        line = ["fit", folder / f"{store}.zarr", "--success", "overlap > 0", "--along", axis]
        told = invoked(*line).stderr
        assert (
            f"{count} trials have NaN in what 'overlap > 0' compares, which counts as a failure" in told
        )
    # An infinite number is no missing one, and neither is one that the condition does not read.
    assert "NaN" not in invoked("fit", folder / "wide.zarr", "--success", "steps <= 20").stderr


def test_fit_where_uses_only_the_trials_that_meet_the_condition(folder) -> None:
    line = ["fit", folder / "wide.zarr", "--success", "overlap > 0", "--json"]
    whole = json.loads(invoked(*line).stdout)["critical_widths"][0]
    answer = json.loads(invoked(*line, "--where", "seed < 6 and k < 200").stdout)
    part = answer["critical_widths"][0]
    assert (whole["seeds"], part["seeds"]) == (10, 6)
    assert answer["rule"] == "overlap > 0, where seed < 6 and k < 200"
    refused = invoked(*line, "--where", "k > 1000")
    assert refused.exit_code == 2
    assert "'k > 1000' holds for no trial" in refused.stderr


def test_a_success_that_no_figure_can_show_is_told(folder, tmp_path) -> None:
    line = ["plot", folder / "spike.zarr", "--success", "overlap > 0", "-o", tmp_path]
    result = invoked(*line)
    assert result.exit_code == 0
    assert "no figure shows the success that is given: the store has one width" in result.stderr
    shown = invoked("plot", folder / "wide.zarr", "--success", "overlap > 0", "-o", tmp_path)
    assert "no figure shows" not in shown.stderr


def test_the_figure_of_success_curves_is_drawn_along_the_width_if_it_is_named(folder, tmp_path) -> None:
    line = ["plot", folder / "wide.zarr", "--kind", "success", "-o", tmp_path / "s.png"]
    assert invoked(*line, "--success", "overlap > 0").exit_code == 0
    assert (tmp_path / "s.png").stat().st_size > 5000
    without = invoked(*line)
    assert without.exit_code == 2
    assert "define a success with --success" in without.stderr


def test_a_figure_of_a_transition_names_the_axes_that_a_store_of_one_width_has(
    folder, tmp_path
) -> None:
    line = ["plot", folder / "spike.zarr", "--kind", "success", "-o", tmp_path / "s.png"]
    refused = invoked(*line, "--success", "overlap > 0")
    assert refused.exit_code == 2
    assert "give --along with one of lam, n" in refused.stderr
    assert invoked(*line, "--success", "overlap > 0", "--along", "lam").exit_code == 0


@pytest.mark.slow
def test_plot_and_report_take_infinite_values_without_a_word(folder, tmp_path) -> None:
    drawn = invoked("plot", folder / "spike.zarr", "--data", tmp_path / "d.csv", "-o", tmp_path)
    assert (drawn.exit_code, drawn.stderr) == (0, "")
    assert ",inf," in (tmp_path / "d.csv").read_text()
    page = invoked("report", folder / "spike.zarr", "-o", tmp_path / "r.html")
    assert page.exit_code == 0, page.stderr
    assert "Warning" not in page.stderr


def test_the_abscissa_of_values_can_be_chosen(folder, tmp_path) -> None:
    line = ["plot", folder / "spike.zarr", "--kind", "values", "-o", tmp_path / "v.png"]
    assert invoked(*line, "--along", "lam", "--data", tmp_path / "d.csv").exit_code == 0
    assert ",lam,0.5," in (tmp_path / "d.csv").read_text()
