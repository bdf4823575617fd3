"""The kernels against quadrature, simulation and the symmetries they must have."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.numerics.activations import ACTIVATIONS, apply
from pipeline.theory.kernels import (
    alpha,
    alpha_from_eigenvalues,
    deep_kernel,
    kernel_eigenvalues,
    kernel_matrix,
)

NORMS = [(1.0, 1.0, 0.3), (10.0, 10.0, 0.9), (1e-3, 10.0, 0.5), (10.0, 3.0, -0.99), (1e-3, 2e-3, -0.4)]


def two_rows(p: float, q: float, rho: float) -> np.ndarray:
    return np.array([[p, 0.0], [q * rho, q * np.sqrt((1 - rho) * (1 + rho))]])


NODES, WEIGHTS = np.polynomial.legendre.leggauss(16)

EDGES = np.unique(np.r_[np.linspace(-0.5, 0.5, 41), np.linspace(-8, 8, 33)])
"""Ends of panels: tanh(10 z) turns within a tenth."""


def gauss_panels(breaks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Gauss-Legendre nodes and Gaussian weights on panels, a row for each break, where one ends too."""
    inside = np.clip(breaks, -8, 8)[:, None]
    edges = np.sort(np.hstack([np.tile(EDGES, (len(breaks), 1)), inside]))
    half, middle = np.diff(edges) / 2, (edges[:, 1:] + edges[:, :-1]) / 2
    z = (middle[..., None] + half[..., None] * NODES).reshape(len(breaks), -1)
    w = (half[..., None] * WEIGHTS).reshape(z.shape) * np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)
    return z, w


def quadrature(activation: str, p: float, q: float, rho: float) -> float:
    """E[phi(u) phi(v)] over panels split where either argument changes its sign."""
    (outer,), (outer_weight,) = gauss_panels(np.zeros(1))
    root = np.sqrt((1 - rho) * (1 + rho))
    inner, inner_weight = gauss_panels(-rho * outer / root)
    v = apply(activation, q * (rho * outer[:, None] + root * inner))
    means = (v * inner_weight).sum(axis=1)
    return float(outer_weight * apply(activation, p * outer) @ means)


def relu_kernel(p: mpmath.mpf, q: mpmath.mpf, c: mpmath.mpf) -> mpmath.mpf:
    """The arc-cosine kernel, of the covariance of two pre-activations."""
    rho = c / mpmath.sqrt(p * q)
    theta = mpmath.acos(rho)
    return mpmath.sqrt(p * q) * (mpmath.sin(theta) + (mpmath.pi - theta) * rho) / (2 * mpmath.pi)


@pytest.mark.parametrize("depth", [2, 3])
def test_deeper_kernels_of_near_duplicates_keep_their_digits(depth: int) -> None:
    for angle in np.geomspace(1e-7, 1, 71):
        X = np.array([[1.0, 0.0], [np.cos(angle), np.sin(angle)]])
        with mpmath.workdps(50):
            a, b = [[mpmath.mpf(float(x)) for x in row] for row in X]
            p, q, c = mpmath.fdot(a, a), mpmath.fdot(b, b), mpmath.fdot(a, b)
            for layer in range(depth):
                scale = 2 if layer else 1
                c = relu_kernel(scale * p, scale * q, scale * c)
                p, q = scale * p / 2, scale * q / 2
            truth = float(c)
        assert deep_kernel(X, "relu", depth)[0, 1] == pytest.approx(truth, rel=2e-15, abs=0)


@pytest.mark.parametrize(("p", "q", "rho"), NORMS)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_kernel_equals_quadrature(activation: str, p: float, q: float, rho: float) -> None:
    K = kernel_matrix(two_rows(p, q, rho), activation)
    scale = np.sqrt(K[0, 0] * K[1, 1])
    assert K[0, 1] == pytest.approx(quadrature(activation, p, q, rho), rel=0, abs=1e-10 * scale)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("norm", [1e-3, 1.0, 10.0])
def test_diagonal_equals_one_dimensional_quadrature(activation: str, norm: float) -> None:
    def square(z: mpmath.mpf) -> mpmath.mpf:
        value = float(apply(activation, np.array([norm * float(z)]))[0])
        return value**2 * mpmath.npdf(z)

    truth = mpmath.quad(square, [-12, -3, -1, -0.2, 0, 0.2, 1, 3, 12])
    K = kernel_matrix(np.array([[norm, 0.0]]), activation)
    assert K[0, 0] == pytest.approx(float(truth), rel=1e-10)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_kernel_equals_simulation(activation: str) -> None:
    rng = np.random.default_rng(5)
    X = rng.standard_normal((4, 3))
    samples = apply(activation, rng.standard_normal((200_000, 3)) @ X.T)
    products = samples[:, :, None] * samples[:, None, :]
    error = products.std(axis=0) / np.sqrt(len(products))
    assert (np.abs(products.mean(axis=0) - kernel_matrix(X, activation)) <= 5 * error + 1e-12).all()


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_kernel_is_symmetric_positive_and_rotation_invariant(activation: str) -> None:
    rng = np.random.default_rng(6)
    X = rng.standard_normal((12, 5))
    Q = np.linalg.qr(rng.standard_normal((5, 5)))[0]
    K = kernel_matrix(X, activation)
    assert (K == K.T).all()
    assert kernel_eigenvalues(K)[0] >= -1e-13 * kernel_eigenvalues(K)[-1]
    np.testing.assert_allclose(kernel_matrix(X @ Q, activation), K, rtol=0, atol=1e-12 * K.max())


@given(scale=st.floats(1e-3, 1e3), seed=st.integers(0, 1000))
@settings(max_examples=25)
def test_relu_kernel_is_homogeneous(scale: float, seed: int) -> None:
    X = np.random.default_rng(seed).standard_normal((5, 4))
    expected = scale**2 * kernel_matrix(X, "relu")
    np.testing.assert_allclose(kernel_matrix(scale * X, "relu"), expected, rtol=1e-12, atol=0)


@pytest.mark.parametrize("angle", [1e-2, 1e-4, 1e-6, 1e-7])
def test_angle_of_near_duplicates_keeps_its_digits(angle: float) -> None:
    # 1 - K_step/K_step(0) = angle / pi, linear in the angle: sees every lost digit of it
    X = np.array([[1.0, 0.0], [np.cos(angle), np.sin(angle)]])
    K = kernel_matrix(X, "step")
    assert K[0, 0] - K[0, 1] == pytest.approx(angle / (2 * np.pi), rel=1e-8, abs=2e-16)
    opposite = kernel_matrix(X * [[1.0], [-1.0]], "step")
    assert opposite[0, 1] == pytest.approx(angle / (2 * np.pi), rel=1e-8)


@pytest.mark.parametrize("n", [6, 8, 10, 48, 96])
def test_alpha_of_an_even_circle_is_exactly_zero(n: int) -> None:
    angle = 2 * np.pi * np.arange(n) / n
    assert alpha(np.column_stack([np.cos(angle), np.sin(angle)]), "relu") == 0.0


@pytest.mark.parametrize("n", [3, 5, 9, 51])
def test_alpha_of_an_odd_circle_is_positive(n: int) -> None:
    angle = 2 * np.pi * np.arange(n) / n
    assert alpha(np.column_stack([np.cos(angle), np.sin(angle)]), "relu") > 1e-4


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_alpha_of_duplicate_rows_is_exactly_zero(activation: str) -> None:
    X = np.random.default_rng(7).standard_normal((6, 20))
    assert alpha(np.vstack([X, X[:1]]), activation) == 0.0


def rows_of_any_norm(count: int) -> list[np.ndarray]:
    rng = np.random.default_rng(8)
    rows = [rng.standard_normal(rng.integers(1, 40)) for _ in range(count)]
    return [x * rng.uniform(1e-3, 10) / np.linalg.norm(x) for x in rows]


@pytest.mark.slow
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_alpha_of_two_equal_rows_is_exactly_zero_whatever_they_are(activation: str) -> None:
    for x in rows_of_any_norm(30):
        assert alpha([x, x], activation) == 0.0


@pytest.mark.slow
@pytest.mark.parametrize(
    "activation",
    [
        "abs",
        "square",
        "cos",
        "sign",
        "erf",
        "linear",
        "sin",
        "tanh",
        "gaussian",
        "cube",
        "hermite2",
        "hermite3",
    ],
)
def test_alpha_of_opposite_rows_is_exactly_zero_where_phi_is_even_or_odd(activation: str) -> None:
    for x in rows_of_any_norm(30):
        assert alpha([x, -x], activation) == 0.0


@pytest.mark.slow
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_duplicate_rows_stay_duplicate_in_deeper_kernels(activation: str) -> None:
    for x in rows_of_any_norm(8):
        for depth in (2, 3):
            assert (
                alpha_from_eigenvalues(kernel_eigenvalues(deep_kernel([x, x], activation, depth))) == 0
            )


@pytest.mark.parametrize("activation", ["step", "sign", "relu", "tanh", "erf", "sin"])
def test_a_zero_row_has_no_features(activation: str) -> None:
    K = kernel_matrix(np.array([[0.0, 0.0], [1.0, 2.0]]), activation)
    assert (K[0] == 0).all()
    assert K[1, 1] > 0


def test_rows_too_steep_for_the_series_are_refused() -> None:
    with pytest.raises(ValueError, match=r"norm above .* normalise the rows"):
        kernel_matrix(np.array([[300.0, 0.0], [0.0, 1.0]]), "tanh")


@pytest.mark.parametrize("X", [np.zeros((0, 2)), np.zeros(3), np.array([[np.nan, 1.0]])])
def test_bad_inputs_are_refused(X: np.ndarray) -> None:
    with pytest.raises(ValueError, match="expected finite numbers of shape"):
        kernel_matrix(X, "relu")


def test_an_unknown_activation_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(ValueError, match="did you mean 'relu'"):
        kernel_matrix(np.eye(2), "rellu")
