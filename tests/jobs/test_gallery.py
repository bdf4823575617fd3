"""Figures that workers draw, and the report that grows: real workers, stores and files."""

from __future__ import annotations

import shutil

import pytest

import pipeline
from analysis.report import page_of, report_page
from analysis.stores import load_store
from analysis.study import Study
from jobs.gallery import Gallery, show_store


@pytest.fixture(scope="module")
def client():
    with pipeline.local_client(1, dashboard=False) as client:
        yield client


@pytest.fixture(scope="module")
def filled(tmp_path_factory, make_sweep):
    folder = tmp_path_factory.mktemp("stores")
    for name in ("theorem2", "mine"):
        pipeline.run(make_sweep(name=f"'{name}'", d="[3]", seeds=6), folder / f"{name}.zarr")
    return folder


@pytest.fixture
def stores(filled, tmp_path):
    for name in ("theorem2", "mine"):
        shutil.copytree(filled / f"{name}.zarr", tmp_path / f"{name}.zarr")
    return {name: tmp_path / f"{name}.zarr" for name in ("theorem2", "mine")}


def nothing() -> None:
    """Find no interrupt."""


@pytest.mark.slow
def test_the_report_grows_store_by_store_and_nothing_but_figures_lies_beside_them(
    client, stores, tmp_path
) -> None:
    pages: list[tuple[str, tuple[str, ...]]] = []

    def publish(sections, coming) -> None:
        pages.append((page_of(sections, coming), tuple(coming)))

    gallery = Gallery(client, stores, publish)
    gallery.add("mine")  # it is the first to be finished, and the last of the page
    gallery.finish(nothing)
    gallery.add("theorem2")
    gallery.finish(nothing)
    assert [coming for _, coming in pages] == [("theorem2",), ()]
    first, last = (page for page, _ in pages)
    assert "<strong>Still to come:</strong> theorem2." in first
    assert 'id="s2">mine<' in first
    assert 'id="s1">' not in first
    alone = report_page({store.name: Study(load_store(store)) for store in stores.values()})
    assert last == alone
    assert gallery.problems == []
    written = [file for shown in gallery.shown.values() for file in shown.files]
    assert sorted(tmp_path.iterdir()) == sorted([*written, *stores.values()])
    assert {file.name for file in written} >= {"mine-phase.png", "mine-phase.svg", "mine-phase.txt"}
    assert all(file.stat().st_size > 1000 for file in written if file.suffix != ".txt")


def test_a_figure_that_cannot_be_written_is_a_problem_of_its_own(stores, tmp_path) -> None:
    (tmp_path / "mine-phase.svg").mkdir()
    shown = show_store(stores["mine"], tmp_path, "s1")
    assert len(shown.problems) == 1
    assert shown.problems[0].startswith("mine.zarr: no figure phase: ")
    assert {file.name for file in shown.files} >= {"mine-ratios.png", "mine-ratios.svg"}
    assert shown.section is not None
    assert "ratios" in shown.section.figures


def test_a_store_that_cannot_be_read_ends_neither_the_run_nor_the_report(client, stores) -> None:
    shutil.rmtree(stores["theorem2"])
    pages: list[list[str]] = []
    gallery = Gallery(client, stores, lambda sections, coming: pages.append([s.name for s in sections]))
    for name in stores:
        gallery.add(name)
    gallery.finish(nothing)
    assert pages[-1] == ["mine"]
    assert len(gallery.problems) == 1
    assert gallery.problems[0].startswith("theorem2.zarr: ")


def test_an_interrupt_ends_the_wait(client, stores) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    gallery = Gallery(client, stores, lambda sections, coming: None)
    gallery.add("theorem2")
    with pytest.raises(KeyboardInterrupt):
        gallery.finish(interrupted)
