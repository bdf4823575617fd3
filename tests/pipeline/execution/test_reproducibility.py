"""A trial is a pure function of its coordinates: equal bits, whatever is computed beside it."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

import pipeline
from pipeline import store
from pipeline.execution.compute import compute_block


@pytest.fixture(scope="module")
def sweep(make_sweep):
    return make_sweep()


@pytest.fixture(scope="module")
def calm(tmp_path_factory, sweep):
    path = tmp_path_factory.mktemp("calm") / "small.zarr"
    pipeline.run(sweep, path)
    return path


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 4])
def test_workers_change_no_bit(tmp_path, sweep, calm, workers, assert_equal_stores) -> None:
    store.create(tmp_path / "a.zarr", sweep, seeds_per_chunk=1)
    with pipeline.local_client(workers) as client:
        pipeline.run(sweep, tmp_path / "a.zarr", client)
    assert_equal_stores(calm, tmp_path / "a.zarr")


@pytest.mark.parametrize("seeds", [1, 3, 5])
def test_block_sizes_change_no_bit(tmp_path, sweep, calm, seeds, assert_equal_stores) -> None:
    store.create(tmp_path / "a.zarr", sweep, seeds_per_chunk=seeds)
    pipeline.run(sweep, tmp_path / "a.zarr")
    assert_equal_stores(calm, tmp_path / "a.zarr")


def test_two_halves_make_a_whole(tmp_path, sweep, calm, assert_equal_stores) -> None:
    path = tmp_path / "a.zarr"
    made = store.create(path, sweep, seeds_per_chunk=2)
    for tile in list(made.pending_tiles())[::2]:
        made.write(tile, [compute_block(sweep, tile.first)])
    before = made.counts()
    outcome = pipeline.run(sweep, path)
    assert outcome.trials == before["pending"] == sweep.trials - before["done"]
    assert_equal_stores(calm, path)


@pytest.mark.parametrize(
    "change",
    [
        {"seeds": "[5]"},
        {"n": "[12]"},
        {"n": "[12, 13]"},
        {"d": "[5]"},
        {"width": "{ k_per_n = [2.0, 3.1, 4.0] }"},
        {"width": "{ k_per_n = [4.0] }"},
    ],
)
def test_what_stands_beside_a_trial_changes_no_bit(tmp_path, make_sweep, calm, change) -> None:
    pipeline.run(make_sweep(**change), tmp_path / "a.zarr")
    other, whole = xr.open_zarr(tmp_path / "a.zarr"), xr.open_zarr(calm)
    shared = {dim: np.intersect1d(other[dim], whole[dim]) for dim in ("d", "n", "width", "seed")}
    assert all(len(values) for values in shared.values())
    for name in ("sigma_min", "sigma_max", "edge", "alpha"):
        here = {dim: values for dim, values in shared.items() if dim in whole[name].dims}
        np.testing.assert_array_equal(other[name].sel(here), whole[name].sel(here), strict=False)


def test_an_activation_among_others_has_the_bits_it_has_alone(tmp_path, make_sweep, calm) -> None:
    pipeline.run(make_sweep(activation='["tanh", "relu"]'), tmp_path / "a.zarr")
    relu = xr.open_zarr(tmp_path / "a.zarr").sel(activation="relu")
    np.testing.assert_array_equal(relu.sigma_min, xr.open_zarr(calm).sigma_min)


def test_redrawn_widths_are_other_matrices_and_as_reproducible(tmp_path, make_sweep, calm) -> None:
    for name, widths in (("a", "[1.5, 2.0, 4.0]"), ("b", "[2.0, 4.0]")):
        pipeline.run(
            make_sweep(nested="false", width=f"{{ k_per_n = {widths} }}"), tmp_path / f"{name}.zarr"
        )
    first, second = (xr.open_zarr(tmp_path / f"{name}.zarr").sigma_min for name in "ab")
    np.testing.assert_array_equal(first.sel(width=[2.0, 4.0]), second)
    assert (first != xr.open_zarr(calm).sigma_min).all()


def test_stored_values_are_those_of_the_plain_formula(sweep, calm) -> None:
    """The slow obvious path: one W from its stream, one SVD."""
    from pipeline.numerics.streams import Role, stream

    ds = xr.open_zarr(calm).sel(d=5, n=12, seed=3)
    X = stream(sweep.entropy, 5, 12, 3, Role.DATA).standard_normal((12, 5))
    X /= np.linalg.norm(X, axis=1, keepdims=True)
    W = stream(sweep.entropy, 5, 12, 3, Role.WEIGHTS).standard_normal((48, 5))
    for k in ds.k.values:
        truth = np.linalg.svd(np.maximum(W[:k] @ X.T, 0), compute_uv=False)
        cell = ds.isel(width=int(np.flatnonzero(ds.k.values == k)[0]))
        assert float(cell.sigma_min) == pytest.approx(truth[-1], rel=1e-9)
        assert float(cell.sigma_max) == pytest.approx(truth[0], rel=1e-9)
