"""J J^T of the nested pass against J itself, from finite differences and by its singular values."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from pipeline.descent.architecture import TRAINED, parameter_count
from pipeline.descent.dispatch import DERIVATIVES
from pipeline.descent.network import Network, balanced
from pipeline.descent.tangent import TangentKernels

SMOOTH = tuple(name for name in DERIVATIVES if DERIVATIVES[name].bend is not None)
D, N = 3, 12


def kernels(X: np.ndarray, activation: str, trained: str) -> TangentKernels:
    return TangentKernels(X, activation, np.random.default_rng(5), trained)


def network(activation: str, k: int, trained: str, d: int = D) -> Network:
    W = np.random.default_rng(5).standard_normal((k, d))
    return Network(activation, W, np.empty((0, k, k)), balanced(k), trained)


def differences(network: Network, X: np.ndarray, h: float) -> np.ndarray:
    """J by central differences, shape (n, parameters)."""
    columns = []
    for index in range(network.parameters):
        by = np.zeros(network.parameters)
        by[index] = h
        columns.append((network.moved(by).outputs(X) - network.moved(-by).outputs(X)) / (2 * h))
    return np.array(columns).T


@pytest.mark.parametrize("trained", TRAINED)
@pytest.mark.parametrize("activation", DERIVATIVES)
def test_extremes_are_the_squared_singular_values_of_j(
    plain: SimpleNamespace, activation: str, trained: str
) -> None:
    X, _ = plain.data(N, D)
    found = kernels(X, activation, trained)
    for k in (2, 6, 70, 200):
        J = differences(network(activation, k, trained), X, 1e-6)
        sigma = np.linalg.svd(J, compute_uv=False)
        least = sigma[-1] ** 2 if parameter_count(k, D, 1, trained) >= N else 0.0
        assert found.extremes(k) == pytest.approx(
            (least, sigma[0] ** 2), rel=1e-5, abs=1e-7 * sigma[0] ** 2
        )


@pytest.mark.parametrize("trained", TRAINED)
@pytest.mark.parametrize("activation", DERIVATIVES)
def test_the_matrix_is_that_of_the_network(
    plain: SimpleNamespace, activation: str, trained: str
) -> None:
    X, _ = plain.data(N, D)
    found = kernels(X, activation, trained)
    for k in (2, 64, 66, 200):
        lower = np.tril(found.at(k))
        truth = network(activation, k, trained).tangent_kernel(X)
        np.testing.assert_allclose(lower, np.tril(truth), rtol=1e-11, atol=1e-13 * k)


@pytest.mark.slow
@pytest.mark.parametrize("trained", TRAINED)
def test_bits_do_not_depend_on_the_other_widths(trained: str) -> None:
    X = np.random.default_rng(0).standard_normal((40, 5))
    alone = [kernels(X, "tanh", trained).extremes(k) for k in (50, 64, 130, 131)]
    together = kernels(X, "tanh", trained)
    assert [together.extremes(k) for k in (50, 64, 130, 131)] == alone


@pytest.mark.parametrize("guess", [0.0, 1e-6, 10.0])
def test_a_guess_changes_no_digit(guess: float) -> None:
    X = np.random.default_rng(0).standard_normal((40, 10))
    truth = kernels(X, "relu", "input").extremes(30)
    assert kernels(X, "relu", "input").extremes(30, guess) == pytest.approx(truth, rel=1e-8)


@pytest.mark.parametrize("trained", TRAINED)
def test_the_sum_over_units_only_grows(trained: str) -> None:
    """k J J^T in W, and J J^T in v: another unit adds a positive semidefinite matrix."""
    X = np.random.default_rng(0).standard_normal((30, 10)) / 3
    found, least = kernels(X, "relu", trained), []
    for k in range(2, 300, 22):
        value = found.extremes(k)[0]
        least.append(value * (k if trained == "input" else 1))
    if trained == "both":  # the part of W is divided by k
        assert least[-1] > least[0]
    else:
        assert (np.diff(least) >= -1e-12).all()


def test_w_has_rank_k_d_and_the_eigenvalue_leaves_0_there() -> None:
    X = np.random.default_rng(0).standard_normal((40, 10))
    found = kernels(X, "tanh", "input")
    assert found.extremes(2)[0] == 0
    assert np.linalg.matrix_rank(differences(network("tanh", 2, "input", 10), X, 1e-5), tol=1e-6) == 20
    assert found.extremes(6)[0] > 1e-6


def test_relu_in_both_layers_has_no_more_rank_than_in_w() -> None:
    """The features of a unit are a combination of its columns: k d counts, not k (d + 1)."""
    X = np.random.default_rng(0).standard_normal((42, 10))
    least, largest = kernels(X, "relu", "both").extremes(4)
    assert parameter_count(4, 10) > 42
    assert abs(least) <= 42 * np.finfo(float).eps * largest
    assert kernels(X, "tanh", "both").extremes(4)[0] > 1e-8


def test_longer_rows_scale_the_kernel_of_relu() -> None:
    X = np.random.default_rng(0).standard_normal((20, 10))
    for trained in TRAINED:
        one, three = (kernels(factor * X, "relu", trained).extremes(60) for factor in (1, 3))
        assert three == pytest.approx((9 * one[0], 9 * one[1]), rel=1e-7)


def test_duplicate_rows_leave_rounding_errors_only() -> None:
    X = np.random.default_rng(0).standard_normal((20, 10))[[*range(19), 0]]
    for trained in TRAINED:
        least, largest = kernels(X, "relu", trained).extremes(60)
        assert abs(least) <= 20 * np.finfo(float).eps * largest


def test_a_narrower_width_is_refused() -> None:
    found = kernels(np.eye(4), "relu", "input")
    found.at(200)
    with pytest.raises(ValueError, match="got width 6 after 192 units"):
        found.at(6)


def test_inputs_that_overflow_are_refused() -> None:
    with pytest.raises(FloatingPointError, match="overflow"), np.errstate(all="ignore"):
        kernels(np.full((4, 3), 1e308), "relu", "both").extremes(10)


def test_an_activation_without_derivative_is_refused() -> None:
    with pytest.raises(ValueError, match="expected one with a derivative: relu"):
        kernels(np.eye(4), "step", "input").at(2)
