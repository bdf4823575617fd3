"""The closed form for the output layer is the loop that it never runs."""

from __future__ import annotations

import warnings

import mpmath as mp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.descent.closed_form import modes, residual_norm

SHAPES = [(4, 9), (9, 9), (25, 9), (1, 5), (5, 1)]


def problem(k: int, n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng([seed, k, n])
    return rng.standard_normal((k, n)), rng.choice([-1.0, 1.0], n)


def iterate(Phi: np.ndarray, r0: np.ndarray, eta: float, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Residuals (steps + 1, n) and moves v_t - v_0 (steps + 1, k) of the loop itself."""
    residuals, moves = [r0], [np.zeros(len(Phi))]
    for _ in range(steps):
        moves.append(moves[-1] - eta * Phi @ residuals[-1])
        residuals.append(r0 + Phi.T @ moves[-1])
    return np.array(residuals), np.array(moves)


@pytest.mark.parametrize("c", [0.1, 1.0, 1.5, 1.9, 2.0, 2.5])
@pytest.mark.parametrize(("k", "n"), SHAPES)
def test_residuals_are_those_of_the_loop(k: int, n: int, c: float) -> None:
    Phi, y = problem(k, n)
    eta = c / np.linalg.norm(Phi, 2) ** 2
    residuals, _ = iterate(Phi, -y, eta, 60)
    truth = np.linalg.norm(residuals, axis=1)
    np.testing.assert_allclose(residual_norm(Phi, y, range(61), eta), truth, rtol=1e-9, atol=1e-13)
    if c == 1.0:
        np.testing.assert_allclose(residual_norm(Phi, y, range(61)), truth, rtol=1e-9, atol=1e-13)


@given(
    k=st.integers(1, 12),
    n=st.integers(1, 12),
    t=st.integers(0, 40),
    c=st.floats(0.01, 2.4),
    seed=st.integers(0, 10**6),
)
@settings(max_examples=60)
def test_residuals_are_powers_of_a_matrix(k: int, n: int, t: int, c: float, seed: int) -> None:
    Phi, y = problem(k, n, seed)
    eta = c / np.linalg.norm(Phi, 2) ** 2
    truth = np.linalg.norm(np.linalg.matrix_power(np.eye(n) - eta * Phi.T @ Phi, t) @ y)
    assert residual_norm(Phi, y, [t], eta)[0] == pytest.approx(truth, rel=1e-9, abs=1e-12)


def test_a_residual_is_known_as_far_as_floats_reach() -> None:
    found = residual_norm([[2.0]], [1.0], [330, 400, 700], 1.0)
    truth = [float(mp.mpf(3) ** t) for t in (330, 400)]
    np.testing.assert_allclose(found[:2], truth, rtol=1e-12)
    assert found[2] == np.inf
    np.testing.assert_array_equal(residual_norm([[2.0]], [1e200], [0, 1, 5]), [1e200, 0, 0])
    np.testing.assert_array_equal(residual_norm([[2.0]], [0.0], [0, 7]), [0, 0])


@pytest.mark.parametrize("c", [1.0, 1.9, 2.0000001])
def test_a_million_steps_are_exact(c: float) -> None:
    U, _ = np.linalg.qr(np.random.default_rng(1).standard_normal((6, 4)))
    V, _ = np.linalg.qr(np.random.default_rng(2).standard_normal((4, 4)))
    Phi = U * [1.0, 0.1, 1.3e-3, 7e-4] @ V.T
    y = np.array([1.0, -1.0, 1.0, 1.0])
    eta = c / np.linalg.norm(Phi, 2) ** 2
    with mp.workdps(50):
        exact = mp.matrix(Phi.tolist())
        values, vectors = mp.eigsy(exact.T * exact)
        along = vectors.T * mp.matrix(y.tolist())
        truth = [
            float(
                mp.sqrt(sum((1 - mp.mpf(eta) * values[i]) ** (2 * t) * along[i] ** 2 for i in range(4)))
            )
            for t in (10**5, 10**6)
        ]
    np.testing.assert_allclose(residual_norm(Phi, y, [10**5, 10**6], eta), truth, rtol=1e-8)


def test_steps_come_in_any_order_and_number() -> None:
    Phi, y = problem(25, 9)
    steps = [100, 0, 7, 10**15, 7]
    together = residual_norm(Phi, y, steps)
    np.testing.assert_array_equal(together, [residual_norm(Phi, y, [t])[0] for t in steps])
    assert together[1] == pytest.approx(3.0)
    assert residual_norm(Phi, y, 7).shape == (1,)
    assert residual_norm(Phi, y, np.arange(300_000)).shape == (300_000,)  # in several parts
    assert residual_norm(Phi.tolist(), y.tolist(), np.int64(7))[0] == together[2]


def test_many_steps_at_once_are_the_same_as_few() -> None:
    Phi, y = problem(25, 9)
    many = residual_norm(Phi, y, np.arange(300_000))
    few = [residual_norm(Phi, y, [t])[0] for t in (0, 222_221, 222_222, 222_223, 299_999)]
    np.testing.assert_array_equal(many[[0, 222_221, 222_222, 222_223, 299_999]], few)


def test_below_n_units_the_loss_of_random_signs_stays_near_one_minus_k_over_n() -> None:
    rng = np.random.default_rng(0)
    n, shares = 300, []
    for k in (60, 150, 240):
        found = []
        for _ in range(6):
            Phi = np.maximum(rng.standard_normal((k, 20)) @ rng.standard_normal((20, n)), 0)
            y = rng.choice([-1.0, 1.0], n)
            found.append(residual_norm(Phi, y, [10**12])[0] ** 2 / n)
        shares.append(np.mean(found))
    np.testing.assert_allclose(shares, [0.8, 0.5, 0.2], atol=0.04)


@pytest.mark.parametrize("c", [0.7, 1.0, 1.9])
@pytest.mark.parametrize(("k", "n"), SHAPES)
def test_distances_are_those_of_the_iterated_weights(k: int, n: int, c: float) -> None:
    Phi, y = problem(k, n)
    eta = c / np.linalg.norm(Phi, 2) ** 2
    found = modes(Phi, -y)
    _, moves = iterate(Phi, -y, eta, 50)
    limit = np.linalg.pinv(Phi.T) @ y
    assert found.shortest == pytest.approx(np.linalg.norm(limit), rel=1e-9)
    for t in (1, 2, 3, 17, 50):
        with np.errstate(all="ignore"):  # as blocks are computed
            travelled = found.travelled(t, eta)
        assert travelled == pytest.approx(np.linalg.norm(moves[t]), rel=1e-9)
        left = np.linalg.norm(limit - moves[t])
        assert found.left_to_go(t, eta) == pytest.approx(left, rel=1e-8, abs=1e-12)
    assert found.left_to_go(0, eta) == pytest.approx(found.shortest, rel=1e-15)
    with np.errstate(all="ignore"):
        travelled = found.travelled(10**15, eta)
    assert travelled == pytest.approx(found.shortest, rel=1e-12)
    assert found.left_to_go(10**15, eta) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("c", [0.3, 1.0, 1.9])
def test_before_the_first_step_nothing_is_travelled(c: float) -> None:
    Phi = np.diag([2.0, 1.0])
    assert modes(Phi, np.array([1.0, 1.0])).travelled(0, c / 4) == 0


def test_a_first_short_step_keeps_its_digits() -> None:
    found = modes(np.diag([1.0, 1e-6]), np.array([0.0, 1.0]))
    assert found.travelled(1, 1.0) == pytest.approx(1e-6, rel=1e-12)


@pytest.mark.parametrize("c", [0.5, 1.0, 1.9, 2.2])
@pytest.mark.parametrize(("k", "n"), SHAPES)
def test_steps_to_tolerance_are_found_by_searching_all(k: int, n: int, c: float) -> None:
    Phi, y = problem(k, n)
    found = modes(Phi, -y)
    eta, budget = c / found.sigma[0] ** 2, 2000
    with np.errstate(all="ignore"):  # as blocks are computed
        losses = found.squared_residual(range(budget + 1), eta)
    tolerances = [1.0, 0.97, 0.51, 0.3, 0.1, 1e-2, 1e-4, 1e-9]
    met = losses[:, None] <= np.array(tolerances) * losses[0]
    truth = np.where(met.any(axis=0), met.argmax(axis=0), np.inf)
    np.testing.assert_array_equal(found.steps_to(tolerances, eta, budget), truth)
    # one by one, and with budgets that just do and just do not suffice
    for tolerance, first in zip(tolerances, truth, strict=True):
        if 0 < first < np.inf:
            assert found.steps_to(tolerance, eta, int(first)) == [first]
            assert found.steps_to(tolerance, eta, int(first) - 1) == [np.inf]


def test_a_diverging_step_size_meets_a_tolerance_before_the_loss_rises() -> None:
    found = modes(np.diag([1.0, 0.5]), np.array([1e-3, 1.0]))
    eta, tolerances = 2.1, [0.5, 0.1, 1e-3, 1e-9]
    losses = found.squared_residual(range(1000), eta)
    met = losses[:, None] <= np.array(tolerances) * losses[0]
    truth = np.where(met.any(axis=0), met.argmax(axis=0), np.inf)
    assert np.isfinite(truth).sum() == 3
    np.testing.assert_array_equal(found.steps_to(tolerances, eta, 999), truth)
    np.testing.assert_array_equal(found.steps_to(tolerances, eta, 10**6), truth)


def test_divergence_reaches_infinity_without_a_warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = residual_norm(np.diag([2.0, 1.0]), [1.0, 1.0], [0, 10**6], 2.5 / 4)
    np.testing.assert_array_equal(found, [np.sqrt(2), np.inf])


def test_the_last_finite_steps_of_divergence_give_no_warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = residual_norm(np.diag([2.0, 1.0]), [7.0, 1.0], range(2000), 2.5 / 4)
    assert (np.diff(found[np.isfinite(found)][5:]) > 0).all()
    assert found[-1] == np.inf


def test_a_mode_that_labels_do_not_excite_does_not_diverge() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = residual_norm(np.diag([2.0, 1.0]), [0.0, 1.0], [10**6], 2.5 / 4)
    assert found == [0.0]


def test_features_of_rank_one_shrink_one_direction() -> None:
    Phi = np.outer([1.0, 2.0], [3.0, 0.0, 4.0])
    y = np.array([1.0, 1.0, 1.0])
    found = modes(Phi, -y)
    assert len(found.sigma) == 1
    assert found.beyond == pytest.approx(np.sqrt(3 - (7 / 5) ** 2))
    assert residual_norm(Phi, y, [10**9])[0] == pytest.approx(found.beyond)


def test_features_that_are_zero_move_nothing() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_allclose(residual_norm(np.zeros((2, 3)), np.ones(3), [0, 5]), np.sqrt(3))
        found = modes(np.zeros((2, 3)), np.ones(3))
        assert found.sigma.size == 0
        assert (found.travelled(5, 1.0), found.left_to_go(5, 1.0), found.shortest) == (0, 0, 0)
        np.testing.assert_array_equal(found.steps_to([1.0, 0.5], 1.0, 100), [0, np.inf])


def test_labels_of_zero_are_met_at_once() -> None:
    Phi, y = problem(25, 9)
    np.testing.assert_array_equal(residual_norm(Phi, 0 * y, [0, 1, 100]), 0)
    np.testing.assert_array_equal(modes(Phi, 0 * y).steps_to([1e-4], 0.01, 100), [0])


@pytest.mark.parametrize(
    ("Phi", "y", "steps", "step_size", "message"),
    [
        (np.ones((3, 2)), np.ones(3), [1], None, "Phi and y"),
        (np.ones(3), np.ones(3), [1], None, "Phi and y"),
        (np.ones((3, 2)), np.ones((2, 1)), [1], None, "Phi and y"),
        (np.full((3, 2), np.nan), np.ones(2), [1], None, "not finite"),
        (np.ones((3, 2)), np.array([1, np.inf]), [1], None, "not finite"),
        (np.ones((3, 2)), np.ones(2), [-1], None, "steps"),
        (np.ones((3, 2)), np.ones(2), [1.5], None, "steps"),
        (np.ones((3, 2)), np.ones(2), [np.nan], None, "steps"),
        (np.ones((3, 2)), np.ones(2), [[1]], None, "steps"),
        (np.ones((3, 2)), np.ones(2), [1], 0.0, "step_size"),
        (np.ones((3, 2)), np.ones(2), [1], -1.0, "step_size"),
        (np.ones((3, 2)), np.ones(2), [1], np.inf, "step_size"),
        (np.ones((3, 2)), np.ones(2), [1], np.nan, "step_size"),
    ],
)
def test_what_does_not_fit_is_refused(
    Phi: np.ndarray, y: np.ndarray, steps: list[float], step_size: float | None, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        residual_norm(Phi, y, steps, step_size)


@pytest.mark.parametrize("shape", [(0, 3), (3, 0)])
def test_features_of_no_size_have_no_residual_to_shrink(shape: tuple[int, int]) -> None:
    y = np.ones(shape[1])
    np.testing.assert_allclose(residual_norm(np.zeros(shape), y, [0, 5]), np.linalg.norm(y))
