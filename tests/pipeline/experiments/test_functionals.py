"""Stored functionals of the features are those of the slow formulas, and move no other bit."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import xarray as xr

import pipeline
from pipeline.errors import SweepError
from pipeline.numerics.streams import Role
from pipeline.sweep_files.load import parse_sweep
from pipeline.theory import kernel_matrix
from pipeline.trial_status import Status

Run = Callable[..., list]


RIDGE = (1e-4, 1e-2, 1.0)
TEACHER = (
    '{ ridge = [1.0, 1e-4, 1e-2], labels = "linear", noise = 0.2, test_samples = 40 }'  # in any order
)
SMALL = {"d": "[6]", "n": "[20]", "width": "[8, 25, 300]", "seeds": 3}


def relu(z: np.ndarray) -> np.ndarray:
    return np.maximum(z, 0)


@pytest.mark.parametrize("nested", ["true", "false"])
def test_errors_and_trace_are_those_of_the_slow_formulas(run_cells: Run, nested: str) -> None:
    (cell,) = run_cells("conditioning", functionals=TEACHER, nested=nested, **SMALL)
    assert (cell.status == Status.DONE).all(), cell.message
    for seed, trial in enumerate(cell.trials):
        X, Z = trial.inputs(), trial.fresh_inputs(40)
        beta = trial.stream(Role.TEACHER).standard_normal(6)
        y = X @ beta + 0.2 * trial.stream(Role.NOISE).standard_normal(20)
        for index, k in enumerate((8, 25, 300)):
            W = trial.weights(k).standard_normal((k, 6))
            Phi = relu(W @ X.T)
            names = ("trace_kernel_pinv", "ridge_train_error", "ridge_test_error")
            found = {name: cell.values[name][index, seed] for name in names}
            gram = Phi.T @ Phi
            trace = np.trace(kernel_matrix(X, "relu") @ np.linalg.pinv(gram, rcond=1e-12))
            assert found["trace_kernel_pinv"] == pytest.approx(trace, rel=1e-6)
            for place, penalty in enumerate(RIDGE):
                stacked = np.vstack([Phi.T, np.sqrt(20 * penalty) * np.eye(k)])
                v = np.linalg.lstsq(stacked, np.append(y, np.zeros(k)), rcond=None)[0]
                train, test = (
                    np.mean((Phi.T @ v - y) ** 2),
                    np.mean((relu(Z @ W.T) @ v - Z @ beta) ** 2),
                )
                assert found["ridge_train_error"][place] == pytest.approx(train, rel=1e-7)
                assert found["ridge_test_error"][place] == pytest.approx(test, rel=1e-7)


def test_the_trace_of_linear_features_is_that_of_an_inverse_wishart_matrix(run_cells: Run) -> None:
    """phi(z) = z on d >= n rows: E tr (G^T G)^-1 = n / (k - n - 1), whatever the rows."""
    keys = {"activation": '"linear"', "d": 12, "n": 10, "width": "[40]", "seeds": 400}
    (cell,) = run_cells("conditioning", functionals="{ }", **keys)
    found = cell.values["trace_kernel_pinv"][0]
    error = found.std() / np.sqrt(len(found))
    assert abs(found.mean() - 10 / 29) < 4 * error
    assert error < 0.02 * found.mean()


def test_the_training_error_follows_its_deterministic_equivalent(run_cells: Run) -> None:
    """Louart, Liao and Couillet (2018), theorem 3, for T = n samples and k neurons, both large."""
    n, k, penalty = 160, 240, 0.1
    keys = {"d": 60, "n": n, "width": f"[{k}]", "seeds": 8}
    (cell,) = run_cells("conditioning", functionals=f"{{ ridge = {penalty} }}", **keys)
    predicted = []
    for trial in cell.trials:
        values, basis = np.linalg.eigh(kernel_matrix(trial.inputs(), "relu"))
        along = basis.T @ trial.stream(Role.LABELS).choice([-1.0, 1.0], n)
        delta = 0.0
        for _ in range(500):
            psi = k / n * values / (1 + delta)
            q = 1 / (psi + penalty)
            delta = np.sum(values * q) / n
        middle = np.sum(psi * q**2) / k / (1 - np.sum((psi * q) ** 2) / k) * psi + 1
        predicted.append(penalty**2 / n * np.sum(along**2 * q**2 * middle))
    found = cell.values["ridge_train_error"][0, :, 0]
    assert np.mean(found / predicted) == pytest.approx(1, abs=0.05)


def test_no_other_bit_moves_and_no_width_depends_on_another(run_cells: Run) -> None:
    (plain,) = run_cells("conditioning", **SMALL)
    (more,) = run_cells("conditioning", functionals=TEACHER, **SMALL)
    (alone,) = run_cells("conditioning", functionals=TEACHER, **(SMALL | {"width": "[300]"}))
    for name in set(plain.values) - {"seconds"}:
        np.testing.assert_array_equal(plain.values[name], more.values[name], err_msg=name)
    for name in ("trace_kernel_pinv", "ridge_train_error", "ridge_test_error", "sigma_min"):
        np.testing.assert_array_equal(alone.values[name][0], more.values[name][2], err_msg=name)


def test_penalties_are_a_coordinate_and_belong_to_the_identity(sweep_text, tmp_path) -> None:
    plain = parse_sweep(sweep_text("conditioning", **SMALL))
    asked = parse_sweep(sweep_text("conditioning", functionals=TEACHER, **SMALL))
    assert "functionals" not in plain.identity_fields
    assert asked.identity_fields["functionals"]["ridge"] == list(RIDGE)
    assert asked.identity_fields.keys() - plain.identity_fields.keys() == {"functionals"}
    pipeline.run(asked, tmp_path / "f.zarr")
    ds = xr.open_zarr(tmp_path / "f.zarr")
    assert ds.ridge.values.tolist() == list(RIDGE)
    assert "penalty" in ds.ridge.attrs["long_name"]
    assert ds.ridge_train_error.dims == ("d", "n", "width", "seed", "ridge")
    falls = ds.ridge_train_error.diff("ridge")
    assert (falls >= 0).all()  # a larger penalty fits less
    assert (ds.trace_kernel_pinv > 0).all()


@pytest.mark.parametrize(
    ("experiment", "table", "message"),
    [
        ("spectrum", "{ ridge = [1.0] }", "functionals: spectrum stores no functionals of features"),
        (
            "conditioning",
            "{ ridge = [0.0] }",
            "functionals.ridge[0]: got 0.0, expected a number above 0",
        ),
        ("conditioning", "{ ridge = [1.0, 1.0] }", "functionals.ridge: 1 is listed twice; remove one"),
        ("conditioning", "{ ridge = 'x' }", "functionals.ridge: got 'x', expected a number"),
        (
            "conditioning",
            "{ noise = 0.1 }",
            "functionals.noise: has no effect without ridge regression",
        ),
        ("conditioning", "{ ridge = 1.0, labels = 'sign' }", "functionals.labels: got 'sign'"),
        (
            "conditioning",
            "{ ridge = 1.0, units = 4 }",
            "functionals.units: got 4, but labels are signs",
        ),
        ("conditioning", "{ ridge = 1.0, test_samples = 9 }", "random labels tell nothing of fresh"),
        ("conditioning", "{ ridges = 1.0 }", "functionals.ridges: unknown key"),
        ("input", "{ ridge = 1.0 }", "functionals: input stores no functionals of features"),
    ],
)
def test_a_table_that_cannot_be_meant_is_refused(
    sweep_text, experiment: str, table: str, message: str
) -> None:
    keys = SMALL | {"width": "[8, 26]"}
    with pytest.raises(SweepError) as refused:
        parse_sweep(sweep_text(experiment, functionals=table, **keys))
    assert message in str(refused.value)


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        ('{ kind = "circle" }', "functionals.test_samples: a circle dataset has no fresh samples"),
        ('{ kind = "pairs", angle = 0.1 }', "got 9, but a pairs dataset needs a multiple of 2"),
    ],
)
def test_a_test_set_that_cannot_be_drawn_is_refused(sweep_text, dataset: str, message: str) -> None:
    table = '{ ridge = 1.0, labels = "linear", test_samples = 9 }'
    with pytest.raises(SweepError) as refused:
        parse_sweep(sweep_text("conditioning", functionals=table, dataset=dataset, **SMALL))
    assert message in str(refused.value)
