"""A store that has too little for a figure of its experiment is told what it has and what adds more."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

import pipeline
from analysis.figures import FIGURES, draw, kinds_for
from analysis.figures.register import lacking, on_request
from analysis.query.restriction import restrict
from analysis.study import Study
from analysis.transitions.scales import Along
from jobs.cli import main
from jobs.commands.plot import draw_store
from pipeline.errors import InputError

ONE_WIDTH = "the store has one width; expected several: `widthlaw extend --width` adds some"
TOO_LITTLE = [
    (
        "input",
        {"d": [0], "n": [1]},
        "thresholds",
        "the store has one pair of d and n (d = 3, n = 24); expected several: "
        "`widthlaw extend --n` or `--d` adds some",
    ),
    ("input", {"width": [2]}, "slowing", ONE_WIDTH),
    ("input", {"n": [0]}, "laws", ONE_WIDTH.replace("width", "n", 1).replace("--width", "--n")),
    ("tangent", {"width": [2]}, "tangent", ONE_WIDTH),
    (
        "output",
        {"width": [1]},
        "phase",
        "the store has one width, and no other axis with several numbers to look along",
    ),
]


@pytest.mark.parametrize(("name", "part", "kind", "reason"), TOO_LITTLE)
def test_a_figure_of_too_little_is_refused_with_the_reason(
    descents, tmp_path, name, part, kind, reason
) -> None:
    study = Study(descents[name].ds.isel(part))
    assert lacking(study.ds, kind) == reason
    assert kind not in kinds_for(study.ds)
    with pytest.raises(InputError) as refused:
        draw_store(study, tmp_path / "a.zarr", kind)
    assert f"no figure {kind!r}: {reason}" in str(refused.value)
    assert not str(refused.value).endswith(": ")
    with pytest.raises(InputError) as refused:
        draw(study.ds, kind)
    assert reason in str(refused.value)


@pytest.mark.parametrize(("name", "part", "kind", "reason"), TOO_LITTLE)
def test_a_store_with_enough_lacks_nothing(descents, name, part, kind, reason) -> None:
    ds = descents[name].ds
    assert not lacking(ds, kind)
    assert kind in on_request(kinds_for(ds), ds)


def test_a_condition_that_leaves_too_little_is_named(descents) -> None:
    ds = restrict(descents["input"].ds, "d == 3 and n == 12")
    assert lacking(ds, "thresholds") == (
        "the trials with d == 3 and n == 12 have one pair of d and n (d = 3, n = 12); expected "
        "several: widen --where, or `widthlaw extend --n` or `--d` adds some"
    )


def test_no_kind_of_another_experiment_is_explained(descents) -> None:
    assert not any(lacking(descents["proof"].ds, kind) for kind in (*FIGURES, "phaze"))


def test_a_large_store_is_asked_for_its_slowing_down_by_name(descents, monkeypatch) -> None:
    monkeypatch.setattr("analysis.figures.register.MOST_TIMES", 10)
    ds = descents["input"].ds
    assert "slowing" not in kinds_for(ds)
    assert "slowing" in on_request(kinds_for(ds), ds)
    assert not lacking(ds, "slowing")


def test_a_kind_over_widths_is_refused_along_another_axis(descents, tmp_path) -> None:
    study = Study(descents["joint"].ds, along=Along("n"))
    with pytest.raises(InputError, match="no figure 'slowing' along n; expected one of phase, succ"):
        draw_store(study, tmp_path / "a.zarr", "slowing")


def test_a_store_without_any_figure_says_what_it_has_too_little_of(make_sweep, tmp_path) -> None:
    path = tmp_path / "a.zarr"
    pipeline.run(make_sweep(experiment="'tangent'", n="[8]", width="{ k = [8] }", seeds=2), path)
    told = CliRunner().invoke(main, ["plot", str(path)])
    assert told.exit_code == 2
    start = "no figure suits a store of tangent: the store has one width, where nothing can change"
    assert told.stderr.endswith(f"{start}; give --along d\n")
