"""The whole singular value spectrum of Phi (Figure 1, and how it moves with n, k and d).

All n singular values at every width, descending, exactly 0 beyond the k-th where k < n, next to
the eigenvalues of the population kernel from which the spectrum is predicted.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.experiments.features import (
    SHARED_VARIABLES,
    SeedResult,
    SeedTrial,
    Variable,
    kernel_seconds,
    run_widths,
)
from pipeline.spectrum import NestedFeatures, descending_singular_values

__all__ = ["UNIT_NORM", "VARIABLES", "run_seed", "seconds"]

VARIABLES: Sequence[Variable] = (
    *SHARED_VARIABLES,
    Variable("singular_values", ("width", "index"), "singular values of Phi, descending"),
)
UNIT_NORM = False


def run_seed(trial: SeedTrial, /) -> SeedResult:
    """Compute all singular values at all widths of one seed."""
    return run_widths(trial, VARIABLES, _spectrum)


def _spectrum(features: NestedFeatures, k: int, floor: float) -> dict[str, NDArray[np.float64] | float]:
    values = descending_singular_values(features.features(k))
    return {"singular_values": values, "sigma_max": values[0], "sigma_min": values[-1]}


def seconds(n: int, d: int, widths: Sequence[int], /) -> float:
    """Estimated time of one seed: one SVD per width."""
    svd = sum(3e-4 + 1.8e-10 * k * n * min(k, n) for k in widths)
    return kernel_seconds(n, widths) + svd
