"""A larger budget of steps for a store: trials that the old one has ended go on, the others stay.

A trial is finished if it took fewer steps than it might have: it met its last tolerance, or diverged.
With a larger budget it would be the same, to the bit, so it is copied. A trial that the budget has
ended becomes pending. A run then continues it from its checkpoint, or computes it anew where there is
none that can be used; both give the bits of a store with the larger budget from the start.

A larger budget need not be for all: hopeless trials may stay at the steps that they took. They are
censored there, since nobody knows what they would have done: analyses count them neither as successes
nor as failures of more steps. A later budget that is for all takes them up again.

Where only v is trained the outcome is a closed form, which is searched between 0 and the budget. Its
last bits may depend on that, so such trials are computed anew: they take no steps.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from pipeline import store as stores
from pipeline.errors import StoreError
from pipeline.experiments import experiment_of
from pipeline.maintenance.gather import Source
from pipeline.maintenance.grow import check_out, write_result
from pipeline.maintenance.plan import Change, Knowledge, Plan, make_plan
from pipeline.settings import MOST_STEPS
from pipeline.store.arrays import read_array
from pipeline.store.checkpoints import NONE
from pipeline.store.location import StorePath, locate
from pipeline.sweep import Sweep
from pipeline.trial_status import Status, among

__all__ = ["lengthen", "longest_budget"]

STEPS, REACHED = "steps", "steps_to_tolerance"
"""The variables with the steps that a trial took, in all and to each tolerance."""


def lengthen(
    path: StorePath,
    steps: int,
    out: StorePath | None = None,
    *,
    only: NDArray[np.bool_] | None = None,
    dry_run: bool = False,
) -> Change:
    """Make the budget of a store larger; nothing is computed.

    Parameters
    ----------
    path
        The store. The one with the larger budget replaces it atomically, unless `out` is given.
    steps
        The new budget of every trial.
    out
        A new path; needed if the location cannot replace a store atomically.
    only
        Mask of the trials that the larger budget is for, in the shape of the store; None for all.
    dry_run
        If True, only return what would change.

    Returns
    -------
    Change
        With `written` False if the store has that budget already.

    Raises
    ------
    StoreError
        The trials of the store have no budget that can be made larger, or it is larger already, or the
        location cannot take the result.
    StoreHeld
        A run is filling the store.
    """
    sweep = stores.stored_sweep(path)
    check_budget(path, sweep, steps, some=only is not None)

    def make() -> Plan:
        return _plan(Source.of(path), steps, only)

    plan, target = make(), path if out is None else out
    assert plan.going_on is not None
    assert sweep.descent is not None
    check_out(target, plan.sources[0], in_place=out is None)
    nothing = sweep.descent.steps == steps and not plan.going_on.any() and out is None
    if dry_run or nothing:
        return plan.change(target, written=False)
    return write_result(make, target, in_place=out is None)


def check_budget(path: StorePath, sweep: Sweep, steps: int, *, some: bool = False) -> None:
    """Check that the trials of a store can have a larger budget; or that only some of them can.

    Raises
    ------
    StoreError
        They cannot, or the budget is smaller than theirs.
    """
    if sweep.descent is None:
        raise StoreError(f"store {path}: its experiment, {sweep.experiment}, takes no steps of descent")
    if why := sweep.descent.why_no_longer:
        raise StoreError(
            f"store {path}: its trials cannot go on: {why}; run a sweep with a larger budget into a "
            "new path"
        )
    targets = _targets(sweep)
    if some and not _can_be_left(sweep):
        what = f"they also go on to {min(targets)}" if targets else f"they are of {sweep.experiment}"
        raise StoreError(
            f"store {path}: its trials cannot be left before the budget ends: {what}, and analyses "
            "could not tell them from others; give all trials the larger budget"
        )
    if not sweep.descent.steps <= steps <= MOST_STEPS:
        raise StoreError(
            f"store {path}: got {steps} steps, expected {sweep.descent.steps} (its budget) to "
            f"{MOST_STEPS:g}; `widthlaw fit STORE --budget STEPS` takes less of them"
        )


def longest_budget(sweep: Sweep) -> int:
    """Return the largest budget that some trials of a sweep can have while others keep theirs.

    0 if trials cannot go on, or not without all others.
    """
    if sweep.descent is None or sweep.descent.why_no_longer or not _can_be_left(sweep):
        return 0
    return MOST_STEPS


def _targets(sweep: Sweep) -> set[str]:
    """Return the settings that make a trial go on beyond its last tolerance."""
    assert sweep.descent is not None
    return {"target_accuracy", "target_loss"}.intersection(dict(sweep.descent.settings))


def _can_be_left(sweep: Sweep) -> bool:
    """Return whether a trial may be left before its budget ends."""
    return not _targets(sweep) and experiment_of(sweep).continues


def _plan(source: Source, steps: int, only: NDArray[np.bool_] | None) -> Plan:
    """Plan a store with a larger budget."""
    assert source.sweep.descent is not None
    grows = steps > source.sweep.descent.steps
    union = source.sweep.with_steps(steps) if grows else source.sweep
    plan = make_plan(union, [source], Knowledge.NOT_REQUESTED)
    going_on = _unfinished(source, grows)
    if only is not None:
        going_on = going_on & (only | _closed_forms(union))
    known = np.where(going_on, np.int8(Knowledge.PENDING), plan.known)
    source.provenance |= {"steps": source.sweep.descent.steps}  # of the trials until now
    return replace(plan, known=known, going_on=going_on, continued=_continued(source, going_on))


def _unfinished(source: Source, grows: bool) -> NDArray[np.bool_]:
    """Return a mask of the trials whose outcome more steps may change.

    If the budget does not grow, these are the trials that were left before it ended.
    """
    sweep = source.sweep
    assert sweep.descent is not None
    status = stores.Store(source.path, sweep).statuses()
    taken = read_array(locate(source.path), STEPS)
    ended: NDArray[np.bool_] = np.asarray(taken >= sweep.descent.steps)
    if ended.ndim > status.ndim:  # several descents of a trial
        ended = np.logical_or.reduce(ended, axis=-1)
    if sweep.descent.extended and experiment_of(sweep).continues:
        reached = read_array(locate(source.path), REACHED)
        left = np.logical_or.reduce(np.isinf(reached), axis=-1) & (status == Status.DONE)
        ended = ended | left if grows else left & ~ended
    elif not grows:
        ended = np.zeros_like(ended)
    if grows:
        ended |= _closed_forms(sweep)
    return np.asarray(ended & among(status, (Status.DONE, Status.DIVERGED)))


def _closed_forms(sweep: Sweep) -> NDArray[np.bool_]:
    """Return a mask of the trials of networks that are not iterated."""
    found = np.zeros(sweep.shape, dtype=bool)
    if experiment_of(sweep).continues and sweep.descent is not None and sweep.descent.is_paper:
        for cell in sweep.cells():
            found[cell.index] = cell["trained"] == "output"
    return found


def _continued(source: Source, going_on: NDArray[np.bool_]) -> Counter[str]:
    """Count the trials that go on by why they start anew, "" if they need not."""
    if not experiment_of(source.sweep).continues:
        return Counter({NONE: int(going_on.sum())})
    found = (source.checkpoints.find(tuple(at)) for at in np.argwhere(going_on).tolist())
    return Counter(one if isinstance(one, str) else "" for one in found)
