"""`widthlaw new`: the first files of an experiment, under a name that they can have."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

import pipeline
from analysis import critical_widths, open_store
from jobs.cli import main


def test_the_files_of_a_new_experiment_can_be_loaded(tmp_path: Path) -> None:
    told = CliRunner().invoke(main, ["new", str(tmp_path / "fresh")])
    assert told.exit_code == 0, told.stderr
    assert pipeline.load_sweep(tmp_path / "fresh.toml").experiment == "fresh.py:gap"


def test_the_condition_that_readme_gives_locates_a_width_in_every_cell_of_it(tmp_path: Path) -> None:
    """The first answer that a new user sees is no row of censored cells."""
    readme = (Path(__file__).parents[3] / "README.md").read_text()
    (condition,) = set(re.findall(r"mine\.zarr .*--success '(ratio [^']*)'", readme))
    assert CliRunner().invoke(main, ["new", str(tmp_path / "fresh")]).exit_code == 0
    pipeline.run(tmp_path / "fresh.toml", tmp_path / "fresh.zarr")
    widths = critical_widths(open_store(tmp_path / "fresh.zarr"), success=condition, tables=0)
    assert widths.k50.notnull().all()


@pytest.mark.parametrize("name", ["numpy", "random", "pipeline", "click", "numpy.toml"])
def test_a_name_of_a_module_is_refused_since_its_file_would_hide_that(
    tmp_path: Path, name: str
) -> None:
    told = CliRunner().invoke(main, ["new", str(tmp_path / name)])
    assert told.exit_code == 2
    stem = name.removesuffix(".toml")
    assert f"{stem} is also a module of Python or of an installed package" in told.stderr
    assert f"such as my_{stem}" in told.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_module_in_the_working_folder_takes_no_name(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "fresh").mkdir()
    (tmp_path / "fresh" / "__init__.py").write_text("")
    told = CliRunner().invoke(main, ["new", "fresh"])
    assert told.exit_code == 0, told.stderr
