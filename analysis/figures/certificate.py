"""The figure of Theorem 1: ratios of its bounds, and the bounds on the distance."""

from __future__ import annotations

from typing import Any

import matplotlib as mpl
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

from analysis.axes import NETWORK, TRAINED
from analysis.experiments.theorem1 import applies, worst_ratios
from analysis.figures.parts import legend_below, parts_of, with_axes
from analysis.figures.style import (
    MOST_PANELS,
    STYLE,
    say,
    series_look,
)
from analysis.study import Study

__all__ = ["certificate_figure"]
CEILING = 1.2
"""Ratios beyond it stand as triangles at the top: a diverging trial's would flatten all others."""
DISTANCES = {
    "lower_ratio": "lower bound / distance",
    "upper_ratio": "distance / upper bound",
    "shortest_ratio": "distance / linearised shortest",
}


def certificate_figure(study: Study) -> Figure:
    """The worst ratios of (4) and (5) against the size of the residual, and the bounds on the distance.

    Every point is a trial. It is full where the theorem applies, proven; hollow where its constants
    are measured only, or the residual is beyond the certified one. Full points must lie at or below 1.
    """
    ds = with_axes(study.ds, *NETWORK)
    columns = parts_of(ds, *({*map(str, ds.dims)} - {"activation", "depth"}))[: MOST_PANELS // 2]
    worst = worst_ratios(ds)
    if not np.isfinite(ds.path_ratio).any():
        with mpl.rc_context(STYLE):
            figure = Figure(figsize=(6.4, 3.6))
            say(figure.subplots(), "no trial has a certificate: α = 0, J₀ is singular")
            return figure
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(max(9.0, 3.0 * len(columns)), 9.5))
        halves: Any = figure.subfigures(2, 1, height_ratios=[1.3, 1])  # margins of their own
        above, below = halves
        grid = above.subplots(2, max(1, len(columns)), squeeze=False, sharey=True)
        for row, ratio, bound in zip(grid, ("rate_ratio", "path_ratio"), ("(4)", "(5)"), strict=True):
            row[0].set_ylabel(f"left over right side of {bound}")
            for axes, (name, part) in zip(row, columns, strict=False):
                _draw_ratios(axes, part, ratio)
                axes.set_title(name)
            _fit_height(row)
        for axes, (_, part) in zip(grid[0], columns, strict=False):
            _say_verdict(axes, worst.sel(activation=part.activation, depth=part.depth))
        forest = below.subplots()
        _draw_distances(forest, ds)
        legend_below(figure, grid[0, 0], forest)
        return figure


def _say_verdict(axes: Axes, worst: xr.Dataset) -> None:
    """How many proven trials there are and how many of them break a bound; those that have none."""
    counts = worst[["violations", "proven"]].sum()
    words = f"{int(counts.violations)} of {int(counts.proven)} proven broken"
    uncertain = int(worst.uncertain.isel(multiple=0).sum())
    if uncertain:
        words += f"\n{uncertain} trials without a certificate (α = 0)"
    axes.text(0.02, 0.8, words, transform=axes.transAxes, fontsize=8, va="top")


def _draw_ratios(axes: Axes, part: xr.Dataset, name: str) -> None:
    """Strips of points, one for each multiple and trained set of weights, seeds side by side."""
    multiples = part.multiple.values
    proven = applies(part)
    for place, trained in enumerate(part.trained.values):
        look = series_look(place)
        for at, multiple in enumerate(multiples):
            where = {"trained": trained, "multiple": multiple}
            values, full = part[name].sel(where).values.ravel(), proven.sel(where).values.ravel()
            x = at + 0.27 * (place - 1) + np.linspace(-0.09, 0.09, len(values))
            _strip(axes, x, values, full, look)
        _legend_line(axes, look, TRAINED[str(trained)])
    axes.axhline(1, color="black", linewidth=0.8, zorder=0)
    axes.set(xlabel="residual, multiples of the certified")
    axes.set_xticks(range(len(multiples)), [_short(multiple) for multiple in multiples])


def _short(number: float) -> str:
    return f"{number:g}" if number < 1e4 else f"{number:.0e}".replace("e+0", "e").replace("e+", "e")


def _strip(axes: Axes, x: Any, values: Any, full: Any, look: dict[str, Any]) -> None:
    """Points up to the ceiling; for those beyond it, one triangle with their number."""
    beyond = values > CEILING
    for chosen, face in ((full, look["color"]), (~full, "none")):
        inside = chosen & ~beyond
        axes.plot(x[inside], values[inside], linestyle="none", markersize=3.2, markeredgewidth=0.6,
                  markerfacecolor=face, **look)  # fmt: skip
        above = int((chosen & beyond).sum())
        if above:
            at = (float(x.mean()), CEILING)
            axes.plot(*at, "^", color=look["color"], markersize=5, markerfacecolor=face)
            axes.annotate(str(above), at, (0, 4), textcoords="offset points", ha="center", fontsize=6)


def _fit_height(row: Any) -> None:
    """One ordinate for a row: from the least ratio to just above the ceiling."""
    drawn = np.concatenate([line.get_ydata() for axes in row for line in axes.lines])
    least = float(np.min(drawn, initial=0.8, where=np.isfinite(drawn)))
    row[0].set_ylim(least - 0.02, CEILING + 0.07)


def _legend_line(axes: Axes, look: dict[str, Any], words: str) -> None:
    axes.plot([], [], linestyle="none", label=words, **look)


def _draw_distances(axes: Axes, ds: xr.Dataset) -> None:
    """One line of the table for every kind of network, at the least residual: median and range."""
    at_least = ds.isel(multiple=0)
    names: list[str] = []
    for activation in ds.activation.values:
        for depth in ds.depth.values:
            for trained in ds.trained.values:
                cell = at_least.sel(activation=activation, depth=depth, trained=trained)
                full = bool(applies(cell).all())
                for place, name in enumerate(DISTANCES):
                    _span(
                        axes,
                        len(names) + 0.2 * (place - 1),
                        cell[name].values,
                        full,
                        series_look(place + 3),
                    )
                names.append(f"{activation}, L = {depth}, {TRAINED[str(trained)]}")
    for place, words in enumerate(DISTANCES.values()):
        _legend_line(axes, series_look(place + 3), words)
    axes.plot([], [], "o", color="black", label="full: proven")
    axes.plot([], [], "o", color="black", markerfacecolor="none", label="hollow: measured, or beyond")
    axes.plot([], [], "^", color="grey", label=f"so many above {CEILING:g}")
    axes.axvline(1, color="black", linewidth=0.8, zorder=0)
    axes.set_yticks(range(len(names)), names, fontsize=8)
    axes.invert_yaxis()
    multiple = float(at_least.multiple)
    axes.set(xscale="log", xlabel="ratio, median and range over seeds and widths", ylabel="network")
    axes.set_title(f"Distance travelled at {multiple:g} × the certified residual")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter("{x:g}")


def _span(axes: Axes, y: float, values: Any, full: bool, look: dict[str, Any]) -> None:
    known = values[np.isfinite(values)]
    if not len(known):
        return
    middle = np.median(known)
    reach = [[middle - known.min()], [known.max() - middle]]
    face = look["color"] if full else "white"
    axes.errorbar([middle], [y], xerr=reach, markersize=5.5, markerfacecolor=face, capsize=2, **look)
