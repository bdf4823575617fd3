"""The arrays of a store: opening them, and the region that a block has in each.

This is the one place where the arrays of a block, which always have an axis of widths, meet the
arrays of a store, which have one only if the widths of a seed differ.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from pipeline.blocks import Block
from pipeline.errors import StoreDamaged, StoreError
from pipeline.store.location import Location, locate
from pipeline.sweep import Sweep

__all__ = [
    "damage_as",
    "describe_damage",
    "from_store",
    "open_array",
    "open_arrays",
    "open_group",
    "read_array",
    "region",
    "to_store",
]


def open_group(location: Location, mode: Any = "r") -> zarr.Group:
    """Open the group of a store, of Zarr's third format only, which holds no pickled objects."""
    return zarr.open_group(location.zarr(), mode=mode, zarr_format=3)


def open_array(location: Location, name: str) -> zarr.Array[Any]:
    """Open one array for reading, by its own metadata: the group has only a copy of them."""
    with damage_as(StoreDamaged, location, name):
        return zarr.open_array(location.zarr(), path=name, mode="r", zarr_format=3)


def read_array(location: Location, name: str) -> NDArray[Any]:
    """Read one array as a whole."""
    array = open_array(location, name)
    with damage_as(StoreDamaged, location, name):
        return np.asarray(array)


@lru_cache(maxsize=8)
def open_arrays(path: str, fingerprint: object) -> dict[str, Any]:
    """Open all arrays for writing, once per process and store.

    Metadata do not change while a store is filled. A store that replaces another at the same path has
    another fingerprint, so it is never written with the old shapes. A chunk of only NaN is written like
    any other, so that its loss can be detected.
    """
    with zarr.config.set({"array.write_empty_chunks": True}):
        return dict(open_group(locate(path), "r+").arrays())


@contextmanager
def damage_as(error_type: type[StoreDamaged], location: Location, name: str) -> Iterator[None]:
    """Turn an error of Zarr into one that names the store and the array."""
    try:
        yield
    except StoreError:  # names the store already
        raise
    except (FileNotFoundError, KeyError, ValueError, RuntimeError) as error:
        raise error_type(location.name, name, describe_damage(error)) from None


def describe_damage(error: Exception) -> str:
    """Describe in one line why bytes of a store could not be decoded."""
    if "checksum" in str(error):  # the codec raises a plain ValueError
        return "checksum mismatch"
    return (str(error).splitlines() or [type(error).__name__])[0]


def region(sweep: Sweep, block: Block, dims: tuple[str, ...]) -> tuple[int | slice, ...]:
    """Return the indices of a block in an array of the store with dimensions `dims`."""
    index: dict[str, int | slice] = dict(zip(sweep.axes, block.cell.index, strict=True))
    index |= {"width": block.widths, "seed": block.seeds}
    return tuple(index.get(dim, slice(None)) for dim in dims)


def to_store(values: NDArray[Any], dims: tuple[str, ...]) -> NDArray[Any]:
    """Turn an array of a block, (widths or 1, seeds, inner), into a region of the store."""
    return values if "width" in dims else values[0]


def from_store(values: NDArray[Any], dims: tuple[str, ...]) -> NDArray[Any]:
    """Turn a region of the store into an array of a block, (widths or 1, seeds, inner)."""
    return values if "width" in dims else values[np.newaxis]
