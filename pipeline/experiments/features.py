"""The common part of experiments on random features: one seed's data, kernel, weights and widths.

A seed draws X, computes the population kernel K and with it alpha and the predicted left edge at
every width, then visits the widths in increasing order.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pipeline.experiments.base import (
    FIRST_WITH_ALPHA_ERRORS,
    FLOAT,
    SeedResult,
    SeedTrial,
    Variable,
    WidthResult,
    blank,
    visit_widths,
)
from pipeline.numerics.datasets import KINDS
from pipeline.sweep import Cell

if TYPE_CHECKING:
    from pipeline.numerics.random_features import RandomFeatures

__all__ = ["SHARED_VARIABLES", "kernel_memory", "kernel_seconds", "run_widths"]

Array = NDArray[np.float64]

SHARE, SCALES = 0.9, 4.0
"""The guess at the smallest eigenvalue is the lower of two: this share of the edge, as the limit is
biased where n/d is large, and the edge less this many Tracy-Widom scales, as chance matters where n is
small. A guess that is too high costs a second factorisation, one that is too low costs steps. Measured
for n of 100 to 800."""


SHARED_VARIABLES = (
    Variable("sigma_min", ("width",), "n-th largest singular value of Phi", below="sigma_max"),
    Variable("sigma_max", ("width",), "largest singular value of Phi"),
    Variable("edge", ("width",), "predicted smallest eigenvalue of Phi^T Phi / k (left edge)"),
    Variable("alpha", (), "square root of the smallest eigenvalue of K (Assumption 4)"),
    Variable(
        "alpha_error",
        (),
        "bound on the error of alpha; 0: alpha is exactly 0, by the rows themselves",
        since=FIRST_WITH_ALPHA_ERRORS,
    ),
    Variable("kernel_eigenvalues", ("index",), "eigenvalues of the population kernel K, ascending"),
)


def run_widths(
    trial: SeedTrial,
    variables: Sequence[Variable],
    measure: Callable[[RandomFeatures, int, float], Mapping[str, Array | float]],
) -> SeedResult:
    """Run all widths of one seed.

    Parameters
    ----------
    trial
        The seed's coordinates.
    variables
        The variables of the experiment; `measure` and this function fill them.
    measure
        Function of (features, k, floor) that returns the values of one width. `floor` is a cautious
        guess at the smallest eigenvalue of Phi^T Phi / k.

    Returns
    -------
    SeedResult
    """
    from pipeline.numerics.random_features import RandomFeatures  # numba: only where trials run

    result = blank(trial, variables)
    X = trial.inputs()
    edges, scales = _set_kernel(trial, result, X)
    floors = np.clip(edges - SCALES * scales, 0, SHARE * edges).tolist()
    features: RandomFeatures | None = None

    def one_width(index: int, k: int) -> WidthResult:
        nonlocal features
        if features is None or not trial.nested:
            features = RandomFeatures(X, trial.cell.activation, trial.weights(k))
        return WidthResult(measure(features, k, floors[index]))

    return visit_widths(trial, result, one_width)


def _set_kernel(trial: SeedTrial, result: SeedResult, X: Array) -> tuple[Array, Array]:
    """Store alpha, the kernel's eigenvalues and the edge at every width; return edges and scales."""
    from pipeline.theory import kernels, marchenko_pastur
    from pipeline.theory.degenerate import alpha_error

    activation, resolved = trial.cell.activation, trial.has_exact_zeros
    K = kernels.kernel_matrix(X, activation)
    if not np.isfinite(K).all():
        raise FloatingPointError("the kernel is not finite: the inputs overflow in phi")
    eigenvalues = kernels.kernel_eigenvalues(K)
    if resolved:
        found = kernels.resolved_eigenvalues(eigenvalues, X, activation)
        result.values["alpha_error"][...] = alpha_error(found, X, activation)
        eigenvalues = found.values
    edges, scales = marchenko_pastur.edge_and_scale(eigenvalues, np.array(trial.widths))
    result.values["alpha"][...] = kernels.alpha_from_eigenvalues(eigenvalues, resolved=resolved)
    result.values["kernel_eigenvalues"][..., : len(K)] = eigenvalues
    result.values["edge"][:] = edges
    return edges, scales


def kernel_memory(cell: Cell) -> float:
    """Estimate the memory of the kernel K and of its eigenvalues, in bytes."""
    if KINDS[cell.dataset.kind].general:
        series = 6000 if _has_series(cell) else 0
        return FLOAT * cell.n * (6.5 * cell.n + 4000 + series)
    return FLOAT * cell.n * (31.0 * cell.n + 4000)


def kernel_seconds(cell: Cell) -> float:
    """Estimate the time of a seed's X, K, its eigenvalues and the edges.

    Rows that are nearly parallel or lie regularly make K so ill-conditioned that it is probably
    needed in double-double numbers.
    """
    n = cell.n
    seconds = 3e-4 + 2e-8 * n**2 + 6e-11 * n**3 + (1.2e-5 + 3e-8 * n) * len(cell.widths)
    if _has_series(cell):
        seconds += 8e-4 * n
    if KINDS[cell.dataset.kind].general:
        return seconds
    return seconds + _precise_seconds(cell)


def _has_series(cell: Cell) -> bool:
    """Return True if every row has a series of its own: phi has kinks, and rows have many norms."""
    from pipeline.numerics.activations import ACTIVATIONS  # with the compiler: only where it is needed

    return not KINDS[cell.dataset.kind].unit_norm and bool(ACTIVATIONS[cell.activation].kinks)


def _precise_seconds(cell: Cell) -> float:
    """Estimate the time of K in double-double numbers; 0 where n is too large for them."""
    from pipeline.numerics.activations import ACTIVATIONS  # with the compiler: only where it is needed
    from pipeline.theory.precise import LARGEST

    n = cell.n
    if n > LARGEST:
        return 0.0
    series = 0.0 if ACTIVATIONS[cell.activation].kernel else 4e-3 * n
    return 9e-7 * n**2 + 2e-9 * n**3 + series
