"""The output layer: the closed form of a stored trial is descent on v, iterated here."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from pipeline.numerics.activations import apply
from pipeline.trial_status import Status

Run = Callable[..., list]


def iterate(Phi: np.ndarray, y: np.ndarray, v: np.ndarray, eta: float, steps: int) -> tuple:
    """Squared residuals of every step, and the last v."""
    losses = [np.sum((Phi.T @ v - y) ** 2)]
    for _ in range(steps):
        v = v - eta * Phi @ (Phi.T @ v - y)
        losses.append(np.sum((Phi.T @ v - y) ** 2))
    return np.array(losses), v


@pytest.mark.parametrize("activation", ["relu", "tanh", "step"])
@pytest.mark.parametrize("nested", ["true", "false"])
def test_stored_numbers_are_those_of_the_loop(run_cells: Run, activation: str, nested: str) -> None:
    tolerances = np.array([0.7, 0.5, 1e-2])
    descent = {"steps": 200, "tolerances": tolerances.tolist(), "step_size": 1.5}
    keys = {"activation": f'"{activation}"', "d": 8, "n": 10, "width": "[4, 10, 31]", "nested": nested}
    (cell,) = run_cells("output", descent, **keys)
    assert (cell.status == Status.DONE).all()
    for index, k in enumerate(cell.cell.widths):
        for seed, trial in enumerate(cell.trials):
            X, y = trial.inputs(), trial.signs()
            Phi = apply(activation, trial.weights(k).standard_normal((k, 8)) @ X.T)
            found = {name: value[index, seed] for name, value in cell.values.items()}
            sigma = np.linalg.svd(Phi, compute_uv=False)
            assert found["sigma_max"] == pytest.approx(sigma[0], rel=1e-12)
            eta = 1.5 / sigma[0] ** 2
            losses, v = iterate(Phi, y, np.zeros(k), eta, 200)
            limit = np.linalg.pinv(Phi.T) @ y
            shortest = np.linalg.norm(limit)
            assert found["step_size"] == pytest.approx(eta, rel=1e-12)
            assert found["loss_initial"] == pytest.approx(10, rel=1e-12)
            assert found["loss_final"] == pytest.approx(losses[-1], rel=1e-9, abs=1e-13)
            assert found["distance"] == pytest.approx(np.linalg.norm(v), rel=1e-9)
            assert found["steps"] == 200
            curve = losses[list(cell.sweep.descent.marks)] / losses[0]
            np.testing.assert_allclose(found["loss_curve"], curve, rtol=1e-9, atol=1e-14)
            met = losses[:, None] <= tolerances * losses[0]
            first = np.where(met.any(axis=0), met.argmax(axis=0), np.inf)
            np.testing.assert_array_equal(found["steps_to_tolerance"], first)
            if k < 10:
                assert found["sigma_min"] == 0
            if sigma[min(k, 10) - 1] > 1e-9:
                assert found["distance_ratio"] == pytest.approx(np.linalg.norm(v) / shortest, rel=1e-8)
                error = np.linalg.norm(v - limit) / shortest
                assert found["solution_error"] == pytest.approx(error, rel=1e-7, abs=1e-12)


def test_above_twice_n_units_descent_reaches_the_pseudo_inverse(run_cells: Run) -> None:
    descent = {"steps": 10_000_000, "tolerances": "[1e-2, 1e-10]"}
    (cell,) = run_cells("output", descent, d=20, n=30, width="{ k_per_n = [2.1, 3.0, 6.0] }", seeds=6)
    np.testing.assert_allclose(cell.values["distance_ratio"], 1, rtol=1e-12)
    np.testing.assert_allclose(cell.values["solution_error"], 0, atol=1e-12)
    assert np.isfinite(cell.values["steps_to_tolerance"]).all()
    assert (np.diff(cell.values["steps_to_tolerance"], axis=-1) > 0).all()


def test_below_n_units_the_relative_loss_stays_near_one_minus_k_over_n(run_cells: Run) -> None:
    descent = {"steps": 1_000_000_000}
    (cell,) = run_cells(
        "output", descent, d=20, n=200, width="{ k_per_n = [0.25, 0.5, 0.75] }", seeds=6
    )
    share = (cell.values["loss_final"] / cell.values["loss_initial"]).mean(axis=1)
    np.testing.assert_allclose(share, [0.75, 0.5, 0.25], atol=0.05)


def test_too_large_a_step_is_stored_as_diverged(run_cells: Run) -> None:
    (cell,) = run_cells("output", {"steps": 5000, "step_size": 2.5}, d=8, n=10, width="[4, 31]")
    assert (cell.status == Status.DIVERGED).all()
    assert (cell.values["loss_final"] > 1e6 * cell.values["loss_initial"]).all()


def test_labels_that_no_weights_can_fit_are_an_outcome(run_cells: Run, tmp_path) -> None:
    np.save(tmp_path / "rows.npy", np.array([[1.0, 0.0], [1.0, 0.0]]))
    dataset = f'{{ kind = "file", path = "{tmp_path / "rows.npy"}" }}'
    (cell,) = run_cells("output", {"steps": 50}, dataset=dataset, n=2, width="[4]", seeds=8)
    assert (cell.status == Status.DONE).all()
    opposite = np.array([trial.signs().sum() == 0 for trial in cell.trials])
    assert opposite.any()
    np.testing.assert_allclose(cell.values["loss_final"][0, opposite], 2, rtol=1e-14)


def test_a_budget_of_no_steps_travels_nowhere(run_cells: Run) -> None:
    (cell,) = run_cells("output", {"steps": 0}, d=8, n=10, width="[4, 31]", seeds=20)
    assert (cell.status == Status.DONE).all()
    assert (cell.values["distance"] == 0).all()
