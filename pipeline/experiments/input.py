"""Descent on the input layer: how wide until gradient descent on W reaches a tolerance in its budget?

The threshold depends on tolerance and budget. Therefore the first step that meets each tolerance is
stored, and both are chosen at analysis time.
"""

from __future__ import annotations

from pipeline.descent.dispatch import DERIVATIVES
from pipeline.experiments.base import Experiment, SeedResult, SeedTrial, blank, visit_widths
from pipeline.experiments.start import fresh_set, labels
from pipeline.experiments.training import MEASURED, TRAINING, descend_width
from pipeline.experiments.training_cost import descent_memory, descent_seconds

__all__ = ["EXPERIMENT"]


def _run_seed(trial: SeedTrial) -> SeedResult:
    """Train the networks of all widths of one seed on its labels."""
    X = trial.inputs()
    y, test = labels(trial, X), fresh_set(trial)
    return visit_widths(
        trial,
        blank(trial, (*TRAINING, *MEASURED)),
        lambda index, k: descend_width(trial, X, y, k, test)[0],
    )


EXPERIMENT = Experiment(
    TRAINING,
    _run_seed,
    descent_seconds,
    descent_memory,
    independent=True,
    descends=True,
    continues=True,
    balanced=True,
    options={"trained": ("input",)},
    activations=tuple(DERIVATIVES),
    why_fixed="",
    measured=MEASURED,
)
