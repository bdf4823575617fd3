"""Does a store hold what the program computes? Some of its trials are run again and compared.

Checksums tell that a chunk is what was written; this tells that what was written is right, on this
machine and with these versions. Of each sampled trial only its own width is run: a trial's bits do
not depend on the widths beside it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline import store as stores
from pipeline.blocks import Block, BlockResult
from pipeline.errors import StoreError
from pipeline.execution.compute import compute_block
from pipeline.experiments import variables
from pipeline.maintenance.agreement import TIMING, differing, one_platform, told_trial
from pipeline.numerics.datasets import draw
from pipeline.numerics.streams import Role, stream
from pipeline.store import sweep_from
from pipeline.store.provenance import provenance
from pipeline.sweep import Cell, Sweep
from pipeline.theory import kernels
from pipeline.trial_status import Status

__all__ = ["Comparison", "Difference", "redrawn_eigenvalues", "sample"]

Trial = tuple[tuple[int, ...], int, int]
"""Places on the cell's axes, on the width axis and on the seed axis."""


@dataclass(frozen=True)
class Difference:
    """A variable of a trial that came out otherwise."""

    where: str
    variable: str
    stored: str
    now: str


@dataclass(frozen=True)
class Comparison:
    """What a sample has shown.

    Attributes
    ----------
    trials
        Number of trials that were run again.
    exact
        Whether equal bits were demanded: the store is of this platform.
    differences
        The first value of each variable of each trial that does not agree.
    """

    trials: int
    exact: bool
    differences: tuple[Difference, ...]


def sample(path: str | Path, number: int, seed: int | None = None) -> Comparison:
    """Run random trials of a store again and compare all they leave, but the time they took.

    Parameters
    ----------
    path
        The store.
    number
        Of trials, done or diverged; all of them where the store has fewer.
    seed
        Of the draw; another draw each time if None.

    Returns
    -------
    Comparison

    Raises
    ------
    StoreError
        There is no store, or it does not say its sweep.
    """
    from threadpoolctl import threadpool_limits

    sweep = stores.stored_sweep(path)
    exact = one_platform([stores.provenance_of(path), provenance()])
    trials = _draw(path, number, seed)
    cells = {cell.index: cell for cell in sweep.cells()}
    found: list[Difference] = []
    with threadpool_limits(limits=1):  # as in a run
        for (index, _), group in groupby(trials, key=lambda trial: (trial[0], trial[2])):
            found += _differences(path, sweep, cells[index], list(group), exact)
    return Comparison(len(trials), exact, tuple(found))


def _draw(path: str | Path, number: int, seed: int | None) -> list[Trial]:
    """Trials to be run again, those of one cell and seed together."""
    status = stores.Store(path).statuses()
    there = np.flatnonzero(np.isin(status, [Status.DONE, Status.DIVERGED]))
    drawn = np.random.default_rng(seed).choice(there, min(number, there.size), replace=False)
    places = np.stack(np.unravel_index(np.sort(drawn), status.shape), axis=1).tolist()
    trials = [(tuple(place[:-2]), place[-2], place[-1]) for place in places]
    return sorted(trials, key=lambda trial: (trial[0], trial[2], trial[1]))


def _differences(
    path: str | Path, sweep: Sweep, cell: Cell, trials: list[Trial], exact: bool
) -> Iterator[Difference]:
    """Compare trials of one seed of one cell."""
    seed = trials[0][2]
    for _, row, _ in trials:
        one = replace(cell, widths=(cell.widths[row],))
        block = Block(one, row, seed, seed + 1, 0.0)
        stored, now = stores.Store(path, sweep).read(block), compute_block(sweep, block)
        where = told_trial(sweep, cell.index, row, seed)
        for name, was, is_now in _unequal(sweep, stored, now, exact):
            yield Difference(where, name, str(was), str(is_now))


def _unequal(
    sweep: Sweep, stored: BlockResult, now: BlockResult, exact: bool
) -> Iterator[tuple[str, Any, Any]]:
    """The first value of each variable in which two results differ."""
    pairs: dict[str, Any] = {"status": (stored.status, now.status)}
    if exact:
        pairs["message"] = (stored.message, now.message)
    pairs |= {v.name: (stored.values[v.name], now.values[v.name]) for v in variables(sweep)}
    for name, (one, other) in pairs.items():
        apart = differing(name, one, other, exact)
        if name != TIMING and apart.any():
            at = tuple(np.argwhere(apart)[0])
            yield name, _plain(name, one[at]), _plain(name, other[at])


def _plain(name: str, value: Any) -> Any:
    return (
        Status(int(value)).word
        if name == "status"
        else repr(value)
        if isinstance(value, str)
        else value
    )


def redrawn_eigenvalues(
    attributes: Mapping[str, Any],
    *,
    d: int,
    n: int,
    seed: int,
    activation: str | None = None,
    dataset: str | None = None,
    angle: float = 0.0,
) -> NDArray[np.float64]:
    """Eigenvalues of the population kernel of one seed's inputs, for stores that do not keep them.

    Parameters
    ----------
    attributes
        Those of the store.
    d, n, seed
        Coordinates of the trial.
    activation, dataset, angle
        Its other coordinates, where the store has such axes; an angle of 0 is none.

    Returns
    -------
    (n,) eigenvalues, ascending.

    Raises
    ------
    StoreError
        The attributes are not those of a store, or the file of its data has gone.
    """
    if not isinstance(attributes.get("identity"), str):
        raise StoreError("the data have no attributes of a store: open them with analysis.open_store")
    sweep = sweep_from(str(attributes.get("name")), dict(attributes))
    spec = next(spec for spec in sweep.dataset if dataset in (None, spec.kind))
    X = draw(spec, stream(sweep.entropy, d, n, seed, Role.DATA), n, d, angle or None)
    return kernels.kernel_eigenvalues(kernels.kernel_matrix(X, activation or sweep.activation[0]))
