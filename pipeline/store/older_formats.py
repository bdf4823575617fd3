"""Statuses of stores that older versions of widthlaw made.

Up to format version 2 there was one status, `excluded`, for two kinds of trials of a refined store:
those that cannot exist and those that were not requested. Which is which follows from the sweep: it
excludes whole cells. `separate_not_requested` tells them apart wherever the statuses of a store
are read (`Store`, `analysis.open_store`), so that everything above sees one meaning.

Blocks are read and written with the codes that the store has. So `run` continues a store of version 2
in version 2. Whatever writes a whole new store (extend, merge, the next round of refine) makes it one
of the current version.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.axes import optional
from pipeline.errors import StoreError
from pipeline.numerics.datasets import DatasetSpec
from pipeline.store.location import StorePath
from pipeline.sweep import Sweep
from pipeline.trial_status import Status

__all__ = ["has_all_chunks", "impossible_trials", "not_requested_code", "separate_not_requested"]

FIRST_WITH_NOT_REQUESTED = 3
"""Format version in which `not_requested` became a status of its own."""


FIRST_WITH_ALL_CHUNKS = 2
"""Format version in which chunks of only fill values began to be written."""


def has_all_chunks(attributes: Mapping[str, Any]) -> bool:
    """Return True if a block with outcomes has all its chunks, given the attributes of its store.

    In version 1 the loss of a chunk cannot be told from a chunk of only fill values.
    """
    return bool(attributes["format_version"] >= FIRST_WITH_ALL_CHUNKS)


def not_requested_code(attributes: Mapping[str, Any]) -> Status:
    """Return the status that trials of a store have on disk if they were not requested."""
    old = attributes["format_version"] < FIRST_WITH_NOT_REQUESTED
    return Status.EXCLUDED if old else Status.NOT_REQUESTED


def separate_not_requested(
    status: NDArray[np.int8], impossible: NDArray[np.bool_] | None, region: tuple[slice, ...]
) -> NDArray[np.int8]:
    """Return statuses in the meaning of the current format.

    Parameters
    ----------
    status
        Statuses of a part of the store, as stored.
    impossible
        Mask of the trials of the whole store that the sweep excludes, from `impossible_trials`.
    region
        Indices of the part along the dimensions of `status`.
    """
    if impossible is None:
        return status
    merged = (status == Status.EXCLUDED) & ~impossible[region[:-2]]
    return np.where(merged, np.int8(Status.NOT_REQUESTED), status)


def impossible_trials(
    path: StorePath, attributes: Mapping[str, Any], dims: Sequence[str]
) -> NDArray[np.bool_] | None:
    """Return a mask of the trials that the sweep of an older store excludes.

    Parameters
    ----------
    path
        Path of the store, for messages.
    attributes
        Attributes of the store.
    dims
        Dimensions of its statuses.

    Returns
    -------
    Mask that broadcasts against the statuses, with extent 1 along `width` and `seed`. None if the
    statuses need no translation: the store is not refined, or is of the current format.

    Raises
    ------
    StoreError
        The attributes do not describe the axes.
    """
    if not attributes.get("refined") or not_requested_code(attributes) == Status.NOT_REQUESTED:
        return None
    try:
        sweep = _axes_only(attributes, dims)
        impossible = np.zeros((*sweep.shape[:-2], 1, 1), dtype=bool)
        for index in sweep.excluded():
            impossible[index] = True
    except (TypeError, KeyError, ValueError, AttributeError, IndexError):
        raise StoreError(
            f"store {path}: cannot use its attributes identity_fields and extents: the "
            "store is damaged; run the sweep into a new path, or restore the store from a backup"
        ) from None
    return impossible


def _axes_only(attributes: Mapping[str, Any], dims: Sequence[str]) -> Sweep:
    """Return a sweep with the leading axes of a store, without widths and seeds.

    It comes from the attributes alone: the text of the sweep may name a data file that is not here.
    """
    fields, extents = attributes["identity_fields"], attributes["extents"]
    specs = [DatasetSpec(spec["kind"], tuple(spec.get("angle", ()))) for spec in fields["dataset"]]
    return Sweep(
        name=attributes["name"],
        experiment=fields["experiment"],
        entropy=fields["entropy"],
        activation=tuple(fields["activation"]),
        dataset=tuple(specs),
        d=tuple(extents["d"]),
        n=tuple(extents["n"]),
        width_unit="k",
        width=(),
        seeds=(),
        nested=bool(fields["nested"]),
        axes=tuple(dims[:-2]),
        options=tuple(
            (axis.name, tuple(fields[axis.name])) for axis in optional() if axis.name in fields
        ),
    )
