"""Chunks as files: the files of a block, and decoding the bytes of one.

A chunk is read once, as bytes, and Zarr decodes it from memory. So exactly the stored bytes are
checked, and a chunk that cannot be decoded is distinguished from one that does not exist, which Zarr
itself reads as fill values. Only Zarr's third format is read, whose codecs hold no pickled objects.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.buffer import cpu
from zarr.storage import MemoryStore

from pipeline.blocks import Block
from pipeline.experiments import variables
from pipeline.store.arrays import describe_damage
from pipeline.store.names import MESSAGE, ROOT, STATUS
from pipeline.store.template import variable_dims
from pipeline.sweep import Sweep

__all__ = ["BadChunk", "Decoder", "block_keys", "chunk_index"]


class BadChunk(Exception):
    """The bytes of a chunk are not what was written."""


class Decoder:
    """One array, whose chunks are decoded from memory, one at a time.

    Parameters
    ----------
    metadata
        The array's `zarr.json`.

    Raises
    ------
    BadChunk
        The metadata describe no array.
    """

    def __init__(self, metadata: bytes) -> None:
        self._files: dict[str, Any] = {ROOT: cpu.Buffer.from_bytes(metadata)}
        try:
            store = MemoryStore(self._files)
            self.array: Any = zarr.open_array(store, mode="r", zarr_format=3)
        except Exception as error:  # Zarr raises many types for invalid metadata
            raise BadChunk(describe_damage(error)) from None

    def decode(self, key: str, raw: bytes) -> NDArray[Any]:
        """Return the values of a chunk.

        Parameters
        ----------
        key
            Key below the array, such as ``c/0/1``.
        raw
            The stored bytes.

        Raises
        ------
        BadChunk
            A checksum is wrong, or there are too few or too many bytes.
        """
        self._files[key] = cpu.Buffer.from_bytes(raw)
        try:
            return np.asarray(self.array.blocks[chunk_index(key)])
        except Exception as error:  # each codec raises its own types
            raise BadChunk(describe_damage(error)) from None
        finally:
            del self._files[key]


def chunk_index(key: str) -> tuple[int, ...]:
    """Return the index of a chunk in the grid of its array, given its key below it: ``c/0/1``."""
    return tuple(int(part) for part in key.split("/")[1:])


def block_keys(sweep: Sweep, block: Block, widths: int, seeds: int) -> dict[str, str]:
    """Return the chunks that a block owns, array to key in the store, `status` first.

    Parameters
    ----------
    sweep, block
        The block.
    widths, seeds
        Extents of a chunk.
    """
    index = {"width": block.first // widths, "seed": block.start // seeds}
    index |= dict(zip(sweep.axes, block.cell.index, strict=True))
    dims_by_array = {STATUS: sweep.dims, MESSAGE: sweep.dims}
    dims_by_array |= {one.name: variable_dims(sweep, one.dims) for one in variables(sweep)}
    return {
        name: "/".join([name, "c", *(str(index.get(dim, 0)) for dim in dims)])
        for name, dims in dims_by_array.items()
    }
