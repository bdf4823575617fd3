"""Published numbers stand beside those of stores of the same experiment, and of no other store."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

import pipeline
from analysis import critical_widths, load_store
from analysis.report import report_page
from analysis.report.published import Compared, Example, Published, compared
from analysis.study import Study
from analysis.success import Success
from analysis.transitions.scales import Along
from pipeline.sweep_files.extents import with_extents

from .reading import read

FILE = Path(str(files("jobs") / "examples" / "dana" / "dana.toml"))
SUCCESS = "steps_to_loss <= steps"


@pytest.fixture(scope="module")
def number() -> Published:
    return Published(
        Example(tomllib.loads(FILE.read_text())),
        "critical n",
        78,
        "a paper",
        "their sizes",
        low=77,
        high=78,
        where="d == 20 and k == 30",
        along="n",
        success=SUCCESS,
    )


@pytest.fixture(scope="module")
def ds(tmp_path_factory):
    sweep = with_extents(pipeline.load_sweep(FILE), n=[50, 70, 90, 120], seeds=range(10))
    path = tmp_path_factory.mktemp("published") / "dana.zarr"
    pipeline.run(sweep, path)
    return load_store(path)


def test_our_number_is_the_critical_value_of_fit(number, ds) -> None:
    (row,) = compared([number], ds)
    fitted = critical_widths(ds, success=Success(condition=SUCCESS), along=Along("n")).squeeze()
    assert (row.value, row.low, row.high) == (fitted.n50, fitted.n50_low, fitted.n50_high)
    assert 50 < row.value < 120
    assert number.text == "78 (77 to 78)"
    assert float(row.ratio.split()[0]) == pytest.approx(row.value / 78, rel=5e-3)


def test_another_name_setting_or_code_is_another_experiment(number, ds) -> None:
    text = FILE.read_text()
    longer = text.replace("1.5 * sqrt", "6 * sqrt")
    assert longer != text
    for attrs in (
        {"name": "mine"},
        {"sweep": longer},
        {"sweep": "no [TOML"},
        {"own": {"digest": "abc"}},
    ):
        assert compared([number], ds.assign_attrs(attrs)) == []
    others = text.replace("seeds = 100", "seeds = 7").replace("entropy = 2025", "entropy = 1")
    assert len(compared([number], ds.assign_attrs(sweep=others))) == 1


def test_code_of_ones_own_counts_by_its_digest_or_as_accepted(number, ds) -> None:
    own = replace(number, example=replace(number.example, digest="abc"))
    assert compared([own], ds) == []
    assert len(compared([own], ds.assign_attrs(own={"digest": "abc"}))) == 1
    before = {"own": {"digest": "old"}, "provenance": {"accepted_code": [{"digest": "abc"}]}}
    assert len(compared([own], ds.assign_attrs(before))) == 1


def test_a_number_of_sizes_that_a_store_has_not_is_left_out(number, ds) -> None:
    assert compared([replace(number, where="d == 21")], ds) == []


def test_a_mean_has_the_interval_of_the_means_of_its_seeds(number, ds) -> None:
    (row,) = compared([replace(number, column="loss_final / loss_initial")], ds)
    of_seed = (ds.loss_final / ds.loss_initial).mean(["n"]).squeeze().values
    assert row.value == pytest.approx(of_seed.mean())
    reach = 2.262157 * of_seed.std(ddof=1) / np.sqrt(10)  # of Student's t with 9 degrees of freedom
    assert (row.low, row.high) == pytest.approx((row.value - reach, row.value + reach), rel=1e-6)
    (least,) = compared([replace(number, column="steps", statistic="min")], ds)
    assert least.value == ds.steps.min()
    assert "[" not in least.text  # of one trial


def test_the_ratio_of_a_negative_number_has_its_ends_in_order(number) -> None:
    row = Compared(replace(number, value=-1), -0.5, -0.6, -0.4)
    assert row.ratio == "0.500 [0.400, 0.600]"
    assert replace(number, value=0.4, bound=True, low=np.nan).text == "≥ 0.4"


@pytest.mark.slow
def test_the_page_has_the_table_only_if_a_store_has_a_row(number, ds, page) -> None:
    with_row = read(report_page({"dana.zarr": Study(ds)}, [number]))
    (table,) = with_row.all("table", class_="claims published")
    (row,) = table.all("tbody")[0].all("tr")
    cells = [cell.text for cell in row.all("td")]
    (ours,) = compared([number], ds)
    assert cells[0].startswith("78 (77 to 78)")
    assert cells[1:3] == [ours.text, ours.ratio]
    assert "a paper" in row.all("th")[0].text
    without = report_page({"dana.zarr": Study(ds.assign_attrs(name="mine"))}, [number])
    assert "Published numbers" not in without
    assert "Published numbers" not in page  # which was given none
