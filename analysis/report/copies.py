"""Stores of a report that hold the trials of one sweep twice, such as a store and its copy."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import xarray as xr

from analysis.study import Study
from pipeline.trial_status import Status

__all__ = ["without_copies"]


def without_copies(studies: Mapping[str, Study]) -> tuple[dict[str, Study], list[str]]:
    """Return the stores with one of each sweep, and a note on every store that is left out.

    Copies, and repetitions of a run, have equal trials, which are no more evidence than one of them. Of
    such stores the one with most done trials stays, and the first if several have as many.

    Parameters
    ----------
    studies
        By the path of their store.
    """
    groups: list[list[str]] = []
    for store, study in studies.items():
        same = [group for group in groups if _is_repeated(studies[group[0]].ds, study.ds)]
        if same:
            same[0].append(store)
        else:
            groups.append([store])
    stays = {max(group, key=lambda one: _done(studies[one].ds).sum()): group for group in groups}
    notes = [
        _note(other, store, studies)
        for store, group in stays.items()
        for other in group
        if other != store
    ]
    return {store: studies[store] for store in stays}, notes


def _note(left_out: str, store: str, studies: Mapping[str, Study]) -> str:
    note = f"{left_out} is left out: its trials are those of {store}, and count once"
    if (_done(studies[left_out].ds) & ~_done(studies[store].ds)).any():
        note += "; some are done in it alone, and `widthlaw merge` joins the two"
    return note


def _is_repeated(one: xr.Dataset, other: xr.Dataset) -> bool:
    """Return True if two stores have the name, the identity and the axes of one sweep.

    The identity and the coordinates of a trial decide its values.
    """
    return (
        "identity" in one.attrs
        and all(one.attrs.get(key) == other.attrs.get(key) for key in ("name", "identity"))
        and one.status.dims == other.status.dims
        and all(np.array_equal(one[dim].values, other[dim].values) for dim in one.status.dims)
    )


def _done(ds: xr.Dataset) -> np.ndarray:
    return (ds.status == Status.DONE).values
