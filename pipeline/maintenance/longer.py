"""A larger budget of steps for a store: trials that the old one has ended go on, the others stay.

A trial is finished if it took fewer steps than it might have: it met its last tolerance, or diverged.
With a larger budget it would be the same, to the bit, so it is copied. A trial that the budget has
ended becomes pending. A run then continues it from its checkpoint, or computes it anew where there is
none that can be used; both give the bits of a store with the larger budget from the start.

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

__all__ = ["lengthen"]

STEPS = "steps"
"""The variable with the steps that a trial took."""


def lengthen(
    path: StorePath, steps: int, out: StorePath | None = None, *, dry_run: bool = False
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
    source = Source.of(path)
    check_budget(path, source.sweep, steps)
    same = source.sweep.descent is not None and source.sweep.descent.steps == steps

    def make() -> Plan:
        return _plan(Source.of(path), steps)

    plan = make_plan(source.sweep, [source], Knowledge.NOT_REQUESTED) if same else make()
    target = path if out is None else out
    check_out(target, plan.sources[0], in_place=out is None)
    if dry_run or (same and out is None):
        return plan.change(target, written=False)
    if same:
        return write_result(lambda: plan, target, in_place=False)
    return write_result(make, target, in_place=out is None)


def check_budget(path: StorePath, sweep: Sweep, steps: int) -> None:
    """Check that the trials of a store can have a larger budget.

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
    if not sweep.descent.steps <= steps <= MOST_STEPS:
        raise StoreError(
            f"store {path}: got {steps} steps, expected {sweep.descent.steps} (its budget) to "
            f"{MOST_STEPS:g}; `widthlaw fit STORE --budget STEPS` takes less of them"
        )


def _plan(source: Source, steps: int) -> Plan:
    """Plan a store with a larger budget."""
    plan = make_plan(source.sweep.with_steps(steps), [source], Knowledge.NOT_REQUESTED)
    going_on = _ended_by_budget(source)
    known = np.where(going_on, np.int8(Knowledge.PENDING), plan.known)
    assert source.sweep.descent is not None
    source.provenance |= {"steps": source.sweep.descent.steps}  # of the trials until now
    return replace(plan, known=known, going_on=going_on, continued=_continued(source, going_on))


def _ended_by_budget(source: Source) -> NDArray[np.bool_]:
    """Return a mask of the trials whose outcome a larger budget may change."""
    sweep = source.sweep
    assert sweep.descent is not None
    status = stores.Store(source.path, sweep).statuses()
    taken = read_array(locate(source.path), STEPS)
    ended: NDArray[np.bool_] = np.asarray(taken >= sweep.descent.steps)
    if ended.ndim > status.ndim:  # several descents of a trial
        ended = np.logical_or.reduce(ended, axis=-1)
    if experiment_of(sweep).continues and sweep.descent.is_paper:
        for cell in sweep.cells():
            if cell["trained"] == "output":  # closed form
                ended[cell.index] = True
    return np.asarray(ended & among(status, (Status.DONE, Status.DIVERGED)))


def _continued(source: Source, going_on: NDArray[np.bool_]) -> Counter[str]:
    """Count the trials that go on by why they start anew, "" if they need not."""
    if not experiment_of(source.sweep).continues:
        return Counter({NONE: int(going_on.sum())})
    found = (source.checkpoints.find(tuple(at)) for at in np.argwhere(going_on).tolist())
    return Counter(one if isinstance(one, str) else "" for one in found)
