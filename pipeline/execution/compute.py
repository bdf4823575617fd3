"""Computing a block: each seed's trials, timed, and a seed that raises is an outcome like any other."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from pipeline.blocks import Block, BlockResult, empty_result
from pipeline.experiments import (
    SeedResult,
    SeedTrial,
    experiment_of,
    variables,
)
from pipeline.experiments.base import blank, describe
from pipeline.sweep import Cell, Sweep
from pipeline.trial_status import Status

__all__ = ["compute_block", "overlay"]


def compute_block(sweep: Sweep, block: Block, wanted: NDArray[np.bool_] | None = None) -> BlockResult:
    """Run trials of a block.

    Parameters
    ----------
    sweep, block
        What to run.
    wanted
        Which of its trials, shape (widths, seeds); all if None.

    Returns
    -------
    BlockResult
        Arrays of shape ([widths,] seeds[, inner]); trials that are not wanted are pending.
    """
    if wanted is None:
        wanted = np.ones((len(block.cell.widths), block.stop - block.start), dtype=bool)
    result = empty_result(sweep, block)
    for place, seed in enumerate(sweep.seeds[block.seeds]):
        rows = np.flatnonzero(wanted[:, place])
        if rows.size:
            widths = tuple(block.cell.widths[row] for row in rows)
            found = _timed_seed(sweep, replace(block.cell, widths=widths), seed)
            _put(sweep, result, rows, place, found)
    return result


def overlay(
    sweep: Sweep, below: BlockResult, above: BlockResult, wanted: NDArray[np.bool_]
) -> BlockResult:
    """Lay the wanted trials of one result over another of the same block, which is changed."""
    for variable in variables(sweep):
        at = wanted if "width" in variable.dims else wanted.any(axis=0)
        below.values[variable.name][at] = above.values[variable.name][at]
    below.status[wanted], below.message[wanted] = above.status[wanted], above.message[wanted]
    return below


def _put(
    sweep: Sweep, result: BlockResult, rows: NDArray[np.int64], place: int, found: SeedResult
) -> None:
    """Lay one seed's widths down at their rows of a block."""
    for variable in variables(sweep):
        at = (rows, place) if "width" in variable.dims else (place,)
        result.values[variable.name][at] = found.values[variable.name]
    result.status[rows, place] = found.statuses
    result.message[rows, place] = found.messages


def _timed_seed(sweep: Sweep, cell: Cell, seed: int) -> SeedResult:
    sizes = {dim: len(values) for dim, values in sweep.inner.items()} | {"width": len(cell.widths)}
    trial = SeedTrial(sweep.entropy, sweep.nested, cell, seed, sizes, sweep.descent)
    began = time.perf_counter()
    try:
        with np.errstate(all="ignore"):  # what is not finite is found and stored, not warned of
            result = experiment_of(sweep).run_seed(trial)
    except Exception as error:  # before the first width: all widths of the seed have failed
        result = blank(trial, variables(sweep))
        result.statuses = [Status.FAILED] * len(cell.widths)
        result.messages = [describe(error)] * len(cell.widths)
    if not experiment_of(sweep).independent:
        result.values["seconds"] = np.array(time.perf_counter() - began)
    return result
