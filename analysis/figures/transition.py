"""Figures of the transition: where success begins, how that width grows, and where it departs.

All of them read the critical widths of one `Study`; the heat map reads the counts as well.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import matplotlib as mpl
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.figures.style import (
    LINES,
    MOST_PANELS,
    STYLE,
    Study,
    error_bars,
    grid_of,
    line,
    located,
    log_ordinate,
    panels_of,
    sample_ticks,
    say,
    series_look,
)
from analysis.scaling import fit_laws
from analysis.transitions import success_counts

__all__ = ["laws_figure", "phase_figure", "ratios_figure", "stress_figure"]

SHOWN_LAWS = 3


def phase_figure(study: Study) -> Figure:
    """Share of successes over (n, k), with the fitted critical width and the predicted one."""
    counts = success_counts(study.ds, study.threshold)
    share = (counts.successes / counts.trials.where(counts.trials > 0)).compute()
    widths = study.widths
    parts = [
        (f"{name}{', ' if name else ''}d = {d}", part.sel(d=d))
        for name, part in panels_of(widths.assign(share=share, k=study.ds.k))
        for d in widths.d.values
        if part.share.sel(d=d).notnull().any()
    ]
    left = len(parts) - MOST_PANELS
    parts = parts[:MOST_PANELS]
    columns = min(4, max(1, len(parts)))
    with mpl.rc_context(STYLE):
        figure, grid = grid_of(columns, -(-max(1, len(parts)) // columns), 3.4, 3.4)
        mesh = None
        for axes, (title, part) in zip(grid.ravel(), parts, strict=False):
            mesh = _draw_phase(axes, part)
            axes.set_title(title)
        for axes in grid.ravel()[len(parts) :]:
            axes.set_axis_off()
        if not parts:
            say(grid[0, 0], f"no success to count: {_tally('cells', widths)}")
        if mesh is not None:
            figure.colorbar(
                mesh, ax=grid, label=f"share of seeds with σ_min/√k ≥ {study.threshold:g} α", shrink=0.8
            )
            handles, names = grid[0, 0].get_legend_handles_labels()
            figure.legend(handles, names, loc="outside lower center", ncols=3)
        if left > 0:
            figure.suptitle(f"{left} more panels are not drawn; select fewer cells", fontsize=9)
        return figure


def _draw_phase(axes: Axes, part: xr.Dataset) -> Any:
    """One column of cells per n: every n has widths of its own."""
    mesh = None
    columns = [n for n in part.n.values if part.share.sel(n=n).notnull().any()]
    for place, n in enumerate(columns):
        cell = part.sel(n=n)
        k = np.broadcast_to(cell.k.values, cell.share.shape).astype(float)
        middle = np.sqrt(k[1:] * k[:-1])
        first, last = (middle[0], middle[-1]) if len(middle) else (k[0] * 1.05, k[0] / 1.05)
        edges = np.concatenate([[k[0] ** 2 / first], middle, [k[-1] ** 2 / last]])
        mesh = axes.pcolormesh(
            [place - 0.5, place + 0.5],
            edges,
            cell.share.values[:, None],
            vmin=0,
            vmax=1,
            cmap="cividis",
        )
    at = np.arange(len(columns))
    chosen = part.sel(n=columns)
    axes.plot(at, chosen.k_edge_finite, "w--", linewidth=2.4)
    axes.plot(at, chosen.k_edge_finite, "k--", linewidth=1.2, label="predicted (edge, finite size)")
    error_bars(
        axes, at, chosen, color="white", marker="o", markeredgecolor="black", label="fitted k*, 95%"
    )
    axes.set(yscale="log", xlabel="samples n", ylabel="width k")
    axes.set_xticks(at, [str(n) for n in columns])
    return mesh


def laws_figure(study: Study) -> Figure:
    """Critical width against n for every d, with the prediction and the best candidate laws."""
    panels = [(name, part) for name, part in panels_of(study.widths) if located(part).any()][
        :MOST_PANELS
    ]
    columns = min(3, max(1, len(panels)))
    alone = len(panels) <= 1
    with mpl.rc_context(STYLE):
        size = (6.4, 4.6) if alone else (4.4, 3.6)
        figure, grid = grid_of(columns, -(-max(1, len(panels)) // columns), *size)
        for axes, (name, part) in zip(grid.ravel(), panels, strict=False):
            _draw_laws(axes, part)
            axes.set_title(
                name or f"Critical width: σ_min(Φ)/√k ≥ {study.threshold:g} α in half of the trials"
            )
        for axes in grid.ravel()[len(panels) :]:
            axes.set_axis_off()
        if not panels:
            say(grid[0, 0], f"no critical width to draw: {_tally('cells', study.widths)}")
        return figure


def _draw_laws(axes: Axes, widths: xr.Dataset) -> None:
    n = widths.n.values.astype(float)
    spread = np.linspace(-0.012, 0.012, len(widths.d)) if len(widths.d) > 1 else [0.0]
    for place, d in enumerate(widths.d.values):
        cells = widths.sel(d=d)
        look = series_look(place)
        moved = n * np.exp(spread[place])  # side by side, so that no interval hides another
        line(axes, moved, cells.k_edge_finite, color=look["color"], linestyle=":", linewidth=1.2)
        error_bars(axes, moved, cells, label=f"measured, d = {d}", **look)
    axes.plot([], [], color="grey", linestyle=":", label="predicted, no fitted parameter")
    for place, (label, heights) in enumerate(_law_lines(widths)):
        axes.plot(
            n,
            heights,
            color="0.35",
            linewidth=1,
            linestyle=LINES[place % len(LINES)],
            label=label,
            zorder=0,
        )
    axes.set_ylabel("critical width k*")
    log_ordinate(axes)
    sample_ticks(axes, [n for n in widths.n.values if located(widths.sel(n=n)).any()])
    axes.legend()


def _law_lines(widths: xr.Dataset) -> list[tuple[str, Any]]:
    """The best laws in n alone, through their fitted constants, with their distance in AICc."""
    shapes: dict[str, Callable[[Any], Any]] = {"n": lambda n: n, "n log n": lambda n: n * np.log(n)}
    try:
        laws = fit_laws(widths)
    except ValueError:  # too few points: the measured ones stand alone
        return []
    n = widths.n.values.astype(float)
    lines = []
    for _, law in laws.iterrows():
        if law["law"] in shapes:
            label = f"{law['constant']:.2f} {law['law']}"
            if np.isfinite(law["delta_aicc"]):
                label += f"  (ΔAICc {law['delta_aicc']:.1f})"
            lines.append((label, law["constant"] * shapes[law["law"]](n)))
    return lines[:SHOWN_LAWS]


def ratios_figure(study: Study) -> Figure:
    """k*/n, k*/(n log n) and k* alpha^2/(n log n) against n: flat where the law holds."""
    parts = [
        (f"{name}{', ' if name else ''}d = {d}", part.sel(d=d))
        for name, part in panels_of(study.widths)
        for d in part.d.values
        if located(part.sel(d=d)).any()
    ]
    with mpl.rc_context(STYLE):
        figure, grid = grid_of(3, width=4.0, height=3.8)
        for place, (name, cells) in enumerate(parts):
            n = cells.n.values.astype(float)
            log_n = np.log(n)
            scales = (1 / n, 1 / (n * log_n), cells.alpha.values**2 / (n * log_n))
            for axes, scale in zip(grid[0], scales, strict=True):
                look = series_look(place)
                error_bars(axes, n, cells, scale, label=name, **look)
                k50 = np.where(located(cells), cells.k50, np.nan)
                line(axes, n, k50 * scale, color=look["color"], linewidth=0.8)
        titles = ("k* / n", "k* / (n log n)", "k* α² / (n log n)")
        for axes, title in zip(grid[0], titles, strict=True):
            axes.set(ylabel=title, title=f"flat if k* ∝ {_inverse(title)}")
            log_ordinate(axes)
            sample_ticks(axes, study.ds.n.values)
        if not parts:
            say(grid[0, 1], f"no critical width to draw: {_tally('cells', study.widths)}")
        handles, names = grid[0, 0].get_legend_handles_labels()
        if names:
            figure.legend(handles, names, loc="outside lower center", ncols=min(6, len(names)))
        return figure


def _inverse(ratio: str) -> str:
    return {"k* / n": "n", "k* / (n log n)": "n log n"}.get(ratio, "n log n / α²")


def stress_figure(study: Study) -> Figure:
    """Structured data: how far alpha falls, and where the measured width leaves the prediction."""
    widths = study.widths
    if "dataset" not in widths.dims:
        widths = widths.expand_dims(dataset=[str(study.ds.attrs["dataset"][0])])
    with mpl.rc_context(STYLE):
        figure, grid = grid_of(2, width=5.2, height=4.4)
        fall, against = grid[0]
        for place, name in enumerate(widths.dataset.values):
            cells = widths.sel(dataset=name).stack(
                cell=[dim for dim in ("angle", "d", "n") if dim in widths.dims]
            )
            cells = cells.isel(cell=np.flatnonzero(cells.outcome.values.astype(str) != "empty"))
            look = series_look(place)
            positive = cells.alpha.values > 0
            angle = np.where(cells.angle.values > 0, cells.angle.values, 2 * np.pi / cells.n.values)
            fall.plot(
                angle[positive], cells.alpha.values[positive], linestyle="none", label=str(name), **look
            )
            error_bars(against, cells.k_edge_finite.values / cells.n.values, cells, 1 / cells.n.values,
                        label=_tally(str(name), cells), **look)  # fmt: skip
        predicted = (widths.k_edge_finite / widths.n).values
        ends = np.array([np.nanmin(predicted), np.nanmax(predicted)]) * [0.95, 1.05]
        against.plot(ends, ends, color="0.35", linewidth=1, label="measured = predicted")
        fall.set(xscale="log", yscale="log", xlabel="angle between neighbouring rows (rad)",
                 ylabel="α", title="Near-duplicate rows make α small")  # fmt: skip
        against.set(xlabel="predicted k*/n (edge, finite size)", ylabel="measured k*/n",
                    title="Structured data leave the prediction of the edge")  # fmt: skip
        log_ordinate(against)
        fall.legend()
        against.legend()
        return figure


def _tally(name: str, cells: xr.Dataset) -> str:
    """The name of a family, with the cells that have no critical width to draw."""
    outcomes = cells.outcome.values.astype(str)
    missing = [
        (word, int((outcomes == word).sum())) for word in ("degenerate", "censored", "unordered")
    ]
    words = [f"{count} {word}" for word, count in missing if count]
    return f"{name} ({', '.join(words)})" if words else name
