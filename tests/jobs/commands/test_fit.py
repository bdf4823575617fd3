"""`widthlaw fit`: one store or several, as text, CSV and JSON."""

from __future__ import annotations

import csv
import io
import json
import re

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

import pipeline
from analysis import critical_widths, fit_laws, open_store
from analysis.scaling import rule_of_words
from jobs.cli import main
from pipeline import store


def fit(*line: object):
    return CliRunner().invoke(main, ["fit", *map(str, line)])


def test_a_fit_of_a_half_filled_store_uses_what_is_there_and_exits_with_three(widthlaw, half) -> None:
    result = widthlaw("fit", half, "--json")
    assert result.returncode == 3
    assert "150 trials pending" in result.stderr
    cells = json.loads(result.stdout)["critical_widths"]
    assert [(cell["seeds"], cell["pending"]) for cell in cells] == [(10, 50)] * 3


def test_stores_are_fitted_into_one_table_of_cells_and_one_of_laws(complete, tanh) -> None:
    result = fit(complete, tanh)
    assert result.exit_code == 0
    heads, cells, laws = (part.splitlines() for part in result.stdout.split("\n\n"))
    assert [line.split(":")[0] for line in heads] == ["complete", "tanh"] * 2
    assert all(": critical widths at " in line for line in heads[:2])
    assert heads[2].startswith("complete: 3 points")
    assert heads[3].startswith("tanh: got ")
    assert laws.pop(0) == "laws, by AICc"
    assert cells[0].split()[:5] == ["store", "activation", "d", "n", "outcome"]
    assert [line.split()[:4] for line in cells[1:]] == [
        *(["complete", "relu", "4", n] for n in ("8", "12", "16")),
        *(["tanh", "tanh", "4", n] for n in ("8", "12")),
    ]
    assert laws[0].split()[:2] == ["store", "formula"]
    assert {line.split()[0] for line in laws[1:]} == {"complete"}


def test_the_rule_of_the_words_is_printed_where_laws_are_ranked(make_sweep, tmp_path) -> None:
    width = "{ k_per_n = { start = 1.1, stop = 9.0, num = 12, spacing = 'geometric' } }"
    sweep = make_sweep(d="[4]", n="[8, 12, 16, 24, 32]", width=width, seeds=20)
    pipeline.run(sweep, tmp_path / "a.zarr")
    told = fit(tmp_path / "a.zarr").stdout
    assert told.rstrip().endswith(rule_of_words())
    assert "5 points (n = 8, 12, 16, 24, 32; d = 4) rank" in told
    assert "They exclude" not in told


def test_columns_without_a_value_are_left_out_of_the_text(complete, beyond) -> None:
    """Three points have no AICc, and descent has no predicted edge."""
    laws = fit(complete).stdout.split("laws, by AICc\n")[1].splitlines()[0]
    assert "rms" in laws
    assert "AICc" not in laws
    assert "weight" not in laws
    cells = fit(beyond[0]).stdout.split("\n\n")[1].splitlines()[0].split()
    assert "k50" in cells
    assert not {"k_edge", "k_edge_finite", "fit_p"} & set(cells)


@pytest.mark.parametrize("ending", ["csv", "json"])
def test_a_file_has_the_printed_answer(complete, tanh, tmp_path, ending) -> None:
    for number, stores in enumerate(([complete], [complete, tanh])):
        file = tmp_path / f"{number}.{ending}"
        result = fit(*stores, "-o", file)
        assert (result.exit_code, result.stdout) == (0, f"{file}\n")
        assert file.read_text() == fit(*stores, f"--{ending}").stdout
    again = fit(complete, "-o", file)
    assert again.exit_code == 2
    assert "replace it with --overwrite" in again.stderr
    assert fit(complete, "-o", file, "--overwrite").exit_code == 0
    assert file.read_text() == fit(complete, f"--{ending}").stdout


def test_a_parquet_file_has_the_table(complete, tmp_path) -> None:
    file = tmp_path / "widths.parquet"
    assert fit(complete, "-o", file).exit_code == 0
    rows = pd.read_csv(io.StringIO(fit(complete, "--csv").stdout))
    pd.testing.assert_frame_equal(pd.read_parquet(file), rows, check_dtype=False)


def test_stores_as_csv_are_one_table_and_as_json_a_list(complete, tanh) -> None:
    rows = list(csv.DictReader(io.StringIO(fit(complete, tanh, "--csv").stdout)))
    assert [(row["store"], row["activation"], row["n"]) for row in rows] == [
        *((str(complete), "relu", n) for n in ("8", "12", "16")),
        *((str(tanh), "tanh", n) for n in ("8", "12")),
    ]
    result = json.loads(fit(complete, tanh, "--json").stdout)
    assert [one["store"] for one in result] == [str(complete), str(tanh)]
    assert result[0] == json.loads(fit(complete, "--json").stdout)
    cells = [cell for one in result for cell in one["critical_widths"]]
    assert [float(row["k50"]) for row in rows] == [cell["k50"] for cell in cells]


def test_a_half_filled_store_among_others_is_fitted_and_exits_with_three(complete, half) -> None:
    result = fit(complete, half, "--csv")
    assert result.exit_code == 3
    assert result.stderr == f"{half}: 150 trials pending; the fit uses what is there\n"
    assert len(result.stdout.splitlines()) == 1 + 3 + 3


def test_a_store_that_cannot_be_fitted_is_refused_before_anything_is_printed(
    complete, make_sweep, tmp_path
) -> None:
    keys = {"n": "[5]", "d": "[6]", "seeds": 1, "width": "{ k = [20] }"}
    other = tmp_path / "other.zarr"
    store.create(other, make_sweep(experiment="'theorem1'", descent="{ steps = 10 }", **keys))
    result = fit(complete, other)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(f"widthlaw: fit {other}: a store of theorem1 has no success")
    again = fit(complete, complete)
    assert (again.exit_code, again.stdout) == (2, "")
    assert "complete.zarr is given 2 times; give it once" in again.stderr


def test_a_fit_without_an_outcome_reports_it(all_failed, complete) -> None:
    result = fit(all_failed)
    assert result.exit_code == 1
    assert "no critical width: no trial has an outcome" in result.stdout
    assert "all-failed: no critical width" in fit(complete, all_failed).stdout
    assert json.loads(fit(all_failed, "--json").stdout)["critical_widths"] == []
    assert len(fit(all_failed, "--csv").stdout.splitlines()) == 1


@pytest.mark.slow
def test_a_fit_as_json_equals_that_of_the_analysis(widthlaw, complete) -> None:
    result = json.loads(widthlaw("fit", complete, "--json").stdout)
    widths = critical_widths(open_store(complete))
    assert [cell["n"] for cell in result["critical_widths"]] == [8, 12, 16]
    for cell in result["critical_widths"]:
        truth = widths.sel(n=cell["n"], d=cell["d"])
        assert cell["outcome"] == truth.outcome
        for name in ("k50", "k50_low", "k50_high", "k_edge", "k_edge_finite", "alpha"):
            assert cell[name] == pytest.approx(float(truth[name]), rel=1e-13)
    laws = fit_laws(widths)
    assert [law["law"] for law in result["laws"]] == list(laws["law"])
    for law, constant in zip(result["laws"], laws["constant"], strict=True):
        assert law["constant"] == pytest.approx(constant, rel=1e-13)


@pytest.mark.slow
def test_a_transition_beyond_the_widths_has_an_open_bracket(widthlaw, beyond) -> None:
    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is no JSON")

    result = json.loads(widthlaw("fit", *beyond, "--json").stdout, parse_constant=refuse)
    cells = [cell for fit in result for cell in fit["critical_widths"]]
    assert [cell["outcome"] for cell in cells] == ["censored"] * 2
    assert [cell["k50"] for cell in cells] == [None] * 2
    assert [(c["bracket_low"], c["bracket_high"]) for c in cells] == [(2, "inf"), (0, 200)]
    rows = list(csv.DictReader(io.StringIO(widthlaw("fit", *beyond, "--csv").stdout)))
    assert [(r["bracket_low"], r["bracket_high"]) for r in rows] == [("2.0", "inf"), ("0.0", "200.0")]
    shown = widthlaw("fit", *beyond).stdout
    assert re.search(r"censored +NaN +2-inf ", shown)
    assert re.search(r"censored +NaN +0-200 ", shown)
    assert "got 0 critical widths fitted" in shown


def test_text_has_each_interval_beside_its_value(complete) -> None:
    rows = csv.DictReader(io.StringIO(fit(complete, "--csv").stdout))
    lines = fit(complete).stdout.split("\n\n")[1].splitlines()[1:]
    for row, line in zip(rows, lines, strict=True):
        value, low, high = (float(row[f"k50{end}"]) for end in ("", "_low", "_high"))
        bracket = "-".join(f"{float(row[f'bracket_{end}']):g}" for end in ("low", "high"))
        assert f" {value:.4g} [{low:.4g}, {high:.4g}] " in line
        assert f" {bracket} " in line


def test_one_critical_width_is_singular(widthlaw, make_sweep, tmp_path) -> None:
    pipeline.run(make_sweep(n="[8]", d="[4]", seeds=20), tmp_path / "one.zarr")
    assert "got 1 critical width fitted or" in widthlaw("fit", tmp_path / "one.zarr").stdout


def test_a_fit_explains_its_columns(widthlaw) -> None:
    result = widthlaw("fit", "--help").stdout
    for name in ("outcome", "k50", "bracket_high", "k_crossing", "k_edge", "k_edge_finite"):
        assert re.search(rf"^  {name} ", result, re.MULTILINE)


def test_a_store_without_success_is_refused_with_a_remedy(widthlaw, make_sweep, tmp_path) -> None:
    keys = {"n": "[5]", "d": "[6]", "seeds": 1, "width": "{ k = [20] }"}
    path = tmp_path / "theorem1.zarr"
    pipeline.run(make_sweep(experiment="'theorem1'", descent="{ steps = 10 }", **keys), path)
    result = widthlaw("fit", path)
    assert result.returncode == 2
    assert result.stderr == (
        f"widthlaw: fit {path}: a store of theorem1 has no success that a critical width could be "
        f"fitted to; define one with --success, or draw its content with `widthlaw plot {path}`\n"
    )


def test_a_threshold_is_passed_on_to_the_fit(widthlaw, complete) -> None:
    result = json.loads(widthlaw("fit", complete, "--json", "--threshold", 0.3).stdout)
    widths = critical_widths(open_store(complete), 0.3).squeeze("d")
    found = [cell["k_edge_finite"] for cell in result["critical_widths"]]
    np.testing.assert_allclose(found, widths.k_edge_finite, rtol=1e-13)


def test_a_fit_as_csv_has_a_row_for_every_cell(widthlaw, complete) -> None:
    rows = list(csv.DictReader(io.StringIO(widthlaw("fit", complete, "--csv").stdout)))
    assert [row["n"] for row in rows] == ["8", "12", "16"]
    truth = critical_widths(open_store(complete)).squeeze("d").k50
    np.testing.assert_allclose([float(row["k50"]) for row in rows], truth, rtol=1e-13)


@pytest.mark.parametrize(
    ("activation", "angle", "told"),
    [
        (
            "linear",
            0.5,
            "alpha is exactly 0 in 3 of 3 draws of angle=0.5 d=3 n=8, because in draw 0 "
            "linear features of rows of rank 3 span at most 3 dimensions",
        ),
        (
            "relu",
            1e-300,
            "alpha is exactly 0 in 3 of 3 draws of angle=1e-300 d=3 n=8, because in draw 0 "
            "rows coincide once they are scaled (4 of 8 repeat another); leave such rows out",
        ),
        (
            "erf",
            1e-14,
            "alpha is lost to rounding in 3 of 3 draws of angle=1e-14 d=3 n=8, because in draw 0",
        ),
    ],
)
def test_the_cause_of_degenerate_cells_is_told(make_sweep, tmp_path, activation, angle, told) -> None:
    path, data = tmp_path / "a.zarr", f"{{ kind = 'pairs', angle = [{angle}] }}"
    keys = {"activation": f"'{activation}'", "d": "[3]", "n": "[8]", "seeds": 3}
    pipeline.run(make_sweep(dataset=data, **keys), path)
    result = fit(path)
    assert result.exit_code == 0
    assert told in result.stderr
    assert "degenerate" in result.stdout


def test_exponents_at_infinite_budget_need_the_option_that_they_belong_to(complete) -> None:
    result = fit(complete, "--joint")
    assert result.exit_code == 2
    assert "add --infinite-budget" in result.stderr


@pytest.mark.parametrize(
    "option", ["--lapse", "--lapse-each", "--along n", "--link probit", "--interval profile"]
)
def test_options_of_critical_widths_are_refused_at_infinite_budget(complete, option) -> None:
    result = fit(complete, "--infinite-budget", *option.split())
    assert result.exit_code == 2
    assert f"remove {option.split()[0].removesuffix('-each')}" in result.stderr
