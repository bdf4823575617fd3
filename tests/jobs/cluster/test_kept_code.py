"""A submitted run has the code of its trials in its own folder, and needs the user's no more."""

from __future__ import annotations

from pathlib import Path

import pipeline
from jobs.cluster.run_folder import Run
from pipeline import store as stores

CODE = """
import numpy as np
from beside import power

def swish(z):
    return z / (1 + np.exp(-power(z)))
"""

SWEEP = """
name = "a"
experiment = "input"
activation = ["relu", "own.py:swish"]
dataset = { kind = "sphere" }
d = [3]
n = [8]
width = [4, 8]
seeds = 2
[descent]
steps = 5
"""


def test_a_job_finds_activations_of_ones_own_after_their_file_has_gone(tmp_path, profile) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "own.py").write_text(CODE)
    (home / "beside.py").write_text("def power(z):\n    return z\n")
    (home / "a.toml").write_text(SWEEP)
    sweep, path = pipeline.load_sweep(home / "a.toml"), tmp_path / "a.zarr"
    stores.create(path, sweep)
    keys = {"data_folder": tmp_path, "retry_failed": False, "allocation": False}
    run = Run.new(str(path), profile=profile("slurm"), **keys)
    run.prepare(profile("slurm"), sweep)
    for file in home.iterdir():
        file.unlink()
    found = Run.load(Path(f"{path}.run")).sweep()
    assert [name.code.digest for name in found.functions] == [sweep.functions[0].code.digest]
    assert pipeline.run(found, path, bar=False).trials == 8
    assert stores.Store(path).counts()["done"] == 8
