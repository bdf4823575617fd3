"""Networks satisfy all of few random patterns, and miss a share of many: the jump of jamming."""

from __future__ import annotations

import runpy
import shutil
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

import analysis
import pipeline
from analysis.success import Success
from analysis.transitions.scales import Along
from pipeline.trial_status import Status

FOLDER = Path(str(files("jobs") / "examples" / "jamming"))
SMALL = (
    ("seeds = 6", "seeds = 4"),
    ("steps = 20000", "steps = 2000"),
    ("step_size = 3e-3", "step_size = 1e-2"),
    ("ratio = [1.25, 1.5, 1.75, 2.0, 2.25, 2.5, 2.75]", "ratio = [0.5, 6.0]"),
    ("k = [17]", "k = [8]"),
    ("k = [12]", "k = [7]"),
    ("k = [10]", "k = [6]"),
)


def small(folder: Path) -> Path:
    """The example with other numbers, in a folder of its own."""
    shutil.copy(FOLDER / "jamming.py", folder)
    text = (FOLDER / "jamming.toml").read_text()
    for given, other in SMALL:
        assert given in text
        text = text.replace(given, other)
    (folder / "jamming.toml").write_text(text)
    return folder / "jamming.toml"


@pytest.fixture(scope="module")
def code():
    return runpy.run_path(str(FOLDER / "jamming.py"))


def test_the_gradient_is_that_of_the_loss(code) -> None:
    rng = np.random.default_rng(1)
    X, y = rng.standard_normal((30, 4)), rng.choice([-1.0, 1.0], 30)
    theta, layers = code["start"](rng, 4, 3)
    theta += 0.1 * rng.standard_normal(theta.size)

    def missing():
        return np.maximum(1 - y * code["forward"](layers, X)[1], 0)

    inputs, _ = code["forward"](layers, X)
    found = code["gradient"](layers, inputs, -y * missing() / 30)
    assert found.size == 3 * (16 + 4) + 4 + 1
    for index in range(theta.size):
        ends = []
        for shift in (1e-6, -2e-6):
            theta[index] += shift
            ends.append(missing() @ missing() / 60)
        theta[index] += 1e-6
        assert found[index] == pytest.approx((ends[0] - ends[1]) / 2e-6, abs=1e-7)


def test_the_start_has_orthogonal_rows_and_no_bias(code) -> None:
    _, layers = code["start"](np.random.default_rng(2), 6, 2)
    for W, b in layers:
        np.testing.assert_allclose(W @ W.T, np.eye(len(W)), atol=1e-12)
        assert not b.any()


@pytest.mark.slow
def test_few_patterns_are_satisfied_and_of_many_a_share_of_n_is_not(tmp_path: Path) -> None:
    pipeline.run(pipeline.load_sweep(small(tmp_path)), tmp_path / "jamming.zarr")
    ds = analysis.open_store(tmp_path / "jamming.zarr").load()
    done = ds.status == Status.DONE
    assert done.sum() == 3 * 2 * 4
    weights = (ds.depth * ds.k**2 + ds.k).broadcast_like(done)
    assert (ds.weights == weights).where(done, True).all()
    missed = (ds.unsatisfied / ds.weights).where(done)
    assert (missed.sel(ratio=0.5).median("seed").fillna(0) <= 0.1).all()
    assert (missed.sel(ratio=6.0).min() >= 0.4).item()
    jammed = done & (ds.unsatisfied > 0)
    assert (ds.loss.where(jammed, 1.0) > 0).all()
    assert (ds.steps_taken.where(jammed, 2000) == 2000).all()
    assert (ds.loss.where(done & ~jammed, 0.0) == 0).all()
    success = Success(condition="unsatisfied <= 0.1 * weights")
    found = analysis.critical_widths(ds, success=success, along=Along("ratio")).ratio50
    assert 0.5 < found.sel(depth=1, width=8).item() < 6
