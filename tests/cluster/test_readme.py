"""The commands of jobs/README.md, followed word by word on a real Slurm."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from jobs.cluster.profile import load_profile
from pipeline import store
from pipeline.store import lease
from pipeline.store.location import locate

from ..waiting import PATIENCE, wait_until
from .private_slurm import PrivateSlurm

pytestmark = pytest.mark.cluster

README = Path(__file__).parents[2] / "jobs" / "README.md"


def blocks(kind: str) -> list[str]:
    """Return the blocks of code of one language."""
    return re.findall(rf"```{kind}\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)


def commands() -> list[list[str]]:
    lines = [line for line in blocks("sh")[0].splitlines() if line.startswith("widthlaw")]
    return [shlex.split(line, comments=True)[1:] for line in lines]


def test_the_commands_do_what_they_say(
    short_folder: str, tmp_path: Path, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if reason := PrivateSlurm.missing():
        pytest.skip(reason)
    monkeypatch.chdir(tmp_path)
    with PrivateSlurm(short_folder, nodes=2, cpus=3) as slurm:

        def run(words: list[str]) -> subprocess.CompletedProcess[str]:
            line, env = [command, *words], os.environ | slurm.env
            return subprocess.run(line, capture_output=True, text=True, env=env, timeout=PATIENCE)

        _run_all(run, slurm)


def _run_all(run: Callable[[list[str]], subprocess.CompletedProcess[str]], slurm: PrivateSlurm) -> None:
    profiles, plan, submit, status, cancel = commands()
    assert "slurm       slurm       yes" in run(profiles).stdout
    assert "core-hours" in run(plan).stdout
    submitted = run(submit)
    assert submitted.returncode == 0, submitted.stderr
    assert submitted.stdout.strip() in slurm.jobs()
    assert f"job {submitted.stdout.strip()} (slurm)" in run(status).stdout
    # At the first block, and before any other command: the whole run takes but some seconds more.
    slurm.wait_until(lambda: store.Store("theorem2.zarr").counts()["done"], "a block is done")
    assert "cancelled" in run(cancel).stderr
    assert run(submit).returncode == 0  # the same submit goes on
    where = locate("theorem2.zarr")
    wait_until(lambda: lease.read(where) is None, "the run gives the store back")
    assert run(status).returncode == 0
    assert list(Path("theorem2.zarr.run/logs").iterdir())


def test_the_profile_can_be_read(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(blocks("toml")[0])
    assert load_profile(tmp_path / "mine.toml").workers == 200
