"""Workers of `widthlaw run`: on this machine, at a scheduler, or from a profile."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from jobs.cluster import credentials
from pipeline import store

from ..waiting import PATIENCE, wait_until


@pytest.fixture
def scheduler(tmp_path: Path) -> Iterator[str]:
    """The address of a scheduler with one worker, both with certificates, as the README starts them."""
    credentials.save(credentials.fresh(), tmp_path / "tls")
    certificate, key = tmp_path / "tls" / "certificate.pem", tmp_path / "tls" / "key.pem"
    tls = ["--tls-ca-file", certificate, "--tls-cert", certificate, "--tls-key", key]
    file = tmp_path / "scheduler.json"
    common = [*tls, "--scheduler-file", file]
    scheduler = ["scheduler", "--host", "tls://127.0.0.1:0", "--dashboard-address", "127.0.0.1:0"]
    worker = ["worker", "--host", "127.0.0.1", "--nthreads", "1", "--dashboard-address", "127.0.0.1:0"]
    with ExitStack() as stack:
        for words in ([*scheduler, *common], [*worker, *common]):
            line = [sys.executable, "-m", "dask", *map(str, words)]
            process = stack.enter_context(subprocess.Popen(line, stderr=subprocess.PIPE, text=True))
            stack.callback(process.kill)
            lines = iter(process.stderr.readline, "")
            address = next(text for text in lines if "Scheduler at" in text or "Registered to" in text)
        yield address.split()[-1]


@pytest.mark.slow
def test_an_address_profile_reaches_a_scheduler_by_its_certificates(
    scheduler, tmp_path, widthlaw
) -> None:
    profile = tmp_path / "mine.toml"
    profile.write_text(
        f'system = "address"\naddress = "{scheduler}"\ntls_ca_file = "tls/certificate.pem"\n'
        'tls_cert = "tls/certificate.pem"\ntls_key = "tls/key.pem"\n'
    )
    result = widthlaw("run", "tiny", "-o", tmp_path / "t.zarr", "--profile", profile)
    assert result.returncode == 0, result.stderr
    assert "1 worker, dashboard" in result.stderr
    assert "not encrypted" not in result.stderr
    refused = widthlaw("run", "tiny", "-o", tmp_path / "u.zarr", "--scheduler", scheduler)
    assert refused.returncode == 2
    assert "no Dask scheduler answers there" in refused.stderr


@pytest.mark.slow
def test_a_local_profile_sets_the_number_of_workers(tmp_path, widthlaw) -> None:
    profile = tmp_path / "mine.toml"
    profile.write_text('system = "local"\nworkers = 1\n')
    result = widthlaw("run", "tiny", "-o", tmp_path / "t.zarr", "--profile", profile)
    assert result.returncode == 0, result.stderr
    assert "1 worker, no dashboard" in result.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--profile", "slurm"), "`widthlaw submit SWEEP --profile slurm` submits them"),
        (("--profile", "address"), "needs an address"),
        (("--profile", "adress"), "did you mean 'address'"),
        (("--profile", "local", "--workers", "1"), "--workers and --profile exclude each other"),
        (
            ("--scheduler", "tcp://127.0.0.1:1"),
            "not encrypted: anyone who reaches its port can run code",
        ),
    ],
)
def test_contradictory_workers_are_refused(tmp_path, widthlaw, words, message) -> None:
    result = widthlaw("run", "tiny", "-o", tmp_path / "t.zarr", *words)
    assert result.returncode == 2
    assert message in result.stderr
    assert not (tmp_path / "t.zarr").exists()


@pytest.mark.attack("two runs")
def test_of_two_runs_on_a_new_path_the_second_is_told_of_the_first(
    command, write_sweep, tmp_path
) -> None:
    line = [command, "run", write_sweep(n="[60, 80]", seeds=40000), "-o", tmp_path / "a.zarr"]
    with ExitStack() as stack:
        runs = []
        for _ in range(2):
            process = subprocess.Popen(
                [*map(str, line), "--workers", "1"], stderr=subprocess.PIPE, text=True
            )
            stack.callback(process.communicate)
            stack.callback(process.kill)
            runs.append(process)
        wait_until(lambda: any(run.poll() is not None for run in runs), "one of them ends")
        loser, winner = sorted(runs, key=lambda run: run.poll() is None)
        assert loser.returncode == 2
        assert "another run is filling it" in loser.stderr.read()
        assert winner.poll() is None


@pytest.mark.attack("limits")
@pytest.mark.parametrize(
    ("limit", "value", "line"),
    [
        (
            "RLIMIT_FSIZE",
            1024,
            "widthlaw: File too large: raise the limit on the size of files, as",
        ),
        ("RLIMIT_NOFILE", 28, "widthlaw: Too many open files: raise the limit on open files, as with"),
        ("RLIMIT_NOFILE", 32, "widthlaw: Too many open files: raise the limit on open files, as with"),
    ],
)
def test_workers_that_cannot_start_are_told_with_reason_and_repair(
    command, tmp_path, limit, value, line
) -> None:
    number = getattr(resource, limit)
    result = subprocess.run(
        [command, "run", "tiny", "-o", str(tmp_path / "a.zarr"), "--workers", "2"],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
        preexec_fn=lambda: resource.setrlimit(number, (value, value)),
    )
    assert result.returncode == 1
    memory, *rest = result.stderr.splitlines()
    assert memory.startswith("memory: ")
    assert len(rest) == 1
    assert rest[0].startswith(line)


@pytest.mark.attack("limits")
def test_a_run_that_no_worker_could_hold_is_refused_before_anything_starts(
    widthlaw, write_sweep, tmp_path
) -> None:
    line = ["run", write_sweep(n="[200000]", seeds=1), "-o", tmp_path / "a.zarr"]
    refused = widthlaw(*line)
    assert refused.returncode == 2
    assert refused.stderr.startswith("widthlaw: sweep small: a worker needs about ")
    assert "n = 200000 and k = 800000, but this machine has" in refused.stderr
    assert refused.stderr.count("\n") == 1
    assert not (tmp_path / "a.zarr").exists()
    planned = widthlaw(*line, "--dry-run")
    assert planned.returncode == 2
    assert "memory of a worker" in planned.stdout
    assert widthlaw(*line, "--dry-run", "--force").returncode == 0


def test_more_workers_than_fit_into_the_memory_are_told(widthlaw, write_sweep, tmp_path) -> None:
    line = ["run", write_sweep(), "-o", tmp_path / "a.zarr", "--dry-run"]
    assert "is safer" in widthlaw(*line, "--workers", 100_000).stderr
    assert "is safer" not in widthlaw(*line, "--workers", 1).stderr


def test_a_submission_is_refused_where_the_profile_gives_a_worker_too_little_memory(
    widthlaw, write_sweep, tmp_path
) -> None:
    profile = tmp_path / "mine.toml"
    profile.write_text(
        'system = "slurm"\nworkers = 2\nmemory = "300 MB"\nwalltime = "99:00:00"\nhost = "here"\n'
    )
    line = ["submit", write_sweep(n="[4000]", seeds=1), "--profile", profile, "-o", tmp_path / "a.zarr"]
    refused = widthlaw(*line, "--dry-run")
    assert refused.returncode == 2
    assert "a worker of the profile mine has 286.10 MiB" in refused.stderr
    forced = widthlaw(*line, "--dry-run", "--force")
    assert forced.returncode == 0, forced.stderr


@pytest.mark.slow
def test_no_dashboard_is_started_if_it_is_not_wanted(tmp_path, widthlaw) -> None:
    line = ["run", "tiny", "-o", tmp_path / "t.zarr", "--workers", "1", "--no-dashboard"]
    assert "1 worker, no dashboard\n" in widthlaw(*line).stderr


@pytest.mark.slow
def test_a_short_run_has_a_dashboard_only_if_it_is_asked_for(tmp_path, widthlaw) -> None:
    line = ["run", "tiny", "--workers", "1", "-o"]
    assert "1 worker, no dashboard\n" in widthlaw(*line, tmp_path / "t.zarr").stderr
    asked = widthlaw(*line, tmp_path / "u.zarr", "--dashboard").stderr
    assert "1 worker, dashboard at http://127.0.0.1" in asked


def test_workers_that_start_ahead_are_closed_where_the_command_refuses(tmp_path, widthlaw) -> None:
    (tmp_path / "file").write_text("no folder")
    refused = widthlaw("run", "tiny", "-o", tmp_path / "file" / "t.zarr", "--workers", "1")
    assert refused.returncode == 2
    assert refused.stderr.count("\n") <= 3
    assert "Traceback" not in refused.stderr


@pytest.mark.slow
def test_workers_start_where_the_path_of_the_temporary_folder_is_too_long_for_a_socket(
    command, write_sweep, tmp_path
) -> None:
    folder = tmp_path / ("long" * 30)
    folder.mkdir()
    line = [command, "run", write_sweep(), "-o", tmp_path / "a.zarr", "--workers", "2"]
    ran = subprocess.run(
        line, env=os.environ | {"TMPDIR": str(folder)}, capture_output=True, text=True, timeout=PATIENCE
    )
    assert ran.returncode == 0, ran.stderr
    assert store.Store(tmp_path / "a.zarr").counts()["pending"] == 0
