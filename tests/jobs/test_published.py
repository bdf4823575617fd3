"""The file of published numbers: every entry gives a number of ours from a store of its sweep."""

from __future__ import annotations

import math
import shutil
from dataclasses import replace

import pytest

import pipeline
from analysis import load_store
from analysis.report.published import Published, compared
from jobs.published import EXAMPLES, published_numbers
from pipeline.sweep_files.documents import read_document
from pipeline.sweep_files.extents import with_extents

SMALL = {
    "dana": ({"n": [60, 80, 110], "seeds": range(5)}, []),
    "montanari-zhong": (
        {
            "n": [100, 200, 400],
            "width": [0.8, 1.2, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 10.0],
            "seeds": range(10),
        },
        [],
    ),
    "jamming": (
        {"seeds": range(2)},
        [("steps = 20000", "steps = 300"), ("1.25, 1.5, 1.75, 2.0, 2.25, 2.5, 2.75", "0.2, 3.0")],
    ),
    "louart": ({"n": [256], "width": [1.0], "seeds": range(2)}, []),
}
"""Other extents and other texts with which a sweep takes seconds."""


def test_numbers_name_their_source_and_setting_and_examples_that_are_there() -> None:
    numbers = published_numbers()
    assert {one.example.document["name"] for one in numbers} == set(SMALL)
    for one in numbers:
        assert one.source
        assert one.setting
        assert not one.low > one.high
    assert {bool(one.example.digest) for one in numbers} == {True, False}


@pytest.mark.slow
@pytest.mark.parametrize("name", SMALL)
def test_a_store_of_the_sweep_gives_each_of_its_numbers(name, tmp_path) -> None:
    if name == "louart":
        pytest.importorskip("sklearn", reason="scikit-learn is not installed")
    extents, changes = SMALL[name]
    for file in (EXAMPLES / name).iterdir():
        if file.is_file():
            shutil.copy(file, tmp_path)
    sweep_file = tmp_path / f"{name}.toml"
    text = sweep_file.read_text()
    for given, other in changes:
        assert given in text
        text = text.replace(given, other)
    sweep_file.write_text(text)
    pipeline.run(with_extents(pipeline.load_sweep(sweep_file), **extents), tmp_path / "a.zarr")
    ds = load_store(tmp_path / "a.zarr")
    own = [one for one in published_numbers() if one.example.document["name"] == name]
    rows = compared([_of(one, text) for one in own], ds)
    assert len(rows) == len(own)
    assert [row.published.quantity for row in rows if not math.isfinite(row.value)] == []


def _of(one: Published, text: str) -> Published:
    """The number as one of the changed sweep."""
    return replace(one, example=replace(one.example, document=read_document(text)))
