"""Figures of descent and of theory draw what their stores say; so do the numbers behind them."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import pipeline
from analysis import critical_widths, load_store, success_counts
from analysis.experiments.generalisation import gap_slope, gaps, local_slopes
from analysis.experiments.input import looseness
from analysis.experiments.output import expected_loss
from analysis.experiments.proof import proof_steps
from analysis.experiments.theorem1 import applies, worst_ratios
from analysis.figures import FIGURES, kinds_for, save
from analysis.study import Study
from analysis.success import Success
from analysis.success.budgets import budget_grid, budget_of
from pipeline.numerics import datasets
from pipeline.numerics.streams import Role, stream
from pipeline.sweep import Sweep
from pipeline.sweep_files.load import parse_sweep
from pipeline.theory.kernels import kernel_eigenvalues, kernel_matrix

DESCENT = "{ steps = 400, tolerances = [0.5, 0.1] }"
SMALL = {"d": "[4]", "n": "[12]", "seeds": 6, "descent": DESCENT}
STORES = {
    "input": SMALL
    | {
        "experiment": "'input'",
        "d": "[3, 4]",
        "n": "[12, 24]",
        "width": "{ kd_per_n = [0.7, 1.4, 2.1, 3.0, 4.0, 6.0, 8.0, 12.0] }",
    },
    "output": SMALL
    | {"experiment": "'output'", "width": "{ k_per_n = { start = 0.4, stop = 5.0, num = 8 } }"},
    "joint": SMALL
    | {
        "experiment": "'joint'",
        "trained": "['output', 'input', 'both']",
        "width": "{ k = [2, 4, 6, 10, 16, 24, 48] }",
    },
    "deep": SMALL
    | {
        "experiment": "'deep'",
        "trained": "'both'",
        "depth": "[1, 2]",
        "width": "{ k = [2, 4, 8, 16, 32, 48] }",
    },
    "theorem1": SMALL
    | {
        "experiment": "'theorem1'",
        "activation": "['relu', 'softplus']",
        "trained": "['output', 'input']",
        "depth": "[1, 2]",
        "n": "[5]",
        "width": "{ k = [4, 20] }",
        "seeds": 3,
        "descent": "{ steps = 200, tolerances = [1e-6], multiples = [1, 1e6] }",
    },
    "proof": {
        "experiment": "'theorem2-proof'",
        "d": "[4]",
        "n": "[8, 16]",
        "width": "{ k_per_n = { start = 1.1, stop = 9.0, num = 8 } }",
        "seeds": 12,
    },
    "generalisation": SMALL
    | {"experiment": "'generalisation'", "n": "[8, 16, 32]", "width": "{ k_per_n = [0.5] }"},
    "linear": {
        "experiment": "'linear'",
        "activation": "'linear'",
        "dataset": "{ kind = 'gaussian' }",
        "d": "[10]",
        "n": "[2, 4, 6]",
        "seeds": 5,
        "width": None,
        "descent": "{ steps = 5000, tolerances = [1e-2, 1e-12] }",
    },
}
KINDS = {
    "input": ["curves", "budget", "thresholds"],
    "output": ["curves", "budget"],
    "joint": ["curves", "layers"],
    "deep": ["curves", "depth"],
    "theorem1": ["certificate"],
    "proof": ["proof"],
    "generalisation": ["curves", "generalisation"],
    "linear": ["curves", "regression"],
}
EVERY = [(name, kind) for name, kinds in KINDS.items() for kind in kinds]


@pytest.fixture(scope="session")
def descents(tmp_path_factory, make_sweep) -> dict[str, Study]:
    folder = tmp_path_factory.mktemp("descents")
    for name, keys in STORES.items():
        given = {key: value for key, value in keys.items() if value is not None}
        sweep = make_sweep(**given) if "width" in given else widthless(given)
        pipeline.run(sweep, folder / f"{name}.zarr")
    return {name: Study(load_store(folder / f"{name}.zarr")) for name in STORES}


def widthless(keys: dict[str, object]) -> Sweep:
    """A sweep that has no width to give: the fixture's would have one."""
    lines = ['name = "small"', "entropy = 7", *(f"{key} = {value}" for key, value in keys.items())]
    return parse_sweep("\n".join(lines), folder=None)


@pytest.fixture(scope="session")
def drawn(descents) -> dict[tuple[str, str], Figure]:
    return {(name, kind): FIGURES[kind].draw(descents[name]) for name, kind in EVERY}


def panels(figure: Figure) -> list[Axes]:
    return [axes for axes in figure.axes if axes.axison]


def titled(figure: Figure, words: str) -> Axes:
    (found,) = (axes for axes in panels(figure) if words in axes.get_title(loc="left"))
    return found


def data_lines(axes: Axes, **look: str) -> list[np.ndarray]:
    """Points of the lines that are not empty, and of one style, colour or marker."""
    found = [line for line in axes.lines if len(line.get_ydata())]
    for key, value in look.items():
        found = [line for line in found if getattr(line, f"get_{key}")() == value]
    return [np.asarray(line.get_xydata(), dtype=float) for line in found]


def curves_of(axes: Axes) -> list[np.ndarray]:
    """Curves of success: lines without a marker, other than those that mark a level or a width."""
    return [xy for xy in data_lines(axes, marker="None") if len(xy) > 2]


def on_its_curve(curve: np.ndarray, k50: float) -> bool:
    """Return True if a curve over widths passes one half at the critical width."""
    k, heights = curve.T
    return bool(np.isclose(np.interp(np.log(k50), np.log(k), heights), 0.5, atol=1e-9))


def marks_at_half(axes: Axes) -> np.ndarray:
    """Return the abscissae of the critical widths, which are at one half."""
    bars = [bar.lines[0].get_xydata()[0] for bar in axes.containers]
    assert all(height == 0.5 for _, height in bars)
    return np.array([x for x, _ in bars])


# ---- every kind


@pytest.mark.parametrize("name", STORES)
def test_kinds_suit_the_store(descents, name) -> None:
    assert set(KINDS[name]) <= set(kinds_for(descents[name].ds))
    new = {kind for kinds in KINDS.values() for kind in kinds}
    assert not new - set(KINDS[name]) & set(kinds_for(descents[name].ds))


@pytest.mark.parametrize(("name", "kind"), EVERY)
def test_a_figure_is_written_and_its_axes_and_series_are_named(drawn, tmp_path, name, kind) -> None:
    figure = drawn[name, kind]
    for ending, start in ((".png", b"\x89PNG"), (".svg", b"<?xml")):
        save(figure, tmp_path / f"a{ending}")
        assert (tmp_path / f"a{ending}").read_bytes().startswith(start)
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
    tolerances = [xy[0, 1] for xy in data_lines(axes, color="0.65")]
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
        np.testing.assert_allclose(x, budgets, rtol=0.05)
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
        np.testing.assert_allclose(bar.lines[0].get_xdata(), [50, 300], rtol=0.05)


def test_thresholds_stand_over_n_per_d_beside_the_sufficient_conditions(descents, drawn) -> None:
    ds = descents["input"].ds
    widths = critical_widths(ds)
    left, right = panels(drawn["input", "thresholds"])
    assert "400 steps" in left.get_title(loc="left")
    bars = iter(left.containers)
    for tolerance in ds.tolerance.values:
        for d in ds.d.values:
            x, y = (np.asarray(values, dtype=float) for values in next(bars).lines[0].get_data())
            np.testing.assert_allclose(x, ds.n / d, rtol=0.03)
            np.testing.assert_allclose(y, widths.k50.sel({"d": d, "tolerance": tolerance}), rtol=1e-12)
    finest = widths.isel(tolerance=-1)
    factor = looseness(finest)["n⁴/d³"].sel(d=4).values
    heights = [xy[:, 1] for xy in data_lines(right, marker="s")]
    known = np.isfinite(factor)
    assert known.any()
    assert any(len(h) == known.sum() and np.allclose(h, factor[known]) for h in heights)


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


# ---- theory


def test_full_points_are_proven_and_lie_below_1(descents, drawn) -> None:
    ds = descents["theorem1"].ds.compute()
    figure = drawn["theorem1", "certificate"]
    proven = applies(ds)
    full, hollow = 0, 0
    for axes in panels(figure)[:4]:
        for line in axes.lines:
            if line.get_marker() in ("o", "s") and len(line.get_ydata()) and line.get_label()[0] == "_":
                size = int(np.isfinite(line.get_ydata()).sum())
                if line.get_markerfacecolor() == "none":
                    hollow += size
                else:
                    full += size
                    assert np.nanmax(line.get_ydata()) <= 1
    assert full == int(proven.sum()) > 0
    assert hollow > 0


def test_the_certificate_counts_the_trials_without_one(descents, drawn) -> None:
    worst = worst_ratios(descents["theorem1"].ds)
    assert int(worst.violations.sum()) == 0
    output = worst.sel(trained="output").isel(multiple=0)
    assert (output.uncertain == 3).all()  # four units for five samples, in each of three seeds
    assert (output.trials == 6).all()
    texts = [
        text.get_text() for axes in panels(drawn["theorem1", "certificate"]) for text in axes.texts
    ]
    assert sum("without a certificate" in words for words in texts) == 4


def test_a_proven_trial_that_breaks_a_bound_is_counted(descents) -> None:
    ds = descents["theorem1"].ds.compute().copy(deep=True)
    at = {"activation": 0, "trained": 0, "depth": 0, "seed": 0, "width": -1, "multiple": 0}
    for value in (1.5, np.nan):
        ds.path_ratio[at] = value
        worst = worst_ratios(ds).isel(activation=0, trained=0, depth=0, multiple=0)
        assert int(worst.violations) == 1
    assert int(worst_ratios(ds).violations.sum()) == 1


def test_a_trial_that_was_not_followed_proves_nothing(descents) -> None:
    ds = descents["theorem1"].ds.compute().copy(deep=True)
    at = {"activation": 0, "trained": 0, "depth": 0, "seed": 0, "width": -1, "multiple": 0}
    before = int(worst_ratios(ds).proven.sum())
    ds.steps[at], ds.path_ratio[at] = 0, np.nan
    after = worst_ratios(ds)
    assert int(after.proven.sum()) == before - 1
    assert int(after.violations.sum()) == 0


def test_the_proof_figure_sets_the_sufficient_beside_the_measured_width(descents, drawn) -> None:
    study = descents["proof"]
    steps = proof_steps(study.ds, study.widths).squeeze()
    axes = titled(drawn["proof", "proof"], "sufficient width")
    enough = study.ds.sufficient_width.median("seed").squeeze().values
    np.testing.assert_allclose(data_lines(axes, marker="s")[0][:, 1], enough, rtol=1e-12)
    np.testing.assert_allclose(steps.width_factor, enough / study.widths.k50.squeeze(), rtol=1e-12)
    assert (steps.width_factor > 100).all()
    assert (steps.norm_broken <= 0.5).all()
    texts = {text.get_text().strip() for text in axes.texts}
    assert texts == {f"× {float(f'{factor:.2g}'):,.0f}" for factor in steps.width_factor.values}


def test_the_regression_figure_has_every_trial(descents, drawn) -> None:
    ds = descents["linear"].ds.compute().squeeze()
    figure = drawn["linear", "regression"]
    for words, name in (("limit", "limit_error"), ("distance", "length_ratio")):
        heights = [np.sort(xy[:, 1]) for xy in data_lines(titled(figure, words)) if len(xy) == 15]
        assert any(
            np.allclose(found, np.sort(ds[name].values.ravel()), rtol=1e-12) for found in heights
        )
    rates = np.concatenate(data_lines(titled(figure, "rate"), linestyle="None"))
    np.testing.assert_allclose(rates[:, 1], 1 - ds.rate.values.ravel(), rtol=1e-12)


# ---- the slope of the gap


def gap_store(exponent: float, seeds: int = 20, noise: float = 0.2, entropy: int = 0) -> xr.Dataset:
    """A gap of n ** exponent with noise, over a distance of 2."""
    rng = np.random.default_rng(entropy)
    n = np.array([50, 100, 200, 400])
    shape = (len(n), seeds)
    gap = n[:, None] ** exponent * (1 + noise * rng.standard_normal(shape))
    variables = {
        "test_loss": gap + 0.1,
        "train_loss": np.full(shape, 0.1),
        "distance": np.full(shape, 2.0),
    }
    status = np.ones(shape, dtype=np.int8)
    data = {name: (("n", "seed"), value) for name, value in (variables | {"status": status}).items()}
    return xr.Dataset(data, {"n": n, "seed": np.arange(seeds)})


def test_the_slope_of_an_exact_power_law_is_its_exponent() -> None:
    found = gap_slope(gap_store(-0.7, noise=0.0))
    assert found["slope"] == pytest.approx(-0.7, rel=1e-9)
    assert found["low"] == pytest.approx(found["high"], rel=1e-9)
    assert found["level"] == pytest.approx(0.5, rel=1e-9)
    np.testing.assert_allclose(local_slopes(gap_store(-0.7, noise=0.0)), -0.7)


def test_the_interval_of_the_slope_covers_the_truth_as_often_as_it_says() -> None:
    covered = 0
    for entropy in range(200):
        found = gap_slope(gap_store(-0.5, seeds=10, noise=0.4, entropy=entropy), resamples=300)
        covered += found["low"] <= -0.5 <= found["high"]
    assert covered >= 180


def test_trials_that_are_not_done_count_for_nothing() -> None:
    ds = gap_store(-0.5, noise=0.0)
    ds.test_loss[0, :5] = 1e6
    ds.status[0, :5] = 2
    assert gap_slope(ds)["slope"] == pytest.approx(-0.5, rel=1e-9)
    ds.status[1:] = 0
    assert np.isnan(gap_slope(ds)["slope"])


def test_one_seed_gives_a_slope_without_an_interval_and_a_negative_gap_none() -> None:
    one = gap_slope(gap_store(-0.5, seeds=1))
    assert np.isfinite(one["slope"])
    assert np.isnan([one["low"], one["high"]]).all()
    ds = gap_store(-0.5)
    ds.test_loss[2] = 0.0
    assert np.isnan(gap_slope(ds)["slope"])


def test_a_slope_needs_a_single_cell() -> None:
    with pytest.raises(ValueError, match="several values"):
        gap_slope(xr.concat([gap_store(-0.5)] * 2, dim=xr.IndexVariable("d", [5, 10])))


def test_the_generalisation_figure_draws_means_and_the_fitted_slope(descents, drawn) -> None:
    ds = descents["generalisation"].ds
    figure = drawn["generalisation", "generalisation"]
    alone, over, _ = panels(figure)
    words = [text.get_text() for text in figure.legends[0].get_texts()]
    assert "slope −1/2" in words
    for axes, scaled in ((alone, False), (over, True)):
        mean = gaps(ds, scaled=scaled).mean("seed").squeeze()
        np.testing.assert_allclose(axes.containers[0].lines[0].get_ydata(), mean, rtol=1e-12)
        fit = gap_slope(ds, scaled=scaled)
        start = f"{'gap / Γ' if scaled else 'gap'}: slope {fit['slope']:.2f}".replace("-", "−")
        assert any(text.startswith(start) for text in words)


def test_trials_without_a_certificate_are_counted_in_the_figure(tmp_path, make_sweep) -> None:
    keys = STORES["theorem1"] | {"dataset": "{ kind = 'circle' }", "d": "[2]", "n": "[8]"}
    for name, depth in (("none", "1"), ("some", "[1, 2]")):
        pipeline.run(make_sweep(**(keys | {"depth": depth})), tmp_path / f"{name}.zarr")
    none, some = (
        FIGURES["certificate"].draw(Study(load_store(tmp_path / f"{name}.zarr")))
        for name in ("none", "some")
    )
    (axes,) = none.axes
    assert "no trial has a certificate" in axes.texts[0].get_text()
    words = [text.get_text() for axes in some.axes for text in axes.texts]
    assert any("trials without a certificate" in text for text in words), words
