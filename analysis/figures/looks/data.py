"""The numbers that a figure shows, as a table: a row for each point, bar and cell of a map.

They are read from the drawn figure, so the table cannot differ from it. An artist belongs to the table
if it has a label: the name of its series, after an underscore where the legend omits it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.collections import PathCollection, PolyCollection
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import StepPatch

from analysis.figures.looks.scales import Names
from analysis.figures.looks.typography import plain

__all__ = ["COLUMNS", "data_of", "stands_for"]

COLUMNS = ("panel", "series", "x_name", "x", "x_low", "x_high", "y_name", "y", "y_low", "y_high",
           "value")  # fmt: skip
"""Columns of the table: an interval has ends in `low` and `high`, and a cell of a map a `value`."""

Points = dict[str, Any]

_MEANT: WeakKeyDictionary[Artist, Points] = WeakKeyDictionary()
_UNNAMED = re.compile(r"_?(child\d+|nolegend_)?$")


def stands_for(artist: Artist, name: str, **columns: Any) -> None:
    """Keep the numbers that an artist stands for, if it is not drawn at them, as the cells of a map."""
    artist.set_label(f"_{name}")
    _MEANT[artist] = columns


def data_of(figure: Figure) -> pd.DataFrame:
    """Return the numbers that a figure shows.

    Parameters
    ----------
    figure
        From `analysis.figures.draw`.

    Returns
    -------
    pandas.DataFrame
        The columns are those of `COLUMNS` that the figure uses. Missing points are left out.
    """
    tables = [
        pd.DataFrame({"panel": _panel(axes), "series": plain(name)} | _axes_names(axes) | points)
        for axes in figure.axes
        if axes.axison
        for name, points in _series(axes)
    ]
    if not tables:
        return pd.DataFrame(columns=list(COLUMNS[:4]))
    whole = pd.concat([table for table in tables if len(table)], ignore_index=True)
    return whole[[name for name in COLUMNS if name in whole and whole[name].notna().any()]]


# --- names ----------------------------------------------------------------------------------------


def _panel(axes: Axes) -> str:
    """Return the title of a panel; one without a title belongs to that whose abscissa it shares."""
    family = [axes, *axes.get_shared_x_axes().get_siblings(axes)]
    titles = [other.get_title(loc="left") or other.get_title() for other in family]
    return plain(next(filter(None, titles), ""))


def _axes_names(axes: Axes) -> dict[str, str]:
    """Return the labels of the axes; that of an ordinate may stand at the first panel of the row."""
    spec = axes.get_subplotspec()
    row = [
        other
        for other in axes.figure.axes
        if spec and (at := other.get_subplotspec()) and at.rowspan == spec.rowspan
    ]
    ordinate = next(filter(None, (other.get_ylabel() for other in [axes, *row])), "")
    return {"x_name": plain(axes.get_xlabel()), "y_name": plain(ordinate)}


def _named(axis: Axis, values: Any) -> Any:
    """Return the places on an axis, or what stands nearest to them if the axis has names."""
    names = axis.get_major_formatter()
    if not isinstance(names, Names):
        return values
    meant = [plain(value) if isinstance(value, str) else value for value in names.values]
    return [meant[round(float(value))] for value in values]


# --- artists --------------------------------------------------------------------------------------


def _series(axes: Axes) -> Iterator[tuple[str, Points]]:
    """Yield the name and the points of every artist of a panel that belongs to the table."""
    bars = [bar for bar in axes.containers if isinstance(bar, ErrorbarContainer)]
    parts = {id(part) for bar in bars for part in bar.get_children()}
    alone: list[Any] = [*axes.lines, *axes.collections, *axes.patches]
    for artist in [*bars, *(artist for artist in alone if id(artist) not in parts)]:
        label = str(artist.get_label() or "")
        if _UNNAMED.match(label):
            continue
        points = _points(axes, artist)
        if points:
            yield label.removeprefix("_"), points


def _points(axes: Axes, artist: Any) -> Points:
    if isinstance(artist, ErrorbarContainer):
        return _of_bars(axes, artist)
    if artist in _MEANT:
        return _MEANT[artist]
    if isinstance(artist, Line2D):
        return _of_line(axes, artist)
    if isinstance(artist, StepPatch):
        heights, edges, _ = artist.get_data()
        return {"x_low": edges[:-1], "x_high": edges[1:], "y": heights}
    if isinstance(artist, PathCollection):
        return _at(axes, *np.asarray(artist.get_offsets(), dtype=float).T)
    if isinstance(artist, PolyCollection):
        return _of_band(artist)
    return {}


def _at(axes: Axes, x: Any, y: Any) -> Points:
    kept = np.isfinite(x) & np.isfinite(y)
    return {"x": _named(axes.xaxis, x[kept]), "y": _named(axes.yaxis, y[kept])} if kept.any() else {}


def _of_line(axes: Axes, line: Line2D) -> Points:
    """Return the points of a line; one across the whole panel has a single coordinate."""
    x, y = (np.asarray(values, dtype=float) for values in line.get_data())
    if line.get_transform() == axes.get_yaxis_transform(which="grid"):
        return {"y": [y[0]]}
    if line.get_transform() == axes.get_xaxis_transform(which="grid"):
        return {"x": [x[0]]}
    return _at(axes, x, y)


def _of_bars(axes: Axes, bars: ErrorbarContainer) -> Points:
    """Return points and their intervals; an interval that is not drawn has no ends."""
    x, y = (np.asarray(values, dtype=float) for values in bars.lines[0].get_data())
    kept = np.isfinite(x) & np.isfinite(y)
    if not kept.any():
        return {}
    points = _at(axes, x, y)
    directions = [name for name, has in (("x", bars.has_xerr), ("y", bars.has_yerr)) if has]
    for name, collection in zip(directions, bars.lines[2], strict=True):
        ends = np.full((len(x), 2), np.nan)
        for index, path in enumerate(collection.get_paths()):
            ends[index] = np.asarray(path.vertices, dtype=float)[:, "xy".index(name)]
        points |= {f"{name}_low": ends[kept, 0], f"{name}_high": ends[kept, 1]}
    return points


def _of_band(band: PolyCollection) -> Points:
    """Return the lower and upper side of a filled band, whose path goes there and back."""
    paths = [np.asarray(path.vertices, dtype=float) for path in band.get_paths()]
    if not paths:  # it has no finite place
        return {}
    sides = [(path[1 : len(path) // 2], path[len(path) // 2 + 1 : -1][::-1]) for path in paths]
    low, high = (np.concatenate(side) for side in zip(*sides, strict=True))
    return {"x": low[:, 0], "y_low": low[:, 1], "y_high": high[:, 1]}
