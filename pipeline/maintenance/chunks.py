"""Chunks as files: which ones a block owns, and what the bytes of one hold.

A chunk is read once, as bytes, and decoded by Zarr from memory: so that what is looked at is what
lies in the store, and a chunk that cannot be decoded is told from one that is not there, which Zarr
itself takes for fill values. Only ever Zarr's third format, whose codecs hold no pickled objects.
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
from pipeline.store.template import variable_dims
from pipeline.sweep import Sweep

__all__ = ["STATUS", "BadChunk", "Decoder", "block_keys", "chunk_places"]

STATUS = "status"


class BadChunk(Exception):
    """The bytes of a chunk are not what was written."""


class Decoder:
    """One array, of which a chunk at a time is laid into memory and decoded.

    Parameters
    ----------
    metadata
        The array's `zarr.json`.

    Raises
    ------
    BadChunk
        It describes no array.
    """

    def __init__(self, metadata: bytes) -> None:
        self._files: dict[str, Any] = {"zarr.json": cpu.Buffer.from_bytes(metadata)}
        try:
            store = MemoryStore(self._files)
            self.array: Any = zarr.open_array(store, mode="r", zarr_format=3)
        except Exception as error:  # whatever Zarr makes of metadata that are not its own
            raise BadChunk(_first_line(error)) from None

    def decode(self, key: str, raw: bytes) -> NDArray[Any]:
        """Return what a chunk holds.

        Parameters
        ----------
        key
            Below the array, such as ``c/0/1``.
        raw
            Its bytes.

        Raises
        ------
        BadChunk
            A checksum is wrong, bytes are missing, or there are too many.
        """
        self._files[key] = cpu.Buffer.from_bytes(raw)
        try:
            return np.asarray(self.array.blocks[chunk_places(key)])
        except Exception as error:  # of the codecs, each of which has its own
            raise BadChunk(_first_line(error)) from None
        finally:
            del self._files[key]


def chunk_places(key: str) -> tuple[int, ...]:
    """The place of a chunk among those of its array, of its key below the array: ``c/0/1``."""
    return tuple(int(part) for part in key.split("/")[1:])


def _first_line(error: Exception) -> str:
    if "checksum" in str(error):
        return "its bytes are not those that were written: their checksum is another"
    return (str(error).splitlines() or [type(error).__name__])[0]


def block_keys(sweep: Sweep, block: Block, widths: int, seeds: int) -> dict[str, str]:
    """Return the chunks that a block owns, array to key in the store, `status` first.

    Parameters
    ----------
    sweep, block
        The block.
    widths, seeds
        Extents of a chunk.
    """
    at = {"width": block.first // widths, "seed": block.start // seeds}
    at |= dict(zip(sweep.axes, block.cell.index, strict=True))
    dims = {STATUS: sweep.dims, "message": sweep.dims}
    dims |= {variable.name: variable_dims(sweep, variable.dims) for variable in variables(sweep)}
    return {
        name: "/".join([name, "c", *(str(at.get(dim, 0)) for dim in own)]) for name, own in dims.items()
    }
