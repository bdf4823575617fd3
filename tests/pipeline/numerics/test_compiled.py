"""Loops are compiled once for a machine, not once for a worker, and anew for another version."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import xarray as xr

import pipeline
from pipeline.numerics.compiled import ANNOUNCEMENT

from ...waiting import PATIENCE

SCRIPT = """
import numpy as np
from pipeline.descent.loop import _descend, train
from pipeline.descent.network import Network, balanced

network = Network("relu", np.ones((2, 1)), np.empty((0, 2, 2)), balanced(2))
train(network, np.ones((1, 1)), np.ones(1), 0.1, 3, [0.1])
stats = _descend.dispatcher.stats
print(sum(stats.cache_misses.values()), sum(stats.cache_hits.values()))
"""


BOTH_TYPES = """
import numpy as np
from pipeline.descent.methods import Method, _train, train_by
from pipeline.descent.network import Network, balanced

for dtype in ("float64", "float32"):
    network = Network("relu", np.ones((2, 1)), np.empty((0, 2, 2)), balanced(2))
    train_by(network, np.ones((1, 1)), np.ones(1), 0.1, 3, [0.1], method=Method(dtype=dtype))
stats = _train.dispatcher.stats
print(sum(stats.cache_misses.values()), sum(stats.cache_hits.values()))
"""


FALLING = """
import numpy as np
from pipeline.descent.loop import train
from pipeline.descent.network import Network

# two units that are active at none of the samples: what comes through is the slope below zero
network = Network("relu", -np.ones((2, 1)), np.empty((0, 2, 2)), -np.ones(2) / 2)
done = train(network, np.ones((1, 1)), np.ones(1), 0.0, 0, [0.1])
print(done.loss_initial)
"""


def in_two_processes(script: str, cache: Path) -> tuple[list[list[int]], list[str]]:
    """What a script counts in two processes at once, and the lines that they write to stderr."""
    environment = os.environ | {"NUMBA_CACHE_DIR": str(cache)}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    line = [sys.executable, "-c", script]
    both = [subprocess.Popen(line, env=environment, **pipes) for _ in range(2)]
    ended = [process.communicate(timeout=PATIENCE) for process in both]
    lines = "".join(err for _, err in ended).splitlines()
    return sorted([int(count) for count in out.split()] for out, _ in ended), lines


@pytest.mark.slow
def test_the_first_of_two_processes_compiles_and_announces_it_and_the_other_loads(tmp_path) -> None:
    counts, lines = in_two_processes(SCRIPT, tmp_path)
    assert counts == [[0, 1], [1, 0]]
    assert lines == [ANNOUNCEMENT]


@pytest.mark.slow
def test_each_of_two_types_of_numbers_is_compiled_by_one_process(tmp_path) -> None:
    counts, _ = in_two_processes(BOTH_TYPES, tmp_path)
    misses, hits = map(sum, zip(*counts, strict=True))
    assert (misses, hits) == (2, 2)


@pytest.mark.slow
def test_compiling_is_announced_once_by_a_run_and_is_no_time_of_a_trial(
    widthlaw, write_sweep, tmp_path, monkeypatch
) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "cache"))
    (tmp_path / "cache").mkdir(mode=0o700)
    path = tmp_path / "a.zarr"
    few = {"experiment": "'input'", "n": "[6]", "d": "[3]", "descent": "{ steps = 20 }"}
    result = widthlaw("run", write_sweep(**few), "-o", path, "--workers", 2)
    assert result.returncode == 0, result.stderr
    assert result.stderr.splitlines().count(ANNOUNCEMENT) == 1
    told = re.search(r"in ([\d.]+) s of numerics, besides ([\d.]+) s of compiling", result.stderr)
    assert told is not None, result.stderr
    numerics, compiling = map(float, told.groups())
    assert 10 * numerics < compiling
    assert 10 * float(xr.open_zarr(path).seconds.max()) < compiling


@pytest.mark.slow
def test_code_of_other_sources_is_not_taken_for_ours(tmp_path) -> None:
    """A function that is inlined elsewhere changes: what was compiled of it is not loaded again."""
    package = Path(pipeline.__file__).parent
    found = []
    for slope in ("0.0", "0.5"):
        copy = tmp_path / "pipeline"
        shutil.copytree(package, copy, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
        rows = copy / "numerics" / "activations" / "rectifiers.py"
        rows.write_text(rows.read_text().replace("LEAKY_SLOPE = 0.0,", f"LEAKY_SLOPE = {slope},"))
        environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"}
        line = [sys.executable, "-c", FALLING]  # in the folder of the copy, which is found first
        done = subprocess.run(
            line, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
        )
        found.append(done.stdout)
    assert found == ["1.0\n", "0.25\n"]
