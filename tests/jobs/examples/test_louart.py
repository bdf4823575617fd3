"""The training error of ridge regression on random features is its deterministic equivalent."""

from __future__ import annotations

import runpy
import shutil
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

import analysis
import pipeline
from pipeline.sweep_files.extents import with_extents
from pipeline.theory import kernel_matrix
from pipeline.trial_status import Status

FOLDER = Path(str(files("jobs") / "examples" / "louart"))
pytest.importorskip("sklearn", reason="scikit-learn is not installed")


@pytest.fixture(scope="module")
def code():
    return runpy.run_path(str(FOLDER / "louart.py"))


@pytest.fixture(scope="module")
def problem():
    rng = np.random.default_rng(7)
    X = rng.standard_normal((40, 6)) / np.sqrt(6)
    return X, rng.choice([-1.0, 1.0], 40)


def by_the_paper(K, y, k, gamma):
    """Their formula with matrices, and delta by iteration."""
    n, delta = len(K), 0.0
    for _ in range(2000):
        Psi = K * k / n / (1 + delta)
        Q = np.linalg.inv(Psi + gamma * np.eye(n))
        delta = np.trace(K @ Q) / n
    factor = np.trace(Psi @ Q @ Q) / k / (1 - np.trace(Psi @ Q @ Psi @ Q) / k)
    return gamma**2 / n * y @ Q @ (np.eye(n) + factor * Psi) @ Q @ y


@pytest.mark.parametrize(("k", "gamma"), [(10, 0.01), (40, 0.1), (80, 1.0), (400, 1e-3)])
def test_the_equivalent_is_the_formula_of_the_paper(code, problem, k, gamma) -> None:
    X, y = problem
    K = kernel_matrix(X, "relu")
    eigenvalues, U = np.linalg.eigh(K)
    found = code["equivalent"](eigenvalues, U.T @ y, k, gamma)
    assert found == pytest.approx(by_the_paper(K, y, k, gamma), rel=1e-6)


def test_the_measured_error_is_that_of_the_best_linear_combination(code, problem) -> None:
    X, y = problem
    n, Phi = len(y), np.maximum(np.random.default_rng(3).standard_normal((25, 6)) @ X.T, 0)
    gamma = 0.05
    both = np.vstack([Phi.T / np.sqrt(n), np.sqrt(gamma) * np.eye(25)])
    best = np.linalg.lstsq(both, np.append(y / np.sqrt(n), np.zeros(25)))[0]
    assert code["measured"](Phi, y, gamma) == pytest.approx(np.mean((y - Phi.T @ best) ** 2))


@pytest.mark.slow
def test_digits_have_the_predicted_training_error_at_any_ridge(tmp_path: Path) -> None:
    for name in ("louart.toml", "louart.py"):
        shutil.copy(FOLDER / name, tmp_path)
    sweep = with_extents(pipeline.load_sweep(tmp_path / "louart.toml"), n=[64], seeds=range(12))
    pipeline.run(sweep, tmp_path / "louart.zarr")
    ds = analysis.open_store(tmp_path / "louart.zarr").load()
    assert (ds.status == Status.DONE).all()
    found = (ds.train_error / ds.predicted).mean(["seed", "width", "flip"])
    np.testing.assert_allclose(found.sel(activation="relu"), 1, atol=0.12)
    np.testing.assert_allclose(found.sel(gamma=[1.0, 10.0]), 1, atol=0.05)
    assert (ds.predicted.diff("gamma") > 0).all()
    assert (ds.predicted.mean("seed").diff("width") < 0).all()
    clean, noisy = (ds.predicted.sel(flip=flip).mean("seed") for flip in (0.0, 0.1))
    assert (noisy > clean).all()
