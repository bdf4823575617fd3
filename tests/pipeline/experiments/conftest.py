"""Whole sweeps from their text, in this process, and the trials that they are made of."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from pipeline.blocks import blocks
from pipeline.execution.compute import compute_block
from pipeline.experiments import SeedTrial
from pipeline.sweep import Cell, Sweep
from pipeline.sweep_files.load import parse_sweep


def text(experiment: str, descent: dict[str, Any] | None = None, **keys: Any) -> str:
    """A sweep file; values are TOML."""
    given = {"name": '"small"', "experiment": f'"{experiment}"', "entropy": 11, "seeds": 3, **keys}
    given.setdefault("dataset", '{ kind = "sphere" }')
    lines = [f"{key} = {value}" for key, value in given.items()]
    if descent is not None:
        lines += ["[descent]", *(f"{key} = {value}" for key, value in descent.items())]
    return "\n".join([*lines, ""])


def run(sweep_text: str) -> list[SimpleNamespace]:
    """For each cell: the sweep, the cell, the block's values, statuses, messages, and its trials."""
    sweep = parse_sweep(sweep_text)
    cells = []
    for block in blocks(sweep, len(sweep.width), len(sweep.seeds)):
        found = compute_block(sweep, block)
        trials = [trial_of(sweep, block.cell, seed) for seed in sweep.seeds]
        cells.append(
            SimpleNamespace(
                sweep=sweep,
                cell=block.cell,
                trials=trials,
                values=found.values,
                status=found.status,
                message=found.message,
            )
        )
    return cells


def trial_of(sweep: Sweep, cell: Cell, seed: int) -> SeedTrial:
    sizes = {dim: len(values) for dim, values in sweep.inner.items()} | {"width": len(cell.widths)}
    return SeedTrial(sweep.entropy, sweep.nested, cell, seed, sizes, sweep.descent)


@pytest.fixture(scope="session")
def sweep_text() -> Callable[..., str]:
    return text


@pytest.fixture(scope="session")
def run_cells() -> Callable[..., list[SimpleNamespace]]:
    """Run a sweep of the experiment and keys given: the cells of it, in order."""

    def run_keys(experiment: str, descent: dict[str, Any] | None = None, **keys: Any) -> list[Any]:
        return run(text(experiment, descent, **keys))

    return run_keys
