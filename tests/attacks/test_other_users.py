"""What other users of the machine can do at places that all of them share."""

from __future__ import annotations

import fcntl
import os
import subprocess
from pathlib import Path

import pytest

from pipeline import store

from ..waiting import PATIENCE


@pytest.mark.attack("other users")
def test_a_lock_on_the_shared_scratch_folder_of_dask_stops_no_run(command, tmp_path: Path) -> None:
    shared = tmp_path / "dask-scratch-space"
    shared.mkdir(mode=0o777)
    with (shared / "global.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        line = [command, "run", "tiny", "-o", str(tmp_path / "a.zarr"), "--workers", "1"]
        environment = os.environ | {"TMPDIR": str(tmp_path)}
        ran = subprocess.run(line, env=environment, capture_output=True, text=True, timeout=PATIENCE)
    assert ran.returncode == 0, ran.stderr
    assert store.Store(tmp_path / "a.zarr").counts()["done"] == 720
    assert [one.name for one in tmp_path.glob("widthlaw-*")] == []
