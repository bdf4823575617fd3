"""Panels for the parts of a store: their grids, titles, legends, and marks of critical widths."""

from __future__ import annotations

import re
from textwrap import fill
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure
from scipy.optimize import isotonic_regression

from analysis.axes import CELL, own_axes
from analysis.cells import is_open, located
from analysis.figures.looks.chart import LONGEST, Chart, dot, em, places, stroke
from analysis.figures.looks.scales import log_axis, room_of
from analysis.figures.looks.style import (
    AT_EDGE,
    BEYOND,
    MOST_PANELS,
    OPEN,
    grey,
    grid_of,
    ink,
    only_text,
    parts_along,
)
from analysis.figures.looks.typography import plain, powers
from analysis.transitions.curves import LINKS
from pipeline.trial_status import Status

__all__ = [
    "axes_as_in",
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
    "share_abscissa",
    "titled",
    "upper_end",
    "with_axes",
    "with_missing",
    "wrapped",
]

ABOVE = "above the widest tried"
"""Legend of arrow heads: critical widths above the grid."""
RAN = (Status.DONE, Status.DIVERGED)


def parts_of(ds: xr.Dataset, *kept: str) -> list[tuple[str, xr.Dataset]]:
    """Return the name and the part of each cell with something to draw; the kept dims stay."""
    dims = [dim for dim in (*own_axes(ds), *CELL) if dim not in kept]
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


def axes_as_in(ds: xr.Dataset, found: xr.Dataset, *dims: str) -> xr.Dataset:
    """Return an answer on a store with the dims that `with_axes` has given to the store."""
    lacking = [dim for dim in dims if dim not in found.dims]
    return found.expand_dims({dim: ds[dim].values for dim in lacking}) if lacking else found


def grid_of_parts(count: int, across: int, width: float = 3.5, height: float = 3.1) -> Any:
    """Return a figure and the axes of its parts, of which at most `MOST_PANELS` are drawn."""
    shown = max(1, min(count, MOST_PANELS))
    columns = min(across, shown)
    if columns == 1:  # a legend below needs room
        width = max(width, 5.6)
    figure, grid = grid_of(columns, -(-shown // columns), width, height, shown)
    if count > shown:
        figure.suptitle(left_out(count - shown))
    if not count:
        only_text(figure, "no trial is done yet")
    return figure, grid.ravel()


def grid_with_residuals(columns: int, count: int, width: float = 4.2, height: float = 4.6) -> Any:
    """Return a figure and pairs of axes: a panel, and its residuals below on the same abscissa."""
    across = places(count, columns, width, alike=True)
    down = -(-count // across)
    figure = Chart(width, height, across, down, LONGEST)
    spec = figure.add_gridspec(2 * down, across, height_ratios=[3.2, 1] * down)
    pairs: list[tuple[Axes, Axes]] = []
    for row in range(down):
        beside = range(min(across, count - len(pairs)))
        above = [figure.add_subplot(spec[2 * row, at]) for at in beside]
        below = [figure.add_subplot(spec[2 * row + 1, at], sharex=above[at]) for at in beside]
        pairs += zip(above, below, strict=True)
    return figure, pairs


def share_abscissa(above: Axes, below: Axes) -> None:
    """Label the abscissa of a pair of axes once, below."""
    below.set_xlabel(above.get_xlabel())
    above.xaxis.label.set_visible(False)
    above.tick_params(labelbottom=False)
    below.axhline(0, color=grey(0.65), linewidth=stroke(0.8), zorder=0)


def legend_below(figure: Figure, *sources: Axes, columns: int = 7) -> None:
    """Draw one legend for all panels, below them, with every name once."""
    handles, names = each_once(*sources)
    if not names:
        return
    rows: Any = {"handles": handles, "labels": names, "loc": "outside lower center"}
    legend = figure.legend(**rows)
    room = int(figure.bbox.width / legend.get_window_extent().width)
    if min(columns, room, len(names)) > 1:
        legend.remove()
        figure.legend(**rows, ncols=min(columns, room, len(names)))


def each_once(*sources: Axes) -> tuple[list[Any], list[str]]:
    """Return the handles and names of the legends of some axes: every name once, numbers in order.

    Names that differ in one number, such as `n = 27` and `n = 48`, stand together.
    """
    found: dict[str, Any] = {}
    for axes in sources:
        known = sorted(zip(*axes.get_legend_handles_labels(), strict=True), key=_rank)
        found |= {name: handle for handle, name in known if name not in found}
    kinds = {name: _NUMBER.split(plain(name), maxsplit=1) for name in found}
    first: dict[tuple[str, str], int] = {}
    for place, (name, parts) in enumerate(kinds.items()):
        first.setdefault((parts[0], parts[-1]) if len(parts) > 1 else (name, ""), place)
    names = sorted(found, key=lambda name: _order(name, kinds[name], first))
    return [found[name] for name in names], names


def _rank(entry: tuple[Any, str]) -> int:
    """Return the place of a name in a legend: measurements first, explanations of marks last."""
    handle, name = entry
    return 2 if name in (OPEN, ABOVE, AT_EDGE) else 0 if isinstance(handle, ErrorbarContainer) else 1


_NUMBER = re.compile(r"(?<=[=≤] )(10\^[−\d]+|\d[\d,.]*(?:×10\^[−\d]+)?)")
"""A number after an equality or an inequality, as labels have it."""


def _order(name: str, parts: list[str], first: dict[tuple[str, str], int]) -> tuple[int, float]:
    if len(parts) == 1:
        return first[name, ""], 0.0
    value = parts[1].replace(",", "").replace("−", "-")
    factor, _, exponent = value.partition("10^")
    number = float(factor.rstrip("×") or 1) * 10.0 ** float(exponent) if exponent else float(value)
    return first[parts[0], parts[-1]], number


def log_abscissa(axes: Axes) -> None:
    """Make the abscissa logarithmic, with a few round numbers as labels."""
    log_axis(axes.xaxis)


def draw_success(
    axes: Axes,
    cell: xr.Dataset,
    share: Any,
    trials: Any,
    k: Any,
    x: Any,
    *,
    name: str,
    color: str,
) -> None:
    """Draw shares of success as points, and the curve that passes one half at the critical width.

    Both are drawn at the abscissae x of the widths k. The curve is the fitted one, or the isotonic fit
    where the critical width is its crossing; without a critical width, a line joins the points. The
    name is that of the series in the figure's data.
    """
    known = np.flatnonzero(np.asarray(trials) > 0)
    known = known[np.argsort(np.asarray(k)[known], kind="stable")]
    if not len(known):
        return
    k, x, share, trials = (np.asarray(values, float)[known] for values in (k, x, share, trials))
    at, heights = _success_curve(cell, k, share, trials)
    there, back = _covariate(cell)
    places = back(np.interp(there(at), there(k), there(x)))
    points: Any = {"linestyle": "none", "marker": ".", "markersize": dot(4), "color": color}
    axes.plot(x, share, **points, label=f"_{name}, share")
    axes.plot(places, heights, color=color, linewidth=stroke(1.3), label=f"_{name}, curve")
    if upper_end(cell) < 1:
        ends: Any = {"color": color, "linewidth": stroke(0.8), "linestyle": ":"}
        axes.plot(x[[0, -1]], [upper_end(cell)] * 2, **ends, label=f"_{name}, 1 − lapse rate")


def upper_end(cell: xr.Dataset) -> float:
    """Return the share of success far beyond the transition: 1, or less by the lapse rate."""
    return 1 - float(np.nan_to_num(cell.lapse)) if "lapse" in cell else 1.0


def _covariate(cell: xr.Dataset) -> tuple[Any, Any]:
    """Return the function from values of an axis to the covariate of curves, and the one back."""
    linear = cell.attrs.get("scale") == "linear"
    return (np.asarray, np.asarray) if linear else (np.log, np.exp)


def _success_curve(cell: xr.Dataset, k: Any, share: Any, trials: Any) -> tuple[Any, Any]:
    """Return widths, the critical one among them, and the heights of the curve there."""
    if not located(cell):
        return k, share
    k50, slope = float(cell.k50), float(cell.slope)
    there, back = _covariate(cell)
    at = np.union1d(k, np.append(back(np.linspace(there(k[0]), there(k[-1]), 50)), k50))
    if np.isnan(slope) or k50 == float(cell.k50_isotonic):
        rising = cell.attrs.get("direction") != "falling"
        fit = isotonic_regression(share, weights=trials, increasing=rising).x
        return at, np.interp(there(at), there(k), fit)
    chance = LINKS[cell.attrs["link"]].chance(slope * (there(at) - there(k50)))
    return at, upper_end(cell) * chance


def mark_critical(axes: Axes, cell: xr.Dataset, k: Any, x: Any, **look: Any) -> None:
    """Draw a critical width and its interval at a share of one half, or half of the upper end.

    It is interpolated between the widths k to the abscissae x at which they are drawn.
    """
    if not located(cell):
        return
    free = bool(is_open(cell))
    ends = [float(cell[name]) for name in (["k50"] * 3 if free else ["k50_low", "k50", "k50_high"])]
    there, back = _covariate(cell)
    known = there(np.clip(ends, k[0], k[-1]))
    low, middle, high = back(np.interp(known, there(k), there(x)))
    half = upper_end(cell) / 2
    look = {"markeredgecolor": ink(), "markersize": dot(7), "zorder": 4, "linestyle": "none", **look}
    if free:
        hollow = {**look, "markerfacecolor": "none", "markeredgecolor": look["color"]}
        axes.plot([middle], [half], **hollow)
        proxy = hollow | {"color": grey(0.5), "markeredgecolor": grey(0.5), "marker": "o"}
        axes.plot([], [], **proxy | {"label": OPEN})
    else:
        axes.errorbar([middle], [half], xerr=[[middle - low], [high - middle]], capsize=3, **look)


def is_beyond(cells: xr.Dataset) -> Any:
    """Return for each cell whether its critical width exceeds the widest width of the grid."""
    return (cells.outcome.values == "censored") & np.isinf(cells.bracket_high.values)


def mark_beyond(axes: Axes, x: Any, cells: xr.Dataset, scale: Any = 1.0, **look: Any) -> None:
    """Draw an arrow head at the widest width of the grid where even that is too narrow."""
    beyond = is_beyond(cells)
    if beyond.any():
        heights = (cells.bracket_low.values * scale)[beyond]
        axes.plot(np.asarray(x)[beyond], heights, **BEYOND | look)
        axes.plot([], [], **BEYOND, color=grey(0.5), label=ABOVE)


def titled(axes: Axes, title: str, width: int = 46, share: float = 1.0) -> None:
    """Give a panel a title, wrapped between its parts, with powers of ten typeset.

    Parameters
    ----------
    axes
        The panel.
    title
        The title.
    width
        Number of letters of a line, at most.
    share
        Share of the column of the panel that long labels of ticks leave.
    """
    room = share * room_of(axes) / em() - 0.6  # beside the labels of its ordinate
    letters = int(room * 72 / (0.62 * 10))
    axes.set_title(powers(wrapped(title, max(16, min(int(width / em() ** 0.5), letters)))))


def wrapped(title: str, width: int) -> str:
    """Wrap the name of a panel between its parts, never within one."""
    parts = title.replace(" ", "\u00a0").replace(",\u00a0", ", ")
    return fill(parts, width, break_long_words=False).replace("\u00a0", " ")


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
