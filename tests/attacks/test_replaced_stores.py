"""A store that is replaced or removed while a run fills it: the run ends, and writes to no other."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import pipeline
from pipeline import store
from pipeline.errors import LeaseLost
from pipeline.execution.fill import fill
from pipeline.maintenance import grow
from pipeline.maintenance.verify import damage
from pipeline.store import lease
from pipeline.store.location import Location, locate
from pipeline.trial_status import Status

from ..waiting import PATIENCE, wait_until

SLOW = {"d": "[10]", "n": "[150]", "width": "{ k_per_n = [1.5, 2.0, 4.0] }", "seeds": 3000}
SMALL = {"d": "[3]", "n": "[6]", "seeds": 8}


def files_below(path: Path) -> dict[str, bytes]:
    return {
        file.relative_to(path).as_posix(): file.read_bytes()
        for file in sorted(path.rglob("*"))
        if file.is_file()
    }


class Running:
    """`widthlaw run` of a sweep of some seconds, which has written some blocks."""

    def __init__(self, command: str, sweep: Path, path: Path) -> None:
        line = [command, "run", str(sweep), "-o", str(path), "--workers", "2"]
        self._process = subprocess.Popen(line, stderr=subprocess.PIPE, text=True)

        def has_written() -> bool:
            assert self._process.poll() is None
            return path.exists() and store.Store(path).counts()["done"] > 0

        wait_until(has_written, "a block is written")

    def ends(self) -> tuple[int, str]:
        errors = self._process.communicate(timeout=PATIENCE)[1]
        return self._process.returncode, errors


@pytest.fixture
def running(command: str, write_sweep: Callable[..., Path], tmp_path: Path, make_sweep) -> Running:
    path = tmp_path / "S.zarr"
    store.create(path, make_sweep(**SLOW), seeds_per_chunk=40)
    return Running(command, write_sweep(**SLOW), path)


@pytest.mark.attack("replaced stores")
def test_a_run_writes_nothing_to_the_store_that_takes_the_place_of_its_own(
    running, tmp_path, make_sweep
) -> None:
    path, other = tmp_path / "S.zarr", tmp_path / "other.zarr"
    store.create(other, make_sweep(entropy=8, **SLOW), seeds_per_chunk=40)
    before = files_below(other)
    path.rename(tmp_path / "old.zarr")
    other.rename(path)
    code, errors = running.ends()
    assert code == 1, errors
    assert "S.zarr: " in errors
    assert "Traceback" not in errors
    assert files_below(path) == before
    shutil.rmtree(path)
    (tmp_path / "old.zarr" / ".lease.json").unlink(missing_ok=True)
    assert [one for one in damage(tmp_path / "old.zarr") if one.kind == "damaged"] == []


@pytest.mark.attack("replaced stores")
@pytest.mark.parametrize("how", ["removed", "renamed"])
def test_a_run_whose_store_is_gone_says_so(running, tmp_path, how) -> None:
    path = tmp_path / "S.zarr"
    if how == "removed":
        path.rename(tmp_path / "going")
        shutil.rmtree(tmp_path / "going", ignore_errors=True)  # a worker may be writing there
    else:
        path.rename(tmp_path / "elsewhere.zarr")
    code, errors = running.ends()
    assert code == 1, errors
    assert "is gone" in errors or "lease was taken away" in errors
    assert "Traceback" not in errors
    assert not path.exists()


@pytest.fixture
def held(tmp_path: Path, make_sweep):
    """A store with its lease held, as a run sees it, and the first of its tiles."""
    made = store.create(tmp_path / "S.zarr", make_sweep(**SMALL), seeds_per_chunk=4)
    with lease.hold(made.location) as held:
        mine = store.Store(made.location, made.sweep, held.holder)
        yield mine, next(mine.pending_tiles())


def replaced(path: Path, by: Path) -> None:
    path.rename(path.with_name("old.zarr"))
    by.rename(path)


@pytest.mark.attack("replaced stores")
@pytest.mark.parametrize("step", ["missing", "check", "read_tile", "write"])
def test_a_store_that_goes_at_any_step_of_a_block_is_gone_and_not_damaged(
    held, tmp_path, monkeypatch, step
) -> None:
    mine, tile = held
    mine.write_statuses(tile, np.full_like(mine.missing(tile), Status.PENDING, dtype=np.int8))
    half = mine.missing(tile)
    half[..., ::2] = False  # the others are read back before the block is written
    reached = getattr(store.Store, step)

    def late(*arguments):
        if (tmp_path / "S.zarr").exists():
            (tmp_path / "S.zarr").rename(tmp_path / "elsewhere.zarr")
        return reached(*arguments)

    monkeypatch.setattr(store.Store, step, late)
    if step != "missing":
        monkeypatch.setattr(store.Store, "missing", lambda *_: half)
    assert "is gone" in fill(mine, tile).lost
    assert not (tmp_path / "S.zarr").exists()


@pytest.mark.attack("replaced stores")
def test_a_run_that_finds_its_store_gone_between_two_passes_says_so(
    tmp_path, make_sweep, monkeypatch
) -> None:
    path, passes = tmp_path / "S.zarr", store.Store.pending_tiles

    def late(self, retry):
        path.rename(tmp_path / "elsewhere.zarr")
        yield from passes(self, retry)

    monkeypatch.setattr(store.Store, "pending_tiles", late)
    with pytest.raises(LeaseLost, match="is gone"):
        pipeline.run(make_sweep(**SMALL), path)


@pytest.mark.attack("replaced stores")
@pytest.mark.parametrize("filled_before", [False, True])
def test_the_store_of_another_sweep_is_never_written(held, tmp_path, make_sweep, filled_before) -> None:
    mine, tile = held
    if filled_before:  # then this process holds the store open already
        assert fill(mine, tile).trials
        tile = next(mine.pending_tiles())
    other = tmp_path / "other.zarr"
    pipeline.run(make_sweep(entropy=8, **SMALL), other)
    before = files_below(other)
    replaced(tmp_path / "S.zarr", other)
    assert "another sweep" in fill(mine, tile).lost or fill(mine, tile).trials == 0
    assert files_below(tmp_path / "S.zarr") == before
    with pytest.raises(LeaseLost, match="another sweep"):
        mine.write(tile, mine.read_tile(tile))


@pytest.mark.attack("replaced stores")
def test_another_store_of_the_same_sweep_is_not_written_without_its_lease(
    held, tmp_path, make_sweep
) -> None:
    mine, tile = held
    other = tmp_path / "other.zarr"
    store.create(other, make_sweep(**SMALL), seeds_per_chunk=4)
    replaced(tmp_path / "S.zarr", other)
    before = files_below(tmp_path / "S.zarr")
    assert "its lease was taken away" in fill(mine, tile).lost
    with lease.hold(locate(tmp_path / "S.zarr")):
        assert "taken over" in fill(mine, tile).lost
    assert files_below(tmp_path / "S.zarr") == before


@pytest.mark.attack("replaced stores")
def test_what_is_beside_a_store_that_another_run_holds_is_not_cleaned(held, tmp_path) -> None:
    mine, _ = held
    (tmp_path / "S.zarr" / ".lease.json").unlink()
    with lease.hold(mine.location):
        leftover = tmp_path / "S.zarr" / "sigma_min" / "0.1234.partial"
        leftover.write_bytes(b"")
        with pytest.raises(LeaseLost, match="taken over"):
            mine.clean()
        assert leftover.exists()


@pytest.mark.attack("replaced stores")
def test_an_extension_never_removes_another_store_that_has_taken_the_place(
    tmp_path, make_sweep, monkeypatch
) -> None:
    path, other = tmp_path / "S.zarr", tmp_path / "other.zarr"
    pipeline.run(make_sweep(**SMALL), path)
    pipeline.run(make_sweep(entropy=8, **SMALL), other)
    before = files_below(other)
    publish = grow._publish

    def late(location: Location, draft: Path, old: object) -> None:
        replaced(path, other)  # after the last check of the lease
        publish(location, draft, old)

    monkeypatch.setattr(grow, "_publish", late)
    with pytest.raises(LeaseLost, match="another store has taken its place"):
        grow.extend(path, make_sweep(**SMALL | {"seeds": 12}))
    assert files_below(path) == before
    assert sorted(one.name for one in tmp_path.iterdir()) == ["S.zarr", "old.zarr"]
