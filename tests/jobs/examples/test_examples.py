"""The worked examples run as they are, and give the published answers."""

from __future__ import annotations

import shutil
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

import analysis
import pipeline
from analysis.success import Success
from pipeline.sweep_files.extents import with_extents

EXAMPLES = Path(str(files("jobs") / "examples"))


def test_the_first_files_are_written_and_run(widthlaw, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    told = widthlaw("new", "first")
    assert told.stdout.split() == ["first.toml", "first.py"]
    assert 'name = "first"' in Path("first.toml").read_text()
    assert len(Path("first.py").read_text().splitlines()) <= 20
    sweep = pipeline.load_sweep("first.toml")
    outcome = pipeline.run(sweep, "first.zarr")
    assert (outcome.trials, outcome.failed) == (640, 0)
    Path("first.py").write_text("# mine by now")
    for name, message in (
        ("first", "first.toml is there already; choose another name"),
        ("no/such/folder", "there is no folder no/such; make it first"),
        ("a b", "expected a name of letters, digits and _, such as mine"),
    ):
        refused = widthlaw("new", name)
        assert refused.returncode == 2
        assert message in refused.stderr
        assert len(refused.stderr.splitlines()) == 1
    assert Path("first.py").read_text() == "# mine by now"


def test_the_threshold_of_random_3_xorsat_is_the_published_one(tmp_path: Path) -> None:
    for name in ("xorsat.toml", "xorsat.py"):
        shutil.copy(EXAMPLES / name, tmp_path)
    sweep = with_extents(pipeline.load_sweep(tmp_path / "xorsat.toml"), n=[200], seeds=range(40))
    pipeline.run(sweep, tmp_path / "xorsat.zarr")
    ds = analysis.open_store(tmp_path / "xorsat.zarr")
    assert np.all(np.diff(ds.solvable.values, axis=ds.solvable.dims.index("width")) <= 0)
    widths = analysis.critical_widths(ds, success=Success(condition="solvable == 0"))
    assert float(widths.k50.squeeze()) / 200 == pytest.approx(0.918, abs=0.03)


def test_every_example_is_tested() -> None:
    assert {file.stem for file in EXAMPLES.glob("*.toml")} == {"new", "xorsat"}
    assert {file.stem for file in EXAMPLES.glob("*.py")} == {"new", "xorsat"}
