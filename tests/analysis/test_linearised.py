"""Stores of tangent answer by their default success, and trial by trial beside a store of descent."""

from __future__ import annotations

import re
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import analysis
import pipeline
from analysis.success import Success
from analysis.success.rules import rule_for
from pipeline.errors import ParameterError
from pipeline.sweep_files.extents import with_extents
from pipeline.sweep_files.load import parse_sweep

ROOT = Path(str(files("pipeline"))).parent

SWEEP = """
name = "linearised"
experiment = "tangent"
entropy = 7
dataset = { kind = "sphere" }
trained = ["input", "output", "both"]
d = [10]
n = [40]
width = { kd_per_n = [1.5, 3.0, 4.0, 6.0, 9.0, 15.0, 30.0, 50.0] }
seeds = 12
"""


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> xr.Dataset:
    path = tmp_path_factory.mktemp("linearised") / "tangent.zarr"
    pipeline.run(parse_sweep(SWEEP), path)
    return analysis.open_store(path)


def test_half_of_the_population_value_is_success(store: xr.Dataset) -> None:
    plain = analysis.critical_widths(store)
    said = analysis.critical_widths(store, success="ntk_min >= 0.5 * ntk_population")
    assert plain.attrs["rule"] == "ntk_min >= 0.5 ntk_population"
    np.testing.assert_array_equal(plain.k50, said.k50)
    assert rule_for(store).attrs["threshold"] == 0.5


def test_the_critical_width_is_near_that_of_the_edge(store: xr.Dataset) -> None:
    widths = analysis.critical_widths(store).squeeze()
    assert set(widths.outcome.values) <= {"fitted", "separated"}
    np.testing.assert_allclose(widths.k_edge / widths.k50, 1, atol=0.3)
    assert float(widths.k_edge.sel(trained="input")) * 4 < float(widths.k_edge.sel(trained="output"))


def test_the_width_of_the_edge_is_read_from_the_stored_edges(store: xr.Dataset) -> None:
    share = (store.ntk_edge / store.ntk_population).sel(trained="input").squeeze().load()
    found = [
        np.exp(np.interp(0.3, share.sel(seed=seed), np.log(store.k.squeeze()))) for seed in store.seed
    ]
    widths = analysis.critical_widths(store, threshold=0.3).squeeze()
    assert float(widths.k_edge.sel(trained="input")) == pytest.approx(np.median(found), rel=1e-12)


def test_an_edge_that_does_not_pass_on_the_grid_has_no_width(store: xr.Dataset) -> None:
    narrow = store.isel(width=slice(3))
    assert np.isnan(analysis.critical_widths(narrow).k_edge.sel(trained="output")).all()


def test_where_the_kernel_stops_being_singular_can_be_fitted(store: xr.Dataset) -> None:
    """With v trained that is k = n, whatever d is."""
    widths = analysis.critical_widths(store, success="ntk_min > 0").squeeze().sel(trained="output")
    assert float(widths.bracket_low) < 40 <= float(widths.bracket_high)
    assert "k_edge" not in analysis.critical_widths(store, success="ntk_min > 0")


def test_a_smaller_share_takes_a_smaller_width(store: xr.Dataset) -> None:
    low, high = (
        analysis.critical_widths(store, threshold=share).k50.sel(trained="input").item()
        for share in (0.3, 0.6)
    )
    assert low < high


@pytest.mark.parametrize("share", [0.0, 1.0, -2.0])
def test_a_share_outside_0_and_1_is_refused(store: xr.Dataset, share: float) -> None:
    with pytest.raises(ParameterError, match="expected between 0 and 1"):
        rule_for(store, Success(threshold=share))


def test_a_budget_is_refused(store: xr.Dataset) -> None:
    with pytest.raises(ParameterError, match="a store of tangent does not use steps_to_tolerance"):
        rule_for(store, Success(budgets=(10,)))


def test_a_population_value_of_0_is_no_success_and_no_failure(store: xr.Dataset) -> None:
    ds = store.load().copy()
    ds["ntk_population"] = ds.ntk_population.where(ds.trained != "output", 0.0)
    for success in (None, "ntk_min >= 0.2 * ntk_population"):
        widths = analysis.critical_widths(ds, success=success).squeeze()
        assert widths.outcome.sel(trained="output") == "degenerate"
        assert np.isnan(widths.k50.sel(trained="output"))
        assert widths.trials.sel(trained="output") == 0
        assert widths.outcome.sel(trained="input") != "degenerate"


def test_the_table_of_the_readme_counts_the_same_networks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The lines of README run as they are, on a part of the two bundled sweeps that they name."""
    for name in ("input-layer", "tangent"):
        sweep = with_extents(pipeline.load_sweep(name), d=[15], n=[300], seeds=range(3))
        short = sweep.descent and replace(sweep.descent, steps=50)
        pipeline.run(replace(sweep, descent=short), tmp_path / f"{name}.zarr")
    (code,) = re.findall(r"```python\n([^`]*pd\.crosstab[^`]*)```", (ROOT / "README.md").read_text())
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    exec(code, names)
    trials = names["trials"]
    assert len(trials) == 27  # type: ignore[arg-type]
    assert "regular" in capsys.readouterr().out
    descent, tangent = names["descent"], names["tangent"]
    np.testing.assert_array_equal(descent.k, tangent.k)  # type: ignore[attr-defined]
    np.testing.assert_allclose(
        descent.ntk_min,  # type: ignore[attr-defined]
        tangent.ntk_min,  # type: ignore[attr-defined]
        rtol=1e-6,
        atol=1e-12,
    )
