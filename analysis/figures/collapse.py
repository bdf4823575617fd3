"""The figure of finite-size scaling: raw curves, the master curve, and widths of the transition."""

from __future__ import annotations

from typing import Any

import matplotlib as mpl
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy import special

from analysis.figures.parts import left_out, legend_below, log_abscissa, shades
from analysis.figures.style import (
    MOST_PANELS,
    STYLE,
    grid_of,
    log_ordinate,
    panels_of,
    sample_ticks,
    series_look,
    show_text,
)
from analysis.scaling.finite_size import TooFewCurves, collapse
from analysis.signs import signs
from analysis.study import Study
from analysis.transitions.curves import RISE

__all__ = ["collapse_figure"]

REACH = 2.5
"""Limit of the collapsed abscissa, in widths of the transition."""


def collapse_figure(study: Study) -> Figure:
    """Success curves, the same curves collapsed, and the width of the transition against n.

    Left: success against k. Middle: success against (log k - log k*) / w, with the w of each cell; the
    grey line is a logistic curve. Right: w = log(k at 90% / k at 10%) with its standard error, the
    fitted power of n with its 95% interval, and (dashed) the prediction from the kernel by the spectral
    edge and the Tracy-Widom law.
    """
    parts = [(name, part) for name, part in panels_of(study.ds) if part.sizes["n"]]
    scaled = [(name, found) for name, part in parts if (found := _scaled(study, part)) is not None]
    shown = scaled[: MOST_PANELS // 3]
    with mpl.rc_context(STYLE):
        figure, grid = grid_of(3, max(1, len(shown)), width=4.3, height=3.5)
        for row, (name, found) in zip(grid, shown, strict=False):
            _draw_curves(row[0], row[1], found)
            _draw_widths(row[2], found)
            row[0].set_title(name or signs(found.attrs["rule"]))
        if not shown:
            for axes in grid[0]:
                axes.set_axis_off()
            show_text(
                grid[0, 1],
                "nothing to collapse: fewer than three success curves rise within the widths",
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


def _draw_curves(raw: Axes, master: Axes, found: xr.Dataset) -> None:
    sizes = np.unique(found.n.values)
    colours = dict(zip(sizes, shades(len(sizes)), strict=True))
    first: dict[Any, str] = {n: f"n = {n}" for n in sizes}
    for index in np.argsort(found.n.values, kind="stable"):
        cell = found.isel(cell=index)
        n = cell.n.item()
        log_k = cell.x * np.exp(cell.log_w) + cell.log_k50
        look = {"color": colours[n], "linewidth": 0.9, "marker": "o", "markersize": 2.2}
        raw.plot(np.exp(log_k), cell.share, label=first.pop(n, "_"), **look)
        master.plot(cell.x, cell.share, **look | {"linestyle": "none"})
    x = np.linspace(-REACH, REACH, 200)
    master.plot(x, special.expit(RISE * x), color="0.5", linewidth=1, zorder=0)
    raw.plot([], [], color="0.5", linewidth=1, label="logistic curve")
    raw.set(xlabel="width k", ylabel="share of seeds that succeed")
    log_abscissa(raw)
    master.set(xlabel="(log k − log k*) / w", xlim=(-REACH, REACH))
    master.set_title(
        _quality("each curve with its own w", found.chi2, found.p_value)
        + "\n"
        + _quality("with w ∝ n⁻ᵇ", found.chi2_law, found.p_value_law),
        fontsize=8.5,
    )


def _quality(model: str, chi2: Any, p: Any) -> str:
    return f"{model}: χ² per bin {float(chi2):.2f}, p = {float(p):.2g}"


def _draw_widths(axes: Axes, found: xr.Dataset) -> None:
    w = np.exp(found.log_w.values)
    n = found.n.values.astype(float)
    for index, d in enumerate(np.unique(found.d.values)):
        here = np.flatnonzero(found.d.values == d)
        here = here[np.argsort(n[here], kind="stable")]
        moved = n[here] * np.exp(0.02 * (index - 0.5))
        factor = np.exp(found.log_w_error.values[here])
        arms = [w[here] * (1 - 1 / factor), w[here] * (factor - 1)]
        look = series_look(index)
        axes.errorbar(moved, w[here], arms, linestyle="none", capsize=2, markersize=5,
                      label=f"w measured, d = {d}", **look)  # fmt: skip
        if "w_predicted" in found:
            axes.plot(
                moved, found.w_predicted.values[here], color=look["color"], linestyle="--", linewidth=1
            )
    if "w_predicted" in found:
        axes.plot([], [], color="grey", linestyle="--", label="predicted (edge and Tracy–Widom)")
    ends = np.array([n.min(), n.max()])
    b, low, high = (float(found[name]) for name in ("exponent", "exponent_low", "exponent_high"))
    axes.plot(
        ends, float(found.amplitude) * ends**-b, color="0.35", linewidth=1, label="fitted power of n"
    )
    axes.set_title(f"w ∝ n⁻ᵇ, b = {b:.2f} [{low:.2f}, {high:.2f}]".replace("-", "−"))
    axes.set_ylabel("w = log(k at 90% / k at 10%)")
    log_ordinate(axes)
    sample_ticks(axes, n)
