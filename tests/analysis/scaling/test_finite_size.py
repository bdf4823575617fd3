"""Finite-size scaling of simulated transitions whose width and shape are known."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from scipy import stats

import pipeline
from analysis import load_store
from analysis.scaling import finite_size
from analysis.scaling.finite_size import TRACY_WIDOM, collapse
from analysis.transitions.curves import RISE
from analysis.transitions.intervals import draws
from pipeline.theory.marchenko_pastur import MEDIAN_SHIFT

N = np.array([50, 100, 200, 400])
B = 2 / 3
NORMAL_RISE = 2 * stats.norm.ppf(0.9)


def simulated(
    widths: np.ndarray, entropy: int, seeds: int = 40, mixed: bool = False
) -> tuple[xr.Dataset, xr.DataArray]:
    """A nested store and its successes: each seed succeeds from a width of its own on.

    log k at success is normal around log 2.2 n, so that k at 90% over k at 10% is exp(widths); `mixed`
    draws those of the largest n from two lumps.
    """
    rng = np.random.default_rng(entropy)
    ratio = np.geomspace(1.1, 5, 60)
    k = np.round(ratio * N[:, None]).astype(int)
    z = rng.standard_normal((len(N), seeds))
    if mixed:
        z[-1] = np.where(rng.random(seeds) < 0.5, -1.5, 1.5) + 0.1 * z[-1]
    start = np.log(2.2 * N)[:, None] + np.asarray(widths)[:, None] / NORMAL_RISE * z
    won = np.log(k)[:, :, None] >= start[:, None]
    dims = ("d", "n", "width", "seed")
    coords = {"d": [20], "n": N, "width": ratio, "seed": np.arange(seeds), "k": (("n", "width"), k)}
    status = xr.DataArray(np.ones((1, *won.shape), dtype=np.int8), coords, dims)
    ds = status.to_dataset(name="status")
    return ds, xr.DataArray(won[None], {dim: coords[dim] for dim in dims}, dims)


def scaled(widths: np.ndarray, entropy: int = 0, **more: int) -> xr.Dataset:
    ds, won = simulated(widths, entropy, **more)
    return collapse(ds, success=won, resamples=100)


def test_the_exponent_of_the_width_is_recovered_as_often_as_its_interval_says() -> None:
    found = [scaled(6 * N**-B, entropy) for entropy in range(60)]
    covered = sum(float(f.exponent_low) <= B <= float(f.exponent_high) for f in found)
    assert covered >= 51
    assert np.mean([float(f.exponent) for f in found]) == pytest.approx(B, abs=0.04)
    widths = np.mean([np.exp(f.log_w) for f in found], axis=0)
    # A logistic curve through a normal one crosses 10% and 90% a little farther out.
    np.testing.assert_allclose(widths, 6 * N**-B, rtol=0.1)
    refused = sum(float(f.p_value_law) < 0.05 for f in found)
    assert refused <= 9


def test_widths_that_are_no_power_of_n_do_not_collapse_with_one_though_each_does_with_its_own() -> None:
    found = [scaled(np.array([0.3, 0.5, 0.5, 0.12]), entropy) for entropy in range(8)]
    assert sum(float(f.p_value_law) < 0.05 for f in found) >= 6
    assert sum(float(f.p_value) < 0.05 for f in found) <= 2
    assert all(float(f.chi2_law) > float(f.chi2) for f in found)


def test_a_curve_of_another_shape_does_not_collapse() -> None:
    found = [scaled(6 * N**-B, entropy, mixed=True) for entropy in range(8)]
    assert sum(float(f.p_value) < 0.05 for f in found) >= 6


def test_collapsed_curves_pass_a_half_at_0_and_their_width_is_1() -> None:
    found = scaled(6 * N**-B, seeds=400)
    for cell in range(found.sizes["cell"]):
        x, share = found.x.values[cell], found.share.values[cell]
        ends = [np.interp(p, share, x) for p in (0.1, 0.5, 0.9)]
        np.testing.assert_allclose(ends, [-0.5, 0, 0.5], atol=0.12)


def test_too_few_curves_are_refused() -> None:
    ds, won = simulated(6 * N**-B, 0)
    with pytest.raises(ValueError, match=r"got 2 curves of 2 values of n; expected at least 3 cells"):
        collapse(ds.isel(n=[0, 1]), success=won.isel(n=[0, 1]))


def test_the_predicted_width_is_that_of_features_with_the_kernel_of_the_store(
    tmp_path, make_sweep
) -> None:
    """Wide inputs: rectified features of many dimensions are close to what Tracy and Widom assume."""
    keys = {"d": "[40]", "n": "[30, 45, 60]", "seeds": 60}
    keys["width"] = "{ k_per_n = { start = 1.3, stop = 3.2, num = 30 } }"
    pipeline.run(make_sweep(**keys), tmp_path / "a.zarr")
    found = collapse(load_store(tmp_path / "a.zarr"))
    miss = (found.log_w - np.log(found.w_predicted)) / found.log_w_error
    assert (np.abs(miss) < 4).all()
    assert (np.diff(found.w_predicted) < 0).all()


def test_the_quantiles_of_tracy_and_widom_are_those_of_simulated_matrices() -> None:
    """The largest eigenvalue of tridiagonal matrices that share the spectrum of Gaussian ones."""
    from scipy.linalg import eigh_tridiagonal

    rng, n = np.random.default_rng(1), 400
    largest = []
    for _ in range(3000):
        off = np.sqrt(rng.chisquare(np.arange(n - 1, n - 60, -1))) / np.sqrt(2)
        diagonal = rng.standard_normal(60)
        top = eigh_tridiagonal(diagonal, off, select="i", select_range=(59, 59), eigvals_only=True)
        largest.append((top[0] - np.sqrt(2 * n)) * np.sqrt(2) * n ** (1 / 6))
    for p, quantile in {**TRACY_WIDOM, 0.5: -MEDIAN_SHIFT}.items():
        assert np.mean(np.array(largest) < quantile) == pytest.approx(p, abs=0.035)
    assert pytest.approx(np.log(0.9 / 0.1) - np.log(0.1 / 0.9)) == RISE


def test_widths_that_few_seeds_tried_count_by_their_trials() -> None:
    """A width of a refined store that a resample may lack must not take its whole bin away."""
    rng = np.random.default_rng(8)
    log_k = np.log(np.arange(90.0, 114.0, 4.0))
    tried = np.ones((30, 6))
    tried[3:, 2] = 0
    won = tried * (log_k > np.log(100) + 0.05 * rng.logistic(size=(30, 1)))
    drawn = draws(30, 400, 0)
    curve = finite_size._Curve(
        log_k, drawn @ won, drawn @ tried, np.full(401, np.log(100)), np.full(401, np.log(0.3)), 30
    )
    assert (curve.trials[:, 2] == 0).any()
    found = finite_size._departures(curve, curve.location, curve.log_w)
    told = np.isfinite(found[0])
    assert told.any()
    assert np.isfinite(found[:, told]).all()
    x = (log_k - np.log(100)) / 0.3
    inside = np.digitize(x, finite_size.BINS) == np.digitize(x[2], finite_size.BINS)
    assert inside.sum() > 1
    expected = won.sum(axis=0) - tried.sum(axis=0) / (1 + np.exp(-RISE * x))
    mean = expected[inside].sum() / tried[:, inside].sum()
    assert found[0, np.digitize(x[2], finite_size.BINS) - 1] == pytest.approx(mean)
