"""Job scripts request the resources of the profile from every batch system, and run our command."""

from __future__ import annotations

import re
import shlex

import pytest

from jobs.cluster import job_scripts, systems
from jobs.cluster.queue import QueueError

SYSTEMS = ["slurm", "pbs", "lsf", "sge", "oar", "htcondor"]

COMMAND = ["/opt/py thon/bin/python", "-m", "jobs.cluster.controller", "it's"]

HEADERS = {
    "slurm": ["-J widthlaw-a", "-A lab", "--mem=4G", "-t 26:00:30", "-p long", "-n 1"],
    "pbs": ["-N widthlaw-a", "-A lab", "-l select=1:ncpus=2:mem=3815MB", "-l walltime=26:00:30"],
    "lsf": ["-J widthlaw-a", '-P "lab"', "-M 4000000", "-W 26:01", "-q long", "-n 2"],
    "sge": ["-N widthlaw-a", "-P lab", "-l mem_free=3815M", "-l h_rt=26:00:30", "-pe smp 2"],
    "oar": ["-n widthlaw-a", "--project lab", "-l /nodes=1/core=2,walltime=26:00:30", "-q long"],
    "htcondor": ["accounting_group = lab", "MY.DaskWorkerMemory = 4000000000", "RequestCpus"],
}


def test_every_system_is_tested() -> None:
    assert list(systems.SYSTEMS) == SYSTEMS


@pytest.mark.parametrize("system", SYSTEMS)
def test_a_script_requests_resources_and_runs_our_command(profile, tmp_path, system) -> None:
    logs = tmp_path / "run" / "logs"
    made = job_scripts.job(
        profile(system),
        name="widthlaw-a",
        command=COMMAND,
        log_directory=logs,
        cores=2,
        memory=4 * 10**9,
    )
    script = made.job_script()
    prefix = "" if system == "htcondor" else f"{systems.SYSTEMS[system].prefix} "
    extra = "MaxRetries = 3" if system == "htcondor" else "--extra one"
    for line in [*HEADERS[system], extra]:
        assert f"{prefix}{line}" in script
    assert str(logs) in script
    lines = ["export PYTHONSAFEPATH=1", "module load python", "export A=", "exec "]
    positions = [script.index(line) for line in lines]
    assert positions == sorted(positions)
    assert "dask_worker" not in script
    assert not logs.parent.exists()


@pytest.mark.parametrize("system", [name for name in SYSTEMS if name != "htcondor"])
def test_the_command_is_quoted_for_the_shell(profile, tmp_path, system) -> None:
    made = job_scripts.job(profile(system), name="a", command=COMMAND, log_directory=tmp_path)
    assert shlex.split(made.job_script().strip().splitlines()[-1]) == ["exec", *COMMAND]


def test_htcondor_gets_one_line_without_macros(profile, tmp_path) -> None:
    made = job_scripts.job(profile("htcondor"), name="a", command=COMMAND, log_directory=tmp_path)
    arguments = re.search(r'Arguments = "-c \'(.*)\'"', made.job_script())
    assert arguments is not None
    line = arguments[1].replace("''", "'").replace('""', '"').replace("$(DOLLAR)", "$")
    prologue, command = line.rsplit("; ", 1)
    assert prologue == "; ".join([*job_scripts.ENVIRONMENT, "module load python", "export A=$(nproc)"])
    assert shlex.split(command) == ["exec", *COMMAND]
    assert "$(nproc)" not in made.job_script()
    assert "EnteredCurrentStatus > 93630" in made.job_script()


@pytest.mark.parametrize("system", SYSTEMS)
def test_arguments_override_the_profile(profile, tmp_path, system) -> None:
    options = {"walltime": 600} if system == "htcondor" else {"walltime": 600, "queue": "short"}
    made = job_scripts.job(
        profile(system), name="a", command=["x"], log_directory=tmp_path, directives=[], **options
    )
    script = made.job_script()
    assert "extra" not in script
    assert "MaxRetries" not in script
    assert "long" not in script
    assert re.search(r"00:10(:00)?|> 600", script)


@pytest.mark.parametrize(
    ("system", "expected"),
    [
        ("slurm", ["--nodes=3", "--ntasks-per-node=1", "--cpus-per-task=2"]),
        ("pbs", ["-l select=3:ncpus=2:mem=1908MB", "-l place=scatter"]),
        ("lsf", ["-n 6", '-R "span[ptile=2]"']),
        ("oar", ["-l /nodes=3/core=2,"]),
    ],
)
def test_a_job_of_several_nodes(profile, tmp_path, system, expected) -> None:
    mine = profile(system, launcher="'mpiexec --pernode'")
    made = job_scripts.job(mine, name="a", command=["x"], log_directory=tmp_path, cores=2, nodes=3)
    for line in expected:
        assert f"{systems.SYSTEMS[system].prefix} {line}" in made.job_script()
    assert "-n 1\n" not in made.job_script()
    assert "hosts=1" not in made.job_script()
    assert job_scripts.launcher(mine) == ["mpiexec", "--pernode"]


def test_the_launcher_is_srun_or_that_of_the_profile(profile, tmp_path) -> None:
    assert job_scripts.launcher(profile("slurm")) == ["srun"]
    with pytest.raises(QueueError, match=r"launcher: missing.*without --allocation"):
        job_scripts.job(profile("pbs"), name="a", command=["x"], log_directory=tmp_path, nodes=2)
    with pytest.raises(QueueError, match=r"not possible on htcondor; submit without --allocation"):
        job_scripts.launcher(profile("htcondor"))


def test_slots_of_the_profile_replace_the_default_on_grid_engine(profile, tmp_path) -> None:
    mine = profile("sge", directives="['-pe shared 2']")
    made = job_scripts.job(mine, name="a", command=["x"], log_directory=tmp_path, cores=2)
    assert "-pe shared 2" in made.job_script()
    assert "-pe smp" not in made.job_script()


def test_job_names_become_valid_on_every_system(profile, tmp_path) -> None:
    made = job_scripts.job(profile("sge"), name="1 a/b", command=["x"], log_directory=tmp_path)
    assert "#$ -N w1-a-b\n" in made.job_script()


def test_a_folder_with_spaces_is_refused(profile, tmp_path) -> None:
    with pytest.raises(QueueError, match="cannot contain spaces"):
        job_scripts.job(profile("slurm"), name="a", command=["x"], log_directory=tmp_path / "a b")


@pytest.mark.parametrize("system", SYSTEMS)
def test_the_cluster_class_takes_the_options_of_workers(profile, tmp_path, system) -> None:
    mine = profile(system, host="'127.0.0.1'", python="'/opt/py thon'")
    options = job_scripts.worker_options(mine, name="w", log_directory=tmp_path)
    assert options.pop("scheduler_options")["host"] == "127.0.0.1"
    made = job_scripts.cluster_class(mine).job_cls("tls://10.0.0.1:1", name="a-0", **options)
    script = made.job_script().replace("''", "'")
    for word in (
        "export PYTHONSAFEPATH=1",
        "'/opt/py thon' -m distributed.cli.dask_worker tls://10.0.0.1:1",
        "--nthreads 1 --memory-limit 1.86GiB --nworkers 2",
        "--lifetime 88949s --lifetime-stagger 2340s",
        "--preload jobs.cluster.job_worker",
        "--host 127.0.0.1",
        "--death-timeout 60",
        "--no-dashboard",
    ):
        assert word in script


@pytest.mark.parametrize(
    ("walltime", "lifetime", "stagger"),
    [("00:01:00", 30, 15), ("00:10:00", 540, 30), ("01:00:00", 3420, 90), ("00:00:01", 1, 0)],
)
def test_workers_retire_before_their_walltime(profile, walltime, lifetime, stagger) -> None:
    mine = profile("slurm", walltime=f"'{walltime}'")
    assert job_scripts.lifetime_seconds(mine) == lifetime
    assert job_scripts.stagger_seconds(mine) == stagger
    assert lifetime + stagger <= mine.job_walltime
