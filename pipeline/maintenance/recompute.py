"""Computing stored trials again: random ones, to compare them, and the inputs of a seed.

Checksums show that a chunk is what was written. Running trials again shows that what was written is
right, on this machine and with these versions. On another platform a trial may differ because it is
chaotic: then its sensitivity is measured, and tells it from a wrong one. Only the width of a sampled
trial is run, because a trial's bits do not depend on the other widths of its seed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline import store as stores
from pipeline.blocks import Block, BlockResult
from pipeline.errors import StoreError
from pipeline.execution.compute import compute_block
from pipeline.experiments import experiment_of
from pipeline.maintenance.agreement import TIMING, agreement_of, differing, one_platform, trial_label
from pipeline.maintenance.sensitivity import Sensitivity
from pipeline.numerics.datasets import draw
from pipeline.numerics.streams import Role, stream
from pipeline.store.code import with_code
from pipeline.store.location import StorePath
from pipeline.store.names import MESSAGE, STATUS
from pipeline.store.provenance import provenance
from pipeline.sweep import Cell, Sweep
from pipeline.theory.kernels import kernel_eigenvalues, kernel_matrix
from pipeline.trial_status import WITH_RESULTS, Status

__all__ = ["Comparison", "Difference", "redrawn_eigenvalues", "redrawn_inputs", "sample"]


@dataclass(frozen=True)
class Difference:
    """A variable of a trial whose stored value was not computed again.

    Attributes
    ----------
    where
        Coordinates of the trial.
    variable
        Name of the variable.
    stored, now
        Its first value that differs, in the store and as computed now.
    low, high
        For a chaotic trial, the range of this value in runs from moved inputs; else "".
    """

    where: str
    variable: str
    stored: str
    now: str
    low: str = ""
    high: str = ""


@dataclass(frozen=True)
class Comparison:
    """The result of running a sample of trials again.

    Attributes
    ----------
    trials
        Number of trials that were run again.
    exact
        True if equal bits were required, because the store was made on this platform.
    differences
        The variables of trials that do not agree.
    chaotic
        For each chaotic trial its first variable that differs, by no more than the sensitivity of the
        trial; only where equal bits are not required.
    """

    trials: int
    exact: bool
    differences: tuple[Difference, ...]
    chaotic: tuple[Difference, ...] = ()


# ---- a sample of trials


@dataclass(frozen=True)
class _Trial:
    """Indices of a trial on the axes of its cell, on the width axis and on the seed axis."""

    cell: tuple[int, ...]
    width: int
    seed: int


def sample(
    path: StorePath, number: int, seed: int | None = None, code: Path | None = None
) -> Comparison:
    """Run random trials of a store again and compare all their variables, except for timings.

    Parameters
    ----------
    path
        The store.
    number
        Number of trials that are done or diverged; all of them if the store has fewer.
    seed
        Seed of the selection; a random one if None.
    code
        The file of an experiment of one's own.

    Returns
    -------
    Comparison

    Raises
    ------
    StoreError
        There is no store at this path, it lacks its sweep, or it comes from other code.
    CodeError
        The code is not given, or cannot be used.
    """
    from pipeline.execution.worker import one_thread

    store = stores.Store(path, with_code(path, stores.stored_sweep(path), code))
    exact = one_platform([stores.provenance_of(path), provenance()])
    trials = _draw(store, number, seed)
    cells = {cell.index: cell for cell in store.sweep.cells()}
    found: list[Difference] = []
    chaotic: list[Difference] = []
    with one_thread():  # as in a run
        for trial in trials:
            wrong, within = _differences(store, cells[trial.cell], trial, exact)
            found += wrong
            chaotic += [] if wrong else within[:1]
    return Comparison(len(trials), exact, tuple(found), tuple(chaotic))


def _draw(store: stores.Store, number: int, seed: int | None) -> list[_Trial]:
    """Draw trials to be run again, and sort them by cell and seed."""
    status = store.statuses()
    there = np.flatnonzero(np.isin(status, [Status.DONE, Status.DIVERGED]))
    drawn = np.random.default_rng(seed).choice(there, min(number, there.size), replace=False)
    indices = np.stack(np.unravel_index(np.sort(drawn), status.shape), axis=1).tolist()
    trials = [_Trial(tuple(index[:-2]), *index[-2:]) for index in indices]
    return sorted(trials, key=lambda trial: (trial.cell, trial.seed, trial.width))


def _differences(
    store: stores.Store, cell: Cell, trial: _Trial, exact: bool
) -> tuple[list[Difference], list[Difference]]:
    """Run a trial again; return its variables that do not agree, and those that are only chaotic."""
    alone = replace(cell, widths=(cell.widths[trial.width],))
    block = Block(alone, trial.width, trial.seed, trial.seed + 1, 0.0)
    stored = store.read(block)
    now = _again(store, cell, trial, block, stored)
    label = trial_label(store.sweep, cell.index, trial.width, trial.seed)
    pairs = _pairs(stored, now, exact)
    relative = agreement_of(store.sweep)
    apart = {name: differing(name, one, other, exact, relative) for name, (one, other) in pairs.items()}
    apart = {name: mask for name, mask in apart.items() if mask.any()}
    if not apart:
        return [], []

    def difference(name: str, mask: NDArray[np.bool_]) -> tuple[Difference, tuple[int, ...]]:
        index = tuple(np.argwhere(mask)[0].tolist())
        texts = (_as_text(name, values[index]) for values in pairs[name])
        return Difference(label, name, *texts), index

    if exact:
        return [difference(name, mask)[0] for name, mask in apart.items()], []
    sensitivity = Sensitivity(store.sweep, block, now)
    left = sensitivity.unexplained(stored, apart)
    wrong, chaotic = [], []
    for name, mask in apart.items():
        if left[name].any():
            wrong.append(difference(name, left[name])[0])
        else:
            found, index = difference(name, mask)
            low, high = (_as_text(name, value) for value in sensitivity.range(name, index))
            chaotic.append(replace(found, low=low, high=high))
    return wrong, chaotic


def _again(
    store: stores.Store, cell: Cell, trial: _Trial, alone: Block, stored: BlockResult
) -> BlockResult:
    """Run a trial again: alone, or with the other widths of its seed where they run together."""
    if not experiment_of(store.sweep).together:
        descent = store.sweep.descent
        if descent is not None and descent.extended and stored.censored(descent.steps).any():
            return _to_its_end(store.sweep, alone, int(stored.values["steps"][0, 0]))
        return compute_block(store.sweep, alone)
    seed = Block(cell, 0, trial.seed, trial.seed + 1, 0.0)
    there = np.isin(store.read(seed).status, WITH_RESULTS)
    found, row = compute_block(store.sweep, seed, there), [trial.width]
    values = {name: array[row] if len(array) > 1 else array for name, array in found.values.items()}
    return BlockResult(values, found.status[row], found.message[row])


def _to_its_end(sweep: Sweep, alone: Block, steps: int) -> BlockResult:
    """Run a trial again that was left after some steps of its budget."""
    shorter = sweep.with_steps(steps)
    now = compute_block(shorter, alone)
    curve, marks = now.values["loss_curve"], shorter.inner["step"]
    found = np.full((*curve.shape[:2], len(sweep.inner["step"])), np.nan)
    for at, mark in enumerate(sweep.inner["step"]):
        if mark in marks:
            found[..., at] = curve[..., marks.index(mark)]
    now.values["loss_curve"] = found
    return now


def _pairs(
    stored: BlockResult, now: BlockResult, exact: bool
) -> dict[str, tuple[NDArray[Any], NDArray[Any]]]:
    """Return the arrays of two results that have to agree."""
    pairs: dict[str, Any] = {STATUS: (stored.status, now.status)}
    if exact:  # messages may contain numbers
        pairs[MESSAGE] = (stored.message, now.message)
    pairs |= {name: (values, now.values[name]) for name, values in stored.values.items()}
    return {name: pair for name, pair in pairs.items() if name != TIMING}


def _as_text(name: str, value: Any) -> str:
    if name == STATUS:
        return Status(int(value)).word
    return repr(value) if isinstance(value, str) else str(value)


# ---- inputs of a seed


def redrawn_eigenvalues(
    attributes: Mapping[str, Any], *, activation: str | None = None, **sizes: Any
) -> NDArray[np.float64]:
    """Draw the inputs of a seed again and return the eigenvalues of their population kernel.

    This is for stores without the variable `kernel_eigenvalues`.

    Parameters
    ----------
    attributes, **sizes
        As for `redrawn_inputs`.
    activation
        The activation, if the store has several.

    Returns
    -------
    (n,) eigenvalues, ascending.

    Raises
    ------
    StoreError
        The attributes are not those of a store, or its data file is missing.
    """
    names = attributes.get("identity_fields", {}).get("activation", ())
    return kernel_eigenvalues(
        kernel_matrix(redrawn_inputs(attributes, **sizes), activation or next(iter(names)))
    )


def redrawn_inputs(
    attributes: Mapping[str, Any],
    *,
    d: int,
    n: int,
    seed: int,
    dataset: str | None = None,
    angle: float = 0.0,
) -> NDArray[np.float64]:
    """Draw the inputs of a seed again, shape (n, d).

    Parameters
    ----------
    attributes
        Attributes of the store.
    d, n, seed
        Coordinates of the trial.
    dataset, angle
        Its other coordinates, if the store has such axes; 0 for a dataset without an angle.

    Raises
    ------
    StoreError
        The attributes are not those of a store, or its data file is missing.
    """
    if not isinstance(attributes.get("identity"), str):
        raise StoreError("the data have no attributes of a store: open them with analysis.open_store")
    sweep: Sweep = stores.sweep_from(str(attributes.get("name")), dict(attributes))
    spec = next(spec for spec in sweep.dataset if dataset in (None, spec.kind))
    return draw(spec, stream(sweep.entropy, d, n, seed, Role.DATA), n, d, angle or None)
