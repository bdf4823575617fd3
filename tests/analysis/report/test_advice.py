"""A section without a critical width says why, and names the commands that could give one."""

from __future__ import annotations

import numpy as np
import pytest

import pipeline
from analysis import load_store
from analysis.report import report_page
from analysis.report.diagram import diagram_of
from analysis.study import Study

from .reading import read


def note_of(study: Study, store: str = "a.zarr") -> str:
    (note,) = read(report_page({store: study})).all("p", class_="note")
    return note.text


def made(make_sweep, path, **keys) -> Study:
    pipeline.run(make_sweep(**keys), path)
    return Study(load_store(path))


def test_a_store_of_one_width_says_that_it_has_no_threshold_and_what_gives_one(
    make_sweep, tmp_path
) -> None:
    study = made(make_sweep, tmp_path / "a.zarr", width="{ k_per_n = [1.5] }", seeds=2)
    assert note_of(study, "my stores/a.zarr") == (
        "One width. A threshold lies between widths: one width has none. "
        "widthlaw extend 'my stores/a.zarr' --width 3 adds a larger width; "
        "widthlaw fit 'my stores/a.zarr' --along n seeks the n at which success changes."
    )


def test_a_store_of_two_widths_says_from_how_many_on_the_page_looks(make_sweep, tmp_path) -> None:
    study = made(make_sweep, tmp_path / "a.zarr", width="{ k = [12, 20] }", d="[3]", seeds=2)
    assert note_of(study) == (
        "Two widths. The page looks for a threshold from 3 on. widthlaw extend a.zarr --width 40 adds "
        "a larger width; widthlaw fit a.zarr fits the widths that are there."
    )


def test_widths_that_are_all_too_narrow_say_so_at_the_top_and_in_the_section(
    make_sweep, tmp_path
) -> None:
    keys = {"width": "{ k = [12, 13, 14] }", "n": "[12]", "d": "[3]", "seeds": 6}
    study = made(make_sweep, tmp_path / "a.zarr", **keys)
    assert set(study.widths.outcome.values.ravel()) == {"censored"}
    assert "k* lies above the widths in 1 of 1 cell." in note_of(study)
    assert "widthlaw extend a.zarr --width 28 adds a larger width." in note_of(study)
    answer = read(report_page({"a.zarr": study})).all("div", id="answer")[0].text
    assert "small: no critical width is located: k* lies above the widths in 1 of 1 cell;" in answer


@pytest.mark.parametrize(
    ("ends", "said", "way"),
    [
        ((5.0, np.inf), "the interval of k* has no upper end in 2 of 2 cells.", "adds a larger width."),
        ((0.0, 500.0), "the interval of k* has no lower end in 2 of 2 cells.", "adds a smaller width."),
    ],
)
def test_a_store_whose_intervals_are_all_open_says_at_which_end(studies, ends, said, way) -> None:
    study = Study(studies["theorem2.zarr"].ds.assign_attrs(name="mine"))
    low, high = ends
    widths = study.widths.assign(
        k50_low=study.widths.k50_low * 0 + low, k50_high=study.widths.k50_high * 0 + high
    )
    study.__dict__["widths"] = widths
    assert not diagram_of(study).range_text("")
    assert said in note_of(study)
    assert note_of(study).endswith(way)
    assert "no law" not in note_of(study)


def test_a_store_with_a_critical_width_gets_no_advice(studies) -> None:
    assert not read(report_page(dict(studies))).all("p", class_="note")
