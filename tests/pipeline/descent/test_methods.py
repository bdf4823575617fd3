"""Methods, batches, schedules and losses: against loops written out in NumPy, and closed forms."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace

import numpy as np
import pytest

from pipeline.descent.loop import train
from pipeline.descent.methods import Method, train_by
from pipeline.descent.network import Network

LOSS = {
    "squared": lambda f, y: ((f - y) ** 2, f - y),
    "logistic": lambda f, y: (np.logaddexp(0, -y * f), -y / (1 + np.exp(y * f))),
    "squared_hinge": lambda f, y: (
        np.maximum(0, 1 - y * f) ** 2,
        -y * np.maximum(0, 1 - y * f),
    ),
}
"""What is reported, and the derivative of what is minimised, of each sample."""


def orders(n: int, seed: int) -> Iterator[list[int]]:
    """Orders of the samples, epoch by epoch, in whole numbers of Python."""
    state, order = seed, list(range(n))
    while True:
        for i in range(n - 1, 0, -1):
            state = (state + 0x9E3779B97F4A7C15) % 2**64
            z = state
            z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
            z = (z ^ (z >> 27)) * 0x94D049BB133111EB % 2**64
            z ^= z >> 31
            j = z % (i + 1)
            order[i], order[j] = order[j], order[i]
        yield list(order)


def gradient(plain: SimpleNamespace, network: Network, X: np.ndarray, y: np.ndarray, loss: str) -> list:
    """Derivatives of the summed loss in W, the other hidden layers, and v, by the chain rule."""
    matrices = [network.W, *network.hidden]
    features, slopes = [X.T], []
    for weights in matrices:
        z = weights @ features[-1]
        slopes.append(plain.slope[network.activation](z))
        features.append(plain.phi[network.activation](z))
    signal = LOSS[loss](network.scale * network.v @ features[-1], y)[1]
    to_v = network.scale * features[-1] @ signal
    back = network.scale * np.outer(network.v, signal) * slopes[-1]
    found = []
    for layer in range(len(matrices) - 1, -1, -1):
        found.insert(0, back @ features[layer].T)
        if layer:
            back = (matrices[layer].T @ back) * slopes[layer - 1]
    return [*found, to_v]


def factor(way: Method, step: int, steps: int) -> float:
    return {
        "constant": 1.0,
        "cosine": (1 + np.cos(np.pi * step / steps)) / 2,
        "1/t": way.decay / (way.decay + step),
    }[way.schedule]


def slow(
    plain: SimpleNamespace, start: Network, X: np.ndarray, y: np.ndarray, eta: float, steps: int,
    way: Method, seed: int,
) -> SimpleNamespace:  # fmt: skip
    """Train step by step; the losses and accuracies at the beginning of epochs and at the end."""
    network, n = start.copy(), len(y)
    batch = min(way.batch, n)
    epochs = orders(n, seed)
    parts = [network.W, *network.hidden, network.v]
    trained = [network.trains_hidden] * (len(parts) - 1) + [network.trains_output]
    m = [np.zeros_like(part) for part in parts]
    s = [np.zeros_like(part) for part in parts]
    path, chosen, order = [], [], []
    for step in range(steps + 1):
        if not chosen or step == steps:
            f = network.scale * plain.outputs(network, X)
            path.append((step, LOSS[way.loss](f, y)[0].sum(), np.mean((f >= 0) == (y >= 0))))
        if step == steps:
            break
        if not chosen:
            order = next(epochs) if batch < n else list(range(n))
            chosen = [order[at : at + batch] for at in range(0, n, batch)]
        rows = chosen.pop(0)
        rate = eta * factor(way, step, steps)
        for i, g in enumerate(gradient(plain, network, X[rows], y[rows], way.loss)):
            g = g * n / len(rows)
            if not trained[i]:
                continue
            if way.name == "adam":
                m[i] = way.beta1 * m[i] + (1 - way.beta1) * g
                s[i] = way.beta2 * s[i] + (1 - way.beta2) * g**2
                mean, square = (
                    m[i] / (1 - way.beta1 ** (step + 1)),
                    s[i] / (1 - way.beta2 ** (step + 1)),
                )
                parts[i] -= rate * mean / (np.sqrt(square) + way.epsilon)
            else:
                m[i] = way.momentum * m[i] + g
                ahead = {"gd": g, "momentum": m[i], "nesterov": g + way.momentum * m[i]}
                parts[i] -= rate * ahead[way.name]
    steps_seen, losses, accuracies = map(np.array, zip(*path, strict=True))
    return SimpleNamespace(network=network, steps=steps_seen, losses=losses, accuracies=accuracies)


WAYS = [
    Method("momentum", momentum=0.7),
    Method("nesterov", momentum=0.7),
    Method("adam", beta1=0.8, beta2=0.95),
    Method(schedule="cosine"),
    Method(schedule="1/t", decay=7),
    Method(loss="logistic"),
    Method(loss="squared_hinge"),
    Method(batch=5),
    Method(batch=1, loss="logistic"),
    Method("adam", batch=4, schedule="cosine", loss="squared_hinge"),
    Method("nesterov", batch=12),
]


@pytest.mark.parametrize("way", WAYS, ids=str)
@pytest.mark.parametrize(
    ("activation", "depth", "trained"),
    [("relu", 1, "input"), ("tanh", 1, "both"), ("softplus", 2, "both"), ("relu", 1, "output")],
)
def test_training_is_that_of_a_plain_loop(plain, way, activation, depth, trained) -> None:
    X, y = plain.data()
    start = plain.start(activation, depth, trained)
    start.scale = 0.6
    adam = way.name == "adam"
    eta = 0.01 if adam else 0.1 / start.tangent_extremes(X)[1]
    want = slow(plain, start, X, y, eta, 31, way, seed=2**63 + 5)
    moving = start.copy()
    tolerances = [want.losses[len(want.losses) // 2] / want.losses[0] * (1 + 1e-9), 1e-9]
    done = train_by(moving, X, y, eta, 31, tolerances, [0, 12, 31], way, seed=2**63 + 5, target=0.75)
    for name in ("W", "hidden", "v"):
        got, wanted = getattr(moving, name), getattr(want.network, name)
        np.testing.assert_allclose(got, wanted, rtol=1e-9, atol=1e-11)
    assert done.steps == 31
    assert done.loss_initial == pytest.approx(want.losses[0], rel=1e-12)
    assert done.loss_final == pytest.approx(want.losses[-1], rel=1e-9)
    assert done.accuracy == pytest.approx(want.accuracies[-1])
    assert done.rises == np.count_nonzero(np.diff(want.losses) > 0)
    at = [want.steps[want.steps >= mark][0] for mark in (0, 12, 31)]
    curve = want.losses[np.searchsorted(want.steps, at)] / want.losses[0]
    np.testing.assert_allclose(done.curve, curve, rtol=1e-9)
    for found, met in (
        (done.steps_to_tolerance[0], want.losses <= tolerances[0] * want.losses[0]),
        (done.steps_to_accuracy, want.accuracies >= 0.75),
    ):
        assert found == (want.steps[met.argmax()] if met.any() else np.inf)
    moves = [
        np.sum((getattr(moving, name) - getattr(start, name)) ** 2) for name in ("W", "hidden", "v")
    ]
    assert done.distance == pytest.approx(np.sqrt(sum(moves)), rel=1e-9)


@pytest.mark.parametrize("trained", ["input", "output", "both"])
@pytest.mark.parametrize("activation", ["relu", "gelu"])
def test_plain_settings_give_the_weights_of_the_fast_loop(plain, activation, trained) -> None:
    X, y = plain.data()
    one, two = plain.start(activation, 1, trained), plain.start(activation, 1, trained)
    eta = 1 / one.tangent_extremes(X)[1]
    first = train(one, X, y, eta, 200, [1e-3, 1e-20], [10])
    second = train_by(two, X, y, eta, 200, [1e-3, 1e-20], [10])
    np.testing.assert_allclose(two.W, one.W, rtol=1e-12)
    np.testing.assert_allclose(two.v, one.v, rtol=1e-12)
    np.testing.assert_array_equal(second.steps_to_tolerance, first.steps_to_tolerance)


def output_layer(plain: SimpleNamespace) -> tuple:
    """A network whose v alone is trained, its singular values, and r_0 in their basis."""
    X, y = plain.data(n=6)
    network = plain.start("tanh", 1, "output", k=9)
    _, sigma, right = np.linalg.svd(network.features(X), full_matrices=False)
    return network, X, y, sigma**2, right @ (network.outputs(X) - y)


def test_momentum_on_the_output_layer_follows_its_characteristic_roots(plain) -> None:
    """r_t = a p^t + b q^t along a mode, with p + q = 1 + beta - eta lambda and p q = beta."""
    network, X, y, lambdas, along = output_layer(plain)
    eta, beta, T = 0.9 / lambdas[0], 0.6, 40
    done = train_by(network, X, y, eta, T, [1e-26], method=Method("momentum", momentum=beta))
    total = 1 + beta - eta * lambdas
    root = np.sqrt((total**2 - 4 * beta).astype(complex))
    p, q = (total + root) / 2, (total - root) / 2
    b = (p - (1 - eta * lambdas)) / (p - q)
    r = along * ((1 - b) * p**T + b * q**T)
    assert done.loss_final == pytest.approx(np.sum(np.abs(r) ** 2), rel=1e-9)


@pytest.mark.parametrize("schedule", ["cosine", "1/t"])
def test_a_schedule_on_the_output_layer_is_a_product_over_its_steps(plain, schedule) -> None:
    network, X, y, lambdas, along = output_layer(plain)
    way, T, eta = Method(schedule=schedule, decay=10), 30, 0.8 / lambdas[0]
    done = train_by(network, X, y, eta, T, [1e-26], method=way)
    rates = np.array([eta * factor(way, t, T) for t in range(T)])
    r = along * np.prod(1 - np.outer(rates, lambdas), axis=0)
    assert done.loss_final == pytest.approx(r @ r, rel=1e-9)


def test_the_first_step_of_adam_moves_every_weight_by_eta(plain) -> None:
    X, y = plain.data()
    start = plain.start("tanh")
    moving = start.copy()
    train_by(moving, X, y, 1e-3, 1, [1e-9], method=Method("adam"))
    np.testing.assert_allclose(np.abs(moving.W - start.W), 1e-3, rtol=1e-4)
    np.testing.assert_allclose(np.abs(moving.v - start.v), 1e-3, rtol=1e-4)


def test_a_step_on_one_sample_of_a_linear_model_fits_it(plain) -> None:
    """Kaczmarz: on rows of equal norm, eta n = 1 / ||row||^2 projects onto one equation a step."""
    rows = np.linalg.qr(np.random.default_rng(3).standard_normal((6, 6)))[0]
    network = Network("linear", np.eye(6), np.empty((0, 6, 6)), np.ones(6), "output")
    y = np.arange(6.0)
    done = train_by(network, rows, y, 1 / 6, 6, [1e-20], method=Method(batch=1))
    assert done.steps_to_tolerance.tolist() == [6.0]  # orthogonal rows: one epoch fits all
    np.testing.assert_allclose(network.v, rows.T @ y, atol=1e-12)


def test_training_waits_for_the_accuracy_beyond_the_last_tolerance(plain) -> None:
    X, y = plain.data()
    start = plain.start("tanh", k=40)
    eta = 0.5 / start.tangent_extremes(X)[1]
    early = train_by(start.copy(), X, y, eta, 5000, [0.9])
    late = train_by(start.copy(), X, y, eta, 5000, [0.9], waits=True)
    assert early.accuracy < 1
    assert early.steps < late.steps == late.steps_to_accuracy
    assert late.accuracy == 1


def test_training_in_float32_follows_that_in_float64_to_its_rounding(plain) -> None:
    X, y = plain.data()
    start = plain.start("tanh", 2)
    eta = 0.3 / start.tangent_extremes(X)[1]
    one, two = start.copy(), start.copy()
    train_by(one, X, y, eta, 50, [1e-9], method=Method("momentum"))
    train_by(two, X, y, eta, 50, [1e-9], method=Method("momentum", dtype="float32"))
    apart = np.abs(two.W - one.W).max()
    assert 1e-9 < apart < 1e-4
    assert (two.W.astype(np.float32) == two.W).all()


def test_a_loss_that_leaves_all_bounds_is_divergence(plain) -> None:
    X, y = plain.data()
    network = plain.start("linear")
    done = train_by(network, X, y, 50.0, 1000, [1e-9], method=Method("momentum"))
    assert done.diverged
    assert done.steps < 1000
