"""Figures of transitions along any axis: success curves, phase diagrams and critical values."""

from __future__ import annotations

from textwrap import fill
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.patheffects import AbstractPathEffect, withStroke

from analysis.axes import PANEL, own_axes
from analysis.cells import located
from analysis.figures.looks.chart import Chart, stroke, styled
from analysis.figures.looks.data import stands_for
from analysis.figures.looks.parts import (
    draw_success,
    grid_of_parts,
    legend_below,
    log_abscissa,
    mark_critical,
    titled,
    upper_end,
    with_missing,
)
from analysis.figures.looks.scales import name_ticks, tick_every
from analysis.figures.looks.style import (
    FITTED,
    error_bars,
    grey,
    log_ordinate,
    only_text,
    parts_along,
    series_look,
    side_by_side,
)
from analysis.figures.looks.typography import formula, mathtext, powers
from analysis.scaling.laws import Family, Law, family_of
from analysis.signs import signs
from analysis.study import Study
from analysis.transitions.descriptions import as_widths

__all__ = ["laws_along_figure", "phase_along_figure", "success_figure"]

BLACK_ROUND: list[AbstractPathEffect] = [withStroke(linewidth=3, foreground="black")]
"""An outline that makes white marks visible on all colours of the map."""

MOST_LAWS = 3
"""Number of laws drawn in a panel, the best ones."""


def success_figure(study: Study) -> Chart:
    """Share of successes along the axis of the transition, with the fitted curves.

    Points are the shares of seeds, the line is the fitted curve, or the isotonic fit where no curve
    fits. The critical value is marked at half of the upper end of the curve. That end is 1, or less by
    the lapse rate: a dotted line.
    """
    whole = _whole(study)
    series = _series(whole, study.along.axis)
    rest = [dim for dim in (*own_axes(whole), *PANEL, "d", "n", "width") if dim not in series]
    parts = _parts(whole, [dim for dim in rest if dim != study.along.axis])
    with styled():
        figure, panels = grid_of_parts(len(parts), 3, width=4.2, height=3.4)
        for axes, (name, part) in zip(panels, parts, strict=False):
            for index, (label, cell) in enumerate(_named_parts(part, series)):
                look = series_look(index)
                x, share, trials = _points(cell, study.along.axis)
                draw_success(axes, cell, share, trials, x, x, name=label, color=look["color"])
                known = x[trials > 0]
                if len(known):
                    mark_critical(axes, cell, known, known, label=f"_{label}, critical", **look)
                axes.plot([], [], label=powers(label), **look)
                if upper_end(cell) < 1:
                    axes.plot([], [], color=grey(0.5), linestyle=":", label="1 − lapse rate")
            axes.axhline(0.5, color=grey(0.85), linewidth=stroke(0.8), zorder=0)
            axes.set(xlabel=_axis_label(study), ylim=(-0.04, 1.04))
            if whole.attrs["scale"] == "log":
                log_abscissa(axes)
            titled(axes, name, 44)
            if axes.get_subplotspec().is_first_col():
                axes.set_ylabel(_share_of(study))
        if not parts:
            panels[0].clear()
            only_text(figure, f"no success to count: {with_missing('cells', whole)}")
        legend_below(figure, *panels[: len(parts)], columns=4)
        return figure


def phase_along_figure(study: Study) -> Chart:
    """Share of successes over the width and another axis, with the critical value of that axis.

    A store with a single width has lines instead of a map: the share along the axis.
    """
    axis, whole = study.along.axis, _whole(study)
    if whole.sizes["width"] == 1:
        return success_figure(study)
    rest = (*own_axes(whole), *PANEL, "d", "n")
    parts = _parts(whole, [dim for dim in rest if dim != axis])
    with styled():
        figure, panels = grid_of_parts(len(parts), 4, width=3.4, height=3.4)
        mesh = None
        for axes, (name, part) in zip(panels, parts, strict=False):
            mesh = _draw_map(axes, part, axis) or mesh
            axes.set(xlabel="width k", ylabel=_axis_label(study))
            titled(axes, name, 36)
        if mesh is not None:
            figure.colorbar(mesh, ax=panels[: len(parts)].tolist(), label=_share_of(study), shrink=0.8)
            legend_below(figure, *panels[: len(parts)], columns=3)
        else:
            only_text(figure, f"no success to count: {with_missing('cells', whole)}")
        return figure


def laws_along_figure(study: Study) -> Chart:
    """Critical value of an axis against the first size that it may depend on, and the best laws."""
    whole, family = _whole(study), family_of(study.along.axis)
    lead, other = (_dim(name) for name in (family.lead, family.other))
    rest = [dim for dim in (*own_axes(whole), *PANEL, "d", "n", "width") if dim not in (lead, other)]
    each = _parts(whole, [dim for dim in rest if dim != study.along.axis])
    parts = [(name, part) for name, part in each if located(part).any()]
    with styled():
        figure, panels = grid_of_parts(len(parts), 3, width=6.0 if len(parts) == 1 else 4.4, height=4.4)
        for axes, (name, part) in zip(panels, parts, strict=False):
            _draw_values(axes, part, family)
            _draw_laws(axes, study, part, family)
            axes.set_ylabel(mathtext(f"critical {study.along.axis}"))
            if whole.attrs["scale"] == "log":
                log_ordinate(axes)
            tick_every(axes.xaxis, part[family.lead].values)
            axes.set_xlabel(_label_of(family.lead))
            titled(axes, name or f"{signs(whole.attrs['rule'])} in half of the trials", 46)
        if not parts:
            panels[0].clear()
            only_text(figure, f"no critical value to draw: {with_missing('cells', whole)}")
        legend_below(figure, *panels[: len(parts)], columns=3)
        return figure


# --- the numbers ----------------------------------------------------------------------------------


def _whole(study: Study) -> xr.Dataset:
    """Return the critical values, by the names of widths, with the shares and trials along the axis."""
    counts = study.counts
    whole = as_widths(study.widths, study.along)
    share = counts.successes / counts.trials.where(counts.trials > 0)
    whole = whole.assign(share=share, trials_at=counts.trials)
    k = study.ds.k
    if not study.along.is_width and study.along.axis in k.dims:
        k = k.isel({study.along.axis: 0}, drop=True)
    return whole.assign_coords(k=k)


def _dim(name: str) -> str:
    return "width" if name == "k" else name


def _series(whole: xr.Dataset, axis: str) -> list[str]:
    """Return the size whose values are the lines of one panel."""
    sizes = [dim for dim in ("width", "n", "d") if dim != axis and whole.sizes.get(dim, 1) > 1]
    return sizes[:1]


def _named_parts(whole: xr.Dataset, dims: list[str]) -> list[tuple[str, xr.Dataset]]:
    """Return the parts of each combination of values, with k in the name of those of a width."""
    found = []
    for name, part in parts_along(whole, [dim for dim in dims if dim != "width"]):
        if "width" not in dims:
            found.append((name, part))
            continue
        for at in range(part.sizes["width"]):
            one = part.isel(width=at)
            k = np.unique(one.k.values)
            width = f"k = {k[0]}" if len(k) == 1 else f"k = {k[0]} to {k[-1]}"
            found.append((f"{name}, {width}" if name else width, one))
    return found


def _parts(whole: xr.Dataset, dims: list[str]) -> list[tuple[str, xr.Dataset]]:
    """Return the panels with something to draw. An axis with a single value stays without a name."""
    lone = [dim for dim in dims if whole.sizes.get(dim, 1) == 1 and dim not in ("d", "n", "width")]
    squeezed = whole.squeeze([dim for dim in lone if dim in whole.dims])
    named = _named_parts(squeezed, [dim for dim in dims if dim in squeezed.dims])
    return [(name, part) for name, part in named if part.share.notnull().any()]


def _points(cell: xr.Dataset, axis: str) -> tuple[Any, Any, Any]:
    """Return the values of the axis in ascending order, with the shares and trials there."""
    x = np.asarray((cell.k if axis == "width" else cell[axis]).values, dtype=float)
    order = np.argsort(x, kind="stable")
    return x[order], cell.share.values[order], cell.trials_at.values[order]


# --- drawing --------------------------------------------------------------------------------------


def _axis_label(study: Study) -> str:
    return _label_of("k" if study.along.is_width else study.along.axis)


def _label_of(name: str) -> str:
    words = {"k": "width k", "n": "samples n", "d": "input dimension d", "angle": "angle (rad)"}
    return words.get(name, name)


def _share_of(study: Study) -> str:
    return mathtext(f"share of seeds with\n{fill(signs(study.widths.attrs['rule']), 32)}")


def _draw_map(axes: Axes, part: xr.Dataset, axis: str) -> Any:
    """Draw a column of the axis for each width, with the critical values."""
    logarithmic, mesh = part.attrs["scale"] == "log", None
    shown = np.flatnonzero(part.share.notnull().any(axis).values)
    columns = part.isel(width=shown)
    for index in range(len(shown)):
        x, share, _ = _points(columns.isel(width=index), axis)
        place = np.log(x) if logarithmic else x
        middle = (place[1:] + place[:-1]) / 2
        ends = np.concatenate([[2 * place[0] - middle[0]], middle, [2 * place[-1] - middle[-1]]])
        edges = np.exp(ends) if logarithmic else ends
        sides = [index - 0.5, index + 0.5]
        mesh = axes.pcolormesh(sides, edges, share[:, None], vmin=0, vmax=1, cmap="cividis")
        known = np.isfinite(share)
        k = int(columns.k.values[index])
        stands_for(mesh, "share", x=[k] * int(known.sum()), y=x[known], value=share[known])
    if logarithmic:
        log_ordinate(axes)
    at = np.arange(len(shown))
    for artist in error_bars(axes, at, columns, color="white", marker="o", label="critical value, 95%"):
        for drawn in artist.get_children() or [artist]:
            drawn.set_path_effects(BLACK_ROUND)
    name_ticks(axes.xaxis, columns.k.values)
    return mesh


def _draw_values(axes: Axes, part: xr.Dataset, family: Family) -> None:
    other = _dim(family.other)
    named = _named_parts(part, [other])
    for index, ((name, cells), beside) in enumerate(zip(named, side_by_side(len(named)), strict=True)):
        x = np.broadcast_to(cells[family.lead].values, cells.k50.shape)
        error_bars(axes, x, cells, beside=beside, label=f"measured, {name}", **series_look(index))


def _draw_laws(axes: Axes, study: Study, part: xr.Dataset, family: Family) -> None:
    """Draw the best named laws: a grey line for one in the first size alone, else one per series."""
    laws = _laws_of(study, part)
    if laws is None:
        return
    chosen = laws[laws["law"].isin(list(family.laws))].head(MOST_LAWS)
    for index, (_, row) in enumerate(chosen.iterrows()):
        law = family.laws[row["law"]]
        label = formula(f"{row['constant']:.3g} {row['law']}")
        if np.isfinite(row["delta_aicc"]):
            label += f"  (ΔAICc {row['delta_aicc']:.1f})"
        _draw_law(axes, part, family, law, float(row["constant"]), label, FITTED[index % len(FITTED)])


def _draw_law(
    axes: Axes, part: xr.Dataset, family: Family, law: Law, constant: float, label: str, style: Any
) -> None:
    named = _named_parts(part, [_dim(family.other)])
    series = named if family.other in law.variables else named[:1]
    for index, (name, cells) in enumerate(series):
        colour = series_look(index)["color"] if len(series) > 1 else grey(0.35)
        sizes = pd.DataFrame(
            {
                size: np.broadcast_to(cells[size].values, cells.k50.shape).ravel()
                for size in dict.fromkeys(law.variables)
            }
        )
        x = np.broadcast_to(cells[family.lead].values, cells.k50.shape).ravel()
        own = label if index == 0 else f"_{label}, {name}"
        axes.plot(x, law.width(constant, sizes), color=colour, linewidth=stroke(1), linestyle=style,
                  label=own, zorder=0)  # fmt: skip


def _laws_of(study: Study, part: xr.Dataset) -> pd.DataFrame | None:
    """Return the laws of the group of a panel; None if there are too few values."""
    try:
        return study.laws_of(part)
    except ValueError:
        return None
