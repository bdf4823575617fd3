"""Chunks as bytes: the layout of an array's chunks, their coding, and what bytes they can have.

A store may come from someone else, so the bytes of a chunk are checked before they are decoded: the
chunk's shape decides how many bytes it can have, and its Zstandard frame must declare exactly the bytes
that the shape needs. A small file that would grow to gigabytes is refused by its header.

The coding is that of Zarr, done with the same codecs. So exactly the stored bytes are checked, and a
chunk that cannot be decoded is distinguished from one that does not exist, which Zarr reads as fill
values. Zarr itself would hand each chunk to another thread, which takes far longer than its coding.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any

import google_crc32c
import numcodecs
import numpy as np
from numpy.typing import NDArray

__all__ = ["ArrayLayout", "BadChunk", "Coder", "check_bytes", "chunk_index"]

ITEM_BYTES = {"float64": 8, "int64": 8, "int8": 1}
"""Bytes of a value of each type of number that a store holds."""

MOST_TEXT = 2**14
"""The most bytes of one text."""

CODECS = ("zstd", "crc32c")

ZSTD = numcodecs.Zstd()

TEXTS = numcodecs.VLenUTF8()

ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"


CHANGE_VALUES = (
    "_FillValue",
    "_Unsigned",
    "add_offset",
    "calendar",
    "dtype",
    "missing_value",
    "scale_factor",
)
"""Attributes by which xarray decodes other values than those that are stored; no store has them."""


class BadChunk(Exception):
    """The bytes of a chunk are not what was written."""


@dataclass(frozen=True)
class ArrayLayout:
    """The shape of an array and of its chunks, according to its metadata.

    Attributes
    ----------
    dims, shape, chunks
        Names of its dimensions, their sizes, and the extents of a chunk.
    kind
        Type of its values, as Zarr names it.
    """

    dims: tuple[str, ...]
    shape: tuple[int, ...]
    chunks: tuple[int, ...]
    kind: str

    @classmethod
    def of(cls, metadata: Any) -> ArrayLayout:
        """Return the layout that the metadata of an array describe.

        Parameters
        ----------
        metadata
            Its `zarr.json` as parsed, or the copy of it in the group.

        Raises
        ------
        BadChunk
            They describe no array that this program writes.
        """
        try:
            kind, dims, shape = metadata["data_type"], metadata["dimension_names"], metadata["shape"]
            chunks = metadata["chunk_grid"]["configuration"]["chunk_shape"]
            codecs = [codec["name"] for codec in metadata["codecs"]]
            grid, separator = metadata["chunk_grid"]["name"], metadata["chunk_key_encoding"]
            odd = sorted({*metadata.get("attributes", ())}.intersection(CHANGE_VALUES))
        except (TypeError, KeyError, AttributeError):
            raise BadChunk("its metadata are incomplete") from None
        if odd:
            raise BadChunk(f"its attribute {odd[0]} would change its values")
        first = "vlen-utf8" if kind == "string" else "bytes"
        if kind not in (*ITEM_BYTES, "string") or codecs != [first, *CODECS] or grid != "regular":
            raise BadChunk(f"its values are of the type {kind!r}, coded by {codecs}")
        if separator != {"name": "default", "configuration": {"separator": "/"}}:
            raise BadChunk("its chunks have other names")
        if not all(isinstance(dim, str) for dim in dims) or not _fits(chunks, shape, len(dims)):
            raise BadChunk(f"its shape is {shape}, in chunks of {chunks}, over {dims}")
        return cls(tuple(dims), tuple(shape), tuple(chunks), kind)

    @property
    def values(self) -> int:
        """Number of values of a chunk."""
        return math.prod(self.chunks)

    @property
    def decoded(self) -> int:
        """Bytes of a decoded chunk; for texts the most that it can have."""
        return self.values * ITEM_BYTES.get(self.kind, MOST_TEXT + 4) + (self.kind == "string") * 4

    @property
    def most(self) -> int:
        """The most bytes of a stored chunk: what cannot be compressed grows by a little."""
        return self.decoded + self.decoded // 128 + 1024

    @property
    def grid(self) -> tuple[int, ...]:
        """Number of chunks along each dimension."""
        return tuple(-(-size // extent) for size, extent in zip(self.shape, self.chunks, strict=True))


def _fits(chunks: Any, shape: Any, dims: int) -> bool:
    def whole(values: Any) -> bool:
        return isinstance(values, list) and all(type(value) is int and value > 0 for value in values)

    if not (whole(chunks) and whole(shape) and len(chunks) == len(shape) == dims):
        return False
    return all(chunk <= size for chunk, size in zip(chunks, shape, strict=True))


# ---- bytes


def check_bytes(layout: ArrayLayout, raw: bytes) -> bytes:
    """Check the bytes of a chunk before they are decoded; return the bytes of its values.

    Raises
    ------
    BadChunk
        A checksum is wrong, or they would not be decoded to what the layout says.
    """
    if len(raw) > layout.most:
        raise BadChunk(f"it has {len(raw)} bytes, expected at most {layout.most}")
    body, checksum = raw[:-4], raw[-4:]
    if google_crc32c.value(body).to_bytes(4, "little") != checksum:
        raise BadChunk("checksum mismatch")
    declared = _declared_size(body)
    if declared != layout.decoded and not (layout.kind == "string" and declared <= layout.decoded):
        raise BadChunk(f"it would be decoded to {declared} bytes, expected {layout.decoded}")
    try:  # into the declared size, which is possible; Zarr's own error would name no store
        decoded: bytes = ZSTD.decode(body)
    except RuntimeError as error:
        raise BadChunk(_first_line(error)) from None
    if len(decoded) != declared:
        raise BadChunk(f"it is decoded to {len(decoded)} bytes, and declares {declared}")
    if layout.kind == "string":  # the decoder makes room for all texts first
        texts = int.from_bytes(decoded[:4], "little")
        if texts != layout.values:
            raise BadChunk(f"it claims to hold {texts} texts, expected {layout.values}")
    return decoded


def _declared_size(body: bytes) -> int:
    """Return the decoded size of a single Zstandard frame, from its header (RFC 8878, 3.1.1).

    Raises
    ------
    BadChunk
        The bytes are not exactly one frame that declares its size.
    """
    if body[:4] != ZSTD_MAGIC or len(body) < 6:
        raise BadChunk("its bytes are no Zstandard frame")
    descriptor = body[4]
    single, flag = descriptor >> 5 & 1, descriptor >> 6
    start = 5 + (0 if single else 1) + (0, 1, 2, 4)[descriptor & 3]
    width = (single, 2, 4, 8)[flag]
    if not width:
        raise BadChunk("its Zstandard frame declares no size")
    size = int.from_bytes(body[start : start + width], "little") + (256 if width == 2 else 0)
    if _end_of_frame(body, start + width) + 4 * (descriptor >> 2 & 1) != len(body):
        raise BadChunk("its bytes are more or less than one Zstandard frame")
    return size


def _end_of_frame(body: bytes, at: int) -> int:
    """Return where the blocks of a frame end, walking from header to header."""
    while at + 3 <= len(body):
        header = int.from_bytes(body[at : at + 3], "little")
        repeated = header >> 1 & 3 == 1  # one byte, repeated
        at += 3 + (1 if repeated else header >> 3)
        if header & 1:
            return at
    raise BadChunk("its Zstandard frame is cut off")


# ---- coding


class Coder:
    """One array, whose chunks are coded one at a time.

    Parameters
    ----------
    metadata
        The array's `zarr.json`.

    Attributes
    ----------
    layout
        The layout of the array.
    fill
        The value of trials whose chunk does not exist.

    Raises
    ------
    BadChunk
        The metadata describe no array.
    """

    def __init__(self, metadata: bytes) -> None:
        try:
            document = json.loads(metadata)
        except (ValueError, RecursionError):
            raise BadChunk("its metadata are no JSON") from None
        self.layout = ArrayLayout.of(document)
        try:
            of_values, zstd, _ = (codec.get("configuration", {}) for codec in document["codecs"])
            self._dtype = _dtype(self.layout.kind, of_values.get("endian"))
            fill = document["fill_value"]
            self.fill = fill if self.layout.kind == "string" else self._dtype.type(fill)
            self._zstd = numcodecs.Zstd(level=zstd["level"], checksum=zstd["checksum"])
        except (TypeError, KeyError, ValueError, AttributeError, OverflowError):
            raise BadChunk("its metadata are incomplete") from None

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the values in memory."""
        return self._dtype.newbyteorder("=")

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
        inside = tuple(map(slice, self.inside(key)))
        decoded = check_bytes(self.layout, raw)
        if self.layout.kind != "string":
            values = np.frombuffer(decoded, self._dtype).reshape(self.layout.chunks)[inside]
            return values.astype(self.dtype)  # a copy, which can be changed
        try:
            values = TEXTS.decode(decoded)
        except Exception as error:  # the decoder raises types of its own
            raise BadChunk(_first_line(error)) from None
        return values.reshape(self.layout.chunks)[inside]

    def encode(self, key: str, values: NDArray[Any]) -> bytes:
        """Return the bytes of a chunk, also of one that holds only fill values."""
        chunk = np.full(self.layout.chunks, self.fill, dtype=self._dtype)
        chunk[tuple(map(slice, self.inside(key)))] = values
        plain = TEXTS.encode(chunk) if self.layout.kind == "string" else chunk.tobytes()
        body = bytes(self._zstd.encode(plain))
        return body + google_crc32c.value(body).to_bytes(4, "little")

    def inside(self, key: str) -> tuple[int, ...]:
        """Return the shape of the part of a chunk that lies within the array.

        Raises
        ------
        BadChunk
            The array has no such chunk.
        """
        index, grid = chunk_index(key), self.layout.grid
        if len(index) != len(grid) or not all(0 <= at < n for at, n in zip(index, grid, strict=True)):
            raise BadChunk(f"the array has no chunk {key}")
        ends = zip(index, self.layout.chunks, self.layout.shape, strict=True)
        return tuple(min(extent, size - at * extent) for at, extent, size in ends)


def _dtype(kind: str, endian: str | None) -> np.dtype[Any]:
    if kind == "string":
        return np.dtype(object)
    return np.dtype({"big": ">", "little": "<", None: "="}[endian] + np.dtype(kind).str[1:])


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or ["it cannot be decoded"])[0]


def chunk_index(key: str) -> tuple[int, ...]:
    """Return the index of a chunk in the grid of its array, given its key below it: ``c/0/1``."""
    return tuple(int(part) for part in key.split("/")[1:])
