"""Steps of training in float32 against float64, and against what BLAS itself gains: ratios of one run.

Everything is run in turn, many times, and every figure is the best of its runs, in CPU time.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numba
import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from pipeline.descent.methods import Method, train_by
from pipeline.descent.network import Network, balanced

REPEATS = 15

SIZES = [(100, 10, 12), (400, 20, 40), (1000, 50, 200)]
"""n, d and k."""


@numba.njit
def products(W, X_T, D, X, Z, G, times):
    for _ in range(times):
        np.dot(W, X_T, Z)
        np.dot(D, X, G)


def floor(n: int, d: int, k: int, steps: int, dtype: str) -> Callable[[], None]:
    """A run of the two matrix products of a step alone."""
    rng = np.random.default_rng(1)
    W, X, D = (rng.standard_normal(shape).astype(dtype) for shape in ((k, d), (n, d), (k, n)))
    arrays = (W, np.ascontiguousarray(X.T), D, X, np.empty((k, n), dtype), np.empty((k, d), dtype))
    return lambda: products(*arrays, steps)


def training(n: int, d: int, k: int, steps: int, dtype: str, activation: str) -> Callable[[], None]:
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n, d))
    X /= np.linalg.norm(X, axis=1, keepdims=True)
    start = Network(activation, rng.standard_normal((k, d)), np.empty((0, k, k)), balanced(k))
    y, eta = rng.choice([-1.0, 1.0], n), 0.1 / start.tangent_extremes(X)[1]
    way = Method(dtype=dtype)

    def run() -> None:
        assert train_by(start.copy(), X, y, eta, steps, [1e-26], method=way).steps == steps

    return run


def best_in_turn(*runs: Callable[[], None]) -> list[float]:
    """Best CPU seconds of each of several runs, all of them in every round."""
    for run in runs:
        run()  # compile, and fill the caches
    best = [np.inf] * len(runs)
    for _ in range(REPEATS):
        for place, run in enumerate(runs):
            began = time.process_time()
            run()
            best[place] = min(best[place], time.process_time() - began)
    return best


@pytest.mark.benchmark
@pytest.mark.parametrize("activation", ["relu", "tanh", "gelu"])
def test_float32_is_twice_as_fast_as_far_as_matrix_products_are(activation) -> None:
    with threadpool_limits(1):
        for n, d, k in SIZES:
            steps = max(30, 10**7 // (n * k * d))
            double, single, blas_double, blas_single = best_in_turn(
                training(n, d, k, steps, "float64", activation),
                training(n, d, k, steps, "float32", activation),
                floor(n, d, k, steps, "float64"),
                floor(n, d, k, steps, "float32"),
            )
            gain, possible = double / single, blas_double / blas_single
            print(f"{activation} n={n} d={d} k={k}: float64/float32 {gain:.2f}, BLAS {possible:.2f}")
            assert gain > 0.75 * possible
    assert gain > 1.7  # of the largest
