"""Stores whose files are valid one by one, and lie about each other or about what they mean.

Whoever can write a file can also write its checksum. So each test forges checksums as well.
"""

from __future__ import annotations

import hashlib
import json
import os
import resource
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numcodecs
import numpy as np
import pytest
import zarr

import pipeline
from analysis import open_store
from pipeline import store
from pipeline.blocks import Tile
from pipeline.errors import ChunkDamaged, StoreDamaged, StoreError
from pipeline.execution.fill import _Starts, fill
from pipeline.maintenance.repair import repair
from pipeline.maintenance.verify import damage
from pipeline.store.files import folder as folders
from pipeline.store.location import locate
from pipeline.store.template import attributes_digest
from pipeline.trial_status import Status

from ..fork_server import limit
from ..waiting import PATIENCE
from .conftest import KEYS, LIMIT
from .test_foreign_stores import BOMBS, CHUNK, as_chunk, files_below, first_tile

Edit = Callable[[dict[str, Any]], object]


def edit_root(path: Path, edit: Edit) -> None:
    """Edit the attributes of a store, and forge their digest."""
    root = json.loads((path / "zarr.json").read_text())
    edit(root["attributes"])
    root["attributes"]["digest"] = attributes_digest(root["attributes"])
    (path / "zarr.json").write_text(json.dumps(root))


def edit_array(path: Path, name: str, edit: Edit) -> None:
    """Edit the metadata of an array, and their copy in the group."""
    own, group = path / name / "zarr.json", path / "zarr.json"
    metadata, root = json.loads(own.read_text()), json.loads(group.read_text())
    edit(metadata)
    edit(root["consolidated_metadata"]["metadata"][name])
    own.write_text(json.dumps(metadata))
    group.write_text(json.dumps(root))


# ---- lost results


def with_a_pending_trial(path: Path) -> tuple[store.Store, Tile]:
    """Make one trial of the first tile pending; the others stay done."""
    one, tile = store.Store(path), first_tile(path)
    status = one.statuses()[0, 0, :, :4]
    status[1, 2] = Status.PENDING
    one.write_statuses(tile, status[np.newaxis])
    return one, tile


@pytest.mark.attack("lost results")
@pytest.mark.parametrize("array", ["sigma_min", "alpha", "message"])
def test_a_run_does_not_seal_the_loss_of_a_chunk(copy, sound, array, assert_equal_stores) -> None:
    one, tile = with_a_pending_trial(copy)
    next(file for file in sorted((copy / array / "c").rglob("*")) if file.is_file()).unlink()
    with pytest.raises(StoreDamaged, match="is not there"):
        fill(one, tile)
    assert [found.kind for found in damage(copy)] == ["missing"]
    repair(copy, damage(copy))
    pipeline.run(store.stored_sweep(copy), copy)
    assert_equal_stores(copy, sound)


@pytest.mark.attack("lost results")
def test_giving_up_a_trial_does_not_seal_the_loss_of_a_chunk(copy) -> None:
    one, tile = with_a_pending_trial(copy)
    starts = _Starts(one.location, tile.first)
    for _ in range(5):
        starts.count("2"), starts.count("2.1")
    (copy / "sigma_min/c/0/0/0/0").unlink()
    with pytest.raises(StoreDamaged, match="is not there"):
        fill(one, tile, carefully=True)


@pytest.mark.attack("lost results")
@pytest.mark.parametrize("dask", [True, False])
def test_a_reader_sees_no_trial_done_whose_value_it_did_not_see(tmp_path, make_sweep, dask) -> None:
    made = store.create(tmp_path / "a.zarr", make_sweep(**KEYS), seeds_per_chunk=4)
    fill(made, next(made.pending_tiles()))
    ds = open_store(tmp_path / "a.zarr", dask=dask)
    values = ds.sigma_min.values.copy()
    pipeline.run(make_sweep(**KEYS), tmp_path / "a.zarr")  # between the reading of two variables
    done = ds.status.values == Status.DONE
    assert done.any()
    assert not np.isnan(values[done]).any()


# ---- other meanings

MEANINGS = {
    "scale_factor": 2.0,
    "add_offset": 1.0,
    "missing_value": 0.5,
    "_FillValue": "AAAAAAAA+H8=",
    "dtype": "bool",
}


@pytest.mark.attack("other meanings")
@pytest.mark.parametrize("name", MEANINGS)
def test_no_attribute_changes_the_values_of_an_array(copy, sound, name, assert_equal_stores) -> None:
    edit_array(copy, "sigma_min", lambda array: array["attributes"].update({name: MEANINGS[name]}))
    with pytest.raises(StoreDamaged, match=f"its attribute {name} would change its values"):
        open_store(copy).sigma_min.load()
    assert {(one.kind, one.key) for one in damage(copy)} == {
        ("metadata", "sigma_min/zarr.json"),
        ("metadata", "zarr.json"),
    }
    repair(copy, damage(copy))
    assert_equal_stores(copy, sound)


@pytest.mark.attack("other meanings")
@pytest.mark.parametrize(
    "edit",
    [
        lambda array: array.update(fill_value=5.0),
        lambda array: array["attributes"].update(units="days since 2000-01-01"),
        lambda array: array["attributes"].update(coordinates="status"),
    ],
)
def test_metadata_that_mean_something_else_are_damage(copy, edit) -> None:
    edit_array(copy, "sigma_min", edit)
    assert {one.array for one in damage(copy)} == {"sigma_min", ""}


@pytest.mark.attack("other meanings")
def test_a_store_of_this_format_does_not_pass_for_an_older_one(copy) -> None:
    edit_root(copy, lambda attributes: attributes.update(format_version=2))
    assert [one.kind for one in damage(copy)] == ["root"]


@pytest.mark.attack("other meanings")
def test_an_array_of_somebody_else_hides_nothing_and_stops_nobody(copy, widthlaw) -> None:
    group = zarr.open_group(str(copy), mode="r+")
    own = group.create_array(
        "mine", shape=(9,), chunks=(9,), dtype="f4", dimension_names=("seed",), fill_value=1
    )
    own[:] = 2
    for name in ("status", "fit", "verify"):
        assert widthlaw(name, copy).returncode == 0


# ---- bombs


@pytest.mark.attack("bombs")
@pytest.mark.parametrize("array", ["sigma_min", "seed", "message"])
@pytest.mark.parametrize("separator", ["/", "."])
def test_no_chunk_is_read_by_a_copy_of_metadata_alone(copy, bounded, array, separator) -> None:
    root = json.loads((copy / "zarr.json").read_text())
    metadata = root["consolidated_metadata"]["metadata"][array]
    chunk = next(file for file in sorted((copy / array / "c").rglob("*")) if file.is_file())
    if separator == ".":
        metadata["chunk_key_encoding"] = {"name": "v2", "configuration": {"separator": "."}}
        chunk = copy / array / ".".join(chunk.relative_to(copy / array / "c").parts)
    chunk.write_bytes(BOMBS["many frames"]())
    (copy / array / "zarr.json").unlink()
    (copy / "zarr.json").write_text(json.dumps(root))
    told = bounded("query", copy, "--columns", array)
    assert told.returncode == 2
    assert f"its {array} cannot be read" in told.stderr
    repair(copy, damage(copy))
    assert damage(copy) == []


@pytest.mark.attack("bombs")
@pytest.mark.parametrize("number", [0, 13, 10**8, 2**31 - 1, 2**32 - 1])
def test_no_room_is_made_for_texts_that_a_chunk_only_claims_to_have(copy, bounded, number) -> None:
    body = number.to_bytes(4, "little") + bytes(44)
    (copy / "message/c/0/0/0/0").write_bytes(as_chunk(bytes(numcodecs.Zstd(level=1).encode(body))))
    told = bounded("query", copy, "--columns", "message")
    assert told.returncode == 1
    assert f"it claims to hold {number} texts, expected 12" in told.stderr
    assert [one.key for one in damage(copy)] == ["message/c/0/0/0/0"]


@pytest.mark.attack("bombs")
@pytest.mark.parametrize("copies", [None, [1], {"metadata": [1]}, {"metadata": {"status": 1}}])
def test_copies_of_metadata_that_are_none_end_in_one_line(copy, bounded, copies) -> None:
    root = json.loads((copy / "zarr.json").read_text())
    (copy / "zarr.json").write_text(json.dumps(root | {"consolidated_metadata": copies}))
    for name in ("status", "fit", "query"):
        told = bounded(name, copy)
        assert "debug" not in told.stderr, told.stderr
        assert told.returncode == 0 or "`widthlaw verify" in told.stderr
    assert [one.key for one in damage(copy)] == ["zarr.json"]
    repair(copy, damage(copy))
    assert damage(copy) == []


DIGESTS = ["[1, 2]", "null", '{"a": 1}', '{"a": [["b"]]}', "[" * 10**5, "9" * 6000]


@pytest.mark.attack("bombs")
@pytest.mark.parametrize("text", DIGESTS)
def test_digests_of_another_form_are_damage(copy, text) -> None:
    forged = hashlib.sha256(text.encode()).hexdigest().encode() + b"\n" + text.encode()
    (copy / ".digests/0.0.0.0.json").write_bytes(forged)
    assert [one.key for one in damage(copy)] == [".digests/0.0.0.0.json"]
    with pytest.raises(ChunkDamaged, match="it holds no digests by chunk"):
        store.Store(copy).check(first_tile(copy))


@pytest.mark.attack("bombs")
@pytest.mark.parametrize("levels", [40, 3000])
def test_folders_may_lie_as_deep_as_they_like(copy, bounded, levels) -> None:
    here = os.open(copy / "sigma_min/c", os.O_RDONLY)
    for _ in range(levels):
        os.mkdir("a", dir_fd=here)
        inner = os.open("a", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = inner
    os.close(here)
    assert bounded("status", copy).returncode == 0
    assert [one.what for one in damage(copy)] == ["it is a folder deeper than any of a store"]
    repair(copy, damage(copy))
    assert damage(copy) == []


ATTRIBUTES: dict[str, Edit] = {
    "seconds": lambda attributes: attributes.update(estimated_seconds=10**400),
    "no number": lambda attributes: attributes.update(estimated_seconds=float("nan")),
    "version": lambda attributes: attributes.update(format_version=True),
    "seeds": lambda attributes: attributes["extents"].update(seeds=[[0, -(10**9)], [0, 10**9]]),
    "more seeds": lambda attributes: attributes["extents"].update(seeds=[[0, 10**7]]),
}


@pytest.mark.attack("bombs")
@pytest.mark.parametrize("kind", ATTRIBUTES)
def test_absurd_attributes_are_refused_in_bounded_time(copy, bounded, kind) -> None:
    edit_root(copy, ATTRIBUTES[kind])
    for line in (["status"], ["verify"], ["run"]):
        told = bounded(*line, copy, seconds=30)
        assert "debug" not in told.stderr, told.stderr
        assert told.returncode == 2 or (line == ["status"] and "seeds" in kind), told.stderr


@pytest.mark.attack("bombs")
@pytest.mark.parametrize("content", [b"[1]", b'{"0": "x"}', b"[" * 10**5, b"{" + b" " * 2**21 + b"}"])
def test_forged_counts_of_starts_count_as_none(copy, content) -> None:
    one = store.Store(copy)
    starts = _Starts(one.location, first_tile(copy).first)
    starts.count("0")
    [file] = copy.glob(".starts-*")
    file.write_bytes(content)
    assert starts.count("0") == 1
    assert starts.count("0") == 2


# ---- another store, another process


@pytest.mark.attack("repair")
def test_repair_changes_nothing_in_a_store_that_has_taken_the_place(copy, sound, make_sweep) -> None:
    (copy / CHUNK).unlink()
    found = damage(copy)
    copy.rename(copy.with_name("old.zarr"))
    store.create(copy, make_sweep(entropy=8, **KEYS), seeds_per_chunk=4)
    pipeline.run(make_sweep(entropy=8, **KEYS), copy)
    before = files_below(copy)
    assert repair(copy, found).trials == 0
    assert files_below(copy) == before


@pytest.mark.attack("repair")
def test_a_second_repair_does_not_undo_what_was_computed_after_the_first(copy) -> None:
    (copy / CHUNK).unlink()
    found = damage(copy)
    assert repair(copy, found).trials == 12
    pipeline.run(store.stored_sweep(copy), copy)
    assert repair(copy, found).trials == 0
    assert store.Store(copy).counts()["done"] == 96


@pytest.mark.attack("locks")
def test_nobody_waits_for_ever_for_a_file_that_another_process_locks(copy, monkeypatch) -> None:
    monkeypatch.setattr(folders, "LOCK_SECONDS", 0.3)
    line = ["flock", str(copy / "zarr.json"), "-c", "echo locked; exec cat"]
    with subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"locked\n"
        with pytest.raises(StoreError, match="another process has kept its"):
            locate(copy).swap(".lease.json", None, b"{}")
        assert other.stdin is not None
        other.stdin.close()
    assert locate(copy).swap(".lease.json", None, b"{}")


@pytest.mark.attack("locks")
@pytest.mark.parametrize("place", ["sigma_min", ".digests"])
def test_a_folder_that_may_not_be_read_is_named(copy, command, place) -> None:
    (copy / place).chmod(0)
    ordinary = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search"]
    line = [*ordinary, command] if os.geteuid() == 0 else [command]
    try:
        for name in ("status", "fit", "verify"):
            told = subprocess.run(
                [*line, name, str(copy)], capture_output=True, text=True, timeout=PATIENCE,
                preexec_fn=lambda: limit({resource.RLIMIT_AS: LIMIT, resource.RLIMIT_CPU: 60}),
            )  # fmt: skip
            assert told.returncode == 2, told.stderr
            assert f"its folder {place} may not be read" in told.stderr
    finally:
        (copy / place).chmod(0o755)
