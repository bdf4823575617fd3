"""The population NTK against mpmath and Price's theorem; its edge against exact cases and samples."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest

from pipeline.descent.dispatch import DERIVATIVES
from pipeline.descent.tangent import TangentKernels
from pipeline.theory import kernel_matrix, left_edge
from pipeline.theory.tangent import (
    _two_kinds,
    both_edge,
    input_kernel,
    is_homogeneous,
    slope_kernel,
)

mp = mpmath.fp

SLOPE = {
    "softplus": lambda z: 1 / (1 + mp.exp(-z)),
    "tanh": lambda z: 1 / mp.cosh(z) ** 2,
    "erf": lambda z: 2 / mp.sqrt(mp.pi) * mp.exp(-(z**2)),
    "gelu": lambda z: mp.ncdf(z) + z * normal(z),
    "sigmoid": lambda z: mp.exp(-z) / (1 + mp.exp(-z)) ** 2,
    "elu": lambda z: mp.exp(min(z, 0)),
    "selu": lambda z: 1.0507009873554805 * (1 if z > 0 else 1.6732632423543772 * mp.exp(z)),
    "gaussian": lambda z: -z * mp.exp(-(z**2) / 2),
    "square": lambda z: 2 * z,
    "cube": lambda z: 3 * z**2,
    "hermite2": lambda z: mp.sqrt(2) * z,
    "hermite3": lambda z: mp.sqrt(1.5) * (z**2 - 1),
}


def normal(z: float) -> float:
    return float(mp.exp(-(z**2) / 2) / mp.sqrt(2 * mp.pi))


BELOW = {"relu": 0.0, "leaky_relu": 0.01, "linear": 1.0}
GEOMETRIES = [(1.0, 1.0, 0.3), (2.0, 0.5, -0.8), (3.0, 3.0, 0.95)]


def two_rows(p: float, q: float, rho: float) -> np.ndarray:
    return np.array([[p, 0.0], [q * rho, q * np.sqrt((1 - rho) * (1 + rho))]])


def sphere(n: int, d: int, seed: int = 0) -> np.ndarray:
    X = np.random.default_rng([seed, n, d]).standard_normal((n, d))
    return X / np.linalg.norm(X, axis=1)[:, None]


def expected(activation: str, p: float, q: float, rho: float) -> float:
    """E[phi'(u) phi'(v)] by mpmath, u = p g, v = q (rho g + root h)."""
    root = mp.sqrt(1 - rho**2)
    if activation in BELOW:  # the inner integral of a step is a normal distribution function
        below = BELOW[activation]

        def inner(g: float) -> float:
            return below + (1 - below) * mp.ncdf(rho * g / root)

        def outer(g: float) -> float:
            return below if g < 0 else 1.0
    else:
        slope, ends = SLOPE[activation], [-9, -4, -2, -1, 0, 1, 2, 4, 9]

        def inner(g: float) -> float:
            bend = -rho * g / root  # where ELU and SELU are not analytic
            cuts = sorted({*ends, min(max(bend, -9), 9)})
            return mp.quad(lambda h: slope(q * (rho * g + root * h)) * normal(h), cuts, maxdegree=5)

        def outer(g: float) -> float:
            return slope(p * g)

    points = [-9, -4, -2, -1, 0, 1, 2, 4, 9]
    return float(mp.quad(lambda g: outer(g) * inner(g) * normal(g), points, maxdegree=5))


@pytest.mark.parametrize("activation", DERIVATIVES)
def test_every_activation_of_a_network_is_looked_at(activation: str) -> None:
    assert activation in {**SLOPE, **BELOW}


@pytest.mark.parametrize(("p", "q", "rho"), GEOMETRIES)
@pytest.mark.parametrize("activation", BELOW)
def test_the_slope_kernel_of_rectifiers_is_that_of_mpmath(
    activation: str, p: float, q: float, rho: float
) -> None:
    found = slope_kernel(two_rows(p, q, rho), activation)[0, 1]
    assert found == pytest.approx(expected(activation, p, q, rho), rel=1e-11)


@pytest.mark.parametrize("activation", SLOPE)
def test_the_slope_kernel_of_smooth_activations_is_that_of_mpmath(activation: str) -> None:
    truth = expected(activation, 1.0, 0.7, -0.6)
    found = slope_kernel(two_rows(1.0, 0.7, -0.6), activation)[0, 1]
    assert found == pytest.approx(truth, rel=1e-9)


@pytest.mark.parametrize(("p", "q", "rho"), GEOMETRIES)
@pytest.mark.parametrize("activation", DERIVATIVES)
def test_it_is_the_derivative_of_the_kernel_in_the_covariance(
    activation: str, p: float, q: float, rho: float
) -> None:
    """Price's theorem: d E[phi(u) phi(v)] / dc = E[phi'(u) phi'(v)]."""
    h = 1e-5
    above, under = (kernel_matrix(two_rows(p, q, rho + by), activation)[0, 1] for by in (h, -h))
    found = slope_kernel(two_rows(p, q, rho), activation)[0, 1]
    assert (above - under) / (2 * h * p * q) == pytest.approx(found, rel=3e-6)


@pytest.mark.parametrize("activation", DERIVATIVES)
def test_the_diagonal_is_that_of_one_row_and_duplicates_stay_duplicate(activation: str) -> None:
    X = sphere(5, 3)[[0, 1, 2, 0, 4]]
    K = input_kernel(X, activation)
    np.testing.assert_array_equal(K, K.T)
    np.testing.assert_allclose(K[0], K[3], rtol=1e-15)
    assert np.linalg.eigvalsh(K)[0] <= 5 * np.finfo(float).eps * np.linalg.eigvalsh(K)[-1]


@pytest.mark.parametrize("activation", DERIVATIVES)
def test_a_rotation_of_the_inputs_changes_nothing(activation: str) -> None:
    X = 1.3 * sphere(8, 4)
    Q = np.linalg.qr(np.random.default_rng(1).standard_normal((4, 4)))[0]
    np.testing.assert_allclose(input_kernel(X @ Q, activation), input_kernel(X, activation), atol=1e-12)


@pytest.mark.parametrize("activation", ["relu", "leaky_relu", "linear"])
def test_longer_rows_scale_the_kernel_of_a_homogeneous_activation(activation: str) -> None:
    X = sphere(8, 4)
    assert is_homogeneous(activation)
    np.testing.assert_allclose(
        input_kernel(3 * X, activation), 9 * input_kernel(X, activation), rtol=1e-13
    )


@pytest.mark.parametrize("activation", SLOPE)
def test_smooth_activations_are_not_homogeneous(activation: str) -> None:
    assert not is_homogeneous(activation)


def test_the_features_of_a_homogeneous_unit_are_a_share_of_its_jacobian() -> None:
    """E[phi phi^T] / d is the part of the kernel of W along w, so what is left is no less than 0."""
    X = sphere(30, 6)
    left = input_kernel(X, "relu") - kernel_matrix(X, "relu") / 6
    assert np.linalg.eigvalsh(left)[0] > 0


# ---- the edge


@pytest.mark.parametrize(("k", "columns"), [(70, 50), (20, 300), (400, 100)])
def test_two_kinds_that_are_nearly_equal_are_one_kind(k: int, columns: int) -> None:
    """Columns of one covariance: the edge is Marchenko and Pastur's for their number."""
    rng = np.random.default_rng(0)
    values = np.sort(rng.uniform(0.5, 4, 60))
    found = _two_kinds(values, 0.999 * columns * values, float(k), float(columns))
    whole = (k + columns) * left_edge(values, k + columns)
    assert 0.998 * whole < found < whole


def test_no_columns_of_the_second_kind_are_needed() -> None:
    values = np.linspace(1, 2, 50)
    found = _two_kinds(values, np.full(50, 1e-12), 150.0, 1000.0)
    assert found == pytest.approx(150 * left_edge(values, 150), rel=1e-6)


def test_columns_of_w_that_outweigh_those_of_the_features_have_no_known_edge() -> None:
    assert np.isnan(_two_kinds(np.ones(50), np.full(50, 1e6), 10.0, 100.0))


def test_the_edge_is_0_until_all_columns_are_more_than_n() -> None:
    assert _two_kinds(np.ones(50), np.ones(50), 10.0, 40.0) == 0
    assert _two_kinds(np.ones(50), np.ones(50), 10.0, 45.0) > 0


def test_duplicate_rows_have_an_edge_of_0() -> None:
    X = sphere(20, 5)[[*range(19), 0]]
    K, tangent = kernel_matrix(X, "relu"), input_kernel(X, "relu")
    assert (both_edge(K, tangent, [10, 1000], 5, "relu") == 0).all()
    assert left_edge(np.linalg.eigvalsh(tangent), 1000) == 0


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_the_edge_tends_to_the_population_value(activation: str) -> None:
    X, k = sphere(40, 10), 10**7
    K, tangent = kernel_matrix(X, activation), input_kernel(X, activation)
    values = np.linalg.eigvalsh(tangent)
    assert left_edge(values, 10 * k) == pytest.approx(values[0], rel=1e-3)
    whole = np.linalg.eigvalsh(k * K + tangent)[0]
    assert both_edge(K, tangent, [k], 10, activation)[0] == pytest.approx(whole, rel=0.01)


def median_least(X: np.ndarray, activation: str, widths: list[int], trained: str) -> np.ndarray:
    """The median over seven draws of W of the least eigenvalue, shape (widths,)."""
    draws = [np.random.default_rng([7, seed]) for seed in range(7)]
    every = [TangentKernels(X, activation, rng, trained) for rng in draws]
    return np.array([np.median([one.extremes(k)[0] for one in every]) for k in widths])


@pytest.mark.parametrize(("activation", "within"), [("relu", 0.12), ("tanh", 0.12)])
def test_the_edge_of_w_is_close_from_d_of_20_on(activation: str, within: float) -> None:
    X, widths = sphere(300, 20), [24, 30, 60, 120, 300]  # kd/n from 1.6 to 20
    predicted = left_edge(np.linalg.eigvalsh(input_kernel(X, activation)), 20 * np.array(widths))
    ratio = median_least(X, activation, widths, "input") / predicted
    assert np.abs(ratio - 1).max() < within, ratio


@pytest.mark.parametrize(("activation", "within"), [("relu", 0.12), ("tanh", 0.2)])
def test_the_edge_of_both_layers_is_close_across_k_equal_to_n(activation: str, within: float) -> None:
    X, widths = sphere(200, 20), [20, 40, 100, 200, 400, 800]
    predicted = both_edge(
        kernel_matrix(X, activation), input_kernel(X, activation), widths, 20, activation
    )
    ratio = median_least(X, activation, widths, "both") / predicted
    assert np.abs(ratio - 1).max() < within, ratio


def test_the_edge_of_w_is_far_off_in_few_dimensions() -> None:
    """Where it does not hold: the columns of a unit are not independent for d = 3."""
    X = sphere(90, 3)
    predicted = left_edge(np.linalg.eigvalsh(input_kernel(X, "relu")), 3 * np.array([60]))
    assert median_least(X, "relu", [60], "input")[0] < 0.7 * predicted[0]


def test_the_edge_of_w_is_far_off_for_a_slope_that_is_close_to_linear() -> None:
    X = sphere(300, 20)
    predicted = left_edge(np.linalg.eigvalsh(input_kernel(X, "softplus")), 20 * np.array([24]))
    assert median_least(X, "softplus", [24], "input")[0] < 0.85 * predicted[0]
