"""`widthlaw report`: the stores of the page, its file, and refused requests."""

from __future__ import annotations

import shutil

import pytest

import pipeline
from analysis.success import Success
from jobs.commands.report import report_stores
from pipeline.errors import InputError
from pipeline.maintenance.grow import extend
from pipeline.maintenance.plan import grid, widened


@pytest.fixture(scope="module")
def folder(tmp_path_factory, make_sweep):
    """Two stores, whose alphabetical order is not that of the paper."""
    folder = tmp_path_factory.mktemp("stores")
    pipeline.run(make_sweep(name="'mine'", d="[3]", seeds=4), folder / "a.zarr")
    pipeline.run(make_sweep(name="'theorem2'", d="[3]", seeds=4), folder / "theorem2.zarr")
    (folder / "notes.txt").write_text("no store")
    return folder


def test_a_folder_means_its_stores_in_the_order_of_the_paper(folder, tmp_path, capsys) -> None:
    file = tmp_path / "report.html"
    assert report_stores([folder], Success(), file) == 0
    assert capsys.readouterr().out == f"{file}\n"
    page = file.read_text()
    assert page.index('id="s1">theorem2<') < page.index('id="s2">mine<')
    named = tmp_path / "named.html"
    report_stores([folder / "theorem2.zarr", folder, folder / "a.zarr"], Success(), named)
    assert named.read_bytes() == file.read_bytes()


def test_a_half_filled_store_is_reported_and_exits_with_three(tmp_path, make_sweep, capsys) -> None:
    path = tmp_path / "half.zarr"
    pipeline.run(make_sweep(d="[3]", seeds=2), path)
    extend(path, widened(grid(path), "extend", seeds=range(4)))
    assert report_stores([path], Success(), tmp_path / "half.html") == 3
    assert "12 trials pending" in capsys.readouterr().err
    assert "12 of 24 trials have not been run" in (tmp_path / "half.html").read_text()


def test_the_trials_of_a_copy_count_once_and_the_page_says_which_store_is_left_out(
    folder, tmp_path, capsys
) -> None:
    store = folder / "theorem2.zarr"
    copy = shutil.copytree(store, tmp_path / "copy" / "theorem2.zarr")
    one, both = tmp_path / "one.html", tmp_path / "both.html"
    assert report_stores([store], Success(), one) == 0
    assert report_stores([store, copy], Success(), both) == 0
    said = f"{copy} is left out: its trials are those of {store}, and count once"
    assert f"report: {said}\n" in capsys.readouterr().err
    note = f'<p class="note">{said}.</p>\n'
    assert both.read_text().replace(note, "") == one.read_text()


def test_of_two_runs_of_a_sweep_the_one_with_more_trials_counts(tmp_path, make_sweep, capsys) -> None:
    half, whole = tmp_path / "half.zarr", tmp_path / "whole.zarr"
    grown = {"d": "[3]", "n": "[12]", "seeds": 4}
    pipeline.run(make_sweep(**grown | {"seeds": 2}), half)
    extend(half, widened(grid(half), "extend", seeds=range(4)))
    pipeline.run(make_sweep(**grown), whole)
    assert report_stores([half, whole], Success(), tmp_path / "r.html") == 0
    err = capsys.readouterr().err
    assert f"{half} is left out: its trials are those of {whole}" in err
    assert "pending" not in err


def test_sections_with_equal_names_are_told_apart_by_their_stores(folder, tmp_path, make_sweep) -> None:
    other, file = tmp_path / "other" / "a.zarr", tmp_path / "r.html"
    pipeline.run(make_sweep(name="'mine'", d="[3]", seeds=4, entropy=8), other)
    assert report_stores([folder / "a.zarr", other, folder / "theorem2.zarr"], Success(), file) == 0
    page = file.read_text()
    assert f'id="s1">mine ({folder / "a.zarr"})<' in page
    assert f'id="s2">mine ({other})<' in page
    assert 'id="s3">theorem2<' in page
    assert f'<a href="#s2">mine ({other})</a>' in page


@pytest.mark.parametrize(
    ("given", "success", "output", "message"),
    [
        ("empty", {}, "r.html", "a folder without a store"),
        ("none.zarr", {}, "r.html", "not found"),
        ("a.zarr", {}, "r.txt", "expected a file that ends with .html"),
        ("a.zarr", {"budgets": (5,)}, "r.html", "--budget"),
        ("a.zarr", {"condition": "nonsense > 1"}, "r.html", "nonsense"),
        ("a.zarr", {}, "notes.txt/r.html", "cannot write"),
        ("a.zarr", {}, "a/r.html", "a does not exist; make it, or give a file in another folder"),
        ("a.zarr", {}, "mine.html", "the file exists already, and widthlaw did not make it"),
    ],
)
def test_a_refused_report_writes_nothing(folder, tmp_path, given, success, output, message) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes.txt").touch()
    (tmp_path / "mine.html").write_text("<html>mine</html>")
    store = tmp_path / given if given in ("empty", "none.zarr") else folder / given
    with pytest.raises(InputError, match=message):
        report_stores([store], Success(**success), tmp_path / output)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "mine.html", "notes.txt"]
    assert (tmp_path / "mine.html").read_text() == "<html>mine</html>"


@pytest.mark.slow
def test_a_report_replaces_a_report_and_any_other_file_if_told(folder, tmp_path) -> None:
    file = tmp_path / "r.html"
    for _ in range(2):
        assert report_stores([folder / "a.zarr"], Success(), file) == 0
    file.write_text("<html>mine</html>")
    assert report_stores([folder / "a.zarr"], Success(), file, overwrite=True) == 0
    assert "mine</html>" not in file.read_text()


def test_an_error_is_one_line(widthlaw, tmp_path) -> None:
    (tmp_path / "empty").mkdir()
    done = widthlaw("report", tmp_path / "empty")
    assert done.returncode == 2
    assert done.stderr.startswith("widthlaw: report ")
    assert done.stderr.count("\n") == 1
    assert widthlaw("report").returncode == 2


def test_templates_and_script_come_with_the_package() -> None:
    import importlib.resources

    names = {
        file.name for file in (importlib.resources.files("analysis.report") / "templates").iterdir()
    }
    assert {"page.html", "parts.html", "diagram.html", "report.js", "style.css"} <= names
