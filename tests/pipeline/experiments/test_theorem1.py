"""Theorem 1: wherever it applies, both of its inequalities hold at every step."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from pipeline.errors import SweepError
from pipeline.experiments.start import initial_network
from pipeline.trial_status import Status

Run = Callable[..., list]

ACTIVATIONS = (
    '["relu", "leaky_relu", "softplus", "tanh", "gelu", "erf", "elu", "selu", "gaussian", "linear"]'
)


def test_certified_descent_obeys_the_theorem(run_cells: Run) -> None:
    descent = {"steps": 400, "tolerances": "[1e-12]", "multiples": "[0.1, 1.0]"}
    keys = {"activation": ACTIVATIONS, "trained": '["input", "output", "both"]'}
    cells = run_cells("theorem1", descent, d=6, n=5, width="[20, 200]", seeds=2, **keys)
    assert len(cells) == 30
    for cell in cells:
        assert (cell.status == Status.DONE).all()
        certified = cell.values["certified"] == 1
        assert certified[1].all()
        # rounding: a residual that starts at 1e-6 of the outputs is known to ten digits
        for name in ("rate_ratio", "path_ratio", "lower_ratio", "upper_ratio"):
            ratios = cell.values[name][certified]
            assert (ratios > 0).all()
            assert (ratios <= 1 + 1e-7).all(), (name, cell.cell.activation, cell.cell.trained)
        assert (cell.values["relative_loss"][certified] < 1).all()


def test_constants_are_those_of_the_start(run_cells: Run) -> None:
    descent = {"steps": 20, "multiples": "[1.0, 10.0]"}
    keys = {"trained": '["input", "output", "both"]'}
    for cell in run_cells("theorem1", descent, d=6, n=5, width="[40, 100]", seeds=2, **keys):
        for index, k in enumerate(cell.cell.widths):
            for seed, trial in enumerate(cell.trials):
                found = {name: value[index, seed] for name, value in cell.values.items()}
                J = initial_network(trial, k).jacobian(trial.inputs())
                sigma = np.linalg.svd(J, compute_uv=False)
                assert found["jacobian_alpha"] == pytest.approx(sigma[-1] / 2, rel=1e-9)
                assert found["beta"] >= sigma[0] * (1 - 1e-12)
                if cell.cell.trained == "output":
                    assert found["radius"] == np.inf
                    assert found["epsilon"] == np.sqrt(5)
                else:
                    assert found["epsilon"] == pytest.approx(
                        found["jacobian_alpha"] * found["radius"] / 5, rel=1e-12
                    )


def test_the_output_layer_travels_the_linearised_shortest_distance(run_cells: Run) -> None:
    descent = {"steps": 100_000, "tolerances": "[1e-20]"}
    (cell,) = run_cells("theorem1", descent, trained='"output"', d=6, n=5, width="[60]")
    np.testing.assert_allclose(cell.values["shortest_ratio"], 1, atol=1e-6)


def test_at_a_small_residual_the_input_layer_does_so_too(run_cells: Run) -> None:
    descent = {"steps": 100_000, "tolerances": "[1e-10]", "multiples": "[0.01]"}
    (cell,) = run_cells("theorem1", descent, activation='"tanh"', d=6, n=4, width="[60]", seeds=2)
    np.testing.assert_allclose(cell.values["shortest_ratio"], 1, atol=1e-3)


@pytest.mark.parametrize("trained", ["input", "output", "both"])
@pytest.mark.parametrize("activation", ["relu", "softplus", "tanh"])
def test_where_alpha_is_zero_nothing_is_certified_and_nothing_run(
    run_cells: Run, activation: str, trained: str
) -> None:
    """An even number of points of the circle: every point has its opposite."""
    keys = {"activation": f'"{activation}"', "trained": f'"{trained}"'}
    (cell,) = run_cells(
        "theorem1", {"steps": 10}, dataset='{ kind = "circle" }', d=2, n=8, width="[60]", **keys
    )
    assert (cell.status == Status.DONE).all()
    assert all("no certificate" in message for message in cell.message.ravel())
    for name in ("jacobian_alpha", "radius", "epsilon", "certified"):
        assert (cell.values[name] == 0).all()
    assert np.isnan(cell.values["rate_ratio"]).all()


def test_a_residual_below_its_rounding_is_not_followed(run_cells: Run) -> None:
    descent = {"steps": 50, "multiples": "[1.0, 1e6]"}
    keys = {"trained": '"both"', "dataset": '{ kind = "pairs", angle = [1e-6] }'}
    (cell,) = run_cells("theorem1", descent, d=8, n=10, width="[40]", seeds=4, **keys)
    found = {name: value[0] for name, value in cell.values.items()}
    assert (found["certified"] == 1).all()
    assert (found["steps"][:, 0] == 0).all()
    assert (found["steps"][:, 1] > 0).all()
    for name in ("rate_ratio", "path_ratio", "lower_ratio", "upper_ratio", "shortest_ratio"):
        assert np.isnan(found[name][:, 0]).all()
        assert not np.isnan(found[name][:, 1]).any()
    assert all("nothing to follow at 1 times epsilon" in message for message in cell.message[0])


def test_a_budget_of_no_steps_compares_nothing(run_cells: Run) -> None:
    (cell,) = run_cells("theorem1", {"steps": 0}, d=6, n=5, width="[40]")
    assert (cell.status == Status.DONE).all()
    assert (cell.values["steps"] == 0).all()
    assert np.isnan(cell.values["rate_ratio"]).all()


def test_fewer_weights_than_samples_certify_nothing(run_cells: Run) -> None:
    (cell,) = run_cells("theorem1", {"steps": 10}, trained='"output"', d=6, n=12, width="[4]")
    assert all("no certificate" in message for message in cell.message.ravel())


def test_deeper_networks_are_measured_and_not_certified(run_cells: Run) -> None:
    keys = {"activation": '"softplus"', "depth": "[2, 3]", "trained": '"both"'}
    for cell in run_cells("theorem1", {"steps": 50}, d=6, n=4, width="[20]", seeds=2, **keys):
        assert (cell.status == Status.DONE).all()
        assert (cell.values["certified"] == 0).all()
        assert (cell.values["epsilon"] > 0).all()
        assert np.isfinite(cell.values["rate_ratio"]).all()


@pytest.mark.parametrize("activation", ["square", "cube", "hermite2", "hermite3"])
def test_polynomials_are_refused_as_their_slopes_have_no_bound(run_cells: Run, activation: str) -> None:
    with pytest.raises(SweepError, match=f"'{activation}', which theorem1 does not support"):
        run_cells("theorem1", {"steps": 2}, activation=f'"{activation}"', d=6, n=5, width="[20]")
