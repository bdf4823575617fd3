"""Feature conditioning (Theorem 2): when is sigma_min(Phi) / sqrt(k) at least alpha / 2?

The extreme singular values of Phi at every width, next to alpha and the parameter-free prediction of
the left edge. Success is decided at analysis time. Rows may have any norm; the theorem itself is about
rows of norm 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from pipeline.experiments.base import Experiment, SeedResult, SeedTrial
from pipeline.experiments.features import SHARED_VARIABLES, kernel_memory, kernel_seconds, run_widths
from pipeline.numerics.datasets import KINDS
from pipeline.sweep import Cell, Descent

if TYPE_CHECKING:
    from pipeline.numerics.random_features import RandomFeatures

__all__ = ["EXPERIMENT", "extremes", "gram_seconds"]


def _run_seed(trial: SeedTrial) -> SeedResult:
    return run_widths(trial, SHARED_VARIABLES, extremes)


def extremes(features: RandomFeatures, k: int, floor: float) -> Mapping[str, float]:
    """Return the extreme singular values at one width."""
    sigma_min, sigma_max = features.extremes(k, floor)
    return {"sigma_min": sigma_min, "sigma_max": sigma_max}


def gram_seconds(cell: Cell, descent: Descent | None = None) -> float:
    """Estimate the time of one seed: rows of Phi, growing Gram matrix, two eigenvalues per width.

    Rows that are nearly parallel or lie regularly make Phi so ill-conditioned that its triangle is
    needed too.
    """
    n, d, widths = cell.n, cell.d, cell.widths
    grow = max(widths) * n * (5e-9 + 1.9e-11 * n + 1e-10 * d)
    per_width = 5e-5 + 4e-9 * n**2 + 5.5e-12 * n**3
    if not KINDS[cell.dataset.kind].general:
        grow += 1.5e-10 * max(widths) * n**2
        per_width += 2e-4 + 1.5e-10 * n**3
    return kernel_seconds(cell) + grow + len(widths) * per_width


def _memory(cell: Cell, descent: Descent | None) -> float:
    """Estimate the memory: matrices of shape (n, n), of which the kernel needs the most."""
    return kernel_memory(cell)


EXPERIMENT = Experiment(SHARED_VARIABLES, _run_seed, gram_seconds, _memory)
