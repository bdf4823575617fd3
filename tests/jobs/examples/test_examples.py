"""The worked examples run as they are, and give the published answers."""

from __future__ import annotations

import shutil
import sys
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

import analysis
import pipeline
from analysis.success import Success
from pipeline.errors import SweepError
from pipeline.experiments import SeedTrial
from pipeline.experiments.start import initial_network, labels
from pipeline.maintenance.recompute import sample
from pipeline.numerics.streams import Role, named_stream, stream
from pipeline.sweep_files.extents import with_extents
from pipeline.trial_status import Status

EXAMPLES = Path(str(files("jobs") / "examples"))
OWN = {"jamming", "louart"}
"""Examples with a test file of their own."""

OTHERS = OWN | {"published"}
"""The list of published numbers is no sweep; `tests/jobs/test_published.py` reads it."""


def test_the_first_files_are_written_and_run(widthlaw, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    told = widthlaw("new", "first")
    assert told.stdout.split() == ["first.toml", "first.py"]
    assert 'name = "first"' in Path("first.toml").read_text()
    assert len(Path("first.py").read_text().splitlines()) <= 20
    sweep = pipeline.load_sweep("first.toml")
    outcome = pipeline.run(sweep, "first.zarr")
    assert (outcome.trials, outcome.failed) == (640, 0)
    Path("first.py").write_text("# mine by now")
    for name, message in (
        ("first", "first.toml is there already; choose another name"),
        ("no/such/folder", "there is no folder no/such; make it first"),
        ("a b", "expected a name of letters, digits and _, such as mine"),
    ):
        refused = widthlaw("new", name)
        assert refused.returncode == 2
        assert message in refused.stderr
        assert len(refused.stderr.splitlines()) == 1
    assert Path("first.py").read_text() == "# mine by now"


def test_the_threshold_of_random_3_xorsat_is_the_published_one(tmp_path: Path) -> None:
    for name in ("xorsat.toml", "xorsat.py"):
        shutil.copy(EXAMPLES / name, tmp_path)
    sweep = with_extents(pipeline.load_sweep(tmp_path / "xorsat.toml"), n=[200], seeds=range(40))
    pipeline.run(sweep, tmp_path / "xorsat.zarr")
    ds = analysis.open_store(tmp_path / "xorsat.zarr")
    assert np.all(np.diff(ds.solvable.values, axis=ds.solvable.dims.index("width")) <= 0)
    widths = analysis.critical_widths(ds, success=Success(condition="solvable == 0"))
    assert float(widths.k50.squeeze()) / 200 == pytest.approx(0.918, abs=0.03)


def converges_by_hand(trial: SeedTrial, k: int) -> float:
    """The first step of plain NumPy in float32 at which the sum of r^2 is below 1; inf if none."""
    network, X = initial_network(trial, k), trial.inputs()
    W, v, X, y = (a.astype(np.float32) for a in (network.W, network.v, X, labels(trial, X)))
    n, steps = len(X), np.ceil(1.5 * np.sqrt(len(X) * k) * np.log(len(X) * k) / 4)
    for step in range(int(steps) + 1):
        z = W @ X.T
        r = v @ np.maximum(z, 0) / np.float32(k) - y
        if np.sum(r * r) <= 1:
            return step
        to_W, to_v = (np.outer(v, r) * (z > 0)) @ X / n, np.maximum(z, 0) @ r / n
        W, v = W - to_W, v - to_v
    return np.inf


def test_weakly_interacting_data_converge_as_in_plain_numpy(tmp_path: Path) -> None:
    sweep = pipeline.load_sweep(EXAMPLES / "dana" / "dana.toml")
    sweep = with_extents(sweep, n=[30, 80, 150], seeds=range(12))
    pipeline.run(sweep, tmp_path / "dana.zarr")
    ds = analysis.open_store(tmp_path / "dana.zarr").load()
    converged = (ds.steps_to_loss < np.inf).mean("seed").squeeze()
    assert converged.sel(n=30) > 0.8
    assert converged.sel(n=150) == 0
    np.testing.assert_allclose(ds.step_size.sel(n=80), 30 / 80)
    sizes = {dim: len(values) for dim, values in sweep.inner.items()} | {"width": 1}
    for cell in sweep.cells():
        for seed in sweep.seeds:
            trial = SeedTrial(sweep.entropy, sweep.nested, cell, seed, sizes, sweep.descent)
            found = ds.steps_to_loss.sel(n=cell.n, seed=seed).item()
            wanted = converges_by_hand(trial, 30)
            assert found == wanted or abs(found - wanted) <= 1  # float32 sums have other orders


def test_a_convolution_needs_as_many_features_as_a_dense_layer(tmp_path: Path) -> None:
    for name in ("conv.toml", "conv.py"):
        shutil.copy(EXAMPLES / name, tmp_path)
    sweep = with_extents(pipeline.load_sweep(tmp_path / "conv.toml"), n=[50], seeds=range(10))
    pipeline.run(sweep, tmp_path / "conv.zarr")
    ds = analysis.open_store(tmp_path / "conv.zarr")
    assert (ds.status == Status.DONE).all()
    success = Success(condition="sigma_min / sqrt(k) >= alpha / 2")
    widths = analysis.critical_widths(ds, success=success).squeeze()
    assert "alpha" not in widths  # that of the example has one value for each width
    features = widths.k50 * 16 / 50
    assert features.sel(size=[4, 8, 16]).values == pytest.approx(2.1, abs=0.4)


def test_features_of_a_convolution_are_those_of_its_patches_one_by_one(tmp_path: Path) -> None:
    for name in ("conv.toml", "conv.py"):
        shutil.copy(EXAMPLES / name, tmp_path)
    text = (tmp_path / "conv.toml").read_text()
    for given, small in (("[2, 4, 8, 16]", "[3]"), ("[16]", "[5]"), ("[50, 100, 200]", "[6]")):
        text = text.replace(given, small)
    (tmp_path / "conv.toml").write_text(text)
    sweep = with_extents(pipeline.load_sweep(tmp_path / "conv.toml"), width=[7, 9], seeds=[3])
    pipeline.run(sweep, tmp_path / "conv.zarr")
    found = analysis.open_store(tmp_path / "conv.zarr").load().sigma_min.squeeze()
    X = stream(2020, 5, 6, 3, Role.DATA).standard_normal((6, 5))
    X /= np.linalg.norm(X, axis=1, keepdims=True)
    filters = named_stream(2020, 5, 6, 3, ("filters",)).standard_normal((9, 3))
    Phi = [
        [max(w @ [x[(place + i) % 5] for i in range(3)], 0) * np.sqrt(5 / 3) for x in X]
        for w in filters
        for place in range(5)
    ]
    sigma = np.linalg.svd(np.array(Phi), compute_uv=False)
    assert found.sel(width=9).item() == pytest.approx(sigma[-1], rel=1e-6)


def test_without_pytorch_its_example_is_refused_by_name(tmp_path, monkeypatch) -> None:
    for name in ("sgd.toml", "sgd.py"):
        shutil.copy(EXAMPLES / name, tmp_path)
    monkeypatch.setitem(sys.modules, "torch", None)  # as if it were not installed
    with pytest.raises(SweepError) as refused:
        pipeline.load_sweep(tmp_path / "sgd.toml")
    (problem,) = refused.value.problems
    assert problem.text.startswith("sgd.py: line 10: ModuleNotFoundError: ")
    assert "torch" in problem.text
    assert problem.text.endswith("; repair it, or install what it needs")


def test_wide_networks_fit_random_labels_in_pytorch_and_narrow_ones_do_not(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="PyTorch is not installed")
    for name in ("sgd.toml", "sgd.py"):
        shutil.copy(EXAMPLES / name, tmp_path)
    text = (tmp_path / "sgd.toml").read_text()
    for given, small in (
        ("n = [100]", "n = [40]"),
        ("epochs = 500", "epochs = 200"),
        ("{ start = 0.2, stop = 2.0, num = 8 }", "[0.25, 5.0]"),
    ):
        assert given in text
        text = text.replace(given, small)
    (tmp_path / "sgd.toml").write_text(text)
    sweep = with_extents(pipeline.load_sweep(tmp_path / "sgd.toml"), seeds=range(3))
    pipeline.run(sweep, tmp_path / "sgd.zarr")
    ds = analysis.open_store(tmp_path / "sgd.zarr").load()
    assert (ds.status == Status.DONE).all()
    assert np.isinf(ds.epochs_to_fit.sel(width=0.25)).all()
    assert (ds.epochs_to_fit.sel(width=5.0) <= 200).all()
    again = sample(tmp_path / "sgd.zarr", 4, code=tmp_path / "sgd.py")
    assert (again.trials, again.differences) == (4, ())


def test_every_example_is_tested() -> None:
    names = {file.stem for file in EXAMPLES.rglob("*.toml")}
    assert names == {"conv", "dana", "montanari-zhong", "new", "sgd", "xorsat"} | OTHERS
    assert {file.stem for file in EXAMPLES.rglob("*.py")} == {"conv", "new", "sgd", "xorsat"} | OWN


def test_the_lazy_kernel_leaves_0_at_the_count_of_parameters(tmp_path: Path) -> None:
    """Montanari and Zhong: regular as soon as kd exceeds n, half of its limit at some n / d."""
    sweep = pipeline.load_sweep(EXAMPLES / "montanari-zhong" / "montanari-zhong.toml")
    pipeline.run(with_extents(sweep, d=[20], n=[400], seeds=range(6)), tmp_path / "lazy.zarr")
    ds = analysis.open_store(tmp_path / "lazy.zarr").load()
    parameters = (ds.k * ds.d).broadcast_like(ds.ntk_min)
    assert (ds.ntk_min.where(parameters < ds.n, 0) == 0).all()
    assert (ds.ntk_min.where(parameters > ds.n, 1) > 0).all()
    widths = analysis.critical_widths(ds).squeeze()
    np.testing.assert_allclose(widths.k50 * 20 / 400, [6.3, 4.6], rtol=0.15)
    np.testing.assert_allclose(widths.k_edge / widths.k50, 1, atol=0.12)
