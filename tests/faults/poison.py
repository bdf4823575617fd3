"""Preloaded by workers: chosen trials kill the process that computes them, as a faulty library would.

POISON is a list in JSON of (place of the cell, place of the width, place of the seed).
"""

from __future__ import annotations

import json
import os
import signal
from typing import Any

from pipeline.execution import fill as filling


def dask_setup(worker: object) -> None:
    """Put a check before the function that computes a block."""
    trials = [(tuple(cell), width, seed) for cell, width, seed in json.loads(os.environ["POISON"])]
    compute_block = filling.compute_block

    def deadly(sweep: Any, block: Any, wanted: Any, **more: Any) -> Any:
        for cell, width, seed in trials:
            row, column = width - block.first, seed - block.start
            here = 0 <= row < wanted.shape[0] and 0 <= column < wanted.shape[1]
            if cell == block.cell.index and here and wanted[row, column]:
                os.kill(os.getpid(), signal.SIGKILL)
        return compute_block(sweep, block, wanted, **more)

    filling.compute_block = deadly
