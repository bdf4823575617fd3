"""Theorem 1: certify, then check (4) and (5) at every step, at the certified residual and beyond.

Labels are y = f(theta_0) + epsilon u with a random direction u, ||u|| = 1, and epsilon the largest
certified residual or a multiple of it; where every residual is certified, the unit is sqrt(n), the
size of random signs. The step size is 1/beta^2. A ratio is the left side of (4) or (5) over the
right: at most 1 where the theorem applies. Descent stops when the residual reaches rounding level; if
it starts there, no step is taken and the ratios are NaN. Where descent diverges, beyond the
certificate, the ratios are inf. Where alpha is 0, nothing is certified, no descent is run and epsilon
is 0.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

from pipeline.descent.architecture import TRAINED, parameter_count
from pipeline.descent.certificates import Certificate, certify
from pipeline.descent.dispatch import DERIVATIVES
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
from pipeline.experiments.start import initial_network
from pipeline.experiments.training_cost import descent_memory, step_seconds
from pipeline.numerics.streams import Role
from pipeline.sweep import Cell, Descent

__all__ = ["EXPERIMENT"]

Array = NDArray[np.float64]

PER_MULTIPLE = ("width", "multiple")

VARIABLES = (
    Variable("jacobian_alpha", ("width",), "alpha of Assumption 1: half of sigma_min(J0)"),
    Variable("beta", ("width",), "beta of Assumption 2: bound on ||J||"),
    Variable("radius", ("width",), "largest radius R of Assumption 3; inf where J does not move"),
    Variable("epsilon", ("width",), "largest certified residual, alpha R / 5; sqrt(n) if R is inf"),
    Variable("certified", ("width",), "1 where the constants are proven; 0: measured, or alpha = 0"),
    Variable("rate_ratio", PER_MULTIPLE, "left over right side of (4), the worst of all steps"),
    Variable("path_ratio", PER_MULTIPLE, "left over right side of (5), the worst of all steps"),
    Variable("distance", PER_MULTIPLE, "distance travelled, ||theta_T - theta_0||"),
    Variable("lower_ratio", PER_MULTIPLE, "lower bound (||r0|| - ||r_T||) / beta over the distance"),
    Variable("upper_ratio", PER_MULTIPLE, "distance over the upper bound 5 ||r0|| / alpha"),
    Variable("shortest_ratio", PER_MULTIPLE, "distance over the linearised shortest, ||J0^+ r0||"),
    Variable("relative_loss", PER_MULTIPLE, "||r_T||^2 / ||r0||^2 after the last step"),
    Variable("steps", PER_MULTIPLE, "steps taken"),
)

RATIOS = ("rate_ratio", "path_ratio", "lower_ratio", "upper_ratio", "shortest_ratio")

ROUNDING = 100 * np.finfo(np.float64).eps
"""Rounding level relative to the scale of the outputs: smaller residuals are not compared."""


def _run_seed(trial: SeedTrial) -> SeedResult:
    X = trial.inputs()
    u = trial.stream(Role.LABELS).standard_normal(trial.n)
    u /= np.linalg.norm(u)

    def one_width(index: int, k: int) -> WidthResult:
        network = initial_network(trial, k)
        found = certify(network, X, direction=u)
        epsilon = found.residual if np.isfinite(found.radius) else np.sqrt(trial.n)
        constants = {
            "jacobian_alpha": found.alpha,
            "beta": found.beta,
            "radius": found.radius if found.alpha > 0 else 0.0,
            "epsilon": epsilon if found.alpha > 0 else 0.0,
            "certified": float(found.rigorous and found.alpha > 0),
        }
        if found.alpha == 0:
            return WidthResult(constants, message="no certificate: alpha = 0, J0 is singular")
        assert trial.descent is not None
        shortest = _linearised_shortest(network.jacobian(X), u)
        sizes = [multiple * epsilon for multiple in trial.descent.multiples]
        ratios = [_follow(network, X, size * u, found, trial.descent) for size in sizes]
        for ratio, size in zip(ratios, sizes, strict=True):
            if ratio["steps"]:
                ratio["shortest_ratio"] = ratio["distance"] / (size * shortest)
        columns = {name: np.array([ratio[name] for ratio in ratios]) for name in ratios[0]}
        multiples = np.array(trial.descent.multiples)
        notes = [
            f"{event} at {', '.join(f'{multiple:g}' for multiple in multiples[where])} times epsilon"
            for event, where in (
                ("descent diverged", np.isinf(columns["path_ratio"])),
                ("nothing to follow", columns["steps"] == 0),
            )
            if where.any()
        ]
        return WidthResult({**constants, **columns}, message="; ".join(notes))

    return visit_widths(trial, blank(trial, VARIABLES), one_width)


def _follow(
    network: Network, X: Array, residual: Array, found: Certificate, descent: Descent
) -> dict[str, float]:
    """Descend from theta_0 on labels at a given residual, and compare both sides at every step."""
    start = np.linalg.norm(residual)
    y = network.outputs(X) + residual
    scale = np.linalg.norm(np.abs(network.v) @ np.abs(network.features(X))) + np.linalg.norm(y)
    least = max(descent.tolerances[-1], (ROUNDING * scale / start) ** 2)
    if least >= 1 or descent.steps == 0:
        return dict.fromkeys(RATIOS, np.nan) | {"distance": 0.0, "relative_loss": 1.0, "steps": 0.0}
    moving = network.copy()
    done = train(moving, X, y, found.step_size, descent.steps, [least], alpha=found.alpha)
    last = np.sqrt(done.loss_final)
    return {
        "rate_ratio": np.inf if done.diverged else done.rate_ratio,
        "path_ratio": np.inf if done.diverged else done.path_ratio,
        "distance": done.distance,
        "lower_ratio": (start - last) / found.beta / done.distance,
        "upper_ratio": done.distance / (5 * start / found.alpha),
        "relative_loss": done.loss_final / done.loss_initial,
        "steps": float(done.steps),
    }


def _linearised_shortest(J: Array, u: Array) -> float:
    """Return ||J^+ u||, the least distance at which the linearised outputs move by u."""
    R = np.linalg.qr(J.T, mode="r")
    return float(np.linalg.norm(linalg.solve_triangular(R, u, trans="T")))


def _seconds(cell: Cell, descent: Descent | None) -> float:
    assert descent is not None
    n, total = cell.n, 1e-3
    for k in cell.widths:
        p = parameter_count(k, cell.d, cell.depth)
        svd = 3e-10 * n * p * min(n, p) * (2 + len(descent.multiples)) * (1 if cell.depth == 1 else 30)
        steps = len(descent.multiples) * descent.steps
        total += svd + steps * (step_seconds(cell, k) + 5e-10 * p)
    return total


def _memory(cell: Cell, descent: Descent | None) -> float:
    """Estimate the memory: that of the descent, and the Jacobian with its factorisation."""
    p = parameter_count(max(cell.widths), cell.d, cell.depth)
    return descent_memory(cell, descent) + FLOAT * 3.2 * cell.n * p


EXPERIMENT = Experiment(
    VARIABLES,
    _run_seed,
    _seconds,
    _memory,
    independent=True,
    descends=True,
    balanced=True,
    options={"trained": ("input", *(name for name in TRAINED if name != "input")), "depth": ()},
    activations=tuple(name for name, one in DERIVATIVES.items() if np.isfinite(one.slope)),
    why_not_own="it certifies activations whose bounds of phi' and phi'' are proven",
    draws_labels=True,
    why_fixed="the theorem is about full-batch gradient descent on the squared loss, and its labels "
    "lie at a certified distance",
)
