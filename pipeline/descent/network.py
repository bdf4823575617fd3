"""A network of L hidden layers of width k, f(x) = v^T phi(W_L ... phi(W_1 x)), and its Jacobian.

L = 1 is the paper's (3). A network knows which of its weights are trained, that is, what theta is:
`output` trains v, `input` all hidden weights, `both` everything. The order of the parameters is W, the
other hidden layers, v, each row by row.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pipeline.descent.architecture import parameter_count
from pipeline.descent.dispatch import activate, code_of
from pipeline.numerics.compiled import announced, entry

__all__ = ["Network", "balanced"]

Array = NDArray[np.float64]


def balanced(k: int) -> Array:
    """Return output weights +1/sqrt(k), -1/sqrt(k) in turn, half of either sign, shape (k,)."""
    if k % 2:
        raise ValueError(f"k: got {k}, expected an even width: half the weights of either sign")
    return np.resize([1.0, -1.0], k) / np.sqrt(k)


@dataclass
class Network:
    """The weights of a network, and the choice of those that are trained.

    Attributes
    ----------
    activation
        A key of `pipeline.descent.dispatch.DERIVATIVES`.
    W
        (k, d) weights of the first hidden layer.
    hidden
        (L - 1, k, k) weights of the others.
    v
        (k,) output weights.
    trained
        One of `pipeline.descent.architecture.TRAINED`.
    scale
        Factor of the outputs: f(x) = scale v^T phi(...).
    """

    activation: str
    W: Array
    hidden: Array
    v: Array
    trained: str = "input"
    scale: float = 1.0

    @property
    def trains_hidden(self) -> bool:
        """True if W and the other hidden layers are parameters."""
        return self.trained != "output"

    @property
    def trains_output(self) -> bool:
        """True if v is a parameter."""
        return self.trained != "input"

    @property
    def parameters(self) -> int:
        """Number of trained weights."""
        k, d = self.W.shape
        return parameter_count(k, d, 1 + len(self.hidden), self.trained)

    def outputs(self, X: Array) -> Array:
        """Return f(x_i), shape (n,)."""
        return self.scale * (self.v @ self.features(X))

    def features(self, X: Array) -> Array:
        """Return Phi of the last hidden layer, shape (k, n)."""
        return self._layers(X)[0][-1]

    def dead_samples(self, X: Array) -> int:
        """Count samples at which no unit of the last layer is active: descent cannot move them."""
        return int((self._layers(X)[1][-1] == 0).all(axis=0).sum())

    def copy(self) -> Network:
        """Return a network with weights of its own."""
        return replace(self, W=self.W.copy(), hidden=self.hidden.copy(), v=self.v.copy())

    def weights(self) -> Array:
        """Return a copy of all weights in one row: W, the other hidden layers, v."""
        return np.concatenate([self.W.ravel(), self.hidden.ravel(), self.v])

    def load(self, row: Array) -> None:
        """Overwrite all weights by those of a row, as `weights` returns it."""
        used = 0
        for array in (self.W, self.hidden, self.v):
            array[...] = row[used : used + array.size].reshape(array.shape)
            used += array.size

    def moved(self, by: Array) -> Network:
        """Return the network with its trained weights moved by a vector of shape (parameters,)."""
        other, used = self.copy(), 0
        weights = [
            *(["W", "hidden"] if self.trains_hidden else []),
            *(["v"] if self.trains_output else []),
        ]
        for name in weights:
            array = getattr(other, name)
            array += by[used : used + array.size].reshape(array.shape)
            used += array.size
        return other

    def jacobian(self, X: Array) -> Array:
        """Return J, the derivatives of the outputs in the trained weights, shape (n, parameters)."""
        features, signals = self._signals(X)
        n, blocks = len(X), []
        if self.trains_hidden:
            pairs = zip(signals, [X.T, *features[:-1]], strict=True)
            blocks += [np.einsum("ki,ji->ikj", signal, below).reshape(n, -1) for signal, below in pairs]
        if self.trains_output:
            blocks.append(self.scale * features[-1].T)
        return np.concatenate(blocks, axis=1)

    def tangent_kernel(self, X: Array) -> Array:
        """Return J J^T, the empirical neural tangent kernel, shape (n, n), without forming J."""
        features, signals = self._signals(X)
        K = np.zeros((len(X), len(X)))
        if self.trains_output:
            K = self.scale**2 * (features[-1].T @ features[-1])
        if self.trains_hidden:
            for signal, below in zip(signals, [X.T, *features[:-1]], strict=True):
                K += (signal.T @ signal) * (below.T @ below)
        return K

    def tangent_extremes(self, X: Array) -> tuple[float, float]:
        """Return the least and largest eigenvalue of J J^T; the least is 0 below n parameters."""
        values = np.linalg.eigvalsh(self.tangent_kernel(X))
        least = 0.0 if self.parameters < len(X) else max(float(values[0]), 0.0)
        return least, float(values[-1])

    def _layers(self, X: Array) -> tuple[list[Array], list[Array]]:
        """Return phi and phi' of every hidden layer, each (k, n)."""
        features: list[Array] = []
        slopes: list[Array] = []
        below = np.ascontiguousarray(X.T)
        for weights in (self.W, *self.hidden):
            slope = weights @ below
            below = np.empty_like(slope)
            _activate_all(code_of(self.activation), slope, below)
            slopes.append(slope)
            features.append(below)
        return features, slopes

    def _signals(self, X: Array) -> tuple[list[Array], list[Array]]:
        """Return the features, and the derivative of f in every pre-activation, (k, n) per layer."""
        features, slopes = self._layers(X)
        signal = (self.scale * self.v)[:, None] * slopes[-1]
        signals = [signal]
        for weights, slope in zip(self.hidden[::-1], slopes[-2::-1], strict=True):
            signal = (weights.T @ signal) * slope
            signals.insert(0, signal)
        return features, signals


@announced
@entry
def _activate_all(code, z, a):  # type: ignore[no-untyped-def]
    for unit in range(z.shape[0]):
        activate(code, z[unit], a[unit])
