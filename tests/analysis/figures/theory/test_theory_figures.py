"""Figures of certificates, of the proof and of linear regression draw what their stores say."""

from __future__ import annotations

import numpy as np
import pytest

import pipeline
from analysis import load_store
from analysis.experiments.proof import proof_steps
from analysis.experiments.theorem1 import applies, worst_ratios
from analysis.figures import FIGURES
from analysis.study import Study

from ..stand import STORES, data_lines, panels, titled


def test_points_are_proven_and_lie_below_1_and_crosses_are_not_proven(descents, drawn) -> None:
    ds = descents["theorem1"].ds.compute()
    figure = drawn["theorem1", "certificate"]
    proven = applies(ds)
    sizes = {"proven": 0, "not proven": 0}
    for axes in panels(figure)[:4]:
        for line in axes.lines:
            label = str(line.get_label())
            if label.startswith("_") and "proven" in label:
                kind = label.split(", ")[1]
                sizes[kind] += int(np.isfinite(line.get_ydata()).sum())
                assert (line.get_marker() == "x") == (kind == "not proven")
                assert kind != "proven" or not (line.get_ydata() > 1).any()
    assert sizes["proven"] == int(proven.sum()) > 0
    assert sizes["not proven"] > 0


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


@pytest.mark.slow
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


# ---- the tangent kernel


@pytest.mark.parametrize(
    ("words", "weights", "label"),
    [
        ("W trained", lambda k, d: k * d, "kd/n"),
        ("v trained", lambda k, d: k, "k/n"),
        ("v and W trained", lambda k, d: k * (d + 1), "k(d + 1)/n"),
    ],
)
def test_tangent_kernels_stand_over_the_weights_that_are_trained(
    descents, drawn, words, weights, label
) -> None:
    ds = descents["tangent"].ds
    (axes,) = (one for one in panels(drawn["tangent", "tangent"]) if one.get_title("left") == words)
    assert axes.get_xlabel() == f"trained weights per sample {label}"
    curve = data_lines(axes, marker="o")[0]  # the first n
    np.testing.assert_allclose(curve[:, 0], weights(ds.k.sel(n=12).squeeze(), 4) / 12, rtol=1e-12)
    assert (curve[curve[:, 0] < 1, 1] == 0).all()


def test_a_store_that_trains_one_layer_counts_its_weights(make_sweep, tmp_path) -> None:
    sweep = make_sweep(
        experiment="'tangent'", trained="'output'", d="[4]", n="[12]", width="{ k = [8, 24] }", seeds=2
    )
    pipeline.run(sweep, tmp_path / "a.zarr")
    (axes,) = panels(FIGURES["tangent"].draw(Study(load_store(tmp_path / "a.zarr"))))
    assert axes.get_xlabel() == "trained weights per sample k/n"
    np.testing.assert_allclose(data_lines(axes, marker="o")[0][:, 0], [8 / 12, 2])


def test_the_legend_of_tangent_kernels_names_the_band_and_the_level_at_one_half(drawn) -> None:
    (legend,) = drawn["tangent", "tangent"].legends
    words = {text.get_text() for text in legend.get_texts()}
    assert {"80% of seeds", "half of the population value"} <= words
