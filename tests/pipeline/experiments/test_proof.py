"""The proof of Theorem 2: its width solves its equation, and each of its bounds holds."""

from __future__ import annotations

from collections.abc import Callable

import mpmath as mp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.experiments import EXPERIMENTS
from pipeline.experiments.proof import delta, sufficient_width
from pipeline.numerics.activations import apply

Run = Callable[..., list]


@given(n=st.integers(2, 2000), norm=st.floats(1, 40), alpha=st.floats(1e-4, 1))
def test_the_sufficient_width_solves_its_equation(n: int, norm: float, alpha: float) -> None:
    k = mp.mpf(sufficient_width(n, norm, alpha))
    bound = 1 + norm * mp.sqrt(2 * mp.log(2 * k) / n)
    right = 16 * bound**2 * n * mp.log(2 * n) / mp.mpf(alpha) ** 2
    assert float(abs(k / right - 1)) < 1e-9


def test_the_sufficient_width_is_the_only_solution() -> None:
    n, norm, alpha = 50, 2.0, 0.2
    k = sufficient_width(n, norm, alpha)
    scale = 16 * n * np.log(2 * n) / alpha**2
    for factor in np.geomspace(1.01, 1e6, 40):
        assert k * factor > scale * delta(n, norm, k * factor) ** 2
    assert delta(n, norm, k / 1.01) ** 2 * scale > k / 1.01


def test_without_alpha_no_width_suffices() -> None:
    assert sufficient_width(10, 1.0, 0.0) == np.inf


def test_delta_grows_with_width_and_norm_and_falls_with_samples() -> None:
    widths = [delta(50, 2.0, k) for k in np.geomspace(1, 1e9, 50)]
    assert (np.diff(widths) > 0).all()
    assert (np.diff([delta(50, norm, 100) for norm in np.linspace(1, 7, 20)]) > 0).all()
    assert (np.diff([delta(n, 2.0, 100) for n in range(2, 50)]) < 0).all()
    bound = 1 + 2 * mp.sqrt(2 * mp.log(200) / 50)
    assert delta(50, 2.0, 100) == pytest.approx(float(bound), rel=1e-14)
    assert sufficient_width(50, 2.0, 0.1) > sufficient_width(50, 2.0, 0.2) > 0


def sphere(n: int, d: int, seed: int = 0) -> np.ndarray:
    X = np.random.default_rng(seed).standard_normal((n, d))
    return X / np.linalg.norm(X, axis=1, keepdims=True)


@pytest.mark.parametrize(("n", "d"), [(20, 1), (20, 5), (40, 60)])
def test_all_rows_are_short_in_half_of_all_draws_at_least(n: int, d: int) -> None:
    X, rng, k = sphere(n, d), np.random.default_rng(1), 30
    bound = delta(n, np.linalg.norm(X, 2), k) ** 2 * n
    z = rng.standard_normal((2000, k, d)) @ X.T
    longest = np.square(z).sum(axis=2).max(axis=1)  # |phi(z)| <= |z| for ReLU
    assert (longest > bound).mean() <= 0.5


def test_a_width_that_the_proof_shows_to_suffice_does() -> None:
    X = np.eye(3)
    K = np.full((3, 3), 1 / (2 * np.pi)) + np.diag(np.full(3, 0.5 - 1 / (2 * np.pi)))
    alpha = np.sqrt(np.linalg.eigvalsh(K)[0])
    k = int(np.ceil(sufficient_width(3, 1.0, alpha)))
    rng = np.random.default_rng(2)
    sigma = [
        np.linalg.svd(np.maximum(rng.standard_normal((k, 3)) @ X.T, 0), compute_uv=False)[-1]
        for _ in range(20)
    ]
    assert np.mean(np.array(sigma) >= np.sqrt(k) * alpha / 2) >= 0.5


def test_truncation_takes_no_more_than_the_bound(run_cells: Run) -> None:
    """One dimension, where ||z|| = sqrt(n) |g| and the square beyond is an integral."""
    (cell,) = run_cells("theorem2-proof", d=1, n=4, width="[1, 2, 4, 10, 100]", seeds=1)
    bounds = cell.values["alpha"] ** 2 - cell.values["truncated_alpha_squared"]
    for k, bound in zip(cell.cell.widths, bounds[:, 0], strict=True):
        s = 1 + mp.sqrt(2 * mp.log(2 * k))  # delta, for ||X|| = sqrt(n)
        beyond = 2 * 4 * mp.quad(lambda g: g**2 * mp.npdf(g), [s, s + 5, s + 40])
        assert float(beyond) <= bound <= 1e3 * float(beyond)


def test_the_bound_on_truncation_is_the_integral_of_its_tail(run_cells: Run) -> None:
    """s^2 P(s) and the integral of 2 u P(u) from s on, with P(sqrt(n) + t) = e^(-t^2 / 2 ||X||^2)."""
    (cell,) = run_cells("theorem2-proof", d=2, n=10, width="[1, 2, 5, 50]", seeds=2)
    bounds = cell.values["alpha"] ** 2 - cell.values["truncated_alpha_squared"]
    for seed, trial in enumerate(cell.trials):
        norm = mp.mpf(float(np.linalg.norm(trial.inputs(), 2)))
        for k, bound in zip(cell.cell.widths, bounds[:, seed], strict=True):
            t = norm * mp.sqrt(2 * mp.log(2 * k))
            chance = mp.exp(-(t**2) / (2 * norm**2))
            tail = 2 * norm**2 * chance
            tail += 2 * mp.sqrt(10) * norm * mp.sqrt(mp.pi / 2) * mp.erfc(t / (norm * mp.sqrt(2)))
            exact = float((mp.sqrt(10) + t) ** 2 * chance + tail)
            assert exact <= bound <= 1.3 * exact


def test_truncation_takes_no_more_than_the_bound_in_simulation(run_cells: Run) -> None:
    (cell,) = run_cells("theorem2-proof", d=2, n=10, width="[1, 2, 5]", seeds=2)
    rng = np.random.default_rng(3)
    for seed, trial in enumerate(cell.trials):
        X = trial.inputs()
        squares = np.square(rng.standard_normal((400_000, 2)) @ X.T).sum(axis=1)
        for index in range(3):
            alpha, left = (
                cell.values["alpha"][0, seed],
                cell.values["truncated_alpha_squared"][index, seed],
            )
            beyond = np.where(squares > 10 * cell.values["delta_squared"][index, seed], squares, 0)
            assert beyond.mean() <= alpha**2 - left


def test_stored_steps_are_those_of_the_data(run_cells: Run) -> None:
    (cell,) = run_cells("theorem2-proof", d=5, n=12, width="[13, 40, 400]")
    for seed, trial in enumerate(cell.trials):
        X = trial.inputs()
        norm, alpha = np.linalg.norm(X, 2), cell.values["alpha"][0, seed]
        W = trial.weights(400).standard_normal((400, 5))
        enough = cell.values["sufficient_width"][0, seed]
        assert enough == pytest.approx(sufficient_width(12, norm, alpha), rel=1e-12)
        for index, k in enumerate(cell.cell.widths):
            Phi = np.maximum(W[:k] @ X.T, 0)
            longest = np.square(Phi).sum(axis=1).max() / 12
            assert cell.values["feature_norm"][index, seed] == pytest.approx(longest, rel=1e-12)
            squared = delta(12, norm, k) ** 2
            assert cell.values["delta_squared"][index, seed] == pytest.approx(squared, rel=1e-12)
            sigma = np.linalg.svd(Phi, compute_uv=False)
            assert cell.values["sigma_min"][index, seed] == pytest.approx(sigma[-1], rel=1e-8)
        left = cell.values["truncated_alpha_squared"][:, seed]
        assert (left < alpha**2).all()
        assert (np.diff(left) > 0).all()
        assert alpha**2 / 2 < cell.values["truncated_at_sufficient"][0, seed] < alpha**2


@pytest.mark.parametrize("activation", EXPERIMENTS["theorem2-proof"].activations)
def test_the_bound_on_the_rows_holds_for_all_that_the_experiment_takes(activation: str) -> None:
    X, rng, k = sphere(60, 40), np.random.default_rng(4), 2000
    bound = delta(60, np.linalg.norm(X, 2), k) ** 2
    longer = [
        np.square(apply(activation, rng.standard_normal((k, 40)) @ X.T)).sum(axis=1).max() / 60 > bound
        for _ in range(5)
    ]
    assert np.mean(longer) <= 0.5
