"""Elements that all figures share: colours, markers, panels, ticks, and intervals drawn as bars.

Figures are built without pyplot, so drawing one leaves no global state behind. The colours are Okabe
and Ito's, which colour-blind readers can distinguish. Markers and line styles differ too, so that
series remain distinct in grey.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

from analysis.axes import PANEL, label
from analysis.cells import is_open, located
from analysis.signs import literal

__all__ = [
    "COLOURS",
    "LINES",
    "MARKERS",
    "MOST_PANELS",
    "OPEN",
    "PREDICTED",
    "RESIDUAL",
    "STYLE",
    "error_bars",
    "grid_of",
    "line",
    "log_ordinate",
    "panels_of",
    "parts_along",
    "sample_ticks",
    "save",
    "series_look",
    "show_text",
]

STYLE: Any = {
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.labelsize": 10,
    "figure.constrained_layout.use": True,
    "font.size": 9,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "savefig.dpi": 160,
    "svg.fonttype": "none",
    "svg.hashsalt": "widthlaw",
}
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
LINES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)))
MOST_PANELS = 12
OPEN = "interval open at an end"
"""Legend of hollow markers: critical widths whose interval lacks an end."""
PREDICTED = {"k_edge": "predicted (edge)", "k_edge_finite": "predicted (edge, finite n)"}
"""Names of the predicted critical widths."""
RESIDUAL = "measured /\npredicted − 1"
"""Label of the ordinate of a panel with relative residuals."""


def grid_of(columns: int, rows: int = 1, width: float = 4.2, height: float = 3.6) -> Any:
    """Return a figure and its grid of axes; width and height are those of one panel, in inches."""
    figure = Figure(figsize=(width * columns, height * rows))
    return figure, figure.subplots(rows, columns, squeeze=False)


def series_look(index: int) -> dict[str, Any]:
    """Return the colour and the marker of a series."""
    return {"color": COLOURS[index % len(COLOURS)], "marker": MARKERS[index % len(MARKERS)]}


def parts_along(ds: xr.Dataset, dims: Iterable[str]) -> Iterator[tuple[str, xr.Dataset]]:
    """Yield the name and the part of a Dataset for each combination of values on some dims.

    Dims that it does not have are skipped.
    """
    own = [dim for dim in dims if dim in ds.dims]
    for values in itertools.product(*(ds[dim].values for dim in own)):
        at = dict(zip(own, values, strict=True))
        name = ", ".join(filter(None, itertools.starmap(label, at.items())))
        yield literal(name), ds.sel(at)


def panels_of(ds: xr.Dataset) -> Iterator[tuple[str, xr.Dataset]]:
    """Yield the name and the part of a Dataset for each panel: no scaling law holds across them."""
    return parts_along(ds, PANEL)


def error_bars(
    axes: Axes, x: Any, cells: xr.Dataset, scale: Any = 1.0, shift: float = 0.0, **look: Any
) -> list[Any]:
    """Draw critical widths with their intervals, scaled and shifted.

    A width with an open interval gets a hollow marker and no bar, because a single arm would look like
    a bound.
    """
    x, free = np.asarray(x, dtype=float), is_open(cells)
    k50, low, high = (cells[f"k50{end}"].values * scale + shift for end in ("", "_low", "_high"))
    arms = np.where(located(cells) & ~free, np.maximum([k50 - low, high - k50], 0), np.nan)
    k50 = np.where(located(cells), k50, np.nan)
    bars = axes.errorbar(x, k50, yerr=arms, linestyle="none", capsize=2, markersize=5, **look)
    bars.lines[0].set_markevery((~free).tolist())
    drawn: list[Any] = [bars]
    if free.any():
        shown = {key: look[key] for key in ("color", "marker") if key in look}
        hollow: dict[str, Any] = {"linestyle": "none", "markersize": 5, "markerfacecolor": "none"}
        drawn += axes.plot(x[free], k50[free], **shown, **hollow)
        axes.plot([], [], color="grey", marker="o", label=OPEN, **hollow)
    return drawn


def line(axes: Axes, x: Any, y: Any, **look: Any) -> None:
    """Draw a line through the finite points: a cell that is missing does not interrupt a law."""
    known = np.isfinite(y)
    axes.plot(np.asarray(x)[known], np.asarray(y)[known], **look)


def sample_ticks(axes: Axes, n: Any) -> None:
    """Make the abscissa a logarithmic axis of n: a tick at every value, labels where they fit."""
    values = np.unique(np.asarray(n, dtype=float))
    axes.set_xscale("log")
    room = np.log(values[-1] / values[0]) / 14
    labels, last = [], -np.inf
    for at in np.log(values):
        labels.append(f"{np.exp(at):.0f}" if at - last >= room else "")
        last = at if labels[-1] else last
    axes.set_xticks(values, labels)
    axes.set_xticks([], minor=True)
    axes.set_xlabel("samples n")


def log_ordinate(axes: Axes) -> None:
    """Make the ordinate logarithmic, labelled at 1, 2 and 5 per decade, or evenly if short."""
    axes.set_yscale("log")
    low, high = axes.get_ylim()
    axes.yaxis.set_major_locator(MaxNLocator(6) if high < 5 * low else LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter(NullFormatter())


def show_text(axes: Axes, text: str) -> None:
    """Show a text instead of a panel that has nothing to draw."""
    axes.set_axis_off()
    axes.text(0.5, 0.5, text, ha="center", va="center", transform=axes.transAxes, wrap=True)


MADE_BY = {"Creator": "widthlaw"}
"""The mark in the metadata of a figure's file, which says that widthlaw may replace it."""


def save(figure: Figure, path: Path) -> None:
    """Write a figure in the format of the path's suffix.

    The layout is solved on the first call only, which halves the time of the next format.
    """
    with mpl.rc_context(STYLE):
        figure.savefig(path, metadata=MADE_BY | ({"Date": None} if path.suffix == ".svg" else {}))
    figure.set_layout_engine("none")
