"""Digests bind the chunks of a block to their places and to each other.

A checksum inside a chunk shows that its bytes are whole, but not that they belong where they lie: a
valid chunk of another block or another variable has a valid checksum too. So since format 3 each block
has a small file with the SHA-256 of every chunk's key and bytes, its statuses included.

While a block that has outcomes is written again, its file accepts the chunks before and after. So a
write that is cut off at any moment leaves a block whose chunks are all accepted.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress

from pipeline.errors import ChunkDamaged
from pipeline.store.location import Location
from pipeline.store.names import DIGESTS

__all__ = ["Digests", "as_file", "digest", "digests_key", "has_digests", "read_digests", "write_block"]

MOST_DIGESTS = 2**20
"""The most bytes of a file of digests."""

FIRST_WITH_DIGESTS = 3
"""Format version in which blocks got digests."""

Digests = Mapping[str, tuple[str, ...]]
"""The accepted digests of each chunk, by its key."""


def digest(key: str, raw: bytes) -> str:
    """Return the digest of a chunk at its place."""
    return hashlib.sha256(f"{key}\n".encode() + raw).hexdigest()


def digests_key(status_key: str) -> str:
    """Return the file of a block's digests, given the key of its chunk of statuses."""
    return f"{DIGESTS}{'.'.join(status_key.split('/')[2:])}.json"


def has_digests(attributes: Mapping[str, object]) -> bool:
    """Return True if the blocks of a store have digests, given its attributes."""
    version = attributes.get("format_version")
    return isinstance(version, int) and version >= FIRST_WITH_DIGESTS


def read_digests(location: Location, status_key: str) -> Digests | None:
    """Return the digests of a block, None if it has none.

    Raises
    ------
    ChunkDamaged
        Its file is not what was written.
    """
    key = digests_key(status_key)
    raw = location.read(key, MOST_DIGESTS)
    if raw is None:
        return None
    checksum, _, content = raw.partition(b"\n")
    if hashlib.sha256(content).hexdigest().encode() != checksum:
        raise ChunkDamaged(location.name, key, "checksum mismatch")
    found = _parsed(content)
    if found is None:  # a checksum is no proof: anybody can compute it
        raise ChunkDamaged(location.name, key, "it holds no digests by chunk")
    return found


def _parsed(content: bytes) -> Digests | None:
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict):
        return None
    lists = all(isinstance(accepted, list) for accepted in found.values())
    if not (lists and all(isinstance(one, str) for accepted in found.values() for one in accepted)):
        return None
    return {key: tuple(accepted) for key, accepted in found.items()}


def as_file(digests: Digests) -> bytes:
    """Return the file of a block's digests: the SHA-256 of the second line, and digests by key."""
    content = json.dumps(digests, sort_keys=True).encode()
    return hashlib.sha256(content).hexdigest().encode() + b"\n" + content


def write_block(location: Location, chunks: Mapping[str, bytes], *, digests: bool) -> None:
    """Write chunks of a block with their digests, its statuses last.

    Parameters
    ----------
    location
        The store.
    chunks
        Bytes by key; the last is the chunk of statuses. Chunks of the block that are not among them
        stay as they are.
    digests
        False for a store of an older format.
    """
    *results, status_key = chunks
    before: Digests = {}
    with suppress(ChunkDamaged):  # then the block is bound anew
        before = (read_digests(location, status_key) or {}) if digests else {}
    after = {key: (digest(key, raw),) for key, raw in chunks.items()}
    if before:
        either = {key: tuple({*before.get(key, ()), *after[key]}) for key in after}
        _write(location, status_key, {**before, **either})
    for key in results:
        location.write(key, chunks[key])
    if digests and not before:
        _write(location, status_key, after)
    location.write(status_key, chunks[status_key])
    if before:
        _write(location, status_key, {**before, **after})


def _write(location: Location, status_key: str, digests: Digests) -> None:
    location.write(digests_key(status_key), as_file(digests))
