"""Workers of this machine: they end quietly, and in time; a script without a guard is told so."""

from __future__ import annotations

import os
import subprocess
import sys

from ...waiting import PATIENCE

BUSY = """
import sys, time
import pipeline

def keep_busy():
    import zarr.core.sync as sync
    sync._get_loop().call_soon_threadsafe(time.sleep, 60)

if __name__ == "__main__":
    client = pipeline.local_client(1)
    client.run(keep_busy)
    began = time.monotonic()
    client.close()
    print(time.monotonic() - began)
"""
"""On a busy machine the thread of Zarr gets no time to end; here it is busy itself."""


def test_a_worker_whose_zarr_is_busy_ends_quietly_and_in_time(tmp_path) -> None:
    script = tmp_path / "busy.py"
    script.write_text(BUSY)
    line = [sys.executable, str(script)]
    ended = subprocess.run(line, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert ended.returncode == 0
    assert ended.stderr == ""
    assert float(ended.stdout) < 3


UNGUARDED = """
import pipeline

client = pipeline.local_client(2)
"""


def test_a_script_that_is_not_guarded_gets_one_sentence(tmp_path) -> None:
    script, scratch = tmp_path / "mine.py", tmp_path / "scratch"
    script.write_text(UNGUARDED)
    scratch.mkdir()
    ended = subprocess.run(
        [sys.executable, str(script)],
        env=os.environ | {"TMPDIR": str(scratch)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == 1
    assert ended.stderr.count("Traceback") == 1  # of this process, not of its workers
    *_, last = ended.stderr.splitlines()
    assert f"{script}: starts workers as soon as it is imported" in last
    assert 'below `if __name__ == "__main__":`' in last
    assert "Nanny" not in ended.stderr
    assert list(scratch.iterdir()) == []
