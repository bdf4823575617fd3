"""The cost of trials that train networks: the time of a step, the number of steps, and the memory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.descent.architecture import parameter_count
from pipeline.experiments.base import DEFAULTS, FLOAT, training_at
from pipeline.numerics.activations import ACTIVATIONS
from pipeline.sweep import Cell, Descent

__all__ = [
    "PER_STEP",
    "checkpoint_bytes",
    "descent_memory",
    "descent_seconds",
    "expected_steps",
    "loop_seconds",
    "step_seconds",
    "width_seconds",
]

PER_STEP, PER_FLOP, PER_KEPT = 6e-7, 4e-11, 1.5e-9
"""Measured seconds: of a step, of one floating point operation, and of storing one phi, which training
v needs. The time of phi and phi' themselves is in the record of the activation."""

PER_UNIT, PER_WEIGHT, PER_EXP = 2e-7, 1e-9, 2e-8
"""Likewise: of a unit in a step of few samples, of a weight that Adam moves, of a logistic loss."""

HEADER_BYTES = 256
"""Bytes of a checkpoint beside its numbers, at most."""

SINGLE = 0.6
"""Time of a step in float32, relative to float64."""

FEWEST = 100.0
"""The fewest steps of an estimate: the fit has no cells that take fewer."""


def step_seconds(cell: Cell, k: int, samples: int | None = None) -> float:
    """Estimate the time of one step on one core; of all samples if None."""
    n = cell.n if samples is None else samples
    flops = 4.0 * n * k * cell.d + 6.0 * (cell.depth - 1) * n * k * k
    derivative = ACTIVATIONS[cell.activation].derivative
    assert derivative is not None
    per_unit = derivative.seconds + (PER_KEPT if cell.trained == "both" else 0.0)
    return PER_STEP + PER_FLOP * flops + cell.depth * n * k * per_unit


def loop_seconds(cell: Cell, k: int, given: Mapping[str, Any]) -> float:
    """Estimate the time of one step with settings of training.

    With batches, half a step of all samples comes once an epoch: their loss.
    """
    batch = min(given["batch"], cell.n)
    seconds = step_seconds(cell, k, batch)
    if batch < cell.n:
        epoch = -(-cell.n // batch)
        seconds += cell.depth * k * PER_UNIT + step_seconds(cell, k) / (2 * epoch)
    if given["descent_method"] == "adam":
        seconds += PER_WEIGHT * parameter_count(k, cell.d, cell.depth, cell.trained)
    if given["loss"] == "logistic":
        seconds += PER_EXP * batch
    return seconds * (SINGLE if given["precision"] == "float32" else 1.0)


UNFITTED = ("batch", "schedule", "loss", "absolute_step", "target_accuracy", "target_loss")
"""Settings with which the fit of the number of steps says nothing."""


def expected_steps(cell: Cell, k: int, descent: Descent, share: float = 1.0) -> float:
    """Estimate the steps of a trial on random signs, by a share of a fit to measured medians.

    Below one parameter per sample the whole budget is used. Above, the fit is to 1,600 arrivals at four
    tolerances, with n of 30 to 400 and d of 5 to 40, censored ones included: the steps grow with n and
    fall with d, also at a fixed n / d. The tail of the loss falls like a power of the step. If v is
    trained too, its large eigenvalue makes the steps of one hidden layer shorter.
    """
    ratio = parameter_count(k, cell.d, cell.depth, cell.trained) / cell.n
    budget = descent.budget(cell, k)
    if ratio < 1:
        return float(budget)
    size = (cell.n / 100) ** 1.3 * (10 / cell.d) ** 2.5
    tail = (1e-2 / descent.tolerances[-1]) ** 0.4
    both = 6.0 if cell.trained == "both" and cell.depth == 1 else 1.0
    return float(min(budget, max(FEWEST, 500 * both * size * tail * (1 + 4 / ratio**2)) * share))


def steps_by(cell: Cell, k: int, descent: Descent, given: Mapping[str, Any]) -> float:
    """Estimate the steps of a trial with settings of training.

    The fit stands for labels, a start and a momentum. With other settings trials seldom end early.
    """
    if any(given[name] != DEFAULTS[name] for name in UNFITTED):
        return float(descent.budget(cell, k))
    share = 1.0 if given["descent_method"] == "gd" else 1 - given["momentum"]
    return expected_steps(cell, k, descent, share)


def descent_seconds(cell: Cell, descent: Descent | None) -> float:
    """Estimate the time of all widths of one seed on one core."""
    assert descent is not None
    if descent.is_paper:
        return 1e-3 + sum(width_seconds(cell, k, expected_steps(cell, k, descent)) for k in cell.widths)
    return 1e-3 + sum(_seconds_by_settings(cell, k, descent) for k in cell.widths)


def _seconds_by_settings(cell: Cell, k: int, descent: Descent) -> float:
    """Estimate the time of one width with settings of training: v alone is trained by the loop, too."""
    given = training_at(cell, descent, k)
    features = 1e-9 * given["test_samples"] * k * cell.d
    steps = steps_by(cell, k, descent, given)
    return start_seconds(cell, k) + features + loop_seconds(cell, k, given) * steps


def descent_memory(cell: Cell, descent: Descent | None) -> float:
    """Estimate the memory of the widest network in bytes: its layers, its weights and the NTK."""
    n, k, layers = cell.n, max(cell.widths), cell.depth
    weights = k * cell.d + (layers - 1) * k**2
    test = training_at(cell, descent, k)["test_samples"]
    return FLOAT * (
        3.0 * n**2 + 3.0 * layers * k * n + 3.0 * weights + 2.0 * (n + test) * cell.d
        + 2.0 * layers * k * test
    )  # fmt: skip


def checkpoint_bytes(cell: Cell, k: int, descent: Descent) -> int:
    """Return the bytes of the checkpoint of a trial: its weights, and the state of its method.

    It has 13 single numbers: those of its progress, of its start, and its time.
    """
    given = training_at(cell, descent, k)
    weights = parameter_count(k, cell.d, cell.depth)
    vectors = 1 if given["descent_method"] == "gd" else 3
    order = cell.n if given["batch"] < cell.n else 0
    marks = 2 * len(descent.marks) + len(descent.tolerances)
    return HEADER_BYTES + FLOAT * (vectors * weights + order + marks + 13)


def width_seconds(cell: Cell, k: int, steps: float) -> float:
    """Estimate the time of one width of one seed that takes a given number of steps."""
    if cell.trained == "output":
        return start_seconds(cell, k) + 2e-4 + 3e-10 * cell.n * k * min(cell.n, k)
    return start_seconds(cell, k) + step_seconds(cell, k) * steps


def start_seconds(cell: Cell, k: int) -> float:
    """Estimate the time of the start of one width: its draws and its tangent kernel."""
    n = cell.n
    return 4e-4 + 4e-11 * (n**2 * (k + cell.d) * cell.depth) + 1.2e-10 * n**3
