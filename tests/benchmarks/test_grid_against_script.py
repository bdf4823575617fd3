"""Whole grids through `widthlaw run`, start-up included, against the script one would write instead.

`WIDTHLAW_BENCHMARK_SEEDS=100 python -m pytest -m benchmark -p no:xdist -s tests/benchmarks` has the
full length; with few seeds most of the time is start-up. The bound is on CPU time, which other load on
the machine changes little. The README beside this file has a table of results.
"""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
import xarray as xr

SEEDS = int(os.environ.get("WIDTHLAW_BENCHMARK_SEEDS", "16"))
WORKERS = 2

GRIDS = {"n = 100, 200, 400": ((100, 200, 400), SEEDS), "n = 800": ((800,), max(2, SEEDS // 4))}
"""Sample sizes and seeds. A quarter of the seeds at n = 800 takes as long as the other grid."""

FULL = 100
"""Seeds from which on start-up is a small part, so that the whole run has a bound."""

SCRIPT = """
import sys
import numpy as np
from joblib import Parallel, delayed
from pipeline.numerics.streams import Role, stream

def trial(n, k, seed):
    X = stream(7, 20, n, seed, Role.DATA).standard_normal((n, 20))
    X /= np.linalg.norm(X, axis=1, keepdims=True)
    W = stream(7, 20, n, seed, Role.WEIGHTS).standard_normal((k, 20))
    return np.linalg.svd(np.maximum(W @ X.T, 0), compute_uv=False)[n - 1]

seeds, widths = int(sys.argv[1]), eval(sys.argv[2])
found = Parallel(n_jobs=2)(
    delayed(trial)(n, k, seed) for n in widths for k in widths[n] for seed in range(seeds)
)
np.save(sys.argv[3], np.reshape(found, (len(widths), 24, seeds)))
"""


REAPER = """
import ctypes, os, subprocess, sys, time

PR_SET_CHILD_SUBREAPER = 36
ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
began = time.perf_counter()
done = subprocess.run(sys.argv[1:], capture_output=True)
wall = time.perf_counter() - began
try:
    while True:
        os.wait()
except ChildProcessError:
    used = os.times()
print(wall, used.children_user + used.children_system)
sys.exit(done.returncode)
"""
"""Times a command and all its processes.

A server forks the workers and outlives the command: this script adopts it and waits for it.
"""


def timed(line: list[str]) -> tuple[float, float]:
    """Return wall and CPU seconds of a command and its processes."""
    one_thread = os.environ | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    reaper = [sys.executable, "-c", REAPER, *line]
    found = subprocess.run(reaper, check=True, env=one_thread, capture_output=True, text=True)
    wall, used = map(float, found.stdout.split())
    return wall, used


@pytest.mark.benchmark
@pytest.mark.parametrize("grid", GRIDS)
def test_a_grid_is_several_times_faster_than_the_script(
    make_sweep, write_sweep, command, tmp_path, grid: str
) -> None:
    n, seeds = GRIDS[grid]
    keys = {
        "d": "[20]",
        "n": str(list(n)),
        "width": "{ k_per_n = { start = 1.1, stop = 4.0, num = 24 } }",
        "seeds": seeds,
    }
    sweep = make_sweep(**keys)
    widths = {n: list(sweep.k(20, n)) for n in sweep.n}
    script, out, path = tmp_path / "script.py", tmp_path / "script.npy", tmp_path / "grid.zarr"
    script.write_text(SCRIPT)
    ours, our_cpu = timed(
        [command, "run", str(write_sweep(**keys)), "-o", str(path), "--workers", str(WORKERS)]
    )
    theirs, their_cpu = timed([sys.executable, str(script), str(seeds), repr(widths), str(out)])
    stored = xr.open_zarr(path)
    print(f"\n{grid}, {seeds} seeds: seconds, and those of CPU in brackets")
    print(f"widthlaw {ours:.1f} ({our_cpu:.1f}), script {theirs:.1f} ({their_cpu:.1f})")
    print(f"of widthlaw's, numerics on {WORKERS} workers: {float(stored.seconds.sum()) / WORKERS:.1f}")
    print(f"script / widthlaw {theirs / ours:.1f}, of CPU {their_cpu / our_cpu:.1f}")
    np.testing.assert_allclose(stored.sigma_min.values[0], np.load(out), rtol=1e-8)
    if SEEDS >= FULL:
        assert their_cpu > 4 * our_cpu
