"""Stores that someone else made or damaged: nothing outside of them is touched, and nothing is hidden.

Each test is a row's trial in the table of attacks, by the kind in its mark.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
from pathlib import Path

import google_crc32c
import numcodecs
import numpy as np
import pytest
import xarray as xr
import zarr

import pipeline
from analysis import critical_widths, open_store
from analysis.stores import load_store
from pipeline import store
from pipeline.blocks import Tile
from pipeline.errors import ChunkDamaged, StoreDamaged, StoreError
from pipeline.maintenance.grow import extend
from pipeline.maintenance.repair import repair
from pipeline.maintenance.verify import damage
from pipeline.store.digests import digests_key, read_digests
from pipeline.store.location import locate
from pipeline.trial_status import Status

from .conftest import KEYS

CHUNK = "sigma_min/c/0/1/0/0"


def files_below(path: Path) -> dict[str, bytes]:
    return {
        file.relative_to(path).as_posix(): file.read_bytes()
        for file in sorted(path.rglob("*"))
        if file.is_file() and not file.is_symlink()
    }


# ---- links and special files


def link(place: Path, target: Path) -> None:
    if place.is_dir():
        shutil.rmtree(place)
    else:
        place.unlink(missing_ok=True)
    place.symlink_to(target)


@pytest.mark.attack("links")
@pytest.mark.parametrize("place", ["sigma_min", "sigma_min/c", "sigma_min/c/0", CHUNK])
def test_no_link_below_a_store_is_followed_for_writing(
    sound, tmp_path, make_sweep, bounded, place
) -> None:
    victim = shutil.copytree(sound, tmp_path / "victim.zarr")
    hostile = tmp_path / "h.zarr"
    store.create(hostile, make_sweep(entropy=8, **KEYS), seeds_per_chunk=4)
    (hostile / place).parent.mkdir(parents=True, exist_ok=True)
    link(hostile / place, victim / place)
    before = files_below(victim)
    ran = bounded("run", hostile, "--workers", 1)
    assert files_below(victim) == before
    assert ran.returncode in (0, 1), ran.stderr  # a link in the place of a file is replaced by the file
    assert "Traceback" not in ran.stderr


@pytest.mark.attack("links")
@pytest.mark.parametrize("place", [CHUNK, "sigma_min/c/0", "sigma_min", "status", ".digests"])
def test_no_link_below_a_store_is_followed_for_reading(sound, copy, tmp_path, place) -> None:
    link(copy / place, sound / place)
    assert damage(copy)
    with pytest.raises(StoreError) if place == "status" else pytest.raises(ChunkDamaged):
        if place == ".digests":  # read by whoever writes a block again
            one = next(store.Store(sound).pending_tiles(), None) or first_tile(copy)
            store.Store(copy).check(one)
        else:
            load_store(copy).sigma_min.sum()
            raise_if_damaged(copy)


def first_tile(path: Path) -> Tile:
    return next(store.Store(path).tiles())


def raise_if_damaged(path: Path) -> None:
    """A link in the place of a chunk is a chunk that is not there: its trials are damaged."""
    if store.Store(path).counts()["damaged"]:
        raise ChunkDamaged(str(path), "sigma_min", "lost")


@pytest.mark.attack("links")
def test_repair_removes_links_and_not_what_they_name(
    sound, copy, tmp_path, assert_equal_stores
) -> None:
    victim = shutil.copytree(sound, tmp_path / "victim.zarr")
    before = files_below(victim)
    link(copy / "sigma_min", victim / "sigma_min")
    link(copy / "edge/c/1", victim / "edge/c/1")
    link(copy / ".removed-old", victim)
    repair(copy, damage(copy))
    assert damage(copy) == []
    assert files_below(victim) == before
    pipeline.run(store.stored_sweep(copy), copy)
    assert_equal_stores(copy, sound)


def make_pipe(place: Path) -> None:
    os.mkfifo(place)


def make_socket(place: Path) -> None:
    here = os.getcwd()
    os.chdir(place.parent)
    try:
        with socket.socket(socket.AF_UNIX) as one:
            one.bind(place.name)
    finally:
        os.chdir(here)


def make_device(place: Path) -> None:
    place.symlink_to("/dev/zero")


def make_loop(place: Path) -> None:
    place.symlink_to(place.name)


def make_folder(place: Path) -> None:
    (place / "inside").mkdir(parents=True)


SPECIAL = [make_pipe, make_socket, make_device, make_loop, make_folder]


@pytest.mark.attack("bombs")
@pytest.mark.parametrize("make", SPECIAL)
@pytest.mark.parametrize("place", [CHUNK, ".lease.json", "status/zarr.json", "status/c/0/1/0/0"])
def test_nobody_waits_for_a_special_file_or_is_filled_by_it(copy, bounded, make, place) -> None:
    (copy / place).unlink(missing_ok=True)
    make(copy / place)
    for line in (["status"], ["query", "--columns", "sigma_min"], ["fit"], ["verify"]):
        told = bounded(line[0], copy, *line[1:], seconds=45)
        assert "Traceback" not in told.stderr
        assert "MemoryError" not in told.stderr
        if place != ".lease.json":
            assert told.returncode in (1, 2), (line, told.stderr)
        elif line[0] != "verify":
            assert told.returncode == 0, (line, told.stderr)
    mended = bounded("verify", copy, "--repair")
    assert mended.returncode in (0, 3), mended.stderr
    if place == ".lease.json":  # no repair replaces it
        ran = bounded("run", copy, "--workers", 1)
        assert ran.returncode == 0, ran.stderr
    else:
        assert damage(copy) == []
        pipeline.run(store.stored_sweep(copy), copy)
    assert damage(copy) == []
    assert store.Store(copy).counts()["done"] == 96


@pytest.mark.attack("links")
def test_the_store_itself_may_be_reached_by_a_link(sound, tmp_path, widthlaw) -> None:
    (tmp_path / "link.zarr").symlink_to(sound)
    assert widthlaw("status", tmp_path / "link.zarr").returncode == 0
    assert damage(tmp_path / "link.zarr") == []


# ---- bombs


def as_chunk(body: bytes) -> bytes:
    return body + google_crc32c.value(body).to_bytes(4, "little")


def frame(size: int) -> bytes:
    return bytes(numcodecs.Zstd(level=1).encode(bytes(size)))


BOMBS = {
    "many frames": lambda: as_chunk(frame(2**26) * 40),
    "one frame": lambda: as_chunk(frame(2**30)),
    "a frame that lies": lambda: as_chunk(lying(frame(2**26), 96)),
    "no frame": lambda: as_chunk(bytes(96)),
    "too long": lambda: as_chunk(bytes(2**22)),
    "empty": lambda: b"",
}


def lying(body: bytes, size: int) -> bytes:
    """A frame whose header declares another size: it has four bytes of it (RFC 8878)."""
    assert body[4] >> 6 == 2
    start = 5 if body[4] >> 5 & 1 else 6
    return body[:start] + size.to_bytes(4, "little") + body[start + 4 :]


@pytest.mark.attack("bombs")
@pytest.mark.parametrize("kind", BOMBS)
@pytest.mark.parametrize("array", ["sigma_min", "status", "message", "seed"])
def test_no_chunk_grows_beyond_its_shape(copy, bounded, kind, array) -> None:
    chunk = next(file for file in sorted((copy / array / "c").rglob("*")) if file.is_file())
    chunk.write_bytes(BOMBS[kind]())
    reads = ["query", "--columns", "sigma_min,message"]
    for line in (["verify"], reads, *([["fit"]] if array != "message" else [])):
        told = bounded(line[0], copy, *line[1:])
        assert told.returncode in (1, 2), (line, told.stdout, told.stderr)
        assert "Traceback" not in told.stderr
        assert "MemoryError" not in told.stderr
        assert "verify" in told.stderr, told.stderr
    repair(copy, damage(copy))
    assert damage(copy) == []


SHAPES = {
    "huge": [10**18, 1, 1, 1],
    "more": [2, 2, 3, 80],
    "negative": [2, 2, 3, -8],
    "fewer dims": [2, 2],
    "words": ["2", "2", "3", "8"],
}


@pytest.mark.attack("bombs")
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("whose", ["own", "copy", "both"])
def test_metadata_that_lie_about_a_shape_are_refused(copy, bounded, shape, whose) -> None:
    own = copy / "status" / "zarr.json"
    metadata, root = json.loads(own.read_text()), json.loads((copy / "zarr.json").read_text())
    if whose != "copy":
        own.write_text(json.dumps(metadata | {"shape": SHAPES[shape]}))
    if whose != "own":
        root["consolidated_metadata"]["metadata"]["status"]["shape"] = SHAPES[shape]
        (copy / "zarr.json").write_text(json.dumps(root))
    for line in (["status"], ["query"], ["fit"], ["verify"]):
        told = bounded(*line, copy)
        assert told.returncode in (1, 2), (line, told.stdout, told.stderr)
        assert "Traceback" not in told.stderr
        assert len(told.stderr.splitlines()) <= 3
        assert "verify" in told.stderr
    repair(copy, damage(copy))
    assert damage(copy) == []


@pytest.mark.attack("bombs")
@pytest.mark.parametrize("text", ["[" * 10**6, '{"a":' * 10**5, "9" * 10**6, "[" + "0," * 10**6 + "0]"])
@pytest.mark.parametrize(
    "place", [".lease.json", "zarr.json", "status/zarr.json", ".digests/0.0.0.0.json"]
)
def test_json_without_bounds_is_refused_in_bounded_time(copy, bounded, text, place) -> None:
    (copy / place).write_text(text)
    for line in (["status"], ["fit"], ["verify"]):
        told = bounded(*line, copy)
        assert told.returncode in (0, 1, 2), (line, told.stderr)
        assert "Traceback" not in told.stderr
        assert "RecursionError" not in told.stderr.replace("(RecursionError)", "")


# ---- lost results


@pytest.mark.attack("lost results")
@pytest.mark.parametrize("array", ["sigma_min", "alpha"])
def test_a_done_trial_without_its_value_is_left_out_and_named(copy, sound, widthlaw, array) -> None:
    chunk = copy / array / "c" / "0" / "1" / "0" / ("0" if array == "sigma_min" else "")
    chunk.unlink()
    told = widthlaw("fit", copy)
    assert told.returncode == 1
    assert "12 trials damaged: their results are lost" in told.stderr
    assert f"`widthlaw verify {copy} --repair`" in told.stderr
    whole, left = (critical_widths(load_store(path)) for path in (sound, copy))
    assert int(left.seeds.sel(d=3, n=12)) == 4
    assert int(whole.seeds.sel(d=3, n=12)) == 8
    others = {"d": [5], "n": [6, 12]}
    xr.testing.assert_identical(left.sel(others).drop_attrs(), whole.sel(others).drop_attrs())
    for line in (["status"], ["query", "--stat", "count"], ["report", "-o", copy.parent / "r.html"]):
        told = widthlaw(line[0], copy, *line[1:])
        assert told.returncode == 1, (line, told.stderr)
        assert "12 trials damaged" in told.stderr
    assert widthlaw("verify", copy).returncode == 1


@pytest.mark.attack("lost results")
def test_lost_results_are_repaired_and_computed_again(
    copy, sound, widthlaw, assert_equal_stores
) -> None:
    shutil.rmtree(copy / "edge" / "c" / "1")
    assert store.Store(copy).counts()["damaged"] == 48
    assert int((open_store(copy).status == Status.DAMAGED).sum()) == 48
    assert widthlaw("verify", copy, "--repair").returncode == 3
    assert widthlaw("run", copy).returncode == 0
    assert_equal_stores(copy, sound)


@pytest.mark.attack("lost results")
def test_a_status_that_is_none_is_damage(copy, widthlaw) -> None:
    zarr.open_group(str(copy), mode="r+")["status"][0, 0, 0, 0] = 99
    assert store.Store(copy).counts()["damaged"] == 1
    told = widthlaw("status", copy)
    assert told.returncode == 1
    assert "1 trial damaged" in told.stderr
    assert [one.array for one in damage(copy)] == ["status"]


# ---- moved chunks


def exchange(path: Path, one: str, other: str) -> None:
    first, second = (path / one).read_bytes(), (path / other).read_bytes()
    assert first != second
    (path / one).write_bytes(second)
    (path / other).write_bytes(first)


@pytest.mark.attack("moved chunks")
def test_two_exchanged_chunks_are_found(copy) -> None:
    exchange(copy, "sigma_min/c/0/0/0/0", "sigma_min/c/0/0/0/1")
    assert [one.key for one in damage(copy)] == ["sigma_min/c/0/0/0/0", "sigma_min/c/0/0/0/1"]


@pytest.mark.attack("moved chunks")
def test_a_chunk_of_another_variable_is_found(copy) -> None:
    shutil.copy(copy / "sigma_max/c/0/0/0/0", copy / "sigma_min/c/0/0/0/0")
    assert [one.key for one in damage(copy)] == ["sigma_min/c/0/0/0/0"]


@pytest.mark.attack("moved chunks")
def test_two_exchanged_blocks_are_found(copy) -> None:
    statuses = [f"status/c/0/0/0/{seeds}" for seeds in (0, 1)]
    ones, others = (read_digests(locate(copy), key) for key in statuses)
    for one, other in zip(sorted(ones), sorted(others), strict=True):
        if (copy / one).read_bytes() != (copy / other).read_bytes():
            exchange(copy, one, other)
    assert damage(copy)
    exchange(copy, *map(digests_key, statuses))
    assert {one.array for one in damage(copy)} >= {"sigma_min", "status"}


@pytest.mark.attack("moved chunks")
def test_a_value_that_is_edited_with_its_checksum_is_found(copy) -> None:
    array = zarr.open_group(str(copy), mode="r+")["sigma_min"]
    array[0, 0, 0, 0] = np.nan
    assert [(one.kind, one.array) for one in damage(copy)] == [("damaged", "sigma_min")]


@pytest.mark.attack("moved chunks")
def test_a_chunk_of_another_store_is_found(copy, sound, tmp_path, make_sweep) -> None:
    other = tmp_path / "other.zarr"
    store.create(other, make_sweep(entropy=8, **KEYS), seeds_per_chunk=4)
    pipeline.run(make_sweep(entropy=8, **KEYS), other)
    shutil.copy(other / CHUNK, copy / CHUNK)
    assert [one.key for one in damage(copy)] == [CHUNK]


@pytest.mark.attack("moved chunks")
def test_a_run_does_not_take_moved_chunks_over(copy, make_sweep) -> None:
    exchange(copy, "sigma_min/c/0/0/0/0", "sigma_min/c/0/0/0/1")
    status = store.Store(copy).statuses()[0, 0, :, :4]
    status[1, 2] = Status.PENDING
    store.Store(copy).write_statuses(first_tile(copy), status[np.newaxis])
    with pytest.raises(StoreDamaged, match="is not what was written there"):
        pipeline.run(store.stored_sweep(copy), copy)
    with pytest.raises(StoreError, match="is damaged"):
        extend(copy, make_sweep(**KEYS | {"seeds": 9}))


# ---- repair


@pytest.mark.attack("repair")
def test_repair_is_whole_or_nothing(copy, monkeypatch) -> None:
    (copy / CHUNK).unlink()
    (copy / "seed/c/0").unlink()
    before = files_below(copy)
    found = damage(copy)
    full = OSError(28, "No space left on device")

    def fail(*_: object) -> None:
        raise full

    monkeypatch.setattr("pipeline.store.files.folder.Folder.write", fail)
    with pytest.raises(OSError, match="No space left"):
        repair(copy, found)
    assert files_below(copy) == before
    monkeypatch.undo()
    repair(copy, found)
    assert damage(copy) == []


# ---- stores of other programs


@pytest.mark.attack("bombs")
def test_an_array_with_other_codecs_is_refused(copy, bounded) -> None:
    own = copy / "sigma_min" / "zarr.json"
    metadata = json.loads(own.read_text())
    metadata["codecs"] = [metadata["codecs"][0], {"name": "gzip", "configuration": {"level": 1}}]
    own.write_text(json.dumps(metadata))
    told = bounded("fit", copy)
    assert told.returncode == 2
    assert "its sigma_min cannot be read" in told.stderr
    assert len(told.stderr.splitlines()) == 1
