"""`fit` and `plot` with --along and --lapse, on a store of one's own whose truth is known."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

import pipeline
from jobs.cli import main

CODE = """
import math
from pipeline import Trial, experiment, variable

@experiment(error=variable("1 if the trial fails, else 0"))
def trial(trial: Trial):
    rng = trial.rng("draw", trial.n, trial.k)
    margin = math.log(trial.k * trial.d / 4 / trial.n) / 0.1 + rng.logistic()
    return {"error": 1.0 if margin < 0 or rng.random() < 0.05 else 0.0}
"""

SWEEP = """
name = "known"
experiment = "known.py:trial"
entropy = 2
d = [8, 16]
n = [20, 24, 28, 34, 40, 48, 57, 67, 80, 95, 113, 135, 160]
width = { k = [16, 24] }
seeds = 40
"""

SUCCESS = ("--success", "error < 0.5")


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store in which success falls with n around k d / 4, and 5% of the trials lapse."""
    folder = tmp_path_factory.mktemp("known")
    (folder / "known.py").write_text(CODE)
    (folder / "known.toml").write_text(SWEEP)
    pipeline.run(pipeline.load_sweep(folder / "known.toml"), folder / "known.zarr")
    return folder / "known.zarr"


def invoked(command: str, *line: object):
    return CliRunner().invoke(main, [command, *map(str, line)])


def test_the_table_names_the_critical_n_and_the_direction(known) -> None:
    told = invoked("fit", known, *SUCCESS, "--along", "n")
    assert told.exit_code == 0, told.output
    head, cells, laws = told.stdout.split("\n\n")[:3]
    assert head.startswith(f"{known}: critical n, along which success falls, at error < 0.5")
    columns = cells.splitlines()[0].split()
    assert columns[:5] == ["k", "d", "outcome", "n50", "bracket"]
    assert not {"k50", "k_edge", "alpha"} & set(columns)
    assert "C k d" in laws
    assert "rms, largest k left out" in laws


def test_json_has_the_same_shape_with_the_names_of_the_axis(known) -> None:
    found = json.loads(invoked("fit", known, *SUCCESS, "--along", "n", "--lapse", "--json").stdout)
    assert (found["along"], found["direction"]) == ("n", "falling")
    cells = found["critical_n"]
    assert [(cell["d"], cell["k"]) for cell in cells] == [(8, 16), (8, 24), (16, 16), (16, 24)]
    for cell in cells:
        assert cell["n50"] == pytest.approx(cell["k"] * cell["d"] / 4, rel=0.08)
        assert cell["lapse_low"] < 0.05 < cell["lapse_high"]
        assert cell["lapse_delta_aicc"] > 10
    assert found["laws"][0]["law"] == "k d"
    assert "exponent_k" in found["laws"][0]
    plain = json.loads(invoked("fit", known, *SUCCESS, "--json").stdout)
    assert {"store", "rule", "critical_widths", "verdict", "laws"} == set(plain)
    assert not [name for name in plain["critical_widths"][0] if "lapse" in name]


def test_a_line_tells_the_lapse_rate_and_what_k50_then_is(known) -> None:
    lines = invoked("fit", known, *SUCCESS, "--along", "n", "--lapse").stdout.splitlines()[1:3]
    assert [line[:18] for line in lines] == ["k = 16: lapse rate", "k = 24: lapse rate"]
    for line in lines:
        assert "AICc prefers it to none" in line
        assert line.endswith("n50 is where the trials that do not lapse succeed in half of the cases.")
    each = invoked("fit", known, *SUCCESS, "--along", "n", "--lapse-each").stdout.splitlines()[1:5]
    named = [f"d = {d}, k = {k}" for d in (8, 16) for k in (16, 24)]
    assert [line.split(":")[0] for line in each] == named


@pytest.mark.parametrize(
    ("line", "text"),
    [
        (
            ("--along", "m"),
            "--along: got 'm', which is no axis of the store; expected one of width, d, n",
        ),
        (
            ("--along", "n", "--direction", "up"),
            "--direction: got 'up'; expected one of rising, falling",
        ),
        (("--along", "n", "--scale", "x"), "--scale: got 'x'; expected one of log, linear"),
    ],
)
def test_a_wrong_axis_or_word_is_one_line(known, line, text) -> None:
    told = invoked("fit", known, *SUCCESS, *line)
    assert told.exit_code == 2
    assert told.stderr == f"widthlaw: fit {known}: {text}\n"


def test_widths_in_units_of_n_are_refused_along_n(complete) -> None:
    told = invoked("fit", complete, "--along", "n")
    assert told.exit_code == 2
    assert "along n: a cell has one width, but at k/n = " in told.stderr
    assert told.stderr.count("\n") == 1


def test_plots_along_n_have_curves_to_the_lapse_rate_and_the_critical_n(known, tmp_path) -> None:
    data = tmp_path / "data.json"
    line = (known, *SUCCESS, "--along", "n", "--lapse", "--caption", "-o", tmp_path, "--data", data)
    told = invoked("plot", *line)
    assert told.exit_code == 0, told.output
    drawn = {file.stem for file in tmp_path.glob("*.png")}
    assert drawn == {"known-phase", "known-success", "known-laws"}
    rows = json.loads(data.read_text())
    ends = {row["y"] for row in rows if "1 − lapse rate" in str(row["series"])}
    assert len(ends) == 2  # a rate of each width
    assert all(0.92 < end < 0.98 for end in ends)
    values = [row for row in rows if row["figure"] == "laws" and "measured" in str(row["series"])]
    assert sorted(row["x"] for row in values) == [16, 16, 24, 24]
    caption = (tmp_path / "known-laws.txt").read_text().replace("\n", " ")
    assert "the value of n at which half of the trials that do not lapse succeed" in caption


@pytest.mark.slow
def test_a_plot_with_lapses_along_the_width_adds_the_success_curves(known, tmp_path) -> None:
    told = invoked("plot", known, *SUCCESS, "--lapse", "--kind", "success", "-o", tmp_path / "a.png")
    assert told.exit_code == 0, told.output
    named = invoked("plot", known, *SUCCESS, "--kind", "success", "-o", tmp_path / "b.png")
    assert named.exit_code == 0, named.output
    for lapse in ((), ("--lapse",)):
        kinds = invoked("plot", known, *SUCCESS, *lapse, "-o", tmp_path / f"all{len(lapse)}").stdout
        assert ("known-success.png" in kinds) == bool(lapse)


@pytest.mark.parametrize("page", ["report", "watch"])
def test_a_page_refuses_another_axis_and_names_the_commands_that_take_it(page, tmp_path) -> None:
    found = CliRunner().invoke(main, [page, str(tmp_path / "a.zarr"), "--along", "noise"])
    assert found.exit_code == 2
    for words in ("along the width", "fit STORE --along noise", "plot STORE --along noise"):
        assert words in " ".join(found.stderr.split())
    assert "Only width" in CliRunner().invoke(main, [page, "--help"]).output
    for command in ("fit", "plot"):  # the remedies exist
        assert "--along AXIS" in CliRunner().invoke(main, [command, "--help"]).output
