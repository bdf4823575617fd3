"""The linearised theory: the least eigenvalue of the neural tangent kernel at the start.

Descent on the linearised network reaches zero loss on all labels if and only if J0 J0^T is regular. Its
least eigenvalue is stored at every width, beside that of its expectation, the population kernel, and
beside the prediction of random matrix theory (`theory.tangent`). Success, such as half of the
population value, is decided at analysis time. W has N(0, 1) entries and v = +-1/sqrt(k), as in `input`
and `joint` without further settings: trials of equal entropy, d, n, k and seed have the same network.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.descent.architecture import TRAINED, parameter_count
from pipeline.descent.dispatch import DERIVATIVES
from pipeline.descent.tangent import TangentKernels
from pipeline.experiments.base import (
    FLOAT,
    Experiment,
    SeedResult,
    SeedTrial,
    Variable,
    WidthResult,
    blank,
    visit_widths,
)
from pipeline.numerics.activations import ACTIVATIONS
from pipeline.numerics.lanczos import smallest_eigenvalue
from pipeline.sweep import Cell, Descent
from pipeline.theory.kernels import kernel_eigenvalues, kernel_matrix
from pipeline.theory.marchenko_pastur import left_edge
from pipeline.theory.tangent import both_edge, input_kernel

__all__ = ["EXPERIMENT"]

Array = NDArray[np.float64]

SHARE = 0.5
"""The share of the edge that is guessed to lie below the least eigenvalue."""

VARIABLES = (
    Variable("ntk_min", ("width",), "least eigenvalue of the empirical NTK J0 J0^T", below="ntk_max"),
    Variable("ntk_max", ("width",), "largest eigenvalue of the empirical NTK J0 J0^T"),
    Variable(
        "ntk_population",
        ("width",),
        "least eigenvalue of E J0 J0^T, the NTK of infinitely many units; 0: cannot be told from 0",
    ),
    Variable("ntk_edge", ("width",), "predicted least eigenvalue of J0 J0^T (left edge)"),
)


def _run_seed(trial: SeedTrial) -> SeedResult:
    X, cell = trial.inputs(), trial.cell
    result = blank(trial, VARIABLES)
    widths = np.array(trial.widths)
    population, edges = _population_and_edges(X, cell.activation, cell.trained, widths)
    result.values["ntk_population"][:] = population
    result.values["ntk_edge"][:] = edges
    kernels: TangentKernels | None = None

    def one_width(index: int, k: int) -> WidthResult:
        nonlocal kernels
        if kernels is None or not trial.nested:
            kernels = TangentKernels(X, cell.activation, trial.weights(k), cell.trained)
        least, largest = kernels.extremes(k, SHARE * float(edges[index]))
        return WidthResult({"ntk_min": max(least, 0.0), "ntk_max": largest})

    return visit_widths(trial, result, one_width)


def _population_and_edges(
    X: Array, activation: str, trained: str, widths: NDArray[np.int64]
) -> tuple[Array, Array]:
    """Return the least eigenvalue of E J0 J0^T and the predicted one of J0 J0^T, at every width."""
    d = X.shape[1]
    if trained == "input":
        values = kernel_eigenvalues(input_kernel(X, activation))
        return np.full(widths.shape, _least(values)), left_edge(values, widths * d)
    K = kernel_matrix(X, activation)
    if trained == "output":
        values = kernel_eigenvalues(K)
        return np.asarray(widths * _least(values), float), widths * left_edge(values, widths)
    tangent = input_kernel(X, activation)
    least = [_least_of_sum(K, tangent, int(k)) for k in widths]
    return np.array(least, dtype=np.float64), both_edge(K, tangent, widths, d, activation)


def _least(values: Array) -> float:
    """Return the least of ascending eigenvalues, or 0 if it cannot be told from 0."""
    rounding = len(values) * np.finfo(np.float64).eps * values[-1]
    return float(values[0]) if values[0] > rounding else 0.0


def _least_of_sum(K: Array, tangent: Array, k: int) -> float:
    """Return the least eigenvalue of k K + tangent."""
    total = np.asfortranarray(k * K + tangent)
    bound = len(K) * np.finfo(np.float64).eps * float(np.trace(total))
    found = smallest_eigenvalue(total.copy(order="F"))
    return found if found > bound else _least(kernel_eigenvalues(total))


def _seconds(cell: Cell, descent: Descent | None) -> float:
    """Estimate the time of one seed: population kernels, growing sums, two eigenvalues per width."""
    n, widths = cell.n, cell.widths
    derivative = ACTIVATIONS[cell.activation].derivative
    assert derivative is not None  # the experiment admits no other activation
    start = 1e-3 + 3e-8 * n**2 + 9e-11 * n**3
    start += 3e-5 * n * (derivative.kernel is None)  # it is integrated
    grow = max(widths) * n * (2e-9 + derivative.seconds + 2.5e-11 * n + 1e-10 * cell.d)
    narrow = sum(parameter_count(k, cell.d, 1, cell.trained) < n for k in widths)
    per_width = 6e-5 + 3e-9 * n**2
    factored = 2e-5 + 5e-9 * n**2 + 1.2e-11 * n**3
    if cell.trained == "both":
        start += 1e-10 * n**3
        per_width += 1.1e-2 + 1.2e-5 * n + factored
    return start + grow + len(widths) * per_width + (len(widths) - narrow) * factored


def _memory(cell: Cell, descent: Descent | None) -> float:
    """Estimate the memory: matrices of shape (n, n)."""
    return FLOAT * cell.n * (7.0 * cell.n + 4000)


EXPERIMENT = Experiment(
    VARIABLES,
    _run_seed,
    _seconds,
    _memory,
    balanced=True,
    options={"trained": ("input", *(name for name in TRAINED if name != "input"))},
    activations=tuple(DERIVATIVES),
)
