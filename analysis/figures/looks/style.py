"""Elements that all figures share: looks with one meaning each, panels, ticks, and intervals as bars.

Colours are those of the user's Matplotlib style, and greys are mixed from its text and its paper, so
that a figure is legible on any ground. Markers differ too, so that series remain distinct in grey.

A look has the same meaning in all figures. Dashes are predicted from theory with nothing fitted. Dots
are a bound or a condition of theory. Solid and dash-dotted lines are measured or fitted. A hollow
marker is a critical width whose interval is open. An arrow head points at what lies beyond the panel.
A ring around a marker is a cell at the edge of stability, where times are samples.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import matplotlib as mpl
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.patheffects import AbstractPathEffect, withStroke
from matplotlib.transforms import ScaledTranslation, Transform

from analysis.axes import PANEL, label, own_axes
from analysis.cells import is_open, located
from analysis.experiments.chaos import CHAOTIC
from analysis.figures.looks.chart import LONGEST, STYLE, Chart, dot, places, stroke
from analysis.figures.looks.scales import log_axis, tick_every
from analysis.signs import literal

__all__ = [
    "AT_EDGE",
    "BEYOND",
    "BOUND",
    "FITTED",
    "MARKERS",
    "MOST_PANELS",
    "OPEN",
    "PREDICTED",
    "PREDICTION",
    "RESIDUAL",
    "STYLE",
    "aside",
    "error_bars",
    "grey",
    "grid_of",
    "ground",
    "ink",
    "line",
    "log_ordinate",
    "only_text",
    "outlined",
    "pale",
    "panels_of",
    "paper",
    "parts_along",
    "ring",
    "sample_ticks",
    "save",
    "series_line",
    "series_look",
    "shades",
    "show_text",
    "side_by_side",
]

MARKERS = ("o", "s", "D", "P", "X", "h")
PREDICTION = "--"
"""Line style of what theory predicts with nothing fitted."""
BOUND = ":"
"""Line style of bounds, and of conditions that theory shows to be sufficient."""
FITTED = ("-", "-.", (0, (7, 1.5, 1, 1.5, 1, 1.5)))
"""Line styles of fitted laws, best first, and of series whose colours come again."""
BEYOND: Any = {"marker": "^", "linestyle": "none"}
"""Look of the arrow heads that stand for what lies beyond the panel."""
MOST_PANELS = 12
STACKED = 0.75
"""Height over width of panels that a narrow figure has below each other."""
OPEN = "interval open at an end"
"""Legend of hollow markers: critical widths whose interval lacks an end."""
AT_EDGE = "at the edge of stability"
"""Legend of rings around markers: cells where the times of descent are chaotic."""
PREDICTED = {"k_edge": "predicted (edge)", "k_edge_finite": "predicted (edge, finite n)"}
"""Names of the predicted critical widths."""
RESIDUAL = "measured /\npredicted − 1"
"""Label of the ordinate of a panel with relative residuals."""


def grid_of(
    columns: int, rows: int = 1, width: float = 4.2, height: float = 3.6, count: int | None = None
) -> Any:
    """Return a figure and its grid of axes; width and height are those of one panel, in inches.

    The panels of a row continue below where a given size has no room for all of them side by side.
    With a count, which may be less than the grid has places, there is one row of that many axes, which
    show the same for other cells.
    """
    total = columns * rows if count is None else count
    alike = count is not None
    across = places(total, columns, width, alike=alike)
    down = -(-total // across)
    if across < columns:  # panels below each other are flat, so that a page holds some of them
        height = min(height, STACKED * width)
    figure = Chart(width, height, across, down, LONGEST if alike else None)
    spec = figure.add_gridspec(down, across)
    panels = [figure.add_subplot(spec[at // across, at % across]) for at in range(total)]
    return figure, np.array(panels, dtype=object).reshape(1 if alike else rows, -1)


# --- colours of the user's style ------------------------------------------------------------------


def ink() -> str:
    """Return the colour of the text."""
    return to_hex(mpl.rcParams["text.color"])


def paper() -> str:
    """Return the colour of the ground of a panel."""
    return to_hex(mpl.rcParams["axes.facecolor"])


def grey(lightness: float) -> str:
    """Return a colour between that of the text (0) and that of the ground (1)."""
    pairs = zip(to_rgb(ink()), to_rgb(paper()), strict=True)
    red, green, blue = ((1 - lightness) * dark + lightness * light for dark, light in pairs)
    return to_hex((red, green, blue))


def pale(colour: str) -> str:
    """Return a translucent colour, pale on any ground, for the lesser of two series of a kind."""
    return to_hex((*to_rgb(colour), 0.45), keep_alpha=True)


def outlined(width: float) -> list[AbstractPathEffect]:
    """Return an outline in the colour of the ground: a line of a width is seen on lines below it."""
    return [withStroke(linewidth=width + 1.2, foreground=paper())]


def ground() -> dict[str, Any]:
    """Return a box in the colour of the ground, in which words on points are read and stay words."""
    return {"facecolor": paper(), "edgecolor": "none", "alpha": 0.7, "boxstyle": "square,pad=0.1"}


def series_look(index: int) -> dict[str, Any]:
    """Return the colour and the marker of a series; the colours are those of the style's cycle."""
    colours = _colours()
    again = index // len(colours)  # a colour that comes again has another marker
    marker = MARKERS[(index + again) % len(MARKERS)]
    return {"color": colours[index % len(colours)], "marker": marker}


def series_line(index: int) -> Any:
    """Return the style of the line of a series: a colour that comes again has another one."""
    again = index // len(_colours()) % len(FITTED)
    return FITTED[again] if again else mpl.rcParams["lines.linestyle"]


def _colours() -> list[str]:
    return list(mpl.rcParams["axes.prop_cycle"].by_key().get("color", ["C0"]))


def shades(count: int) -> list[Any]:
    """Return colours from one end of the style's colour map towards the other, distinct in grey.

    The end that is close to the colour of the ground is left out.
    """
    is_dark = float(np.mean(to_rgb(paper()))) < 0.5
    ends = (0.3, 1.0) if is_dark else (0.0, 0.88)
    return [
        to_hex(mpl.colormaps[mpl.rcParams["image.cmap"]](share)) for share in np.linspace(*ends, count)
    ]


# --- panels ---------------------------------------------------------------------------------------


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
    return parts_along(ds, (*PANEL, *own_axes(ds)))


def side_by_side(count: int, gap: float = 3.5) -> list[float]:
    """Return shifts in points that keep the intervals of some series from hiding each other."""
    return [gap * (index - (count - 1) / 2) for index in range(count)]


def aside(axes: Axes, points: float, x: Any, *heights: Any) -> Transform:
    """Return the coordinates of the data, shifted to the right by some points of the page.

    The limits of the axes are made to include what is drawn there at x and at some heights.
    """
    for y in heights:
        at = np.column_stack(np.broadcast_arrays(np.asarray(x, float), np.asarray(y, float)))
        axes.update_datalim(at[np.isfinite(at).all(axis=1)])
    return axes.transData + ScaledTranslation(points / 72, 0, axes.figure.dpi_scale_trans)


def error_bars(
    axes: Axes,
    x: Any,
    cells: xr.Dataset,
    scale: Any = 1.0,
    shift: float = 0.0,
    beside: float = 0.0,
    **look: Any,
) -> list[Any]:
    """Draw critical widths with their intervals, scaled and shifted, some points beside their place.

    A width with an open interval gets a hollow marker and no bar, because a single arm would look like
    a bound. A width of a cell that is known to be chaotic, by `at_edge`, gets a ring.
    """
    x, free = np.asarray(x, dtype=float), is_open(cells)
    k50, low, high = (cells[f"k50{end}"].values * scale + shift for end in ("", "_low", "_high"))
    arms = np.where(located(cells) & ~free, np.maximum([k50 - low, high - k50], 0), np.nan)
    k50 = np.where(located(cells), k50, np.nan)
    if beside:
        look["transform"] = aside(axes, beside, x, k50 - arms[0], k50, k50 + arms[1])
    bars = axes.errorbar(x, k50, yerr=arms, linestyle="none", capsize=2, markersize=dot(5), **look)
    bars.lines[0].set_markevery((~free).tolist())
    drawn: list[Any] = [bars]
    if free.any():
        shown = {key: look[key] for key in ("color", "marker", "transform") if key in look}
        hollow: dict[str, Any] = {"linestyle": "none", "markersize": dot(5), "markerfacecolor": "none"}
        drawn += axes.plot(x[free], k50[free], **shown, **hollow)
        axes.plot([], [], color=grey(0.5), marker="o", label=OPEN, **hollow)
    if "at_edge" in cells:
        chaotic = np.where(cells.at_edge.values > CHAOTIC, k50, np.nan)
        ring(axes, x, chaotic, **({"transform": look["transform"]} if beside else {}))
    return drawn


def ring(axes: Axes, x: Any, y: Any, **look: Any) -> None:
    """Draw rings around the markers of cells at the edge of stability, if there are any."""
    known = np.isfinite(y)
    if known.any():
        look |= {"markerfacecolor": "none", "markeredgewidth": stroke(0.8), "markersize": dot(10)}
        at: Any = (np.asarray(x)[known], np.asarray(y)[known])
        axes.plot(*at, "o", linestyle="none", color=grey(0.35), zorder=1, label=AT_EDGE, **look)


def line(axes: Axes, x: Any, y: Any, **look: Any) -> None:
    """Draw a line through the finite points: a cell that is missing does not interrupt a law."""
    known = np.isfinite(y)
    axes.plot(np.asarray(x)[known], np.asarray(y)[known], **look)


def sample_ticks(axes: Axes, n: Any) -> None:
    """Make the abscissa a logarithmic axis of n, with a labelled tick at every value."""
    tick_every(axes.xaxis, n)
    axes.set_xlabel("samples n")


def log_ordinate(axes: Axes) -> None:
    """Make the ordinate logarithmic, with a few round numbers as labels."""
    log_axis(axes.yaxis)


def show_text(axes: Axes, text: str) -> None:
    """Show a text instead of a panel that has nothing to draw."""
    axes.set_axis_off()
    axes.text(0.5, 0.5, text, ha="center", va="center", transform=axes.transAxes, wrap=True)


MADE_BY = {"Creator": "widthlaw"}
"""The mark in the metadata of a figure's file, which says that widthlaw may replace it."""


def only_text(figure: Figure, text: str) -> None:
    """Show a text instead of all panels."""
    for axes in figure.axes:
        axes.set_axis_off()
    show_text(figure.axes[len(figure.axes) // 2], text)


def save(figure: Chart, path: Path) -> None:
    """Write a figure in the format of the path's suffix; nobody sees a file with half a picture.

    The layout is solved on the first call only, which halves the time of the next format.
    """
    place = path.resolve()  # a link stays a link
    draft = place.with_name(f".{uuid4().hex}{path.suffix}")
    try:
        figure.savefig(draft, metadata=MADE_BY | ({"Date": None} if path.suffix == ".svg" else {}))
        draft.replace(place)
    finally:
        draft.unlink(missing_ok=True)
    figure.keep_layout()
