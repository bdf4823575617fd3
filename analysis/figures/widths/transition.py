"""Figures of the critical width: its growth with n, the laws it follows, and structured data."""

from __future__ import annotations

from textwrap import fill
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.transforms import ScaledTranslation

from analysis.cells import located
from analysis.figures.looks.chart import Chart, dot, em, is_long_column, stroke, styled, uncaptioned
from analysis.figures.looks.parts import (
    each_once,
    grid_with_residuals,
    left_out,
    legend_below,
    log_abscissa,
    share_abscissa,
    titled,
    with_missing,
)
from analysis.figures.looks.scales import room_of
from analysis.figures.looks.style import (
    FITTED,
    MOST_PANELS,
    PREDICTED,
    PREDICTION,
    RESIDUAL,
    aside,
    error_bars,
    grey,
    grid_of,
    line,
    log_ordinate,
    only_text,
    panels_of,
    sample_ticks,
    series_line,
    series_look,
    side_by_side,
)
from analysis.figures.looks.typography import formula, mathtext, plain
from analysis.scaling.laws import LAWS
from analysis.signs import literal, signs
from analysis.study import Study

__all__ = ["laws_caption", "laws_figure", "ratios_figure", "stress_figure"]

MOST_LAWS = 3
"""Number of laws drawn in a panel, the best ones."""


def laws_figure(study: Study) -> Chart:
    """Critical width k* against n for each d, with the laws that fit best.

    Solid and dash-dotted lines are fitted laws, the best first; ΔAICc is the difference to the best
    one. A law in n alone is grey, and one that reads d has the colour of each d.
    """
    panels = [(name, part) for name, part in panels_of(study.widths) if located(part).any()]
    total = len(panels)
    panels = panels[:MOST_PANELS]
    about = f"Critical width: {signs(study.widths.attrs['rule'])} in half of the trials"
    alone = len(panels) <= 1
    with styled():
        figure, pairs = _grid_of_laws(study, max(1, len(panels)))
        for (axes, below), (name, part) in zip(pairs, panels, strict=False):
            _draw_laws(axes, study, part)
            if below is not None:
                _draw_misses(below, part)
                share_abscissa(axes, below)
            if is_long_column(len(panels)):
                _legend_beside(axes, is_last=axes is pairs[-1][0])
            elif not alone:  # a small panel has no room for a legend inside
                _legend_under(axes, below or axes)
            if name:
                titled(axes, name)
            else:
                axes.set_title(uncaptioned(_filled(about)))
        if not panels:
            only_text(figure, f"no critical width to draw: {with_missing('cells', study.widths)}")
        if panels and alone:
            legend_below(figure, axes)
        if any(name for name, _ in panels):
            lines = [uncaptioned(about)] + [left_out(total - MOST_PANELS)] * (total > MOST_PANELS)
            # Short lines on the left, because a phone shows only that part of the figure.
            figure.suptitle("\n".join(map(_filled, filter(None, lines))), x=0.01, ha="left")
        return figure


def _grid_of_laws(study: Study, count: int) -> tuple[Chart, list[tuple[Axes, Axes | None]]]:
    """Return a figure and its panels, with the panels of their residuals where there are any."""
    columns = min(3, count)
    width, height = (6.4, 4.6) if count == 1 else (4.4, 3.6)
    if is_long_column(count):  # flat panels with legends beside them have no room for residuals
        figure, grid = grid_of(1, count, 2 * width, height, count)
    elif "k_edge_finite" in study.widths:
        return grid_with_residuals(columns, count, width, height * 1.3)
    else:
        figure, grid = grid_of(columns, -(-count // columns), width, height, count)
    return figure, [(axes, None) for axes in grid.ravel()]


def _legend_beside(axes: Axes, is_last: bool) -> None:
    """Draw the legend of a flat panel on its right; only the last panel names the abscissa."""
    axes.legend(*each_once(axes), loc="center left", bbox_to_anchor=(1, 0.5), handlelength=1.4)
    axes.set(xlabel="samples n" if is_last else "", ylabel=mathtext("k*"))


def _legend_under(axes: Axes, lowest: Axes) -> None:
    """Draw the legend of a panel below the label of the abscissa of its lowest axes."""
    rows = 1 + max(label.get_text().count("\n") for label in lowest.get_xticklabels())
    drop = ScaledTranslation(0, -em() * (24 + 10.5 * rows) / 72, lowest.figure.dpi_scale_trans)
    handles, names = each_once(axes)
    inches = 0.075 * em() * max(len(plain(name)) for name in names) + 0.4 * em()
    columns = 2 if 2 * inches < 0.8 * room_of(axes) else 1
    lowest.legend(handles, names, loc="upper left", bbox_to_anchor=(0, 0), borderaxespad=0,
                  ncols=columns, handlelength=1.4, columnspacing=1.0,
                  bbox_transform=lowest.transAxes + drop)  # fmt: skip


def _filled(text: str) -> str:
    return mathtext(fill(text, int(56 / em() ** 0.5)))


def laws_caption(study: Study) -> str:
    """Describe what the figure adds for stores whose kernel is known."""
    if "k_edge_finite" not in study.widths:
        return ""
    return (
        "The dashed line is predicted from the spectral edge, shifted by the median of the Tracy-Widom "
        "law for finite n. The lower panel, if any, shows the measured width over the predicted one, "
        "minus 1. Nothing in the prediction is fitted."
    )


def _draw_laws(axes: Axes, study: Study, widths: xr.Dataset) -> None:
    n = widths.n.values.astype(float)
    predicted = "k_edge_finite" in widths
    for index, (d, beside) in enumerate(_places(widths)):
        cells = widths.sel(d=d)
        look = series_look(index)
        if predicted:
            moved = aside(axes, beside, n, cells.k_edge_finite)
            line(axes, n, cells.k_edge_finite, color=look["color"], linestyle=PREDICTION,
                 linewidth=stroke(1.1), transform=moved, label=f"_predicted, d = {d}")  # fmt: skip
        # A series without a point has no place in the legend.
        hidden = "" if located(cells).any() else "_"
        error_bars(axes, n, cells, beside=beside, label=f"{hidden}measured, d = {d}", **look)
    if predicted:
        proxy: Any = {"color": grey(0.5), "linestyle": PREDICTION, "label": PREDICTED["k_edge_finite"]}
        axes.plot([], [], **proxy)
    for index, (label, heights) in enumerate(_law_lines(study, widths)):
        _draw_law(axes, widths, heights, label, FITTED[index % len(FITTED)])
    axes.set_ylabel(mathtext("critical width k*"))
    log_ordinate(axes)
    sample_ticks(axes, [n for n in widths.n.values if located(widths.sel(n=n)).any()])


def _places(widths: xr.Dataset) -> list[tuple[Any, float]]:
    """Return each d with its shift in points, so that no interval hides another."""
    return list(zip(widths.d.values, side_by_side(len(widths.d)), strict=True))


def _draw_misses(axes: Axes, widths: xr.Dataset) -> None:
    """Draw k* over its prediction, minus 1, with the interval of k*."""
    for index, (d, beside) in enumerate(_places(widths)):
        cells = widths.sel(d=d)
        error_bars(axes, widths.n.values, cells, 1 / cells.k_edge_finite.values, -1.0, beside,
                   label=f"_measured, d = {d}", **series_look(index))  # fmt: skip
    axes.set_ylabel(RESIDUAL)


def _draw_law(axes: Axes, widths: xr.Dataset, heights: dict[int, Any], label: str, style: Any) -> None:
    """Draw a law in n alone as a grey line, any other as a line in the colour of each d."""
    n = widths.n.values.astype(float)
    for place, (index, row) in enumerate(heights.items()):
        colour = grey(0.35) if index < 0 else series_look(index)["color"]
        name = f"_{label}, d = {widths.d.values[index]}" if place else label  # once in the legend
        axes.plot(n, row, color=colour, linewidth=stroke(1), linestyle=style, label=name, zorder=0)


def _law_lines(study: Study, widths: xr.Dataset) -> list[tuple[str, dict[int, Any]]]:
    """Return the labels of the best laws (with delta AICc) and their heights by the index of d.

    Candidates are all registered laws that are `shown` and do not read alpha. A law in n alone has
    heights at index -1; a law that reads d has heights at each d with a measured width. Laws in d count
    weights, so they are candidates only for descent on W.
    """
    measured = [index for index, d in enumerate(widths.d.values) if located(widths.sel(d=d)).any()]
    with_d = "alpha" not in widths and len(measured) > 1
    readable = {"n", "d"} if with_d else {"n"}
    names = [name for name, law in LAWS.items() if law.shown and set(law.variables) <= readable]
    try:
        laws = study.laws_of(widths)
    except ValueError:  # too few points: draw the measured ones only
        return []
    lines = []
    for _, law in laws[laws["law"].isin(names)].head(MOST_LAWS).iterrows():
        label = formula(f"{law['constant']:.3g} {law['law']}")
        if np.isfinite(law["delta_aicc"]):
            label += f"  (ΔAICc {law['delta_aicc']:.1f})"
        heights = {}
        shape = LAWS[law["law"]]
        for index in measured if "d" in shape.variables else [-1]:
            sizes = pd.DataFrame({"n": widths.n.values, "d": widths.d.values[index]})
            heights[index] = shape.width(law["constant"], sizes)
        lines.append((label, heights))
    return lines


def ratios_figure(study: Study) -> Chart:
    """Quotients k*/n, k*/(n log n) and k* α²/(n log n) against n.

    Colours, markers and line styles are cells. A quotient is flat where k* is proportional to its
    denominator.
    """
    parts = [
        (f"{name}{', ' if name else ''}d = {d}", part.sel(d=d))
        for name, part in panels_of(study.widths)
        for d in part.d.values
        if located(part.sel(d=d)).any()
    ]
    with styled():
        figure, grid = grid_of(3, width=4.0, height=3.8)
        for index, (name, cells) in enumerate(parts):
            n = cells.n.values.astype(float)
            log_n = np.log(n)
            scales = (1 / n, 1 / (n * log_n), cells.alpha.values**2 / (n * log_n))
            for axes, scale in zip(grid[0], scales, strict=True):
                look = series_look(index)
                error_bars(axes, n, cells, scale, label=f"_{name}", **look)
                k50 = np.where(located(cells), cells.k50, np.nan)
                thin: Any = {"linewidth": stroke(0.8), "linestyle": series_line(index)}
                line(axes, n, k50 * scale, color=look["color"], **thin)
                axes.plot([], [], markersize=dot(5), label=name, **look, **thin)
        if not parts:
            only_text(figure, f"no critical width to draw: {with_missing('cells', study.widths)}")
            return figure
        titles = ("k* / n", "k* / (n log n)", "k* α² / (n log n)")
        for axes, title in zip(grid[0], titles, strict=True):
            axes.set_ylabel(mathtext(title))
            axes.set_title(uncaptioned(mathtext(f"flat if k* ∝ {_inverse(title)}")))
            log_ordinate(axes)
            sample_ticks(axes, study.ds.n.values)
        legend_below(figure, grid[0, 0], columns=6)
        return figure


def _inverse(ratio: str) -> str:
    return {"k* / n": "n", "k* / (n log n)": "n log n"}.get(ratio, "n log n / α²")


def stress_figure(study: Study) -> Chart:
    """Structured data: α against the angle between rows, and measured against predicted k*.

    Colours and markers are kinds of data; each point is one angle, d and n. Near-duplicate rows
    make α small. On the line of the second panel, the measured k*/n equals the one that is
    predicted from the spectral edge at finite n; structured data depart from it.
    """
    widths = study.widths
    if "dataset" not in widths.dims:
        widths = widths.expand_dims(dataset=[str(study.ds.attrs["dataset"][0])])
    with styled():
        figure, grid = grid_of(2, width=5.2, height=4.4)
        fall, against = grid[0]
        for index, name in enumerate(widths.dataset.values):
            cells = widths.sel(dataset=name).stack(
                cell=[dim for dim in ("angle", "d", "n") if dim in widths.dims]
            )
            cells = cells.isel(cell=np.flatnonzero(cells.outcome.values.astype(str) != "empty"))
            look = series_look(index)
            positive = cells.alpha.values > 0
            angle = np.where(cells.angle.values > 0, cells.angle.values, 2 * np.pi / cells.n.values)
            fall.plot(
                angle[positive],
                cells.alpha.values[positive],
                linestyle="none",
                label=with_missing(literal(str(name)), cells),
                **look,
            )
            error_bars(against, cells.k_edge_finite.values / cells.n.values, cells, 1 / cells.n.values,
                        label=with_missing(literal(str(name)), cells), **look)  # fmt: skip
        predicted = (widths.k_edge_finite / widths.n).values
        known = predicted[np.isfinite(predicted)]
        ends = np.array([known.min(), known.max()]) * [0.95, 1.05] if len(known) else known
        against.plot(ends, ends, color=grey(0.35), linewidth=stroke(1), label="measured = predicted")
        fall.set(xlabel="angle between neighbouring rows (rad)", ylabel="α",
                 title=uncaptioned("Near-duplicate rows make α small"))  # fmt: skip
        against.set_xlabel(mathtext("predicted k*/n (edge, finite n)"))
        against.set_ylabel(mathtext("measured k*/n"))
        against.set_title(uncaptioned("Structured data depart from the prediction"))
        log_abscissa(fall)
        log_ordinate(fall)
        log_ordinate(against)
        legend_below(figure, *grid[0])
        return figure
