"""Success curves of a panel of the phase diagram: shares with Wilson's intervals, and their places."""

from __future__ import annotations

from dataclasses import dataclass

from analysis.report import diagram
from analysis.report.diagram import Diagram, Panel
from analysis.report.numbers import wilson

__all__ = ["Curves", "curves_of"]

LEFT, TOP, WIDTH, HEIGHT = 44.0, 10.0, 280.0, 150.0
COLOURS = 8
"""Number of colours in the style sheet; further curves start again with the first."""


@dataclass(frozen=True)
class Point:
    """A share with its interval, in pixels, and its text."""

    x: float
    y: float
    low: float
    high: float
    text: str


@dataclass(frozen=True)
class Curve:
    """The points of one n, their line, and the number of its colour."""

    n: int
    colour: int
    points: list[Point]

    @property
    def line(self) -> str:
        return " ".join(f"{point.x},{point.y}" for point in self.points)


@dataclass(frozen=True)
class Curves:
    """The curves of a panel, and the labels of its axis of widths."""

    name: str
    curves: list[Curve]
    ticks: list[tuple[float, str]]

    left, top, right, foot = LEFT, TOP, LEFT + WIDTH, TOP + HEIGHT

    @property
    def is_empty(self) -> bool:
        """True if no curve has two points: no trial has run, or there is but one width."""
        return all(len(curve.points) < 2 for curve in self.curves)


def curves_of(phase: Diagram) -> list[Curves]:
    """Return the success curves of every panel, in its last frame: the finest tolerance."""
    return [_of(panel, phase.frames - 1) for panel in phase.panels]


def _of(panel: Panel, frame: int) -> Curves:
    def across(y: float) -> float:
        """Return the position of a width that the phase diagram has at this height."""
        return round(LEFT + WIDTH * (1 - (y - diagram.TOP) / diagram.HEIGHT), 1)

    curves = []
    for index, column in enumerate(panel.columns):
        points = [
            _point(across(panel.scale(band["k"])), column["n"], band["k"], *pair)
            for band, pair in zip(column["bands"], panel.pairs(frame, index), strict=True)
            if pair[1] > 0
        ]
        curves.append(Curve(column["n"], index % COLOURS, points))
    ticks = panel.scale.ticks()
    step = max(1, -(-len(ticks) // 6))
    labels = [(across(y), text) for y, text in ticks[::step]]
    return Curves(panel.name, curves, labels)


def _point(x: float, n: int, k: int, successes: int, trials: int) -> Point:
    share, (low, high) = successes / trials, wilson(successes, trials)
    y, bottom, top = (round(TOP + HEIGHT * (1 - at), 1) for at in (share, low, high))
    text = f"n = {n}, k = {k}: {successes} of {trials} succeed: {share:.2f} [{low:.2f}, {high:.2f}]"
    return Point(x, y, bottom, top, text)
