"""Panels for the parts of a store: their grids, titles, legends, and marks of critical widths."""

from __future__ import annotations

from textwrap import fill
from typing import Any

import matplotlib as mpl
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter
from scipy.optimize import isotonic_regression

from analysis.axes import CELL
from analysis.cells import is_open, located
from analysis.figures.style import MOST_PANELS, OPEN, grid_of, parts_along, show_text
from analysis.transitions.curves import LINKS
from pipeline.trial_status import Status

__all__ = [
    "draw_success",
    "each_once",
    "grid_of_parts",
    "grid_with_residuals",
    "is_beyond",
    "left_out",
    "legend_below",
    "log_abscissa",
    "mark_beyond",
    "mark_critical",
    "parts_of",
    "shades",
    "share_abscissa",
    "with_axes",
    "with_missing",
    "wrapped",
]

RAN = (Status.DONE, Status.DIVERGED)


def parts_of(ds: xr.Dataset, *kept: str) -> list[tuple[str, xr.Dataset]]:
    """Return the name and the part of each cell with something to draw; the kept dims stay."""
    dims = [dim for dim in CELL if dim not in kept]
    return [(name, part) for name, part in parts_along(ds, dims) if _has_any(part)]


def _has_any(part: xr.Dataset) -> bool:
    if "status" in part:
        return bool(part.status.isin(RAN).any())
    return not bool((part.outcome == "empty").all())


def with_axes(ds: xr.Dataset, *dims: str) -> xr.Dataset:
    """Return a Dataset with all of the dims; a store omits those that have a single value."""
    for dim in dims:
        if dim not in ds.dims:
            defaults = {"activation": ds.attrs.get("activation", [""]), "depth": [1]}
            found = ds.attrs.get("identity_fields", {}).get(dim, defaults.get(dim, [""]))
            ds = ds.expand_dims({dim: [found[0]]})
    return ds


def grid_of_parts(count: int, across: int, width: float = 3.5, height: float = 3.1) -> Any:
    """Return a figure and the axes of its parts, of which at most `MOST_PANELS` are drawn."""
    shown = max(1, min(count, MOST_PANELS))
    columns = min(across, shown)
    if columns == 1:  # a legend below needs room
        width = max(width, 5.6)
    figure, grid = grid_of(columns, -(-shown // columns), width, height)
    for axes in grid.ravel()[shown:]:
        axes.set_axis_off()
    if count > shown:
        figure.suptitle(left_out(count - shown), fontsize=9)
    if not count:
        show_text(grid[0, 0], "no trial is done yet")
    return figure, grid.ravel()


def grid_with_residuals(columns: int, rows: int, width: float = 4.2, height: float = 4.6) -> Any:
    """Return a figure and pairs of axes: a panel, and its residuals below on the same abscissa."""
    figure = Figure(figsize=(width * columns, height * rows))
    ratios = [3.2, 1] * rows
    grid = figure.subplots(2 * rows, columns, squeeze=False, gridspec_kw={"height_ratios": ratios})
    pairs = [(grid[2 * row, at], grid[2 * row + 1, at]) for row in range(rows) for at in range(columns)]
    for above, below in pairs:
        below.sharex(above)
    return figure, pairs


def share_abscissa(above: Axes, below: Axes) -> None:
    """Label the abscissa of a pair of axes once, below."""
    below.set_xlabel(above.get_xlabel())
    above.xaxis.label.set_visible(False)
    above.tick_params(labelbottom=False)
    below.axhline(0, color="0.65", linewidth=0.8, zorder=0)


def shades(count: int) -> list[Any]:
    """Return colours from dark to light, which remain distinct in grey."""
    return [mpl.colormaps["viridis"](share) for share in np.linspace(0, 0.88, count)]


def legend_below(figure: Figure, *sources: Axes, columns: int = 7) -> None:
    """Draw one legend for all panels, below them, with every name once."""
    handles, names = each_once(*sources)
    if not names:
        return
    # In inches, with the handle.
    longest = 0.075 * max(len(row) for name in names for row in name.split("\n")) + 0.55
    room = max(1, int(figure.get_figwidth() / longest))
    columns = min(columns, room, len(names))
    figure.legend(handles, names, loc="outside lower center", ncols=columns)


def each_once(*sources: Axes) -> tuple[list[Any], list[str]]:
    """Return the handles and names of the legends of some axes, every name once."""
    found: dict[str, Any] = {}
    for axes in sources:
        for handle, name in zip(*axes.get_legend_handles_labels(), strict=True):
            found.setdefault(name, handle)
    return list(found.values()), list(found)


def log_abscissa(axes: Axes) -> None:
    """Make the abscissa logarithmic, labelled at 1, 2 and 5 per decade, or evenly if short."""
    axes.set_xscale("log")
    low, high = axes.get_xlim()
    few = LogLocator(subs=(1, 2, 5) if high < 100 * low else (1,))
    axes.xaxis.set_major_locator(MaxNLocator(4) if high < 5 * low else few)
    axes.xaxis.set_major_formatter("{x:,g}")
    axes.xaxis.set_minor_formatter(NullFormatter())


def draw_success(
    axes: Axes, cell: xr.Dataset, share: Any, trials: Any, k: Any, x: Any, **look: Any
) -> None:
    """Draw shares of success as points, and the curve that passes one half at the critical width.

    Both are drawn at the abscissae x of the widths k. The curve is the fitted one, or the isotonic fit
    where the critical width is its crossing; without a critical width, a line joins the points.
    """
    known = np.flatnonzero(np.asarray(trials) > 0)
    known = known[np.argsort(np.asarray(k)[known], kind="stable")]
    if not len(known):
        return
    k, x, share, trials = (np.asarray(values, float)[known] for values in (k, x, share, trials))
    at, heights = _success_curve(cell, k, share, trials)
    places = np.exp(np.interp(np.log(at), np.log(k), np.log(x)))
    axes.plot(x, share, linestyle="none", marker=".", markersize=4, color=look["color"])
    axes.plot(places, heights, **{"linewidth": 1.3, **look})


def _success_curve(cell: xr.Dataset, k: Any, share: Any, trials: Any) -> tuple[Any, Any]:
    """Return widths, the critical one among them, and the heights of the curve there."""
    if not located(cell):
        return k, share
    k50, slope = float(cell.k50), float(cell.slope)
    at = np.union1d(k, np.append(np.geomspace(k[0], k[-1], 200), k50))
    if np.isnan(slope) or k50 == float(cell.k50_isotonic):
        fit = isotonic_regression(share, weights=trials).x
        return at, np.interp(np.log(at), np.log(k), fit)
    return at, LINKS[cell.attrs["link"]].chance(slope * np.log(at / k50))


def mark_critical(axes: Axes, cell: xr.Dataset, k: Any, x: Any, **look: Any) -> None:
    """Draw a critical width and its interval at a share of one half.

    It is interpolated between the widths k to the abscissae x at which they are drawn.
    """
    if not located(cell):
        return
    free = bool(is_open(cell))
    ends = [float(cell[name]) for name in (["k50"] * 3 if free else ["k50_low", "k50", "k50_high"])]
    known = np.log(np.clip(ends, k[0], k[-1]))
    low, middle, high = np.exp(np.interp(known, np.log(k), np.log(x)))
    look = {"markeredgecolor": "black", "markersize": 7, "zorder": 4, "linestyle": "none", **look}
    if free:
        hollow = {**look, "markerfacecolor": "none", "markeredgecolor": look["color"]}
        axes.plot([middle], [0.5], **hollow)
        axes.plot([], [], **hollow | {"color": "grey", "markeredgecolor": "grey"}, label=OPEN)
    else:
        axes.errorbar([middle], [0.5], xerr=[[middle - low], [high - middle]], capsize=3, **look)


def is_beyond(cells: xr.Dataset) -> Any:
    """Return for each cell whether its critical width exceeds the widest width of the grid."""
    return (cells.outcome.values == "censored") & np.isinf(cells.bracket_high.values)


def mark_beyond(axes: Axes, x: Any, cells: xr.Dataset, scale: Any = 1.0, **look: Any) -> None:
    """Draw hollow triangles at the widest width of the grid where even that is too narrow."""
    beyond = is_beyond(cells)
    if beyond.any():
        heights = (cells.bracket_low.values * scale)[beyond]
        look = {"linestyle": "none", "marker": "^", "markerfacecolor": "none", **look}
        axes.plot(np.asarray(x)[beyond], heights, **look)
        axes.plot([], [], **{**look, "color": "grey"}, label="above the widest tried")


def wrapped(title: str, width: int) -> str:
    """Wrap the name of a panel between its parts, never within one."""
    return fill(title.replace(" ", "\u00a0").replace(",\u00a0", ", "), width).replace("\u00a0", " ")


def left_out(count: int, noun: str = "panels") -> str:
    """Return the note that some panels (or series) are not drawn."""
    return f"{count} more {noun} are not drawn; select fewer cells"


def with_missing(name: str, cells: xr.Dataset) -> str:
    """Return a name, followed by the numbers of cells without a critical width, by outcome."""
    outcomes = cells.outcome.values.astype(str)
    counts = {
        outcome: int((outcomes == outcome).sum()) for outcome in ("degenerate", "censored", "unordered")
    }
    missing = ", ".join(f"{count} {outcome}" for outcome, count in counts.items() if count)
    return f"{name} ({missing})" if missing else name
