"""The common part of experiments on trained networks: their descent, and its cost.

The step size is c / lambda_max(J0 J0^T). If only v is trained, the result comes from a closed form and
needs no steps. Sweeps with settings of training (`pipeline.settings`) run the loop of `methods`, also
for v alone, and store what is `MEASURED` as well. Widths are computed independently, though with
nested widths a narrower W is part of a wider one.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.descent import closed_form as output
from pipeline.descent.architecture import parameter_count
from pipeline.descent.loop import DIVERGED, Training, train
from pipeline.descent.methods import Method, Outcome, train_by
from pipeline.descent.network import Network
from pipeline.experiments.base import FLOAT, SeedTrial, Variable, WidthResult, training_at
from pipeline.experiments.start import initial_network
from pipeline.numerics.activations import ACTIVATIONS
from pipeline.numerics.streams import Role
from pipeline.sweep import Cell, Descent
from pipeline.trial_status import Status

__all__ = [
    "CURVE",
    "DESCENT",
    "MEASURED",
    "PER_STEP",
    "TRAINING",
    "descend_width",
    "descent_memory",
    "descent_seconds",
    "initial_network",
    "output_layer_result",
    "step_seconds",
    "training_result",
    "width_seconds",
]

Array = NDArray[np.float64]

MEASURED = (
    Variable("accuracy", ("width",), "share of samples with the right sign after the last step"),
    Variable(
        "steps_to_accuracy",
        ("width",),
        "first step with training accuracy at or above the target (1 if none is set); inf where none",
    ),
    Variable(
        "steps_to_loss",
        ("width",),
        "first step with a loss at or below the target; inf where none",
    ),
    Variable(
        "test_accuracy",
        ("width",),
        "share of the test set with the sign of its label without noise and flips, after the last step",
    ),
    Variable("rises", ("width",), "steps (of batches: epochs) at which the loss rose"),
    Variable(
        "sharpness",
        ("width",),
        "largest eigenvalue of the Gauss-Newton matrix at the end; full-batch gradient descent is at "
        "the edge of stability near 2 / step_size",
    ),
)
"""What a sweep with settings of training stores beside the variables of every descent."""

CURVE_SEEDS = 4
"""Loss curves are stored for seeds below this number."""

DESCENT = (
    Variable(
        "steps_to_tolerance",
        ("width", "tolerance"),
        "first step with relative loss at or below the tolerance; inf where none in the budget",
    ),
    Variable("loss_initial", ("width",), "squared residual ||r||^2 at the start"),
    Variable("loss_final", ("width",), "squared residual ||r||^2 after the last step"),
    Variable("steps", ("width",), "steps taken"),
    Variable("step_size", ("width",), "step size eta"),
    Variable("distance", ("width",), "distance travelled, ||theta_T - theta_0||"),
)

CURVE = Variable("loss_curve", ("width", "step"), "relative loss ||r||^2 / ||r0||^2, of seeds 0 to 3")

TRAINING = (
    *DESCENT,
    Variable("parameters", ("width",), "number of trained weights"),
    Variable("ntk_min", ("width",), "least eigenvalue of the empirical NTK J0 J0^T", below="ntk_max"),
    Variable("ntk_max", ("width",), "largest eigenvalue of the empirical NTK J0 J0^T"),
    Variable("dead_samples", ("width",), "samples at which no unit is active at the start"),
    CURVE,
)


TestSet = tuple[Array, Array] | None
"""Inputs and labels of a test set, if there is one."""


def descend_width(
    trial: SeedTrial, X: Array, y: Array, k: int, test: TestSet = None
) -> tuple[WidthResult, Network]:
    """Train the network of one width; return its result and the trained network."""
    descent = trial.descent
    assert descent is not None
    network = initial_network(trial, k)
    least, largest = network.tangent_extremes(X)
    start = {
        "parameters": network.parameters,
        "ntk_min": least,
        "ntk_max": largest,
        "dead_samples": network.dead_samples(X),
    }
    eta = descent.step_size / largest if largest > 0 else descent.step_size
    if not descent.is_paper:
        found = _trained(trial, network, X, y, largest, test)
    elif network.trained == "output":
        found = output_layer_result(
            output.modes(network.features(X), network.outputs(X) - y), descent, eta
        )
    else:
        found = _iterated(network, X, y, descent, eta)
    curve = {} if trial.seed < CURVE_SEEDS else {"loss_curve": np.nan}
    return WidthResult({**start, **found.values, **curve}, found.status), network


def _iterated(network: Network, X: Array, y: Array, descent: Descent, eta: float) -> WidthResult:
    done = train(network, X, y, eta, descent.steps, descent.tolerances, descent.marks)
    return training_result(done, eta)


def _trained(
    trial: SeedTrial, network: Network, X: Array, y: Array, largest: float, test: TestSet
) -> WidthResult:
    """Train a network as the settings of training say."""
    descent, k = trial.descent, network.v.size
    assert descent is not None
    given = trial.training(k)
    method = Method(
        name=given["descent_method"],
        momentum=given["momentum"],
        beta1=given["beta1"],
        beta2=given["beta2"],
        epsilon=given["adam_epsilon"],
        batch=given["batch"],
        schedule=given["schedule"],
        decay=given["decay"],
        loss=given["loss"],
        dtype=given["precision"],
    )
    relative = given["relative_step"] or descent.step_size
    eta = given["absolute_step"] or (relative / largest if largest > 0 else relative)
    done = train_by(
        network,
        X,
        y,
        eta,
        descent.budget(trial.n, k, trial.cell.d),
        descent.tolerances,
        descent.marks,
        method,
        seed=int(trial.stream(Role.BATCH).integers(2**64, dtype=np.uint64)),
        target=given["target_accuracy"] or 1.0,
        waits=given["target_accuracy"] > 0,
        target_loss=given["target_loss"] or None,
    )
    result = training_result(done, eta)
    measured = _measured(done, network, X, y, method.loss)
    if test is not None and not done.diverged:
        measured["test_accuracy"] = float(np.mean((network.outputs(test[0]) >= 0) == (test[1] >= 0)))
    return WidthResult({**result.values, **measured}, result.status)


def _measured(done: Outcome, network: Network, X: Array, y: Array, loss: str) -> dict[str, float]:
    """Return what is stored of a training beside the values of every descent."""
    values = {
        "accuracy": done.accuracy,
        "steps_to_accuracy": done.steps_to_accuracy,
        "steps_to_loss": done.steps_to_loss,
        "rises": float(done.rises),
    }
    if done.diverged:
        return values
    roots = np.sqrt(curvature(loss, network.outputs(X), y))
    K = network.tangent_kernel(X) * np.outer(roots, roots)
    return values | {"sharpness": float(np.linalg.eigvalsh(K)[-1])}


def curvature(loss: str, outputs: Array, y: Array) -> Array:
    """Return the second derivative of the loss of each sample in its output, shape (n,)."""
    if loss == "logistic":
        return np.asarray(y**2 / (4 * np.cosh(np.clip(y * outputs / 2, -300, 300)) ** 2))
    if loss == "squared_hinge":
        return np.where(y * outputs < 1, y**2, 0.0)
    return np.ones(len(y))


def training_result(done: Training, eta: float) -> WidthResult:
    """Return the values to store of a descent."""
    values = {
        "steps_to_tolerance": done.steps_to_tolerance,
        "loss_initial": done.loss_initial,
        "loss_final": done.loss_final,
        "steps": done.steps,
        "step_size": eta,
        "distance": done.distance,
        "loss_curve": done.curve,
    }
    return WidthResult(values, Status.DIVERGED if done.diverged else Status.DONE)


def output_layer_result(
    modes: output.Modes, descent: Descent, eta: float, whole: bool = False
) -> WidthResult:
    """Return the values to store of descent on v, in closed form.

    Descent ends at the last tolerance, as in the loop, or after the budget if `whole`.
    """
    first = float(modes.squared_residual([0], eta)[0])
    reached = modes.steps_to(descent.tolerances, eta, descent.steps)
    taken = descent.steps if whole or np.isinf(reached[-1]) else int(reached[-1])
    last = float(modes.squared_residual([taken], eta)[0])
    marks = np.array(descent.marks)
    curve = modes.squared_residual(marks, eta) / first if first > 0 else np.zeros(len(marks))
    values = {
        "steps_to_tolerance": reached,
        "loss_initial": first,
        "loss_final": last,
        "steps": taken,
        "step_size": eta,
        "distance": modes.travelled(taken, eta),
        "loss_curve": np.where(marks <= taken, curve, np.nan),
    }
    bounded = last <= DIVERGED * first
    return WidthResult(values, Status.DONE if bounded else Status.DIVERGED)


# ---- cost

PER_STEP, PER_FLOP, PER_KEPT = 6e-7, 4e-11, 1.5e-9
"""Measured seconds: of a step, of one floating point operation, and of storing one phi, which training
v needs. The time of phi and phi' themselves is in the record of the activation."""


def step_seconds(cell: Cell, k: int) -> float:
    """Estimate the time of one step on one core."""
    flops = 4.0 * cell.n * k * cell.d + 6.0 * (cell.depth - 1) * cell.n * k * k
    derivative = ACTIVATIONS[cell.activation].derivative
    assert derivative is not None
    per_unit = derivative.seconds + (PER_KEPT if cell.trained == "both" else 0.0)
    return PER_STEP + PER_FLOP * flops + cell.depth * cell.n * k * per_unit


def expected_steps(cell: Cell, k: int, descent: Descent) -> float:
    """Estimate the steps of a trial on random signs, by a fit to measured medians.

    Below one parameter per sample the whole budget is used. Above, the tail of the loss falls like a
    power of the step, more slowly the more samples there are per dimension. If v is trained too, its
    large eigenvalue makes the steps of one hidden layer shorter.
    """
    ratio = parameter_count(k, cell.d, cell.depth, cell.trained) / cell.n
    budget = descent.budget(cell.n, k, cell.d)
    if ratio < 1:
        return float(budget)
    tail = (1e-2 / descent.tolerances[-1]) ** 0.5 * max(1.0, cell.n / (10 * cell.d)) ** 2
    both = 6.0 if cell.trained == "both" and cell.depth == 1 else 1.0
    return float(min(budget, 500 * both * tail * (1 + 4 / ratio**2)))


def descent_seconds(cell: Cell, descent: Descent | None) -> float:
    """Estimate the time of all widths of one seed on one core."""
    assert descent is not None
    return 1e-3 + sum(width_seconds(cell, k, expected_steps(cell, k, descent)) for k in cell.widths)


def descent_memory(cell: Cell, descent: Descent | None) -> float:
    """Estimate the memory of the widest network in bytes: its layers, its weights and the NTK."""
    n, k, layers = cell.n, max(cell.widths), cell.depth
    weights = k * cell.d + (layers - 1) * k**2
    test = training_at(cell, descent, k)["test_samples"]
    return FLOAT * (
        3.0 * n**2 + 3.0 * layers * k * n + 3.0 * weights + 2.0 * (n + test) * cell.d
        + 2.0 * layers * k * test
    )  # fmt: skip


def width_seconds(cell: Cell, k: int, steps: float) -> float:
    """Estimate the time of one width of one seed that takes a given number of steps."""
    n = cell.n
    start = 4e-4 + 4e-11 * (n**2 * (k + cell.d) * cell.depth) + 1.2e-10 * n**3
    if cell.trained == "output":
        return start + 2e-4 + 3e-10 * n * k * min(n, k)
    return start + step_seconds(cell, k) * steps
