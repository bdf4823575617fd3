"""The store of a sweep: one Zarr v3 group, in a folder or in a bucket, that plain xarray reads.

`store` has the `Store`, which reads and writes blocks. `creation` makes a store from its `template`;
`reading` returns the attributes of a store and the sweep that they describe; `arrays` reads arrays and
writes blocks, whose `chunks` it codes and whose `digests` bind them to their places; `location` and
`files` handle files; `lease` admits one run at a time.
"""

from pipeline.store.creation import (
    as_in_store,
    check_target,
    create,
    drafting,
    open_or_create,
    take_code,
)
from pipeline.store.reading import (
    READABLE,
    array_names,
    check_store,
    is_refined,
    provenance_of,
    stored_sweep,
    sweep_from,
)
from pipeline.store.store import Store

__all__ = [
    "READABLE",
    "Store",
    "array_names",
    "as_in_store",
    "check_store",
    "check_target",
    "create",
    "drafting",
    "is_refined",
    "open_or_create",
    "provenance_of",
    "stored_sweep",
    "sweep_from",
    "take_code",
]
