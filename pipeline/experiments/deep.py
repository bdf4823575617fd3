"""Depth: conditioning of the last layer's features, and descent, with L hidden layers of width k.

The kernel of L layers follows by recursion: the features of a layer, scaled by the variance 2/k of the
weights above it, are the inputs of the next.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from pipeline.descent.architecture import TRAINED
from pipeline.experiments import input as input_layer
from pipeline.experiments.base import (
    DEFAULTS,
    FIRST_WITH_ALPHA_ERRORS,
    FLOAT,
    SeedResult,
    SeedTrial,
    Variable,
    WidthResult,
    blank,
    visit_widths,
)
from pipeline.experiments.start import fresh_set, initial_network, labels, with_constant
from pipeline.experiments.training import MEASURED, TRAINING, descend_width
from pipeline.experiments.training_cost import descent_memory, descent_seconds
from pipeline.numerics.random_features import descending_singular_values
from pipeline.sweep import Cell, Descent
from pipeline.theory.degenerate import alpha_error
from pipeline.theory.kernels import (
    alpha_from_eigenvalues,
    deep_kernel,
    kernel_eigenvalues,
    resolved_eigenvalues,
)
from pipeline.theory.marchenko_pastur import left_edge

__all__ = ["EXPERIMENT"]

VARIABLES = (
    *TRAINING,
    Variable(
        "sigma_min",
        ("width",),
        "n-th largest singular value of the last features at the start",
        below="sigma_max",
    ),
    Variable("sigma_max", ("width",), "largest singular value of the last features at the start"),
    Variable("kernel_alpha", ("width",), "root of the least eigenvalue of the kernel of L layers"),
    Variable(
        "kernel_alpha_error",
        ("width",),
        "bound on the error of kernel_alpha; 0: it is exactly 0, by the rows themselves",
        since=FIRST_WITH_ALPHA_ERRORS,
    ),
    Variable("edge", ("width",), "predicted smallest eigenvalue of Phi^T Phi / k, from that kernel"),
)

OF_KERNEL = ("W_law", "W_scale", "bias_scale", "hidden_scale")
"""Settings of the start for whose defaults alone the kernel is that of the network."""


def _run_seed(trial: SeedTrial) -> SeedResult:
    X = trial.inputs()
    y, test = labels(trial, X), fresh_set(trial)
    cell = trial.cell
    eigenvalues = kernel_eigenvalues(deep_kernel(X, cell.activation, cell.depth))
    error = np.nan
    if trial.has_exact_zeros:
        resolved = resolved_eigenvalues(eigenvalues, X, cell.activation, cell.depth)
        error = alpha_error(resolved, X, cell.activation, cell.depth)
        eigenvalues = resolved.values

    def one_width(index: int, k: int) -> WidthResult:
        found = descend_width(trial, X, y, k, test)[0]
        network = initial_network(trial, k)
        start = _conditioning(network.features(with_constant(X, network)), eigenvalues)
        start["kernel_alpha"] = alpha_from_eigenvalues(eigenvalues, resolved=trial.has_exact_zeros)
        start["kernel_alpha_error"] = error
        given = trial.training(k)
        if any(given[name] != DEFAULTS[name] for name in OF_KERNEL):
            start |= dict.fromkeys(("edge", "kernel_alpha", "kernel_alpha_error"), np.nan)
        return replace(found, values={**found.values, **start})

    return visit_widths(trial, blank(trial, (*VARIABLES, *MEASURED)), one_width)


def _conditioning(Phi: NDArray[np.float64], eigenvalues: NDArray[np.float64]) -> dict[str, float]:
    sigma = descending_singular_values(Phi)
    return {
        "sigma_min": float(sigma[-1]),
        "sigma_max": float(sigma[0]),
        "edge": float(left_edge(eigenvalues, len(Phi))),
    }


def _seconds(cell: Cell, descent: Descent | None) -> float:
    singular = sum(3e-4 + 1.8e-10 * k * cell.n * min(k, cell.n) for k in cell.widths)
    return descent_seconds(cell, descent) + singular + cell.depth * 1e-9 * cell.n**3


def _memory(cell: Cell, descent: Descent | None) -> float:
    """Estimate the memory: that of the descent, or of the kernel of L layers."""
    return max(descent_memory(cell, descent), FLOAT * 6.0 * cell.n**2)


EXPERIMENT = replace(
    input_layer.EXPERIMENT,
    variables=VARIABLES,
    run_seed=_run_seed,
    seconds=_seconds,
    memory=_memory,
    options={"trained": ("both", *(name for name in TRAINED if name != "both")), "depth": ()},
)
