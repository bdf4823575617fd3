"""Is a store what was written? Damage is found, and what it has spoilt is made pending again.

Every file of a store is looked at once: chunks by their checksums, metadata and coordinates against
the template of the store's own sweep, and the chunks of a block against each other: a block with
outcomes has all its chunks (format version 2), one without has none. Only a refined store may leave
trials of a cell unasked for, and there every block has a status. Each find says how it is remedied:

- *reset*: the chunks of a block are removed, `status` first. Killed at any moment, that leaves
  chunks without a status, which is a find of its own, or pending trials, which a run computes again
  to the same bits. A chunk is the unit: what it holds is known as a whole or not at all. So where the
  status itself is lost, trials of a refined store become pending which were not asked for.
- *rewrite*: a file that follows from the sweep alone is written as in the template.
- *remove*: what a killed process left behind.

What cannot be remedied is a group whose attributes have changed: they say what all the rest is.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from pipeline import store as stores
from pipeline.blocks import Block, blocks
from pipeline.errors import StoreError
from pipeline.maintenance.agreement import told_block
from pipeline.maintenance.chunks import STATUS, BadChunk, Decoder, block_keys
from pipeline.store import lease
from pipeline.store.location import Place, place
from pipeline.store.names import PARTIAL
from pipeline.store.template import FORMAT, attributes_digest, coordinates, extents_of, write_template
from pipeline.sweep import Sweep
from pipeline.trial_status import Status

__all__ = ["ROOT", "Damage", "attributes_or_damage", "damage", "expected_template"]

ROOT = "zarr.json"

STARTS = ".starts-"
"""How the files begin in which a careful block counts its starts."""

NEVER_FILL = "seconds"
"""The one variable of a block with outcomes that is never all NaN, whatever the trials gave.

In format version 1 a chunk of nothing but fill values was not written, so of all others it cannot be
told whether a chunk that is not there was lost.
"""


@dataclass(frozen=True)
class Damage:
    """One thing that is wrong with a store.

    Attributes
    ----------
    kind
        `root`, `metadata`, `coordinate`, `damaged` (a chunk that is not what was written), `missing`,
        `unfinished` (results without a status), `unexpected` or `leftover` (files).
    array
        The array that it belongs to, or "".
    key
        The file, below the store; of a draft beside the store its path.
    what
        What was found.
    trials, where
        How many trials it spoils, and their coordinates.
    remedy, keys
        What `repair` does, and to which files, in this order; None where nothing helps.
    """

    kind: str
    array: str
    key: str
    what: str
    trials: int = 0
    where: str = ""
    remedy: Literal["reset", "rewrite", "remove"] | None = None
    keys: tuple[str, ...] = ()


# ---- finding


def damage(path: str | Path) -> list[Damage]:
    """Find everything that is wrong with a store; nothing is touched.

    Every chunk is read once, and memory holds one at a time.

    Parameters
    ----------
    path
        Path or s3:// URL of a store that nobody is filling.

    Returns
    -------
    list of Damage
        Empty where the store is sound; pending and failed trials are no damage.

    Raises
    ------
    StoreError
        There is no store at that path, or its data file is not there.
    StoreHeld
        A run is filling it: what is half-written would look damaged.
    """
    where = place(path)
    if not where.exists():
        stores.check_store(path)
    lease.refuse(where)
    attributes = attributes_or_damage(path, where)
    if isinstance(attributes, Damage):
        return [attributes]
    with expected_template(path, where, attributes) as template:
        return [*_Inspection(where, attributes, template).damage()]


def attributes_or_damage(path: str | Path, where: Place) -> dict[str, Any] | Damage:
    """The attributes of a store, or how they are damaged."""
    raw = where.read(ROOT)
    attributes = _parsed(raw).get("attributes")
    if isinstance(attributes, dict) and attributes.get("format") == FORMAT:
        if attributes.get("format_version") not in stores.READABLE:
            stores.check_store(path)  # says so
        if attributes.get("digest") == attributes_digest(attributes):
            return attributes
    lost = Damage("root", "", ROOT, "not what was written, and it says what all the rest is")
    try:
        checked = stores.check_store(path)
    except StoreError:
        another = bool(_parsed(raw)) and b"widthlaw" not in (raw or b"")
        if not another and all(where.read(f"{name}/{ROOT}") for name in (STATUS, "message")):
            return lost
        raise
    return lost if checked["format_version"] > 1 or "digest" in checked else checked


def _parsed(raw: bytes | None) -> dict[str, Any]:
    """A JSON object; {} where it is none."""
    try:
        document = json.loads(raw or b"")
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


@dataclass(frozen=True)
class _Template:
    """What a store was before its first result, in a folder of its own."""

    folder: Path
    sweep: Sweep
    widths: int
    seeds: int

    def read(self, key: str) -> bytes:
        return (self.folder / key).read_bytes()

    @property
    def arrays(self) -> list[str]:
        return sorted(file.parent.name for file in self.folder.glob(f"*/{ROOT}"))


@contextmanager
def expected_template(
    path: str | Path, where: Place, attributes: dict[str, Any]
) -> Iterator[_Template]:
    shape, widths, seeds = _layout(path, where)
    try:
        extents = extents_of(attributes)
        sweep = stores.sweep_from(path, attributes, extents)
        if extents is None and sweep.shape != shape:
            sweep = stores.stored_sweep(path)
    except (TypeError, ValueError, KeyError) as error:
        if isinstance(error, StoreError):
            raise
        raise StoreError(f"store {path}: cannot use its attribute extents; bring back a copy") from None
    with tempfile.TemporaryDirectory() as folder:
        write_template(Path(folder, "template"), sweep, widths, seeds)
        yield _Template(Path(folder, "template"), sweep, widths, seeds)


def _layout(path: str | Path, where: Place) -> tuple[tuple[int, ...], int, int]:
    """Shape of a store, and the widths and seeds of a chunk, by what most of four places say."""
    copies = _parsed(where.read(ROOT)).get("consolidated_metadata")
    told: list[tuple[tuple[int, ...], int, int]] = []
    for name in (STATUS, "message"):
        for metadata in (_parsed(where.read(f"{name}/{ROOT}")), _inside(copies, "metadata", name)):
            grid: Any = _inside(metadata, "chunk_grid", "configuration").get("chunk_shape")
            shape: Any = metadata.get("shape")
            if _whole(shape) and _whole(grid) and len(grid) == len(shape):
                told.append((tuple(shape), *grid[-2:]))
    if not told:
        raise StoreError(
            f"store {path}: nothing tells its shape any more: all metadata of status and message are "
            "damaged; bring back a copy"
        )
    return max(told, key=told.count)


def _inside(document: Any, *keys: str) -> dict[str, Any]:
    for key in keys:
        document = document.get(key) if isinstance(document, dict) else None
    return document if isinstance(document, dict) else {}


def _whole(values: Any) -> bool:
    return (
        isinstance(values, list) and len(values) >= 2 and all(type(v) is int and v > 0 for v in values)
    )


class _Inspection:
    """One pass over the files of a store."""

    def __init__(self, where: Place, attributes: dict[str, Any], template: _Template) -> None:
        self._where, self._template = where, template
        self._sweep = template.sweep
        self._complete = attributes["format_version"] > 1
        self._refined = bool(attributes.get("refined"))
        self._present = {key for key, _ in where.files()}
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
        return self._where.read(key) if key in self._present else None

    # ---- metadata

    def _metadata(self) -> Iterator[Damage]:
        """Each array's metadata against the template's, and the copy that the group has of them.

        Attributes such as `long_name` may be those of another version of widthlaw: what the array and
        the copy agree on is as it was written.
        """
        root = _parsed(self._read(ROOT))
        copies = _inside(root, "consolidated_metadata", "metadata")
        stale = False
        for name in self._template.arrays:
            key = f"{name}/{ROOT}"
            raw, expected = self._read(key), self._template.read(key)
            own, copy = _parsed(raw), copies.get(name)
            sound = raw is not None and (
                own == json.loads(expected) or (own == copy and _same_layout(raw, expected))
            )
            self._decoders[name] = Decoder(raw if sound and raw else expected)
            self._owned.add(key)
            if not sound:
                what = "not there" if raw is None else "not what the sweep's template says"
                yield Damage("metadata", name, key, what, remedy="rewrite", keys=(key,))
            stale |= copy != own if sound else copy != json.loads(expected)
        expected_root = json.loads(self._template.read(ROOT))
        frame = ("zarr_format", "node_type")
        stale |= any(root.get(key) != expected_root[key] for key in frame)
        stale |= _inside(root, "consolidated_metadata").get("kind") != "inline"
        if stale:
            what = "its copy of the arrays' metadata is not what was written"
            yield Damage("metadata", "", ROOT, what, remedy="rewrite", keys=(ROOT,))

    # ---- coordinates and places that the sweep does not ask for

    def _coordinates(self) -> Iterator[Damage]:
        for name, (dims, values, _) in coordinates(self._sweep).items():
            key = "/".join([name, "c", *("0" for _ in dims)])
            yield from self._compare("coordinate", name, key, values)

    def _excluded(self) -> Iterator[Damage]:
        folder = self._template.folder
        for file in sorted((folder / STATUS).rglob("*")):
            if file.is_file() and file.name != ROOT:
                key = file.relative_to(folder).as_posix()
                expected = np.array(Status.EXCLUDED, dtype=np.int8)
                yield from self._compare(STATUS, STATUS, key, expected)

    def _compare(self, kind: str, name: str, key: str, expected: NDArray[Any]) -> Iterator[Damage]:
        """A chunk whose values are known beforehand."""
        self._owned.add(key)
        told = "coordinate" if kind == "coordinate" else "damaged"
        raw, what = self._read(key), ""
        if raw is None:
            if self._complete or np.any(expected != expected.dtype.type()):
                what, told = "not there", "coordinate" if kind == "coordinate" else "missing"
        else:
            try:
                found = self._decode(name, key, raw)
                what = "" if np.all(found == expected) else "not the values of the sweep"
            except BadChunk as error:
                what = str(error)
        if what:
            yield Damage(told, name, key, what, remedy="rewrite", keys=(key,))

    def _decode(self, name: str, key: str, raw: bytes) -> NDArray[Any]:
        return self._decoders[name].decode(key.removeprefix(f"{name}/"), raw)

    # ---- blocks

    def _block(self, block: Block) -> Iterator[Damage]:
        """The chunks of a block, each by itself and against its statuses."""
        keys = block_keys(self._sweep, block, self._template.widths, self._template.seeds)
        self._owned.update(keys.values())
        spoilt: dict[str, Any] = {"trials": block.trials, "where": told_block(self._sweep, block)}
        remedy: dict[str, Any] = {"remedy": "reset", "keys": tuple(keys.values())}
        status, outcomes = None, False
        unknown = False
        for name, key in keys.items():
            raw = self._read(key)
            if raw is None:
                lost = outcomes and (self._complete or name == NEVER_FILL)
                if lost or (name == STATUS and self._refined):
                    unknown |= name == STATUS
                    yield Damage("missing", name, key, "not there", **spoilt, **remedy)
                continue
            try:
                found = self._decode(name, key, raw)
            except BadChunk as error:
                unknown |= name == STATUS
                yield Damage("damaged", name, key, str(error), **spoilt, **remedy)
                continue
            if name == STATUS:
                status = found
                outcomes = not np.isin(status, [Status.PENDING, Status.EXCLUDED]).all()
                if not self._refined and (status == Status.EXCLUDED).any():
                    what = "it says that the sweep does not ask for trials, and it does"
                    yield Damage("damaged", name, key, what, **spoilt, **remedy)
        results = any(key in self._present for name, key in keys.items() if name != STATUS)
        if results and not outcomes and not unknown:
            key = keys[STATUS]
            lost = "its status says pending" if status is not None else "its status is not there"
            what = f"results, and {lost}: a write that was cut off, or a lost chunk"
            yield Damage("unfinished", STATUS, key, what, **spoilt, **remedy)

    # ---- files that belong to nothing

    def _files(self) -> Iterator[Damage]:
        arrays = set(self._template.arrays)
        for key in sorted(self._present - self._owned):
            name = key.split("/")[0]
            remove: dict[str, Any] = {"remedy": "remove", "keys": (key,)}
            if key.endswith(PARTIAL):
                what = "what a killed write left"
                yield Damage("leftover", name if name in arrays else "", key, what, **remove)
            elif key.startswith(STARTS):
                yield Damage("leftover", "", key, "starts of a block that killed workers", **remove)
            elif name in arrays:
                yield Damage("unexpected", name, key, "no file of this array", **remove)
        for draft in self._where.drafts():
            what = "a draft that a killed process left beside the store"
            yield Damage("leftover", "", str(draft), what, remedy="remove", keys=(str(draft),))


def _same_layout(one: bytes, other: bytes) -> bool:
    try:
        first, second = Decoder(one).array, Decoder(other).array
    except BadChunk:
        return False
    alike = all(getattr(first, name) == getattr(second, name) for name in ("shape", "chunks", "dtype"))
    return alike and first.metadata.dimension_names == second.metadata.dimension_names
