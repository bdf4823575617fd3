"""The constants of Theorem 1 are bounds: no point of the ball violates them, however it is chosen."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Iterator

import numpy as np
import pytest

from pipeline.descent.architecture import TRAINED
from pipeline.descent.certificates import certify
from pipeline.descent.dispatch import DERIVATIVES
from pipeline.descent.network import Network, balanced

KINDS = ("relu", "leaky_relu", "softplus", "tanh", "gelu", "erf", "sigmoid", "elu", "selu", "gaussian")


def problem(
    activation: str,
    trained: str,
    n: int = 4,
    d: int = 5,
    k: int = 120,
    seed: int = 0,
    unit: bool = False,
) -> tuple[Network, np.ndarray]:
    rng = np.random.default_rng([seed, n, d, k])
    X = rng.standard_normal((n, d))
    X /= np.linalg.norm(X, axis=1, keepdims=True)
    if not unit:
        X *= rng.uniform(0.5, 2.0, (n, 1))
    return Network(
        activation, rng.standard_normal((k, d)), np.empty((0, k, k)), balanced(k), trained
    ), X


def perturbations(network: Network, X: np.ndarray, R: float) -> Iterator[np.ndarray]:
    """Vectors of norm R at most: random ones, and those that move J where it is softest."""
    rng = np.random.default_rng(1)
    (k, d), p = network.W.shape, network.parameters
    towards = X / np.linalg.norm(X, axis=1, keepdims=True)

    def padded(change: np.ndarray) -> np.ndarray:
        by = np.zeros(p)
        by[: k * d] = change.ravel()
        return by

    def scaled(by: np.ndarray) -> np.ndarray:
        return by * (R / np.linalg.norm(by))

    for _ in range(40):
        yield scaled(rng.standard_normal(p))
    J = network.jacobian(X)
    for row in np.linalg.svd(J, full_matrices=False)[2]:
        yield scaled(row)
        yield scaled(-row)
    for x, z in zip(towards, (network.W @ towards.T).T, strict=True):
        softest = np.argsort(np.abs(z))
        for units in (
            softest[:1],
            softest[:3],
            softest[:10],
            softest,
            np.argsort(z)[-5:],
            rng.permutation(k)[:2],
        ):
            for signs in (1.0, -1.0, np.sign(z[units])[:, None], -np.sign(z[units])[:, None]):
                change = np.zeros((k, d))
                change[units] = signs * x
                yield scaled(padded(change))
        # across the kink, the cheapest first, as many as R pays for
        change, paid = np.zeros((k, d)), 0.0
        for unit in softest:
            cost = (z[unit] * (1 + 1e-9)) ** 2
            if paid + cost > R**2:
                break
            paid += cost
            change[unit] = -z[unit] * (1 + 1e-9) * x
        yield padded(change)
    if network.trained == "both":
        for sign in (1.0, -1.0):
            by = np.zeros(p)
            by[k * d :] = sign * network.v
            yield scaled(by)
            by = rng.standard_normal(p)
            by[k * d :] = sign * 10 * np.eye(k)[0]
            yield scaled(by)


@pytest.mark.parametrize("trained", ["input", "both"])
@pytest.mark.parametrize("activation", KINDS)
@pytest.mark.parametrize("seed", [0, 1])
def test_no_point_of_the_ball_violates_assumptions_2_and_3(
    activation: str, trained: str, seed: int
) -> None:
    network, X = problem(activation, trained, seed=seed)
    found = certify(network, X)
    J = network.jacobian(X)
    assert found.rigorous
    assert found.radius > 0
    assert found.alpha == pytest.approx(np.linalg.svd(J, compute_uv=False)[-1] / 2, rel=1e-12)
    assert np.linalg.norm(J, 2) <= found.beta
    for by in perturbations(network, X, found.radius):
        assert np.linalg.norm(by) <= found.radius * (1 + 1e-12)
        there = network.moved(by).jacobian(X)
        assert np.linalg.norm(there - J, 2) <= found.alpha / 3 * (1 + 1e-9)
        assert np.linalg.norm(there, 2) <= found.beta * (1 + 1e-12)


@pytest.mark.parametrize("activation", ["relu", "softplus", "tanh", "gelu", "elu", "selu", "gaussian"])
def test_beta_of_the_input_layer_holds_everywhere(activation: str) -> None:
    network, X = problem(activation, "input", k=20)
    beta = certify(network, X).beta
    rng = np.random.default_rng(2)
    for scale in (0.1, 1.0, 10.0, 1e3):
        for _ in range(30):
            by = scale * rng.standard_normal(network.parameters)
            assert np.linalg.norm(network.moved(by).jacobian(X), 2) <= beta * (1 + 1e-12)


@pytest.mark.parametrize(
    "activation", ["softplus", "tanh", "gelu", "erf", "sigmoid", "elu", "gaussian"]
)
def test_the_radius_of_a_smooth_input_layer_is_a_formula(activation: str) -> None:
    network, X = problem(activation, "input")
    found = certify(network, X)
    bend = DERIVATIVES[activation].bend
    assert bend is not None
    lipschitz = bend / np.sqrt(120) * np.linalg.norm(X, 2) * np.linalg.norm(X, axis=1).max()
    assert found.radius == pytest.approx(found.alpha / 3 / lipschitz, rel=1e-9)
    assert found.residual == pytest.approx(found.alpha * found.radius / 5, rel=1e-15)
    assert found.beta == pytest.approx(DERIVATIVES[activation].slope * np.linalg.norm(X, 2), rel=1e-12)


@pytest.mark.parametrize("activation", ["softplus", "tanh", "gelu"])
def test_the_constants_of_both_layers_solve_their_equations(activation: str) -> None:
    network, X = problem(activation, "both")
    found = certify(network, X)
    norm, B, M = np.linalg.norm(X, 2), DERIVATIVES[activation].slope, DERIVATIVES[activation].bend
    lipschitz = 2 * B * norm + M / np.sqrt(120) * norm * np.linalg.norm(X, axis=1).max()
    R = found.alpha / 3 / lipschitz
    assert found.radius == pytest.approx(R, rel=1e-9)
    features = np.linalg.norm(network.features(X), 2)
    beta = np.sqrt((features + B * norm * R) ** 2 + B**2 * (1 + R) ** 2 * norm**2)
    assert found.beta == pytest.approx(beta, rel=1e-9)


@pytest.mark.parametrize("activation", ["relu", "leaky_relu"])
@pytest.mark.parametrize("seed", range(4))
def test_flips_are_counted_as_if_all_sets_of_units_were_tried(activation: str, seed: int) -> None:
    """The radius ends where some set of one unit too many can flip at one sample."""
    n, k = 2, 220
    network, X = problem(activation, "input", n=n, d=4, k=k, seed=seed, unit=True)
    found = certify(network, X)
    per_flip = DERIVATIVES[activation].jump * np.linalg.norm(X, 2) / np.sqrt(k)
    allowed = int((found.alpha / 3 / per_flip) ** 2)
    assert 0 <= allowed <= 3
    costs = ((network.W @ X.T) ** 2).T
    cheapest = min(
        sum(units)
        for cost in costs
        for units in itertools.combinations(np.sort(cost)[:20], allowed + 1)
    )
    assert found.radius == pytest.approx(np.sqrt(cheapest), rel=1e-9)


def test_some_radius_pays_for_a_flip() -> None:
    network, X = problem("relu", "input", n=2, d=4, k=400, unit=True)
    found = certify(network, X)
    costs = ((network.W @ X.T) ** 2).T
    assert found.radius > np.sqrt(costs.min())


def brute_flips(network: Network, X: np.ndarray, R: float) -> int:
    """Most units that a move of W by R can flip at one sample, by trying all sets of units."""
    most = 0
    for x in X:
        cost = (network.W @ x) ** 2 / (x @ x)
        for size in range(1, len(cost) + 1):
            sets = itertools.combinations(cost, size)
            most = max(most, size if min(map(sum, sets)) <= R**2 else 0)
    return most


def test_the_count_on_a_tiny_network_is_that_of_all_sets() -> None:
    from pipeline.descent.certificates import _input_deviation

    network, X = problem("relu", "input", n=3, d=2, k=8)
    norm = float(np.linalg.norm(X, 2))
    bound = _input_deviation(network, X, norm)
    counts = set()
    for R in np.linspace(0, 4, 60):
        flips = brute_flips(network, X, R)
        counts.add(flips)
        assert bound(R) == pytest.approx(norm * np.sqrt(flips / 8), rel=1e-12)
    assert len(counts) > 5


@pytest.mark.parametrize("trained", TRAINED)
@pytest.mark.parametrize("activation", [*KINDS, "linear"])
def test_duplicate_rows_certify_nothing_without_a_warning(activation: str, trained: str) -> None:
    network, X = problem(activation, trained)
    X[1] = X[0]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = certify(network, X)
        assert found.alpha == 0
        assert found.residual == 0


@pytest.mark.parametrize("trained", TRAINED)
def test_fewer_parameters_than_samples_certify_nothing(trained: str) -> None:
    network, X = problem("softplus", trained, n=30, d=2, k=6)
    found = certify(network, X)
    assert found.alpha == 0
    assert found.residual == 0


@pytest.mark.parametrize("activation", [*KINDS, "linear"])
def test_the_jacobian_of_the_output_layer_does_not_move(activation: str) -> None:
    network, X = problem(activation, "output", n=3)
    found = certify(network, X)
    sigma = np.linalg.svd(network.features(X), compute_uv=False)
    assert found.radius == np.inf
    assert found.rigorous
    assert found.alpha == pytest.approx(sigma[-1] / 2, rel=1e-9)
    assert found.beta == pytest.approx(sigma[0], rel=1e-12)
    assert found.residual == np.inf
    assert found.step_size == pytest.approx(1 / sigma[0] ** 2, rel=1e-12)


def test_linear_units_have_every_radius_where_v_is_fixed() -> None:
    network, X = problem("linear", "input")
    assert certify(network, X).radius == np.inf
    network, X = problem("linear", "both")
    found = certify(network, X)
    assert found.radius == pytest.approx(found.alpha / 6 / np.linalg.norm(X, 2), rel=1e-9)


def test_a_row_of_zeros_costs_no_flip() -> None:
    network, X = problem("relu", "input")
    X[2] = 0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert certify(network, X).alpha == 0


@pytest.mark.parametrize("trained", ["input", "both"])
def test_deeper_networks_are_measured_along_one_direction(trained: str) -> None:
    rng = np.random.default_rng(3)
    X, k = rng.standard_normal((4, 5)), 30
    hidden = rng.standard_normal((1, k, k)) * np.sqrt(2 / k)
    network = Network("softplus", rng.standard_normal((k, 5)), hidden, balanced(k), trained)
    u = rng.standard_normal(4)
    found = certify(network, X, direction=u)
    J = network.jacobian(X)
    assert not found.rigorous
    towards = J.T @ u / np.linalg.norm(J.T @ u)
    there = network.moved(found.radius * towards).jacobian(X)
    assert np.linalg.norm(there - J, 2) == pytest.approx(found.alpha / 3, rel=3e-3)
    assert np.linalg.norm(there, 2) <= found.beta * (1 + 1e-9)
