"""Which files a store's figures become, and what is refused."""

from __future__ import annotations

import pytest

import pipeline
from analysis import open_store
from analysis.figures import Study
from jobs.pictures import draw_store
from pipeline.errors import InputError


@pytest.fixture(scope="module")
def store(tmp_path_factory, make_sweep):
    path = tmp_path_factory.mktemp("pictures") / "small.zarr"
    pipeline.run(make_sweep(), path)
    return path


@pytest.fixture(scope="module")
def study(store) -> Study:
    return Study(open_store(store))


def test_all_kinds_that_suit_become_png_and_svg_beside_the_store(study, store) -> None:
    written = draw_store(study, store)
    assert [file.name for file in written] == [
        f"small-{kind}{ending}" for kind in ("phase", "laws", "ratios") for ending in (".png", ".svg")
    ]
    assert {file.parent for file in written} == {store.parent}
    assert all(file.stat().st_size > 1000 for file in written)


@pytest.mark.parametrize(
    ("ending", "start"), [(".png", b"\x89PNG"), (".svg", b"<?xml"), (".pdf", b"%PDF")]
)
def test_one_kind_becomes_the_file_that_was_named(study, store, tmp_path, ending, start) -> None:
    file = tmp_path / "new folder" / f"laws{ending}"
    assert draw_store(study, store, "laws", file) == [file]
    assert file.read_bytes().startswith(start)


def test_one_kind_in_a_folder_is_png_and_svg(study, store, tmp_path) -> None:
    written = draw_store(study, store, "ratios", tmp_path / "new")
    assert written == [tmp_path / "new" / f"small-ratios{ending}" for ending in (".png", ".svg")]
    assert sorted((tmp_path / "new").iterdir()) == written


@pytest.mark.parametrize(
    ("kind", "output", "said"),
    [
        ("phaze", None, "no figure 'phaze' of a store of conditioning; expected one of phase, laws"),
        ("spectrum", None, "no figure 'spectrum' of a store of conditioning"),
        ("", None, "no figure ''"),
        ("laws", "a.gif", "ending of .png, .svg, .pdf"),
        (None, "a.png", "one file needs --kind"),
    ],
)
def test_what_cannot_be_drawn_is_refused_and_nothing_is_written(
    study, store, tmp_path, kind, output, said
) -> None:
    with pytest.raises(InputError) as refused:
        draw_store(study, store, kind, output and tmp_path / output)
    assert said in str(refused.value)
    assert not list(tmp_path.iterdir())
