"""Ticks stand where points lie, and a legend has its numbers in order."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from matplotlib.axes import Axes

from analysis.figures import FIGURES
from analysis.figures.looks.chart import Chart, styled
from analysis.figures.looks.parts import each_once
from analysis.figures.looks.scales import log_axis, tick_every
from analysis.figures.looks.style import OPEN
from analysis.figures.looks.typography import plain
from analysis.study import Study

from .stand import EVERY


def one_panel(width: float = 4.0) -> tuple[Chart, Axes]:
    with styled():
        figure = Chart(width, 3)
        return figure, figure.subplots()


@pytest.mark.parametrize(
    "n", [[100], [27, 48, 51, 96, 99], [48, 96], [50, 100, 200, 400], list(range(100, 200, 5))]
)
def test_every_n_has_a_label_and_no_label_touches_another(n) -> None:
    figure, axes = one_panel()
    axes.plot(n, n, "o")
    tick_every(axes.xaxis, n)
    figure.draw_without_rendering()
    labels = axes.get_xticklabels()
    assert [label.get_text().strip() for label in labels] == [str(value) for value in n]
    rows: dict[int, list[float]] = {}
    for label in labels:
        box = label.get_window_extent()
        rows.setdefault(label.get_text().count("\n"), []).extend((box.x0, box.x1))
    if labels[0].get_rotation() == 0:
        for row in rows.values():
            assert all(first <= second for first, second in itertools.pairwise(row))


@pytest.mark.parametrize("ends", [(12, 62), (1.0, 1.36), (16, 80), (1, 1e4), (3, 9), (1e-9, 2)])
def test_a_logarithmic_axis_has_some_labels_within_it_however_short_it_is(ends) -> None:
    figure, axes = one_panel()
    axes.plot(ends, ends)
    for axis in (axes.xaxis, axes.yaxis):
        log_axis(axis)
    figure.draw_without_rendering()
    for ticks, (low, high) in (
        (axes.get_xticks(), axes.get_xlim()),
        (axes.get_yticks(), axes.get_ylim()),
    ):
        inside = [tick for tick in ticks if low <= tick <= high]
        assert 3 <= len(inside) <= 10


def test_a_legend_has_its_numbers_in_order_and_explanations_of_marks_last() -> None:
    _, axes = one_panel()
    names = ["n = 27", "n = 99", "logistic curve", "n = 48", OPEN, "loss ≤ 0.1", "loss ≤ $10^{−8}$"]
    for name in names:
        axes.plot([], [], label=name)
    _, shown = each_once(axes)
    assert shown == [
        *("n = 27", "n = 48", "n = 99"),
        "logistic curve",
        *("loss ≤ $10^{−8}$", "loss ≤ 0.1"),
        OPEN,
    ]


@pytest.mark.parametrize(("name", "kind"), EVERY)
def test_the_legends_of_figures_are_in_order(drawn, name, kind) -> None:
    figure = drawn[name, kind]
    legends = [*figure.legends, *filter(None, (axes.get_legend() for axes in figure.axes))]
    for legend in legends:
        words = [plain(text.get_text()) for text in legend.get_texts()]
        for start in ("n = ", "d = ", "relative loss ≤ ", "k/n = "):
            values = [word.removeprefix(start) for word in words if word.startswith(start)]
            numbers = [float(value) for value in values if value.replace(".", "").isdigit()]
            assert numbers == sorted(numbers)


def test_points_of_a_phase_diagram_lie_between_labels(descents) -> None:
    for axes in FIGURES["phase"].draw(descents["input"]).axes[:-1]:
        if axes.axison:
            heights = np.concatenate([bar.lines[0].get_ydata() for bar in axes.containers])
            known = heights[np.isfinite(heights)]
            low, high = axes.get_ylim()
            ticks = [tick for tick in axes.get_yticks() if low <= tick <= high]
            assert len(ticks) >= 4
            assert not len(known) or ticks[0] <= known.max()


def test_curves_of_two_panels_have_one_colour_for_an_n(tmp_path, make_sweep) -> None:
    import pipeline
    from analysis import load_store

    width = "{ k_per_n = { start = 1.1, stop = 8.0, num = 10 } }"
    sweep = make_sweep(activation="['relu', 'abs']", n="[8, 12, 16]", d="[4]", seeds=20, width=width)
    pipeline.run(sweep, tmp_path / "two.zarr")
    figure = FIGURES["collapse"].draw(Study(load_store(tmp_path / "two.zarr")))
    colours: dict[str, set[str]] = {}
    for axes in figure.axes:
        for line in axes.lines:
            label = str(line.get_label())
            if label.startswith("_d = 4, n = "):
                colours.setdefault(label, set()).add(str(line.get_color()))
    assert len(colours) == 3
    assert all(len(found) == 1 for found in colours.values())
    assert len(set.union(*colours.values())) == 3
