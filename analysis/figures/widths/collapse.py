"""The figure of finite-size scaling: raw curves, the master curve, and widths of the transition."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from scipy import special

from analysis.figures.looks.chart import Chart, dot, is_column, stroke, styled, uncaptioned
from analysis.figures.looks.parts import left_out, legend_below, log_abscissa, titled
from analysis.figures.looks.style import (
    MOST_PANELS,
    PREDICTION,
    aside,
    grey,
    grid_of,
    log_ordinate,
    only_text,
    panels_of,
    sample_ticks,
    series_look,
    shades,
    side_by_side,
)
from analysis.figures.looks.typography import formula, mathtext
from analysis.scaling.finite_size import TooFewCurves, collapse
from analysis.study import Study
from analysis.transitions.curves import RISE

__all__ = ["collapse_figure"]

REACH = 2.5
"""Limit of the collapsed abscissa, in widths of the transition."""


def collapse_figure(study: Study) -> Chart:
    """Success curves, the same curves collapsed, and the width of the transition against n.

    First panel: share of seeds that succeed against the width k; colours are n, and each d has its
    own line. Second: the same points against (log k − log k*) / w, with k* and w of each cell; the
    thick grey line is a logistic curve, and χ² per bin and p tell how well all cells follow one
    curve. Third: the width of the transition, w = log(k at 90% / k at 10%); bars are standard
    errors, the thin grey line is the fitted power of n, whose exponent b stands in the title with
    its 95% interval. Dashed lines are predicted from the kernel by the spectral edge and the
    Tracy-Widom law, where it is known; nothing in them is fitted.
    """
    parts = [(name, part) for name, part in panels_of(study.ds) if part.sizes["n"]]
    scaled = [(name, found) for name, part in parts if (found := _scaled(study, part)) is not None]
    shown = scaled[: 1 if is_column() else MOST_PANELS // 3]  # a row has three panels
    with styled():
        figure, grid = grid_of(3, max(1, len(shown)), width=4.3, height=3.5)
        sizes = sorted({n for _, found in shown for n in found.n.values.tolist()})
        colours = dict(zip(sizes, shades(len(sizes)), strict=True))
        for row, (name, found) in zip(grid, shown, strict=False):
            _draw_curves(row[0], row[1], found, colours)
            _draw_widths(row[2], found)
            if name:
                titled(row[0], name)
            else:
                row[0].set_title(uncaptioned(formula(found.attrs["rule"])))
        if not shown:
            only_text(
                figure, "nothing to collapse: fewer than three success curves rise within the widths"
            )
        if len(scaled) > len(shown):
            figure.suptitle(left_out(len(scaled) - len(shown)))
        legend_below(figure, *grid[:, [0, 2]].ravel(), columns=6)
        return figure


def _scaled(study: Study, part: xr.Dataset) -> xr.Dataset | None:
    """Return the collapse of one panel, or None if it has too few curves."""
    try:
        return collapse(part, success=study.success)
    except TooFewCurves:
        return None


def _draw_curves(raw: Axes, master: Axes, found: xr.Dataset, colours: dict[int, Any]) -> None:
    first: dict[Any, str] = {n: f"n = {n}" for n in colours}
    for index in np.argsort(found.n.values, kind="stable"):
        cell = found.isel(cell=index)
        n = cell.n.item()
        log_k = cell.x * np.exp(cell.log_w) + cell.log_k50
        look = {"color": colours[n], "linewidth": stroke(0.9), "marker": "o", "markersize": dot(2.2)}
        name = f"_d = {cell.d.item()}, n = {n}"
        raw.plot(np.exp(log_k), cell.share, label=name, **look)
        master.plot(cell.x, cell.share, label=name, **look | {"linestyle": "none"})
        raw.plot([], [], label=first.pop(n, "_"), **look)
    logistic: Any = {"color": grey(0.75), "linewidth": stroke(3)}  # the fitted power is a thin line
    x = np.linspace(-REACH, REACH, 200)
    master.plot(x, special.expit(RISE * x), **logistic, zorder=0)
    raw.plot([], [], **logistic, label="logistic curve")
    raw.set(xlabel="width k", ylabel="share of seeds that succeed")
    log_abscissa(raw)
    master.set(xlabel=mathtext("(log k − log k*) / w"), xlim=(-REACH, REACH))
    own = _quality("each curve with its own w", found.chi2, found.p_value)
    law = _quality("with w ∝ n⁻ᵇ", found.chi2_law, found.p_value_law)
    master.set_title(mathtext(f"{own}\n{law}"), fontsize="small")


def _quality(model: str, chi2: Any, p: Any) -> str:
    return f"{model}: χ² per bin {float(chi2):.2f}, p = {float(p):.2g}"


def _draw_widths(axes: Axes, found: xr.Dataset) -> None:
    w = np.exp(found.log_w.values)
    n = found.n.values.astype(float)
    sizes = np.unique(found.d.values)
    for index, (d, beside) in enumerate(zip(sizes, side_by_side(len(sizes)), strict=True)):
        here = np.flatnonzero(found.d.values == d)
        here = here[np.argsort(n[here], kind="stable")]
        factor = np.exp(found.log_w_error.values[here])
        arms = [w[here] * (1 - 1 / factor), w[here] * (factor - 1)]
        look = series_look(index)
        moved = aside(axes, beside, n[here], w[here] - arms[0], w[here] + arms[1])
        axes.errorbar(n[here], w[here], arms, linestyle="none", capsize=2, markersize=dot(5),
                      transform=moved, label=f"w measured, d = {d}", **look)  # fmt: skip
        if "w_predicted" in found:
            axes.plot(n[here], found.w_predicted.values[here], color=look["color"], linewidth=stroke(1),
                      linestyle=PREDICTION, label=f"_w predicted, d = {d}")  # fmt: skip
    if "w_predicted" in found:
        look = {"color": grey(0.5), "linestyle": PREDICTION}
        axes.plot([], [], **look, label="predicted (edge and Tracy–Widom)")
    ends = np.array([n.min(), n.max()])
    b, low, high = (float(found[name]) for name in ("exponent", "exponent_low", "exponent_high"))
    axes.plot(
        ends,
        float(found.amplitude) * ends**-b,
        color=grey(0.35),
        linewidth=stroke(1),
        label="fitted power of n",
    )
    axes.set_title(mathtext(f"w ∝ n⁻ᵇ, b = {b:.2f} [{low:.2f}, {high:.2f}]".replace("-", "−")))
    axes.set_ylabel("w = log(k at 90% / k at 10%)")
    log_ordinate(axes)
    sample_ticks(axes, n)
