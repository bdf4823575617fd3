"""A sweep on a real Slurm: submitted, watched, cancelled, resumed, with the bits of a local run."""

from __future__ import annotations

import getpass
import json
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import pipeline
from jobs.cluster.controller import WAITING
from pipeline import store
from pipeline.store import lease, names
from pipeline.store.location import locate
from pipeline.sweep import Sweep

from ..waiting import wait_until
from .private_slurm import PrivateSlurm

pytestmark = pytest.mark.cluster

PROFILE = """
system = "slurm"
workers = 2
memory = "800 MB"
walltime = "00:10:00"
host = "127.0.0.1"
{more}
[controller]
memory = "800 MB"
"""

LONG = {"n": "[400]", "d": "[20, 40]", "width": "{ k_per_n = [1.5, 2.0, 4.0] }", "seeds": 100}

Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def cluster(short_folder: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[PrivateSlurm]:
    """Two nodes of two CPUs: a controller and a worker on the first, the other worker on the second."""
    if reason := PrivateSlurm.missing():
        pytest.skip(reason)
    with PrivateSlurm(short_folder, nodes=2, cpus=2) as slurm:
        for name, value in slurm.env.items():
            monkeypatch.setenv(name, value)
        yield slurm


@pytest.fixture
def profile(tmp_path: Path) -> Callable[..., Path]:
    def make(more: str = "") -> Path:
        path = tmp_path / "profile.toml"
        path.write_text(PROFILE.format(more=more))
        return path

    return make


@pytest.fixture
def long_sweep(tmp_path: Path, write_sweep: Callable[..., Path]) -> Path:
    """A sweep of some seconds in several blocks."""
    return write_sweep(**LONG)


@pytest.fixture(scope="module")
def long_local(tmp_path_factory: pytest.TempPathFactory, make_sweep: Callable[..., Sweep]) -> Path:
    """The store of a local run of it."""
    path = tmp_path_factory.mktemp("local") / "local.zarr"
    pipeline.run(make_sweep(**LONG), path)
    return path


def wait_for_end(path: Path) -> None:
    wait_until(lambda: lease.read(locate(path)) is None, "the run gives the store back")


def begun(path: Path) -> None:
    """Wait until some trials are done and others are not."""
    wait_until(lambda: store.Store(path).counts()["done"] > 0, "a block is done")


@pytest.mark.parametrize("allocation", [False, True], ids=["jobs", "allocation"])
def test_a_sweep_on_two_nodes_has_the_bits_of_a_local_run(
    cluster, profile, widthlaw, tmp_path, long_sweep, long_local, assert_equal_stores, allocation
) -> None:
    path = tmp_path / "a.zarr"
    store.create(path, pipeline.load_sweep(long_sweep), seeds_per_chunk=10)
    more = ["--allocation"] if allocation else []
    told = widthlaw("submit", long_sweep, "--profile", profile(), "-o", path, *more)
    assert told.returncode == 0, told.stderr
    assert told.stdout.strip() in cluster.jobs()
    begun(path)
    busy = {job.node for job in cluster.active().values()}
    wait_for_end(path)
    assert_equal_stores(path, long_local)
    assert busy == ({"n[1-2]"} if allocation else {"n1", "n2"})
    assert widthlaw("status", path).returncode == 0


def test_a_run_is_watched_refuses_others_and_is_cancelled(
    cluster, profile, widthlaw, tmp_path, write_sweep, two_workers, assert_equal_stores
) -> None:
    path = tmp_path / "a.zarr"
    # Long enough that a busy machine can ask and cancel before it ends.
    file = write_sweep(**LONG | {"seeds": 400})
    sweep = pipeline.load_sweep(file)
    store.create(path, sweep, seeds_per_chunk=10)
    submit = ("submit", file, "--profile", profile(), "-o", path)
    number = widthlaw(*submit).stdout.strip()
    for command in (submit, ("run", file, "-o", path)):
        told = widthlaw(*command)
        assert told.returncode == 2
        assert f"job {number} (slurm)" in told.stderr
    begun(path)
    told = widthlaw("status", path, "--json")
    (record,) = json.loads(told.stdout)
    assert record["run"].startswith(f"job {number} (slurm) of ")
    assert "running, last heard of" in record["run"]
    assert "jobs of workers: 2 running" in record["run"]
    told = widthlaw("cancel", path)
    assert told.returncode == 0, told.stderr
    assert f"job {number} (slurm) cancelled" in told.stderr
    assert lease.read(locate(path)) is None
    assert not (tmp_path / "a.zarr.run" / "tls").exists()
    wait_until(lambda: not cluster.active(), "all jobs are gone", pause=0.5)
    done = store.Store(path).counts()["done"]
    assert 0 < done < sweep.trials
    assert "ended by a signal" in widthlaw("status", path).stdout
    assert "no run is in progress" in widthlaw("cancel", path).stderr
    widthlaw(*submit)
    wait_for_end(path)
    pipeline.run(sweep, tmp_path / "local.zarr", two_workers)
    assert_equal_stores(path, tmp_path / "local.zarr")


def test_status_shows_why_a_job_never_starts(cluster, profile, widthlaw, tmp_path, long_sweep) -> None:
    cluster.run("scontrol", "update", "PartitionName=debug", "MaxTime=1")
    path = tmp_path / "a.zarr"
    number = widthlaw("submit", long_sweep, "--profile", profile(), "-o", path).stdout.strip()

    def run() -> str:
        return json.loads(widthlaw("status", path, "--json").stdout)[0]["run"]

    expected = f"job {number} (slurm) of {getpass.getuser()}: queued (PartitionTimeLimit)"
    wait_until(lambda: run() == expected, "Slurm has looked at the job")
    assert f"job {number} (slurm) cancelled" in widthlaw("cancel", path).stderr


def test_a_lease_that_names_another_job_does_not_cancel_it(
    cluster, profile, widthlaw, tmp_path, long_sweep
) -> None:
    mine, forged = tmp_path / "a.zarr", tmp_path / "b.zarr"
    held = profile('directives = ["--hold"]')
    number = widthlaw("submit", long_sweep, "--profile", held, "-o", mine).stdout.strip()
    store.create(forged, pipeline.load_sweep(long_sweep))
    text = (mine / names.LEASE).read_text()
    (forged / names.LEASE).write_text(text)
    told = widthlaw("cancel", forged)
    assert told.returncode == 2
    assert f"the run folder {mine}.run is of another run" in told.stderr

    # a run folder of the forger's own agrees with the lease, but the job runs another script
    shutil.copytree(f"{mine}.run", f"{forged}.run")
    file = Path(f"{forged}.run", "run.json")
    file.write_text(file.read_text().replace(str(mine), str(forged)))
    (forged / names.LEASE).write_text(text.replace(f"{mine}.run", f"{forged}.run"))
    told = widthlaw("cancel", forged)
    assert told.returncode == 2
    assert f"the job runs {mine}.run/controller.sh" in told.stderr
    assert cluster.jobs()[number].state == "PENDING"

    told = widthlaw("cancel", "--force", forged)
    assert told.returncode == 0
    assert (
        f"its lease is removed; job {number} (slurm) of {getpass.getuser()} was not ended"
        in told.stderr
    )
    assert cluster.jobs()[number].state == "PENDING"
    assert lease.read(locate(forged)) is None
    assert f"job {number} (slurm) cancelled" in widthlaw("cancel", mine).stderr


def test_a_job_that_waits_holds_the_store_until_it_is_cancelled(
    cluster, profile, widthlaw, tmp_path, long_sweep
) -> None:
    path = tmp_path / "a.zarr"
    number = widthlaw(
        "submit", long_sweep, "--profile", profile('directives = ["--hold"]'), "-o", path
    ).stdout.strip()
    assert "waits to fill it" in widthlaw("run", long_sweep, "-o", path).stderr
    assert "queued" in widthlaw("status", path).stdout
    assert f"job {number} (slurm) cancelled" in widthlaw("cancel", path).stderr
    assert lease.read(locate(path)) is None


def test_a_job_that_slurm_has_lost_does_not_hold_the_store(
    cluster, profile, widthlaw, tmp_path, long_sweep
) -> None:
    path = tmp_path / "a.zarr"
    submit = ("submit", long_sweep, "--profile", profile('directives = ["--hold"]'), "-o", path)
    first = widthlaw(*submit).stdout.strip()
    cluster.run("scancel", first)
    second = widthlaw(*submit)
    assert second.returncode == 0, second.stderr
    assert second.stdout.strip() != first
    widthlaw("cancel", path)


def test_a_dry_run_shows_scripts_and_plan_and_touches_nothing(
    cluster, profile, widthlaw, tmp_path, long_sweep
) -> None:
    before = sorted(tmp_path.rglob("*"))
    given = profile('queue = "debug"')
    told = widthlaw("submit", long_sweep, "--profile", given, "-o", tmp_path / "a.zarr", "--dry-run")
    assert told.returncode == 0, told.stderr
    for part in ("blocks", "core-hours", "new files", "#SBATCH -p debug", "supervise.sh", "--tls-key"):
        assert part in told.stdout
    assert sorted(tmp_path.rglob("*")) == sorted([*before, given])
    assert not cluster.jobs()


def test_credentials_are_their_owners_alone_and_no_command_shows_them(
    cluster, profile, widthlaw, tmp_path, long_sweep
) -> None:
    path = tmp_path / "a.zarr"
    widthlaw("submit", long_sweep, "--profile", profile('directives = ["--hold"]'), "-o", path)
    folder = tmp_path / "a.zarr.run"
    assert stat.S_IMODE((folder / "tls").stat().st_mode) == 0o700
    for file in (folder / "tls" / "key.pem", folder / "tls" / "certificate.pem"):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    key = (folder / "tls" / "key.pem").read_text().splitlines()[1]
    assert not any(key in file.read_text() for file in folder.glob("*.*"))
    assert not any(key.encode() in file.read_bytes() for file in path.rglob("*") if file.is_file())
    widthlaw("cancel", path)


def test_a_store_on_s3_is_filled_from_slurm_with_credentials_from_a_private_file(
    cluster,
    profile,
    widthlaw,
    tmp_path,
    long_sweep,
    long_local,
    s3_server,
    assert_equal_stores,
    monkeypatch,
) -> None:
    import xarray as xr

    for name, value in s3_server.env.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    url = f"{s3_server.url('submit')}/a.zarr"
    # Settings of OpenBLAS choose its kernel, and with it the bits: both sides need the same.
    kept = ["PATH", "HOME", *(name for name in os.environ if name.startswith("OPENBLAS_"))]
    given = profile(f'directives = ["--export={",".join(kept)}"]')
    told = widthlaw("submit", long_sweep, "--profile", given, "-o", url)
    assert told.returncode == 0, told.stderr
    private = tmp_path / "a.zarr.run" / "environment.sh"
    assert stat.S_IMODE(private.stat().st_mode) == 0o600
    wait_for_end(url)
    assert_equal_stores(xr.open_zarr(locate(url).zarr()), long_local)


# ---- what cannot be submitted


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ('queue = "nosuch"', "the job was refused .*correct the profile"),
        ("launcher = 'srun'\nworkers_per_job = 3", "workers_per_job: got 3, but there are 2 workers"),
    ],
)
def test_a_profile_that_slurm_does_not_take_is_told_in_one_line_and_holds_nothing(
    cluster, profile, widthlaw, tmp_path, long_sweep, more, said
) -> None:
    import re

    path = tmp_path / "a.zarr"
    told = widthlaw("submit", long_sweep, "--profile", profile(more), "-o", path)
    assert told.returncode == 2
    assert re.search(said, told.stderr)
    assert not path.exists() or lease.read(locate(path)) is None


def test_a_walltime_that_is_too_short_for_a_block_is_refused(profile, widthlaw, tmp_path) -> None:
    pytest.importorskip("dask_jobqueue")
    given = profile()
    given.write_text(given.read_text().replace("00:10:00", "00:00:20"))
    path = tmp_path / "a.zarr"
    told = widthlaw("submit", "theorem2", "--profile", given, "-o", path, "--dry-run")
    assert told.returncode == 2
    assert "walltime 20 s: a job may retire after 5 s, but the longest block" in told.stderr
    assert "give a walltime of 00:0" in told.stderr
    assert not path.exists()


@pytest.mark.parametrize("name", ["local", "address", "kubernetes"])
def test_a_profile_without_jobs_is_refused_with_what_would_do(widthlaw, tmp_path, name) -> None:
    told = widthlaw("submit", "tiny", "--profile", name, "-o", tmp_path / "a.zarr")
    assert told.returncode == 2
    assert f"profile {name}: {name} has no jobs to submit; use `widthlaw run" in told.stderr


# ---- runs that make no progress


def test_a_controller_that_cannot_start_is_told_by_status(
    cluster, profile, widthlaw, tmp_path, long_sweep
) -> None:
    path = tmp_path / "a.zarr"
    widthlaw("submit", long_sweep, "--profile", profile('python = "/bin/false"'), "-o", path)
    wait_until(lambda: not cluster.active(), "the job has ended", pause=0.5)
    assert "its last job ended early; read" in widthlaw("status", path).stdout
    again = widthlaw("submit", long_sweep, "--profile", profile(), "-o", path)
    assert again.returncode == 0, again.stderr
    wait_for_end(path)
    assert store.Store(path).counts()["pending"] == 0


def said(path: Path) -> str:
    """What the jobs of a run have printed."""
    return "".join(log.read_text() for log in Path(f"{path}.run", "logs").glob("*"))


def test_a_controller_with_a_fault_is_started_again_and_gives_up_in_the_end(
    cluster, profile, widthlaw, tmp_path, long_sweep
) -> None:
    path = tmp_path / "a.zarr"
    submit = ("submit", long_sweep, "--profile", profile('directives = ["--hold"]'), "-o", path)
    number = widthlaw(*submit).stdout.strip()
    (tmp_path / "a.zarr.run" / "tls" / "key.pem").unlink()
    cluster.run("scontrol", "release", number)
    wait_until(lambda: "FileNotFoundError" in said(path), "the first fault")
    assert f"job {number} (slurm)" in widthlaw("run", long_sweep, "-o", path).stderr
    wait_until(lambda: not cluster.active(), "the job has ended", pause=0.5)
    assert "stopped: 3 controllers in a row made no progress" in widthlaw("status", path).stdout
    assert said(path).count("exit status 75: started again") == 3
    assert lease.read(locate(path)) is None


def test_a_run_whose_workers_never_come_gives_up_and_says_why(
    cluster, profile, widthlaw, tmp_path, long_sweep
) -> None:
    given = profile('prologue = ["case $SLURM_JOB_NAME in *worker*) exit 1;; esac"]')
    given.write_text(given.read_text().replace("00:10:00", "00:00:40"))
    path = tmp_path / "a.zarr"
    store.create(path, pipeline.load_sweep(long_sweep), seeds_per_chunk=1)
    told = widthlaw("submit", long_sweep, "--profile", given, "-o", path)
    assert told.returncode == 0, told.stderr
    wait_until(lambda: not cluster.active(), "the run gives up", pause=0.5)
    assert "stopped: 3 controllers in a row made no progress" in widthlaw("status", path).stdout
    assert lease.read(locate(path)) is None
    logs = Path(f"{path}.run", "logs").glob("widthlaw-small-[0-9]*.err")
    controllers = sorted(logs, key=lambda log: int(log.stem.split("-")[-1]))
    waited = [WAITING in log.read_text() for log in controllers]
    assert waited[-4:] == [False] * (3 + 1), waited  # the last sees what became of the others
    assert not any(waited[at : at + 3] == [False] * 3 for at in range(len(waited) - 4)), waited


def test_the_controller_refuses_a_folder_that_is_no_run(tmp_path) -> None:
    told = subprocess.run(
        [sys.executable, "-m", "jobs.cluster.controller", str(tmp_path)],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONSAFEPATH": "1"},
    )
    assert told.returncode == 1
    assert "contains no readable run" in told.stderr


OWN = """
import helper
from pipeline import Trial, experiment, variable

@experiment(value=variable("a value"))
def one(trial: Trial):
    return {"value": helper.SCALE * trial.rng("x").random()}
"""


def test_trials_of_ones_own_run_without_their_files(
    cluster, profile, widthlaw, tmp_path, assert_equal_stores
) -> None:
    (tmp_path / "one.py").write_text(OWN)
    (tmp_path / "helper.py").write_text("SCALE = 7")
    file, path = tmp_path / "one.toml", tmp_path / "a.zarr"
    file.write_text('name = "one"\nexperiment = "one.py:one"\nwidth = [1, 2, 3]\nseeds = 50\n')
    sweep = pipeline.load_sweep(file)
    told = widthlaw("submit", file, "--profile", profile(), "-o", path)
    assert told.returncode == 0, told.stderr
    for name in ("one.py", "helper.py", "one.toml"):
        (tmp_path / name).unlink()
    wait_for_end(path)
    assert store.Store(path).counts()["done"] == 150, widthlaw("status", path).stdout
    pipeline.run(sweep, tmp_path / "local.zarr")
    assert_equal_stores(path, tmp_path / "local.zarr")


SLOW = """
import numpy as np
from pipeline import Trial, experiment, variable

@experiment(value=variable("a value"))
def slow(trial: Trial):
    return {"value": np.linalg.svd(trial.rng("x").standard_normal((100, 100)), compute_uv=False)[0]}
"""


def test_code_that_changes_between_submit_and_resume_is_refused_and_the_old_code_goes_on(
    cluster, profile, widthlaw, tmp_path, assert_equal_stores
) -> None:
    code, file, path = tmp_path / "slow.py", tmp_path / "slow.toml", tmp_path / "a.zarr"
    code.write_text(SLOW)
    file.write_text('name = "slow"\nexperiment = "slow.py:slow"\nwidth = [1, 2, 3]\nseeds = 2000\n')
    sweep = pipeline.load_sweep(file)
    store.create(path, sweep, seeds_per_chunk=50)
    submit = ("submit", file, "--profile", profile(), "-o", path)
    assert widthlaw(*submit).returncode == 0
    begun(path)
    assert widthlaw("cancel", path).returncode == 0
    wait_until(lambda: not cluster.active(), "all jobs are gone", pause=0.5)
    done = store.Store(path).counts()["done"]
    assert 0 < done < sweep.trials

    code.write_text(SLOW.replace("[0]}", "[1]}"))
    now = pipeline.load_sweep(file).own.digest
    jobs = set(cluster.jobs())
    told = widthlaw(*submit)
    assert (told.returncode, told.stdout, told.stderr.count("\n")) == (2, "", 1)
    assert (
        f"slow.py:slow had the digest {sweep.own.digest[:12]}, now it has {now[:12]}; give a new"
        in told.stderr
    )
    assert set(cluster.jobs()) == jobs
    assert lease.read(locate(path)) is None
    assert store.Store(path).counts()["done"] == done

    code.write_text(SLOW)
    assert widthlaw(*submit).returncode == 0
    wait_for_end(path)
    pipeline.run(sweep, tmp_path / "local.zarr")
    assert_equal_stores(path, tmp_path / "local.zarr")
