"""One file per experiment: what it stores, what one seed of it computes, and what that costs.

An experiment is a module with four names:

``VARIABLES``
    The arrays it leaves, with dimensions beyond the cell's, meaning and units.
``UNIT_NORM``
    Whether its statement is about rows of unit norm only.
``run_seed(trial) -> SeedResult``
    All widths of one seed of one cell.
``seconds(n, d, widths) -> float``
    Estimated time of `run_seed` on one core.

A new experiment is such a file and a line in `EXPERIMENTS`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Protocol

from pipeline.experiments import conditioning, spectrum
from pipeline.experiments.features import SeedResult, SeedTrial, Variable

__all__ = ["EXPERIMENTS", "Experiment", "SeedResult", "SeedTrial", "Variable"]


class Experiment(Protocol):
    """The four names of an experiment's module."""

    VARIABLES: Sequence[Variable]
    UNIT_NORM: bool

    def run_seed(self, trial: SeedTrial, /) -> SeedResult:
        """Run all widths of one seed."""
        ...

    def seconds(self, n: int, d: int, widths: Sequence[int], /) -> float:
        """Estimate the time of `run_seed` on one core."""
        ...


EXPERIMENTS: Mapping[str, Experiment] = MappingProxyType(
    {
        "conditioning": conditioning,
        "spectrum": spectrum,
    }
)
