"""Panels of a figure for a column of a journal, and the looks of many series."""

from __future__ import annotations

from analysis.figures.looks.chart import LONGEST, sized, styled
from analysis.figures.looks.style import grid_of, series_line, series_look


def test_many_like_panels_stand_in_pairs_on_one_page_without_a_spare_one() -> None:
    with sized((3.4, None)), styled():
        figure, grid = grid_of(4, 2, 3.4, 3.4, 7)
    assert grid.shape == (1, 7)
    assert len(figure.axes) == 7
    assert grid[0, 0].get_subplotspec().get_gridspec().ncols == 2
    assert figure.get_size_inches()[1] <= LONGEST


def test_flat_panels_of_one_column_are_no_higher_than_a_page() -> None:
    with sized((3.4, None)), styled():
        figure, grid = grid_of(1, 7, 8.8, 3.6, 7)
    assert grid[0, 0].get_subplotspec().get_gridspec().ncols == 1
    assert figure.get_size_inches()[1] <= LONGEST


def test_unlike_panels_of_a_row_stand_below_each_other_in_a_column() -> None:
    with sized((3.4, None)), styled():
        _, grid = grid_of(3, 2)
    assert grid.shape == (2, 3)
    assert grid[0, 0].get_subplotspec().get_gridspec().ncols == 1


def test_no_two_of_many_series_look_the_same() -> None:
    with styled():
        looks = {(look["color"], look["marker"]) for look in map(series_look, range(36))}
    assert len(looks) == 36


def test_a_line_whose_colour_comes_again_has_another_style() -> None:
    with styled():
        looks = {(series_look(index)["color"], str(series_line(index))) for index in range(18)}
        assert len(looks) == 18
        assert {series_line(index) for index in range(6)} == {"-"}
