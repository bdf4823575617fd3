"""`widthlaw status`: trials by status, and the exit status."""

from __future__ import annotations

import json
import re
import shutil

from click.testing import CliRunner

from jobs.cli import main
from pipeline import store


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


def test_a_store_without_a_run_has_no_column_for_it(complete) -> None:
    head = CliRunner().invoke(main, ["status", str(complete)]).stdout.splitlines()[0]
    assert head.endswith("core-seconds left")
