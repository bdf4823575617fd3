"""The whole singular value spectrum of Phi (Figure 1, and how it moves with n, k and d).

All n singular values at every width, descending, exactly 0 beyond the k-th where k < n, next to
the eigenvalues of the population kernel from which the spectrum is predicted.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pipeline.experiments.base import FLOAT, Experiment, SeedResult, SeedTrial, Variable
from pipeline.experiments.features import SHARED_VARIABLES, kernel_memory, kernel_seconds, run_widths
from pipeline.sweep import Cell, Descent

if TYPE_CHECKING:
    from pipeline.numerics.random_features import RandomFeatures

__all__ = ["EXPERIMENT"]

VARIABLES = (
    *SHARED_VARIABLES,
    Variable(
        "singular_values", ("width", "index"), "singular values of Phi, descending", below="sigma_max"
    ),
)


def _run_seed(trial: SeedTrial) -> SeedResult:
    return run_widths(trial, VARIABLES, _spectrum)


def _spectrum(
    features: RandomFeatures, k: int, floor: float
) -> Mapping[str, NDArray[np.float64] | float]:
    from pipeline.numerics.random_features import descending_singular_values

    values = descending_singular_values(features.features(k))
    return {"singular_values": values, "sigma_max": values[0], "sigma_min": values[-1]}


def _seconds(cell: Cell, descent: Descent | None) -> float:
    """Estimate the time: one SVD per width."""
    svd = sum(5e-4 + 2.2e-10 * k * cell.n * min(k, cell.n) for k in cell.widths)
    return kernel_seconds(cell) + svd


def _memory(cell: Cell, descent: Descent | None) -> float:
    """Estimate the memory: the rows of Phi, and their copy for the SVD."""
    return max(kernel_memory(cell), FLOAT * 2.3 * cell.n * max(cell.widths))


EXPERIMENT = Experiment(VARIABLES, _run_seed, _seconds, _memory)
