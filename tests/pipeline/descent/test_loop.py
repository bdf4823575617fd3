"""The compiled loop is plain gradient descent, step by step, and tells truly what it came to."""

from __future__ import annotations

import warnings
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from pipeline.descent.architecture import TRAINED
from pipeline.descent.dispatch import DERIVATIVES
from pipeline.descent.loop import Training, train
from pipeline.descent.network import Network, balanced

NAMES = tuple(DERIVATIVES)


def step_size(network: Network, X: np.ndarray, c: float = 1.0) -> float:
    return c / network.tangent_extremes(X)[1]


def weights(network: Network) -> np.ndarray:
    return np.concatenate([network.W.ravel(), network.hidden.ravel(), network.v])


@pytest.mark.parametrize("trained", TRAINED)
@pytest.mark.parametrize("depth", [1, 2, 3])
@pytest.mark.parametrize("activation", NAMES)
def test_every_step_is_that_of_a_plain_loop(
    plain: SimpleNamespace, activation: str, depth: int, trained: str
) -> None:
    network, (X, y) = plain.start(activation, depth, trained), plain.data()
    eta = step_size(network, X)
    truth = plain.descend(network, X, y, eta, 30)
    for steps in range(31):
        moving = network.copy()
        done = train(moving, X, y, eta, steps, [1e-20], range(31))
        np.testing.assert_allclose(weights(moving), weights(truth.path[steps]), rtol=1e-10, atol=1e-12)
        assert done.steps == steps
        assert done.loss_initial == pytest.approx(truth.losses[0], rel=1e-12)
        assert done.loss_final == pytest.approx(truth.losses[steps], rel=1e-10)
        assert done.distance == pytest.approx(truth.distances[steps], rel=1e-9, abs=1e-15)
        assert not done.diverged
    np.testing.assert_allclose(done.curve, truth.losses / truth.losses[0], rtol=1e-10)
    assert done.last_ratio == pytest.approx(np.sqrt(truth.losses[30] / truth.losses[29]), rel=1e-9)


def test_ten_steps_are_those_of_jax(plain: SimpleNamespace) -> None:
    jax = pytest.importorskip("jax")
    phi = {
        "relu": jax.nn.relu,
        "leaky_relu": lambda z: jax.nn.leaky_relu(z, 0.01),
        "softplus": jax.nn.softplus,
        "tanh": jax.numpy.tanh,
        "erf": jax.scipy.special.erf,
        "gelu": lambda z: jax.nn.gelu(z, approximate=False),
        "sigmoid": jax.nn.sigmoid,
        "linear": lambda z: z,
        "elu": jax.nn.elu,
        "selu": jax.nn.selu,
        "gaussian": lambda z: jax.numpy.exp(-(z**2) / 2),
        "square": lambda z: z**2,
        "cube": lambda z: z**3,
        "hermite2": lambda z: (z**2 - 1) / 2**0.5,
        "hermite3": lambda z: (z**3 - 3 * z) / 6**0.5,
    }
    assert set(phi) == set(NAMES)
    X, y = plain.data()

    def loss(theta: Any, activation: str) -> Any:
        W, hidden, v = theta
        phi_of = phi[activation]
        return ((v @ phi_of(hidden[0] @ phi_of(W @ X.T)) - y) ** 2).sum() / 2

    gradient = jax.jit(jax.grad(loss), static_argnums=1)
    for activation in NAMES:
        network = plain.start(activation, 2)
        eta = step_size(network, X)
        with jax.enable_x64(True):
            theta = tuple(map(jax.numpy.asarray, (network.W, network.hidden, network.v)))
            for _ in range(10):
                slopes = gradient(theta, activation)
                theta = tuple(a - eta * g for a, g in zip(theta, slopes, strict=True))
            truth = np.concatenate([np.asarray(part).ravel() for part in theta])
        train(network, X, y, eta, 10, [1e-20])
        np.testing.assert_allclose(weights(network), truth, rtol=1e-10, atol=1e-12, err_msg=activation)


@pytest.mark.parametrize("order", [1, -1])
def test_steps_to_tolerance_are_the_first_steps(plain: SimpleNamespace, order: int) -> None:
    network, (X, y) = plain.start("relu", 1, "both", k=60), plain.data(8)
    eta = step_size(network, X)
    losses = plain.descend(network, X, y, eta, 1500).losses
    tolerances = np.array([2.0, 0.9, 0.31, 3e-2, 4e-3, 1e-24])[::order]
    done = train(network, X, y, eta, 1500, tolerances)
    met = losses[:, None] <= tolerances * losses[0]
    first = np.where(met.any(axis=0), met.argmax(axis=0), np.inf)
    assert np.isfinite(first).sum() == 5
    np.testing.assert_array_equal(done.steps_to_tolerance, first)


def test_tolerances_in_any_order_and_twice(plain: SimpleNamespace) -> None:
    network, (X, y) = plain.start("relu", 1, "both", k=60), plain.data(8)
    eta = step_size(network, X)
    given = [1e-2, 0.5, 1e-4, 0.5]
    done = train(network.copy(), X, y, eta, 3000, given)
    for tolerance, steps in zip(given, done.steps_to_tolerance, strict=True):
        assert train(network.copy(), X, y, eta, 3000, [tolerance]).steps == steps
    assert done.steps == done.steps_to_tolerance[2]


def test_the_loop_ends_when_the_last_tolerance_is_met(plain: SimpleNamespace) -> None:
    network, (X, y) = plain.start("tanh", 1, "both", k=60), plain.data(8)
    marks = [1, 2, 3, 5, 10, 100, 5000]
    done = train(network, X, y, step_size(network, X), 5000, [1e-2], marks)
    assert done.steps < 5000
    assert done.steps == done.steps_to_tolerance[0]
    assert done.loss_final <= 1e-2 * done.loss_initial
    taken = np.array(marks) <= done.steps
    assert not np.isnan(done.curve[taken]).any()
    assert np.isnan(done.curve[~taken]).all()
    assert (done.curve[taken][:-1] > 1e-2).all()


def test_no_budget_takes_no_step(plain: SimpleNamespace) -> None:
    network, (X, y) = plain.start("relu"), plain.data()
    before = weights(network)
    done = train(network, X, y, 0.1, 0, [1.0, 0.5], [1], alpha=0.1)
    assert done.steps == 0
    np.testing.assert_array_equal(done.steps_to_tolerance, [0, np.inf])
    np.testing.assert_array_equal(done.curve, [np.nan])
    assert done.loss_final == done.loss_initial
    assert done.distance == 0
    assert not done.diverged
    assert np.isnan([done.rate_ratio, done.path_ratio]).all()
    np.testing.assert_array_equal(weights(network), before)


@pytest.mark.parametrize("trained", TRAINED)
def test_exact_labels_meet_every_tolerance_at_the_start(plain: SimpleNamespace, trained: str) -> None:
    network, X = Network("relu", np.eye(2), np.empty((0, 2, 2)), balanced(2), trained), np.eye(2)
    done = train(network, X, np.array([1.0, -1.0]) / np.sqrt(2), 0.1, 100, [0.5, 1e-26], [0, 1])
    np.testing.assert_array_equal(done.steps_to_tolerance, [0, 0])
    np.testing.assert_array_equal(done.curve, [0, np.nan])
    assert (done.steps, done.loss_initial, done.loss_final, done.distance) == (0, 0, 0, 0)
    assert not done.diverged


def linear_unit(theta: np.ndarray) -> Network:
    return Network("linear", theta[None, :].copy(), np.empty((0, 1, 1)), np.ones(1))


@pytest.mark.parametrize("c", [2.1, 2.5, 10.0, 1e9])
def test_a_linear_unit_diverges_beyond_twice_the_inverse_curvature(
    plain: SimpleNamespace, c: float
) -> None:
    X, y = plain.data(10, 4)
    theta = np.ones(4)
    eta = c / np.linalg.norm(X, 2) ** 2
    losses = [np.sum((X @ theta - y) ** 2)]
    at = theta.copy()
    while losses[-1] <= 1e6 * losses[0]:
        at -= eta * X.T @ (X @ at - y)
        losses.append(np.sum((X @ at - y) ** 2))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        done = train(linear_unit(theta), X, y, eta, 10_000, [1e-4], [1, 10_000])
    assert done.diverged
    assert done.steps == len(losses) - 1
    assert done.loss_final == pytest.approx(losses[-1], rel=1e-9)
    assert done.steps_to_tolerance == [np.inf]


def test_just_below_it_converges(plain: SimpleNamespace) -> None:
    X, y = plain.data(4, 10)
    eta = 1.99 / np.linalg.norm(X, 2) ** 2
    done = train(linear_unit(np.ones(10)), X, y, eta, 10_000, [1e-20])
    assert not done.diverged
    assert done.loss_final <= 1e-20 * done.loss_initial


@pytest.mark.parametrize("activation", ["relu", "softplus", "linear"])
def test_overflow_is_divergence_without_a_warning(plain: SimpleNamespace, activation: str) -> None:
    network, (X, y) = plain.start(activation, 3), plain.data()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        done = train(network, X, y, 1e200, 100, [1e-2])
    assert done.diverged
    assert done.steps < 100


@pytest.mark.parametrize(
    "value",
    [
        np.nan,
        np.inf,
        1e200,
    ],
)
def test_a_start_that_is_not_finite_is_divergence(plain: SimpleNamespace, value: float) -> None:
    network, (X, y) = plain.start("relu"), plain.data()
    y[0] = value
    done = train(network, X, y, 0.1, 100, [1e-2])
    assert done.diverged
    assert done.steps_to_tolerance == [np.inf]


def test_a_relu_that_raises_its_loss_while_it_falls_has_not_diverged(plain: SimpleNamespace) -> None:
    network, (X, y) = plain.start("relu", 1, "both", k=40), plain.data(10)
    eta = step_size(network, X, 1.9)
    losses = plain.descend(network, X, y, eta, 500).losses
    done = train(network, X, y, eta, 500, [1e-26], range(501))
    assert (np.diff(losses) > 0).any()
    assert (np.diff(done.curve) > 0).any()
    assert not done.diverged
    assert done.loss_final < 0.1 * done.loss_initial


@pytest.mark.parametrize("trained", TRAINED)
@pytest.mark.parametrize(("activation", "depth"), [("relu", 1), ("softplus", 1), ("tanh", 2)])
def test_both_sides_of_theorem_1_are_compared_at_every_step(
    plain: SimpleNamespace, activation: str, depth: int, trained: str
) -> None:
    network, (X, y) = plain.start(activation, depth, trained, k=30), plain.data(8)
    eta, alpha = step_size(network, X), 0.3
    for steps in (1, 2, 17, 60):
        truth = plain.descend(network, X, y, eta, steps)
        norms, t = np.sqrt(truth.losses), np.arange(steps + 1)
        rate = norms / ((1 - eta * alpha**2 / 4) ** t * norms[0])
        path = (alpha / 5 * truth.distances + norms) / norms[0]
        done = train(network.copy(), X, y, eta, steps, [1e-26], alpha=alpha)
        assert done.rate_ratio == pytest.approx(rate[1:].max(), rel=1e-9)
        assert done.path_ratio == pytest.approx(path[1:].max(), rel=1e-9)


def test_unwatched_sides_are_not_numbers(plain: SimpleNamespace) -> None:
    network, (X, y) = plain.start("relu"), plain.data()
    done = train(network, X, y, 0.01, 5, [1e-9])
    assert np.isnan(done.rate_ratio)
    assert np.isnan(done.path_ratio)


@pytest.mark.parametrize("activation", ["relu", "leaky_relu", "linear"])
@pytest.mark.parametrize("factor", [2.0, 1e-3, 7.3])
def test_homogeneous_units_can_be_scaled_between_their_layers(
    plain: SimpleNamespace, activation: str, factor: float
) -> None:
    network, (X, _) = plain.start(activation, trained="input"), plain.data()
    scaled = Network(activation, factor * network.W, network.hidden, network.v / factor, "input")
    np.testing.assert_allclose(scaled.outputs(X), network.outputs(X), rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(
        scaled.tangent_kernel(X), network.tangent_kernel(X) / factor**2, rtol=1e-12
    )


@pytest.mark.parametrize("trained", TRAINED)
@pytest.mark.parametrize("activation", ["relu", "softplus", "gelu"])
def test_a_rotation_of_inputs_and_weights_changes_nothing(
    plain: SimpleNamespace, activation: str, trained: str
) -> None:
    network, (X, y) = plain.start(activation, 2, trained, d=5), plain.data(12, 5)
    Q = np.linalg.qr(np.random.default_rng(3).standard_normal((5, 5)))[0]
    eta = step_size(network, X, 0.3)  # larger steps swing, and amplify rounding
    turned = Network(activation, network.W @ Q, network.hidden.copy(), network.v.copy(), trained)
    one = train(network, X, y, eta, 60, [1e-20], range(61))
    two = train(turned, X @ Q, y, eta, 60, [1e-20], range(61))
    np.testing.assert_allclose(one.curve, two.curve, rtol=1e-9)
    np.testing.assert_allclose(network.W @ Q, turned.W, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("trained", ["input", "both"])
def test_equal_units_stay_equal(plain: SimpleNamespace, trained: str) -> None:
    network, (X, y) = plain.start("tanh", 1, trained), plain.data()
    network.W[1], network.v[1] = network.W[0], network.v[0]
    train(network, X, y, step_size(network, X), 50, [1e-20])
    np.testing.assert_array_equal(network.W[0], network.W[1])
    assert network.v[0] == network.v[1]


def outcome(done: Training, network: Network) -> bytes:
    numbers = [
        done.steps_to_tolerance,
        done.curve,
        [done.steps, done.loss_initial, done.loss_final, done.distance],
        [done.diverged, done.rate_ratio, done.path_ratio, done.last_ratio],
        weights(network),
    ]
    return b"".join(np.asarray(part, dtype=np.float64).tobytes() for part in numbers)


def shifted(array: np.ndarray, by: int) -> np.ndarray:
    """The same numbers elsewhere in memory, `by` numbers beside where they would be aligned."""
    room = np.empty(array.size + 8)[by : by + array.size]
    room[:] = array.ravel()
    return room.reshape(array.shape)


@pytest.mark.parametrize("trained", TRAINED)
@pytest.mark.parametrize(("activation", "depth"), [("relu", 1), ("softplus", 2), ("gelu", 3)])
def test_bits_depend_on_nothing_but_the_numbers(
    plain: SimpleNamespace, activation: str, depth: int, trained: str
) -> None:
    """Twice, after other runs, and wherever in memory the numbers lie."""
    network, (X, y) = plain.start(activation, depth, trained, k=33, d=7), plain.data(51, 7)
    eta = step_size(network, X)

    def run(by: int = 0) -> bytes:
        moving = Network(
            activation,
            shifted(network.W, by),
            shifted(network.hidden, by),
            shifted(network.v, by),
            trained,
        )
        done = train(moving, shifted(X, by), shifted(y, by), eta, 40, [1e-20], range(41), alpha=0.1)
        return outcome(done, moving)

    once = run()
    for other in ("tanh", "linear"):
        beside, (X2, y2) = plain.start(other, 2, k=17, d=2), plain.data(23, 2)
        train(beside, X2, y2, 0.01, 20, [1e-9])
    assert run() == once
    assert all(run(by) == once for by in (1, 2, 3, 5))


def test_the_order_of_samples_changes_rounding_alone(plain: SimpleNamespace) -> None:
    network, (X, y) = plain.start("relu", 1, "both", k=20), plain.data(30)
    order = np.random.default_rng(5).permutation(30)
    eta, other = step_size(network, X), network.copy()
    one = train(network, X, y, eta, 50, [1e-20], range(51))
    two = train(other, X[order], y[order], eta, 50, [1e-20], range(51))
    np.testing.assert_allclose(one.curve, two.curve, rtol=1e-9)
