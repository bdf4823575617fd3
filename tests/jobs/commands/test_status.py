"""`widthlaw status`: trials by status, and the exit status."""

from __future__ import annotations

import json
import re
import shutil

import numpy as np
import xarray as xr
from click.testing import CliRunner

import pipeline
from jobs.cli import main
from pipeline import store
from pipeline.store.location import locate
from pipeline.store.names import LEASE


def test_status_of_a_half_filled_store_counts_and_exits_with_three(widthlaw, half) -> None:
    result = widthlaw("status", half, "--json")
    assert result.returncode == 3
    (record,) = json.loads(result.stdout)
    assert record["trials"] == 3 * 20 * 5
    assert record["done"] == record["pending"] == 150
    assert record["failed"] == 0
    assert record["core-seconds left"] >= 0
    assert re.search(r"\b150\b.*\b150\b", widthlaw("status", half).stdout)


def test_failed_trials_are_not_pending(widthlaw, failed) -> None:
    result = widthlaw("status", failed[1], "--json")
    (record,) = json.loads(result.stdout)
    assert record["failed"] == store.Store(failed[1]).counts()["failed"]
    assert (record["trials"], record["pending"]) == (40, 0)


def test_a_run_that_was_killed_is_not_in_progress(widthlaw, half, tmp_path) -> None:
    path = shutil.copytree(half, tmp_path / "killed.zarr")
    with store.lease.hold(locate(path)):
        left = (path / LEASE).read_bytes()
        running = widthlaw("status", path)
    assert "another run is filling it: process" in running.stdout
    assert "a run is in progress" in running.stderr
    dead = json.loads(left) | {"started": 1.0}  # as of a process of the same number before this one
    (path / LEASE).write_text(json.dumps(dead))
    killed = widthlaw("status", path)
    assert "a run that was filling it is gone: process" in killed.stdout
    assert f"`widthlaw run {path}` resumes" in killed.stderr
    assert killed.returncode == 3


def test_stores_are_rows_of_one_table(widthlaw, half, failed, complete) -> None:
    result = widthlaw("status", complete, half, failed[1], "--json")
    assert result.returncode == 3
    records = json.loads(result.stdout)
    assert [record["store"] for record in records] == [str(complete), str(half), str(failed[1])]
    assert records[1] == json.loads(widthlaw("status", half, "--json").stdout)[0]
    assert widthlaw("status", complete).returncode == 0
    missing = widthlaw("status", complete, complete.parent / "none.zarr")
    assert (missing.returncode, missing.stdout) == (2, "")


def test_what_only_some_stores_have_is_zero_for_the_others(complete, tmp_path) -> None:
    damaged = tmp_path / "damaged.zarr"
    shutil.copytree(complete, damaged)
    next(file for file in (damaged / "sigma_min" / "c").rglob("*") if file.is_file()).unlink()
    result = CliRunner().invoke(main, ["status", str(complete), str(damaged), "--json"])
    assert result.exit_code == 1
    first, second = json.loads(result.stdout)
    assert list(first) == list(second)
    assert (first["damaged"], second["damaged"] > 0) == (0, True)


def descended(make_sweep, tmp_path):
    """Fill a store whose narrow networks do not arrive at 0.03 in their steps."""
    path = tmp_path / "descended.zarr"
    descent = "{ steps = 2000, tolerances = [0.03, 0.5] }"
    width = "{ kd_per_n = [0.6, 4.0] }"
    pipeline.run(
        make_sweep(experiment="'input'", d="[4]", n="[20]", width=width, descent=descent), path
    )
    return path


def test_trials_that_did_not_arrive_in_their_steps_are_censored(make_sweep, tmp_path) -> None:
    path = descended(make_sweep, tmp_path)
    finest = xr.open_zarr(path).steps_to_tolerance.sel({"tolerance": 0.03})
    (record,) = json.loads(CliRunner().invoke(main, ["status", str(path), "--json"]).stdout)
    assert record["censored"] == np.isinf(finest).sum()
    assert 0 < record["censored"] < record["done"] == record["trials"]


def test_a_store_that_did_not_descend_has_no_censored_trials(complete) -> None:
    (record,) = json.loads(CliRunner().invoke(main, ["status", str(complete), "--json"]).stdout)
    assert "censored" not in record


def test_statuses_are_told_though_steps_cannot_be_read(make_sweep, tmp_path) -> None:
    path = descended(make_sweep, tmp_path)
    for chunk in (path / "steps_to_tolerance" / "c").rglob("*"):
        if chunk.is_file():
            chunk.write_bytes(chunk.read_bytes()[:-3])
    (record,) = json.loads(CliRunner().invoke(main, ["status", str(path), "--json"]).stdout)
    assert record["done"] == record["trials"]
    assert "censored" not in record


def test_a_store_without_a_run_has_no_column_for_it(complete) -> None:
    head = CliRunner().invoke(main, ["status", str(complete)]).stdout.splitlines()[0]
    assert head.endswith("core-seconds left")
