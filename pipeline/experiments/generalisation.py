"""Generalisation: does the gap between test and training loss scale as Gamma / sqrt(n)?

Labels come from a teacher, a network of the same kind with `TEACHER_UNITS` hidden units. Gamma is
||theta_T - theta_0||. Losses are squared errors, clipped at `CLIP`, averaged; the test set is fresh.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from pipeline.experiments import input as input_layer
from pipeline.experiments.base import (
    FLOAT,
    SeedResult,
    SeedTrial,
    Variable,
    WidthResult,
    blank,
    visit_widths,
)
from pipeline.experiments.training import TRAINING, descend_width
from pipeline.experiments.training_cost import descent_memory, width_seconds
from pipeline.numerics.activations import apply
from pipeline.numerics.datasets import KINDS, draw
from pipeline.numerics.streams import Role
from pipeline.sweep import Cell, Descent

__all__ = ["EXPERIMENT"]

Array = NDArray[np.float64]

TEACHER_UNITS, TEST_SAMPLES, CLIP = 8, 1998, 1.0

VARIABLES = (
    *TRAINING,
    Variable("train_loss", ("width",), f"mean squared error on the samples, clipped at {CLIP:g}"),
    Variable("test_loss", ("width",), f"mean squared error on fresh samples, clipped at {CLIP:g}"),
)


def _run_seed(trial: SeedTrial) -> SeedResult:
    cell = trial.cell
    X = trial.inputs()
    fresh = draw(cell.dataset, trial.stream(Role.TEST), _test_samples(cell), cell.d, cell.angle)
    y, answers = _teach(trial, X), _teach(trial, fresh)

    def one_width(index: int, k: int) -> WidthResult:
        found, network = descend_width(trial, X, y, k)
        losses = {
            "train_loss": _clipped(network.outputs(X) - y),
            "test_loss": _clipped(network.outputs(fresh) - answers),
        }
        return replace(found, values={**found.values, **losses})

    return visit_widths(trial, blank(trial, VARIABLES), one_width)


def _test_samples(cell: Cell) -> int:
    """Return the size of the test set: the largest that the kind of dataset can draw."""
    return TEST_SAMPLES - TEST_SAMPLES % KINDS[cell.dataset.kind].multiple


def _teach(trial: SeedTrial, X: Array) -> Array:
    """Return the teacher's labels, of order 1, shape (len(X),)."""
    rng = trial.stream(Role.TEACHER)
    W = rng.standard_normal((TEACHER_UNITS, trial.cell.d))
    signs = np.resize([1.0, -1.0], TEACHER_UNITS)
    return signs @ apply(trial.cell.activation, W @ X.T) / np.sqrt(TEACHER_UNITS)


def _clipped(error: Array) -> float:
    return float(np.minimum(error**2, CLIP).mean())


def _seconds(cell: Cell, descent: Descent | None) -> float:
    """Estimate the time of one seed.

    A teacher's labels are fitted in some hundreds of steps at every width: a fit to measured medians.
    """
    assert descent is not None
    steps = min(descent.steps, 12 * cell.n**0.6)
    return sum(width_seconds(cell, k, steps) + 4e-5 * k for k in cell.widths)


def _memory(cell: Cell, descent: Descent | None) -> float:
    """Estimate the memory: that of the descent, and the layer at the samples of the test."""
    return descent_memory(cell, descent) + FLOAT * TEST_SAMPLES * (2.0 * max(cell.widths) + cell.d)


EXPERIMENT = replace(
    input_layer.EXPERIMENT,
    variables=VARIABLES,
    run_seed=_run_seed,
    seconds=_seconds,
    memory=_memory,
    options={"trained": ("input", "both")},
    tests=True,
    draws_labels=True,
    measured=(),
    why_fixed="its teacher and its claim belong to gradient descent on the squared loss",
)
