"""Conditioning with functionals of the features: tr K (Phi^T Phi)^+, and errors of ridge regression.

All of them come from one singular value decomposition of a matrix with the singular values and the
right singular vectors of Phi, which keeps the digits that Phi^T Phi would lose. The singular values
themselves, and all draws, are those of conditioning without functionals, to the last bit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache, partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pipeline.experiments import conditioning
from pipeline.experiments.base import DEFAULTS, FLOAT, Experiment, SeedResult, SeedTrial, Variable
from pipeline.experiments.features import run_widths
from pipeline.functionals import Functionals
from pipeline.sweep import Cell, Descent

if TYPE_CHECKING:
    from pipeline.numerics.random_features import RandomFeatures

__all__ = ["with_functionals"]

Array = NDArray[np.float64]

TRACE = Variable("trace_kernel_pinv", ("width",), "tr K (Phi^T Phi)^+, K the population kernel")

TRAIN_ERROR = Variable(
    "ridge_train_error", ("width", "ridge"), "mean squared error of ridge regression on the samples"
)

TEST_ERROR = Variable(
    "ridge_test_error",
    ("width", "ridge"),
    "mean squared error of ridge regression on fresh samples, on labels without noise",
)


@lru_cache(maxsize=16)
def with_functionals(asked: Functionals) -> Experiment:
    """Return the experiment of conditioning that stores the functionals that are asked for."""
    plain = conditioning.EXPERIMENT
    variables = [*plain.variables, TRACE]
    if asked.ridge:
        variables += [TRAIN_ERROR, *([TEST_ERROR] if asked.test_samples else [])]
    return replace(
        plain,
        variables=tuple(variables),
        run_seed=partial(_run_seed, asked, tuple(variables)),
        seconds=partial(_seconds, asked),
        memory=partial(_memory, asked),
    )


def _run_seed(asked: Functionals, variables: tuple[Variable, ...], trial: SeedTrial) -> SeedResult:
    from pipeline.experiments.start import clean_labels, noisy_labels
    from pipeline.theory.kernels import kernel_matrix

    X = trial.inputs()
    K = kernel_matrix(X, trial.cell.activation)
    given = DEFAULTS | {
        "labels": asked.labels, "teacher_units": asked.units, "noise": asked.noise,
    }  # fmt: skip
    y = noisy_labels(trial, X, given) if asked.ridge else np.zeros(0)
    fresh = answers = None
    if asked.test_samples:
        fresh = trial.fresh_inputs(asked.test_samples)
        answers = clean_labels(trial, fresh, given, test=len(fresh))

    def measure(features: RandomFeatures, k: int, floor: float) -> Mapping[str, Array | float]:
        found: dict[str, Array | float] = dict(conditioning.extremes(features, k, floor))
        sigma, V = _right_vectors(features.condensed(k))
        found["trace_kernel_pinv"] = _trace(K, sigma, V)
        if asked.ridge:
            penalties = trial.n * np.array(asked.ridge)
            found["ridge_train_error"] = _train_error(sigma, V, y, penalties)
            if fresh is not None and answers is not None:
                coefficients = _dual(sigma, V, y, penalties)
                v = features.features(k) @ coefficients
                off = _outputs(trial, k, fresh, v) - answers[:, None]
                found["ridge_test_error"] = np.square(off).mean(axis=0)
        return found

    return run_widths(trial, variables, measure)


def _right_vectors(Phi: Array) -> tuple[Array, Array]:
    """Return the singular values that are not 0, and their right singular vectors, shape (n, rank)."""
    _, sigma, Vt = np.linalg.svd(Phi, full_matrices=False)
    known = sigma > Phi.shape[1] * np.finfo(np.float64).eps * sigma[0]
    return sigma[known], Vt[known].T


def _trace(K: Array, sigma: Array, V: Array) -> float:
    return float(np.sum(np.einsum("ij,ij->j", V, K @ V) / sigma**2))


def _train_error(sigma: Array, V: Array, y: Array, penalties: Array) -> Array:
    """Return ||Phi^T v - y||^2 / n for each penalty times n, shape (penalties,)."""
    along = V.T @ y
    beyond = float(np.sum((y - V @ along) ** 2))
    shrunk = penalties[:, None] / (sigma**2 + penalties[:, None])
    return np.asarray((np.square(shrunk * along).sum(axis=1) + beyond) / len(y))


def _dual(sigma: Array, V: Array, y: Array, penalties: Array) -> Array:
    """Return (Phi^T Phi + penalty)^-1 y in the range of Phi^T, (n, penalties): v is Phi times it."""
    return np.asarray(V @ ((V.T @ y)[:, None] / (sigma[:, None] ** 2 + penalties)))


def _outputs(trial: SeedTrial, k: int, X: Array, v: Array) -> Array:
    """Return the outputs at inputs X for each column of v, with the W of the features drawn again."""
    from pipeline.numerics.activations import apply

    W = trial.weights(k).standard_normal((k, X.shape[1]))
    return np.asarray(apply(trial.cell.activation, X @ W.T) @ v)


def _seconds(asked: Functionals, cell: Cell, descent: Descent | None) -> float:
    """Estimate the time: that of conditioning, its triangle, and a decomposition at every width."""
    n, widths = cell.n, cell.widths
    factored = 1.5e-10 * max(widths) * n**2
    per_width = sum(3e-4 + 5e-10 * min(k, n) * n * n for k in widths)
    tests = sum(k * asked.test_samples * (5e-9 + 1e-10 * cell.d) + 1e-8 * k * n for k in widths)
    more = tests if asked.test_samples else 0.0
    return conditioning.EXPERIMENT.seconds(cell, descent) + factored + per_width + more


def _memory(asked: Functionals, cell: Cell, descent: Descent | None) -> float:
    """Estimate the memory: that of conditioning, the decomposition, the features of both samples."""
    n, k = cell.n, max(cell.widths)
    both = k * (n + asked.test_samples + cell.d) if asked.test_samples else 0
    whole = FLOAT * (8.0 * n * n + 2.0 * both)
    return max(conditioning.EXPERIMENT.memory(cell, descent), whole) + FLOAT * n * n
