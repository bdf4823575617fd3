"""A worker process computes with one BLAS thread, whichever library brings the BLAS."""

from __future__ import annotations

import os
import subprocess
import sys

CHECK = """
from pipeline.execution.driver import run_task
from pipeline.execution.worker import settle
settle()
from pipeline.experiments import EXPERIMENTS
for name in EXPERIMENTS:
    EXPERIMENTS[name]
from threadpoolctl import threadpool_info
found = [info["num_threads"] for info in threadpool_info() if info["user_api"] == "blas"]
print(len(found), set(found))
"""


def test_every_blas_has_one_thread_without_help_from_the_environment() -> None:
    """Dask's nanny sets variables that limit threads; a worker without a nanny has none of them."""
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    free = {name: value for name, value in os.environ.items() if name not in names}
    line = [sys.executable, "-c", CHECK]
    done = subprocess.run(line, env=free, capture_output=True, text=True, check=True)
    assert done.stdout == "2 {1}\n"
