"""`widthlaw new`: the first files of an experiment, under a name that they can have."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

import pipeline
from jobs.cli import main


def test_the_files_of_a_new_experiment_can_be_loaded(tmp_path: Path) -> None:
    told = CliRunner().invoke(main, ["new", str(tmp_path / "fresh")])
    assert told.exit_code == 0, told.stderr
    assert pipeline.load_sweep(tmp_path / "fresh.toml").experiment == "fresh.py:gap"


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
