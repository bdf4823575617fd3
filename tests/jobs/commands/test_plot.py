"""`widthlaw plot`: the files of the figures, and refused requests."""

from __future__ import annotations

import shutil

import click
import numpy as np
import pandas as pd
import pytest
import xarray as xr
import zarr
from click.testing import CliRunner
from matplotlib import image
from matplotlib.figure import Figure

import pipeline
from analysis import load_store, success_counts
from analysis.figures import FIGURES, KINDS, kinds_for
from analysis.query.restriction import restrict
from analysis.study import Study
from jobs.cli import main
from jobs.commands.plot import draw_kinds, draw_store, plot
from pipeline import store as stores
from pipeline.errors import InputError
from pipeline.trial_status import Status


@pytest.fixture(scope="module")
def store(tmp_path_factory, make_sweep):
    path = tmp_path_factory.mktemp("pictures") / "small.zarr"
    pipeline.run(make_sweep(), path)
    return path


@pytest.fixture(scope="module")
def study(store) -> Study:
    return Study(load_store(store))


def test_all_kinds_that_suit_become_png_and_svg_beside_the_store(study, store) -> None:
    written = draw_store(study, store)
    assert [file.name for file in written] == [
        f"small-{kind}{ending}"
        for kind in ("phase", "laws", "ratios", "collapse")
        for ending in (".png", ".svg")
    ]
    assert {file.parent for file in written} == {store.parent}
    assert all(file.stat().st_size > 1000 for file in written)


@pytest.mark.parametrize(
    ("ending", "start"), [(".png", b"\x89PNG"), (".svg", b"<?xml"), (".pdf", b"%PDF")]
)
def test_one_kind_becomes_the_named_file(study, store, tmp_path, ending, start) -> None:
    file = tmp_path / f"laws{ending}"
    assert draw_store(study, store, "laws", file) == [file]
    assert file.read_bytes().startswith(start)
    assert draw_store(study, store, "laws", file) == [file]  # its own figure is replaced
    file.write_bytes(start + b" of somebody else, who knows of widthlaw")
    with pytest.raises(
        InputError, match=f"plot -o {file}: the file exists already, and widthlaw did not"
    ):
        draw_store(study, store, "laws", file)
    assert file.read_bytes().startswith(start + b" of somebody else")
    assert draw_store(study, store, "laws", file, overwrite=True) == [file]
    assert b"somebody" not in file.read_bytes()


def test_no_folder_is_made_but_the_one_that_was_named(study, store, tmp_path) -> None:
    for kind, output in ((None, "a/b"), ("laws", "a/laws.png"), (None, "a/b/c")):
        with pytest.raises(InputError, match=f"the folder {(tmp_path / output).parent} does not exist"):
            draw_store(study, store, kind, tmp_path / output)
    assert not list(tmp_path.iterdir())


def test_one_strange_file_among_several_stops_all(study, store, tmp_path) -> None:
    strange = tmp_path / "small-ratios.svg"
    strange.write_text("<svg/>")
    with pytest.raises(InputError, match=r"small-ratios\.svg: the file exists already"):
        draw_store(study, store, output=tmp_path)
    assert list(tmp_path.iterdir()) == [strange]


def test_one_kind_in_a_folder_is_png_and_svg(study, store, tmp_path) -> None:
    written = draw_store(study, store, "ratios", tmp_path / "new")
    assert written == [tmp_path / "new" / f"small-ratios{ending}" for ending in (".png", ".svg")]
    assert sorted((tmp_path / "new").iterdir()) == written


@pytest.mark.parametrize(
    ("kind", "output", "message"),
    [
        ("phaze", None, "no figure 'phaze' of a store of conditioning; expected one of phase, laws"),
        ("spectrum", None, "no figure 'spectrum' of a store of conditioning"),
        ("", None, "no figure ''"),
        ("laws", "a.gif", "ending of .png, .svg, .pdf"),
        (None, "a.png", "one file needs --kind"),
    ],
)
def test_a_refused_figure_writes_nothing(study, store, tmp_path, kind, output, message) -> None:
    with pytest.raises(InputError) as refused:
        draw_store(study, store, kind, output and tmp_path / output)
    assert message in str(refused.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("statuses", "message"),
    [
        ((Status.PENDING,), "no trial is done yet (96 pending); `widthlaw run` fills a store"),
        ((Status.DIVERGED,), "no trial is done (96 diverged); a smaller step_size"),
        ((Status.FAILED,), "no trial is done (96 failed); `widthlaw query"),
        ((Status.DIVERGED, Status.FAILED), "no trial is done (48 diverged, 48 failed)"),
        ((Status.FAILED, Status.PENDING), "no trial is done yet (48 failed, 48 pending)"),
    ],
)
def test_without_a_done_trial_the_error_counts_the_others(
    study, store, tmp_path, statuses, message
) -> None:
    ds = study.ds
    which = xr.where(ds.seed % 2, statuses[0], statuses[-1])
    left = Study(ds.assign(status=xr.zeros_like(ds.status) + which))
    with pytest.raises(InputError) as refused:
        draw_store(left, store, output=tmp_path)
    assert message in str(refused.value)


def test_that_all_trials_diverged_is_an_answer_without_a_picture(make_sweep, tmp_path) -> None:
    descent = "{ steps = 2000, step_size = 2.5, tolerances = [0.1] }"
    path = tmp_path / "a.zarr"
    pipeline.run(make_sweep(experiment="'output'", descent=descent, n="[20]", seeds=2), path)
    assert stores.Store(path).counts()["diverged"] == 12
    result = CliRunner().invoke(main, ["plot", str(path)])
    assert (result.exit_code, result.stdout) == (0, "")
    message = "no figure: no trial is done (12 diverged); a smaller step_size lets descent converge"
    assert result.stderr == f"{path}: {message}\n"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("named", [True, False])
def test_a_folder_that_cannot_be_written_is_named(study, tmp_path, named) -> None:
    (tmp_path / "file").write_text("no folder")
    inside = tmp_path / "file" / "small.zarr"  # even the administrator cannot write into a file
    with pytest.raises(InputError) as refused:
        draw_store(study, inside, "laws", inside.parent if named else None)
    assert f"cannot write small-laws.png into {tmp_path / 'file'} (" in str(refused.value)
    assert "writable folder with -o" in str(refused.value)
    assert "None" not in str(refused.value)


@pytest.mark.slow
def test_figures_of_a_half_filled_store_are_drawn_and_exit_with_three(widthlaw, half, tmp_path) -> None:
    result = widthlaw("plot", half, "--kind", "phase", "-o", tmp_path)
    assert result.returncode == 3
    assert result.stderr == f"{half}: 150 trials pending; the figures show what is there\n"
    assert result.stdout.split() == [f"{tmp_path}/half-phase.png", f"{tmp_path}/half-phase.svg"]


def test_a_store_that_has_not_begun_has_no_figure_yet(widthlaw, make_sweep, tmp_path) -> None:
    path = tmp_path / "new.zarr"
    stores.create(path, make_sweep())
    result = widthlaw("plot", path)
    assert result.returncode == 3
    assert result.stderr == f"{path}: 96 trials pending; no figure before some are done\n"
    assert result.stdout == ""


@pytest.mark.slow
def test_a_figure_without_the_failed_trials_is_drawn_and_exits_with_one(
    widthlaw, complete, tmp_path
) -> None:
    path = tmp_path / "failures.zarr"
    shutil.copytree(complete, path)
    status = zarr.open_array(path / "status")
    status[..., :2] = Status.FAILED  # as where two seeds had met an error
    result = widthlaw("plot", path, "--kind", "phase")
    assert result.returncode == 1
    assert (
        f"{path}: {stores.Store(path).counts()['failed']} trials failed; `widthlaw query"
        in result.stderr
    )
    assert len(result.stdout.split()) == 2


@pytest.mark.slow
def test_one_figure_becomes_the_named_file(widthlaw, complete, tmp_path) -> None:
    file = tmp_path / "figure.svg"
    result = widthlaw("plot", complete, "--kind", "phase", "--output", file, "--threshold", 0.3)
    assert result.returncode == 0, result.stderr
    assert result.stdout == f"{file}\n"
    assert "0.3 α" in file.read_text()  # text stays text
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.slow
def test_an_unknown_figure_is_refused_with_those_that_suit(widthlaw, complete, tmp_path) -> None:
    result = widthlaw("plot", complete, "--kind", "phaze", "-o", tmp_path / "a.png")
    assert result.returncode == 2
    assert "expected one of phase, laws, ratios" in result.stderr
    assert not list(tmp_path.iterdir())


# ---- a store that has too little for a figure


@pytest.mark.slow
def test_a_figure_with_nothing_to_draw_is_told_and_has_no_file(widthlaw, bare, tmp_path) -> None:
    result = widthlaw("plot", bare, "-o", tmp_path / "all", "--data", tmp_path / "all.csv")
    assert result.returncode == 0
    told = [line.split(": ")[:3] for line in result.stderr.splitlines()]
    assert [str(bare), "no figure collapse", "nothing to collapse"] in told
    ds = load_store(bare)
    names = {file.stem.removeprefix("bare-") for file in (tmp_path / "all").iterdir()}
    assert "phase" in names
    assert names | {words[1].removeprefix("no figure ") for words in told} == set(kinds_for(ds))
    assert len(names) + len(told) == len(kinds_for(ds))
    assert set(pd.read_csv(tmp_path / "all.csv").figure) == names


def test_a_figure_that_was_asked_for_by_name_and_has_nothing_to_draw_is_an_error(
    widthlaw, bare, tmp_path
) -> None:
    result = widthlaw("plot", bare, "--kind", "collapse", "-o", tmp_path / "a.png")
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith(f"{bare}: no figure collapse: nothing to collapse")
    assert result.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.fixture(scope="module")
def bare(tmp_path_factory, make_sweep):
    path = tmp_path_factory.mktemp("bare") / "bare.zarr"
    pipeline.run(make_sweep(width="{ k_per_n = [2.0, 3.0, 4.0] }", seeds=2), path)
    return path


# ---- looks, a part of the store, and its numbers


def test_the_help_has_a_line_for_each_kind(widthlaw) -> None:
    lines = widthlaw("plot", "--help").stdout.splitlines()
    for kind, summary in KINDS.items():
        assert f"    {kind:14}  {summary}" in lines
    assert max(map(len, lines)) <= 80


def test_kinds_are_completed() -> None:
    option = next(param for param in plot.params if param.name == "kind")
    found = option.shell_complete(click.Context(plot), "d")
    assert [item.value for item in found] == ["density", "depth"]


@pytest.mark.slow
def test_size_resolution_and_style_are_those_that_were_asked_for(widthlaw, complete, tmp_path) -> None:
    file = tmp_path / "a.png"
    looks = ("--size", "5x3", "--dpi", 50, "--style", "dark_background")
    result = widthlaw("plot", complete, "--kind", "laws", "-o", file, *looks)
    assert result.returncode == 0, result.stderr
    picture = image.imread(file)
    assert picture.shape[:2] == (150, 250)
    np.testing.assert_array_equal(picture[0, -1, :3], 0)


@pytest.mark.slow
def test_a_style_file_is_a_style(widthlaw, complete, tmp_path) -> None:
    (tmp_path / "own.mplstyle").write_text("figure.facecolor: ff0000\nsavefig.facecolor: ff0000\n")
    file = tmp_path / "a.png"
    style = tmp_path / "own.mplstyle"
    result = widthlaw("plot", complete, "--kind", "laws", "-o", file, "--style", style)
    assert result.returncode == 0, result.stderr
    np.testing.assert_array_equal(image.imread(file)[0, -1, :3], [1, 0, 0])


@pytest.mark.slow
def test_a_width_alone_leaves_the_height_to_the_panels(widthlaw, complete, tmp_path) -> None:
    file = tmp_path / "a.png"
    result = widthlaw("plot", complete, "--kind", "ratios", "-o", file, "--size", 3.4, "--dpi", 100)
    assert result.returncode == 0, result.stderr
    height, width = image.imread(file).shape[:2]
    assert width == 340
    assert height > 2 * width  # its three panels are below each other


@pytest.mark.slow
def test_a_size_goes_before_a_tight_box_of_the_style(widthlaw, complete, tmp_path) -> None:
    style, file = tmp_path / "own.mplstyle", tmp_path / "a.png"
    style.write_text("savefig.bbox: tight\nsavefig.dpi: 100\n")
    looks = ("--style", style, "--size", "4x3")
    result = widthlaw("plot", complete, "--kind", "laws", "-o", file, *looks)
    assert result.returncode == 0, result.stderr
    assert image.imread(file).shape[:2] == (300, 400)


OWN_STYLE = """\
axes.spines.top: True
axes.titlelocation: center
legend.frameon: True
lines.linewidth: 0.5
lines.markersize: 3
image.cmap: viridis
font.size: 10
figure.figsize: 3.2, 9
savefig.dpi: 72
"""
"""Some values are Matplotlib's own defaults, where figures have others unless a style sets them."""


def test_a_style_file_holds_wholly(study, store, tmp_path, monkeypatch) -> None:
    made: list[Figure] = []
    keep = Figure.savefig
    monkeypatch.setattr(
        Figure, "savefig", lambda self, *args, **kw: (made.append(self), keep(self, *args, **kw))[1]
    )
    (tmp_path / "own.mplstyle").write_text(OWN_STYLE)
    style = str(tmp_path / "own.mplstyle")
    words = ["plot", str(store), "-o", str(tmp_path), "--style", style]
    for kind in ("laws", "phase"):
        result = CliRunner().invoke(main, [*words, "--kind", kind])
        assert result.exit_code == 0, result.output
    laws, phase = made[0], made[2]
    assert laws.get_figwidth() == 3.2
    assert laws.axes[0].spines["top"].get_visible()
    assert laws.axes[0].get_title(loc="center")
    assert not laws.axes[0].get_title(loc="left")
    assert all(legend.get_frame_on() for legend in laws.legends)
    assert {line.get_markersize() for line in laws.axes[0].lines if line.get_marker() == "o"} == {2.5}
    assert phase.axes[0].collections[0].get_cmap().name == "viridis"
    assert image.imread(tmp_path / "small-laws.png").shape[1] == round(3.2 * 72)


@pytest.mark.slow
def test_a_style_that_needs_latex_is_refused_with_what_looks_like_it(
    widthlaw, complete, tmp_path
) -> None:
    (tmp_path / "tex.mplstyle").write_text("text.usetex: True\n")
    style = ("--style", tmp_path / "tex.mplstyle")
    result = widthlaw("plot", complete, "--kind", "laws", "-o", tmp_path / "a.pdf", *style)
    assert (result.returncode, result.stdout) == (2, "")
    assert "got text.usetex: True, expected False" in result.stderr
    assert "mathtext.fontset: cm" in result.stderr
    assert not (tmp_path / "a.pdf").exists()


@pytest.mark.slow
def test_the_fonts_of_a_pdf_are_embedded_as_truetype(widthlaw, complete, tmp_path) -> None:
    file = tmp_path / "a.pdf"
    result = widthlaw("plot", complete, "--kind", "ratios", "-o", file, "--size", 3.4)
    assert result.returncode == 0, result.stderr
    content = file.read_bytes()
    fonts = content.count(b"/Subtype /CIDFontType2")
    assert fonts > 0
    assert content.count(b"/FontFile2") == fonts
    assert b"/Type3" not in content


# ---- captions


@pytest.mark.slow
def test_a_caption_lies_beside_each_figure_and_its_title_is_left_out(
    widthlaw, complete, tmp_path
) -> None:
    file = tmp_path / "laws.svg"
    plain = widthlaw("plot", complete, "--kind", "laws", "-o", file)
    assert plain.stdout.split() == [str(file)]
    assert ">Critical width: " in file.read_text()
    result = widthlaw("plot", complete, "--kind", "laws", "-o", file, "--caption")
    assert result.stdout.split() == [str(file), str(tmp_path / "laws.txt")]
    assert ">Critical width: " not in file.read_text()
    text = (tmp_path / "laws.txt").read_text()
    study = Study(load_store(complete))
    body, _, mark = text.strip().rpartition("\n\n")
    assert " ".join(body.split()) == FIGURES["laws"].caption(study)
    assert mark.startswith("Drawn by widthlaw ")
    assert max(map(len, text.splitlines())) <= 78


def test_a_caption_of_widthlaw_is_replaced_and_any_other_text_is_not(study, store, tmp_path) -> None:
    text = tmp_path / "small-laws.txt"
    for _ in range(2):
        files = draw_kinds(study, store, "laws", tmp_path, captions=True).files
        assert files[-1] == text
    text.write_text("my notes, drawn by widthlaw and me\n")
    before = {file: file.stat().st_mtime_ns for file in tmp_path.iterdir()}
    with pytest.raises(InputError, match=r"small-laws\.txt: the file exists already, and widthlaw did"):
        draw_kinds(study, store, "laws", tmp_path, captions=True)
    assert {file: file.stat().st_mtime_ns for file in tmp_path.iterdir()} == before
    draw_kinds(study, store, "laws", tmp_path, captions=True, overwrite=True)
    assert "my notes" not in text.read_text()


def test_a_caption_names_the_condition_that_chose_the_trials(widthlaw, complete, tmp_path) -> None:
    part = ("--where", "n == 12", "--caption")
    result = widthlaw("plot", complete, "--kind", "phase", "-o", tmp_path / "a.svg", *part)
    assert result.returncode == 0, result.stderr
    text = " ".join((tmp_path / "a.txt").read_text().split())
    assert "Only trials with n == 12 are shown." in text
    assert "; n = 12; " in text


def test_only_trials_that_meet_a_condition_are_drawn_and_written(widthlaw, complete, tmp_path) -> None:
    data = tmp_path / "a.csv"
    part = ("--where", "n == 12", "--data", data)
    result = widthlaw("plot", complete, "--kind", "phase", "-o", tmp_path / "a.svg", *part)
    assert result.returncode == 0, result.stderr
    assert result.stdout.split() == [str(tmp_path / "a.svg"), str(data)]
    table = pd.read_csv(data)
    ds = restrict(load_store(complete), "n == 12")
    share = (success_counts(ds).successes / success_counts(ds).trials).isel(n=0, d=0)
    drawn = table[table.series.str.endswith("share")]
    np.testing.assert_array_equal(drawn.x, ds.k.isel(n=0))
    np.testing.assert_array_equal(drawn.y, share)
    assert set(table.figure) == {"phase"}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ("--style", "dark_backgrund"),
            "no style of Matplotlib and no file (did you mean 'dark_background'?)",
        ),
        (("--style", "https://example.org/a.mplstyle"), "no style of Matplotlib and no file"),
        (("--size", "6x"), "expected a width in inches, or a width and a height, as in 6x4"),
        (("--size", "nanx4"), "expected from 1 to 60 inches"),
        (("--size", "0.5"), "expected from 1 to 60 inches"),
        (("--size", "0x4"), "expected from 1 to 60 inches"),
        (("--size", "1x1"), "--size: got 1x1, which is too small for phase: its labels"),
        (("--where", "n == 7"), "'n == 7' holds for no trial; n has"),
        (("--data", "a.txt"), "--data a.txt: unknown ending; expected one of .csv, .json, .parquet"),
    ],
)
def test_a_wrong_option_is_told_with_its_repair_and_nothing_is_written(
    widthlaw, complete, tmp_path, words, message
) -> None:
    result = widthlaw("plot", complete, "-o", tmp_path, *words)
    assert (result.returncode, result.stdout) == (2, "")
    assert message in result.stderr
    assert not list(tmp_path.iterdir())
