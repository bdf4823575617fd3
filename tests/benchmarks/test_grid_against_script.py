"""A whole theorem2-like grid through `widthlaw run`, against the script one would write instead.

`WIDTHLAW_BENCHMARK_SEEDS=200 python -m pytest -m benchmark -s tests/benchmarks` is the full grid.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time

import numpy as np
import pytest
import xarray as xr

SEEDS = int(os.environ.get("WIDTHLAW_BENCHMARK_SEEDS", "16"))

GRID = {
    "d": "[20]",
    "n": "[100, 200, 400]",
    "width": "{ k_per_n = { start = 1.1, stop = 4.0, num = 24 } }",
    "seeds": SEEDS,
}

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
np.save(sys.argv[3], np.reshape(found, (3, 24, seeds)))
"""


def timed(line: list[str]) -> float:
    one_thread = os.environ | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    began = time.perf_counter()
    subprocess.run(line, check=True, env=one_thread, capture_output=True)
    return time.perf_counter() - began


@pytest.mark.benchmark
def test_the_grid_is_several_times_faster_than_the_script(
    make_sweep, write_sweep, command, tmp_path
) -> None:
    sweep = make_sweep(**GRID)
    widths = {n: list(sweep.k(20, n)) for n in sweep.n}
    script, out = tmp_path / "script.py", tmp_path / "script.npy"
    script.write_text(SCRIPT)
    path = tmp_path / "grid.zarr"
    nothing = [
        command,
        "run",
        str(write_sweep(n="[2]", d="[2]", seeds=1)),
        "-o",
        str(tmp_path / "0.zarr"),
    ]
    start = timed([*nothing, "--workers", "2"])
    ours = timed([command, "run", str(write_sweep(**GRID)), "-o", str(path), "--workers", "2"])
    theirs = timed([sys.executable, str(script), str(SEEDS), repr(widths), str(out)])
    ratio, without_start = theirs / ours, theirs / (ours - start)
    print(
        f"\n{SEEDS} seeds: widthlaw {ours:.1f} s ({start:.1f} s of it start-up), script {theirs:.1f} s"
    )
    print(f"script / widthlaw: {ratio:.1f}, start-up left out {without_start:.1f}")
    np.testing.assert_allclose(xr.open_zarr(path).sigma_min.values[0], np.load(out), rtol=1e-8)
    assert without_start >= 3
