"""The gap between test and training loss: its slope, and the figure that shows it."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from analysis.experiments.generalisation import gap_slope, gaps, local_slopes

from ..stand import panels


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
