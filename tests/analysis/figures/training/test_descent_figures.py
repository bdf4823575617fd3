"""Figures of descent draw what their stores say."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import xarray as xr
from matplotlib.text import Text

import pipeline
from analysis import critical_widths, success_counts
from analysis.experiments.input import looseness
from analysis.experiments.output import expected_loss
from analysis.figures import FIGURES, kinds_for, save
from analysis.figures.looks.style import AT_EDGE, grey
from analysis.stores import load_store
from analysis.study import Study
from analysis.success import Success
from analysis.success.budgets import budget_grid, budget_of
from pipeline.numerics import datasets
from pipeline.numerics.streams import Role, stream
from pipeline.sweep_files.load import parse_sweep
from pipeline.theory.kernels import kernel_eigenvalues, kernel_matrix

from ..stand import (
    EVERY,
    KINDS,
    STORES,
    curves_of,
    data_lines,
    marks_at_half,
    on_its_curve,
    panels,
    titled,
)

# ---- every kind


@pytest.mark.parametrize("name", STORES)
def test_kinds_suit_the_store(descents, name) -> None:
    assert set(KINDS[name]) <= set(kinds_for(descents[name].ds))
    new = {kind for kinds in KINDS.values() for kind in kinds}
    assert not new - set(KINDS[name]) & set(kinds_for(descents[name].ds))


@pytest.mark.parametrize(("name", "kind"), EVERY)
def test_a_figure_is_written_and_its_axes_and_series_are_named(drawn, tmp_path, name, kind) -> None:
    figure = drawn[name, kind]
    figure.draw_without_rendering()
    figure.keep_layout()  # once for both files: solving it takes most of the time
    save(figure, tmp_path / "a.svg")
    assert (tmp_path / "a.svg").read_bytes().startswith(b"<?xml")
    if name == next(store for store, other in EVERY if other == kind):  # once for each kind
        save(figure, tmp_path / "a.png")
        assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    assert panels(figure)
    for axes in panels(figure):
        spec = axes.get_subplotspec()
        row = [other for other in panels(figure) if other.get_subplotspec().rowspan == spec.rowspan]
        assert axes.get_xlabel()
        assert any(other.get_ylabel() for other in row)
    legends = [*figure.legends, *(axes.get_legend() for axes in panels(figure))]
    words = [text.get_text() for legend in legends if legend for text in legend.get_texts()]
    assert words
    assert all(words)


@pytest.mark.parametrize(("name", "kind"), EVERY)
def test_no_legend_is_wider_than_the_figure(drawn, name, kind) -> None:
    figure = drawn[name, kind]
    figure.draw_without_rendering()
    for legend in figure.legends:
        box = legend.get_window_extent()
        assert box.x0 >= 0
        assert box.x1 <= figure.bbox.width


def test_a_store_without_results_says_so(descents) -> None:
    for name, kind in EVERY:
        ds = descents[name].ds
        empty = Study(ds.assign(status=xr.zeros_like(ds.status)))
        if kind in ("curves", "layers", "depth", "thresholds", "budget"):
            figure = FIGURES[kind].draw(empty)
            assert "no trial is done yet" in {
                text.get_text() for axes in figure.axes for text in axes.texts
            }


# ---- descent


def test_curves_are_those_of_the_first_seeds_and_reach_the_end_of_the_trial(descents, drawn) -> None:
    ds = descents["output"].ds.compute()
    axes, _ = panels(drawn["output", "curves"])
    curves = [xy for xy in data_lines(axes, linestyle="-") if len(xy) > 2]
    assert len(curves) == 6 * 4  # widths and seeds
    trial = ds.isel(d=0, n=0, width=0, seed=0)
    np.testing.assert_allclose(curves[0][: ds.sizes["step"], 1], trial.loss_curve, rtol=1e-12)
    assert curves[0][-1, 0] == trial.steps
    tolerances = [xy[0, 1] for xy in data_lines(axes, color=grey(0.65))]
    np.testing.assert_array_equal(tolerances, ds.tolerance)


def test_the_output_layer_is_set_beside_the_loss_that_the_kernel_leads_to(descents, drawn) -> None:
    ds = descents["output"].ds
    axes, below = panels(drawn["output", "curves"])
    eigenvalues = kernel_eigenvalues(
        kernel_matrix(draw(ds, "sphere", seed=0), ds.attrs["activation"][0])
    )
    expected = [xy for xy in data_lines(axes, linestyle="--") if len(xy) > 2]
    k = ds.k.squeeze().values[np.unique(np.linspace(0, 7, 6).round().astype(int))]
    misses = [xy for xy in data_lines(below, linestyle="-") if len(xy) > 2]
    assert len(expected) == len(misses) == len(k)
    for xy, width in zip(expected, k, strict=True):
        np.testing.assert_allclose(xy[:, 1], expected_loss(eigenvalues, width, xy[:, 0]), rtol=1e-9)
    measured = ds.loss_curve.isel(d=0, n=0, width=0).median("seed").sel(step=misses[0][:, 0])
    law = expected_loss(eigenvalues, k[0], misses[0][:, 0])
    np.testing.assert_allclose(misses[0][:, 1], measured / law - 1, rtol=1e-9)


def draw(ds: xr.Dataset, kind: str, seed: int) -> np.ndarray:
    """The inputs of one seed of a store of one cell."""
    inputs = stream(7, int(ds.d[0]), int(ds.n[0]), seed, Role.DATA)
    return datasets.draw(datasets.DatasetSpec(kind), inputs, int(ds.n[0]), int(ds.d[0]))


def test_a_trial_that_meets_its_last_tolerance_ends_there(descents, drawn) -> None:
    ds = descents["input"].ds.compute()
    figure = drawn["input", "curves"]
    assert len(panels(figure)) == 4
    widest = ds.sel(d=4, n=24).isel(width=-1, seed=0)
    ends = [xy[-1, 0] for xy in data_lines(titled(figure, "d = 4, n = 24")) if len(xy) > 2]
    assert float(widest.steps) < budget_of(ds)
    assert float(widest.steps) in ends


@pytest.mark.parametrize(("name", "panel"), [("input", "d = 4, n = 24"), ("output", "d = 4, n = 12")])
def test_the_budget_figure_has_the_critical_width_of_every_tolerance(
    descents, drawn, name, panel
) -> None:
    ds = descents[name].ds
    budgets = budget_grid(ds)
    assert budgets[-1] == budget_of(ds) == 400
    axes = titled(drawn[name, "budget"], panel)
    n = int(panel.split("n = ")[1])
    widths = critical_widths(ds, budgets=budgets).sel(d=4, n=n)
    assert axes.get_ylabel() == f"critical width, {'kd/n' if name == 'input' else 'k/n'}"
    for bar, tolerance in zip(axes.containers, ds.tolerance.values, strict=True):
        cells = widths.sel({"tolerance": tolerance})
        x, y = (np.asarray(values, dtype=float) for values in bar.lines[0].get_data())
        np.testing.assert_array_equal(x, budgets)
        np.testing.assert_allclose(y, cells.k50 * (4 if name == "input" else 1) / n, rtol=1e-12)
        assert bar.get_label() == f"relative loss ≤ {tolerance:g}"


@pytest.mark.parametrize(("name", "along"), [("joint", "trained"), ("deep", "depth")])
def test_a_phase_figure_of_a_single_n_has_the_share_of_every_family_over_k(
    descents, name, along
) -> None:
    study = descents[name]
    counts, widths = success_counts(study.ds), critical_widths(study.ds)
    drawn = panels(FIGURES["phase"].draw(study))
    for axes, tolerance in zip(drawn, study.ds.tolerance.values, strict=True):
        at = {"tolerance": tolerance, "d": 4, "n": 12}
        points, lines = data_lines(axes, marker="."), curves_of(axes)
        assert len(points) == len(lines) == study.ds.sizes[along]
        found = widths.sel(at).squeeze()
        located = np.isin(found.outcome, ["fitted", "separated"])
        np.testing.assert_allclose(marks_at_half(axes), found.k50.values[located], rtol=1e-9)
        for xy, curve, value in zip(points, lines, study.ds[along].values, strict=True):
            cell, width = counts.sel(at | {along: value}), found.sel({along: value})
            np.testing.assert_array_equal(xy[:, 0], study.ds.k.squeeze())
            np.testing.assert_array_equal(xy[:, 1], cell.successes / cell.trials)
            if located[study.ds[along].values.tolist().index(value)]:
                assert on_its_curve(curve, float(width.k50))


def test_budgets_of_the_study_are_those_that_are_drawn(descents) -> None:
    figure = FIGURES["budget"].draw(Study(descents["output"].ds, Success(budgets=(50, 300))))
    (axes,) = panels(figure)
    for bar in axes.containers:
        np.testing.assert_array_equal(bar.lines[0].get_xdata(), [50, 300])


def test_thresholds_stand_over_n_per_d_beside_the_sufficient_conditions(descents, drawn) -> None:
    ds = descents["input"].ds
    widths = critical_widths(ds)
    left, right = panels(drawn["input", "thresholds"])
    assert "400 steps" in left.get_title(loc="left")
    bars = iter(left.containers)
    for tolerance in ds.tolerance.values:
        for d in ds.d.values:
            x, y = (np.asarray(values, dtype=float) for values in next(bars).lines[0].get_data())
            np.testing.assert_allclose(x, ds.n / d, rtol=1e-12)
            np.testing.assert_allclose(y, widths.k50.sel({"d": d, "tolerance": tolerance}), rtol=1e-12)
    finest = widths.isel(tolerance=-1)
    factor = looseness(finest)["n⁴/d³"].sel(d=4).values
    heights = [xy[:, 1] for xy in data_lines(right, marker="s")]  # the second d
    known = np.isfinite(factor)
    assert known.any()
    assert any(len(h) == known.sum() and np.allclose(h, factor[known]) for h in heights)


SUB_GRIDS = """
name = "grids"
experiment = "input"
entropy = 3
activation = "softplus"
dataset = { kind = "sphere" }
width = { kd_per_n = [1.0, 4.0] }
seeds = 2
[[grid]]
d = [2]
n = [8]
[[grid]]
d = [4]
n = [16, 32]
[descent]
steps = 50
tolerances = [0.5]
"""


def test_thresholds_of_sub_grids_span_only_the_n_per_d_of_their_cells(tmp_path) -> None:
    pipeline.run(parse_sweep(SUB_GRIDS), tmp_path / "a.zarr", bar=False)
    figure = FIGURES["thresholds"].draw(Study(load_store(tmp_path / "a.zarr")))
    for axes in panels(figure):
        low, high = axes.get_xlim()
        assert 2 < low < 4 < 8 < high < 16  # all pairs of n and d would reach from 2 to 16


@pytest.mark.parametrize("kind", ["budget", "thresholds"])
def test_rings_mark_the_cells_at_the_edge_of_stability(descents, drawn, kind) -> None:
    ds = descents["input"].ds
    rises = (ds.steps * xr.where(ds.n == 24, 0.5, 0.0)).transpose(*ds.status.dims)
    figure = FIGURES[kind].draw(Study(ds.assign(rises=rises)))
    rings = [line for axes in panels(figure) for line in axes.lines if line.get_label() == AT_EDGE]
    assert rings
    (legend,) = figure.legends
    assert AT_EDGE in [text.get_text() for text in legend.get_texts()]
    for ring in rings:
        x, heights = (np.asarray(values, dtype=float) for values in ring.get_data())
        at_edge = "n = 24" in ring.axes.get_title(loc="left") if kind == "budget" else x >= 24 / 4
        assert len(heights)
        assert np.all(at_edge)
    lines = [line for axes in panels(drawn["input", kind]) for line in axes.lines]
    assert not any(line.get_label() == AT_EDGE for line in lines)  # it is not known there


THREE_ENDS = """
name = "ends"
experiment = "input"
entropy = 3
activation = "softplus"
dataset = { kind = "sphere" }
width = { kd_per_n = [0.75, 1.5, 4.0, 8.0] }
seeds = 5
[[grid]]
d = [10]
n = [20, 40]
[[grid]]
d = [12]
n = [24, 48]
[[grid]]
d = [8]
n = [16, 32]
[descent]
steps = 400
tolerances = [0.02]
"""


def test_no_factor_lies_on_a_point_or_on_another_factor(tmp_path) -> None:
    pipeline.run(parse_sweep(THREE_ENDS), tmp_path / "a.zarr", bar=False)
    figure = FIGURES["thresholds"].draw(Study(load_store(tmp_path / "a.zarr")))
    figure.draw_without_rendering()
    (_, axes) = panels(figure)
    boxes = [Text.get_window_extent(text) for text in axes.texts]  # without the line to its point
    assert len(boxes) == 6  # two laws and three d
    assert not any(one.overlaps(other) for one, other in itertools.combinations(boxes, 2))
    points = axes.transData.transform(np.concatenate(data_lines(axes)))
    radius = figure.dpi / 72 * 3
    assert not any(box.padded(radius).contains(*point) for box in boxes for point in points)
    assert all(figure.bbox.x0 < box.x0 and box.x1 < figure.bbox.x1 for box in boxes)


def test_looseness_is_the_condition_over_the_critical_width() -> None:
    widths = xr.Dataset({"k50": (("d", "n"), [[50.0]])}, {"d": [10], "n": [100]})
    found = looseness(widths)
    assert found["n²/d"].item() == pytest.approx(1000 / 50)
    assert found["n⁴/d³"].item() == pytest.approx(1e5 / 50)


@pytest.mark.parametrize(
    ("name", "kind", "along"), [("joint", "layers", "trained"), ("deep", "depth", "depth")]
)
def test_shares_and_critical_widths_by_width_and_by_weights(descents, drawn, name, kind, along) -> None:
    ds = descents[name].ds.compute()
    figure = drawn[name, kind]
    by_k = next(axes for axes in panels(figure) if axes.get_xlabel() == "width k / n")
    by_p = next(axes for axes in panels(figure) if axes.get_xlabel() == "trained weights p / n")
    counts, widths = success_counts(ds), critical_widths(ds)
    points, weights, curves = (
        data_lines(by_k, marker="."),
        data_lines(by_p, marker="."),
        curves_of(by_k),
    )
    series = [(at, tolerance) for at in ds[along].values for tolerance in (0.1, 0.5)]
    assert len(points) == len(weights) == len(curves) == len(series)
    expected = []
    for (at, tolerance), over_k, over_p, curve in zip(series, points, weights, curves, strict=True):
        where = {along: at, "tolerance": tolerance}
        cell = counts.sel(where).squeeze()
        np.testing.assert_allclose(over_k[:, 0], ds.k.values / 12)
        np.testing.assert_allclose(
            over_p[:, 0], ds.parameters.sel({along: at}).max("seed").squeeze() / 12
        )
        np.testing.assert_allclose(over_k[:, 1], cell.successes / cell.trials)
        found = widths.sel(where).squeeze()
        if str(found.outcome.item()) in ("fitted", "separated"):
            expected.append(float(found.k50) / 12)
            assert on_its_curve(curve, expected[-1])
    assert expected
    np.testing.assert_allclose(marks_at_half(by_k), expected, rtol=1e-9)


def test_the_depth_figure_compares_the_last_features_with_the_edge(descents, drawn) -> None:
    ds = descents["deep"].ds.compute().squeeze()
    axes = titled(drawn["deep", "depth"], "last features")
    wide = ds.k.values > 12
    ratio = (ds.sigma_min / np.sqrt(ds.k) / ds.kernel_alpha).median("seed")
    edge = (np.sqrt(ds.edge) / ds.kernel_alpha).median("seed")
    for marker, depth in zip(("o", "s"), ds.depth.values, strict=True):
        (middle,) = data_lines(axes, marker=marker)
        np.testing.assert_allclose(middle[:, 1], ratio.sel(depth=depth).values[wide], rtol=1e-12)
    dashed = [xy for xy in data_lines(axes, linestyle="--") if len(xy) == wide.sum()]
    np.testing.assert_allclose([xy[:, 1] for xy in dashed], edge.values[:, wide], rtol=1e-12)
