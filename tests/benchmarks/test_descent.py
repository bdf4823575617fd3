"""One step of gradient descent against its floor, the two matrix products, and against autodiff.

`WIDTHLAW_BENCHMARK_DESCENT_SEEDS=8 python -m pytest -m benchmark -s tests/benchmarks` runs the whole
input-layer sweep.

The floor runs the same products, W X^T and its counterpart for the gradient, in the same BLAS. What is
compared is run in turn, many times, and every figure is the best of its runs: other work on the machine
then slows both sides, or neither.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable

import numba
import numpy as np
import pytest
import xarray as xr
from threadpoolctl import threadpool_limits

import pipeline
from pipeline.descent.dispatch import activate, code_of
from pipeline.descent.loop import train
from pipeline.descent.network import Network, balanced
from pipeline.sweep_files.load import bundled_sweeps, parse_sweep

SEEDS = int(os.environ.get("WIDTHLAW_BENCHMARK_DESCENT_SEEDS", "2"))
WORKERS = 2
REPEATS = 25


@numba.njit
def products(W, X_T, D, X, Z, G, times):
    for _ in range(times):
        np.dot(W, X_T, Z)
        np.dot(D, X, G)


def best_in_turn(*runs: Callable[[], float]) -> list[float]:
    """Best seconds of each of several runs, all of them in every round."""
    for run in runs:
        run()  # compile, and fill the caches
    return [
        min(seconds) for seconds in zip(*([run() for run in runs] for _ in range(REPEATS)), strict=True)
    ]


def problem(n: int, d: int, k: int) -> tuple[Network, np.ndarray, np.ndarray, float]:
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n, d))
    X /= np.linalg.norm(X, axis=1, keepdims=True)
    network = Network("relu", rng.standard_normal((k, d)), np.empty((0, k, k)), balanced(k))
    return network, X, rng.choice([-1.0, 1.0], n), 1 / network.tangent_extremes(X)[1]


def floor(n: int, d: int, k: int, steps: int) -> Callable[[], float]:
    """A run of the two matrix products alone, which gives its seconds a step."""
    rng = np.random.default_rng(1)
    W, X, D = (rng.standard_normal(shape) for shape in ((k, d), (n, d), (k, n)))
    arrays = (W, np.ascontiguousarray(X.T), D, X, np.empty((k, n)), np.empty((k, d)))

    def run() -> float:
        began = time.perf_counter()
        products(*arrays, steps)
        return (time.perf_counter() - began) / steps

    return run


def ours(n: int, d: int, k: int, steps: int) -> Callable[[], float]:
    """A run of descent as trials do it."""
    network, X, y, eta = problem(n, d, k)

    def run() -> float:
        moving = network.copy()
        began = time.perf_counter()
        taken = train(moving, X, y, eta, steps, [1e-26]).steps
        return (time.perf_counter() - began) / taken

    return run


@pytest.fixture(autouse=True)
def one_thread():
    with threadpool_limits(limits=1):
        yield


@pytest.mark.benchmark
@pytest.mark.parametrize(("n", "d", "k", "bound"), [(100, 10, 12, 2.5), (400, 20, 40, 2.0)])
def test_a_step_stays_near_its_two_matrix_products(n, d, k, bound) -> None:
    size = n, d, k, 4_000_000 // (n * k)
    step, products_alone = best_in_turn(ours(*size), floor(*size))
    print(f"\nn={n}, d={d}, k={k}: {step * 1e6:.2f} us a step, products {products_alone * 1e6:.2f} us")
    print(f"step / floor: {step / products_alone:.2f} (bound {bound})")
    assert step <= bound * products_alone


@numba.njit
def tanh_by_library(z, a):
    for i in range(z.size):
        a[i] = math.tanh(z[i])
        z[i] = (1 - a[i]) * (1 + a[i])


@numba.njit
def erf_by_library(z, a):
    for i in range(z.size):
        a[i] = math.erf(z[i])
        z[i] = 2 / math.sqrt(math.pi) * math.exp(-z[i] * z[i])


@numba.njit
def gelu_by_library(z, a):
    for i in range(z.size):
        below = 0.5 * math.erfc(-z[i] / math.sqrt(2.0))
        a[i] = z[i] * below
        z[i] = below + z[i] * math.exp(-z[i] * z[i] / 2) / math.sqrt(2 * math.pi)


@numba.njit
def rows_of(function, Z, z, a):
    for j in range(Z.shape[0]):
        z[:] = Z[j]
        function(z, a)


@numba.njit
def rows_of_ours(code, Z, z, a):
    for j in range(Z.shape[0]):
        z[:] = Z[j]
        activate(code, z, a)


@pytest.mark.benchmark
@pytest.mark.parametrize(
    ("name", "library", "bound"),
    [("tanh", tanh_by_library, 3.0), ("erf", erf_by_library, 2.0), ("gelu", gelu_by_library, 2.0)],
)
def test_smooth_activations_beat_the_scalar_library(name, library, bound) -> None:
    Z = np.random.default_rng(0).standard_normal((500, 400))
    room = np.empty(400), np.empty(400)

    def timed(run: Callable[..., None], *about: object) -> Callable[[], float]:
        def once() -> float:
            began = time.perf_counter()
            run(*about, Z, *room)
            return (time.perf_counter() - began) / Z.size

        return once

    vectors, scalars = best_in_turn(timed(rows_of_ours, code_of(name)), timed(rows_of, library))
    print(f"\n{name} and its slope: {vectors * 1e9:.1f} ns an element")
    print(f"library / ours: {scalars / vectors:.1f} (bound {bound})")
    assert scalars >= bound * vectors


@pytest.mark.benchmark
def test_a_step_beats_a_jitted_jax_loop() -> None:
    """JAX does the same job: it looks at the loss of every step and ends at a tolerance.

    The bound is out of reach of any descent whose products are BLAS's where these alone miss it.
    """
    jax = pytest.importorskip("jax")
    jax.config.update("jax_enable_x64", True)
    jnp = jax.numpy
    network, X, y, eta = problem(100, 10, 12)
    v, tolerances, steps = network.v, jnp.array([1e-2, 1e-4, 1e-26]), 5000

    def loss(W):
        return 0.5 * jnp.sum((v @ jax.nn.relu(W @ X.T) - y) ** 2)

    both, first = jax.value_and_grad(loss), loss(network.W)

    def goes_on(state):
        step, _, relative, _ = state
        return (step < steps) & (relative > tolerances[-1]) & (relative <= 1e6)

    def step_on(state):
        step, W, _, reached = state
        now, gradient = both(W)
        reached = jnp.where((now / first <= tolerances) & jnp.isinf(reached), step, reached)
        return step + 1, W - eta * gradient, now / first, reached

    descend = jax.jit(lambda W: jax.lax.while_loop(goes_on, step_on, (0, W, 1.0, jnp.full(3, jnp.inf))))

    def run() -> float:
        began = time.perf_counter()
        jax.block_until_ready(descend(network.W))
        return (time.perf_counter() - began) / steps

    size = 100, 10, 12, steps
    theirs, step, products_alone = best_in_turn(run, ours(*size), floor(*size))
    ratio, most = theirs / step, theirs / products_alone
    print(f"\nJAX {theirs * 1e6:.2f} us, ours {step * 1e6:.2f} us: {ratio:.1f} times (bound 2.5)")
    print(f"the matrix products alone would be {most:.1f} times faster than JAX")
    assert step < theirs
    if most < 2.5:
        pytest.xfail(f"{ratio:.1f} times faster, not 2.5; BLAS's products alone would be {most:.1f}")
    assert theirs >= 2.5 * step


@pytest.mark.benchmark
def test_a_step_beats_a_pytorch_autograd_loop() -> None:
    torch = pytest.importorskip("torch")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    network, X, y, eta = problem(100, 10, 12)
    inputs, labels, v = (torch.tensor(array) for array in (X, y, network.v))
    steps = 500

    def run() -> float:
        W = torch.tensor(network.W, requires_grad=True)
        optimiser = torch.optim.SGD([W], lr=eta)
        began = time.perf_counter()
        for _ in range(steps):
            optimiser.zero_grad()
            loss = 0.5 * ((torch.relu(inputs @ W.T) @ v - labels) ** 2).sum()
            loss.backward()
            optimiser.step()
        return (time.perf_counter() - began) / steps

    theirs, step = best_in_turn(run, ours(100, 10, 12, 5000))
    torch.set_num_threads(threads)
    ratio = theirs / step
    print(f"\nPyTorch {theirs * 1e6:.1f} us, ours {step * 1e6:.2f} us: {ratio:.0f} times (bound 40)")
    assert theirs >= 40 * step


def warm() -> None:
    """Import and compile what a trial needs: start-up, not efficiency."""
    import pipeline.execution.driver  # noqa: F401

    ours(4, 2, 2, 10)()


@pytest.mark.benchmark
def test_descents_of_unlike_length_fill_the_cores(tmp_path) -> None:
    text = bundled_sweeps()["input-layer"].read_text()
    seeds = next(line for line in text.splitlines() if line.startswith("seeds"))
    sweep = parse_sweep(text.replace(seeds, f"seeds = {SEEDS}"))
    with pipeline.local_client(WORKERS) as client:
        client.run(warm)
        began = time.perf_counter()
        pipeline.run(sweep, tmp_path / "a.zarr", client)
        wall = time.perf_counter() - began
    ds = xr.open_zarr(tmp_path / "a.zarr")
    numerics = float(ds.seconds.sum())
    efficiency = numerics / (wall * WORKERS)
    print(
        f"\n{sweep.trials} trials of {float(ds.seconds.min()):.3f} to {float(ds.seconds.max()):.2f} s"
    )
    print(f"in {wall:.1f} s on {WORKERS} workers: efficiency {efficiency:.3f} (bound 0.85)")
    print(f"estimated {ds.attrs['estimated_seconds']:.0f} core-seconds, took {numerics:.0f}")
    assert efficiency >= 0.75  # two seeds have the longer tail; the bound is that of the whole sweep
