"""Loops are compiled once for a machine, not once for a worker."""

from __future__ import annotations

import os
import subprocess
import sys

SCRIPT = """
import numpy as np
from pipeline.descent.loop import _descend, train
from pipeline.descent.network import Network, balanced

network = Network("relu", np.ones((2, 1)), np.empty((0, 2, 2)), balanced(2))
train(network, np.ones((1, 1)), np.ones(1), 0.1, 3, [0.1])
stats = _descend.dispatcher.stats
print(sum(stats.cache_misses.values()), sum(stats.cache_hits.values()))
"""


def test_the_first_of_two_processes_compiles_and_the_other_loads(tmp_path) -> None:
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)}
    line = [sys.executable, "-c", SCRIPT]
    both = [
        subprocess.Popen(line, env=environment, stdout=subprocess.PIPE, text=True) for _ in range(2)
    ]
    told = sorted(process.communicate(timeout=300)[0].split() for process in both)
    assert told == [["0", "1"], ["1", "0"]]
