"""Feature conditioning (Theorem 2): when is sigma_min(Phi) / sqrt(k) at least alpha / 2?

For rows of unit norm, the extreme singular values of Phi at every width, next to alpha and the
parameter-free prediction of the left edge. Success is decided at analysis time.
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
from pipeline.spectrum import NestedFeatures

__all__ = ["UNIT_NORM", "VARIABLES", "run_seed", "seconds"]

VARIABLES: Sequence[Variable] = SHARED_VARIABLES
UNIT_NORM = True


def run_seed(trial: SeedTrial, /) -> SeedResult:
    """Compute sigma_min and sigma_max at all widths of one seed."""
    return run_widths(trial, VARIABLES, _extremes)


def _extremes(features: NestedFeatures, k: int, floor: float) -> dict[str, NDArray[np.float64] | float]:
    sigma_min, sigma_max = features.extremes(k, floor)
    return {"sigma_min": sigma_min, "sigma_max": sigma_max}


def seconds(n: int, d: int, widths: Sequence[int], /) -> float:
    """Estimated time of one seed: rows of Phi, growing Gram matrix, and two eigenvalues per width."""
    rows = max(widths)
    grow = rows * n * (3e-9 + 4e-11 * n + 1e-10 * d)
    per_width = 2e-4 + 5e-9 * n**2 + 6e-12 * n**3
    return kernel_seconds(n, widths) + grow + len(widths) * per_width
