"""Kernels in double-double numbers equal those of mpmath, and alpha far below rounding is right."""

from __future__ import annotations

import mpmath as mp
import numpy as np
import pytest

from pipeline.numerics import double_double as dd
from pipeline.numerics.datasets import DatasetSpec, draw
from pipeline.theory import alpha, precise
from pipeline.theory.degenerate import alpha_error, certain_cause
from pipeline.theory.kernels import Resolved, kernel_eigenvalues, kernel_matrix, resolved_eigenvalues
from pipeline.theory.precise import KERNELS, LARGEST, precise_eigenvalues, precise_kernel

PHI = {
    "relu": lambda z: max(z, mp.mpf(0)),
    "leaky_relu": lambda z: max(z, mp.mpf(0.01) * z),
    "abs": abs,
    "step": lambda z: mp.mpf(z > 0),
    "sign": mp.sign,
    "erf": mp.erf,
    "linear": lambda z: z,
    "square": lambda z: z * z,
    "cos": mp.cos,
    "sin": mp.sin,
    "gelu": lambda z: z * mp.ncdf(z),
    "tanh": mp.tanh,
    "sigmoid": lambda z: 1 / (1 + mp.exp(-z)),
    "softplus": lambda z: mp.log1p(mp.exp(z)),
    "gaussian": lambda z: mp.exp(-z * z / 2),
    "cube": lambda z: z**3,
    "hermite2": lambda z: (z * z - 1) / mp.sqrt(2),
    "hermite3": lambda z: (z**3 - 3 * z) / mp.sqrt(6),
}

KINKED = ("relu", "leaky_relu", "abs", "step", "sign")


@pytest.fixture(autouse=True)
def digits():
    with mp.workdps(40):
        yield


def pairs(n: int, d: int, angle: float) -> np.ndarray:
    return draw(DatasetSpec("pairs", (angle,)), np.random.default_rng(3), n, d, angle)


def exact_value(number: dd.DoubleDouble, *index: int) -> mp.mpf:
    return mp.mpf(float(number.high[index])) + mp.mpf(float(number.low[index]))


def covariance(X: np.ndarray, i: int, j: int) -> mp.mpf:
    return mp.fsum(mp.mpf(float(a)) * mp.mpf(float(b)) for a, b in zip(X[i], X[j], strict=True))


def truth(activation: str, p: mp.mpf, q: mp.mpf, c: mp.mpf) -> mp.mpf:
    """E[phi(u) phi(w)] from the definition: along rays where phi has a kink, else on a lattice."""
    phi, s = PHI[activation], mp.sqrt(p)
    slope, rest = c / s, mp.sqrt(max(q - c * c / p, mp.mpf(0)))
    if activation in KINKED:  # homogeneous: the radius integrates to a factor
        degree = 0 if activation in ("step", "sign") else 1
        turns = sorted({-mp.pi, -mp.pi / 2, mp.pi / 2, mp.pi, *_zeros(slope, rest)})
        product = lambda t: phi(s * mp.cos(t)) * phi(slope * mp.cos(t) + rest * mp.sin(t))  # noqa: E731
        return mp.quad(product, turns) / (2 * mp.pi) * (2 if degree else 1)
    step = mp.mpf(1) / (8 if activation == "tanh" else 4)  # tanh has the nearest poles
    lattice = [step * (k + mp.mpf(1) / 2) for k in range(-int(13 / step), int(13 / step))]
    weights = [step * mp.npdf(z) for z in lattice]
    outer = [w * phi(s * z) for z, w in zip(lattice, weights, strict=True)]
    if not rest:
        return mp.fsum(f * phi(slope * z) for z, f in zip(lattice, outer, strict=True))
    return mp.fsum(
        f
        * mp.fsum(
            w * phi(slope * z + rest * y)
            for y, w in zip(lattice, weights, strict=True)
            if z * z + y * y < 169  # as far out as along the axes
        )
        for z, f in zip(lattice, outer, strict=True)
    )


def _zeros(slope: mp.mpf, rest: mp.mpf) -> list[mp.mpf]:
    """The angles at which slope cos t + rest sin t changes its sign."""
    first = mp.atan2(-slope, rest)
    return [turn for turn in (first - mp.pi, first, first + mp.pi) if -mp.pi < turn < mp.pi]


@pytest.mark.slow
@pytest.mark.parametrize("activation", KERNELS)
def test_kernels_have_28_digits(activation: str) -> None:
    X = pairs(4, 3, 1e-4)
    X[2:] *= 0.7
    K = precise_kernel(dd.products(X), activation)
    for i, j in ((0, 0), (0, 1), (1, 2)):
        expected = truth(activation, *(covariance(X, *pair) for pair in ((i, i), (j, j), (i, j))))
        assert abs(exact_value(K, i, j) - expected) < mp.mpf(10) ** -28, (i, j)


def true_alpha(K: dd.DoubleDouble) -> float:
    n = len(K.high)
    whole = mp.matrix([[exact_value(K, i, j) for j in range(n)] for i in range(n)])
    return float(mp.sqrt(min(mp.eigsy(whole, eigvals_only=True))))


@pytest.mark.parametrize("activation", ["softplus", "tanh", "gelu", "sigmoid", "erf", "relu"])
@pytest.mark.parametrize("angle", [1e-4, 1e-6])
def test_alpha_of_near_duplicates_is_that_of_40_digits(activation: str, angle: float) -> None:
    X = pairs(16, 2, angle)
    expected = true_alpha(precise_kernel(dd.products(X), activation))
    assert alpha(X, activation) == pytest.approx(expected, rel=1e-3 if expected < 1e-12 else 1e-6)


def test_alpha_below_the_rounding_of_the_kernel_is_not_zero() -> None:
    X = pairs(102, 5, 1e-4)
    K = kernel_matrix(X, "softplus")
    least, *_, largest = kernel_eigenvalues(K)
    found = alpha(X, "softplus")
    assert least <= 102 * np.finfo(float).eps * largest
    assert 0 < found < 1e-6
    assert alpha(X[:, ::-1].copy(), "softplus") == pytest.approx(found, rel=1e-7)


@pytest.mark.parametrize("activation", KERNELS)
def test_eigenvalues_far_above_rounding_are_those_of_floats(activation: str) -> None:
    X = np.random.default_rng(4).standard_normal((6, 8)) / 3
    values = kernel_eigenvalues(kernel_matrix(X, activation))
    np.testing.assert_allclose(precise_eigenvalues(X, activation), values, rtol=1e-9, atol=1e-13)


@pytest.mark.parametrize("activation", KERNELS)
def test_duplicates_and_a_lack_of_rank_are_exactly_zero(activation: str) -> None:
    X = np.random.default_rng(5).standard_normal((5, 3)) / 3
    values = precise_eigenvalues(np.vstack([X, X[:2]]), activation)
    assert (values[:2] == 0).all()
    assert (precise_eigenvalues(X, "linear")[:2] == 0).all()
    assert (precise_eigenvalues(X, "linear")[2:] > 0).all()


def test_what_is_too_large_is_left_to_floats() -> None:
    assert precise_eigenvalues(np.ones((LARGEST + 1, 1)), "relu") is None
    assert precise_eigenvalues(np.full((2, 1), 1e200), "relu") is None
    assert precise_eigenvalues(np.full((2, 1), 2.0), "tanh") is None


def test_cholesky_has_the_singular_values_of_hilberts_matrix() -> None:
    n = 14  # the least eigenvalue is 10^-19 of the largest
    rows = np.arange(n)
    H = dd.exact(np.ones((n, n))) / (rows[:, None] + rows[None, :] + 1.0)
    least = np.linalg.svd(dd.cholesky(H), compute_uv=False)[-1] ** 2
    whole = mp.matrix(n, n)
    for i in range(n):
        for j in range(n):
            whole[i, j] = mp.mpf(1) / (i + j + 1)
    assert least == pytest.approx(float(min(mp.eigsy(whole, eigvals_only=True))), rel=1e-5)


# ---- what is known of alpha: its value to an error, exactly 0, or lost to rounding


def resolved(X: np.ndarray, activation: str) -> Resolved:
    return resolved_eigenvalues(kernel_eigenvalues(kernel_matrix(X, activation)), X, activation)


def alpha_by_quadrature(X: np.ndarray, activation: str) -> mp.mpf:
    n = len(X)
    K = mp.matrix(n, n)
    for i in range(n):
        for j in range(i, n):
            at = (covariance(X, *pair) for pair in ((i, i), (j, j), (i, j)))
            K[i, j] = K[j, i] = truth(activation, *at)
    return mp.sqrt(min(mp.eigsy(K, eigvals_only=True)))


@pytest.mark.parametrize("activation", ["softplus", "tanh", "gelu", "erf", "relu", "step"])
@pytest.mark.parametrize("angle", [1e-1, 1e-3, 1e-6, 1e-10])
def test_alpha_is_within_its_error_of_that_of_40_digits(activation: str, angle: float) -> None:
    X = pairs(10, 2, angle)
    found, error = alpha(X, activation), alpha_error(resolved(X, activation), X, activation)
    expected = true_alpha(precise_kernel(dd.products(X), activation))
    assert error > 0
    assert abs(found - expected) <= error
    assert error < found / 100 or expected < 1e-11


@pytest.mark.slow
@pytest.mark.parametrize("angle", [1e-1, 1e-2, 1e-4])
def test_alpha_of_long_rows_is_within_its_error_or_lost_and_not_zero(angle: float) -> None:
    X = 2 * pairs(4, 2, angle)
    found, error = alpha(X, "softplus"), alpha_error(resolved(X, "softplus"), X, "softplus")
    expected = alpha_by_quadrature(X, "softplus")
    assert (found == 0) == (angle == 1e-4)
    assert expected > 0
    assert abs(found - expected) <= error


@pytest.mark.parametrize("angle", [1e-13, 1e-14])
def test_alpha_that_31_digits_cannot_show_is_lost_and_not_zero(angle: float) -> None:
    X = pairs(6, 2, angle)
    with mp.workdps(80):
        C = [[covariance(X, i, j) for j in range(6)] for i in range(6)]
        wide = [mp.sqrt(1 + 2 * C[i][i]) for i in range(6)]
        K = mp.matrix([[mp.asin(2 * C[i][j] / wide[i] / wide[j]) for j in range(6)] for i in range(6)])
        true = mp.sqrt(min(mp.eigsy(2 / mp.pi * K, eigvals_only=True)))
    assert alpha(X, "erf") == 0
    assert 0 < true <= alpha_error(resolved(X, "erf"), X, "erf")


def test_alpha_of_more_rows_than_are_computed_precisely_is_lost_and_not_zero(monkeypatch) -> None:
    X = pairs(30, 5, 1e-6)
    true = alpha(X, "softplus")
    monkeypatch.setattr(precise, "LARGEST", 29)
    assert alpha(X, "softplus") == 0
    assert 0 < true <= alpha_error(resolved(X, "softplus"), X, "softplus")


@pytest.mark.parametrize("activation", KERNELS)
def test_alpha_of_dependent_rows_is_exactly_zero(activation: str) -> None:
    X = np.random.default_rng(5).standard_normal((5, 3)) / 3
    X = np.vstack([X, X[1]])
    assert alpha(X, activation) == alpha_error(resolved(X, activation), X, activation) == 0


@pytest.mark.parametrize("activation", ["relu", "gelu", "softplus", "step", "sigmoid", "leaky_relu"])
def test_opposite_rows_make_alpha_exactly_zero_if_there_are_enough(activation: str) -> None:
    rows = np.random.default_rng(6).standard_normal((3, 2)) / 2
    most = (
        1 if activation in ("step", "sigmoid") else 2
    )  # a constant, or linear functions in 2 dimensions
    enough, few = (np.vstack([rows[:m], -rows[:m]]) for m in (most + 1, most))
    assert "opposite" in certain_cause(enough, activation).text
    assert alpha(enough, activation) == 0
    assert certain_cause(few, activation) is None
    assert alpha(few, activation) > 0


def test_rows_that_are_close_are_no_duplicates() -> None:
    assert certain_cause(pairs(10, 3, 1e-14), "relu") is None
    assert certain_cause(pairs(10, 3, 1e-300), "relu") is not None
