"""Extreme singular values from a growing Gram matrix are those of the SVD, to nine digits."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.numerics.activations import ACTIVATIONS, apply
from pipeline.numerics.datasets import DatasetSpec, draw
from pipeline.numerics.random_features import GRAM_LIMIT, PANEL, RandomFeatures, singular_values
from pipeline.theory import kernels, marchenko_pastur


def features(X: np.ndarray, activation: str = "relu", seed: int = 1) -> RandomFeatures:
    return RandomFeatures(X, activation, np.random.default_rng(seed))


def sphere(n: int, d: int, seed: int = 0) -> np.ndarray:
    return draw(DatasetSpec("sphere"), np.random.default_rng(seed), n, d)


def floor(X: np.ndarray, k: int, activation: str = "relu") -> float:
    eigenvalues = kernels.kernel_eigenvalues(kernels.kernel_matrix(X, activation))
    edge, scale = marchenko_pastur.edge_and_scale(eigenvalues, k)
    return max(0.0, float(edge - 3 * scale))


@pytest.mark.slow
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("n", [1, 2, 3, 17, 60])
def test_extremes_equal_the_svd(activation: str, n: int) -> None:
    X = sphere(n, 8)
    nested = features(X, activation)
    for k in sorted({1, n, n + 1, -(-11 * n // 10), 2 * n, 4 * n, 9 * n}):
        low, high = nested.extremes(k, floor(X, k, activation))
        truth = np.linalg.svd(nested.features(k), compute_uv=False)
        assert high == pytest.approx(truth[0], rel=1e-9)
        if k < n:
            assert low == 0.0
        else:
            # below 1e-12 of sigma_max double precision knows no digit of sigma_min
            assert low == pytest.approx(truth[-1], rel=1e-9, abs=1e-12 * truth[0])


@pytest.mark.parametrize("kind", ["circle", "pairs", "triples"])
@pytest.mark.parametrize("angle", [1e-5, 1e-2])
def test_extremes_equal_the_svd_where_theory_misleads(kind: str, angle: float) -> None:
    spec = DatasetSpec(kind, (angle,))
    X = draw(spec, np.random.default_rng(2), 30, 6, angle)
    nested = features(X)
    for k in (30, 31, 60, 120, 1200):
        low, _ = nested.extremes(k, floor(X, k))
        truth = np.linalg.svd(nested.features(k), compute_uv=False)
        assert low == pytest.approx(truth[-1], rel=1e-8, abs=1e-13 * truth[0])


@pytest.mark.parametrize("guess", [0.0, 0.5, 0.999, 1.001, 3.0, 1e6])
def test_a_wrong_guess_costs_no_digits(guess: float) -> None:
    X = sphere(40, 10)
    k = 100
    truth = np.linalg.svd(features(X).features(k), compute_uv=False)
    low, _ = features(X).extremes(k, guess * truth[-1] ** 2 / k)
    assert low == pytest.approx(truth[-1], rel=1e-9)


@pytest.mark.parametrize("ratio", [3.3e-4, 1e-3, 1e-1])
def test_the_gram_matrix_keeps_nine_digits_down_to_the_crossover(ratio: float) -> None:
    """A Gram matrix just above the limit, of known singular values."""
    assert ratio**2 > GRAM_LIMIT
    from pipeline.numerics.lanczos import smallest_eigenvalue

    rng = np.random.default_rng(3)
    U = np.linalg.qr(rng.standard_normal((300, 80)))[0]
    V = np.linalg.qr(rng.standard_normal((80, 80)))[0]
    sigma = np.geomspace(1, ratio, 80)
    Phi = U * sigma @ V.T
    found = np.sqrt(smallest_eigenvalue(np.asfortranarray(Phi.T @ Phi), 0.0))
    assert found == pytest.approx(ratio, rel=1e-9)


def test_far_below_the_crossover_the_gram_matrix_would_lose_what_the_svd_keeps() -> None:
    # one row twice, the second time moved by 1e-6: sigma_min/sigma_max is near 1e-7
    X = sphere(20, 6)
    X[1] = X[0] + 1e-6 * X[2]
    nested = features(X)
    k = 200
    Phi = nested.features(k)
    by_gram = np.sqrt(abs(np.linalg.eigvalsh(Phi.T @ Phi)[0]))
    truth = np.linalg.svd(Phi, compute_uv=False)[-1]
    low, _ = nested.extremes(k)
    assert abs(by_gram / truth - 1) > 1e-6
    assert low == pytest.approx(truth, rel=1e-12)


def test_no_bit_depends_on_the_other_widths() -> None:
    X = sphere(50, 10)
    everywhere = features(X)
    dense = {k: everywhere.extremes(k, floor(X, k)) for k in range(45, 300)}
    for grid in ([64], [63, 64, 65], [128, 129], list(range(45, 300, 37)), [299]):
        alone = features(X)
        for k in grid:
            assert alone.extremes(k, floor(X, k)) == dense[k]


def test_rows_are_those_of_one_stream() -> None:
    X = sphere(10, 4)
    k = 2 * PANEL + 5
    W = np.random.default_rng(1).standard_normal((k, 4))
    np.testing.assert_allclose(features(X).features(k), apply("relu", W @ X.T), rtol=1e-13)


def test_shrinking_widths_are_refused() -> None:
    nested = features(sphere(5, 3))
    nested.extremes(2 * PANEL)
    with pytest.raises(ValueError, match="got width 63 after 128 rows"):
        nested.extremes(PANEL - 1)


def test_sigma_min_grows_with_nested_width() -> None:
    nested = features(sphere(30, 10))
    lows = [nested.extremes(k)[0] for k in range(20, 200, 3)]
    assert (np.diff(lows) >= 0).all()


def test_features_that_overflow_are_refused() -> None:
    with pytest.raises(FloatingPointError, match="not finite"), np.errstate(over="ignore"):
        features(np.full((3, 2), 1e200), "square").extremes(5)


def test_singular_values_are_n_descending_and_zero_beyond_the_kth() -> None:
    rng = np.random.default_rng(4)
    W, X = rng.standard_normal((7, 5)), rng.standard_normal((10, 5))
    values = singular_values(W, X, "tanh")
    assert values.shape == (10,)
    assert (np.diff(values) <= 0).all()
    assert (values[7:] == 0).all()
    np.testing.assert_allclose(values[:7], np.linalg.svd(np.tanh(W @ X.T))[1], rtol=1e-12)


def test_singular_values_do_not_see_rotations_of_data_and_weights() -> None:
    rng = np.random.default_rng(8)
    W, X = rng.standard_normal((40, 5)), rng.standard_normal((10, 5))
    Q = np.linalg.qr(rng.standard_normal((5, 5)))[0]
    rotated = singular_values(W @ Q, X @ Q, "relu")
    np.testing.assert_allclose(rotated, singular_values(W, X, "relu"), rtol=1e-11)


def test_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match=r"expected \(k, d\) and \(n, d\)"):
        singular_values(np.ones((3, 2)), np.ones((4, 5)), "relu")
