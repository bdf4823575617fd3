"""Descent on the input layer: how wide until gradient descent on W reaches a tolerance in its budget?

The threshold moves with tolerance and budget, so the first step that meets each tolerance is kept,
and both are axes of the answer.
"""

from __future__ import annotations

from pipeline.descent.dispatch import DERIVATIVES
from pipeline.experiments.base import Experiment, SeedResult, SeedTrial, blank, visit_widths
from pipeline.experiments.training import TRAINING, descend_width, descent_seconds

__all__ = ["EXPERIMENT", "run_training"]


def run_training(trial: SeedTrial) -> SeedResult:
    """Train the networks of all widths of one seed on random signs."""
    X, y = trial.inputs(), trial.signs()
    return visit_widths(
        trial, blank(trial, TRAINING), lambda place, k: descend_width(trial, X, y, k)[0]
    )


EXPERIMENT = Experiment(
    TRAINING,
    run_training,
    descent_seconds,
    independent=True,
    descends=True,
    balanced=True,
    options={"trained": ("input",)},
    activations=tuple(DERIVATIVES),
)
