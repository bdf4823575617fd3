"""A folder with a sweep and a file of one's own, as a user writes them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

SWEEP = """
name = "mine"
experiment = "mine.py:gap"
entropy = 1
dataset = { kind = "sphere" }
d = [3]
n = [4, 6]
width = { k_per_n = [1.5, 2.0, 4.0] }
seeds = 5
[parameters]
noise = [0.0, 0.1]
depth = 2
"""

CODE = """
import numpy as np
from pipeline import Trial, experiment, variable

@experiment(
    gap=variable("largest minus least singular value"),
    loss=variable("loss", dims=("step",), coords={"step": [1, 10, 100]}, units="nat"),
)
def gap(trial: Trial):
    X = trial.inputs()
    W = trial.weights()
    E = trial.rng("noise").standard_normal((trial.k, trial.n))
    s = np.linalg.svd(np.maximum(W @ X.T, 0) + trial.parameters["noise"] * E, compute_uv=False)
    return {"gap": s[0] - s[-1], "loss": [1.0, 0.5, trial.parameters["depth"]]}
"""

ONE = """
from pipeline import Diverged, Trial, experiment, variable

@experiment(value=variable("a value"))
def one(trial: Trial):
    {body}
"""

SMALL = """
name = "one"
experiment = "one.py:one"
width = [1, 2, 3]
seeds = 4
"""


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """The sweep of the documentation, on small sizes, with its file beside it."""
    Path(tmp_path, "mine.py").write_text(CODE)
    sweep = Path(tmp_path, "mine.toml")
    sweep.write_text(SWEEP)
    return sweep


@pytest.fixture
def one(tmp_path: Path) -> Callable[..., Path]:
    """Write a sweep whose function has a given body."""

    def write(body: str, sweep: str = SMALL) -> Path:
        lines = "\n    ".join(body.strip().splitlines())
        Path(tmp_path, "one.py").write_text(ONE.format(body=lines))
        Path(tmp_path, "one.toml").write_text(sweep)
        return Path(tmp_path, "one.toml")

    return write
