"""All widths of one seed: time of a trial beside an SVD per width, and beside BLAS and LAPACK alone.

The floor has no step of ours: at every width the products by BLAS and the factorisation by LAPACK, and
the eigenvalues of the kernel. CPU time is measured, the least of some rounds that take turns.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.linalg import blas, lapack
from threadpoolctl import threadpool_info, threadpool_limits

from pipeline.blocks import blocks
from pipeline.execution.compute import compute_block
from pipeline.numerics.random_features import PANEL
from pipeline.theory.kernels import kernel_eigenvalues

Array = NDArray[np.float64]

ROUNDS = 5
BOUNDS = {100: (2.5, 5.5), 200: (4.5, 3.0), 400: (7.5, 1.8), 800: (8.0, 1.6)}
"""By n: the least of script / widthlaw, and the most of widthlaw / floor."""


def seconds(run: Callable[[], object]) -> float:
    began = time.process_time()
    run()
    return time.process_time() - began


def script(X: Array, widths: list[int]) -> None:
    rng = np.random.default_rng(1)
    for k in widths:
        W = rng.standard_normal((k, X.shape[1]))
        np.linalg.svd(np.maximum(W @ X.T, 0), compute_uv=False)


def floor(features: Array, widths: list[int], kernel: Array) -> None:
    """Grow the Gram matrix by whole panels; at each width add the rest to a copy and factor it."""
    kernel_eigenvalues(kernel)
    n = features.shape[1]
    gram, work = np.zeros((n, n), order="F"), np.zeros((n, n), order="F")
    added = 0
    for k in widths:
        while added + PANEL <= k:
            add(gram, features[added : added + PANEL])
            added += PANEL
        np.copyto(work, gram)
        add(work, features[added:k])
        lapack.dpotrf(work, lower=1, clean=0, overwrite_a=1)


def add(gram: Array, rows: Array) -> None:
    if len(rows):
        blas.dsyrk(1.0, rows.T, beta=1.0, c=gram, lower=1, overwrite_c=1)


@pytest.mark.benchmark
@pytest.mark.parametrize("n", BOUNDS)
def test_a_trial_takes_little_more_than_blas_alone(make_sweep, n: int) -> None:
    sweep = make_sweep(
        d="[20]", n=f"[{n}]", width="{ k_per_n = { start = 1.1, stop = 4.0, num = 24 } }", seeds=1
    )
    (block,) = blocks(sweep, 24, 1)
    widths = list(sweep.k(20, n))
    rng = np.random.default_rng(1)
    X = rng.standard_normal((n, 20)) / np.sqrt(20)
    features = np.maximum(rng.standard_normal((widths[-1], 20)) @ X.T, 0)
    few = widths[:: 4 if n >= 400 else 1]  # an SVD takes long
    parts = {
        "widthlaw": (lambda: compute_block(sweep, block), len(widths)),
        "floor": (lambda: floor(features, widths, features.T @ features), len(widths)),
        "script": (lambda: script(X, few), len(few)),
    }
    with threadpool_limits(1, "blas"):
        compute_block(sweep, block)  # loops are compiled
        rounds = [{name: seconds(run) / of for name, (run, of) in parts.items()} for _ in range(ROUNDS)]
    best = {name: 1000 * min(row[name] for row in rounds) for name in parts}
    ours, least = best["widthlaw"], best["floor"]
    kernels = sorted({str(one.get("architecture")) for one in threadpool_info()})
    print(
        f"\nn = {n}: {ours:.3f} ms a trial; BLAS and LAPACK alone {least:.3f} ms, "
        f"script {best['script']:.3f} ms (kernels of {', '.join(kernels)})"
    )
    print(f"script / widthlaw {best['script'] / ours:.1f}, script / floor {best['script'] / least:.1f}")
    at_least, at_most = BOUNDS[n]
    assert best["script"] > at_least * ours
    assert ours < at_most * least
