"""The generalised Marchenko-Pastur law against closed forms, 50-digit arithmetic and simulation."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.theory.marchenko_pastur import (
    MEDIAN_SHIFT,
    critical_width,
    critical_widths,
    density,
    edge_and_scale,
    left_edge,
    nodes,
    quantiles,
)
from pipeline.theory.spectral_curve import Curve

SPECTRA = {
    "identity": np.ones(20),
    "single": np.ones(1),
    "wide": np.geomspace(1e-13, 1, 30),
    "one small": np.r_[1e-13, np.ones(30)],
    "half": np.r_[0.5, np.ones(30)],
    "relu-like": np.r_[np.linspace(0.08, 0.1, 40), np.linspace(1, 2, 9), 60.0],
}


def reference(eigenvalues: np.ndarray, k: float) -> tuple[mpmath.mpf, mpmath.mpf]:
    """Edge and scale by the cancelling formulas, with digits to spare, and bisection."""
    with mpmath.workdps(60):
        values = [mpmath.mpf(float(value)) for value in eigenvalues]
        least = min(values)
        low, high = mpmath.mpf(-60), mpmath.mpf(60)
        for _ in range(160):
            middle = (low + high) / 2
            u = (1 + mpmath.e**middle) / least
            excess = mpmath.fsum((v * u / (v * u - 1)) ** 2 for v in values) / k - 1
            low, high = (middle, high) if excess > 0 else (low, middle)
        u = (1 + mpmath.e**low) / least
        edge = 1 / u - mpmath.fsum(v / (v * u - 1) for v in values) / k
        curvature = 2 / u**3 + 2 * mpmath.fsum((v / (1 - v * u)) ** 3 for v in values) / k
        return edge, mpmath.cbrt(abs(curvature) / 2) * mpmath.mpf(k) ** (-mpmath.mpf(2) / 3)


@pytest.mark.parametrize("name", SPECTRA)
@pytest.mark.parametrize("ratio", [0, 1.1, 2, 4, 1000])
def test_edge_and_scale_equal_the_reference(name: str, ratio: float) -> None:
    eigenvalues = SPECTRA[name]
    k = len(eigenvalues) + 1 if ratio == 0 else int(ratio * len(eigenvalues)) + 1
    edge, scale = edge_and_scale(eigenvalues, k)
    expected_edge, expected_scale = reference(eigenvalues, k)
    assert edge == pytest.approx(float(expected_edge), rel=1e-12, abs=0)
    assert scale == pytest.approx(float(expected_scale), rel=1e-12, abs=0)


@given(n=st.integers(1, 300), ratio=st.floats(1.01, 100), c=st.floats(1e-6, 1e6))
@settings(max_examples=60)
def test_edge_of_the_identity_is_that_of_marchenko_and_pastur(n: int, ratio: float, c: float) -> None:
    k = n * ratio
    edge = left_edge(np.full(n, c), k)
    assert edge == pytest.approx(c * (1 - np.sqrt(n / k)) ** 2, rel=1e-9)


def test_edge_of_the_identity_at_a_quarter_is_a_quarter() -> None:
    assert left_edge(np.ones(100), 400) == pytest.approx(0.25, rel=1e-13)


@pytest.mark.parametrize("n", [1, 7, 100, 400])
@pytest.mark.parametrize("c", [1e-4, 1.0, 30.0])
def test_critical_width_of_the_identity_is_four_n(n: int, c: float) -> None:
    assert critical_width(np.full(n, c)) == pytest.approx(4 * n, rel=1e-12)


@pytest.mark.parametrize("name", SPECTRA)
@pytest.mark.parametrize("level", [0.01, 0.25, 0.9])
def test_edge_at_the_critical_width_is_the_level(name: str, level: float) -> None:
    eigenvalues = SPECTRA[name]
    target = level * eigenvalues.min()
    assert left_edge(eigenvalues, critical_width(eigenvalues, level)) == pytest.approx(target, rel=1e-9)
    finite = critical_width(eigenvalues, level, finite_size=True)
    edge, scale = edge_and_scale(eigenvalues, finite)
    assert edge + MEDIAN_SHIFT * scale == pytest.approx(target, rel=1e-9)


def test_edge_grows_with_k_towards_the_least_eigenvalue() -> None:
    eigenvalues = SPECTRA["relu-like"]
    edges = left_edge(eigenvalues, np.geomspace(51, 1e9, 200))
    assert (np.diff(edges) > 0).all()
    assert edges[-1] == pytest.approx(eigenvalues.min(), rel=1e-2)


def test_edge_is_zero_where_there_is_none() -> None:
    assert (left_edge(np.ones(10), np.array([1, 9, 10])) == 0).all()
    degenerate = np.r_[0.0, np.ones(9)]
    assert left_edge(degenerate, 100) == 0
    assert np.isnan(critical_width(degenerate))


@pytest.mark.parametrize("level", [0.0, 1.0, -1.0, 2.0])
def test_levels_outside_zero_and_one_are_refused(level: float) -> None:
    with pytest.raises(ValueError, match="level"):
        critical_width(np.ones(5), level)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["identity", "relu-like"])
def test_median_least_eigenvalue_of_simulated_matrices(name: str) -> None:
    """Gaussian features of that covariance; the rest is O(1/n) beyond the Tracy-Widom shift."""
    eigenvalues = np.repeat(SPECTRA[name], 4)
    n, k = len(eigenvalues), 4 * len(eigenvalues)
    rng = np.random.default_rng(0)
    draws = (rng.standard_normal((k, n)) * np.sqrt(eigenvalues) for _ in range(150))
    least = np.array([np.linalg.eigvalsh(Z.T @ Z / k)[0] for Z in draws])
    edge, scale = edge_and_scale(eigenvalues, k)
    error = 1.25 * least.std() / np.sqrt(len(least))
    miss = abs(np.median(least) - (edge + MEDIAN_SHIFT * scale))
    assert miss < 4 * error + 0.25 * scale
    assert abs(np.median(least) - left_edge(eigenvalues, k)) > miss


def test_density_of_the_identity_is_that_of_marchenko_and_pastur() -> None:
    x = np.linspace(0.26, 2.2, 40)
    low, high = 0.25, 2.25
    exact = np.sqrt((high - x) * (x - low)) / (2 * np.pi * 0.25 * x)
    np.testing.assert_allclose(density(np.ones(50), 200, x), exact, rtol=1e-8)


def test_quantiles_are_those_of_a_simulated_spectrum() -> None:
    eigenvalues = np.repeat(SPECTRA["relu-like"], 8)
    n, k = len(eigenvalues), 1200
    Z = np.random.default_rng(1).standard_normal((k, n)) * np.sqrt(eigenvalues)
    simulated = np.linalg.eigvalsh(Z.T @ Z / k)
    assert np.median(np.abs(quantiles(eigenvalues, k) / simulated - 1)) < 0.02


BELOW = [0.4, 1.0, 1.7, 6.0]
"""Widths over n, on both sides of the atom at 0."""


def masses(eigenvalues: np.ndarray, k: float, edges: np.ndarray) -> np.ndarray:
    """The density's integral between edges, by the midpoint rule in the square root of x."""
    ends = np.sqrt(edges)
    share = (np.arange(150) + 0.5) / 150
    r = ends[:-1, None] + np.diff(ends)[:, None] * share
    values = 2 * r * density(eigenvalues, k, r**2)
    return values.mean(axis=1) * np.diff(ends)


@pytest.mark.parametrize("name", ["identity", "half", "relu-like"])
@pytest.mark.parametrize("ratio", [0.4, 1.7, 6.0])
def test_the_density_integrates_to_what_is_not_at_0(name: str, ratio: float) -> None:
    eigenvalues = SPECTRA[name]
    n, k = len(eigenvalues), ratio * len(eigenvalues)
    # Its support has gaps: pieces between points of the law and the ends that hold all of it.
    inner = quantiles(eigenvalues, k, 40)
    edges = np.unique(np.r_[0, inner, 1.1 * inner[-1], 9 * eigenvalues[-1] / min(1, ratio)])
    assert masses(eigenvalues, k, edges).sum() == pytest.approx(min(1, k / n), abs=1e-3)


@pytest.mark.parametrize("ratio", [0.5, 1.5, 4.0])
def test_the_density_is_the_histogram_of_simulated_spectra(ratio: float) -> None:
    eigenvalues = np.repeat(SPECTRA["relu-like"], 2)
    n = len(eigenvalues)
    k = int(ratio * n)
    rng = np.random.default_rng(5)
    draws = (rng.standard_normal((k, n)) * np.sqrt(eigenvalues) for _ in range(40))
    values = np.concatenate([np.linalg.eigvalsh(Z.T @ Z / k)[max(0, n - k) :] for Z in draws])
    edges = quantiles(eigenvalues, k, 4 * n)
    edges = edges[edges > 0][2 :: n // 3]
    counts = np.histogram(values, edges)[0] / 40
    expected = n * masses(eigenvalues, k, edges)
    np.testing.assert_allclose(counts, expected, atol=0.8)  # of eight in each


@pytest.mark.parametrize("name", SPECTRA)
@pytest.mark.parametrize("ratio", BELOW)
def test_quantiles_are_where_halving_finds_them(name: str, ratio: float) -> None:
    eigenvalues = SPECTRA[name]
    k = ratio * len(eigenvalues)
    found = quantiles(eigenvalues, k)
    curve = Curve(np.sort(eigenvalues), k)
    ranks = np.arange(len(eigenvalues)) + 0.5
    low, high = np.full(ranks.shape, curve.left), np.full(ranks.shape, curve.right)
    for _ in range(90):
        middle = (low + high) / 2
        below = curve.rank(middle) < ranks
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    exact = np.where(ranks > curve.atom, curve.position((low + high) / 2), 0)
    # Over 13 decades a single eigenvalue is known to the rounding of the others' mass.
    np.testing.assert_allclose(found, exact, rtol=1e-12 if eigenvalues[0] > 1e-6 else 1e-7)


@pytest.mark.parametrize("name", SPECTRA)
@pytest.mark.parametrize("ratio", BELOW)
def test_nodes_integrate_the_moments_of_the_law(name: str, ratio: float) -> None:
    """The first two are those of any such matrix: tr K / n, and tr K^2 / n + (tr K)^2 / (n k)."""
    eigenvalues = SPECTRA[name]
    n, k = len(eigenvalues), ratio * len(eigenvalues)
    points, weights = nodes(eigenvalues, k)
    assert weights.sum() == pytest.approx(1, rel=1e-13)
    assert (np.diff(points) >= -1e-12 * points[:-1]).all()
    assert weights[points == 0].sum() == pytest.approx(max(0, 1 - ratio), abs=1e-12)
    assert weights @ points == pytest.approx(eigenvalues.mean(), rel=1e-4)
    second = np.mean(eigenvalues**2) + eigenvalues.sum() ** 2 / (n * k)
    assert weights @ points**2 == pytest.approx(second, rel=3e-4)


def test_an_eigenvalue_of_0_adds_to_the_atom_alone() -> None:
    padded = np.r_[np.zeros(10), np.ones(30)]
    points, weights = nodes(padded, 60)
    assert weights[points == 0].sum() == pytest.approx(0.25, rel=1e-12)
    alone, _ = nodes(np.ones(30), 60)
    np.testing.assert_allclose(points[points > 0], alone, rtol=1e-9)
    assert (quantiles(np.zeros(4), 8) == 0).all()


@pytest.mark.parametrize("shift", [0.0, MEDIAN_SHIFT, 2.7824, -0.4501])
@pytest.mark.parametrize("level", [0.01, 0.25, 0.9])
@pytest.mark.parametrize("name", SPECTRA)
def test_widths_of_many_kernels_are_those_of_each(name: str, level: float, shift: float) -> None:
    rng = np.random.default_rng(0)
    spectra = np.stack([rng.permutation(SPECTRA[name]) * c for c in np.geomspace(1e-6, 1e6, 5)])
    single = [critical_width(spectrum, level, shift=shift) for spectrum in spectra]
    np.testing.assert_allclose(critical_widths(spectra, level, shift=shift), single, rtol=1e-12)


def test_a_degenerate_kernel_among_others_has_no_width() -> None:
    spectra = np.array([[1.0, 1.0, 1.0], [0.0, 1.0, 1.0], [2.0, 2.0, 2.0]])
    np.testing.assert_allclose(critical_widths(spectra), [12.0, np.nan, 12.0])
    assert not critical_widths(np.empty((0, 3))).size


@pytest.mark.parametrize("spectra", [np.ones(3), np.full((2, 3), np.nan)])
def test_kernels_without_finite_eigenvalues_are_refused(spectra: np.ndarray) -> None:
    with pytest.raises(ValueError, match="expected finite numbers"):
        critical_widths(spectra)
