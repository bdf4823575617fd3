"""Descent written out plainly in NumPy: what the compiled code is compared with."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from scipy import special

from pipeline.descent.network import Network

SELU = 1.0507009873554804934193349852946, 1.6732632423543772848170429916717

PHI = {
    "relu": lambda z: np.where(z > 0, z, 0.0),
    "leaky_relu": lambda z: np.where(z > 0, z, 0.01 * z),
    "softplus": lambda z: np.logaddexp(0.0, z),
    "tanh": np.tanh,
    "erf": special.erf,
    "gelu": lambda z: z * special.ndtr(z),
    "sigmoid": special.expit,
    "linear": lambda z: z,
    "elu": lambda z: np.where(z > 0, z, np.expm1(np.minimum(z, 0))),
    "selu": lambda z: SELU[0] * np.where(z > 0, z, SELU[1] * np.expm1(np.minimum(z, 0))),
    "gaussian": lambda z: np.exp(-(z**2) / 2),
    "square": np.square,
    "cube": lambda z: z**3,
    "hermite2": lambda z: (z**2 - 1) / np.sqrt(2),
    "hermite3": lambda z: (z**3 - 3 * z) / np.sqrt(6),
}

SLOPE = {
    "relu": lambda z: np.where(z > 0, 1.0, 0.0),
    "leaky_relu": lambda z: np.where(z > 0, 1.0, 0.01),
    "softplus": special.expit,
    "tanh": lambda z: 1 / np.cosh(z) ** 2,
    "erf": lambda z: 2 / np.sqrt(np.pi) * np.exp(-(z**2)),
    "gelu": lambda z: special.ndtr(z) + z * np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi),
    "sigmoid": lambda z: special.expit(z) * special.expit(-z),
    "linear": np.ones_like,
    "elu": lambda z: np.exp(np.minimum(z, 0)),
    "selu": lambda z: SELU[0] * np.where(z > 0, 1.0, SELU[1] * np.exp(np.minimum(z, 0))),
    "gaussian": lambda z: -z * np.exp(-(z**2) / 2),
    "square": lambda z: 2 * z,
    "cube": lambda z: 3 * z**2,
    "hermite2": lambda z: np.sqrt(2) * z,
    "hermite3": lambda z: np.sqrt(1.5) * (z**2 - 1),
}


def start(
    activation: str, depth: int = 1, trained: str = "both", k: int = 8, d: int = 3, seed: int = 0
) -> Network:
    """A network of random weights."""
    rng = np.random.default_rng([seed, depth, k, d])
    W = rng.standard_normal((k, d))
    hidden = rng.standard_normal((depth - 1, k, k)) * np.sqrt(2 / k)
    return Network(activation, W, hidden, rng.standard_normal(k) / np.sqrt(k), trained)


def data(n: int = 12, d: int = 3, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Inputs and labels of order 1."""
    rng = np.random.default_rng([seed, n, d])
    return rng.standard_normal((n, d)) / np.sqrt(d), rng.choice([-1.0, 1.0], n)


def outputs(network: Network, X: np.ndarray) -> np.ndarray:
    below = X.T
    for weights in (network.W, *network.hidden):
        below = PHI[network.activation](weights @ below)
    return network.v @ below


def one_step(network: Network, X: np.ndarray, y: np.ndarray, eta: float) -> Network:
    """theta - eta grad L by the chain rule."""
    matrices = [network.W, *network.hidden]
    features, slopes = [X.T], []
    for weights in matrices:
        z = weights @ features[-1]
        slopes.append(SLOPE[network.activation](z))
        features.append(PHI[network.activation](z))
    r = network.v @ features[-1] - y
    gradients = []
    signal = np.outer(network.v, r) * slopes[-1]
    for layer in range(len(matrices) - 1, -1, -1):
        gradients.insert(0, signal @ features[layer].T)
        if layer:
            signal = (matrices[layer].T @ signal) * slopes[layer - 1]
    W, hidden, v = network.W, network.hidden, network.v
    if network.trained != "output":
        W = W - eta * gradients[0]
        hidden = np.array([m - eta * g for m, g in zip(hidden, gradients[1:], strict=True)])
        hidden = hidden.reshape(network.hidden.shape)
    if network.trained != "input":
        v = v - eta * features[-1] @ r
    return Network(network.activation, W, hidden, v, network.trained)


def descend(network: Network, X: np.ndarray, y: np.ndarray, eta: float, steps: int) -> SimpleNamespace:
    """All networks on the way, the squared residuals, and the distances from the start."""
    path = [network.copy()]
    for _ in range(steps):
        path.append(one_step(path[-1], X, y, eta))
    losses = np.array([np.sum((outputs(at, X) - y) ** 2) for at in path])
    first = path[0]
    distances = np.array(
        [
            np.sqrt(
                np.sum((at.W - first.W) ** 2)
                + np.sum((at.hidden - first.hidden) ** 2)
                + np.sum((at.v - first.v) ** 2)
            )
            for at in path
        ]
    )
    return SimpleNamespace(path=path, losses=losses, distances=distances)


@pytest.fixture(scope="session")
def plain() -> SimpleNamespace:
    return SimpleNamespace(
        phi=PHI,
        slope=SLOPE,
        start=start,
        data=data,
        outputs=outputs,
        one_step=one_step,
        descend=descend,
    )
