"""The numbers that a figure shows, as CSV: read from what is drawn, so they are what a reader sees.

A row is a point: its panel, its series, x and y, and the ends of its interval if it has one. A bar of a
histogram is a point whose ends in x are `x` and `x_high`. Values have four digits, whole numbers all of
theirs.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PathCollection, PolyCollection
from matplotlib.colors import to_hex
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure
from matplotlib.patches import StepPatch

__all__ = ["COLUMNS", "csv_of", "points_of"]

COLUMNS = ("panel", "series", "x", "y", "low", "high", "x_high")

Point = dict[str, Any]


def csv_of(points: list[Point], columns: tuple[str, ...] = COLUMNS) -> str:
    """Return points as CSV; a column in which no point has a value is left out."""
    kept = [name for name in columns if any(_text(point.get(name)) for point in points)]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(kept)
    writer.writerows([[_text(point.get(name)) for name in kept] for point in points])
    return text.getvalue()


def _text(value: Any) -> str:
    """Return a value as the CSV has it; empty for None and for NaN."""
    if value is None or isinstance(value, str):
        return value or ""
    number = float(value)
    if number.is_integer() and abs(number) < 1e9:
        return f"{number:.0f}"
    return "" if np.isnan(number) else f"{number:.4g}"


def points_of(figure: Figure) -> list[Point]:
    """Return the points of a figure, panel by panel."""
    return [
        {"panel": _name_of(axes, index), **point}
        for index, axes in enumerate(figure.axes, start=1)
        for point in _points(axes, _labels_of(figure))
    ]


def _name_of(axes: Axes, index: int) -> str:
    """Return the title of a panel and its ordinate, in one line; its number if it has neither."""
    titles = [axes.get_title(loc) for loc in ("left", "center", "right")]
    names = [*titles, axes.get_ylabel()]
    return ", ".join(" ".join(name.split()) for name in names if name) or f"panel {index}"


def _labels_of(figure: Figure) -> dict[tuple[str, ...], str]:
    """Return the labels of series by their look, because only one of several equal lines has it."""
    found: dict[tuple[str, ...], str] = {}
    for axes in figure.axes:
        for line in axes.lines:
            label = str(line.get_label())
            if not label.startswith("_"):
                found.setdefault(_look(line), label)
                found.setdefault(_look(line)[:1], label)
    return found


def _look(line: Any) -> tuple[str, ...]:
    return to_hex(line.get_color()), str(line.get_linestyle()), str(line.get_marker())


def _points(axes: Axes, labels: dict[tuple[str, ...], str]) -> Iterator[Point]:
    """Yield the points of a panel: intervals, lines, strips of points, areas and histograms."""
    bars = [box for box in axes.containers if isinstance(box, ErrorbarContainer)]
    parts = {id(artist) for box in bars for artist in (box[0], *box[1], *box[2])}
    for box in bars:
        yield from _with_intervals(box, labels)
    for line in axes.lines:
        if id(line) not in parts and line.get_transform() == axes.transData:
            x, y = (np.asarray(values, dtype=float) for values in line.get_data())
            label = str(line.get_label())
            series = _plain(label) or labels.get(_look(line)) or labels.get(_look(line)[:1], "")
            yield from _each(series, x, y)
    for collection in axes.collections:
        if id(collection) in parts:
            continue
        series = _plain(str(collection.get_label()))
        if isinstance(collection, PathCollection):
            yield from _each(series, *np.asarray(collection.get_offsets(), dtype=float).T)
        elif isinstance(collection, PolyCollection | LineCollection):
            for path in collection.get_paths():
                yield from _each(series, *np.asarray(path.vertices, dtype=float).T)
    for patch in axes.patches:
        if isinstance(patch, StepPatch):
            values, edges, _ = patch.get_data()
            for y, x, x_high in zip(values, edges[:-1], edges[1:], strict=True):
                yield {"series": _plain(str(patch.get_label())), "x": x, "y": y, "x_high": x_high}


def _plain(label: str) -> str:
    """Return a label in one line; none if matplotlib made it up."""
    return "" if label.startswith("_") else " ".join(label.split())


def _each(series: str, x: Any, y: Any) -> Iterator[Point]:
    """Yield the points of a series that can be drawn."""
    for one, other in zip(x, y, strict=True):
        if np.isfinite(one) and np.isfinite(other):
            yield {"series": series, "x": one, "y": other}


def _with_intervals(box: ErrorbarContainer, labels: dict[tuple[str, ...], str]) -> Iterator[Point]:
    """Yield the points of error bars with the ends of their intervals."""
    line, _, (arms, *_) = box
    if line is None:
        return
    series = _plain(str(box.get_label())) or labels.get(_look(line)) or labels.get(_look(line)[:1], "")
    x, y = (np.asarray(values, dtype=float) for values in line.get_data())
    upright = box.has_yerr
    for one, other, arm in zip(x, y, arms.get_segments(), strict=True):
        if not (np.isfinite(one) and np.isfinite(other)):
            continue
        point: Point = {"series": series, "x": one, "y": other}
        ends = np.asarray(arm, dtype=float).reshape(-1, 2)[:, 1 if upright else 0]
        if len(ends) == 2 and np.isfinite(ends).all():
            point |= {"low": ends.min(), "high": ends.max()}
        yield point
