"""Descent on the output layer from v0 = 0, exact after any number of steps (Section IV).

The loss comes from the singular values of Phi, so budgets of a million steps cost nothing. Below n
units the relative loss stays near 1 - k/n for random signs; above, descent tends to the
pseudo-inverse solution, the shortest one.
"""

from __future__ import annotations

import numpy as np

from pipeline.descent.closed_form import modes
from pipeline.experiments.base import (
    FLOAT,
    Experiment,
    SeedResult,
    SeedTrial,
    Variable,
    WidthResult,
    blank,
    visit_widths,
)
from pipeline.experiments.training import CURVE, DESCENT, output_layer_result
from pipeline.numerics.random_features import RandomFeatures
from pipeline.sweep import Cell, Descent

__all__ = ["EXPERIMENT"]

VARIABLES = (
    *DESCENT,
    Variable("sigma_min", ("width",), "n-th largest singular value of Phi", below="sigma_max"),
    Variable("sigma_max", ("width",), "largest singular value of Phi"),
    Variable("distance_ratio", ("width",), "||v_T|| / ||v_pseudo-inverse||"),
    Variable("solution_error", ("width",), "||v_T - v_pseudo-inverse|| / ||v_pseudo-inverse||"),
    CURVE,
)


def _run_seed(trial: SeedTrial) -> SeedResult:
    X, y = trial.inputs(), trial.signs()
    descent = trial.descent
    assert descent is not None

    def one_width(index: int, k: int) -> WidthResult:
        found = modes(RandomFeatures(X, trial.cell.activation, trial.weights(k)).features(k), -y)
        eta = descent.step_size / found.sigma[0] ** 2 if found.sigma.size else descent.step_size
        outcome = output_layer_result(found, descent, eta, whole=True)
        shortest = found.shortest or np.nan  # 0 where no v does better than v = 0
        more = {
            "sigma_min": found.sigma[-1] if found.sigma.size == trial.n else 0.0,
            "sigma_max": found.sigma[0] if found.sigma.size else 0.0,
            "distance_ratio": outcome.values["distance"] / shortest,
            "solution_error": found.left_to_go(descent.steps, eta) / shortest,
        }
        return WidthResult({**outcome.values, **more}, outcome.status)

    return visit_widths(trial, blank(trial, VARIABLES), one_width)


def _seconds(cell: Cell, descent: Descent | None) -> float:
    """Estimate the time: one SVD with vectors per width, and some dozens of evaluations of the loss."""
    per_width = (4e-3 + 3e-5 * cell.n + 9e-10 * k * cell.n * min(k, cell.n) for k in cell.widths)
    return 1e-3 + sum(per_width)


def _memory(cell: Cell, descent: Descent | None) -> float:
    """Estimate the memory: the rows of Phi, and its SVD with vectors."""
    n, k = cell.n, max(cell.widths)
    return FLOAT * (5.0 * k * n + 4.0 * min(k, n) ** 2)


EXPERIMENT = Experiment(
    VARIABLES,
    _run_seed,
    _seconds,
    _memory,
    independent=True,
    descends=True,
    why_fixed="its result is the closed form of full-batch descent from v = 0 on the squared loss",
)
