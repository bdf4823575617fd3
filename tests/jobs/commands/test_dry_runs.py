"""A dry run writes nothing: every command that has --dry-run, on stores of every state."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable
from contextlib import chdir
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
from click.testing import CliRunner

import pipeline
from jobs.cli import main
from pipeline.maintenance.grow import extend
from pipeline.store import lease, names
from pipeline.store.location import locate

SWEEP = """
name = "own"
experiment = "own.py:own"
n = [8]
width = [1, 2, 4]
seeds = 3
"""

CODE = """
from pipeline import experiment, variable

@experiment(value=variable("a value"))
def own(trial):
    {body}
"""

DESCENT = """
name = "descent"
experiment = "input"
dataset = {{ kind = "sphere" }}
d = [3]
n = [6]
width = [4, 8]
seeds = 2
[descent]
steps = {steps}
tolerances = [1e-9]
checkpoints = true
"""

PROFILE = "system = 'slurm'\nworkers = 1\nmemory = '2 GB'\nwalltime = '01:00:00'\n"

SUCCEEDS = "return {'value': trial.k}"
SAME_VALUES = "return {'value': trial.k + 0}"


def write(body: str) -> None:
    Path("own.py").write_text(CODE.format(body=body))


def done() -> None:
    """A store with results and failed trials, whose code has changed without changing a value."""
    write("return {'value': trial.k} if trial.seed else None")
    pipeline.run(pipeline.load_sweep("own.toml"), "own.zarr")
    write(SAME_VALUES)


def same() -> None:
    """A store with results, and its code."""
    write(SUCCEEDS)
    pipeline.run(pipeline.load_sweep("own.toml"), "own.zarr")


def failed() -> None:
    """A store without results, which takes a mended function."""
    write("raise ValueError('no')")
    pipeline.run(pipeline.load_sweep("own.toml"), "own.zarr")
    write(SUCCEEDS)


def pending() -> None:
    """A store that a run has left unfinished, with the lease of its process, which is gone."""
    write(SUCCEEDS)
    pipeline.run(pipeline.load_sweep("own.toml"), "own.zarr")
    extend("own.zarr", replace(pipeline.load_sweep("own.toml"), seeds=tuple(range(5))))
    gone = replace(_lease(), pid=2**22, started=1.0)
    locate("own.zarr").write(names.LEASE, lease._text(gone))
    assert lease.read(locate("own.zarr")).stale


def queued() -> None:
    """A store that waits for a job of Slurm, which is gone: as `squeue` says here."""
    same()
    Path("bin").mkdir()
    for command in ("squeue", "scontrol", "sacct", "sbatch"):
        file = Path("bin", command)
        file.write_text(
            "#!/bin/sh\necho ClusterName = here\n" if command == "scontrol" else "#!/bin/sh\n"
        )
        file.chmod(0o755)
    job = lease.Job("slurm", "17", "/somewhere", "here")
    waiting = replace(_lease(), renewed=None, job=job)
    locate("own.zarr").write(names.LEASE, lease._text(waiting))


def none() -> None:
    """A sweep without a store."""
    write(SUCCEEDS)


def two() -> None:
    """Two stores with other seeds."""
    same()
    Path("more.toml").write_text(SWEEP.replace("seeds = 3", "seeds = 5"))
    pipeline.run(pipeline.load_sweep("more.toml"), "more.zarr")


def descent() -> None:
    """A store of descents with checkpoints."""
    Path("descent.toml").write_text(DESCENT.format(steps=5))
    pipeline.run(pipeline.load_sweep("descent.toml"), "own.zarr")


def _lease() -> lease.Lease:
    with lease.hold(locate("own.zarr")):
        found = lease.read(locate("own.zarr"))
    assert found is not None
    return found


RUN = ("run", "own.toml")
STORE = ("run", "own.zarr", "--code", "own.py")
SUBMIT = ("submit", "own.toml", "--profile", "lab.toml")
REFINE = ("refine", "own.zarr", "--to", "5%", "--success", "value > 2", "--code", "own.py")
EXTEND = ("extend", "own.zarr")

LINES: list[tuple[Callable[[], None], tuple[str, ...]]] = [
    (none, RUN),
    (none, SUBMIT),
    (done, (*RUN, "--accept-code")),
    (done, (*RUN, "--accept-code", "--retry-failed")),
    (done, (*STORE, "--accept-code")),
    (done, (*SUBMIT, "--accept-code")),
    (failed, RUN),
    (failed, STORE),
    (failed, SUBMIT),
    (pending, STORE),
    (pending, ("submit", "own.zarr", "--code", "own.py", "--profile", "lab.toml")),
    (pending, REFINE),
    (pending, (*EXTEND, "--seeds", "5", "--code", "own.py")),
    (queued, SUBMIT),
    (queued, REFINE),
    (same, REFINE),
    (same, (*REFINE, "--trials", "1")),
    (same, (*EXTEND, "--seeds", "5", "--n", "9", "--code", "own.py")),
    (same, (*EXTEND, "--seeds", "3", "--code", "own.py")),
    (same, (*EXTEND, "-o", "new.zarr")),
    (descent, (*EXTEND, "--steps", "9")),
    (descent, (*EXTEND, "--steps", "9", "-o", "new.zarr")),
    (descent, ("refine", "own.zarr", "--to", "20%", "--infinite-budget")),
    (two, (*EXTEND, "more.toml")),
    (two, ("merge", "own.zarr", "more.zarr", "-o", "own.zarr")),
    (two, ("merge", "own.zarr", "more.zarr", "-o", "new.zarr")),
]


def contents(folder: Path) -> dict[str, tuple[int, str]]:
    """The time of the last change, and the digest, of every file and folder in a folder."""
    found = {}
    for path in folder.rglob("*"):
        digest = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "folder"
        found[str(path)] = (path.stat().st_mtime_ns, digest)
    return found


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Callable[[], None]], Path]:
    """A folder in a state, which is made once."""

    @cache
    def make(state: Callable[[], None]) -> Path:
        folder = tmp_path_factory.mktemp(state.__name__)
        with chdir(folder):
            Path("own.toml").write_text(SWEEP)
            Path("lab.toml").write_text(PROFILE)
            state()
        return folder

    return make


@pytest.mark.parametrize(("state", "line"), LINES, ids=lambda part: getattr(part, "__name__", None))
def test_a_dry_run_writes_nothing(state, line, made, tmp_path, monkeypatch) -> None:
    shutil.copytree(made(state), tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setenv("WIDTHLAW_CONFIG", str(tmp_path / "config"))
    before = contents(tmp_path)
    told = CliRunner().invoke(main, [*line, "--dry-run"])
    assert told.exit_code == 0, (told.output, told.exception)
    assert told.output
    assert contents(tmp_path) == before


def test_every_command_with_a_dry_run_is_tried() -> None:
    context = main.make_context("widthlaw", [], resilient_parsing=True)
    commands = {name: main.get_command(context, name) for name in main.list_commands(context)}
    have = {name for name, one in commands.items() if "dry_run" in {key.name for key in one.params}}
    assert have == {line[0] for _, line in LINES}


@pytest.mark.parametrize(("steps", "is_told"), [(0, True), (1, False)])
def test_a_budget_of_no_step_is_told_before_anything_runs(
    write_sweep, tmp_path, widthlaw, steps, is_told
) -> None:
    sweep = write_sweep(experiment="'input'", descent=f"{{ steps = {steps} }}", width="{ k = [4] }")
    done = widthlaw("run", sweep, "-o", tmp_path / "a.zarr", "--dry-run")
    assert done.returncode == 0, done.stderr
    assert ("descent.steps: got 0, so no trial takes a step" in done.stderr) == is_told
