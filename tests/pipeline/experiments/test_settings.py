"""Sweeps with settings of training, from the file to the store, beside plain NumPy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from scipy import stats

import analysis
import pipeline
from pipeline.experiments import SeedTrial, experiment_of
from pipeline.experiments.start import fresh_set, initial_network, labels
from pipeline.experiments.training import curvature
from pipeline.numerics.streams import Role
from pipeline.sweep_files.load import parse_sweep
from pipeline.trial_status import Status

Run = Callable[..., list]


def sweep_file(experiment: str = "input", descent: str = "", labels: str = "", start: str = "") -> str:
    """A small sweep with lines of its tables."""
    return (
        f'name = "a"\nexperiment = "{experiment}"\nentropy = 5\ndataset = {{ kind = "sphere" }}\n'
        f'd = 4\nn = 10\nwidth = [6, 16]\nseeds = 2\nactivation = "relu"\n'
        f"[descent]\n{descent}\n[labels]\n{labels}\n[start]\n{start}\n"
    )


@pytest.fixture
def run_text(tmp_path_factory) -> Callable[..., xr.Dataset]:
    """Run a sweep into a store, and open it by plain xarray."""

    def run(text: str) -> xr.Dataset:
        path = tmp_path_factory.mktemp("store") / "a.zarr"
        pipeline.run(parse_sweep(text), path)
        return xr.open_zarr(path).load()

    return run


def trials(text: str, folder: Path | None = None, **at):
    """The trials of one cell of a sweep."""
    sweep = parse_sweep(text, folder=folder)
    cell = next(cell for cell in sweep.cells() if all(cell[key] == one for key, one in at.items()))
    sizes = {dim: len(values) for dim, values in sweep.inner.items()} | {"width": len(cell.widths)}
    return [
        SeedTrial(sweep.entropy, sweep.nested, cell, seed, sizes, sweep.descent) for seed in sweep.seeds
    ]


def test_methods_as_an_axis_are_stored_with_their_outcomes(run_text) -> None:
    descent = 'steps = 60\nmethod = ["gd", "momentum"]\nmomentum = 0.5\nstep_size = { absolute = 0.05 }'
    text = sweep_file(descent=descent + "\ntolerances = [0.5, 1e-9]")
    ds = run_text(text)
    assert ds.loss_final.dims == ("descent_method", "d", "n", "width", "seed")
    assert ds.descent_method.values.tolist() == ["gd", "momentum"]
    assert ds.descent_method.attrs["long_name"] == "how a gradient becomes a step"
    assert (ds.step_size == 0.05).all()
    for name in ("accuracy", "steps_to_accuracy", "rises", "sharpness"):
        assert ds[name].attrs["long_name"]
    for method, beta in (("gd", 0.0), ("momentum", 0.5)):
        for seed, trial in enumerate(trials(text, descent_method=method)):
            X, y = trial.inputs(), trial.signs()
            W = trial.weights(16).standard_normal((16, 4))
            v, m, losses, accuracy = np.resize([1.0, -1.0], 16) / 4, 0.0, [], []
            for _ in range(61):
                z = W @ X.T
                f = v @ np.maximum(z, 0)
                losses.append(np.sum((f - y) ** 2))
                accuracy.append(np.mean((f >= 0) == (y > 0)))
                last = W
                m = beta * m + (np.outer(v, f - y) * (z > 0)) @ X
                W = W - 0.05 * m
            one = ds.sel(descent_method=method, seed=seed, width=16).squeeze()
            assert one.loss_final == pytest.approx(losses[-1], rel=1e-9)
            assert one.accuracy == pytest.approx(accuracy[-1])
            assert one.rises == np.count_nonzero(np.diff(losses) > 0)
            met = np.array(losses) <= 0.5 * losses[0]
            assert one.steps_to_tolerance[0] == (met.argmax() if met.any() else np.inf)
            full = np.array(accuracy) == 1
            assert one.steps_to_accuracy == (full.argmax() if full.any() else np.inf)
            bent = (last @ X.T > 0) * v[:, None]
            sharpness = np.linalg.eigvalsh((bent.T @ bent) * (X @ X.T))[-1]
            assert one.sharpness == pytest.approx(sharpness, rel=1e-9)


def test_a_formula_gives_each_trial_its_budget(run_text) -> None:
    ds = run_text(sweep_file(descent='steps = "2 * k + n"\ntolerances = [1e-20]'))
    np.testing.assert_array_equal(ds.steps.squeeze(), [[22, 22], [42, 42]])


def test_diagnostics_alone_keep_the_outcomes_of_a_plain_sweep(run_cells) -> None:
    plain = run_cells("joint", {"steps": 90}, d=4, n=10, width="[6, 16]", trained='"both"')[0]
    more = run_cells(
        "joint", {"steps": 90, "diagnostics": "true"}, d=4, n=10, width="[6, 16]", trained='"both"'
    )[0]
    assert set(more.values) - set(plain.values) == {
        "accuracy", "steps_to_accuracy", "steps_to_loss", "test_accuracy", "rises", "sharpness",
    }  # fmt: skip
    for name in ("loss_final", "steps_to_tolerance", "distance", "ntk_max"):
        np.testing.assert_allclose(more.values[name], plain.values[name], rtol=1e-9)


def test_batches_are_an_axis_and_the_same_sweep_gives_the_same_bits(run_text) -> None:
    ds = run_text(sweep_file(descent="steps = 40\nbatch = [1, 3]\nstep_size = 0.1"))
    assert ds.batch.values.tolist() == [1, 3]
    assert (ds.status == Status.DONE).all()
    assert not np.allclose(ds.loss_final.sel(batch=1), ds.loss_final.sel(batch=3))
    again = run_text(sweep_file(descent="steps = 40\nbatch = [1, 3]\nstep_size = 0.1"))
    xr.testing.assert_equal(ds.drop_vars("seconds"), again.drop_vars("seconds"))


@pytest.mark.parametrize("loss", ["logistic", "squared_hinge"])
def test_losses_start_at_their_value_and_are_minimised(run_text, loss) -> None:
    text = sweep_file(descent=f'steps = 400\nloss = "{loss}"\ntarget_accuracy = 1.0')
    ds = run_text(text)
    for seed, trial in enumerate(trials(text)):
        margin = trial.signs() * initial_network(trial, 16).outputs(trial.inputs())
        each = np.log1p(np.exp(-margin)) if loss == "logistic" else np.maximum(0, 1 - margin) ** 2
        one = ds.sel(width=16, seed=seed).squeeze()
        assert one.loss_initial == pytest.approx(each.sum(), rel=1e-12)
        assert one.loss_final < 0.8 * one.loss_initial
        assert one.accuracy == 1
        assert one.steps_to_accuracy <= one.steps


@pytest.mark.parametrize("loss", ["squared", "logistic", "squared_hinge"])
def test_curvature_is_the_second_difference_of_the_loss(loss) -> None:
    y, f, h = np.array([1.0, -1.0, 1.0, -1.0]), np.array([0.3, 2.0, 1.7, -0.4]), 1e-4
    value = {
        "squared": lambda f: (f - y) ** 2 / 2,
        "logistic": lambda f: np.logaddexp(0, -y * f),
        "squared_hinge": lambda f: np.maximum(0, 1 - y * f) ** 2 / 2,
    }[loss]
    second = (value(f + h) - 2 * value(f) + value(f - h)) / h**2
    np.testing.assert_allclose(curvature(loss, f, y), second, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("loss", ["logistic", "squared_hinge"])
def test_what_is_stored_and_fitted_of_another_loss_has_its_name(run_text, loss) -> None:
    ds = run_text(sweep_file(descent=f'steps = 20\nloss = "{loss}"\nstep_size = 0.1'))
    words = loss.replace("_", " ")
    for name in ("loss_initial", "loss_final", "loss_curve", "tolerance"):
        assert words in ds[name].attrs["long_name"]
        assert "||r||" not in ds[name].attrs["long_name"]
    assert f"relative {words} loss <= tolerance" in analysis.critical_widths(ds).attrs["rule"]


def test_budgets_are_an_axis_and_a_trial_keeps_to_its_own(run_text) -> None:
    descent = 'steps = ["3 * n", "n * k"]\ntolerances = [1e-9]\nstep_size = 0.1'
    ds = run_text(sweep_file(descent=descent)).squeeze()
    assert ds.steps.dims == ("most_steps", "width", "seed")
    assert (ds.steps.sel(most_steps="3 * n") == 30).all()
    assert (ds.steps.sel(most_steps="n * k") == 10 * ds.k).all()
    short, long = sweep_file(descent="steps = 30"), sweep_file(descent="steps = [30, 40]")
    alone, both = run_text(short), run_text(long).sel(most_steps=30)
    np.testing.assert_allclose(both.loss_final, alone.loss_final, rtol=1e-9)
    assert "within budget (most_steps)" in analysis.critical_widths(ds).attrs["rule"]


def test_layers_have_step_sizes_of_their_own(run_text) -> None:
    """One step moves each layer by minus its own step size times its gradient."""
    descent = 'steps = 1\ntolerances = [1e-9]\nstep_size = { absolute = 0.1 }\nv_step = "1 / k"'
    text = sweep_file("deep", descent + "\nhidden_step = 3.0").replace(
        "seeds = 2", "seeds = 2\ndepth = 2"
    )
    ds = run_text(text).squeeze()
    for seed, trial in enumerate(trials(text)):
        network, X, y = initial_network(trial, 16), trial.inputs(), trial.signs()
        gradient = network.jacobian(X).T @ (network.outputs(X) - y)
        steps = 0.1 * np.repeat([1.0, 3.0, 1 / 16], [16 * 4, 16 * 16, 16])
        moved = network.moved(-steps * gradient)
        one = ds.sel(seed=seed, width=16)
        assert one.loss_final == pytest.approx(np.sum((moved.outputs(X) - y) ** 2), rel=1e-9)
        assert one.distance == pytest.approx(np.linalg.norm(steps * gradient), rel=1e-9)


def test_labels_follow_their_law_then_noise_then_signs_then_flips() -> None:
    teacher = [trial.stream(Role.TEACHER).standard_normal(4) for trial in trials(sweep_file())]
    for kind, noise in (("linear", "0.5"), ("linear", "0.0")):
        for trial, w in zip(
            trials(sweep_file(labels=f'kind = "{kind}"\nnoise = {noise}')), teacher, strict=True
        ):
            X = trial.inputs()
            wanted = X @ w + float(noise) * trial.stream(Role.NOISE).standard_normal(10)
            np.testing.assert_allclose(labels(trial, X), wanted, rtol=1e-12)
    for trial, w in zip(
        trials(sweep_file(labels='kind = "linear"\nclasses = true\nflip = 0.3')), teacher, strict=True
    ):
        X = trial.inputs()
        flipped = trial.stream(Role.FLIP).random(10) < 0.3
        np.testing.assert_array_equal(labels(trial, X), np.sign(X @ w) * np.where(flipped, -1, 1))


def test_a_network_teacher_is_a_small_network_of_the_same_activation() -> None:
    for trial in trials(sweep_file(labels='kind = "network"\nunits = 3')):
        X = trial.inputs()
        W = trial.stream(Role.TEACHER).standard_normal((3, 4))
        wanted = np.array([1.0, -1.0, 1.0]) @ np.maximum(W @ X.T, 0) / np.sqrt(3)
        np.testing.assert_allclose(labels(trial, X), wanted, rtol=1e-12)


def test_noise_and_flips_leave_the_other_draws_as_they_are() -> None:
    plain, noisy = trials(sweep_file())[0], trials(sweep_file(labels="noise = 0.1"))[0]
    np.testing.assert_array_equal(plain.inputs(), noisy.inputs())
    moved = labels(noisy, noisy.inputs()) - plain.signs()
    assert 0 < np.abs(moved).max() < 1


def trained_by_hand(trial: SeedTrial, k: int, steps: int, eta: float) -> Callable:
    """The outputs of a network whose W is trained step by step, as a function of inputs."""
    X, y = trial.inputs(), labels(trial, trial.inputs())
    W, v = trial.weights(k).standard_normal((k, 4)), np.resize([1.0, -1.0], k) / np.sqrt(k)
    for _ in range(steps):
        z = W @ X.T
        W = W - eta * (np.outer(v, v @ np.maximum(z, 0) - y) * (z > 0)) @ X
    return lambda rows: v @ np.maximum(W @ rows.T, 0)


def test_test_accuracy_is_that_of_fresh_samples_with_labels_that_no_flip_has_touched(run_text) -> None:
    descent = "steps = 50\ntolerances = [1e-9]\nstep_size = { absolute = 0.2 }\ntest_samples = 300"
    text = sweep_file(descent=descent, labels='kind = "linear"\nclasses = true\nflip = 0.2')
    ds = run_text(text)
    for seed, trial in enumerate(trials(text)):
        fresh = trial.stream(Role.TEST).standard_normal((300, 4))
        fresh /= np.linalg.norm(fresh, axis=1, keepdims=True)
        signs = np.sign(fresh @ trial.stream(Role.TEACHER).standard_normal(4))
        outputs = trained_by_hand(trial, 16, 50, 0.2)(fresh)
        wanted = np.mean((outputs >= 0) == (signs > 0))
        assert 0.5 < wanted < 1
        assert ds.test_accuracy.sel(seed=seed, width=16).item() == pytest.approx(wanted)
    assert np.isnan(run_text(text.replace("test_samples = 300", "")).test_accuracy).all()


def test_the_test_set_of_a_file_has_the_rows_that_training_has_not(tmp_path) -> None:
    rows = np.random.default_rng(0).standard_normal((25, 4))
    np.save(tmp_path / "rows.npy", rows)
    text = sweep_file(descent="test_samples = 15", labels='kind = "linear"')
    text = text.replace('kind = "sphere"', f'kind = "file", path = "{tmp_path / "rows.npy"}"')
    for trial in trials(text):
        both = np.concatenate([trial.inputs(), fresh_set(trial)[0]])
        np.testing.assert_array_equal(np.sort(both, axis=0), np.sort(rows, axis=0))
        wanted = fresh_set(trial)[0] @ trial.stream(Role.TEACHER).standard_normal(4)
        np.testing.assert_allclose(fresh_set(trial)[1], wanted)


def test_the_start_has_the_laws_and_scales_that_are_asked_for() -> None:
    start = 'W = "uniform"\nW_scale = "1 / sqrt(d)"\nv = "gaussian"\nv_scale = 2.0\noutput = "1/k"'
    trial = trials(sweep_file(start=start))[0]
    network = initial_network(trial, 16)
    assert 0.4 < np.abs(network.W).max() <= 0.5
    assert network.scale == 1 / 16
    np.testing.assert_allclose(network.v, 2 * trial.stream(Role.OUTPUT).standard_normal(16))
    sphere = initial_network(trials(sweep_file(start='W = "sphere"\nW_scale = 3.0'))[0], 16)
    np.testing.assert_allclose(np.linalg.norm(sphere.W, axis=1), 3)
    np.testing.assert_array_equal(np.abs(sphere.v), 1 / 4)


def test_orthogonal_rows_are_uniform_and_nest() -> None:
    text = sweep_file(start='W = "orthogonal"\nW_scale = 2.0')
    trial = trials(text.replace("width = [6, 16]", "width = [6, 8000]"))[0]
    W, narrow = initial_network(trial, 8000).W / 2, initial_network(trial, 6).W / 2
    np.testing.assert_array_equal(narrow, W[:6])
    for group in W[:40].reshape(-1, 4, 4):
        np.testing.assert_allclose(group @ group.T, np.eye(4), atol=1e-14)
    # a coordinate of a uniform point on the sphere in four dimensions, in rows and in columns
    for entry in (W[0::4, 0], W[3::4, 0], W[3::4, 3]):
        assert stats.kstest((entry + 1) / 2, stats.beta(1.5, 1.5).cdf).pvalue > 0.01


def test_later_layers_have_their_gain() -> None:
    text = sweep_file("deep", start="hidden_scale = 3.0").replace("d = 4", "d = 4\ndepth = 2")
    gained, plain = (
        initial_network(trials(one)[0], 16) for one in (text, text.replace("= 3.0", "= 1.0"))
    )
    np.testing.assert_allclose(gained.hidden, 3 * plain.hidden)
    np.testing.assert_array_equal(gained.W, plain.W)


def test_networks_with_biases_are_trained_as_a_plain_loop_trains_them(run_text) -> None:
    text = sweep_file(
        "joint",
        "steps = 40\ntolerances = [1e-9]\nstep_size = { absolute = 0.05 }\ntest_samples = 30",
        'kind = "linear"\nclasses = true',
        "bias = 0.5",
    ).replace("d = 4", 'd = 4\ntrained = "both"')
    ds = run_text(text).sel(width=16).squeeze()
    for seed, trial in enumerate(trials(text)):
        X, (Z, answers) = trial.inputs(), fresh_set(trial)
        W, b = (
            trial.weights(16).standard_normal((16, 4)),
            0.5 * trial.stream(Role.BIAS).standard_normal(16),
        )
        v, y, losses = np.resize([1.0, -1.0], 16) / 4, labels(trial, X), []
        for _ in range(41):
            z = W @ X.T + b[:, None]
            a = np.maximum(z, 0)
            r = v @ a - y
            losses.append(np.sum(r**2))
            last, signal = (W, b, v), np.outer(v, r) * (z > 0)
            W, b, v = W - 0.05 * signal @ X, b - 0.05 * signal.sum(axis=1), v - 0.05 * a @ r
        one = ds.sel(seed=seed)
        assert one.loss_initial == pytest.approx(losses[0], rel=1e-9)
        assert one.loss_final == pytest.approx(losses[-1], rel=1e-9)
        assert one.parameters == 16 * 6
        f = last[2] @ np.maximum(last[0] @ Z.T + last[1][:, None], 0)
        wanted = np.mean((f >= 0) == (answers > 0))
        assert one.test_accuracy == pytest.approx(wanted)


def test_biases_are_an_axis_nest_and_keep_the_other_draws() -> None:
    text = sweep_file(start="bias = [0.0, 0.5, 2.0]")
    none, half, two = (initial_network(trials(text, bias_scale=b)[0], 16) for b in (0.0, 0.5, 2.0))
    assert none.W.shape == (16, 4)
    np.testing.assert_array_equal(half.W[:, :4], none.W)
    np.testing.assert_allclose(two.W[:, 4], 4 * half.W[:, 4])
    narrow = initial_network(trials(text, bias_scale=0.5)[0], 6)
    np.testing.assert_array_equal(narrow.W, half.W[:6])
    many = trials(sweep_file(start="bias = 0.5").replace("[6, 16]", "[6, 20000]"))[0]
    assert stats.kstest(initial_network(many, 20000).W[:, 4], stats.norm(0, 0.5).cdf).pvalue > 0.01


def test_sizes_of_v_lie_above_the_norms_of_the_units_by_exponential_numbers() -> None:
    text = sweep_file(start='W = "uniform"\nv = "norm"\noutput = "1/k"').replace(
        "width = [6, 16]", "width = [6, 20000]"
    )
    trial = trials(text)[0]
    network, narrow = initial_network(trial, 20000), initial_network(trial, 6)
    np.testing.assert_array_equal(narrow.v, network.v[:6])
    beyond = np.abs(network.v) - np.linalg.norm(network.W, axis=1)
    assert stats.kstest(beyond, stats.expon.cdf).pvalue > 0.01
    assert stats.binomtest(int((network.v > 0).sum()), 20000).pvalue > 0.01
    assert abs(np.corrcoef(network.v > 0, beyond)[0, 1]) < 0.03


def test_a_shell_has_norms_and_labels_of_sizes_between_one_and_two() -> None:
    text = sweep_file(labels='kind = "shell"').replace('kind = "sphere"', 'kind = "shell"')
    trial = trials(text.replace("n = 10", "n = 5000"))[0]
    X, y = trial.inputs(), labels(trial, trial.inputs())
    for sizes in (np.linalg.norm(X, axis=1), np.abs(y)):
        assert stats.kstest(sizes, stats.uniform(1, 1).cdf).pvalue > 0.01
    assert stats.binomtest(int((y > 0).sum()), 5000).pvalue > 0.01
    halves = X / np.linalg.norm(X, axis=1, keepdims=True) > 0
    assert abs(halves.mean(axis=0) - 0.5).max() < 0.03


def test_a_trial_goes_on_until_its_loss_meets_the_target(run_text) -> None:
    descent = "steps = 3000\ntolerances = [0.9]\nstep_size = 0.5\ntarget_loss = [0.05, 1e-30]"
    ds = run_text(sweep_file(descent=descent)).sel(width=16).squeeze()
    met, never = ds.sel(target_loss=0.05), ds.sel(target_loss=1e-30)
    assert (met.loss_final <= 0.05).all()
    assert (met.steps_to_loss == met.steps).all()
    assert (met.steps > met.steps_to_tolerance).all()
    assert (never.steps == 3000).all()
    assert np.isinf(never.steps_to_loss).all()


def test_an_absolute_step_may_be_a_formula_of_the_sizes(run_text) -> None:
    ds = run_text(sweep_file(descent='steps = 3\nstep_size = { absolute = "k / n" }'))
    np.testing.assert_array_equal(ds.step_size.squeeze().isel(seed=0), [6 / 10, 16 / 10])


def test_where_v_is_fixed_output_scalings_are_scales_of_v(run_text) -> None:
    """1/sqrt(k) with v = +-1 is the paper's start; 1/k is one that is sqrt(k) times smaller."""
    ds = run_text(sweep_file(descent="steps = 50", start='output = ["1", "1/sqrt(k)", "1/k"]'))
    paper, same, small = (ds.sel(output_scale=one) for one in ds.output_scale.values)
    np.testing.assert_allclose(same.loss_final, paper.loss_final, rtol=1e-9)
    np.testing.assert_allclose(small.ntk_max, paper.ntk_max / paper.k, rtol=1e-9)


def test_a_start_at_zero_is_that_of_the_closed_form_of_the_output_layer(run_text, run_cells) -> None:
    text = sweep_file("joint", "steps = 70\ntolerances = [1e-20]", start='v = "zero"')
    ds = run_text(text.replace('"relu"', '"relu"\ntrained = "output"'))
    keys = {"d": 4, "n": 10, "width": "[6, 16]", "seeds": 2, "entropy": 5, "activation": '"relu"'}
    exact = run_cells("output", {"steps": 70, "tolerances": "[1e-20]"}, **keys)[0]
    np.testing.assert_allclose(ds.loss_final.squeeze(), exact.values["loss_final"], rtol=1e-8)


@pytest.mark.slow
def test_a_sweep_in_float32_gives_the_same_outcome_to_its_rounding(run_text) -> None:
    descent = 'steps = 30\ntolerances = [1e-6]\nstep_size = 0.3\ndtype = ["float64", "float32"]'
    ds = run_text(sweep_file(descent=descent))
    double, single = (ds.loss_final.sel(precision=one) for one in ds.precision.values)
    assert (double != single).any()
    np.testing.assert_allclose(single, double, rtol=1e-3)


def test_the_kernel_of_gaussian_weights_is_not_stored_beside_other_weights(run_text) -> None:
    gaussian = run_text(sweep_file("deep", "steps = 5\ndiagnostics = true"))
    uniform = run_text(sweep_file("deep", "steps = 5", start='W = "uniform"'))
    biased = run_text(sweep_file("deep", "steps = 5", start="bias = 0.3"))
    for name in ("edge", "kernel_alpha", "kernel_alpha_error"):
        assert np.isfinite(gaussian[name]).all()
        assert np.isnan(uniform[name]).all()
        assert np.isnan(biased[name]).all()
    assert np.isfinite(uniform.sigma_max).all()


def table_of_one_own(folder: Path) -> np.ndarray:
    """A .csv file of 25 rows of four inputs, with a label of 3 or 7 between them; its numbers."""
    rng = np.random.default_rng(1)
    table = np.insert(rng.standard_normal((25, 4)), 2, rng.choice([3.0, 7.0], 25), axis=1)
    np.savetxt(folder / "table.csv", table, delimiter=",", header="a,b,label,c,d", comments="")
    np.save(folder / "rows.npy", np.delete(table, 2, axis=1))
    np.save(folder / "y.npy", table[:, 2])
    return table


@pytest.mark.parametrize(
    ("rows", "chosen"),
    [
        ("table.csv", 'column = "label"'),
        ("table.csv", "column = 2"),
        ("rows.npy", 'path = "y.npy"'),
        ("rows.npy", 'path = "table.csv"\ncolumn = "label"'),
    ],
)
def test_labels_of_a_file_stay_with_their_rows(tmp_path, rows, chosen) -> None:
    table = table_of_one_own(tmp_path)
    text = sweep_file(descent="test_samples = 15", labels=f'kind = "file"\n{chosen}')
    text = text.replace('kind = "sphere"', f'kind = "file", path = "{rows}"')
    for classes in (False, True):
        written = text.replace("[start]", f"classes = {str(classes).lower()}\n[start]")
        for trial in trials(written, folder=tmp_path):
            X, (fresh, answers) = trial.inputs(), fresh_set(trial)
            places = [int(np.flatnonzero(table[:, 0] == row[0])[0]) for row in (*X, *fresh)]
            assert sorted(places) == list(range(25))
            wanted = table[places, 2]
            wanted = np.where(wanted == 7, 1.0, -1.0) if classes else wanted
            np.testing.assert_array_equal([*labels(trial, X), *answers], wanted)
            np.testing.assert_array_equal(X, np.delete(table[places[:10]], 2, axis=1))


def test_labels_that_change_after_the_sweep_was_read_fail_its_trials(tmp_path) -> None:
    table_of_one_own(tmp_path)
    text = sweep_file(descent="steps = 5", labels='kind = "file"\npath = "y.npy"')
    text = text.replace('kind = "sphere"', 'kind = "file", path = "rows.npy"')
    sweep, other = parse_sweep(text, folder=tmp_path), np.load(tmp_path / "y.npy")
    other[0] += 1
    np.save(tmp_path / "y.npy", other)
    assert parse_sweep(text, folder=tmp_path).identity != sweep.identity
    pipeline.run(sweep, tmp_path / "a.zarr")
    ds = xr.open_zarr(tmp_path / "a.zarr")
    assert (ds.status == Status.FAILED).all()
    assert "y.npy: changed since the sweep was read" in str(ds.message.values.ravel()[0])


def seconds(descent: str, trained: str = "both") -> float:
    """The estimated time of a seed."""
    text = sweep_file("joint", f"tolerances = [1e-9]\n{descent}")
    sweep = parse_sweep(text.replace('"relu"', f'"relu"\ntrained = "{trained}"'))
    return experiment_of(sweep).seconds(next(sweep.cells()), sweep.descent)


def test_estimates_know_what_the_settings_cost() -> None:
    adam = 'method = "adam"\nstep_size = { absolute = 0.1 }\nsteps = '
    assert 8 < seconds(adam + "200000") / seconds(adam + "20000") < 12
    alone = "diagnostics = true\nsteps = "  # v alone is trained step by step then
    assert 8 < seconds(alone + "200000", "output") / seconds(alone + "20000", "output") < 12
    assert seconds('steps = ["10 * n", "n"]') == seconds("steps = 100\ndiagnostics = true")
