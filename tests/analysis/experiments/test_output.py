"""The expected loss of the output layer against averages over simulated networks and closed forms."""

from __future__ import annotations

import numpy as np
import pytest

import pipeline
from analysis import open_store
from analysis.experiments.output import expected_loss
from pipeline.descent.closed_form import residual_norm
from pipeline.errors import StoreError
from pipeline.maintenance.recompute import redrawn_eigenvalues

STEPS = np.array([0, 1, 3, 10, 100, 1000])


@pytest.mark.parametrize(("n", "k"), [(60, 30), (60, 60), (60, 90), (80, 320)])
def test_the_expected_loss_is_the_average_over_networks_and_labels(n: int, k: int) -> None:
    """Gaussian features of a kernel with an outlier; the average over 80 networks, by descent."""
    eigenvalues = np.r_[np.linspace(0.1, 0.4, n - 4), 2.0, 2.5, 3.0, 20.0]
    rng = np.random.default_rng(n + k)
    losses = []
    for _ in range(80):
        Phi = rng.standard_normal((k, n)) * np.sqrt(eigenvalues)
        y = rng.choice([-1.0, 1.0], n) @ np.linalg.qr(rng.standard_normal((n, n)))[0]
        losses.append(residual_norm(Phi, y, STEPS) ** 2 / n)
    mean, error = np.mean(losses, axis=0), np.std(losses, axis=0) / np.sqrt(80)
    found = expected_loss(eigenvalues, k, STEPS)
    # The limit is reached up to a few eigenvalues of n; the largest one fluctuates as 1/sqrt(k).
    np.testing.assert_allclose(found, mean, atol=4 * error.max() + 1.0 / n, rtol=0.02)


def test_a_narrow_network_keeps_the_share_of_the_atom() -> None:
    assert expected_loss(np.ones(40), 30, [10**7])[0] == pytest.approx(0.25, abs=1e-9)
    assert expected_loss(np.ones(40), 30, [0])[0] == pytest.approx(1, rel=1e-12)


def test_one_step_on_an_identity_has_the_moments_of_marchenko_and_pastur() -> None:
    n, k = 400, 1600
    ratio, largest = n / k, (1 + np.sqrt(n / k)) ** 2
    exact = 1 - 2 / largest + (1 + ratio) / largest**2
    # Its largest quantile lies a little inside the edge.
    assert expected_loss(np.ones(n), k, [1])[0] == pytest.approx(exact, rel=0.02)


@pytest.mark.parametrize("dataset", ["sphere", "gaussian"])
def test_redrawn_kernels_are_those_that_a_store_of_the_same_inputs_keeps(
    tmp_path, make_sweep, dataset
) -> None:
    keys = {"dataset": f"{{ kind = '{dataset}' }}", "experiment": "'spectrum'"}
    pipeline.run(make_sweep(**keys), tmp_path / "a.zarr")
    ds = open_store(tmp_path / "a.zarr")
    kept = ds.kernel_eigenvalues.sel(d=5, n=6, seed=3).values[:6]
    np.testing.assert_array_equal(redrawn_eigenvalues(ds.attrs, d=5, n=6, seed=3), kept)
    with pytest.raises(StoreError, match="no attributes of a store"):
        redrawn_eigenvalues({}, d=5, n=6, seed=3)
