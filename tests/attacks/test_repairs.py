"""Repairs, upgrades and extensions that find no room, or another at the same work: whole or nothing."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import pipeline
from pipeline import store
from pipeline.maintenance.verify import damage

from ..conftest import equal_stores
from ..waiting import PATIENCE
from .test_replaced_stores import files_below

OLD = Path(__file__).parents[1] / "pipeline" / "maintenance" / "data" / "half.zip"
"""A store of format 2."""


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 3 MB of one's own."""
    if os.geteuid() != 0:
        pytest.skip("a disk of its own needs root")
    folder = tmp_path / "disk"
    folder.mkdir()
    line = ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(folder)]
    if (made := subprocess.run(line, capture_output=True, text=True, check=False)).returncode:
        pytest.skip(f"no disk of its own: {made.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture
def fill(disk: Path) -> Callable[[], Path]:
    """Take what room is left."""

    def fill() -> Path:
        filler = disk / "filler"
        with filler.open("wb") as out:
            room = os.statvfs(disk)
            os.posix_fallocate(out.fileno(), 0, room.f_bavail * room.f_frsize)
        return filler

    return fill


def damaged(path: Path) -> Path:
    """Take the chunks of two blocks of 12 trials away, and write nonsense into that of a third."""
    chunks = sorted(file for file in (path / "sigma_min" / "c").rglob("*") if file.is_file())
    for chunk in chunks[:2]:
        chunk.unlink()
    chunks[2].write_bytes(b"nonsense")
    return path


def assert_ends_in_one_line(told: subprocess.CompletedProcess[str]) -> None:
    assert told.returncode == 1, told.stderr
    assert "Traceback" not in told.stderr
    assert "No space left on device" in told.stderr


@pytest.mark.attack("repair")
def test_a_repair_without_room_changes_nothing_and_succeeds_with_room(
    sound, disk, fill, widthlaw, tmp_path
) -> None:
    path = damaged(shutil.copytree(sound, disk / "a.zarr"))
    before, filler = files_below(path), fill()
    told = widthlaw("verify", "--repair", path)
    if told.returncode == 1:  # a repair may also need no new room
        assert_ends_in_one_line(told)
        assert files_below(path) == before
        filler.unlink()
        assert widthlaw("verify", "--repair", path).returncode == 3
    filler.unlink(missing_ok=True)
    assert damage(path) == []
    pipeline.run(store.stored_sweep(path), path)
    equal_stores(path, sound)


@pytest.mark.attack("repair")
@pytest.mark.parametrize("line", [("verify", "--upgrade"), ("extend", "--seeds", "40")])
def test_what_grows_a_store_without_room_changes_nothing_and_succeeds_with_room(
    disk, fill, widthlaw, line
) -> None:
    shutil.unpack_archive(OLD, disk)
    path = disk / "half.zarr"
    values = files_below(path)
    filler = fill()
    command, *options = line
    told = widthlaw(command, path, *options)
    assert_ends_in_one_line(told)
    assert files_below(path) == values
    assert [file.name for file in disk.iterdir() if file not in (path, filler)] == []
    filler.unlink()
    assert widthlaw(command, path, *options).returncode in (0, 3)
    assert damage(path) == []


@pytest.mark.attack("repair")
def test_of_two_repairs_at_once_none_undoes_the_other(sound, copy, command) -> None:
    damaged(copy)
    line = [command, "verify", "--repair", str(copy)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    both = [subprocess.Popen(line, **pipes) for _ in range(2)]
    for one in both:
        errors = one.communicate(timeout=PATIENCE)[1]
        assert "Traceback" not in errors
        assert one.returncode in (2, 3), errors  # refused while the other works, or repaired
    assert 3 in [one.returncode for one in both]
    assert damage(copy) == []
    assert store.Store(copy).counts()["pending"] == 3 * 12
    pipeline.run(store.stored_sweep(copy), copy)
    equal_stores(copy, sound)
