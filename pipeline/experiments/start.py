"""The labels and the start of a trained network, as the tables [labels] and [start] say.

Without them: random signs, W with N(0, 1) entries, later layers N(0, 2/k), v = +-1/sqrt(k) in turn.
Each law has a stream of its own, so that changing one of them keeps the others' draws. Biases of the
first layer are a last column of W, whose input is the constant 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.descent.network import Network, balanced
from pipeline.experiments.base import SeedTrial
from pipeline.numerics.activations import apply
from pipeline.numerics.datasets import KINDS, file_labels
from pipeline.numerics.own_names import OwnName
from pipeline.numerics.streams import Role

__all__ = [
    "clean_labels",
    "fresh_set",
    "initial_network",
    "labels",
    "noisy_labels",
    "with_constant",
]

Array = NDArray[np.float64]


def labels(trial: SeedTrial, X: Array) -> Array:
    """Draw the labels of inputs: their law, then noise, then their signs if asked for, then flips."""
    return noisy_labels(trial, X, trial.training(trial.widths[0]))


def noisy_labels(trial: SeedTrial, X: Array, given: Mapping[str, Any]) -> Array:
    """Draw the labels of inputs by given settings of training."""
    y = clean_labels(trial, X, given)
    if given["noise"] > 0:
        y = y + given["noise"] * trial.stream(Role.NOISE).standard_normal(len(X))
    if given["classes"]:
        y = np.where(y >= 0, 1.0, -1.0)
    if given["flip"] > 0:
        y = np.where(trial.stream(Role.FLIP).random(len(X)) < given["flip"], -y, y)
    return y


def fresh_set(trial: SeedTrial) -> tuple[Array, Array] | None:
    """Draw the inputs of a test set, and labels without noise and flips; None if there is none."""
    given = trial.training(trial.widths[0])
    if not given["test_samples"]:
        return None
    X = trial.fresh_inputs(given["test_samples"])
    return X, clean_labels(trial, X, given, test=len(X))


def clean_labels(trial: SeedTrial, X: Array, given: Mapping[str, Any], test: int = 0) -> Array:
    """Draw labels without noise: random, of a file, or the outputs of a teacher, of order 1.

    `test` is the number of inputs if they are a test set.
    """
    teacher = trial.stream(Role.TEACHER)
    if isinstance(given["labels"], OwnName):
        return given["labels"].record(trial.stream(Role.LABELS), X)
    drawn = KINDS[trial.cell.dataset.kind].labels
    if drawn is not None:  # with the rows
        cell, role = trial.cell, Role.TEST if test else Role.DATA
        return drawn(cell.dataset, trial.stream(role), len(X), cell.d)
    match given["labels"]:
        case "shell":
            rng = trial.stream(Role.LABELS)
            return np.asarray(rng.choice([-1.0, 1.0], len(X)) * rng.uniform(1, 2, len(X)))
        case "gaussian":
            return trial.stream(Role.LABELS).standard_normal(len(X))
        case "file":
            return _of_file(trial, test, two=given["classes"])
        case "linear":
            return np.asarray(X @ teacher.standard_normal(X.shape[1]))
        case "network":
            units = given["teacher_units"]
            W = teacher.standard_normal((units, X.shape[1]))
            signs = np.resize([1.0, -1.0], units)
            return np.asarray(signs @ apply(trial.cell.activation, W @ X.T) / np.sqrt(units))
    return trial.stream(Role.LABELS).choice([-1.0, 1.0], len(X))  # a test set has another size


def _of_file(trial: SeedTrial, test: int, two: bool) -> Array:
    """Return the labels of the drawn rows; +1 and -1 for the larger and the smaller of two classes."""
    labels = trial.cell.dataset.labels
    assert labels is not None
    values = file_labels(labels)
    drawn = np.asarray(values[trial.drawn(test)])
    return np.where(drawn == values.max(), 1.0, -1.0) if two else drawn


def initial_network(trial: SeedTrial, k: int, trained: str | None = None) -> Network:
    """Draw the network of one width at its start."""
    cell, rng = trial.cell, trial.weights(k)
    hidden = trial.stream(Role.HIDDEN, k).standard_normal((cell.depth - 1, k, k)) * np.sqrt(2 / k)
    trained = trained or cell.trained
    if trial.descent is None or not trial.descent.settings:
        return Network(cell.activation, rng.standard_normal((k, cell.d)), hidden, balanced(k), trained)
    given = trial.training(k)
    hidden *= given["hidden_scale"]
    W = _input_weights(rng, k, cell.d, given["W_law"])
    factors = {"1": 1.0, "1/sqrt(k)": 1 / np.sqrt(k), "1/k": 1 / k}
    W = given["W_scale"] * W
    v, factor = _output_weights(trial, W, given), factors[given["output_scale"]]
    if given["bias_scale"]:
        biases = trial.stream(Role.BIAS, None if trial.nested else k).standard_normal(k)
        W = np.column_stack([W, given["bias_scale"] * biases])
    return Network(cell.activation, W, hidden, v, trained, factor)


def with_constant(X: Array, network: Network) -> Array:
    """Return inputs with the constant 1 beside them, if the network has biases."""
    if network.W.shape[1] == X.shape[1]:
        return X
    return np.column_stack([X, np.ones(len(X))])


def _input_weights(rng: np.random.Generator, k: int, d: int, law: str) -> Array:
    """Draw W, shape (k, d), before its scale."""
    match law:
        case "uniform":
            return rng.uniform(-1, 1, (k, d))
        case "orthogonal":
            return _orthogonal_rows(rng, k, d)
    W = rng.standard_normal((k, d))
    return W / np.linalg.norm(W, axis=1, keepdims=True) if law == "sphere" else W


def _orthogonal_rows(rng: np.random.Generator, k: int, d: int) -> Array:
    """Draw rows of norm 1, each d of them in turn a uniformly random orthogonal matrix."""
    Q, R = np.linalg.qr(rng.standard_normal((-(-k // d), d, d)))
    signs = np.where(np.diagonal(R, axis1=1, axis2=2) < 0, -1.0, 1.0)  # else Q is not uniform
    return np.ascontiguousarray((Q * signs[:, None, :]).reshape(-1, d)[:k])


def _output_weights(trial: SeedTrial, W: Array, given: Mapping[str, Any]) -> Array:
    """Draw v, of size 1 / sqrt(k) where the output has no factor, and of size 1 where it has one.

    The law `norm` has random signs, and sizes above the norms of the units' weights: by Exp(1).
    """
    k = len(W)
    one = 1 / np.sqrt(k) if given["output_scale"] == "1" else 1.0
    rng = trial.stream(Role.OUTPUT, None if trial.nested else k)
    match given["v_law"]:
        case "zero":
            return np.zeros(k)
        case "gaussian":
            return np.asarray(given["v_scale"] * one * rng.standard_normal(k))
        case "norm":
            drawn = rng.random((k, 2))  # unit by unit, so that narrower networks share theirs
            sizes = np.linalg.norm(W, axis=1) - np.log1p(-drawn[:, 0])
            return np.asarray(given["v_scale"] * one * np.where(drawn[:, 1] < 0.5, sizes, -sizes))
    signs = balanced(k) if one != 1.0 else np.resize([1.0, -1.0], k)
    return np.asarray(given["v_scale"] * signs)
