"""Figures of theory beside what was measured: certificates, proof, gap, linear regression."""

from __future__ import annotations

from typing import Any

import matplotlib as mpl
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

from analysis.experiments.generalisation import gap_slope, gaps, local_slopes
from analysis.experiments.proof import proof_steps
from analysis.experiments.theorem1 import applies, worst_ratios
from analysis.figures.parts import legend_below, log_abscissa, parts_of, with_axes
from analysis.figures.style import (
    MOST_PANELS,
    STYLE,
    TRAINED,
    error_bars,
    grid_of,
    sample_ticks,
    say,
    series_look,
)
from analysis.study import Study
from pipeline.trial_status import Status

__all__ = ["certificate_figure", "generalisation_figure", "proof_figure", "regression_figure"]

MOST_SERIES = 6
CASES = ("activation", "trained", "depth")
CEILING = 1.2
"""Ratios beyond it stand as triangles at the top: a diverging trial's would flatten all others."""
DISTANCES = {
    "lower_ratio": "lower bound / distance",
    "upper_ratio": "distance / upper bound",
    "shortest_ratio": "distance / linearised shortest",
}


# ---- Theorem 1


def certificate_figure(study: Study) -> Figure:
    """The worst ratios of (4) and (5) against the size of the residual, and the bounds on the distance.

    Every point is a trial. It is full where the theorem applies, proven; hollow where its constants
    are measured only, or the residual is beyond the certified one. Full points must lie at or below 1.
    """
    ds = with_axes(study.ds, *CASES)
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


# ---- the proof of Theorem 2


def proof_figure(study: Study) -> Figure:
    """How loose the steps of the proof are: norms of the rows, truncation, and the sufficient width."""
    ds = study.ds
    parts = parts_of(ds, "n")
    steps = proof_steps(ds, study.widths)
    rows = max(1, min(len(parts), MOST_PANELS // 3))
    with mpl.rc_context(STYLE):
        figure, grid = grid_of(3, rows, width=4.4, height=4.0)
        for row, (name, part) in zip(grid, parts, strict=False):
            where = {dim: part[dim].item() for dim in study.widths.dims if dim != "n"}
            _draw_norms(row[0], part)
            _draw_truncation(row[1], part)
            _draw_widths(row[2], part, study.widths.sel(where), steps.sel(where))
            titles = ("norms of rows", "cost of truncation", "width that suffices")
            for axes, title in zip(row, titles, strict=True):
                axes.set_title(", ".join(filter(None, [name, title])))
        if not parts:
            say(grid[0, 0], "no trial is done yet")
        legend_below(figure, *grid.ravel())
        return figure


def _draw_norms(axes: Axes, part: xr.Dataset) -> None:
    for place, n in enumerate(part.n.values):
        cell, look = part.sel(n=n), series_look(place)
        k = cell.k.values
        norm = cell.feature_norm
        axes.fill_between(k, norm.min("seed"), norm.max("seed"), color=look["color"], alpha=0.2,
                          linewidth=0)  # fmt: skip
        axes.plot(k, norm.median("seed"), linewidth=1, markersize=4, label=f"n = {n}", **look)
        axes.plot(k, cell.delta_squared.median("seed"), linestyle="--", color=look["color"])
    axes.plot([], [], color="grey", linestyle="--", label="bound of the proof")
    axes.set(xscale="log", xlabel="width k", ylabel="largest ‖φ(z)‖² / n of k rows", ylim=(0, None))


TRUNCATION = ("truncated_alpha_squared", "truncated_at_sufficient", "sufficient_width")


def _draw_truncation(axes: Axes, part: xr.Dataset) -> None:
    """What truncation may cost, as the proof bounds it: at most 1/2, or the step shows nothing."""
    if not (part.alpha > 0).any():
        say(axes, "α = 0")
        return
    part = part[["alpha", *TRUNCATION]].where(part.alpha > 0)
    for place, n in enumerate(part.n.values):
        cell, look = part.sel(n=n), series_look(place)
        lost = 1 - cell.truncated_alpha_squared / cell.alpha**2
        end = 1 - cell.truncated_at_sufficient / cell.alpha**2
        enough = cell.sufficient_width.median("seed").item()
        known = lost.median("seed").values
        axes.plot(np.append(cell.k.values, enough), np.append(known, end.median("seed").item()),
                  linewidth=0.8, linestyle=":", color=look["color"])  # fmt: skip
        axes.plot(cell.k.values, known, linewidth=1, markersize=4, **look)
        axes.plot(cell.sufficient_width.values, end.values, linestyle="none", markersize=5,
                  markerfacecolor="none", **look)  # fmt: skip
    axes.plot([], [], "o", color="grey", markerfacecolor="none", label="at the sufficient width")
    axes.axhline(0.5, color="black", linewidth=0.8, zorder=0, label="what the proof allows")
    axes.set(xscale="log", yscale="log", xlabel="width k", ylabel="bound on the share of α² lost")
    axes.yaxis.set_major_formatter("{x:g}")


def _draw_widths(axes: Axes, part: xr.Dataset, widths: xr.Dataset, steps: xr.Dataset) -> None:
    n = part.n.values.astype(float)
    if not (part.alpha > 0).any():
        say(axes, "α = 0: no width suffices")
        return
    axes.plot(n, part.sufficient_width.median("seed"), color="0.4", marker="s", linestyle="--",
              label="sufficient width")  # fmt: skip
    axes.plot(
        n, widths.k_edge_finite, color="black", linestyle=":", label="predicted (edge, finite size)"
    )
    error_bars(axes, n, widths, color="#D55E00", marker="o", label="measured k*, 95%")
    for at, factor in zip(n, steps.width_factor.values, strict=True):
        if np.isfinite(factor):
            middle = np.sqrt(factor) * float(widths.k50.sel(n=at))
            axes.text(at, middle, f" × {float(f'{factor:.2g}'):,.0f}", va="center", fontsize=8)
            axes.vlines(at, float(widths.k50.sel(n=at)), factor * float(widths.k50.sel(n=at)),
                        color="0.7", linewidth=0.8, zorder=0)  # fmt: skip
    axes.set(yscale="log", ylabel="width k")
    sample_ticks(axes, n)
    axes.margins(x=0.25)


# ---- generalisation


def generalisation_figure(study: Study) -> Figure:
    """The gap between test and training loss, alone and over Gamma, against n, and against Γ/√n.

    Points are means over seeds with the range of the seeds; grey lines have the reference's slope.
    """
    series = [
        (_series_name(name, part, width), part.sel(width=width))
        for name, part in parts_of(study.ds, "n")
        for width in part.width.values
    ]
    series = [(name, part) for name, part in series if bool((gaps(part).mean("seed") > 0).any())]
    shown = series[:MOST_SERIES]
    with mpl.rc_context(STYLE):
        figure, grid = grid_of(3, width=4.4, height=4.2 + 0.35 * len(shown))
        for place, (name, part) in enumerate(shown):
            look = series_look(place)
            _draw_gap(grid[0, 0], part, False, name, look)
            if (part.distance > 0).any():
                _draw_gap(grid[0, 1], part, True, name, look)
                _draw_against(grid[0, 2], part, look, named=len(shown) == 1)
        _label_gaps(grid[0], study.ds.n.values)
        for axes in grid[0]:
            if not axes.lines:
                say(axes, "Γ = 0: no step was taken" if series else "no n has a mean gap above 0")
        if len(series) > len(shown):
            words = f"{len(series) - len(shown)} more series are not drawn; select fewer cells"
            figure.suptitle(words, fontsize=9)
        legend_below(figure, *grid[0])
        return figure


def _label_gaps(row: Any, n: Any) -> None:
    alone, over, against = row
    alone.set(yscale="log", ylabel="gap: test − training loss (clipped)", title="Gap")
    over.set(yscale="log", ylabel="gap / Γ", title="Gap over distance Γ = ‖θ_T − θ₀‖")
    against.set(yscale="log", xlabel="Γ / √n", ylabel="gap: test − training loss",
                title="Gap against Γ/√n")  # fmt: skip
    log_abscissa(against)
    for axes in (alone, over):
        sample_ticks(axes, n)


def _series_name(name: str, part: xr.Dataset, width: float) -> str:
    unit = part.width.attrs.get("long_name", "width, as k").removeprefix("width, as ")
    return f"{name}, {unit.replace(' ', '')} = {width:g}"


def _draw_gap(axes: Axes, part: xr.Dataset, scaled: bool, name: str, look: dict[str, Any]) -> None:
    gap, n = gaps(part, scaled=scaled), part.n.values.astype(float)
    mean = gap.mean("seed").values
    reach = [mean - gap.min("seed").values, gap.max("seed").values - mean]
    axes.errorbar(n, mean, yerr=reach, linestyle="none", capsize=2, markersize=5, label=name, **look)
    fit, local = gap_slope(part, scaled=scaled), local_slopes(part, scaled=scaled)
    if not np.isfinite(fit["slope"]):
        return
    words = f"{'gap / Γ' if scaled else 'gap'}: slope {fit['slope']:.2f}"
    if np.isfinite(fit["low"]):
        words += f", 95% {fit['low']:.2f} to {fit['high']:.2f}"
    if len(local) > 1:
        words += f"\n(first two n: {local[0]:.2f}, last two: {local[-1]:.2f})"
    words = words.replace("-", "−")
    axes.plot(n, fit["level"] * n ** fit["slope"], color=look["color"], linewidth=1.1, label=words)
    middle, centre = _log_mean(mean), _log_mean(np.where(mean > 0, n, np.nan))
    axes.plot(n, middle * np.sqrt(centre / n), color="0.55", linestyle="--", linewidth=1,
              label="slope −1/2", zorder=0)  # fmt: skip


def _log_mean(values: Any) -> float:
    """Geometric mean of the values above 0: a gap that chance makes negative has no logarithm."""
    return float(np.exp(np.log(values[values > 0]).mean()))


def _draw_against(axes: Axes, part: xr.Dataset, look: dict[str, Any], named: bool) -> None:
    """Every trial, and the means of each n; an n is named where one series stands alone."""
    gap, n = gaps(part), part.n.values.astype(float)
    x = (part.distance.where(part.status == Status.DONE) / np.sqrt(part.n)).transpose(*gap.dims)
    axes.plot(x.values.ravel(), gap.values.ravel(), linestyle="none", alpha=0.5, markersize=3, **look)
    middle, mean, top = x.mean("seed").values, gap.mean("seed").values, gap.max("seed").values
    label = "means, by n" if named else None
    axes.plot(middle, mean, color=look["color"], linewidth=1.2, label=label)
    for at, height, size in zip(middle, top, n, strict=True):
        if named and height > 0:
            axes.annotate(f"n = {size:.0f}", (at, height), (0, 6), textcoords="offset points",
                          fontsize=7, ha="center")  # fmt: skip
    known = mean > 0
    ends = np.array([np.nanmin(x), np.nanmax(x)])
    level = _log_mean(mean[known]) / _log_mean(middle[known])
    axes.plot(ends, level * ends, color="0.55", linestyle="--", linewidth=1, label="gap ∝ Γ/√n",
              zorder=0)  # fmt: skip


# ---- linear regression

REGRESSION = ("limit_error", "distance_ratio", "length_ratio", "rate", "rate_predicted", "tolerance")


def regression_figure(study: Study) -> Figure:
    """Where descent ends, how far that is from the start, and how fast the slowest mode falls."""
    parts = parts_of(study.ds, "d", "n")
    rows = max(1, min(len(parts), MOST_PANELS // 3))
    with mpl.rc_context(STYLE):
        figure, grid = grid_of(3, rows, width=4.4, height=3.9)
        for row, (name, part) in zip(grid, parts, strict=False):
            ran = part[list(REGRESSION)].where(part.status == Status.DONE)
            titles = ("the limit is θ† + Π_null θ₀", "distance travelled", "rate of the slowest mode")
            for axes, title, draw in zip(row, titles, _REGRESSION_PANELS, strict=True):
                axes.set_title(", ".join(filter(None, [name, title])))
                if (part.status == Status.DONE).any():
                    draw(axes, ran)
                else:
                    say(axes, "no trial is done: descent diverged")
        if not parts:
            say(grid[0, 0], "no trial is done yet")
        legend_below(figure, *grid[0])
        return figure


def _strips(axes: Axes, part: xr.Dataset, name: str, shift: float = 0.0, **look: Any) -> None:
    """All seeds of every n/d, side by side."""
    values = part[name].stack(cell=("d", "n", "width")).transpose("cell", "seed")
    ratio = (values.n / values.d).values
    gap = np.diff(np.unique(ratio)).min() if len(np.unique(ratio)) > 1 else 0.2
    spread = np.linspace(-0.12, 0.12, values.sizes["seed"]) + shift
    x = ratio[:, None] + gap * spread
    axes.plot(x.ravel(), values.values.ravel(), linestyle="none", markersize=3.5, alpha=0.8, **look)


def _draw_limit(axes: Axes, part: xr.Dataset) -> None:
    _strips(axes, part, "limit_error", **series_look(0))
    axes.axhline(np.sqrt(part.tolerance.values[-1]), color="0.55", linestyle="--", linewidth=1,
                 label="root of the last tolerance")  # fmt: skip
    axes.set(yscale="log", xlabel="samples over dimension n/d")
    axes.set_ylabel("‖θ_T − θ_∞‖ / ‖θ_∞ − θ₀‖")


def _draw_lengths(axes: Axes, part: xr.Dataset) -> None:
    off = float(np.abs(part.distance_ratio - 1).max())
    _strips(axes, part, "length_ratio", 0.0, label="distance over ‖X†y‖ (as printed)", **series_look(1))
    words = f"distance over ‖X†(y − Xθ₀)‖: 1 to within {off:.0e}"
    _strips(axes, part, "distance_ratio", 0.0, label=words, **series_look(0))
    axes.axhline(1, color="0.55", linewidth=0.8, zorder=0)
    axes.set(xlabel="samples over dimension n/d", ylabel="distance travelled, ratio")


def _draw_rates(axes: Axes, part: xr.Dataset) -> None:
    stacked = part[["rate", "rate_predicted"]].stack(cell=("d", "n", "width"))
    for place, at in enumerate(range(stacked.sizes["cell"])):
        cell = stacked.isel(cell=at)
        label = f"n/d = {float(cell.n) / float(cell.d):g}"
        axes.plot(1 - cell.rate_predicted, 1 - cell.rate, linestyle="none", markersize=4, label=label,
                  **series_look(place + 2))  # fmt: skip
    predicted = (1 - stacked.rate_predicted).values
    if not np.isfinite(predicted).any():
        say(axes, "no rate was measured")
        return
    ends = np.array([np.nanmin(predicted), np.nanmax(predicted)]) * [0.8, 1.25]
    axes.plot(ends, ends, color="0.35", linewidth=0.8, zorder=0, label="measured = predicted")
    axes.set(xscale="log", yscale="log", xlabel="predicted 1 − rate: η σ_min²")
    axes.set_ylabel("measured 1 − ‖r_T‖/‖r_T₋₁‖")


_REGRESSION_PANELS = (_draw_limit, _draw_lengths, _draw_rates)
