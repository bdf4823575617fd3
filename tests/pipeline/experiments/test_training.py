"""Trained networks as stored: input layer, all layers, depth, a teacher's labels."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy import integrate, special

from pipeline.errors import SweepError
from pipeline.experiments.start import initial_network
from pipeline.numerics.datasets import draw
from pipeline.numerics.streams import Role
from pipeline.theory.kernels import deep_kernel, kernel_matrix
from pipeline.trial_status import Status

Run = Callable[..., list]

PHI = {"relu": lambda z: np.maximum(z, 0), "softplus": lambda z: np.logaddexp(0, z), "tanh": np.tanh}
SLOPE = {
    "relu": lambda z: (z > 0).astype(float),
    "softplus": special.expit,
    "tanh": lambda z: 1 - np.tanh(z) ** 2,
}


def descend(trial, k: int, y: np.ndarray, eta: float, steps: int) -> tuple[np.ndarray, float, tuple]:
    """Squared residuals of a plain loop on one hidden layer, the distance, and the last weights."""
    cell, X = trial.cell, trial.inputs()
    W = trial.weights(k).standard_normal((k, cell.d))
    v = np.resize([1.0, -1.0], k) / np.sqrt(k)
    W0, v0, losses = W, v, []
    for step in range(steps + 1):
        z = W @ X.T
        phi = PHI[cell.activation](z)
        r = v @ phi - y
        losses.append(r @ r)
        if step < steps:
            G = (np.outer(v, r) * SLOPE[cell.activation](z)) @ X
            W = W - eta * G * (cell.trained != "output")
            v = v - eta * phi @ r * (cell.trained != "input")
    return np.array(losses), np.sqrt(np.sum((W - W0) ** 2) + np.sum((v - v0) ** 2)), (W, v)


@pytest.mark.parametrize("activation", ["relu", "softplus", "tanh"])
def test_joint_training_is_that_of_a_plain_loop(run_cells: Run, activation: str) -> None:
    """v only, from the closed form, W only and both, from the compiled loop."""
    tolerances = np.array([0.6, 0.3, 1e-2])
    descent = {"steps": 80, "tolerances": tolerances.tolist(), "step_size": 0.7}
    keys = {"activation": f'"{activation}"', "trained": '["both", "input", "output"]'}
    cells = run_cells("joint", descent, d=6, n=12, width="[4, 16, 60]", **keys)
    assert [cell.cell.trained for cell in cells] == ["both", "input", "output"]
    for cell in cells:
        assert (cell.status == Status.DONE).all()
        for index, k in enumerate(cell.cell.widths):
            for seed, trial in enumerate(cell.trials):
                found = {name: value[index, seed] for name, value in cell.values.items()}
                network, X, y = initial_network(trial, k), trial.inputs(), trial.signs()
                J = network.jacobian(X)
                sigma = np.linalg.svd(J, compute_uv=False) ** 2
                assert found["parameters"] == J.shape[1]
                assert found["ntk_max"] == pytest.approx(sigma[0], rel=1e-10)
                least = sigma[-1] if J.shape[1] >= 12 else 0.0
                assert found["ntk_min"] == pytest.approx(least, abs=1e-10 * sigma[0])
                eta = 0.7 / sigma[0]
                losses, distance, _ = descend(trial, k, y, eta, 80)
                taken = int(found["steps"])
                assert found["step_size"] == pytest.approx(eta, rel=1e-10)
                assert found["loss_initial"] == pytest.approx(losses[0], rel=1e-10)
                assert found["loss_final"] == pytest.approx(losses[taken], rel=1e-7)
                if taken == 80:
                    assert found["distance"] == pytest.approx(distance, rel=1e-7)
                met = losses[:, None] <= tolerances * losses[0]
                first = np.where(met.any(axis=0), met.argmax(axis=0), np.inf)
                np.testing.assert_array_equal(found["steps_to_tolerance"], first)
                marks = np.array(cell.sweep.descent.marks)
                marks = marks[marks <= taken]
                curve = found["loss_curve"][: len(marks)]
                np.testing.assert_allclose(curve, losses[marks] / losses[0], rtol=1e-7)
                assert np.isnan(found["loss_curve"][len(marks) :]).all()
                assert found["dead_samples"] == network.dead_samples(X)


def test_curves_are_kept_of_the_first_four_seeds(run_cells: Run) -> None:
    (cell,) = run_cells("input", {"steps": 20}, d=6, n=12, width="[4]", seeds=6)
    kept = ~np.isnan(cell.values["loss_curve"]).all(axis=-1)
    np.testing.assert_array_equal(kept[0], [True, True, True, True, False, False])


def test_wider_input_layers_are_trained_and_narrow_ones_are_not(run_cells: Run) -> None:
    descent = {"steps": 3000, "tolerances": "[1e-2]"}
    (cell,) = run_cells("input", descent, d=5, n=30, width="{ kd_per_n = [0.4, 8.0] }", seeds=4)
    trained = np.isfinite(cell.values["steps_to_tolerance"][..., 0])
    assert not trained[0].any()
    assert trained[1].all()


def test_a_sample_that_is_dead_stays_untrained(run_cells: Run) -> None:
    (cell,) = run_cells("input", {"steps": 2000}, d=2, n=12, width="[2, 4]", seeds=10)
    dead = cell.values["dead_samples"] > 0
    assert dead.any()
    assert (cell.values["loss_final"][dead] >= cell.values["dead_samples"][dead] * (1 - 1e-9)).all()


# ---- depth


@pytest.mark.parametrize("depth", [2, 3])
def test_the_deep_kernel_of_relu_is_its_closed_form(depth: int) -> None:
    X = draw_sphere(7, 4)
    K = X @ X.T
    for layer in range(depth):
        K = K if layer == 0 else 2 * K
        root = np.sqrt(np.outer(np.diag(K), np.diag(K)))
        rho = np.clip(K / root, -1, 1)
        K = root / (2 * np.pi) * (np.sqrt(1 - rho**2) + (np.pi - np.arccos(rho)) * rho)
    np.testing.assert_allclose(deep_kernel(X, "relu", depth), K, atol=1e-9)


@pytest.mark.parametrize("activation", ["relu", "softplus", "tanh", "gelu", "erf"])
def test_a_deep_kernel_of_one_layer_is_the_kernel(activation: str) -> None:
    X = draw_sphere(7, 4)
    np.testing.assert_array_equal(deep_kernel(X, activation, 1), kernel_matrix(X, activation))


def test_the_deep_kernel_of_one_point_is_an_integral() -> None:
    x = np.array([[0.6, 0.8]])
    q = 1.0
    for layer in range(3):
        scale = np.sqrt(q if layer == 0 else 2 * q)

        def square(g: float, scale: float = scale) -> float:
            return np.tanh(scale * g) ** 2 * np.exp(-(g**2) / 2) / np.sqrt(2 * np.pi)

        q = integrate.quad(square, -12, 12, epsabs=1e-13)[0]
        assert deep_kernel(x, "tanh", layer + 1)[0, 0] == pytest.approx(q, rel=1e-9)


@pytest.mark.parametrize("activation", ["relu", "softplus", "tanh"])
def test_wide_networks_have_the_deep_kernel(activation: str) -> None:
    """Twenty networks of 800 units: their mean Gram matrix within its own error and 1/k."""
    X, k, rng = draw_sphere(5, 4), 800, np.random.default_rng(4)
    grams: dict[int, list[np.ndarray]] = {2: [], 3: []}
    for _ in range(20):
        phi = PHI[activation](rng.standard_normal((k, 4)) @ X.T)
        for depth in (2, 3):
            phi = PHI[activation](rng.standard_normal((k, k)) @ phi * np.sqrt(2 / k))
            grams[depth].append(phi.T @ phi / k)
    for depth, found in grams.items():
        K = deep_kernel(X, activation, depth)
        error = np.std(found, axis=0, ddof=1) / np.sqrt(20)
        assert (np.abs(np.mean(found, axis=0) - K) <= 5 * error + 5 * K.max() / k).all()


def draw_sphere(n: int, d: int) -> np.ndarray:
    X = np.random.default_rng(9).standard_normal((n, d))
    return X / np.linalg.norm(X, axis=1, keepdims=True)


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_depth_stores_the_conditioning_of_its_last_features(run_cells: Run, activation: str) -> None:
    descent = {"steps": 50, "tolerances": "[1e-3]"}
    keys = {"activation": f'"{activation}"', "depth": "[1, 2, 3]", "trained": '["both", "output"]'}
    cells = run_cells("deep", descent, d=5, n=8, width="[6, 30]", seeds=2, **keys)
    assert len(cells) == 6
    for cell in cells:
        depth = cell.cell.depth
        for index, k in enumerate(cell.cell.widths):
            for seed, trial in enumerate(cell.trials):
                found = {name: value[index, seed] for name, value in cell.values.items()}
                X, y = trial.inputs(), trial.signs()
                phi = PHI[activation](trial.weights(k).standard_normal((k, 5)) @ X.T)
                layers = trial.stream(Role.HIDDEN, k).standard_normal((depth - 1, k, k))
                for weights in layers:
                    phi = PHI[activation](np.sqrt(2 / k) * weights @ phi)
                sigma = np.linalg.svd(phi, compute_uv=False)
                least = sigma[-1] if k >= 8 else 0.0
                assert found["sigma_max"] == pytest.approx(sigma[0], rel=1e-10)
                assert found["sigma_min"] == pytest.approx(least, abs=1e-10 * sigma[0])
                K = deep_kernel(X, activation, depth)
                alpha = np.sqrt(np.linalg.eigvalsh(K)[0])
                assert found["kernel_alpha"] == pytest.approx(alpha, rel=1e-6)
                assert 0 <= found["edge"] <= alpha**2
                start = np.sum((np.resize([1.0, -1.0], k) / np.sqrt(k) @ phi - y) ** 2)
                assert found["loss_initial"] == pytest.approx(start, rel=1e-10)
                inner = 5 * k + (depth - 1) * k * k
                assert found["parameters"] == k + inner * (cell.cell.trained == "both")


# ---- a teacher


def teach(trial, X: np.ndarray) -> np.ndarray:
    W = trial.stream(Role.TEACHER).standard_normal((8, trial.cell.d))
    return np.resize([1.0, -1.0], 8) @ PHI[trial.cell.activation](W @ X.T) / np.sqrt(8)


@pytest.mark.parametrize("activation", ["relu", "softplus"])
@pytest.mark.parametrize("kind", ['"sphere"', '"gaussian"', '"triples", angle = [0.2]'])
def test_labels_are_the_teachers_and_the_test_is_on_fresh_samples(
    run_cells: Run, activation: str, kind: str
) -> None:
    keys = {"activation": f'"{activation}"', "trained": '["input", "both"]'}
    dataset = f"{{ kind = {kind} }}"
    descent = {"steps": 30, "tolerances": "[1e-9]"}
    for cell in run_cells("generalisation", descent, dataset=dataset, d=4, n=12, width="[10]", **keys):
        assert (cell.status == Status.DONE).all()
        for seed, trial in enumerate(cell.trials):
            found = {name: value[0, seed] for name, value in cell.values.items()}
            X = trial.inputs()
            fresh = draw(cell.cell.dataset, trial.stream(Role.TEST), 1998, 4, angle=cell.cell.angle)
            y, answers = teach(trial, X), teach(trial, fresh)
            losses, distance, (W, v) = descend(trial, 10, y, found["step_size"], 30)
            assert found["loss_initial"] == pytest.approx(losses[0], rel=1e-10)
            assert found["loss_final"] == pytest.approx(losses[-1], rel=1e-7)
            assert found["distance"] == pytest.approx(distance, rel=1e-7)
            for name, inputs, labels in (("train_loss", X, y), ("test_loss", fresh, answers)):
                error = v @ PHI[activation](W @ inputs.T) - labels
                truth = np.minimum(error**2, 1).mean()
                assert found[name] == pytest.approx(truth, rel=1e-7)
                assert 0 <= found[name] <= 1


@pytest.mark.parametrize("kind", ["file", "circle"])
def test_a_dataset_without_fresh_samples_is_refused(run_cells: Run, tmp_path, kind: str) -> None:
    np.save(tmp_path / "rows.npy", np.random.default_rng(0).standard_normal((20, 3)))
    path = f', path = "{tmp_path / "rows.npy"}"' if kind == "file" else ""
    dataset = f'{{ kind = "{kind}"{path} }}'
    with pytest.raises(SweepError, match=f"got '{kind}', which has no fresh samples .* sphere"):
        run_cells("generalisation", {"steps": 5}, dataset=dataset, d=3, n=12, width="[10]")
