"""The figure of Theorem 1: ratios of its bounds, and the bounds on the distance."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from analysis.axes import NETWORK, TRAINED
from analysis.experiments.theorem1 import applies, worst_ratios
from analysis.figures.looks.chart import Chart, dot, places, scaled, stroke, styled, uncaptioned
from analysis.figures.looks.parts import legend_below, log_abscissa, parts_of, titled, with_axes
from analysis.figures.looks.scales import name_ticks
from analysis.figures.looks.style import BEYOND, MOST_PANELS, grey, ink, series_look, show_text
from analysis.figures.looks.typography import number
from analysis.study import Study

__all__ = ["certificate_figure"]
CEILING = 1.2
"""Larger ratios are arrow heads at the top: those of diverging trials would flatten the rest."""
_BOUNDS = (("rate_ratio", "path_ratio"), ("(4)", "(5)"))
UNPROVEN: Any = {"marker": "x", "markersize": 4.5, "markeredgewidth": 1.0}
"""Look of trials and networks to which the theorem does not apply with proven constants."""
DISTANCES = {
    "lower_ratio": "lower bound / distance",
    "upper_ratio": "distance / upper bound",
    "shortest_ratio": "distance / linearised shortest",
}


def certificate_figure(study: Study) -> Chart:
    """Left over right side of the bounds (4) and (5) of Theorem 1, and the distance travelled.

    Upper panels: the largest ratio over the steps of descent, a point for each trial, against the
    initial residual over the certified one; the line at 1 is the bound. Filled markers are trials
    to which the theorem applies with proven constants. A cross is a trial whose constants are only
    measured or whose residual exceeds the certified one. A triangle with a number stands for that
    many trials above the axis. Lowest panel: bounds on the distance that the weights travel, at the
    least residual; markers are medians over seeds and widths, and bars reach from the least to the
    largest value.
    """
    ds = with_axes(study.ds, *NETWORK)
    columns = parts_of(ds, *({*map(str, ds.dims)} - {"activation", "depth"}))[: MOST_PANELS // 2]
    worst = worst_ratios(ds)
    if not np.isfinite(ds.path_ratio).any():
        with styled():
            figure = Chart(6.4, 3.6)
            show_text(figure.subplots(), "no trial has a certificate: α = 0, J₀ is singular")
            return figure
    with styled():
        across = places(len(columns), len(columns), 3.6)
        down = -(-len(columns) // across)
        figure = Chart(max(9.0 / across, 3.0), 5.4 * down + 4.1, across)
        halves: Any = figure.subfigures(2, 1, height_ratios=[5.4 * down, 4.1])  # with own margins
        above, below = halves
        grid = above.subplots(2 * down, across, squeeze=False, sharey="row")
        for spare in grid.ravel():
            spare.set_axis_off()
        for index, (name, part) in enumerate(columns):
            row, column = 2 * (index // across), index % across
            for axes, ratio, bound in zip(grid[row : row + 2, column], *_BOUNDS, strict=True):
                axes.set_axis_on()
                _draw_ratios(axes, part, ratio)
                titled(axes, name, 30)
                if not column:
                    axes.set_ylabel(f"left over right\nside of {bound}")
            _write_counts(grid[row, column], worst.sel(activation=part.activation, depth=part.depth))
        for row in grid:
            _fit_height(row)
        forest = below.subplots()
        _draw_distances(forest, ds)
        legend_below(figure, grid[0, 0], forest)
        return figure


def _write_counts(axes: Axes, worst: xr.Dataset) -> None:
    """Write how many proven trials break a bound, and how many trials have no certificate."""
    counts = worst[["violations", "proven"]].sum()
    text = f"{int(counts.violations)} of {int(counts.proven)} proven trials break a bound"
    uncertain = int(worst.uncertain.isel(multiple=0).sum())
    if uncertain:
        text += f"\n{uncertain} trials without a certificate (α = 0)"
    axes.text(0.02, 0.8, text, transform=axes.transAxes, fontsize="small", va="top")


def _draw_ratios(axes: Axes, part: xr.Dataset, name: str) -> None:
    """Draw a strip of points for each multiple and set of trained weights, with seeds side by side."""
    multiples = part.multiple.values
    proven = applies(part)
    for index, trained in enumerate(part.trained.values):
        look = series_look(index)
        for at, multiple in enumerate(multiples):
            cell = {"trained": trained, "multiple": multiple}
            values, full = part[name].sel(cell).values.ravel(), proven.sel(cell).values.ravel()
            x = at + 0.27 * (index - 1) + np.linspace(-0.09, 0.09, len(values))
            _strip(axes, x, values, full, look, TRAINED[str(trained)])
        _legend_line(axes, look, TRAINED[str(trained)])
    axes.axhline(1, color=ink(), linewidth=stroke(0.8), zorder=0)
    axes.set(xlabel="residual / certified residual")
    name_ticks(axes.xaxis, [number(multiple) for multiple in multiples], multiples)


def _strip(axes: Axes, x: Any, values: Any, full: Any, look: dict[str, Any], name: str) -> None:
    """Draw points up to the ceiling, and one arrow head with the number of points above it."""
    beyond = values > CEILING
    kinds = (
        (full, look | {"markersize": dot(3.4)}, "proven"),
        (~full, look | scaled(UNPROVEN), "not proven"),
    )
    for chosen, shown, words in kinds:
        inside = chosen & ~beyond
        axes.plot(x[inside], values[inside], linestyle="none", label=f"_{name}, {words}", **shown)
    above = int(beyond.sum())
    if above:
        at = (float(x.mean()), CEILING)
        label = f"_{name}, {above} trials above {CEILING:g}"
        axes.plot(*at, **BEYOND, color=look["color"], label=label)
        axes.annotate(
            str(above), at, (0, 4), textcoords="offset points", ha="center", fontsize="xx-small"
        )


def _fit_height(row: Any) -> None:
    """Set the ordinate of a row, from the least ratio to just above the ceiling."""
    drawn = np.concatenate([line.get_ydata() for axes in row for line in axes.lines])
    least = float(np.min(drawn, initial=0.8, where=np.isfinite(drawn)))
    row[0].set_ylim(least - 0.02, CEILING + 0.07)


def _legend_line(axes: Axes, look: dict[str, Any], label: str) -> None:
    axes.plot([], [], linestyle="none", label=label, **look)


def _draw_distances(axes: Axes, ds: xr.Dataset) -> None:
    """Draw a row for each kind of network, at the least residual: medians and ranges of the ratios."""
    at_least = ds.isel(multiple=0)
    names: list[str] = []
    for activation in ds.activation.values:
        for depth in ds.depth.values:
            for trained in ds.trained.values:
                cell = at_least.sel(activation=activation, depth=depth, trained=trained)
                full = bool(applies(cell).all())
                for index, name in enumerate(DISTANCES):
                    at = len(names) + 0.2 * (index - 1)
                    _span(axes, at, cell[name].values, full, series_look(index + 3), DISTANCES[name])
                names.append(f"{activation}, L = {depth}, {TRAINED[str(trained)]}")
    for index, label in enumerate(DISTANCES.values()):
        _legend_line(axes, series_look(index + 3), label)
    axes.plot([], [], linestyle="none", color=grey(0.5), label="not proven", **scaled(UNPROVEN))
    axes.plot([], [], **BEYOND, color=grey(0.5), label=f"number of trials above {CEILING:g}")
    axes.axvline(1, color=ink(), linewidth=stroke(0.8), zorder=0)
    name_ticks(axes.yaxis, names)
    axes.invert_yaxis()
    multiple = float(at_least.multiple)
    axes.set(xlabel="ratio: median and range", ylabel="network")
    title = f"Distance travelled, at {number(multiple)} × the certified residual"
    titled(axes, uncaptioned(title), 60, share=0.6)
    log_abscissa(axes)


def _span(axes: Axes, y: float, values: Any, full: bool, look: dict[str, Any], name: str) -> None:
    known = values[np.isfinite(values)]
    if not len(known):
        return
    middle = np.median(known)
    reach = [[middle - known.min()], [known.max() - middle]]
    shown = look | {"markersize": dot(5.5)} if full else look | scaled(UNPROVEN)
    axes.errorbar([middle], [y], xerr=reach, capsize=2, label=f"_{name}", **shown)
