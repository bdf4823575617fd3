"""A descent that goes on from its state makes the steps of one that was never interrupted."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest

from pipeline.descent.loop import Training, train
from pipeline.descent.methods import Method, train_by
from pipeline.descent.network import Network, balanced
from pipeline.descent.progress import BadProgress, Progress
from pipeline.sweep import Descent

N, D, K = 30, 5, 12
TOLERANCES = (1e-3, 1e-1)  # not in the order in which they are met

METHODS = {
    "gd": Method(),
    "gd in float32": Method(dtype="float32"),
    "momentum": Method("momentum"),
    "nesterov in batches": Method("nesterov", batch=7),
    "adam in batches": Method("adam", batch=10),
    "adam in batches, in float32": Method("adam", batch=7, dtype="float32"),
    "logistic in batches, 1/t": Method(batch=7, loss="logistic", schedule="1/t"),
}


def data() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    X = rng.standard_normal((N, D))
    return X / np.linalg.norm(X, axis=1, keepdims=True), rng.choice([-1.0, 1.0], N)


def start(activation: str, trained: str, depth: int) -> Network:
    rng = np.random.default_rng(5)
    W, hidden = rng.standard_normal((K, D)), rng.standard_normal((depth - 1, K, K)) * np.sqrt(2 / K)
    return Network(activation, W, hidden, balanced(K), trained)


def marks(steps: int) -> tuple[int, ...]:
    return Descent(steps, TOLERANCES, 1.0).marks


def kept(done: Training, steps: int) -> Progress:
    """The state as a file gives it back."""
    assert done.progress is not None
    size = done.progress.weights.size
    return Progress.of(done.progress.rows(), steps=steps, weights=size, tolerances=2, n=N)


def bits(done: Training) -> dict[str, bytes]:
    values = {one.name: getattr(done, one.name) for one in dataclasses.fields(done)}
    progress = values.pop("progress")
    values |= {} if progress is None else progress.rows()
    return {name: np.asarray(value).tobytes() for name, value in values.items()}


BUDGETS = [(37, 111, 200), (100, 101, 1000), (1, 7, 50)]


@pytest.mark.parametrize("budgets", BUDGETS)
@pytest.mark.parametrize(
    ("activation", "trained", "depth"),
    [*itertools.product(["relu", "tanh"], ["input", "both"], [1, 2])],
)
def test_full_batch_descent_goes_on(activation, trained, depth, budgets) -> None:
    X, y = data()
    eta = 1.0 / start(activation, trained, depth).tangent_extremes(X)[1]
    whole, last = start(activation, trained, depth), budgets[-1]
    expected = train(whole, X, y, eta, last, TOLERANCES, marks(last))
    progress, went_on = None, 0
    for steps in budgets:
        network = start(activation, trained, depth)
        done = train(network, X, y, eta, steps, TOLERANCES, marks(steps), since=progress)
        if done.progress is None:
            break
        progress = kept(done, steps)
        went_on += 1
    assert went_on >= 1
    if steps == last:
        assert bits(done) == bits(expected)
    assert network.weights().tobytes() == whole.weights().tobytes()
    assert done.steps_to_tolerance.tobytes() == expected.steps_to_tolerance.tobytes()


@pytest.mark.parametrize("budgets", [*BUDGETS, (5, 10, 20)])
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("trained", ["input", "both", "output"])
def test_training_with_settings_goes_on(method, trained, budgets) -> None:
    """Also within an epoch, whose loss a longer training does not judge where the budget ends."""
    X, y = data()
    way, last = METHODS[method], budgets[-1]
    eta = 0.003 if way.name != "gd" else 0.02
    more = {"method": way, "seed": 2**63 + 12345, "target": 0.95, "waits": True, "target_loss": 1e-9}
    whole = start("tanh", trained, 1)
    expected = train_by(whole, X, y, eta, last, TOLERANCES, marks(last), **more)
    progress = None
    for steps in budgets:
        network = start("tanh", trained, 1)
        done = train_by(network, X, y, eta, steps, TOLERANCES, marks(steps), since=progress, **more)
        progress = kept(done, steps)
    assert bits(done) == bits(expected)
    assert network.weights().tobytes() == whole.weights().tobytes()


def test_a_descent_that_is_finished_leaves_no_state() -> None:
    X, y = data()
    network = start("relu", "input", 1)
    done = train(network, X, y, 0.5 / network.tangent_extremes(X)[1], 10**5, [0.5])
    assert done.steps < 10**5
    assert done.progress is None
    assert train(start("relu", "input", 1), X, y, 0.1, 0, [0.5]).progress is None  # nothing to keep


def spoilt() -> list[tuple[dict[str, np.ndarray], str]]:
    X, y = data()
    more = {"method": Method("adam", batch=7), "seed": 1}
    done = train_by(start("tanh", "both", 1), X, y, 0.003, 20, TOLERANCES, marks(20), **more)
    assert done.progress is not None
    rows = done.progress.rows()
    numbers = rows["numbers"].copy()
    numbers[0] = 21.0
    return [
        ({name: row for name, row in rows.items() if name != "curve"}, "a row is missing"),
        (rows | {"numbers": numbers[:3]}, "the row of numbers has another length"),
        (rows | {"numbers": numbers}, "its step does not fit"),
        (rows | {"weights": rows["weights"][1:]}, "its weights does not fit"),
        (rows | {"moments": rows["moments"][1:]}, "its moments does not fit"),
        (rows | {"reached": rows["reached"][1:]}, "its reached does not fit"),
        (rows | {"curve": rows["curve"][1:]}, "its curve does not fit"),
        (rows | {"order": rows["order"] + 1}, "its order does not fit"),
        (rows | {"order": rows["order"][1:]}, "its order does not fit"),
    ]


@pytest.mark.parametrize(("rows", "message"), spoilt())
def test_rows_of_another_descent_are_refused(rows, message) -> None:
    with pytest.raises(BadProgress, match=message):
        Progress.of(rows, steps=20, weights=K * D + K, tolerances=2, n=N)
