"""The common part of experiments on trained networks: their descent. `training_cost` has its cost.

The step size is c / lambda_max(J0 J0^T). If only v is trained, the result comes from a closed form and
needs no steps. Sweeps with settings of training (`pipeline.settings`) run the loop of `methods`, also
for v alone, and store what is `MEASURED` as well. Widths are computed independently, though with
nested widths a narrower W is part of a wider one.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from pipeline.descent import closed_form as output
from pipeline.descent.loop import DIVERGED, Training, train
from pipeline.descent.methods import Method, Outcome, train_by
from pipeline.descent.network import Network
from pipeline.descent.progress import BadProgress, Progress
from pipeline.experiments.base import SeedTrial, Variable, WidthResult
from pipeline.experiments.start import initial_network, with_constant
from pipeline.numerics.streams import Role
from pipeline.sweep import Descent
from pipeline.trial_status import Status

__all__ = [
    "CURVE",
    "DESCENT",
    "MEASURED",
    "TRAINING",
    "descend_width",
    "initial_network",
    "output_layer_result",
    "training_result",
]

Array = NDArray[np.float64]

log = logging.getLogger("widthlaw")

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


LOSS_NAMES = {
    "loss_initial": "{loss}, at the start",
    "loss_final": "{loss}, after the last step",
    "loss_curve": "relative loss, of the {loss}, of seeds 0 to 3",
}
"""Long names of variables where the loss is not the squared one."""


def named_by_loss(variables: Iterable[Variable], loss: str) -> Iterator[Variable]:
    """Yield variables with the long names of another loss; as they are where it is ""."""
    for one in variables:
        name = LOSS_NAMES.get(one.name) if loss else None
        yield one if name is None else replace(one, long_name=name.format(loss=loss))


TestSet = tuple[Array, Array] | None
"""Inputs and labels of a test set, if there is one."""


def descend_width(
    trial: SeedTrial, X: Array, y: Array, k: int, test: TestSet = None
) -> tuple[WidthResult, Network]:
    """Train the network of one width; return its result and the trained network."""
    descent = trial.descent
    assert descent is not None
    network = initial_network(trial, k)
    X = with_constant(X, network)
    start, since = _start(trial, network, X)
    least, largest, dead, earlier = start
    values = {
        "parameters": network.parameters,
        "ntk_min": least,
        "ntk_max": largest,
        "dead_samples": dead,
    }
    eta = descent.step_size / largest if largest > 0 else descent.step_size
    progress: Progress | None = None
    if not descent.is_paper:
        found, progress = _trained(trial, network, X, y, largest, test, since)
    elif network.trained == "output":
        found = output_layer_result(
            output.modes(network.features(X), network.outputs(X) - y), descent, eta
        )
    else:
        done = train(network, X, y, eta, descent.steps, descent.tolerances, descent.marks, since=since)
        found, progress = training_result(done, eta), done.progress
    curve = {} if trial.seed < CURVE_SEEDS else {"loss_curve": np.nan}
    checkpoint = None
    if descent.checkpoints and progress is not None:
        checkpoint = {**progress.rows(), "start": np.array(start[:3])}
    values = {**values, **found.values, **curve}
    return WidthResult(values, found.status, "", earlier, checkpoint), network


def _start(
    trial: SeedTrial, network: Network, X: Array
) -> tuple[tuple[float, float, float, float], Progress | None]:
    """Return the numbers of a network at its start, and the state from which its descent goes on.

    The numbers are the least and the largest eigenvalue of J0 J0^T, the number of dead samples, and the
    time that the trial has taken before.
    """
    given, k, descent = trial.checkpoints.get(network.v.size), network.v.size, trial.descent
    assert descent is not None
    if given is not None:
        try:
            since = Progress.of(
                given,
                steps=descent.budget(trial.cell, k),
                weights=network.weights().size,
                tolerances=len(descent.tolerances),
                n=trial.n,
            )
            least, largest, dead = given["start"]
            return (float(least), float(largest), float(dead), float(given["seconds"][0])), since
        except (BadProgress, KeyError, ValueError, IndexError) as error:
            log.warning("a checkpoint is not used (%s): its trial starts anew", error)
    return (*network.tangent_extremes(X), float(network.dead_samples(X)), 0.0), None


def _trained(
    trial: SeedTrial,
    network: Network,
    X: Array,
    y: Array,
    largest: float,
    test: TestSet,
    since: Progress | None,
) -> tuple[WidthResult, Progress | None]:
    """Train a network as the settings of training say; return its state at the end too."""
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
        hidden_step=given["hidden_step"],
        v_step=given["v_step"],
    )
    relative = given["relative_step"] or descent.step_size
    eta = given["absolute_step"] or (relative / largest if largest > 0 else relative)
    done = train_by(
        network,
        X,
        y,
        eta,
        descent.budget(trial.cell, k),
        descent.tolerances,
        descent.marks,
        method,
        seed=int(trial.stream(Role.BATCH).integers(2**64, dtype=np.uint64)),
        target=given["target_accuracy"] or 1.0,
        waits=given["target_accuracy"] > 0,
        target_loss=given["target_loss"] or None,
        since=since,
    )
    result = training_result(done, eta)
    measured = _measured(done, network, X, y, method.loss)
    if test is not None and not done.diverged:
        outputs = network.outputs(with_constant(test[0], network))
        measured["test_accuracy"] = float(np.mean((outputs >= 0) == (test[1] >= 0)))
    return WidthResult({**result.values, **measured}, result.status), done.progress


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
