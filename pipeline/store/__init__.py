"""The store of a sweep: one Zarr v3 group, in a folder or in a bucket, that plain xarray reads.

`store` has the `Store`, which reads and writes blocks. `creation` makes a store from its `template`;
`reading` returns the attributes of a store and the sweep that they describe; `arrays` opens the arrays
and lays out blocks in them; `location` and `bucket` handle files; `lease` admits one run at a time.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from pipeline.blocks import Block, BlockResult
from pipeline.store.arrays import open_group
from pipeline.store.creation import check_target, create, drafting, open_or_create
from pipeline.store.location import StorePath
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
from pipeline.sweep import Sweep

__all__ = [
    "READABLE",
    "Store",
    "array_names",
    "check_store",
    "check_target",
    "create",
    "drafting",
    "is_refined",
    "open_group",
    "open_or_create",
    "provenance_of",
    "stored_sweep",
    "sweep_from",
]


# until every caller has moved to the methods of Store


def counts(path: StorePath) -> dict[str, int]:
    return Store(path).counts()


def statuses(path: StorePath) -> NDArray[np.int8]:
    return Store(path).statuses()


def messages(path: StorePath) -> list[tuple[str, int]]:
    return Store(path).messages()


def todo(path: StorePath, sweep: Sweep, retry_failed: bool = False) -> Iterator[Block]:
    return Store(path, sweep).pending_blocks(retry_failed)


def write(path: StorePath, sweep: Sweep, block: Block, result: BlockResult) -> None:
    Store(path, sweep).write(block, result)


def reset_failed(path: StorePath) -> None:
    Store(path).reset_failed()
