"""`widthlaw run` that is killed, or whose store takes no more: nothing is lost, and it goes on."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline import store

from ..cluster.buckets import S3Server
from ..waiting import wait_until
from .stand import BEGINS, PATIENCE, SEEDS_PER_BLOCK, Processes, Row, Runs, the_sweep
from .table import OF_ONES_OWN


@pytest.mark.parametrize(
    "own",
    [
        pytest.param(
            "", marks=pytest.mark.fault("kill -9 of the driver, same command again"), id="built-in"
        ),
        pytest.param(
            OF_ONES_OWN,
            marks=pytest.mark.fault(f"kill -9 of the driver, same command again{OF_ONES_OWN}"),
            id="own",
        ),
    ],
)
def test_the_same_command_finishes_for_a_killed_driver(row: Row, runs: Runs, own: str) -> None:
    row.begin()
    driver = runs.start()
    wait_until(lambda: len(BEGINS.findall(runs.said())) >= 6, "six blocks are begun")
    driver.kill()
    driver.wait()
    assert 0 < row.done() < the_sweep().trials
    assert runs.to_the_end() == 0
    runs.judge()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk that has no room for the store."""
    if os.geteuid() != 0:
        pytest.skip("a disk of its own needs root")
    folder = tmp_path / "disk"
    folder.mkdir()
    made = subprocess.run([*MOUNT, "size=600k", "tmpfs", folder], capture_output=True, check=False)
    if made.returncode:
        pytest.skip(f"no disk of its own: {made.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


MOUNT = ("mount", "-t", "tmpfs", "-o")


@pytest.mark.fault("disk full")
def test_the_same_command_finishes_once_a_full_disk_has_room(
    row: Row, small_disk: Path, processes: Processes, tmp_path: Path, command: str
) -> None:
    row.path = small_disk / "faults.zarr"
    store.create(row.path, the_sweep(), seeds_per_chunk=SEEDS_PER_BLOCK)
    runs = Runs(processes, tmp_path, row, command)
    row.begin()
    assert runs.to_the_end() == 1
    assert "stopped writing (No space left on device); its content is valid" in runs.said()
    assert 0 < row.done() < the_sweep().trials
    subprocess.run([*MOUNT, "remount,size=16m", "tmpfs", small_disk], check=True)
    assert runs.to_the_end() == 0
    runs.judge()


@pytest.fixture
def s3_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Server]:
    if reason := S3Server.missing():
        pytest.skip(reason)
    server = S3Server(tmp_path / "s3")
    for name, value in server.env.items():
        monkeypatch.setenv(name, value)
    try:
        server.start()
        yield server
    finally:
        server.kill()


@pytest.mark.fault("S3 server killed, back after 5 s")
def test_a_run_waits_for_a_server_that_is_away(
    row: Row, s3_server: S3Server, processes: Processes, tmp_path: Path, command: str
) -> None:
    row.path = f"{s3_server.url('faults')}/faults.zarr"
    store.create(row.path, the_sweep(), seeds_per_chunk=SEEDS_PER_BLOCK)
    runs = Runs(processes, tmp_path, row, command)
    row.begin()
    driver = runs.start()
    wait_until(lambda: len(BEGINS.findall(runs.said())) >= 6, "six blocks are begun")
    s3_server.kill()
    time.sleep(5)
    assert driver.poll() is None
    s3_server.start()
    assert driver.wait(PATIENCE) == 0, runs.said()
    runs.judge()
