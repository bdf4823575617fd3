"""The pictures of a store: each a function from a Dataset to a matplotlib Figure.

Figures are built without pyplot, so that drawing one leaves no state behind. Colours are Okabe and
Ito's, told apart by the colour-blind; markers and line styles differ as well, so that they read in
grey. `FIGURES` is the register: a new figure is a function and a line there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import matplotlib as mpl
import matplotlib.ticker
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.scaling import fit_laws
from analysis.transitions import critical_widths, success_counts
from pipeline import marchenko_pastur

__all__ = [
    "FIGURES",
    "Picture",
    "evolution_figure",
    "kinds_for",
    "laws_figure",
    "phase_figure",
    "ratios_figure",
    "save",
    "spectrum_figure",
    "stress_figure",
]

STYLE: Any = {
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.labelsize": 10,
    "figure.constrained_layout.use": True,
    "font.size": 9,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "savefig.dpi": 160,
    "svg.fonttype": "none",
    "svg.hashsalt": "widthlaw",
}
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
LINES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)))
MOST_PANELS = 12
PANEL_DIMS = ("activation", "dataset", "angle")
LOCATED = ("fitted", "separated")
SHOWN_LAWS = 3


def _figure(columns: int, rows: int = 1, width: float = 4.2, height: float = 3.6) -> Any:
    """A figure and its grid of axes."""
    figure = Figure(figsize=(width * columns, height * rows))
    return figure, figure.subplots(rows, columns, squeeze=False)


def _look(place: int) -> dict[str, Any]:
    """Colour and marker of the place-th series."""
    return {"color": COLOURS[place % len(COLOURS)], "marker": MARKERS[place % len(MARKERS)]}


def _panels(ds: xr.Dataset) -> Iterator[tuple[str, xr.Dataset]]:
    """The parts of a Dataset along the axes that are no numbers of the law, with their names."""
    dims = [dim for dim in PANEL_DIMS if dim in ds.dims]
    if not dims:
        yield "", ds
        return
    stacked = ds.stack(panel=dims)
    for place in range(stacked.sizes["panel"]):
        names = stacked.panel.values[place]
        part = ds.sel(dict(zip(dims, names, strict=True)))
        words = [
            f"angle {at:g}" if dim == "angle" else str(at) for dim, at in zip(dims, names, strict=True)
        ]
        yield ", ".join(words), part


# ---- the spectrum


def spectrum_figure(ds: xr.Dataset, threshold: float = 0.5) -> Figure:
    """Figure 1: the singular values of Phi, with what random matrix theory predicts on top.

    Each n is stretched to the longest axis, as in the paper; the first seed is drawn. The thin line
    is the deterministic equivalent, the ring at the end the predicted sigma_min = sqrt(k edge).
    """
    panels = [(name, part) for name, part in _panels(ds) if (part.status == 1).any()]
    with mpl.rc_context(STYLE):
        figure, grid = _figure(max(1, len(panels)), width=5.2, height=4.2)
        for axes, (name, part) in zip(grid[0], panels, strict=False):
            _draw_spectra(axes, part.isel(d=0, width=0, seed=0))
            d, k = int(part.d[0]), int(part.k.values.ravel()[0])
            axes.set_title(
                f"{name or 'spectrum of Φ'}: d = {d}, k = {k}; 1 + d outliers, then the bulk"
            )
        return figure


def _draw_spectra(axes: Axes, ds: xr.Dataset) -> None:
    longest = int(ds.n.max())
    for place, n in enumerate(ds.n.values):
        cell = ds.sel(n=n)
        values, k = cell.singular_values.values[:n], float(cell.k)
        rank = np.arange(1, n + 1) * longest / n
        colour = COLOURS[place % len(COLOURS)]
        line = LINES[place % len(LINES)]
        axes.plot(rank, values, color=colour, linestyle=line, linewidth=2, label=f"n = {n}")
        if not np.isfinite(values).all():
            continue
        expected = marchenko_pastur.quantiles(cell.kernel_eigenvalues.values[:n], k)[::-1]
        axes.plot(rank, np.sqrt(k * np.maximum(expected, 0)), color="black", linewidth=0.7, zorder=3)
        end = np.sqrt(k * float(cell.edge))
        axes.plot([longest], [end], clip_on=False, markersize=8, markerfacecolor="white", zorder=4,
                  linestyle="none", color=colour, marker=MARKERS[place % len(MARKERS)])  # fmt: skip
    axes.plot([], [], color="black", linewidth=0.7, label="deterministic equivalent")
    axes.plot([], [], "o", color="black", markerfacecolor="white", label="predicted σ_min = √(k·edge)")
    axes.set(yscale="log", xlabel=f"rank, stretched to {longest}", ylabel="singular value of Φ")
    axes.legend(ncols=2)


def evolution_figure(ds: xr.Dataset, threshold: float = 0.5) -> Figure:
    """How outliers, bulk and edges of the spectrum move with n, with k/n and with d."""
    _, part = next(_panels(ds))
    d, n, width = (part[dim].values[len(part[dim]) // 2] for dim in ("d", "n", "width"))
    cuts = {
        "n": (part.sel(d=d, width=width), f"d = {d}, k = {width:g} n"),
        "width": (part.sel(d=d, n=n), f"d = {d}, n = {n}"),
        "d": (part.sel(n=n, width=width), f"n = {n}, k = {width:g} n"),
    }
    labels = {
        "n": "samples n",
        "width": part.width.attrs.get("long_name", "width"),
        "d": "input dimension d",
    }
    with mpl.rc_context(STYLE):
        figure, grid = _figure(3)
        for axes, (dim, (cut, where)) in zip(grid[0], cuts.items(), strict=True):
            _draw_levels(axes, cut, dim)
            axes.set(xscale="log", yscale="log", xlabel=labels[dim], title=where)
            ticks = cut[dim].values
            axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks], minor=False)
            axes.set_xticks([], minor=True)
        grid[0, 0].set_ylabel("singular value of Φ / √k, median over seeds")
        handles, names = grid[0, 0].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside lower center", ncols=len(names))
        return figure


def _draw_levels(axes: Axes, cut: xr.Dataset, dim: str) -> None:
    points = [_levels(cut.sel({dim: value})) for value in cut[dim].values]
    for place, name in enumerate(points[0]):
        heights = [level[name] for level in points]
        predicted = name.startswith("√edge")
        look = {"color": "black", "linestyle": "--"} if predicted else _look(place)
        axes.plot(cut[dim].values, heights, label=name, linewidth=1.4, markersize=5, **look)


def _levels(cell: xr.Dataset) -> dict[str, float]:
    """Heights of the parts of one cell's spectrum, in units of sqrt(k)."""
    n, d = int(cell.n), int(cell.d)
    values = np.median(cell.singular_values.values[:, :n] / np.sqrt(float(cell.k)), axis=0)
    outliers, bulk = values[1 : d + 1], values[d + 1 :]
    return {
        "σ_max": float(values[0]),
        "d outliers, median": float(np.median(outliers)),
        "bulk, top": float(bulk[0]) if len(bulk) else np.nan,
        "bulk, median": float(np.median(bulk)) if len(bulk) else np.nan,
        "σ_min": float(values[-1]),
        "√edge, predicted σ_min": float(np.sqrt(np.median(cell.edge.values))),
    }


# ---- the transition


def phase_figure(ds: xr.Dataset, threshold: float = 0.5) -> Figure:
    """Share of successes over (n, k), with the fitted critical width and the predicted one."""
    counts = success_counts(ds, threshold)
    share = (counts.successes / counts.trials.where(counts.trials > 0)).compute()
    widths = critical_widths(ds, threshold)
    parts = [
        (f"{name}{', ' if name else ''}d = {d}", part.sel(d=d))
        for name, part in _panels(widths.assign(share=share, k=ds.k))
        for d in widths.d.values
        if part.share.sel(d=d).notnull().any()
    ]
    left = len(parts) - MOST_PANELS
    parts = parts[:MOST_PANELS]
    columns = min(4, max(1, len(parts)))
    with mpl.rc_context(STYLE):
        figure, grid = _figure(columns, -(-max(1, len(parts)) // columns), 3.4, 3.4)
        mesh = None
        for axes, (title, part) in zip(grid.ravel(), parts, strict=False):
            mesh = _draw_phase(axes, part)
            axes.set_title(title)
        for axes in grid.ravel()[len(parts) :]:
            axes.set_axis_off()
        if mesh is not None:
            figure.colorbar(
                mesh, ax=grid, label=f"share of seeds with σ_min/√k ≥ {threshold:g} α", shrink=0.8
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
        first, last = (middle[0], middle[-1]) if len(middle) else (k[0] * 1.05, k[0] * 1.05)
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
    _error_bars(
        axes, at, chosen, color="white", marker="o", markeredgecolor="black", label="fitted k*, 95%"
    )
    axes.set(yscale="log", xlabel="samples n", ylabel="width k")
    axes.set_xticks(at, [str(n) for n in columns])
    return mesh


def _error_bars(axes: Axes, x: Any, cells: xr.Dataset, scale: Any = 1.0, **look: Any) -> None:
    """Critical widths with their intervals; an end that the data do not give is left open."""
    located = np.isin(cells.outcome.values.astype(str), LOCATED)
    k50 = np.where(located, cells.k50.values, np.nan) * scale
    low, high = cells.k50_low.values * scale, cells.k50_high.values * scale
    below = np.where(np.isfinite(low) & located, k50 - low, 0)
    above = np.where(np.isfinite(high) & located, high - k50, 0)
    axes.errorbar(
        x, k50, yerr=np.maximum([below, above], 0), linestyle="none", capsize=2, markersize=5, **look
    )


def laws_figure(ds: xr.Dataset, threshold: float = 0.5) -> Figure:
    """Critical width against n for every d, with the prediction and the best candidate laws."""
    panels = [
        (name, part)
        for name, part in _panels(critical_widths(ds, threshold))
        if np.isin(part.outcome.values.astype(str), LOCATED).any()
    ][:MOST_PANELS]
    columns = min(3, max(1, len(panels)))
    alone = len(panels) <= 1
    with mpl.rc_context(STYLE):
        size = (6.4, 4.6) if alone else (4.4, 3.6)
        figure, grid = _figure(columns, -(-max(1, len(panels)) // columns), *size)
        for axes, (name, part) in zip(grid.ravel(), panels, strict=False):
            _draw_laws(axes, part)
            axes.set_title(
                name or f"Critical width: σ_min(Φ)/√k ≥ {threshold:g} α in half of the trials"
            )
        for axes in grid.ravel()[len(panels) :]:
            axes.set_axis_off()
        return figure


def _draw_laws(axes: Axes, widths: xr.Dataset) -> None:
    n = widths.n.values.astype(float)
    spread = np.linspace(-0.012, 0.012, len(widths.d)) if len(widths.d) > 1 else [0.0]
    for place, d in enumerate(widths.d.values):
        cells = widths.sel(d=d)
        look = _look(place)
        moved = n * np.exp(spread[place])  # side by side, so that no interval hides another
        axes.plot(moved, cells.k_edge_finite, color=look["color"], linestyle=":", linewidth=1.2)
        _error_bars(axes, moved, cells, label=f"measured, d = {d}", **look)
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
    axes.set(xscale="log", yscale="log", xlabel="samples n", ylabel="critical width k*")
    axes.set_xticks(n, [f"{value:g}" for value in n])
    axes.set_xticks([], minor=True)
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


def ratios_figure(ds: xr.Dataset, threshold: float = 0.5) -> Figure:
    """k*/n, k*/(n log n) and k* alpha^2/(n log n) against n: flat where the law holds."""
    parts = [
        (f"{name}{', ' if name else ''}d = {d}", part.sel(d=d))
        for name, part in _panels(critical_widths(ds, threshold))
        for d in part.d.values
        if np.isin(part.outcome.sel(d=d).values.astype(str), LOCATED).any()
    ]
    with mpl.rc_context(STYLE):
        figure, grid = _figure(3, width=4.0, height=3.8)
        for place, (name, cells) in enumerate(parts):
            n = cells.n.values.astype(float)
            log_n = np.log(n)
            scales = (1 / n, 1 / (n * log_n), cells.alpha.values**2 / (n * log_n))
            for axes, scale in zip(grid[0], scales, strict=True):
                look = _look(place)
                _error_bars(axes, n, cells, scale, label=name, **look)
                located = np.isin(cells.outcome.values.astype(str), LOCATED)
                axes.plot(
                    n, np.where(located, cells.k50, np.nan) * scale, color=look["color"], linewidth=0.8
                )
        titles = ("k* / n", "k* / (n log n)", "k* α² / (n log n)")
        ticks = ds.n.values
        for axes, title in zip(grid[0], titles, strict=True):
            axes.set(
                xscale="log", xlabel="samples n", ylabel=title, title=f"flat if k* ∝ {_inverse(title)}"
            )
            axes.set_xticks(ticks, [str(tick) for tick in ticks], rotation=90 if len(ticks) > 4 else 0)
            axes.set_xticks([], minor=True)
            axes.set_yscale("log")
            axes.yaxis.set_major_formatter("{x:.3g}")
            axes.yaxis.set_minor_formatter(
                "{x:.3g}" if _short_range(axes) else mpl.ticker.NullFormatter()
            )
        handles, names = grid[0, 0].get_legend_handles_labels()
        if names:
            figure.legend(handles, names, loc="outside lower center", ncols=min(6, len(names)))
        return figure


def _inverse(ratio: str) -> str:
    return {"k* / n": "n", "k* / (n log n)": "n log n"}.get(ratio, "n log n / α²")


def _short_range(axes: Axes) -> bool:
    low, high = axes.get_ylim()
    return bool(high / low < 5)


def stress_figure(ds: xr.Dataset, threshold: float = 0.5) -> Figure:
    """Structured data: how far alpha falls, and where the measured width leaves the prediction."""
    widths = critical_widths(ds, threshold)
    if "dataset" not in widths.dims:
        widths = widths.expand_dims(dataset=[str(ds.attrs["dataset"][0])])
    with mpl.rc_context(STYLE):
        figure, grid = _figure(2, width=5.2, height=4.4)
        fall, against = grid[0]
        for place, name in enumerate(widths.dataset.values):
            cells = widths.sel(dataset=name).stack(
                cell=[dim for dim in ("angle", "d", "n") if dim in widths.dims]
            )
            cells = cells.isel(cell=np.flatnonzero(cells.outcome.values.astype(str) != "empty"))
            look = _look(place)
            positive = cells.alpha.values > 0
            angle = np.where(cells.angle.values > 0, cells.angle.values, 2 * np.pi / cells.n.values)
            fall.plot(
                angle[positive], cells.alpha.values[positive], linestyle="none", label=str(name), **look
            )
            _error_bars(against, cells.k_edge_finite.values / cells.n.values, cells, 1 / cells.n.values,
                        label=_tally(str(name), cells), **look)  # fmt: skip
        ends = np.array([1.5, 4.0])
        against.plot(ends, ends, color="0.35", linewidth=1, label="measured = predicted")
        fall.set(xscale="log", yscale="log", xlabel="angle between neighbouring rows (rad)",
                 ylabel="α", title="Near-duplicate rows make α small")  # fmt: skip
        against.set(yscale="log", xlabel="predicted k*/n (edge, finite size)", ylabel="measured k*/n",
                    title="Structured data leave the prediction of the edge")  # fmt: skip
        against.yaxis.set_major_formatter("{x:g}")
        against.yaxis.set_minor_formatter(mpl.ticker.NullFormatter())
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


@dataclass(frozen=True)
class Picture:
    """A kind of figure: how it is drawn, and which stores it suits."""

    draw: Callable[[xr.Dataset, float], Figure]
    suits: Callable[[xr.Dataset], bool]


def _is(ds: xr.Dataset, experiment: str) -> bool:
    return bool(ds.attrs.get("experiment") == experiment)


FIGURES = MappingProxyType(
    {
        "spectrum": Picture(spectrum_figure, lambda ds: _is(ds, "spectrum") and ds.sizes["width"] == 1),
        "evolution": Picture(
            evolution_figure, lambda ds: _is(ds, "spectrum") and ds.sizes["width"] > 1
        ),
        "phase": Picture(phase_figure, lambda ds: _is(ds, "conditioning")),
        "laws": Picture(laws_figure, lambda ds: _is(ds, "conditioning")),
        "ratios": Picture(ratios_figure, lambda ds: _is(ds, "conditioning")),
        "stress": Picture(stress_figure, lambda ds: _is(ds, "conditioning") and "angle" in ds.dims),
    }
)


def kinds_for(ds: xr.Dataset) -> list[str]:
    """Return the kinds of figure that suit a store."""
    return [kind for kind, picture in FIGURES.items() if picture.suits(ds)]


def save(figure: Figure, path: Path) -> None:
    """Write a figure in the format of the path's ending."""
    with mpl.rc_context(STYLE):
        figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)
