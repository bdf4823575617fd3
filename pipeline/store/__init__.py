"""The store of a sweep: one Zarr v3 group, in a folder or in a bucket, that plain xarray reads.

`template` says what a store holds before its first result, `writing` makes and fills it, `reading`
reads it back, `location` and `bucket` say where it lies, and `lease` keeps it to one run at a time.
"""

from pipeline.store.reading import (
    READABLE,
    array_names,
    check_store,
    counts,
    is_refined,
    messages,
    open_group,
    provenance_of,
    read_block,
    status_of,
    statuses,
    stored_sweep,
    sweep_from,
    todo,
    wanted,
)
from pipeline.store.writing import (
    check_target,
    clean,
    create,
    drafting,
    drafts,
    open_or_create,
    reset_failed,
    write,
    write_status,
)

__all__ = [
    "READABLE",
    "array_names",
    "check_store",
    "check_target",
    "clean",
    "counts",
    "create",
    "drafting",
    "drafts",
    "is_refined",
    "messages",
    "open_group",
    "open_or_create",
    "provenance_of",
    "read_block",
    "reset_failed",
    "status_of",
    "statuses",
    "stored_sweep",
    "sweep_from",
    "todo",
    "wanted",
    "write",
    "write_status",
]
