"""Finding damage: files of a store that are not what was written.

Every file is read once. Chunks are checked by their checksums, metadata and coordinates against the
template of the store's own sweep, and the chunks of a block against each other: since format version 2
a block with outcomes has all its chunks, and a block without has none. Only a refined store may have
cells with trials that are not requested, and there every block has statuses. Each `Damage` has a
remedy:

- *reset*: the chunks of a block are removed, `status` first. If that is killed at any moment, it leaves
  either chunks without a status, which are found as damage, or pending trials, which a run computes
  again to the same bits. The unit is a chunk, whose values are known either all or not at all. So if
  the statuses of a refined store are lost, trials that were not requested become pending too.
- *rewrite*: a file that follows from the sweep alone is written as in the template.
- *remove*: a leftover of a killed process.

Only changed attributes of the group have no remedy, because they describe all the rest.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from pipeline import store as stores
from pipeline.blocks import Block, blocks
from pipeline.maintenance.agreement import block_label
from pipeline.maintenance.chunks import BadChunk, Decoder, block_keys
from pipeline.maintenance.expected import (
    RootDamaged,
    Template,
    checked_attributes,
    expected_template,
    nested,
    parse_json,
)
from pipeline.store import lease
from pipeline.store.location import Location, StorePath, locate
from pipeline.store.names import PARTIAL, ROOT, SECONDS, STARTS, STATUS
from pipeline.store.older_formats import not_requested_code
from pipeline.store.template import coordinates
from pipeline.trial_status import UNREQUESTED, Status

__all__ = ["Damage", "damage"]

WITHOUT_OUTCOME = [Status.PENDING, *UNREQUESTED]

FIRST_WITH_ALL_CHUNKS = 2
"""Format version in which chunks of only fill values began to be written.

In version 1 the loss of a chunk can be detected only for `status` and for `SECONDS`, which is never all
NaN in a block with outcomes.
"""


@dataclass(frozen=True)
class Damage:
    """One problem of a store.

    Attributes
    ----------
    kind
        `root`, `metadata`, `coordinate`, `damaged` (a chunk that is not what was written), `missing`,
        `unfinished` (results without a status), `unexpected` or `leftover` (files).
    array
        Name of the array, or "".
    key
        The file, below the store; for a draft beside the store, its path.
    what
        What is wrong with it.
    trials, where
        Number of trials whose results are lost, and their coordinates.
    remedy, keys
        What `repair` does, and the files it does it to, in this order; None if nothing helps.
    """

    kind: str
    array: str
    key: str
    what: str
    trials: int = 0
    where: str = ""
    remedy: Literal["reset", "rewrite", "remove"] | None = None
    keys: tuple[str, ...] = ()


def damage(path: StorePath) -> list[Damage]:
    """Find all damage of a store, without changing anything.

    Every chunk is read once, and memory holds one at a time.

    Parameters
    ----------
    path
        Path or s3:// URL of a store that no run is filling.

    Returns
    -------
    list of Damage
        Empty if the store is sound; pending and failed trials are no damage.

    Raises
    ------
    StoreError
        There is no store at that path, or its data file is missing.
    StoreHeld
        A run is filling the store: a block that is being written would look damaged.
    """
    location = locate(path)
    if not location.exists():
        stores.check_store(path)  # raises the error
    lease.refuse(location)
    try:
        attributes = checked_attributes(path, location)
    except RootDamaged:
        return [Damage("root", "", ROOT, "not what was written, and it describes all the rest")]
    with expected_template(path, location, attributes) as template:
        return [*_Inspection(location, attributes, template).damage()]


class _Inspection:
    """One pass over the files of a store."""

    def __init__(self, location: Location, attributes: dict[str, Any], template: Template) -> None:
        self._location, self._template = location, template
        self._sweep = template.sweep
        self._complete = attributes["format_version"] >= FIRST_WITH_ALL_CHUNKS
        self._refined = bool(attributes.get("refined"))
        allowed = {not_requested_code(attributes)} if self._refined else set()
        self._forbidden = [status for status in UNREQUESTED if status not in allowed]
        self._present = {key for key, _ in location.files()}
        self._owned: set[str] = set()
        self._decoders: dict[str, Decoder] = {}

    def damage(self) -> Iterator[Damage]:
        yield from self._metadata()
        yield from self._coordinates()
        yield from self._excluded()
        for block in blocks(self._sweep, self._template.widths, self._template.seeds):
            yield from self._block(block)
        yield from self._files()

    def _read(self, key: str) -> bytes | None:
        return self._location.read(key) if key in self._present else None

    def _chunk(self, name: str, key: str) -> tuple[NDArray[Any] | None, str]:
        """Return the values of a chunk, None if it is missing or bad; and what is wrong, or ""."""
        raw = self._read(key)
        if raw is None:
            return None, ""
        try:
            return self._decoders[name].decode(key.removeprefix(f"{name}/"), raw), ""
        except BadChunk as error:
            return None, str(error)

    # ---- metadata

    def _metadata(self) -> Iterator[Damage]:
        """Check each array's metadata against the template, and against its copy in the group.

        Attributes such as `long_name` may be those of another version of widthlaw: if the array and
        the copy agree, they are as written.
        """
        root = parse_json(self._read(ROOT))
        copies = nested(root, "consolidated_metadata", "metadata")
        stale = False
        for name in self._template.arrays:
            key = f"{name}/{ROOT}"
            raw, expected = self._read(key), self._template.read(key)
            own, copy = parse_json(raw), copies.get(name)
            sound = raw is not None and (
                own == json.loads(expected) or (own == copy and _same_layout(raw, expected))
            )
            self._decoders[name] = Decoder(raw if sound and raw else expected)
            self._owned.add(key)
            if not sound:
                what = "not there" if raw is None else "does not match the sweep's template"
                yield Damage("metadata", name, key, what, remedy="rewrite", keys=(key,))
            stale |= copy != own if sound else copy != json.loads(expected)
        expected_root = json.loads(self._template.read(ROOT))
        stale |= any(root.get(key) != expected_root[key] for key in ("zarr_format", "node_type"))
        stale |= nested(root, "consolidated_metadata").get("kind") != "inline"
        if stale:
            what = "its copy of the arrays' metadata is not what was written"
            yield Damage("metadata", "", ROOT, what, remedy="rewrite", keys=(ROOT,))

    # ---- chunks that follow from the sweep

    def _coordinates(self) -> Iterator[Damage]:
        for name, (dims, values, _) in coordinates(self._sweep).items():
            key = "/".join([name, "c", *("0" for _ in dims)])
            what = self._known_chunk(name, key, values)
            if what:
                yield Damage("coordinate", name, key, what, remedy="rewrite", keys=(key,))

    def _excluded(self) -> Iterator[Damage]:
        """Check the statuses of cells that cannot exist."""
        folder = self._template.folder
        for file in sorted((folder / STATUS).rglob("*")):
            if file.is_file() and file.name != ROOT:
                key = file.relative_to(folder).as_posix()
                what = self._known_chunk(STATUS, key, np.array(Status.EXCLUDED, dtype=np.int8))
                if what:
                    kind = "damaged" if key in self._present else "missing"
                    yield Damage(kind, STATUS, key, what, remedy="rewrite", keys=(key,))

    def _known_chunk(self, name: str, key: str, expected: NDArray[Any]) -> str:
        """Return what is wrong with a chunk whose values are known, or ""."""
        self._owned.add(key)
        found, what = self._chunk(name, key)
        if what:
            return what
        if found is None:
            is_fill = not np.any(expected != expected.dtype.type())
            return "not there" if self._complete or not is_fill else ""
        return "" if np.all(found == expected) else "not the values of the sweep"

    # ---- blocks

    def _block(self, block: Block) -> Iterator[Damage]:
        """Check each chunk of a block, and all of them against its statuses."""
        keys = block_keys(self._sweep, block, self._template.widths, self._template.seeds)
        self._owned.update(keys.values())
        reset: dict[str, Any] = {
            "trials": block.trials,
            "where": block_label(self._sweep, block),
            "remedy": "reset",
            "keys": tuple(keys.values()),
        }
        key = keys.pop(STATUS)
        status, what = self._chunk(STATUS, key)
        if what:
            yield Damage("damaged", STATUS, key, what, **reset)
        elif status is None and self._refined:
            what = "not there"
            yield Damage("missing", STATUS, key, what, **reset)
        elif status is not None and np.isin(status, self._forbidden).any():
            excludes = "it excludes trials that the sweep needs"
            yield Damage("damaged", STATUS, key, excludes, **reset)
        outcomes = status is not None and not np.isin(status, WITHOUT_OUTCOME).all()
        yield from self._results(keys, outcomes, reset)
        if not outcomes and not what and any(key in self._present for key in keys.values()):
            lost = "its status says pending" if status is not None else "its status is not there"
            what = f"results, but {lost}: an interrupted write, or a lost chunk"
            yield Damage("unfinished", STATUS, key, what, **reset)

    def _results(self, keys: dict[str, str], outcomes: bool, reset: dict[str, Any]) -> Iterator[Damage]:
        """Check the chunks of a block other than `status`."""
        for name, key in keys.items():
            _, what = self._chunk(name, key)
            if what:
                yield Damage("damaged", name, key, what, **reset)
            elif key not in self._present and outcomes and (self._complete or name == SECONDS):
                yield Damage("missing", name, key, "not there", **reset)

    # ---- files that belong to nothing

    def _files(self) -> Iterator[Damage]:
        arrays = set(self._template.arrays)
        for key in sorted(self._present - self._owned):
            name = key.split("/")[0]
            remove: dict[str, Any] = {"remedy": "remove", "keys": (key,)}
            if key.endswith(PARTIAL):
                what = "leftover of a killed write"
                yield Damage("leftover", name if name in arrays else "", key, what, **remove)
            elif key.startswith(STARTS):
                yield Damage("leftover", "", key, "starts of a block that killed workers", **remove)
            elif name in arrays:
                yield Damage("unexpected", name, key, "not a file of this array", **remove)
        for draft in self._location.drafts():
            what = "a draft that a killed process left beside the store"
            yield Damage("leftover", "", str(draft), what, remedy="remove", keys=(str(draft),))


def _same_layout(one: bytes, other: bytes) -> bool:
    try:
        first, second = Decoder(one).array, Decoder(other).array
    except BadChunk:
        return False
    alike = all(getattr(first, name) == getattr(second, name) for name in ("shape", "chunks", "dtype"))
    return alike and first.metadata.dimension_names == second.metadata.dimension_names
