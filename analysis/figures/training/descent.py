"""Figures of trained networks: losses step by step, the choice of weights to train, and depth."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from analysis.axes import CELL, TRAINED, own_axes
from analysis.axes import label as axis_label
from analysis.cells import width_label
from analysis.experiments.output import expected_loss
from analysis.figures.looks.chart import Chart, dot, stroke, styled, uncaptioned
from analysis.figures.looks.parts import (
    axes_as_in,
    draw_success,
    grid_of_parts,
    grid_with_residuals,
    left_out,
    legend_below,
    log_abscissa,
    mark_critical,
    parts_of,
    share_abscissa,
    titled,
    with_axes,
)
from analysis.figures.looks.style import (
    MOST_PANELS,
    PREDICTED,
    PREDICTION,
    RESIDUAL,
    grey,
    grid_of,
    ink,
    only_text,
    outlined,
    pale,
    series_look,
    shades,
    show_text,
)
from analysis.figures.looks.typography import mathtext
from analysis.study import Study
from analysis.success.budgets import budget_of
from pipeline.errors import InputError
from pipeline.trial_status import Status

__all__ = ["curves_caption", "curves_figure", "depth_figure", "layers_figure"]

MOST_CURVES, MOST_SEEDS = 6, 4


def curves_figure(study: Study) -> Chart:
    """Relative loss ‖r‖²/‖r₀‖² against steps of gradient descent.

    Thin lines are seeds, at most four for each colour; colours are widths, or values of n if all trials
    have the same width. Grey horizontal lines are the tolerances. A line ends where its trial ended.
    """
    along = "width" if study.ds.sizes["width"] > 1 else "n"
    parts = parts_of(study.ds, along)
    if study.ds.attrs.get("experiment") == "output" and parts:
        return _curves_with_theory(parts, along)
    with styled():
        figure, panels = grid_of_parts(len(parts), 3)
        for axes, (name, part) in zip(panels, parts, strict=False):
            _draw_curves(axes, part, along)
            titled(axes, name)
        legend_below(figure, *panels[: len(parts)], columns=MOST_CURVES + 2)
        return figure


def curves_caption(study: Study) -> str:
    """Describe what the figure adds for stores that train the output layer."""
    if study.ds.attrs.get("experiment") != "output":
        return ""
    return (
        "Black dashes are the loss that random matrix theory predicts from the kernel of the first "
        "seed. The lower panel shows the median over seeds over that prediction, minus 1. Nothing is "
        "fitted."
    )


def _curves_with_theory(parts: list[tuple[str, xr.Dataset]], along: str) -> Chart:
    shown = parts[:MOST_PANELS]
    columns = min(3, len(shown))
    with styled():
        width = 4.0 if columns > 1 else 5.6
        figure, pairs = grid_with_residuals(columns, len(shown), width, 4.4)
        for (axes, below), (name, part) in zip(pairs, shown, strict=False):
            _draw_curves(axes, part, along)
            _draw_expected(axes, below, part, along)
            titled(axes, name)
            share_abscissa(axes, below)
        if len(parts) > len(shown):
            figure.suptitle(left_out(len(parts) - len(shown)))
        legend_below(figure, *(axes for axes, _ in pairs[: len(shown)]), columns=MOST_CURVES + 2)
        return figure


def _draw_expected(axes: Axes, below: Axes, part: xr.Dataset, along: str) -> None:
    """Draw the predicted loss, and below it the measured median over the predicted loss."""
    c = float(part.attrs.get("identity_fields", {}).get("descent", {}).get("step_size", 1.0))
    steps = part.step.values[part.step.values > 0]
    lowest = part.tolerance.values.min() / 5
    chosen = _drawn(part, along)
    for index, colour in zip(chosen, shades(len(chosen)), strict=True):
        cell = part.isel({"width": 0, along: index})
        try:
            spectrum = _kernel_of(cell)
        except InputError:  # the data file no longer exists: draw the measured curves only
            return
        loss = expected_loss(spectrum, float(cell.k), steps, c)
        name = width_label(part, along, part[along].values[index])
        axes.plot(steps, loss, color=ink(), linewidth=stroke(0.8), linestyle=PREDICTION, zorder=3,
                  path_effects=outlined(0.8), label=f"_{name}, predicted")  # fmt: skip
        kept = (
            cell.loss_curve.sel(step=steps).where(cell.status == Status.DONE).dropna("seed", how="all")
        )
        if kept.size:
            measured = kept.median("seed").values
            shown = (loss > lowest) & (measured > 0)
            ratio = measured[shown] / loss[shown]
            below.plot(steps[shown], ratio - 1, color=colour, linewidth=stroke(1), label=f"_{name}")
    look: Any = {"color": ink(), "linewidth": stroke(0.8), "linestyle": PREDICTION}
    axes.plot([], [], **look, label="predicted from the kernel")
    below.set(ylabel=RESIDUAL, ylim=(-1, 1))


def _kernel_of(cell: xr.Dataset) -> Any:
    """Return the eigenvalues of the kernel of the first seed, whose data are drawn again."""
    model: dict[str, Any] = {
        name: cell[name].item() for name in ("activation", "dataset", "angle") if name in cell.coords
    }
    d, n, seed = int(cell.d), int(cell.n), int(cell.seed[0])
    # Imported here: it knows how data are drawn and trained, and few figures need that.
    from pipeline.maintenance.recompute import redrawn_eigenvalues

    return redrawn_eigenvalues(cell.attrs, d=d, n=n, seed=seed, **model)


def _drawn(part: xr.Dataset, along: str) -> Any:
    """Return the indices on an axis at which curves are drawn."""
    return np.unique(np.linspace(0, part.sizes[along] - 1, MOST_CURVES).round().astype(int))


def _draw_curves(axes: Axes, part: xr.Dataset, along: str) -> None:
    values = part[along].values
    chosen = _drawn(part, along)
    peak = 1.0
    for index, colour in zip(chosen, shades(len(chosen)), strict=True):
        cell = part.isel({"width": 0, along: index})  # if n is drawn there is one width
        name = width_label(part, along, values[index])
        look: Any = {"color": colour, "linewidth": stroke(0.9)}
        seeds = cell.seed.values[:MOST_SEEDS]
        curves = {seed: _whole_curve(cell.sel(seed=seed)) for seed in seeds}
        for seed, (steps, loss) in curves.items():
            if len(loss):
                peak = max(peak, float(loss.max()))
                axes.plot(steps, loss, label=f"_{name}, seed {seed}", **look)
        if any(len(loss) for _, loss in curves.values()):
            axes.plot([], [], label=name, **look)
    for index, tolerance in enumerate(part.tolerance.values):
        label = "_tolerance" if index else "tolerance"
        axes.axhline(tolerance, color=grey(0.65), linewidth=stroke(0.8), zorder=0, label=label)
    axes.set(xscale="log", yscale="log", xlabel="steps of gradient descent")
    another = "loss" in part.attrs["identity_fields"]["descent"].get("settings", {})
    axes.set_ylabel(mathtext("relative loss" if another else "relative loss ‖r‖² / ‖r₀‖²"))
    # A diverging trial would flatten all others, and a closed form falls far below the tolerances.
    axes.set_ylim(part.tolerance.values.min() / 5, 1.6 * min(peak, 100))


def _whole_curve(trial: xr.Dataset) -> tuple[Any, Any]:
    """Return the steps and losses of a trial, including its last step, which no stored step records."""
    kept = np.isfinite(trial.loss_curve.values) & (trial.loss_curve.values > 0)
    steps, loss = trial.step.values[kept].astype(float), trial.loss_curve.values[kept]
    end, last = float(trial.steps), float(trial.loss_final / trial.loss_initial)
    if len(steps) and end > steps[-1] and np.isfinite(last) and last > 0:
        steps, loss = np.append(steps, end), np.append(loss, last)
    return steps, loss


# --- the choice of weights to train -----------------------------------------------------------------


def layers_figure(study: Study) -> Chart:
    """Share of seeds that succeed with v, W or both trained, against trained weights and against width.

    Both abscissae are in units of n. Points are shares of seeds; lines are the fitted curve, or the
    isotonic fit where no curve fits; markers at one half are critical widths k*. Full colour is the
    finest tolerance, pale colour the coarsest. On the grey vertical line there are as many weights, or
    hidden units, as samples.
    """
    ds = with_axes(study.ds, "trained")
    parts = parts_of(ds, "trained")
    rows = max(1, min(len(parts), MOST_PANELS // 2))
    with styled():
        figure, grid = grid_of(2, rows, width=5.0, height=3.6)
        for row, (name, part) in zip(grid, parts, strict=False):
            shares = _Shares(study, part, "trained")
            for axes, unit in zip(row, ("parameters", "k"), strict=True):
                shares.draw(axes, unit, TRAINED)
                titled(axes, name, 56)
        if not parts:
            only_text(figure, "no trial is done yet")
        legend_below(figure, grid[0, 0], columns=3)
        return figure


class _Shares:
    """Shares of successes and critical widths for each value on an axis."""

    def __init__(self, study: Study, part: xr.Dataset, along: str) -> None:
        self.part, self.along, self.n = part, along, float(part.n)
        self.budget = budget_of(part)
        counts, self.widths = (
            _of_part(part, along, found) for found in (study.default.counts, study.default.widths)
        )
        self.share = counts.successes / counts.trials.where(counts.trials > 0)
        self.trials = counts.trials

    def draw(self, axes: Axes, unit: str, labels: Any) -> None:
        """Draw lines over k or over the number of trained weights, both in units of n."""
        for index, at in enumerate(self.part[self.along].values):
            cell = self.part.sel({self.along: at})
            k = np.broadcast_to(cell.k.values, cell.width.shape).astype(float)
            x = (cell.parameters.max("seed").values if unit == "parameters" else k) / self.n
            look = series_look(index)
            for tolerance in self._tolerances():
                here = {self.along: at, "tolerance": tolerance}
                share, trials, found = (
                    part.sel(here) for part in (self.share, self.trials, self.widths)
                )
                label = mathtext(f"{labels[at]}, relative loss ≤ {tolerance:g}")
                draw_success(axes, found, share, trials, k, x, name=label, color=look["color"])
                mark_critical(axes, found, k, x, label=f"_k*, {label}", **look)
                axes.plot([], [], label=label, **look)
                look["color"] = pale(look["color"])
        axes.axvline(1, color=grey(0.65), linewidth=stroke(0.8), zorder=0)  # as many as samples
        axes.axhline(0.5, color=grey(0.85), linewidth=stroke(0.8), zorder=0)
        name = "trained weights p / n" if unit == "parameters" else "width k / n"
        axes.set(xscale="log", xlabel=name, ylim=(-0.04, 1.04))
        axes.set_ylabel(f"share of seeds, {self.budget:,} steps")
        self.crop(axes, unit)
        log_abscissa(axes)

    def crop(self, axes: Axes, unit: str) -> None:
        """Crop the widths above which all trials of all series succeed."""
        short = (self.share < 1).any(
            [dim for dim in self.share.dims if dim not in (self.along, "width")]
        )
        weights = self.part.parameters.max("seed")
        x = ((weights if unit == "parameters" else self.part.k) / self.n).broadcast_like(short)
        low, high = float(x.min()), float(x.where(short).max())
        if np.isfinite(high):
            axes.set_xlim(low / 1.2, min(high * 4, float(x.max()) * 1.2))

    def _tolerances(self) -> list[float]:
        """Return the finest tolerance, and the coarsest if it is another."""
        values = self.part.tolerance.values.tolist()
        return [values[-1], values[0]] if len(values) > 1 else values


def _of_part(part: xr.Dataset, along: str, found: xr.Dataset) -> xr.Dataset:
    """Return the cells of an answer that are those of a part of the store."""
    dims = [dim for dim in (*own_axes(found), *CELL) if dim in found.dims and dim != along]
    return axes_as_in(part, found.sel({dim: part[dim].item() for dim in dims}), along)


# --- depth ----------------------------------------------------------------------------------------


def depth_figure(study: Study) -> Chart:
    """Training and conditioning for each number of hidden layers L.

    First two panels: share of seeds that succeed against the width k and against the number of
    trained weights p, in units of n. Points are shares of seeds; lines are the fitted curve, or the
    isotonic fit where no curve fits; markers at one half are critical widths k*. Full colour is the
    finest tolerance, pale colour the coarsest. Third panel: σ_min of the last features over √k
    times the α of their kernel; markers are medians over seeds, bands reach from the least to the
    largest value. The dashed line is predicted from the spectral edge, which treats the layers
    below as infinitely wide.
    """
    ds = with_axes(study.ds, "depth")
    parts = parts_of(ds, "depth")
    rows = max(1, min(len(parts), MOST_PANELS // 3))
    labels = {int(depth): axis_label("depth", depth) for depth in ds.depth.values}
    with styled():
        figure, grid = grid_of(3, rows, width=4.2, height=3.6)
        for row, (name, part) in zip(grid, parts, strict=False):
            shares = _Shares(study, part, "depth")
            shares.draw(row[0], "k", labels)
            shares.draw(row[1], "parameters", labels)
            _draw_conditioning(row[2], part)
            for axes, title in zip(row, ("by width", "by weights", "last features"), strict=True):
                titled(axes, ", ".join(filter(None, [name, uncaptioned(title)])))
        if not parts:
            only_text(figure, "no trial is done yet")
        legend_below(figure, *grid.ravel(), columns=4)
        return figure


def _draw_conditioning(axes: Axes, part: xr.Dataset) -> None:
    n = float(part.n)
    done = part[["sigma_min", "kernel_alpha", "edge"]].where(part.status == Status.DONE)
    if not ((done.kernel_alpha > 0) & (part.k > n)).any():
        show_text(
            axes, "α = 0" if (done.kernel_alpha == 0).any() else "no trial with k > n is done yet"
        )
        return
    done = done.where(done.kernel_alpha > 0)
    for index, depth in enumerate(part.depth.values):
        cell = done.sel(depth=depth)
        ratio = cell.sigma_min / np.sqrt(cell.k) / cell.kernel_alpha
        edge = np.sqrt(cell.edge) / cell.kernel_alpha
        # With fewer than n units sigma_min is 0 by definition, whatever the depth.
        wide = part.k.values > n
        x, look = part.k.values[wide] / n, series_look(index)
        low, middle, high = (
            getattr(ratio, statistic)("seed").values[wide] for statistic in ("min", "median", "max")
        )
        name = axis_label("depth", depth)
        axes.fill_between(x, low, high, color=look["color"], alpha=0.2, linewidth=0,
                          label=f"_{name}, range")  # fmt: skip
        axes.plot(x, middle, linewidth=stroke(1.3), markersize=dot(5), label=f"_{name}, median", **look)
        axes.plot(x, edge.median("seed").values[wide], linestyle=PREDICTION, color=look["color"],
                  linewidth=stroke(1), label=f"_{name}, predicted")  # fmt: skip
    axes.plot([], [], color=grey(0.5), linestyle=PREDICTION, label=PREDICTED["k_edge"])
    axes.axhline(0.5, color=grey(0.65), linewidth=stroke(0.8), zorder=0)
    axes.set(xlabel="width k / n", ylabel=mathtext("σ_min(Φ_L) / (√k α_L)"), ylim=(0, 1))
    log_abscissa(axes)
