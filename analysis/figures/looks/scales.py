"""Ticks of axes: round numbers for logarithmic axes of any length, or a tick at each of some values."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis, XAxis
from matplotlib.ticker import (
    FixedFormatter,
    FixedLocator,
    Formatter,
    LogLocator,
    MaxNLocator,
    NullFormatter,
    NullLocator,
)

from analysis.figures.looks.chart import em
from analysis.figures.looks.typography import tick

__all__ = ["Names", "log_axis", "name_ticks", "plain_ticks", "room_of", "tick_every"]

ROUND = ((1,), (1, 3), (1, 2, 5), (1, 1.5, 2, 3, 5, 7))
"""Leading digits of labels within a decade, the fewest first."""

MOST_ROWS = 3
"""Number of rows that the labels of a crowded axis may take."""


class Names(FixedFormatter):
    """The names at 0, 1, 2, ... of an axis whose places are not its values."""

    def __init__(self, names: Any, values: Any) -> None:
        super().__init__([str(name) for name in names])
        self.values = list(values)


def name_ticks(axis: Axis, names: Any, values: Any = None) -> None:
    """Give an axis names at 0, 1, 2, ...; they may stand for values."""
    formatter = Names(names, names if values is None else values)
    axis.set_major_locator(FixedLocator(range(len(formatter.seq))))
    axis.set_major_formatter(formatter)
    axis.set_minor_locator(NullLocator())


class _Round(LogLocator):
    """Ticks at round numbers, at least four of them however short the axis is."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self._most = most

    def tick_values(self, vmin: float, vmax: float) -> Any:
        """Return the ticks between two ends."""
        low, high = sorted((vmin, vmax))
        decades = 10.0 ** np.arange(np.floor(np.log10(low)), np.ceil(np.log10(high)) + 1)
        for digits in ROUND:
            ticks = np.outer(decades, digits).ravel()
            inside = ticks[(ticks >= low) & (ticks <= high)]
            if len(inside) > self._most:  # a long axis has a tick every few decades
                return inside[:: -(-len(inside) // self._most)]
            if len(inside) >= 4:
                return inside
        return MaxNLocator(min(5, self._most)).tick_values(low, high)


def log_axis(axis: Axis) -> None:
    """Make an axis logarithmic, with a few round numbers as labels."""
    across = isinstance(axis, XAxis)
    axis.axes.set(**{"xscale" if across else "yscale": "log"})
    most = min(6, max(3, int(1.45 * room_of(axis.axes) / max(em(), 0.8)))) if across else 9
    axis.set_major_locator(_Round(most))
    axis.set_major_formatter(tick)
    axis.set_minor_formatter(NullFormatter())


class _Plain(Formatter):
    """Numbers at linear ticks, with the digits that tell neighbours apart: no factor, no offset."""

    def __init__(self) -> None:
        super().__init__()
        self._ticks: Any = np.array([])

    def set_locs(self, locs: Any) -> None:
        """Take the places of all ticks."""
        self._ticks = np.unique(np.asarray(locs, dtype=float))

    def __call__(self, value: float, pos: int | None = None) -> str:
        """Return the label of a tick."""
        ticks = self._ticks
        step = float(np.diff(ticks).min()) if len(ticks) > 1 else abs(value)
        if abs(value) < step / 1000:  # 0, up to rounding
            return "0"
        digits = 1 + max(0, math.floor(math.log10(abs(value))) - math.floor(math.log10(step / 10)))
        return f"{value:.{min(digits, 15)}g}".replace("-", "\N{MINUS SIGN}")


def plain_ticks(axis: Axis) -> None:
    """Label linear ticks with their values; Matplotlib prints a common factor over the title."""
    axis.set_major_formatter(_Plain())


def tick_every(axis: Axis, values: Any) -> None:
    """Make an abscissa logarithmic with a labelled tick at every value.

    A label that would touch the one before it moves to a row below; if three rows do not suffice, all
    labels stand upright.
    """
    found = np.unique(np.asarray(values, dtype=float))
    axes = axis.axes
    axes.set_xscale("log")
    rows = _rows(axes, found)
    upright = max(rows, default=0) >= MOST_ROWS
    labels = [
        "\n" * (0 if upright else row) + f"{value:g}" for row, value in zip(rows, found, strict=True)
    ]
    axes.set_xticks(found, labels, rotation=90 if upright else 0)
    axes.set_xticks([], minor=True)


def room_of(axes: Axes) -> float:
    """Return the width of the figure for each of its columns, in inches."""
    figure, spec = axes.figure, axes.get_subplotspec()
    assert spec is not None
    return float(figure.bbox.width / figure.dpi) / spec.get_gridspec().ncols


def _rows(axes: Axes, values: Any) -> list[int]:
    """Return for each value the first row in which its label touches no other."""
    letter = 0.7 * em() * 8.3 / 72 / (0.75 * room_of(axes))  # width of a digit, a share of the panel
    span = np.log(values[-1] / values[0]) if len(values) > 1 else 1.0
    ends: list[float] = []
    rows = []
    for value in values:
        half = letter * (len(f"{value:g}") + 1) / 2
        middle = np.log(value / values[0]) / span
        row = next((row for row, end in enumerate(ends) if end <= middle - half), len(ends))
        ends[row : row + 1] = [middle + half]
        rows.append(row)
    return rows
