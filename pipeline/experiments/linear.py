"""Linear regression, the prelude of Section III: descent on X theta = y from a random start.

This is the network of one linear unit with output weight 1, so the same loop runs it. Descent tends
to theta^dagger + Pi_null theta_0, the solution nearest to the start. The paper gives the distance as
||theta^dagger||, which holds only if theta_0 has no part in the row space; in general it is
||X^dagger (y - X theta_0)||. The slowest mode sets the rate, 1 - eta sigma_min^2.
"""

from __future__ import annotations

import numpy as np

from pipeline.descent.loop import train
from pipeline.descent.network import Network
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
from pipeline.experiments.training import CURVE, DESCENT, training_result
from pipeline.experiments.training_cost import PER_STEP
from pipeline.numerics.streams import Role
from pipeline.sweep import Cell, Descent

__all__ = ["EXPERIMENT"]

VARIABLES = (
    *DESCENT,
    Variable("limit_error", ("width",), "||theta_T - theta_inf|| / ||theta_inf - theta_0||"),
    Variable("distance_ratio", ("width",), "||theta_T - theta_0|| / ||X^+ (y - X theta_0)||"),
    Variable("length_ratio", ("width",), "||theta_T - theta_0|| / ||X^+ y||, the distance as printed"),
    Variable("rate", ("width",), "||r_T|| / ||r_(T-1)||, for n <= d"),
    Variable("rate_predicted", ("width",), "1 - eta sigma_min(X)^2, over the nonzero sigma"),
    CURVE,
)


def _run_seed(trial: SeedTrial) -> SeedResult:
    return visit_widths(trial, blank(trial, VARIABLES), lambda index, k: _regress(trial))


def _regress(trial: SeedTrial) -> WidthResult:
    X, y, descent = trial.inputs(), trial.signs(), trial.descent
    assert descent is not None
    start = trial.stream(Role.START).standard_normal(trial.cell.d)
    sigma, inverse = _pseudo_inverse(X)
    eta = descent.step_size / sigma[0] ** 2
    network = Network("linear", start[None, :].copy(), np.empty((0, 1, 1)), np.ones(1))
    done = train(network, X, y, eta, descent.steps, descent.tolerances, descent.marks)
    end = network.W[0]
    limit = start + inverse @ (y - X @ start)  # theta^dagger + Pi_null theta_0
    shortest = np.linalg.norm(limit - start)
    found = training_result(done, eta)
    values = {
        **found.values,
        "limit_error": np.linalg.norm(end - limit) / shortest,
        "distance_ratio": done.distance / shortest,
        "length_ratio": done.distance / np.linalg.norm(inverse @ y),
        "rate": done.last_ratio,
        "rate_predicted": max(abs(1 - eta * sigma[0] ** 2), abs(1 - eta * sigma[-1] ** 2)),
    }
    return WidthResult(values, found.status)


def _pseudo_inverse(X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the singular values that are not zero, and X^dagger of shape (d, n)."""
    left, sigma, right = np.linalg.svd(X, full_matrices=False)
    kept = sigma > max(X.shape) * np.finfo(float).eps * sigma[0]
    if not kept.any():
        raise FloatingPointError("X has no singular value above rounding: nothing to regress on")
    return sigma[kept], (right[kept].T / sigma[kept]) @ left[:, kept].T


def _seconds(cell: Cell, descent: Descent | None) -> float:
    """Estimate the time, with steps from the condition number of a random matrix of this shape."""
    assert descent is not None
    aspect = min(cell.n, cell.d) / max(cell.n, cell.d)
    condition = ((1 + aspect**0.5) / max(1 - aspect**0.5, 1 / cell.n)) ** 2
    steps = min(descent.steps, condition * -np.log(descent.tolerances[-1]) / 2)
    return (
        1e-3
        + 4e-10 * cell.n * cell.d * min(cell.n, cell.d)
        + steps * (PER_STEP + 1e-9 * cell.n * cell.d)
    )


def _memory(cell: Cell, descent: Descent | None) -> float:
    """Estimate the memory: X, its singular vectors, and its pseudo-inverse."""
    return FLOAT * (5.0 * cell.n * cell.d + 4.0 * min(cell.n, cell.d) ** 2)


EXPERIMENT = Experiment(
    VARIABLES,
    _run_seed,
    _seconds,
    _memory,
    independent=True,
    descends=True,
    widthless=True,
    why_fixed="it solves a linear regression, without a network",
    activations=("linear",),
    why_not_own="it has no hidden units",
)
