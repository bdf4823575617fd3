"""Variables of 0 and 1 are conditions by themselves, as the trials that returned them meant."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from click.testing import CliRunner

import analysis
import pipeline
from analysis.live.view import View
from analysis.success import Success
from analysis.success.rules import resolved, rule_for
from analysis.transitions.scales import Along
from jobs.cli import main
from pipeline.errors import ParameterError

CODE = """
from pipeline import experiment, variable

@experiment(
    ok=variable("whether it is found"),
    err=variable("error"),
    each=variable("whether it is found at a level", dims=("level",), coords={"level": [1, 2]}),
)
def flags(trial):
    ok = trial.k > 2 and trial.seed != 3
    missing = trial.k == 2 and trial.seed == 0
    return {"ok": float("nan") if missing else ok, "err": trial.k / 2, "each": [ok, True]}
"""

SWEEP = """
name = "flags"
experiment = "flags.py:flags"
width = [1, 2, 3, 4]
seeds = 5
[parameters]
tol = 1e-6
"""


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("flags")
    (folder / "flags.py").write_text(CODE)
    (folder / "flags.toml").write_text(SWEEP)
    pipeline.run(pipeline.load_sweep(folder / "flags.toml"), folder / "flags.zarr")
    return folder / "flags.zarr"


@pytest.fixture(scope="module")
def flags(path: Path) -> xr.Dataset:
    return analysis.open_store(path)


@pytest.mark.parametrize(
    ("short", "long"),
    [
        ("ok", "ok == 1"),
        ("not ok", "not ok == 1"),
        ("ok and err < 2", "ok == 1 and err < 2"),
        ("err < 1 or not (ok and err < 2)", "err < 1 or not (ok == 1 and err < 2)"),
        ("each[2]", "each[2] == 1"),
    ],
)
def test_a_flag_stands_for_its_comparison_with_1(flags: xr.Dataset, short: str, long: str) -> None:
    one, other = (rule_for(flags, Success(condition=text)) for text in (short, long))
    assert one.words == other.words == long
    assert one.succeeds(flags).equals(other.succeeds(flags))


def test_a_missing_flag_is_neither_success_nor_its_opposite(flags: xr.Dataset) -> None:
    for text in ("ok", "not ok"):
        met = rule_for(flags, Success(condition=text)).succeeds(flags).squeeze(drop=True)
        assert not met.sel(width=2, seed=0)
    assert rule_for(flags, Success(condition="not ok")).succeeds(flags).squeeze().sel(width=2, seed=1)


@pytest.mark.parametrize("text", ["err", "k", "seed"])
def test_other_values_are_still_no_conditions(flags: xr.Dataset, text: str) -> None:
    with pytest.raises(ParameterError, match="is a value and not a condition"):
        rule_for(flags, Success(condition=text))


def test_a_variable_of_which_no_value_is_known_is_no_flag(flags: xr.Dataset) -> None:
    unknown = flags.assign(ok=flags.ok * np.nan)
    with pytest.raises(ParameterError, match="is a value and not a condition"):
        rule_for(unknown, Success(condition="ok"))


def test_before_any_trial_has_run_a_variable_may_be_a_flag(flags: xr.Dataset) -> None:
    pending = flags.assign(ok=flags.ok * np.nan, status=flags.status * 0)
    rule = rule_for(pending, Success(condition="ok"))
    assert rule.words == "ok == 1"
    assert not rule.succeeds(pending).any()


def test_a_resolved_success_says_the_same_of_a_part_without_values(flags: xr.Dataset) -> None:
    whole = resolved(flags, Success(condition="not ok"))
    assert whole == Success(condition="not ok == 1")
    part = flags.isel(width=[1], seed=[0])  # whose only value is missing
    assert not rule_for(part, whole).succeeds(part).any()
    with pytest.raises(ParameterError, match="is a value and not a condition"):
        rule_for(part, Success(condition="ok"))


def test_the_commands_take_a_flag_and_say_how_many_are_missing(path: Path) -> None:
    told = CliRunner().invoke(main, ["fit", str(path), "--success", "ok"])
    assert told.exit_code == 0, told.stderr
    assert "critical widths at ok == 1" in told.output
    assert "1 trial has NaN in what 'ok' compares, which counts as a failure" in told.output


def test_the_page_of_watch_takes_a_flag(path: Path, flags: xr.Dataset) -> None:
    view = View(path, Success(condition="ok"))
    while view.update() or view.is_behind:
        pass
    assert view.sentence == ""
    ((_, *shown),) = (row for row in view.cells)
    (cell,) = analysis.critical_widths(flags, success="ok", tables=0).k50.values.ravel()
    assert any(f"{cell:.2f}" in text for text in shown)


def test_k_is_another_name_of_the_width(flags: xr.Dataset) -> None:
    by_k, by_width = (
        analysis.critical_widths(flags, success=Success(condition="ok"), along=axis)
        for axis in ("k", "width")
    )
    assert by_k.identical(by_width)
    assert Along("k").is_width


def test_a_constant_is_refused_as_one_with_its_value(flags: xr.Dataset) -> None:
    with pytest.raises(ParameterError, match=r"along: tol is the constant 1e-06 of this store"):
        analysis.critical_widths(flags, success=Success(condition="ok"), along="tol")
