"""An experiment, a kind of dataset and an activation each need one record and one line."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import xarray as xr

import pipeline
from pipeline import experiments
from pipeline.errors import SweepError
from pipeline.experiments.base import Experiment, Variable, WidthResult, blank, describe, visit_widths
from pipeline.numerics import datasets
from pipeline.numerics.datasets import Kind
from pipeline.sweep_files.load import parse_sweep

PACKAGE = Path(pipeline.__file__).parent


def test_an_experiment_is_a_file_and_a_line(monkeypatch, sweep_text, tmp_path) -> None:
    variables = (Variable("row_norm", ("width",), "norm of the last row of W"),)

    def run_seed(trial):
        def last_row(index, k):
            W = trial.weights(k).standard_normal((k, trial.cell.d))
            return WidthResult({"row_norm": np.linalg.norm(W[-1])})

        return visit_widths(trial, blank(trial, variables), last_row)

    module = ModuleType("pipeline.experiments.rows")
    module.EXPERIMENT = Experiment(variables, run_seed, lambda cell, descent: 1e-3)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setitem(experiments.MODULES, "rows", "rows")
    sweep = parse_sweep(sweep_text("rows", d=3, n=5, width="[4, 8]"))
    pipeline.run(sweep, tmp_path / "rows.zarr")
    found = xr.open_zarr(tmp_path / "rows.zarr").row_norm
    assert found.attrs["long_name"] == "norm of the last row of W"
    assert found.sizes["width"] == 2
    assert (found > 0).all()


def test_a_kind_of_dataset_is_a_record_and_a_line(monkeypatch, sweep_text, tmp_path) -> None:
    def cube(spec, rng, n, d, angle):
        return rng.choice([-1.0, 1.0], (n, d)) / np.sqrt(d)

    monkeypatch.setitem(datasets.KINDS, "cube", Kind(cube, multiple=2, least_d=3))
    keys = {"dataset": '{ kind = "cube" }', "width": "[8, 16]"}
    sweep = parse_sweep(sweep_text("conditioning", d=12, n=6, **keys))
    assert pipeline.run(sweep, tmp_path / "cube.zarr").failed == 0
    trained = parse_sweep(sweep_text("generalisation", {"steps": 5}, d=12, n=6, **keys))
    assert pipeline.run(trained, tmp_path / "trained.zarr").failed == 0
    for impossible in ({"d": 12, "n": 7}, {"d": 2, "n": 6}):
        with pytest.raises(SweepError):
            parse_sweep(sweep_text("conditioning", **impossible, **keys))
    with pytest.raises(SweepError, match="angle"):
        parse_sweep(
            sweep_text(
                "conditioning", d=12, n=6, width="[8]", dataset='{ kind = "cube", angle = [1.0] }'
            )
        )


SWISH = '''
"""Swish."""

import numpy as np

from pipeline.numerics.activations.record import Activation, Derivative
from pipeline.numerics.compiled import compiled
from pipeline.numerics.elementary import exp_of_negative


@compiled
def _row(z, a):
    for i in range(z.size):
        x = z[i]
        shrunk = exp_of_negative(-abs(x))
        share = (1.0 if x > 0 else shrunk) / (1 + shrunk)
        a[i] = x * share
        z[i] = share + a[i] * (1 - share)


RECORDS = {
    "swish": Activation(
        lambda z: z / (1 + np.exp(-z)), derivative=Derivative(_row, 1.0999, 0.5, seconds=5e-9)
    )
}
'''

USE = r"""
import json
import numpy as np
import zarr
import pipeline
from pipeline.descent.certificates import certify
from pipeline.descent.network import Network, balanced
from pipeline.errors import SweepError
from pipeline.numerics.activations import ACTIVATIONS, apply
from pipeline.sweep_files.load import parse_sweep
from pipeline.theory import kernel_matrix

rng = np.random.default_rng(0)
X = rng.standard_normal((4, 5)) / 5**0.5

nodes, weights = np.polynomial.hermite_e.hermegauss(80)
norm = np.linalg.norm(X[0])
square = float(apply("swish", norm * nodes) ** 2 @ weights / np.sqrt(2 * np.pi))

network = Network("swish", rng.standard_normal((6, 5)), np.empty((0, 6, 6)), balanced(6))
J, h = network.jacobian(X)[:, 0], 1e-6
moved = [network.copy() for _ in range(2)]
for other, sign in zip(moved, (1, -1)):
    other.W[0, 0] += sign * h
slope = (moved[0].outputs(X) - moved[1].outputs(X)) / (2 * h)

head = 'name = "swish"\nentropy = 1\nactivation = "swish"\ndataset = {kind = "sphere"}\nd = 5\nn = 6'
runs = {}
keys = {"conditioning": "width = [12, 24]", "input": "width = [40]\n[descent]\nsteps = 500"}
for name, more in keys.items():
    text = f'experiment = "{name}"\nseeds = 2\n{head}\n{more}\n'
    runs[name] = pipeline.run(parse_sweep(text), f"{name}.zarr").failed
try:
    parse_sweep(f'experiment = "theorem2-proof"\nseeds = 2\n{head}\nwidth = [12]\n')
    refused = False
except SweepError as error:
    refused = [problem.key for problem in error.problems] == ["activation"]
print(json.dumps({
    "kernel": [float(kernel_matrix(X, "swish")[0, 0]), square],
    "slope": [J.tolist(), slope.tolist()],
    "certified": certify(network, X[:1]).radius > 0,
    "runs": runs,
    "refused": refused,
    "losses": zarr.open("input.zarr")["loss_final"][:].ravel().tolist(),
}))
"""


@pytest.mark.slow
def test_an_activation_is_a_file_and_a_line(tmp_path) -> None:
    """A copy of the package with both conditions, integrates and trains it, and accepts its sweeps."""
    copy = tmp_path / "pipeline"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    folder = copy / "numerics" / "activations"
    (folder / "swish.py").write_text(SWISH)
    register = folder / "__init__.py"
    text = register.read_text()
    line = '    "leaky_relu": "rectifiers",\n'
    assert line in text
    register.write_text(text.replace(line, f'{line}    "swish": "swish",\n'))
    environment = os.environ | {
        "NUMBA_CACHE_DIR": str(tmp_path / "numba"),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    line = [sys.executable, "-c", USE]
    done = subprocess.run(line, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["kernel"][0] == pytest.approx(found["kernel"][1], rel=1e-10)
    np.testing.assert_allclose(*found["slope"], rtol=1e-7, atol=1e-10)
    assert found["certified"]
    assert found["refused"]
    assert found["runs"] == {"conditioning": 0, "input": 0}
    assert max(found["losses"]) < 1e-2


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (KeyError("x"), "KeyError: 'x'"),
        (ValueError(), "ValueError"),
        (RuntimeError("\nfirst\nsecond"), "RuntimeError: first"),
    ],
)
def test_the_message_of_a_failure_names_its_class(error: Exception, line: str) -> None:
    assert describe(error) == line
