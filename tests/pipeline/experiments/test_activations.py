"""Every experiment runs with exponential units, the bell and polynomials, and stores what they give."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from pipeline.theory import alpha
from pipeline.trial_status import Status

Run = Callable[..., list]

E = np.exp
PHI = {
    "elu": lambda z: np.where(z > 0, z, E(np.minimum(z, 0)) - 1),
    "selu": lambda z: 1.0507009873554805 * np.where(z > 0, z, 1.6732632423543772 * (E(-abs(z)) - 1)),
    "gaussian": lambda z: E(-z * z / 2),
    "square": lambda z: z * z,
    "cube": lambda z: z**3,
    "hermite2": lambda z: (z * z - 1) / 2**0.5,
    "hermite3": lambda z: (z**3 - 3 * z) / 6**0.5,
}


@pytest.mark.parametrize("activation", PHI)
def test_conditioning_stores_the_singular_values_of_the_definition(
    run_cells: Run, activation: str
) -> None:
    (cell,) = run_cells("conditioning", activation=f'"{activation}"', d=6, n=15, width="[30, 90]")
    assert (cell.status == Status.DONE).all()
    for seed, trial in enumerate(cell.trials):
        X = trial.inputs()
        W = trial.weights(90).standard_normal((90, 6))
        for index, k in enumerate((30, 90)):
            sigma = np.linalg.svd(PHI[activation](W[:k] @ X.T), compute_uv=False)
            assert cell.values["sigma_min"][index, seed] == pytest.approx(sigma[-1], rel=1e-7)
            assert cell.values["sigma_max"][index, seed] == pytest.approx(sigma[0], rel=1e-9)
        assert cell.values["alpha"][0, seed] == pytest.approx(alpha(X, activation), rel=1e-12)


@pytest.mark.parametrize("activation", ["elu", "gaussian", "hermite2"])
def test_the_edge_predicts_the_least_singular_value(run_cells: Run, activation: str) -> None:
    keys = {"activation": f'"{activation}"', "d": 20, "n": 80, "width": "[320, 640]", "seeds": 8}
    (cell,) = run_cells("conditioning", **keys)
    widths = np.array(cell.cell.widths)[:, None]
    ratio = np.median(cell.values["sigma_min"] ** 2 / widths / cell.values["edge"], axis=1)
    assert (np.abs(ratio - 1) < 0.25).all(), ratio


@pytest.mark.parametrize("activation", PHI)
def test_networks_of_one_and_more_layers_are_trained_through_them(
    run_cells: Run, activation: str
) -> None:
    keys = {"activation": f'"{activation}"', "d": 6, "n": 5, "width": "[40]", "seeds": 2}
    for experiment, more in (
        ("spectrum", {}),
        ("tangent", {"trained": '["input", "both"]'}),
        ("joint", {"trained": '["output", "input", "both"]'}),
        ("deep", {"trained": '"both"', "depth": "[2]"}),
    ):
        descent = None if experiment in ("spectrum", "tangent") else {"steps": 3000}
        for cell in run_cells(experiment, descent, **keys, **more):
            assert (cell.status == Status.DONE).all(), (experiment, cell.message)
            if descent:
                loss = cell.values["loss_final"] / cell.values["loss_initial"]
                assert (loss < 0.9).all(), (experiment, loss)
