"""The commands of a section make the store that it shows, and say what no sweep file tells."""

from __future__ import annotations

from dataclasses import replace

import pytest

import pipeline
from analysis.report.sections import section_of
from analysis.stores import open_store
from analysis.study import Study
from pipeline import store
from pipeline.maintenance.grow import extend
from pipeline.maintenance.longer import lengthen


@pytest.fixture
def path(make_sweep, tmp_path):
    """Return a store of descents."""
    path = tmp_path / "mine.zarr"
    descent = "{ steps = 20, tolerances = [0.5] }"
    sweep = make_sweep(experiment='"input"', d="[3]", n="[8]", seeds=2, descent=descent)
    pipeline.run(sweep, path)
    return path


def section(path):
    return section_of(Study(open_store(path, dask=False)), str(path), "mine")


def commands(path) -> list[str]:
    return section(path).command


def test_the_commands_name_the_store_and_the_file_of_its_sweep(path) -> None:
    assert commands(path) == [
        "widthlaw run small.toml -o mine.zarr",
        "widthlaw fit mine.zarr",
    ]


def test_a_larger_budget_and_more_seeds_are_told(path) -> None:
    lengthen(path, 40)
    pipeline.run(store.stored_sweep(path), path)
    assert commands(path)[1:3] == ["widthlaw extend mine.zarr --steps 40", "widthlaw run mine.zarr"]
    extend(path, replace(store.stored_sweep(path), seeds=tuple(range(5))))
    pipeline.run(store.stored_sweep(path), path)
    assert "# extend, refine or merge then added values of seeds" in commands(path)
    sources = dict(section(path).provenance)["sources"]
    assert "by widthlaw" in sources
    assert "{" not in sources
