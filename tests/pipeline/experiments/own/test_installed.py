"""An experiment that an installed package registers is named like a built-in one."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import xarray as xr

import pipeline
from pipeline.errors import StoreError, SweepError
from pipeline.experiments.own.installed import registered
from pipeline.store import stored_sweep
from pipeline.store.code import with_code

CODE = """
from pipeline import Trial, experiment, variable

@experiment(value=variable("a value"))
def f(trial: Trial):
    return {"value": trial.k * 10}
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Install a package that registers `ten-fold`, as pip lays it out."""
    site = tmp_path / "site"
    about = site / "ten_fold-1.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: ten-fold\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[widthlaw.experiments]\nten-fold = ten_fold_trials:f\n")
    (site / "ten_fold_trials.py").write_text(CODE)
    monkeypatch.syspath_prepend(str(site))
    registered.cache_clear()
    yield site / "ten_fold_trials.py"
    registered.cache_clear()
    sys.modules.pop("ten_fold_trials", None)


def test_a_registered_experiment_fills_a_store_and_needs_no_file(package: Path, tmp_path: Path) -> None:
    file = tmp_path / "ten.toml"
    file.write_text('name = "ten"\nexperiment = "ten-fold"\nwidth = [1, 2]\nseeds = 2\n')
    store = tmp_path / "ten.zarr"
    pipeline.run(pipeline.load_sweep(file), store)
    assert xr.open_zarr(store).value.squeeze().values.tolist() == [[10, 10], [20, 20]]
    assert with_code(store, stored_sweep(store), None).own is not None
    package.write_text(CODE.replace("10", "11"))
    sys.modules.pop("ten_fold_trials")
    with pytest.raises(StoreError, match="its trials come from other code: ten-fold had the digest"):
        with_code(store, stored_sweep(store), None)
    with pytest.raises(StoreError, match="its trials come from other code: ten-fold had the digest"):
        pipeline.run(pipeline.load_sweep(file), store)


def test_an_unknown_name_is_refused_with_all_that_are_known(package: Path, tmp_path: Path) -> None:
    file = tmp_path / "ten.toml"
    file.write_text('name = "ten"\nexperiment = "tenfold"\nwidth = [1, 2]\nseeds = 2\n')
    with pytest.raises(SweepError, match=r"got 'tenfold' \(did you mean 'ten-fold'\?\)"):
        pipeline.load_sweep(file)
