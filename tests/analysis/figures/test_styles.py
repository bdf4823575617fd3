"""Figures take the user's Matplotlib style wholly, and every look has one meaning in all of them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import matplotlib as mpl
import matplotlib.style
import numpy as np
import pytest
from matplotlib.colors import to_rgb, to_rgba
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Text

import pipeline
from analysis import load_store
from analysis.figures import FIGURES, KINDS, draw
from analysis.figures.looks.chart import STYLE, Chart, sized, styled
from analysis.figures.looks.style import OPEN, PREDICTION, grey, ink, paper, shades
from analysis.figures.looks.typography import plain
from analysis.study import Study

from .stand import EVERY

CONDITIONING = {
    "d": "[4, 8]",
    "n": "[8, 12, 16]",
    "width": "{ k_per_n = { start = 1.1, stop = 8.0, num = 10 } }",
    "seeds": 20,
}
OF_CONDITIONING = ("phase", "laws", "ratios", "collapse")
LEAST = 1.3
"""The least contrast of a mark with its ground, by WCAG: that of the faintest guide line on white."""


@pytest.fixture(scope="module")
def conditioning(tmp_path_factory, make_sweep) -> Study:
    path = tmp_path_factory.mktemp("styles") / "a.zarr"
    pipeline.run(make_sweep(**CONDITIONING), path)
    return Study(load_store(path))


@pytest.fixture(scope="module")
def dark(descents, conditioning) -> dict[tuple[str, str], Figure]:
    with mpl.rc_context(), sized(None):
        mpl.style.use("dark_background")
        return {(name, kind): FIGURES[kind].draw(descents[name]) for name, kind in EVERY} | {
            ("conditioning", kind): FIGURES[kind].draw(conditioning) for kind in OF_CONDITIONING
        }


def contrast(colour: object, ground: object) -> float:
    light, dark_ = sorted((luminance(seen(colour, ground)), luminance(ground)), reverse=True)
    return (light + 0.05) / (dark_ + 0.05)


def luminance(colour: object) -> float:
    parts = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour)]
    return float(np.dot((0.2126, 0.7152, 0.0722), parts))


def seen(colour: object, ground: object) -> tuple[float, ...]:
    """A colour as it looks on a ground: a pale one is translucent."""
    *own, alpha = to_rgba(colour)
    return tuple(alpha * c + (1 - alpha) * g for c, g in zip(own, to_rgb(ground), strict=True))


def finish(figure: Figure) -> None:
    """Make the ticks and their labels, wherever the panels lie: the layout takes most of the time."""
    figure.set_layout_engine("none")
    figure.draw_without_rendering()


def lines_of(figure: Figure) -> Iterator[Line2D]:
    for axes in figure.axes:
        if axes.axison and axes.get_label() != "<colorbar>":
            yield from (line for line in axes.lines if len(line.get_ydata()))


# ---- a dark ground


@pytest.mark.parametrize(("name", "kind"), [*EVERY, *(("conditioning", k) for k in OF_CONDITIONING)])
def test_on_a_dark_ground_lines_markers_and_words_differ_from_it(dark, name, kind) -> None:
    figure = dark[name, kind]
    assert to_rgb(figure.get_facecolor()) == (0, 0, 0)
    for line in lines_of(figure):
        on_map = kind == "phase" and line.get_path_effects()
        if line.get_linestyle() != "None":
            assert contrast(line.get_color(), "black") > LEAST or on_map, line
        if line.get_marker() not in ("None", "none", ""):
            assert contrast(line.get_markeredgecolor(), "black") > LEAST or on_map, line
    finish(figure)
    words = [text for text in figure.findobj(Text) if text.get_text()]
    assert words
    assert all(contrast(text.get_color(), "black") > 4 for text in words)


def test_a_figure_keeps_its_style_after_the_style_is_gone(conditioning) -> None:
    with mpl.rc_context():
        mpl.style.use("dark_background")
        figure = FIGURES["laws"].draw(conditioning)
    finish(figure)  # the ticks are made only now
    labels = [label for axes in figure.axes for label in axes.get_yticklabels()]
    assert {to_rgba(label.get_color()) for label in labels} == {to_rgba("white")}


def test_greys_lie_between_the_text_and_the_ground() -> None:
    assert (ink(), paper(), grey(0.35)) == ("#000000", "#ffffff", "#595959")
    with mpl.rc_context({"text.color": "white", "axes.facecolor": "#202020"}):
        assert (ink(), paper()) == ("#ffffff", "#202020")
        assert grey(0) == ink()
        assert grey(1) == paper()
        assert all(contrast(shade, paper()) > LEAST for shade in shades(6))
    assert all(contrast(shade, "white") > LEAST for shade in shades(6))


# ---- what the user sets


def test_the_users_cycle_of_colours_is_that_of_the_series(conditioning) -> None:
    with mpl.rc_context({"axes.prop_cycle": mpl.cycler(color=["#112233", "#445566"])}):
        axes = FIGURES["laws"].draw(conditioning).axes[0]
    colours = [bar.lines[0].get_color() for bar in axes.containers]
    assert colours == ["#112233", "#445566"]


@pytest.mark.parametrize("kind", OF_CONDITIONING)
def test_all_words_grow_with_the_size_of_the_font(conditioning, kind) -> None:
    sizes = {}
    for size in (10, 14):
        with mpl.rc_context({"font.size": size}):
            figure = FIGURES[kind].draw(conditioning)
        finish(figure)
        sizes[size] = {
            plain(text.get_text()): text.get_size() for text in figure.findobj(Text) if text.get_text()
        }
    both = set(sizes[10]) & set(sizes[14])
    assert len(both) > 10
    for word in both:
        assert sizes[14][word] == pytest.approx(1.4 * sizes[10][word]), word


def test_what_the_user_changed_is_kept_and_the_rest_is_ours() -> None:
    with mpl.rc_context({"legend.frameon": True, "savefig.dpi": 99}):  # the first is the default
        with styled():
            assert mpl.rcParams["savefig.dpi"] == 99
            assert mpl.rcParams["legend.frameon"] is STYLE["legend.frameon"]
        assert mpl.rcParams["axes.spines.top"] is True


def test_a_given_size_is_that_of_the_figure(conditioning) -> None:
    with sized((5, 3)):
        assert FIGURES["laws"].draw(conditioning).get_size_inches().tolist() == [5, 3]
    assert FIGURES["laws"].draw(conditioning).get_size_inches().tolist() != [5, 3]


# ---- notebooks


def test_a_figure_is_the_picture_of_a_cell_of_a_notebook(conditioning) -> None:
    figure = draw(conditioning.ds, "laws")
    assert isinstance(figure, Chart)
    assert figure._repr_png_().startswith(b"\x89PNG")


def test_a_figure_needs_no_pyplot() -> None:
    code = "import sys, analysis.figures as f; f.draw; print('matplotlib.pyplot' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_the_list_of_kinds_needs_no_library_and_names_all_figures() -> None:
    code = "import sys, analysis.figures.kinds; print({'matplotlib', 'numpy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
    assert list(KINDS) == list(FIGURES)


# ---- one meaning for a look


@pytest.fixture(scope="module")
def every(drawn, conditioning) -> list[Figure]:
    return [*drawn.values(), *(FIGURES[kind].draw(conditioning) for kind in OF_CONDITIONING)]


def test_dashes_are_predictions_and_dots_are_bounds(every) -> None:
    found = {PREDICTION: 0, ":": 0}
    for figure in every:
        for line in lines_of(figure):
            label = plain(str(line.get_label()))
            if line.get_linestyle() == PREDICTION:
                assert "predicted" in label, label
            if line.get_linestyle() == ":" and not label.startswith("_child"):
                assert any(word in label for word in ("bound", "sufficient", "slope", "∝")), label
            if line.get_linestyle() in found:
                found[line.get_linestyle()] += 1
    assert min(found.values()) > 5


def test_a_triangle_stands_for_what_lies_beyond_the_panel(every) -> None:
    triangles = [
        line
        for figure in every
        for line in lines_of(figure)
        if line.get_marker() in ("^", "v", "<", ">")
    ]
    assert triangles
    for line in triangles:
        assert "above" in str(line.get_label())
        assert line.get_markerfacecolor() == line.get_color()  # none is hollow


def test_a_hollow_marker_is_an_open_interval(every) -> None:
    hollow = 0
    for figure in every:
        legends = [*figure.legends, *filter(None, (axes.get_legend() for axes in figure.axes))]
        words = {text.get_text() for legend in legends for text in legend.get_texts()}
        for line in lines_of(figure):
            if line.get_marker() not in ("None", "x", "_") and line.get_markerfacecolor() == "none":
                hollow += 1
                assert OPEN in words
    assert hollow
