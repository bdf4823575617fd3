"""Finding damage: files of a store that are not what was written.

Every file is read once. Chunks are checked by their checksums and by the digests of their tile (since
format 3), metadata and coordinates against the template of the store's own sweep, and the chunks of a
tile against each other: since format version 2 a tile with outcomes has all its chunks, and a tile
without has none. Only a refined store may have cells with trials that are not requested, and there
every tile has statuses. Each `Damage` has a remedy:

- *reset*: the chunks of a tile are removed, `status` first. If that is killed at any moment, it leaves
  either chunks without a status, which are found as damage, or pending trials, which a run computes
  again to the same bits. The unit is a chunk, whose values are known either all or not at all. So if
  the statuses of a refined store are lost, trials that were not requested become pending too, unless
  the sub-grids and conditions of the sweep tell them.
- *rewrite*: a file that follows from the sweep alone is written as in the template.
- *remove*: a leftover of a killed process, or a link, pipe or device, which no store has.

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
from pipeline.blocks import Tile, tiles
from pipeline.errors import ChunkDamaged
from pipeline.experiments import experiment_of
from pipeline.maintenance.agreement import tile_label
from pipeline.maintenance.expected import (
    RootDamaged,
    Template,
    checked_attributes,
    expected_template,
    nested,
    parse_json,
)
from pipeline.store import lease
from pipeline.store.arrays import tile_keys, to_store
from pipeline.store.checkpoints import (
    UnusableCheckpoints,
    checkpoints_key,
    read_checkpoints,
)
from pipeline.store.chunks import BadChunk, Coder
from pipeline.store.digests import Digests, digest, digests_key, has_digests, read_digests
from pipeline.store.location import Location, StorePath, is_url, locate
from pipeline.store.names import CHECKPOINTS, DIGESTS, PARTIAL, REMOVED, ROOT, SECONDS, STARTS, STATUS
from pipeline.store.older_formats import has_all_chunks, not_requested_code
from pipeline.store.template import coordinates
from pipeline.trial_status import STORED, UNREQUESTED, WITH_RESULTS, Status

__all__ = ["Damage", "damage", "inspect"]

TEMPORARY = {
    PARTIAL: "leftover of a killed write",
    STARTS: "starts of a block that killed workers",
    REMOVED: "leftover of a killed repair",
}
"""Files of killed processes, by what their names start or end with."""


WORDS = ("long_name", "flag_values", "flag_meanings")
"""Attributes of an array that describe it for people, and may differ from version to version."""


@dataclass(frozen=True)
class Damage:
    """One problem of a store.

    Attributes
    ----------
    kind
        `root`, `metadata`, `coordinate`, `damaged` (a chunk that is not what was written), `missing`,
        `unfinished` (results without a status), `checkpoints` (which cannot be used, and lose no
        trial), `unexpected` or `leftover` (files).
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
    if not has_digests(attributes) and any(location.files(DIGESTS)):
        what = f"says format {attributes['format_version']}, but blocks have digests, as since format 3"
        return [Damage("root", "", ROOT, what)]
    location = location.held_open()  # a store that takes its place meanwhile is not looked at
    found = inspect(path, location, attributes)
    if found:
        lease.refuse(location)  # a run may have begun meanwhile
    return found


def inspect(path: StorePath, location: Location, attributes: dict[str, Any]) -> list[Damage]:
    """Find all damage of a store whose attributes are sound, and which nobody else changes meanwhile.

    Parameters
    ----------
    path, location
        The store.
    attributes
        Its attributes, checked.
    """
    template = expected_template(path, location, attributes)
    return [*_Inspection(location, attributes, template).damage()]


class _Inspection:
    """One pass over the files of a store."""

    def __init__(self, location: Location, attributes: dict[str, Any], template: Template) -> None:
        self._location, self._template = location, template
        self._sweep = template.sweep
        self._complete = has_all_chunks(attributes)
        self._refined = bool(attributes.get("refined"))
        allowed = {not_requested_code(attributes)} if self._refined else set()
        self._forbidden = [status for status in UNREQUESTED if status not in allowed]
        self._digests = has_digests(attributes)
        self._present = {key for key, _ in location.files()}
        self._odd = dict(location.odd())
        # A folder in the place of a file is found by reading it; a bucket has none, and is slow to ask.
        self._asks = not is_url(location.name)
        self._owned: set[str] = set()
        self._coders: dict[str, Coder] = {}

    def damage(self) -> Iterator[Damage]:
        yield from self._metadata()
        yield from self._coordinates()
        for tile in tiles(self._sweep, self._template.extents):
            yield from self._tile(tile)
        yield from self._excluded()
        yield from self._files()

    def _read(self, key: str, most: int | None = None) -> bytes | None:
        """Return the bytes of a file, None if it is not there.

        Raises
        ------
        ChunkDamaged
            Something else is in its place, or it cannot be read.
        """
        if not self._asks and key not in self._present:
            return None
        return self._location.read(key) if most is None else self._location.read(key, most)

    def _chunk(
        self, name: str, key: str, accepted: Digests | None = None
    ) -> tuple[NDArray[Any] | None, str]:
        """Return the values of a chunk, None if it is missing or bad; and what is wrong, or "".

        Parameters
        ----------
        name, key
            The array and the chunk.
        accepted
            Digests of its tile; None for a chunk that is bound to nothing.
        """
        try:
            coder = self._coders[name]
            raw = self._read(key, coder.layout.most)
            if raw is None:
                return None, ""
            values = coder.decode(key.removeprefix(f"{name}/"), raw)
        except BadChunk as error:
            return None, str(error)
        except ChunkDamaged as error:
            return None, error.what
        if accepted is not None and digest(key, raw) not in accepted.get(key, ()):
            return None, "it is not what was written here with its status: moved, or changed"
        return values, ""

    # ---- metadata

    def _metadata(self) -> Iterator[Damage]:
        """Check each array's metadata against the template, and against its copy in the group.

        Attributes such as `long_name` may be those of another version of widthlaw: if the array and
        the copy agree, they are as written.
        """
        root = parse_json(self._file(ROOT))
        copies = nested(root, "consolidated_metadata", "metadata")
        stale = False
        for name in self._template.arrays:
            key = f"{name}/{ROOT}"
            raw, expected = self._file(key), self._template.files[key]
            own, copy = parse_json(raw), copies.get(name)
            sound = raw is not None and (
                own == json.loads(expected) or (own == copy and _is_other_version(own, expected))
            )
            self._coders[name] = Coder(raw if sound and raw else expected)
            self._owned.add(key)
            if not sound:
                what = "not there" if raw is None else "does not match the sweep's template"
                yield Damage("metadata", name, key, what, remedy="rewrite", keys=(key,))
            stale |= copy != own if sound else copy != json.loads(expected)
        gone = {name for name in copies if f"{name}/{ROOT}" not in self._present}
        stale |= bool(gone.difference(self._template.arrays))
        expected_root = json.loads(self._template.files[ROOT])
        stale |= any(root.get(key) != expected_root[key] for key in ("zarr_format", "node_type"))
        stale |= nested(root, "consolidated_metadata").get("kind") != "inline"
        if stale:
            what = "its copy of the arrays' metadata is not what was written"
            yield Damage("metadata", "", ROOT, what, remedy="rewrite", keys=(ROOT,))

    def _file(self, key: str) -> bytes | None:
        """Return the bytes of a file of metadata, None if it cannot be had."""
        try:
            return self._read(key)
        except ChunkDamaged:
            return None

    # ---- chunks that follow from the sweep

    def _coordinates(self) -> Iterator[Damage]:
        for name, (dims, values, _) in coordinates(self._sweep).items():
            key = "/".join([name, "c", *("0" for _ in dims)])
            what = self._known_chunk(name, key, values)
            if what:
                yield Damage("coordinate", name, key, what, remedy="rewrite", keys=(key,))

    def _excluded(self) -> Iterator[Damage]:
        """Check the statuses of tiles all of whose cells cannot exist."""
        for key in sorted(self._template.files):
            if key.startswith(f"{STATUS}/c/") and key not in self._owned:
                self._owned.add(digests_key(key))
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

    # ---- tiles

    def _tile(self, tile: Tile) -> Iterator[Damage]:
        """Check each chunk of a tile, and all of them against its statuses."""
        keys = tile_keys(self._sweep, tile, self._template.extents)
        key = keys.pop(STATUS)
        bound = digests_key(key)
        self._owned.update(keys.values(), (key, bound))
        reset: dict[str, Any] = {
            "trials": tile.trials,
            "where": tile_label(self._sweep, tile),
            "remedy": "reset",
            "keys": (key, *keys.values(), bound),
        }
        accepted, unbound = self._accepted(bound, key)
        status, what = self._chunk(STATUS, key, accepted)
        what = what or self._odd_status(tile, status)
        if what:
            yield Damage("damaged", STATUS, key, what, **reset)
        elif status is None and (self._refined or not tile.is_full):
            what = "not there"
            yield Damage("missing", STATUS, key, what, **reset)
        elif unbound and status is not None:
            kind = "damaged" if bound in self._present else "missing"
            yield Damage(kind, "", bound, unbound, **reset)
        outcomes = status is not None and bool(np.isin(status, WITH_RESULTS).any())
        yield from self._results(keys, accepted, outcomes, reset)
        yield from self._checkpoints(key)
        left = self._present.intersection(keys.values()) or (status is None and bound in self._present)
        if left and not outcomes and not what:
            lost = "its status says pending" if status is not None else "its status is not there"
            what = f"results, but {lost}: an interrupted write, or a lost chunk"
            yield Damage("unfinished", STATUS, key, what, **reset)

    def _checkpoints(self, status_key: str) -> Iterator[Damage]:
        """Check the checkpoints of a tile: without them its trials are sound, and cannot go on."""
        key = checkpoints_key(status_key)
        if not experiment_of(self._sweep).continues or key not in {*self._present, *self._odd}:
            return
        self._owned.add(key)
        try:
            read_checkpoints(self._location, status_key, self._sweep)
        except UnusableCheckpoints as error:
            what = f"checkpoints that cannot be used: {error.why}"
            yield Damage("checkpoints", "", key, what, remedy="remove", keys=(key,))

    def _accepted(self, bound: str, status_key: str) -> tuple[Digests | None, str]:
        """Return the digests of a tile, None if there are none; and why there are none, or ""."""
        if not self._digests:
            return None, ""
        if not self._asks and bound not in self._present:
            return None, "not there"
        try:
            found = read_digests(self._location, status_key)
        except ChunkDamaged as error:
            return None, error.what
        return found, "not there" if found is None else ""

    def _odd_status(self, tile: Tile, status: NDArray[Any] | None) -> str:
        """Return what is wrong with the statuses of a tile, or ""."""
        if status is None:
            return ""
        if not np.isin(status, STORED).all():
            unknown = sorted(set(status.ravel().tolist()).difference(STORED))
            return f"it holds {unknown[0]}, which is no status"
        needed = [np.ones(tile.first.shape, dtype=bool) for _ in tile.blocks]
        exist = to_store(tile, needed, self._sweep.dims, fill=False)
        if np.isin(status[exist], self._forbidden).any():
            return "it excludes trials that the sweep needs"
        if (status[~exist] != Status.EXCLUDED).any():
            return "it does not exclude trials that cannot exist"
        return ""

    def _results(
        self, keys: dict[str, str], accepted: Digests | None, outcomes: bool, reset: dict[str, Any]
    ) -> Iterator[Damage]:
        """Check the chunks of a tile other than `status`."""
        for name, key in keys.items():
            values, what = self._chunk(name, key, accepted)
            if what:
                yield Damage("damaged", name, key, what, **reset)
            elif values is None and outcomes and (self._complete or name == SECONDS):
                yield Damage("missing", name, key, "not there", **reset)

    # ---- files that belong to nothing

    def _files(self) -> Iterator[Damage]:
        arrays = set(self._template.arrays)
        odd = {key: what for key, what in self._odd.items() if key not in self._owned}
        for key in sorted({*self._present, *odd} - self._owned):
            name = key.split("/")[0]
            array = name if name in arrays else ""
            remove: dict[str, Any] = {"remedy": "remove", "keys": (key,)}
            leftover = [what for mark, what in TEMPORARY.items() if _marked(key, mark)]
            if leftover:
                yield Damage("leftover", array, key, leftover[0], **remove)
            elif key in odd:
                yield Damage("unexpected", array, key, odd[key], **remove)
            elif array or key.startswith((DIGESTS, CHECKPOINTS)):
                what = "not a file of this array" if array else "not a file of any block"
                yield Damage("unexpected", array, key, what, **remove)
        for draft in self._location.drafts():
            what = "a draft that a killed process left beside the store"
            yield Damage("leftover", "", str(draft), what, remedy="remove", keys=(str(draft),))


def _marked(key: str, mark: str) -> bool:
    return key.endswith(mark) if mark == PARTIAL else key.startswith(mark)


def _is_other_version(own: dict[str, Any], expected: bytes) -> bool:
    """Return True if metadata differ from the template in words alone, as another version wrote them.

    All other attributes have a meaning: by some of them xarray would decode other values.
    """

    def meaning(metadata: dict[str, Any]) -> dict[str, Any]:
        attributes = nested(metadata, "attributes")
        kept = {key: value for key, value in attributes.items() if key not in WORDS}
        return metadata | {"attributes": kept}

    return meaning(own) == meaning(json.loads(expected))
