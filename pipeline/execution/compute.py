"""Computing a block: run the trials of each seed, time them, and record failures as outcomes."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from pipeline.blocks import Block, BlockResult, empty_result, rows_for
from pipeline.descent.progress import Rows
from pipeline.experiments import SeedResult, SeedTrial, experiment_of, variables
from pipeline.experiments.base import blank, describe, set_exact_zeros
from pipeline.numerics.compile_time import compile_seconds
from pipeline.store.names import SECONDS
from pipeline.sweep import Cell, Sweep
from pipeline.trial_status import Status

__all__ = ["compute_block"]


def compute_block(
    sweep: Sweep,
    block: Block,
    wanted: NDArray[np.bool_] | None = None,
    *,
    moved: int = 0,
    checkpoints: Mapping[tuple[int, int], Rows] | None = None,
) -> BlockResult:
    """Run trials of a block.

    Parameters
    ----------
    sweep, block
        The block to run, and its sweep.
    wanted
        Mask of the trials to run, shape (widths, seeds); all if None.
    moved
        Number of a move of the inputs in their last bits; 0 for none.
    checkpoints
        The checkpoints from which trials go on, by their indices (width, seed) in the block.

    Returns
    -------
    BlockResult
        Trials that are not wanted are pending.
    """
    if wanted is None:
        wanted = np.ones(block.shape, dtype=bool)
    result = empty_result(sweep, block)
    for column, seed in enumerate(sweep.seeds[block.seeds]):
        rows = np.flatnonzero(wanted[:, column])
        if rows.size:
            widths = tuple(block.cell.widths[row] for row in rows)
            since = {
                k: checkpoints[int(row), column]
                for k, row in zip(widths, rows, strict=True)
                if checkpoints and (int(row), column) in checkpoints
            }
            found = _run_seed(sweep, replace(block.cell, widths=widths), seed, moved, since)
            _put(result, rows, column, found)
    return result


def _put(result: BlockResult, rows: NDArray[np.int64], column: int, found: SeedResult) -> None:
    """Copy the widths of one seed to their rows of a block."""
    for name, array in result.values.items():
        array[rows_for(array, rows), column] = found.values[name]
    result.status[rows, column] = found.statuses
    result.message[rows, column] = found.messages
    for index, checkpoint in found.checkpoints.items():
        result.checkpoints[int(rows[index]), column] = checkpoint


def _run_seed(sweep: Sweep, cell: Cell, seed: int, moved: int, since: Mapping[int, Rows]) -> SeedResult:
    """Run one seed of a cell and time it."""
    sizes = {dim: len(values) for dim, values in sweep.inner.items()} | {"width": len(cell.widths)}
    trial = SeedTrial(
        sweep.entropy,
        sweep.nested,
        cell,
        seed,
        sizes,
        sweep.descent,
        sweep.numerics_version,
        moved,
        since,
    )
    began, compiling = time.perf_counter(), compile_seconds()
    try:
        with np.errstate(all="ignore"):  # non-finite values are found and stored, without a warning
            result = experiment_of(sweep).run_seed(trial)
            if trial.has_exact_zeros:
                set_exact_zeros(trial, result, variables(sweep))
    except Exception as error:  # before the first width: all widths of the seed have failed
        result = blank(trial, variables(sweep))
        result.statuses = [Status.FAILED] * len(cell.widths)
        result.messages = [describe(error)] * len(cell.widths)
    if not experiment_of(sweep).independent:
        spent = time.perf_counter() - began
        result.values[SECONDS] = np.array(spent - (compile_seconds() - compiling))
    return result
