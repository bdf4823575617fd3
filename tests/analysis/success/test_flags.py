"""Variables of 0 and 1 are conditions by themselves, as the trials that returned them meant."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import analysis
import pipeline
from analysis.success import Success
from analysis.success.rules import rule_for
from analysis.transitions.scales import Along
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
def flags(tmp_path_factory: pytest.TempPathFactory) -> xr.Dataset:
    folder: Path = tmp_path_factory.mktemp("flags")
    (folder / "flags.py").write_text(CODE)
    (folder / "flags.toml").write_text(SWEEP)
    pipeline.run(pipeline.load_sweep(folder / "flags.toml"), folder / "flags.zarr")
    return analysis.open_store(folder / "flags.zarr")


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
