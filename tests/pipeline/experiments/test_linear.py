"""Linear regression: where descent ends, how far it went and how fast, from the data themselves."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from pipeline.numerics.streams import Role
from pipeline.trial_status import Status

Run = Callable[..., list]


@pytest.mark.parametrize("c", [1.0, 0.4, 1.7])
@pytest.mark.parametrize("shape", [(6, 20), (20, 6)])
def test_descent_ends_at_the_solution_nearest_to_its_start(
    run_cells: Run, shape: tuple[int, int], c: float
) -> None:
    n, d = shape
    descent = {"steps": 3000, "tolerances": "[1e-2, 1e-26]", "step_size": c}
    (cell,) = run_cells(
        "linear", descent, activation='"linear"', dataset='{ kind = "gaussian" }', d=d, n=n
    )
    assert (cell.status == Status.DONE).all()
    values = {name: value[0] for name, value in cell.values.items()}
    for index, trial in enumerate(cell.trials):
        X, y = trial.inputs(), trial.signs()
        start = trial.stream(Role.START).standard_normal(d)
        move = np.linalg.lstsq(X, y - X @ start)[0]
        sigma = np.linalg.svd(X, compute_uv=False)
        eta = c / sigma[0] ** 2
        assert values["step_size"][index] == pytest.approx(eta, rel=1e-12)
        assert values["loss_initial"][index] == pytest.approx(np.sum((X @ start - y) ** 2), rel=1e-12)
        assert values["limit_error"][index] < 1e-9
        assert values["distance_ratio"][index] == pytest.approx(1, abs=1e-9)
        assert values["distance"][index] == pytest.approx(np.linalg.norm(move), rel=1e-9)
        # the distance as printed is another: theta_0 has a part in the row space
        printed = np.linalg.norm(np.linalg.pinv(X) @ y)
        assert values["length_ratio"][index] == pytest.approx(
            values["distance"][index] / printed, rel=1e-9
        )
        assert abs(values["length_ratio"][index] - 1) > 1e-3
        slowest = np.abs(1 - eta * sigma**2).max()
        assert values["rate_predicted"][index] == pytest.approx(slowest, rel=1e-12)
        floor = np.sum((X @ (start + move) - y) ** 2)
        assert values["loss_final"][index] == pytest.approx(floor, rel=1e-9, abs=1e-24 * n * d)


def test_the_slowest_mode_sets_the_rate(run_cells: Run) -> None:
    descent = {"steps": 400, "tolerances": "[1e-25]"}
    keys = {"activation": '"linear"', "dataset": '{ kind = "gaussian" }', "d": 20, "n": 6, "seeds": 8}
    (cell,) = run_cells("linear", descent, **keys)
    rate, predicted = cell.values["rate"][0], cell.values["rate_predicted"][0]
    assert (rate <= predicted * (1 + 1e-3)).all()
    np.testing.assert_allclose(rate, predicted, rtol=2e-2)


def test_every_step_of_the_curve_is_a_matrix_power(run_cells: Run) -> None:
    descent = {"steps": 60, "tolerances": "[0.5, 1e-3, 1e-26]"}
    (cell,) = run_cells("linear", descent, activation='"linear"', d=8, n=12)
    marks = cell.sweep.descent.marks
    for index, trial in enumerate(cell.trials):
        X, y = trial.inputs(), trial.signs()
        start = trial.stream(Role.START).standard_normal(8)
        eta, r0 = 1 / np.linalg.norm(X, 2) ** 2, X @ start - y
        step = np.eye(12) - eta * X @ X.T
        losses = np.array([np.sum((np.linalg.matrix_power(step, t) @ r0) ** 2) for t in range(61)])
        np.testing.assert_allclose(
            cell.values["loss_curve"][0, index], losses[list(marks)] / losses[0], rtol=1e-9
        )
        met = losses[:, None] <= np.array([0.5, 1e-3, 1e-26]) * losses[0]
        first = np.where(met.any(axis=0), met.argmax(axis=0), np.inf)
        np.testing.assert_array_equal(cell.values["steps_to_tolerance"][0, index], first)


def test_too_large_a_step_diverges_and_says_so(run_cells: Run) -> None:
    descent = {"steps": 10_000, "step_size": 2.5}
    (cell,) = run_cells("linear", descent, activation='"linear"', d=20, n=6)
    assert (cell.status == Status.DIVERGED).all()
    assert (cell.values["steps"] < 10_000).all()
    assert np.isinf(cell.values["steps_to_tolerance"]).all()
