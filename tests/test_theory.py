"""Theorem 2 in small: where the transition lies on random data, on the circle, under rotations."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from scipy import stats

import pipeline
from analysis import critical_widths
from pipeline.numerics.random_features import singular_values
from pipeline.theory.kernels import alpha

SEEDS = 40


@pytest.fixture
def simulated(tmp_path, make_sweep):
    """Fill a store of one sweep and open it."""

    def run(**keys) -> xr.Dataset:
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}.zarr"
        pipeline.run(make_sweep(folder=tmp_path, **({"seeds": SEEDS} | keys)), path)
        return xr.open_zarr(path)

    return run


def rotation(d: int) -> np.ndarray:
    """An orthogonal matrix, uniform among all."""
    return stats.ortho_group(d, seed=1).rvs()


def test_on_the_sphere_the_transition_lies_where_the_edge_predicts(simulated) -> None:
    width = "{ k_per_n = { start = 1.1, stop = 6.0, num = 24 } }"
    cell = critical_widths(simulated(d="[20]", n="[100]", width=width)).squeeze()
    assert cell.outcome == "fitted"
    assert int(cell.trials) == 24 * SEEDS
    assert float(cell.k50) == pytest.approx(float(cell.k_edge_finite), rel=0.1)


def test_on_the_circle_more_width_is_needed_than_the_edge_predicts(simulated) -> None:
    keys = {"dataset": "{ kind = 'circle' }", "d": "[2]", "n": "[27]"}
    width = "{ k_per_n = { start = 1.1, stop = 20.0, num = 24 } }"
    cell = critical_widths(simulated(**keys, width=width)).squeeze()
    assert cell.outcome == "fitted"
    assert float(cell.k50_low) > 1.5 * float(cell.k_edge_finite)


def test_an_even_circle_of_rectifiers_has_an_alpha_of_zero_and_no_transition(simulated) -> None:
    ds = simulated(dataset="{ kind = 'circle' }", d="[2]", n="[26, 27]", width="{ k_per_n = [2.0] }")
    assert (ds.alpha.sel(n=26) == 0).all()
    assert (ds.alpha.sel(n=27) > 0).all()
    assert list(critical_widths(ds).outcome.values.ravel()) == ["degenerate", "censored"]


@pytest.mark.parametrize("activation", ["relu", "tanh", "square"])
def test_alpha_does_not_change_when_the_data_are_rotated(activation: str) -> None:
    X = np.random.default_rng(0).standard_normal((12, 8)) / np.sqrt(8)
    assert alpha(X @ rotation(8), activation) == pytest.approx(alpha(X, activation), rel=1e-10)


@pytest.mark.parametrize("activation", ["relu", "tanh", "square"])
def test_features_do_not_change_when_data_and_weights_are_rotated_together(activation: str) -> None:
    rng = np.random.default_rng(0)
    X, W, Q = rng.standard_normal((12, 8)), rng.standard_normal((40, 8)), rotation(8)
    turned = singular_values(W @ Q, X @ Q, activation)
    np.testing.assert_allclose(turned, singular_values(W, X, activation), rtol=1e-10)


def test_sigma_min_of_rotated_data_has_the_same_distribution(simulated, tmp_path) -> None:
    X = np.random.default_rng(0).standard_normal((12, 8)) * np.linspace(1, 3, 8)
    for name, rows in (("straight", X), ("turned", X @ rotation(8)), ("stretched", X * [4, *[1] * 7])):
        np.save(tmp_path / f"{name}.npy", rows)
    found = {
        name: simulated(
            dataset=f"{{ kind = 'file', path = '{name}.npy', normalise = true }}",
            d="[8]",
            n="[12]",
            width="{ k_per_n = [2.0] }",
            seeds=1000,
        ).squeeze(("d", "n", "width"))
        for name in ("straight", "turned", "stretched")
    }
    straight, turned, stretched = (found[name].sigma_min.values for name in found)
    np.testing.assert_allclose(found["turned"].alpha, found["straight"].alpha, rtol=1e-10)
    assert (turned != straight).all()
    assert stats.ks_2samp(straight, turned).pvalue > 0.01
    assert stats.ks_2samp(straight, stretched).pvalue < 1e-6
