"""Stores that tests of several commands share: filled, half filled, and with failed trials."""

from __future__ import annotations

import numpy as np
import pytest

import pipeline
from pipeline import store
from pipeline.execution.compute import compute_block

KEYS = {"n": "[8, 12, 16]", "d": "[4]", "seeds": 20, "width": "{ k_per_n = [1.2, 1.5, 2.0, 3.0, 5.0] }"}
FAILING = {"experiment": "'spectrum'", "activation": "'square'", "d": "[3]", "n": "[4]"}


@pytest.fixture(scope="session")
def complete(tmp_path_factory, make_sweep):
    path = tmp_path_factory.mktemp("stores") / "complete.zarr"
    pipeline.run(make_sweep(**KEYS), path)
    return path


@pytest.fixture(scope="session")
def half(tmp_path_factory, make_sweep):
    """A store in which every other block is done."""
    sweep, path = make_sweep(**KEYS), tmp_path_factory.mktemp("stores") / "half.zarr"
    store.create(path, sweep, seeds_per_chunk=5)
    for tile in list(store.Store(path, sweep).pending_tiles())[::2]:
        store.Store(path, sweep).write(tile, [compute_block(sweep, tile.first)])
    return path


@pytest.fixture(scope="session")
def failed(tmp_path_factory, widthlaw):
    """A run whose trials fail if they draw the first of eight rows, and its store."""
    folder = tmp_path_factory.mktemp("stores")
    rows = np.random.default_rng(0).standard_normal((8, 3))
    rows[0] *= 1e200  # overflows in phi(z) = z^2
    np.save(folder / "rows.npy", rows)
    (folder / "failing.toml").write_text(
        'name = "failing"\nexperiment = "spectrum"\nactivation = "square"\nn = 4\nseeds = 20\n'
        'dataset = { kind = "file", path = "rows.npy" }\nwidth = [4, 8]\n'
    )
    path = folder / "failing.zarr"
    return widthlaw("run", folder / "failing.toml", "-o", path, "--workers", 1), path


@pytest.fixture(scope="session")
def all_failed(tmp_path_factory, make_sweep):
    """A store in which all trials failed."""
    folder = tmp_path_factory.mktemp("stores")
    np.save(folder / "rows.npy", np.full((8, 3), 1e200))
    path = folder / "all-failed.zarr"
    keys = {"dataset": '{ kind = "file", path = "rows.npy" }', **FAILING}
    pipeline.run(make_sweep(folder, **keys), path)
    return path


@pytest.fixture(scope="session")
def tanh(tmp_path_factory, make_sweep):
    path = tmp_path_factory.mktemp("stores") / "tanh.zarr"
    pipeline.run(make_sweep(**KEYS | {"activation": "'tanh'", "n": "[8, 12]"}), path)
    return path


@pytest.fixture(scope="session")
def beyond(tmp_path_factory, make_sweep):
    """Two stores whose grids do not reach the transition: all trials fail, or all succeed."""
    folder, keys = tmp_path_factory.mktemp("stores"), {"n": "[8]", "d": "[4]", "experiment": "'output'"}
    descent = "{ steps = 2000, tolerances = [1e-1] }"
    for name, widths in (("narrow", [1, 2]), ("wide", [200, 400])):
        sweep = make_sweep(width=f"{{ k = {widths} }}", descent=descent, **keys)
        pipeline.run(sweep, folder / f"{name}.zarr")
    return folder / "narrow.zarr", folder / "wide.zarr"
