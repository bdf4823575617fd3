"""A caption says what is drawn, over which trials, by which criterion, and what its intervals mean."""

from __future__ import annotations

import re

import pytest

import pipeline
from analysis import load_store
from analysis.figures import FIGURES, kinds_for
from analysis.figures.captions import criterion, trials
from analysis.query.restriction import restrict
from analysis.report import report_page
from analysis.study import Study
from analysis.success import Success
from pipeline.trial_status import Status

from .stand import EVERY

SIZES = {
    "d": "[4, 8]",
    "n": "[8, 12, 16]",
    "width": "{ k_per_n = { start = 1.1, stop = 8.0, num = 10 } }",
    "seeds": 20,
}


@pytest.fixture(scope="module")
def study(tmp_path_factory, make_sweep) -> Study:
    path = tmp_path_factory.mktemp("captions") / "a.zarr"
    pipeline.run(make_sweep(**SIZES), path)
    return Study(load_store(path))


def test_trials_are_told_with_their_axes_seeds_and_outcomes(study) -> None:
    assert trials(study.ds) == (
        "Trials of the sweep small: activation relu; dataset sphere; d = 4 and 8; n = 8, 12 and 16; "
        "10 values of k/n from 1.1 to 8; 20 seeds for each combination. Outcomes: 1,200 done."
    )


def test_seeds_that_are_not_the_same_everywhere_are_a_range(study) -> None:
    part = restrict(study.ds, "seed < 15 or n == 8")
    assert "; 15 to 20 seeds for each combination. Only trials with seed < 15 or n == 8" in trials(part)
    assert trials(part).endswith("Outcomes: 1,000 done.")


def test_trials_without_a_result_are_told(study) -> None:
    status = study.ds.status.copy()
    status[..., :3] = Status.DIVERGED
    status[..., 3:4] = Status.PENDING
    told = trials(study.ds.assign(status=status))
    assert told.endswith("Outcomes: 960 done, 60 pending, 180 diverged.")


def test_the_criterion_is_that_of_the_study(study) -> None:
    assert criterion(study).startswith("Criterion of success: σ_min/√k ≥ 0.5 α. The critical width k*")
    stricter = Study(study.ds, Success(threshold=0.7))
    assert "σ_min/√k ≥ 0.7 α" in FIGURES["laws"].caption(stricter)
    assert "0.5" not in FIGURES["laws"].caption(stricter)


def test_the_level_of_intervals_is_told_where_they_are_drawn(study) -> None:
    for kind in ("phase", "laws", "ratios"):
        assert "Bars are 95% intervals of k* (Student's t" in FIGURES[kind].caption(study)
    assert "95% intervals of k*" not in FIGURES["collapse"].caption(study)
    assert "bars are standard errors" in FIGURES["collapse"].caption(study)


@pytest.mark.parametrize(("name", "kind"), EVERY)
def test_a_caption_is_plain_text_in_whole_sentences(descents, name, kind) -> None:
    caption = FIGURES[kind].caption(descents[name])
    assert not re.search(r"[$\\`\n]|  |\b(sigma_min|alpha|sqrt)\b|<=|>=|e-\d", caption)
    assert caption.endswith(".")
    assert "seeds for each combination" in caption
    tolerances = descents[name].ds.sizes.get("tolerance", 0)
    assert ("tolerance = " in caption) == (tolerances > 0)


def test_a_caption_takes_the_place_of_titles_but_not_of_names_that_differ(study) -> None:
    figure, caption = FIGURES["laws"].captioned(study)
    assert caption == FIGURES["laws"].caption(study)
    assert not any(axes.get_title(loc="left") for axes in figure.axes)
    assert FIGURES["laws"].draw(study).axes[0].get_title(loc="left").startswith("Critical width: ")
    figure, _ = FIGURES["phase"].captioned(study)
    assert [axes.get_title(loc="left") for axes in figure.axes[:2]] == ["d = 4", "d = 8"]


def test_a_name_that_all_panels_share_is_left_to_the_caption(descents) -> None:
    with_names = FIGURES["layers"].draw(descents["joint"])
    assert {axes.get_title(loc="left") for axes in with_names.axes} == {"d = 4, n = 12"}
    figure, caption = FIGURES["layers"].captioned(descents["joint"])
    assert {axes.get_title(loc="left") for axes in figure.axes} == {""}
    assert "; d = 4; n = 12; " in caption


def test_the_report_has_the_same_captions(study) -> None:
    page = report_page({"a.zarr": study})
    for kind in (kind for kind in kinds_for(study.ds) if kind != "phase"):
        opening = FIGURES[kind].caption(study).split(".")[0]
        text = re.sub(r"<[^>]+>", "", page)
        assert re.sub(r"\W", "", opening) in re.sub(r"\W", "", text), kind
    assert "20 seeds for each combination" in page
