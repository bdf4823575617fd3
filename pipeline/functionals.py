"""The functionals of random features that a sweep of conditioning asks for beside singular values.

Ridge regression fits labels y by v on the features: it minimises ||Phi^T v - y||^2 / n + ridge ||v||^2.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pipeline.axes import Axis, Kind

__all__ = ["LABELS", "RANDOM_LABELS", "RIDGE", "Functionals"]

RIDGE = Axis(
    "ridge", "", "penalty of ridge regression, in units of mean squared error", "1", Kind.INNER
)

LABELS = ("signs", "gaussian", "linear", "network")
"""Laws of the labels of ridge regression: those of training (`experiments.start`)."""

RANDOM_LABELS = ("signs", "gaussian")
"""Laws that tell nothing of fresh samples."""


@dataclass(frozen=True)
class Functionals:
    """The functionals that are stored; tr K (Phi^T Phi)^+ is always one of them.

    Attributes
    ----------
    ridge
        Penalties of ridge regression, ascending; () for no regression.
    labels
        One of `LABELS`.
    units
        Hidden units of the teacher `network`.
    noise
        Standard deviation of the noise on the labels of training.
    test_samples
        Fresh samples for the test error; 0 for none.
    """

    ridge: tuple[float, ...] = ()
    labels: str = "signs"
    units: int = 8
    noise: float = 0.0
    test_samples: int = 0

    @property
    def identity_fields(self) -> dict[str, Any]:
        """The fields that decide a stored value."""
        return {
            "ridge": list(self.ridge),
            "labels": self.labels,
            "units": self.units,
            "noise": self.noise,
            "test_samples": self.test_samples,
        }
