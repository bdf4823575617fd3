"""A network's Jacobian is that of finite differences, of JAX and of PyTorch, at every depth."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from pipeline.descent.architecture import TRAINED
from pipeline.descent.dispatch import DERIVATIVES
from pipeline.descent.network import Network, balanced

NAMES = tuple(DERIVATIVES)
SMOOTH = tuple(name for name in NAMES if DERIVATIVES[name].bend is not None)
DEPTHS = (1, 2, 3)


def columns(network: Network, parts: list[np.ndarray], n: int) -> np.ndarray:
    """Derivatives in W, hidden and v, kept where they are trained, side by side."""
    kept = (
        parts
        if network.trained == "both"
        else (parts[:-1] if network.trained == "input" else parts[-1:])
    )
    return np.concatenate([part.reshape(n, -1) for part in kept], axis=1)


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("activation", NAMES)
def test_outputs_and_features_are_those_of_plain_numpy(
    plain: SimpleNamespace, activation: str, depth: int
) -> None:
    network, (X, _) = plain.start(activation, depth), plain.data()
    np.testing.assert_allclose(network.outputs(X), plain.outputs(network, X), rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(network.v @ network.features(X), network.outputs(X), rtol=1e-15)


@pytest.mark.parametrize("trained", TRAINED)
@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("activation", SMOOTH)
def test_jacobian_equals_finite_differences(
    plain: SimpleNamespace, activation: str, depth: int, trained: str
) -> None:
    network, (X, _) = plain.start(activation, depth, trained, k=5), plain.data(6)
    h, p = 1e-5, network.parameters
    J = network.jacobian(X)
    assert J.shape == (6, p)
    for index in range(p):
        by = np.zeros(p)
        by[index] = h
        difference = (network.moved(by).outputs(X) - network.moved(-by).outputs(X)) / (2 * h)
        rtol = 1e-6 if activation == "cube" else 1e-7  # its third derivative grows with the depth
        np.testing.assert_allclose(J[:, index], difference, rtol=rtol, atol=3e-9)


def assert_equal_jacobians(
    plain: SimpleNamespace, derivatives: Callable[..., list[np.ndarray]]
) -> None:
    """Hold the Jacobian of every activation and depth against derivatives in W, hidden.., v."""
    for activation, depth in itertools.product(NAMES, DEPTHS):
        network, (X, _) = plain.start(activation, depth), plain.data()
        parts = derivatives(activation, network, X)
        for trained in TRAINED:
            network.trained = trained
            np.testing.assert_allclose(
                network.jacobian(X),
                columns(network, parts, len(X)),
                atol=1e-12,
                err_msg=f"{activation}, {depth} layers, {trained}",
            )


def test_jacobian_equals_that_of_pytorch(plain: SimpleNamespace) -> None:
    torch = pytest.importorskip("torch")
    F = torch.nn.functional
    phi = {
        "relu": F.relu,
        "leaky_relu": lambda z: F.leaky_relu(z, 0.01),
        "softplus": lambda z: F.softplus(z, threshold=1000),
        "tanh": torch.tanh,
        "erf": torch.erf,
        "gelu": F.gelu,
        "sigmoid": torch.sigmoid,
        "linear": lambda z: z,
        "elu": F.elu,
        "selu": F.selu,
        "gaussian": lambda z: torch.exp(-(z**2) / 2),
        "square": lambda z: z**2,
        "cube": lambda z: z**3,
        "hermite2": lambda z: (z**2 - 1) / 2**0.5,
        "hermite3": lambda z: (z**3 - 3 * z) / 6**0.5,
    }

    def derivatives(activation: str, network: Network, X: np.ndarray) -> list[np.ndarray]:
        weights = [
            torch.tensor(array, dtype=torch.float64, requires_grad=True)
            for array in (network.W, *network.hidden, network.v)
        ]
        below = torch.tensor(X.T)
        for matrix in weights[:-1]:
            below = phi[activation](matrix @ below)
        rows = [torch.autograd.grad(out, weights, retain_graph=True) for out in weights[-1] @ below]
        return [np.stack([row[index].numpy() for row in rows]) for index in range(len(weights))]

    assert_equal_jacobians(plain, derivatives)


def test_jacobian_equals_that_of_jax(plain: SimpleNamespace) -> None:
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

    def derivatives(activation: str, network: Network, X: np.ndarray) -> list[np.ndarray]:
        def outputs(W: Any, hidden: Any, v: Any) -> Any:
            below = phi[activation](W @ X.T)
            for matrix in hidden:
                below = phi[activation](matrix @ below)
            return v @ below

        with jax.enable_x64(True):
            weights = (network.W, list(network.hidden), network.v)
            W, hidden, v = jax.jacobian(outputs, (0, 1, 2))(*weights)
        return [np.asarray(part) for part in (W, *hidden, v)]

    assert_equal_jacobians(plain, derivatives)


@pytest.mark.parametrize("trained", TRAINED)
@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("activation", NAMES)
def test_tangent_kernel_is_the_gram_matrix_of_the_jacobian(
    plain: SimpleNamespace, activation: str, depth: int, trained: str
) -> None:
    network, (X, _) = plain.start(activation, depth, trained, k=20), plain.data()
    J = network.jacobian(X)
    np.testing.assert_allclose(network.tangent_kernel(X), J @ J.T, rtol=1e-12, atol=1e-12)
    least, largest = network.tangent_extremes(X)
    sigma = np.linalg.svd(J, compute_uv=False)
    assert least == pytest.approx(sigma[-1] ** 2, abs=1e-12 * largest)
    assert largest == pytest.approx(sigma[0] ** 2, rel=1e-12)


def test_fewer_parameters_than_samples_have_a_least_eigenvalue_of_zero(plain: SimpleNamespace) -> None:
    X, _ = plain.data(5)
    for seed in range(20):  # some of which rounding makes positive
        network = plain.start("softplus", 1, "output", k=4, seed=seed)
        assert network.parameters == 4
        assert network.tangent_extremes(X)[0] == 0.0


@pytest.mark.parametrize(("trained", "count"), [("output", 8), ("input", 152), ("both", 160)])
def test_parameters_count_what_is_trained(plain: SimpleNamespace, trained: str, count: int) -> None:
    network = plain.start("relu", 3, trained, k=8, d=3)
    assert network.parameters == count
    assert network.jacobian(plain.data()[0]).shape[1] == count


@pytest.mark.parametrize("trained", TRAINED)
def test_moved_moves_what_is_trained_and_leaves_the_first_network(
    plain: SimpleNamespace, trained: str
) -> None:
    network = plain.start("tanh", 2, trained)
    before = network.copy()
    by = np.arange(1.0, network.parameters + 1)
    moved = network.moved(by)
    gone = [moved.W - network.W, moved.hidden - network.hidden] if trained != "output" else []
    gone += [moved.v - network.v] if trained != "input" else []
    np.testing.assert_allclose(np.concatenate([part.ravel() for part in gone]), by, rtol=1e-12)
    for name in ("W", "hidden", "v"):
        np.testing.assert_array_equal(getattr(network, name), getattr(before, name))
        kept = (trained == "output") if name != "v" else (trained == "input")
        assert np.array_equal(getattr(moved, name), getattr(network, name)) == kept


def test_a_sample_at_which_no_unit_is_active_is_dead() -> None:
    W = np.array([[1.0, 0.0], [2.0, 1.0]])
    X = np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0], [0.0, 0.0]])
    relu = Network("relu", W, np.empty((0, 2, 2)), balanced(2))
    # 1 and 3 lie behind both units or on the border of one, 4 on both borders
    assert relu.dead_samples(X) == 3
    for smooth in ("leaky_relu", "softplus", "tanh", "gelu"):
        assert Network(smooth, W, np.empty((0, 2, 2)), balanced(2)).dead_samples(X) == 0


def test_depth_has_dead_samples_where_the_last_layer_is_silent() -> None:
    X = np.array([[1.0], [-1.0]])
    silent = Network("relu", np.array([[1.0], [-1.0]]), -np.ones((1, 2, 2)), balanced(2))
    assert silent.dead_samples(X) == 2
    assert (silent.jacobian(X) == 0).all()


def test_no_descent_moves_a_dead_sample() -> None:
    from pipeline.descent.loop import train

    W = np.array([[1.0, 0.0], [2.0, 1.0]])
    X = np.array([[-1.0, 0.0]])
    network = Network("relu", W.copy(), np.empty((0, 2, 2)), balanced(2), "both")
    done = train(network, X, np.ones(1), 0.1, 50, [1e-3])
    assert done.steps == 50
    assert done.distance == 0
    np.testing.assert_array_equal(network.W, W)


def test_balanced_weights_are_as_many_of_either_sign_and_of_norm_one() -> None:
    for k in (2, 4, 10, 1000):
        v = balanced(k)
        assert v.shape == (k,)
        assert v.sum() == 0
        np.testing.assert_allclose(np.abs(v), 1 / np.sqrt(k))
        assert np.linalg.norm(v) == pytest.approx(1)
    with pytest.raises(ValueError, match="even"):
        balanced(7)
