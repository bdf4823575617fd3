"""What the commands say of stores that are half filled or hold failures, and what scripts read."""

from __future__ import annotations

import csv
import io
import json
import re

import numpy as np
import pytest

import pipeline
from analysis import critical_widths, fit_laws, open_store
from pipeline import store
from pipeline.blocks import compute_block

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
    for block in list(store.todo(path, sweep))[::2]:
        store.write(path, sweep, block, compute_block(sweep, block))
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
    assert told.returncode == 0
    rows = list(csv.DictReader(io.StringIO(told.stdout)))
    assert len(rows) == 150
    assert {row["status"] for row in rows} == {"pending"}


# ---- stores with failures


def test_a_run_with_failed_trials_exits_with_one_and_counts_them(failed) -> None:
    ran, path = failed
    found = store.counts(path)
    assert found["failed"] > 0 < found["done"]
    assert ran.returncode == 1
    assert f"{found['done']} trials done, {found['failed']} failed" in ran.stderr
    assert "not finite" in ran.stderr
    assert "lists them" in ran.stderr
    assert store.messages(path)[0][1] == found["failed"]
    assert "Traceback" not in ran.stderr


def test_failed_trials_are_not_pending(widthlaw, failed) -> None:
    told = widthlaw("status", failed[1], "--json")
    assert told.returncode == 0
    (record,) = json.loads(told.stdout)
    assert record["failed"] == store.counts(failed[1])["failed"]
    assert (record["trials"], record["pending"]) == (40, 0)


def test_failed_trials_are_listed_with_their_message(widthlaw, failed) -> None:
    listed = json.loads(widthlaw("query", failed[1], "status == 'failed'", "--json").stdout)
    assert len(listed) == store.counts(failed[1])["failed"]
    assert all("not finite" in row["message"] for row in listed)
    assert all(row["sigma_min"] is None for row in listed)


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
