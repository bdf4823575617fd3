"""What the commands say of stores that are half filled or hold failures, and what scripts read."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
import subprocess

import numpy as np
import pytest
import zarr
from click.testing import CliRunner

import pipeline
from analysis import critical_widths, fit_laws, open_store
from jobs.cli import main
from pipeline import store
from pipeline.execution.compute import compute_block
from pipeline.trial_status import Status

KEYS = {"n": "[8, 12, 16]", "d": "[4]", "seeds": 20, "width": "{ k_per_n = [1.2, 1.5, 2.0, 3.0, 5.0] }"}


@pytest.fixture(scope="module")
def filled(tmp_path_factory, make_sweep):
    path = tmp_path_factory.mktemp("answers") / "filled.zarr"
    pipeline.run(make_sweep(**KEYS), path)
    return path


@pytest.fixture(scope="module")
def half(tmp_path_factory, make_sweep):
    """A store of which every other block is done."""
    sweep, path = make_sweep(**KEYS), tmp_path_factory.mktemp("answers") / "half.zarr"
    store.create(path, sweep, seeds_per_chunk=5)
    for block in list(store.Store(path, sweep).pending_blocks())[::2]:
        store.Store(path, sweep).write(block, compute_block(sweep, block))
    return path


@pytest.fixture(scope="module")
def failed(tmp_path_factory, widthlaw):
    """A run whose trials fail where they draw the first of eight rows, and its store."""
    folder = tmp_path_factory.mktemp("answers")
    rows = np.random.default_rng(0).standard_normal((8, 3))
    rows[0] *= 1e200  # overflows in phi(z) = z^2
    np.save(folder / "rows.npy", rows)
    (folder / "failing.toml").write_text(
        'name = "failing"\nexperiment = "spectrum"\nactivation = "square"\nn = 4\nseeds = 20\n'
        'dataset = { kind = "file", path = "rows.npy" }\nwidth = [4, 8]\n'
    )
    path = folder / "failing.zarr"
    return widthlaw("run", folder / "failing.toml", "-o", path, "--workers", 1), path


# ---- stores that are half filled


def test_status_of_a_half_filled_store_counts_and_exits_with_three(widthlaw, half) -> None:
    told = widthlaw("status", half, "--json")
    assert told.returncode == 3
    (record,) = json.loads(told.stdout)
    assert record["trials"] == 3 * 20 * 5
    assert record["done"] == record["pending"] == 150
    assert record["failed"] == 0
    assert record["core-seconds left"] >= 0
    assert re.search(r"\b150\b.*\b150\b", widthlaw("status", half).stdout)


def test_a_fit_of_a_half_filled_store_uses_what_is_there_and_exits_with_three(widthlaw, half) -> None:
    told = widthlaw("fit", half, "--json")
    assert told.returncode == 3
    assert "150 trials pending" in told.stderr
    cells = json.loads(told.stdout)["critical_widths"]
    assert [(cell["seeds"], cell["pending"]) for cell in cells] == [(10, 50)] * 3


def test_pending_trials_can_be_listed(widthlaw, half) -> None:
    told = widthlaw("query", half, "status == 'pending'", "--csv", "--columns", "status")
    assert told.returncode == 3
    assert told.stderr == f"{half}: 150 trials pending; the list has what is there\n"
    rows = list(csv.DictReader(io.StringIO(told.stdout)))
    assert len(rows) == 150
    assert {row["status"] for row in rows} == {"pending"}


def test_figures_of_a_half_filled_store_are_drawn_and_exit_with_three(widthlaw, half, tmp_path) -> None:
    told = widthlaw("plot", half, "--kind", "phase", "-o", tmp_path)
    assert told.returncode == 3
    assert told.stderr == f"{half}: 150 trials pending; the figures show what is there\n"
    assert told.stdout.split() == [f"{tmp_path}/half-phase.png", f"{tmp_path}/half-phase.svg"]


def test_a_store_that_has_not_begun_has_no_figure_yet(widthlaw, make_sweep, tmp_path) -> None:
    path = tmp_path / "new.zarr"
    store.create(path, make_sweep())
    told = widthlaw("plot", path)
    assert told.returncode == 3
    assert told.stderr == f"{path}: 96 trials pending; no figure before some are done\n"
    assert told.stdout == ""


# ---- stores with failures


def test_a_run_with_failed_trials_exits_with_one_and_counts_them(failed) -> None:
    ran, path = failed
    found = store.Store(path).counts()
    assert found["failed"] > 0 < found["done"]
    assert ran.returncode == 1
    assert f"{found['done']} trials done, {found['failed']} failed" in ran.stderr
    assert "not finite" in ran.stderr
    assert "lists them" in ran.stderr
    assert store.Store(path).messages()[0][1] == found["failed"]
    assert "Traceback" not in ran.stderr


def test_failed_trials_are_not_pending(widthlaw, failed) -> None:
    told = widthlaw("status", failed[1], "--json")
    (record,) = json.loads(told.stdout)
    assert record["failed"] == store.Store(failed[1]).counts()["failed"]
    assert (record["trials"], record["pending"]) == (40, 0)


@pytest.mark.parametrize("verb", ["status", "fit"])
def test_failed_trials_are_a_failure_that_says_why(widthlaw, failed, verb) -> None:
    path = failed[1]
    told = widthlaw(verb, path)
    assert told.returncode == 1
    assert (
        f"{path}: {store.Store(path).counts()['failed']} trials failed; `widthlaw query" in told.stderr
    )
    assert "not finite" in told.stderr
    assert told.stdout


def test_a_figure_without_the_failed_trials_is_drawn_and_exits_with_one(
    widthlaw, filled, tmp_path
) -> None:
    path = tmp_path / "failures.zarr"
    shutil.copytree(filled, path)
    status = zarr.open_array(path / "status")
    status[..., :2] = Status.FAILED  # as where two seeds had met an error
    told = widthlaw("plot", path, "--kind", "phase")
    assert told.returncode == 1
    assert (
        f"{path}: {store.Store(path).counts()['failed']} trials failed; `widthlaw query" in told.stderr
    )
    assert len(told.stdout.split()) == 2


def test_to_list_failed_trials_is_no_failure(widthlaw, failed) -> None:
    told = widthlaw("query", failed[1], "status == 'failed'", "--json")
    assert told.returncode == 0
    assert told.stderr == f"{failed[1]}: {store.Store(failed[1]).counts()['failed']} trials failed\n"
    listed = json.loads(told.stdout)
    assert len(listed) == store.Store(failed[1]).counts()["failed"]
    assert all("not finite" in row["message"] for row in listed)
    assert all(row["sigma_min"] is None for row in listed)


SQUARES = {"experiment": "'spectrum'", "activation": "'square'", "d": "[3]", "n": "[4]"}


@pytest.fixture(scope="module")
def all_failed(tmp_path_factory, make_sweep):
    """A store without a single outcome, and without a pending trial."""
    folder = tmp_path_factory.mktemp("answers")
    np.save(folder / "rows.npy", np.full((8, 3), 1e200))
    path = folder / "all-failed.zarr"
    keys = {"dataset": '{ kind = "file", path = "rows.npy" }', **SQUARES}
    pipeline.run(make_sweep(folder, **keys), path)
    return path


@pytest.mark.parametrize("verb", ["fit", "plot"])
def test_where_all_trials_failed_that_is_the_answer(widthlaw, all_failed, verb) -> None:
    told = widthlaw(verb, all_failed)
    assert told.returncode == 1
    assert f"{all_failed}: 24 trials failed" in told.stderr
    assert "24 x " in told.stderr
    assert "Traceback" not in told.stderr


def test_pending_trials_weigh_more_than_failed_ones(widthlaw, make_sweep, all_failed, tmp_path) -> None:
    keys = {"dataset": '{ kind = "file", path = "rows.npy" }', "seeds": 12, **SQUARES}
    sweep = make_sweep(all_failed.parent, **keys)
    path = tmp_path / "both.zarr"
    store.create(path, sweep, seeds_per_chunk=4)
    block = next(iter(store.Store(path, sweep).pending_blocks()))
    store.Store(path, sweep).write(block, compute_block(sweep, block))
    for verb in ("status", "fit", "query", "plot"):
        told = widthlaw(verb, path)
        assert told.returncode == 3
        assert "24 trials pending" in told.stderr
        assert "12 trials failed" in told.stderr


# ---- several stores


def fit(*line: object):
    return CliRunner().invoke(main, ["fit", *map(str, line)])


@pytest.fixture(scope="module")
def tanh(tmp_path_factory, make_sweep):
    path = tmp_path_factory.mktemp("answers") / "tanh.zarr"
    pipeline.run(make_sweep(**KEYS | {"activation": "'tanh'", "n": "[8, 12]"}), path)
    return path


def test_stores_are_fitted_into_one_table_of_cells_and_one_of_laws(filled, tanh) -> None:
    told = fit(filled, tanh)
    assert told.exit_code == 0
    heads, cells, laws = (part.splitlines() for part in _parted(told.stdout))
    assert [line.split(":")[0] for line in heads] == ["filled", "tanh"]
    assert cells[0].split()[:5] == ["store", "activation", "d", "n", "outcome"]
    assert [line.split()[:4] for line in cells[1:]] == [
        *(["filled", "relu", "4", n] for n in ("8", "12", "16")),
        *(["tanh", "tanh", "4", n] for n in ("8", "12")),
    ]
    assert laws[0].split()[:2] == ["store", "formula"]
    assert {line.split()[0] for line in laws[1:-2]} == {"filled"}
    assert laws[-2].startswith("filled: 3 points")
    assert laws[-1].startswith("tanh: got ")


def _parted(text: str) -> tuple[str, str, str]:
    """The lines that say what success is, the table of cells, and the laws."""
    above, laws = text.split("\n\nlaws, by AICc\n")
    lines = above.splitlines()
    heads = [line for line in lines if ": critical widths at " in line]
    return "\n".join(heads), "\n".join(lines[len(heads) :]), laws


def test_stores_as_csv_are_one_table_and_as_json_a_list(filled, tanh) -> None:
    rows = list(csv.DictReader(io.StringIO(fit(filled, tanh, "--csv").stdout)))
    assert [(row["store"], row["activation"], row["n"]) for row in rows] == [
        *((str(filled), "relu", n) for n in ("8", "12", "16")),
        *((str(tanh), "tanh", n) for n in ("8", "12")),
    ]
    told = json.loads(fit(filled, tanh, "--json").stdout)
    assert [one["store"] for one in told] == [str(filled), str(tanh)]
    assert told[0] == json.loads(fit(filled, "--json").stdout)
    cells = [cell for one in told for cell in one["critical_widths"]]
    assert [float(row["k50"]) for row in rows] == [cell["k50"] for cell in cells]


def test_a_half_filled_store_among_others_is_fitted_and_exits_with_three(filled, half) -> None:
    told = fit(filled, half, "--csv")
    assert told.exit_code == 3
    assert told.stderr == f"{half}: 150 trials pending; the fit uses what is there\n"
    assert len(told.stdout.splitlines()) == 1 + 3 + 3


def test_a_store_that_cannot_be_fitted_is_refused_before_anything_is_printed(
    filled, make_sweep, tmp_path
) -> None:
    keys = {"n": "[5]", "d": "[6]", "seeds": 1, "width": "{ k = [20] }"}
    other = tmp_path / "other.zarr"
    store.create(other, make_sweep(experiment="'theorem1'", descent="{ steps = 10 }", **keys))
    told = fit(filled, other)
    assert (told.exit_code, told.stdout) == (2, "")
    assert told.stderr.startswith(f"widthlaw: fit {other}: a store of theorem1 has no success")
    again = fit(filled, filled)
    assert (again.exit_code, again.stdout) == (2, "")
    assert "filled.zarr is given 2 times; give it once" in again.stderr


def test_a_fit_without_an_outcome_says_so(all_failed, filled) -> None:
    told = fit(all_failed)
    assert told.exit_code == 1
    assert "no critical width: no trial came to an outcome" in told.stdout
    assert "all-failed: no critical width" in fit(filled, all_failed).stdout
    assert json.loads(fit(all_failed, "--json").stdout)["critical_widths"] == []
    assert len(fit(all_failed, "--csv").stdout.splitlines()) == 1


# ---- what scripts read


def test_a_fit_as_json_is_that_of_the_analysis(widthlaw, filled) -> None:
    told = json.loads(widthlaw("fit", filled, "--json").stdout)
    widths = critical_widths(open_store(filled))
    assert [cell["n"] for cell in told["critical_widths"]] == [8, 12, 16]
    for cell in told["critical_widths"]:
        truth = widths.sel(n=cell["n"], d=cell["d"])
        assert cell["outcome"] == truth.outcome
        for name in ("k50", "k50_low", "k50_high", "k_edge", "k_edge_finite", "alpha"):
            assert cell[name] == pytest.approx(float(truth[name]), rel=1e-13)
    laws = fit_laws(widths)
    assert [law["law"] for law in told["laws"]] == list(laws["law"])
    for law, constant in zip(told["laws"], laws["constant"], strict=True):
        assert law["constant"] == pytest.approx(constant, rel=1e-13)


@pytest.fixture(scope="module")
def beside(tmp_path_factory, make_sweep):
    """Two stores whose grids do not reach the transition: all trials fail, or all succeed."""
    folder, keys = tmp_path_factory.mktemp("beside"), {"n": "[8]", "d": "[4]", "experiment": "'output'"}
    descent = "{ steps = 2000, tolerances = [1e-1] }"
    for name, widths in (("narrow", [1, 2]), ("wide", [200, 400])):
        sweep = make_sweep(width=f"{{ k = {widths} }}", descent=descent, **keys)
        pipeline.run(sweep, folder / f"{name}.zarr")
    return folder / "narrow.zarr", folder / "wide.zarr"


def test_a_transition_beyond_the_widths_is_known_by_its_side(widthlaw, beside) -> None:
    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is no JSON")

    told = json.loads(widthlaw("fit", *beside, "--json").stdout, parse_constant=refuse)
    cells = [cell for fit in told for cell in fit["critical_widths"]]
    assert [cell["outcome"] for cell in cells] == ["censored"] * 2
    assert [cell["k50"] for cell in cells] == [None] * 2
    assert [(c["bracket_low"], c["bracket_high"]) for c in cells] == [(2, "inf"), (0, 200)]
    rows = list(csv.DictReader(io.StringIO(widthlaw("fit", *beside, "--csv").stdout)))
    assert [(r["bracket_low"], r["bracket_high"]) for r in rows] == [("2.0", "inf"), ("0.0", "200.0")]
    shown = widthlaw("fit", *beside).stdout
    assert re.search(r"censored +NaN +2-inf ", shown)
    assert re.search(r"censored +NaN +0-200 ", shown)
    assert "got 0 critical widths fitted" in shown


def test_a_table_for_the_eye_has_each_interval_beside_its_value(filled) -> None:
    rows = csv.DictReader(io.StringIO(fit(filled, "--csv").stdout))
    lines = fit(filled).stdout.splitlines()[2:5]
    for row, line in zip(rows, lines, strict=True):
        value, low, high = (float(row[f"k50{end}"]) for end in ("", "_low", "_high"))
        bracket = "-".join(f"{float(row[f'bracket_{end}']):g}" for end in ("low", "high"))
        assert f" {value:.4g} [{low:.4g}, {high:.4g}] " in line
        assert f" {bracket} " in line


def test_one_critical_width_is_singular(widthlaw, make_sweep, tmp_path) -> None:
    pipeline.run(make_sweep(**KEYS | {"n": "[8]"}), tmp_path / "one.zarr")
    assert "got 1 critical width fitted or" in widthlaw("fit", tmp_path / "one.zarr").stdout


def test_numbers_are_printed_to_their_last_digit(widthlaw, filled) -> None:
    listed = json.loads(widthlaw("query", filled, "--json", "--columns", "edge,sigma_min").stdout)
    ds = open_store(filled)
    assert [row["edge"] for row in listed] == ds.edge.values.ravel().tolist()
    rows = list(csv.DictReader(io.StringIO(widthlaw("query", filled, "--csv").stdout)))
    assert [float(row["sigma_min"]) for row in rows] == ds.sigma_min.values.ravel().tolist()
    fitted = json.loads(widthlaw("fit", filled, "--json").stdout)
    edges = [cell["k_edge"] for cell in fitted["critical_widths"]]
    assert edges == critical_widths(ds).k_edge.values.ravel().tolist()


def test_what_is_infinite_is_null_in_a_list_of_trials(widthlaw, beside) -> None:
    line = ("query", beside[0], "steps_to_tolerance[0.1] > 2000", "--columns", "steps_to_tolerance")
    listed = json.loads(widthlaw(*line, "--json").stdout)
    assert len(listed) == 16
    assert {row["steps_to_tolerance[0.1]"] for row in listed} == {None}
    assert "inf" in widthlaw(*line, "--csv").stdout


def test_lines_end_as_lines_do(command, filled) -> None:
    for line in (["sweeps"], ["status", filled], ["query", filled, "n == 8"], ["fit", filled]):
        told = subprocess.run([command, *line, "--csv"], capture_output=True, check=True)
        assert told.stdout.count(b"\n") > 1
        assert b"\r" not in told.stdout


def test_a_fit_explains_its_columns(widthlaw) -> None:
    told = widthlaw("fit", "--help").stdout
    for name in ("outcome", "k50", "bracket_high", "k_crossing", "k_edge", "k_edge_finite"):
        assert re.search(rf"^  {name} ", told, re.MULTILINE)


def test_a_store_without_success_is_pointed_to_its_figures(widthlaw, make_sweep, tmp_path) -> None:
    keys = {"n": "[5]", "d": "[6]", "seeds": 1, "width": "{ k = [20] }"}
    path = tmp_path / "theorem1.zarr"
    pipeline.run(make_sweep(experiment="'theorem1'", descent="{ steps = 10 }", **keys), path)
    told = widthlaw("fit", path)
    assert told.returncode == 2
    assert told.stderr == (
        f"widthlaw: fit {path}: a store of theorem1 has no success that a critical width could be "
        f"fitted to; define one with --success, or draw its content with `widthlaw plot {path}`\n"
    )


@pytest.mark.parametrize("verb", ["fit", "plot"])
def test_options_are_called_as_on_the_command_line(widthlaw, filled, beside, verb, tmp_path) -> None:
    more = ("-o", tmp_path) if verb == "plot" else ()
    told = widthlaw(verb, filled, "--budget", 10, *more)
    assert told.returncode == 2
    assert told.stderr.startswith(f"widthlaw: {verb} {filled}: --budget: ")
    if verb == "fit":
        told = widthlaw(verb, beside[0], "--threshold", 0.3)
        assert told.stderr.startswith(f"widthlaw: {verb} {beside[0]}: --threshold: ")


def test_a_threshold_is_passed_on_to_the_fit(widthlaw, filled) -> None:
    told = json.loads(widthlaw("fit", filled, "--json", "--threshold", 0.3).stdout)
    widths = critical_widths(open_store(filled), 0.3).squeeze("d")
    found = [cell["k_edge_finite"] for cell in told["critical_widths"]]
    np.testing.assert_allclose(found, widths.k_edge_finite, rtol=1e-13)


def test_a_fit_as_csv_has_a_row_for_every_cell(widthlaw, filled) -> None:
    rows = list(csv.DictReader(io.StringIO(widthlaw("fit", filled, "--csv").stdout)))
    assert [row["n"] for row in rows] == ["8", "12", "16"]
    truth = critical_widths(open_store(filled)).squeeze("d").k50
    np.testing.assert_allclose([float(row["k50"]) for row in rows], truth, rtol=1e-13)


def test_one_figure_becomes_the_file_that_was_named(widthlaw, filled, tmp_path) -> None:
    file = tmp_path / "figure.svg"
    told = widthlaw("plot", filled, "--kind", "phase", "--output", file, "--threshold", 0.3)
    assert told.returncode == 0, told.stderr
    assert told.stdout == f"{file}\n"
    assert "0.3 α" in file.read_text()
    assert list(tmp_path.iterdir()) == [file]


def test_an_unknown_figure_is_refused_with_those_that_suit(widthlaw, filled, tmp_path) -> None:
    told = widthlaw("plot", filled, "--kind", "phaze", "-o", tmp_path / "a.png")
    assert told.returncode == 2
    assert "expected one of phase, laws, ratios" in told.stderr
    assert not list(tmp_path.iterdir())
