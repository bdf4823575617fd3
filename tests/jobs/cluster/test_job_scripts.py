"""Scripts say to every batch system what the profile asks; its commands are called, and answered.

The batch systems are stand-ins, small scripts on PATH that answer as the documentation says.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from jobs.cluster import job_scripts, queue, systems
from jobs.cluster.profile import Profile, load_profile
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


@pytest.fixture(autouse=True)
def dask_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep dask-jobqueue from the user's folder, and the user's profiles from the tests."""
    monkeypatch.setenv("DASK_CONFIG", str(tmp_path / "dask"))
    monkeypatch.setattr("dask.config.PATH", str(tmp_path / "dask"))
    monkeypatch.setenv("WIDTHLAW_CONFIG", str(tmp_path / "config"))


@pytest.fixture
def profile(tmp_path: Path) -> Callable[..., Profile]:
    """A profile of a batch system with everything in it."""

    def made(system: str, **keys: str) -> Profile:
        extra = "MaxRetries = 3" if system == "htcondor" else "--extra one"
        given = {
            "system": f"'{system}'",
            "workers": "6",
            "workers_per_job": "2",
            "memory": "'2 GB'",
            "walltime": "'1-02:00:30'",
            "account": "'lab'",
            "directives": f"['{extra}']",
            "prologue": "['module load python', 'export A=$(nproc)']",
            **({} if system == "htcondor" else {"queue": "'long'"}),
        } | keys
        file = tmp_path / "mine.toml"
        file.write_text("\n".join(f"{key} = {value}" for key, value in given.items()))
        return load_profile(file)

    return made


@pytest.fixture
def on_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """A stand-in for a command of a batch system; it keeps its arguments and its input in a file."""

    def put(name: str, script: str) -> Path:
        (tmp_path / "bin").mkdir(exist_ok=True)
        command, said = tmp_path / "bin" / name, tmp_path / f"{name}.said"
        command.write_text(f'#!/bin/sh\necho "$@" > {said}\ncat >> {said}\n{script}\n')
        command.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
        return said

    return put


def test_every_system_is_looked_at() -> None:
    assert list(systems.SYSTEMS) == SYSTEMS


@pytest.mark.parametrize("system", SYSTEMS)
def test_a_script_asks_and_runs_our_command(profile, tmp_path, system) -> None:
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
    for asked in [*HEADERS[system], extra]:
        assert f"{prefix}{asked}" in script
    assert str(logs) in script
    lines = ["export PYTHONSAFEPATH=1", "module load python", "export A=", "exec "]
    places = [script.index(line) for line in lines]
    assert places == sorted(places)
    assert "dask_worker" not in script
    assert not logs.parent.exists()


@pytest.mark.parametrize("system", [name for name in SYSTEMS if name != "htcondor"])
def test_the_command_is_quoted_for_the_shell(profile, tmp_path, system) -> None:
    made = job_scripts.job(profile(system), name="a", command=COMMAND, log_directory=tmp_path)
    assert shlex.split(made.job_script().strip().splitlines()[-1]) == ["exec", *COMMAND]


def test_htcondor_takes_one_line_for_its_shell_and_no_macro_from_it(profile, tmp_path) -> None:
    made = job_scripts.job(profile("htcondor"), name="a", command=COMMAND, log_directory=tmp_path)
    arguments = re.search(r'Arguments = "-c \'(.*)\'"', made.job_script())
    assert arguments is not None
    line = arguments[1].replace("''", "'").replace('""', '"').replace("$(DOLLAR)", "$")
    prologue, command = line.rsplit("; ", 1)
    assert prologue == "export PYTHONSAFEPATH=1; module load python; export A=$(nproc)"
    assert shlex.split(command) == ["exec", *COMMAND]
    assert "$(nproc)" not in made.job_script()
    assert "EnteredCurrentStatus > 93630" in made.job_script()


@pytest.mark.parametrize("system", SYSTEMS)
def test_what_the_controller_asks_otherwise(profile, tmp_path, system) -> None:
    asked = {"walltime": 600} if system == "htcondor" else {"walltime": 600, "queue": "short"}
    made = job_scripts.job(
        profile(system), name="a", command=["x"], log_directory=tmp_path, directives=[], **asked
    )
    script = made.job_script()
    assert "extra" not in script
    assert "MaxRetries" not in script
    assert "long" not in script
    assert re.search(r"00:10(:00)?|> 600", script)


@pytest.mark.parametrize(
    ("system", "asked"),
    [
        ("slurm", ["--nodes=3", "--ntasks-per-node=1", "--cpus-per-task=2"]),
        ("pbs", ["-l select=3:ncpus=2:mem=1908MB", "-l place=scatter"]),
        ("lsf", ["-n 6", '-R "span[ptile=2]"']),
        ("oar", ["-l /nodes=3/core=2,"]),
    ],
)
def test_a_job_of_several_nodes(profile, tmp_path, system, asked) -> None:
    mine = profile(system, launcher="'mpiexec --pernode'")
    made = job_scripts.job(mine, name="a", command=["x"], log_directory=tmp_path, cores=2, nodes=3)
    for line in asked:
        assert f"{systems.SYSTEMS[system].prefix} {line}" in made.job_script()
    assert "-n 1\n" not in made.job_script()
    assert "hosts=1" not in made.job_script()
    assert job_scripts.launcher(mine) == ["mpiexec", "--pernode"]


def test_a_launcher_is_srun_or_the_sites(profile, tmp_path) -> None:
    assert job_scripts.launcher(profile("slurm")) == ["srun"]
    with pytest.raises(QueueError, match=r"launcher: missing.*without --allocation"):
        job_scripts.job(profile("pbs"), name="a", command=["x"], log_directory=tmp_path, nodes=2)
    with pytest.raises(QueueError, match=r"not possible on htcondor; submit without --allocation"):
        job_scripts.launcher(profile("htcondor"))


def test_own_slots_of_grid_engine_go_first(profile, tmp_path) -> None:
    mine = profile("sge", directives="['-pe shared 2']")
    made = job_scripts.job(mine, name="a", command=["x"], log_directory=tmp_path, cores=2)
    assert "-pe shared 2" in made.job_script()
    assert "-pe smp" not in made.job_script()


def test_names_that_systems_refuse_are_changed(profile, tmp_path) -> None:
    made = job_scripts.job(profile("sge"), name="1 a/b", command=["x"], log_directory=tmp_path)
    assert "#$ -N w1-a-b\n" in made.job_script()


def test_a_folder_with_blanks_is_refused(profile, tmp_path) -> None:
    with pytest.raises(QueueError, match="no blanks in the path"):
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


ANSWERS = {
    "slurm": ("sbatch", "echo Submitted batch job 12", "12"),
    "pbs": ("qsub", "echo 12.head.example.org", "12"),
    "lsf": ("bsub", "echo 'Job <12> is submitted to queue <normal>.'", "12"),
    "sge": ("qsub", "echo 'Your job 12 (\"a\") has been submitted'", "12"),
    "oar": ("oarsub", "echo '[ADMISSION RULE] 3 rules'; echo OAR_JOB_ID=12", "12"),
    "htcondor": ("condor_submit", "echo '1 job(s) submitted to cluster 12.'", "12.0"),
}


@pytest.mark.parametrize("system", SYSTEMS)
def test_a_job_is_submitted(profile, on_path, tmp_path, system) -> None:
    command, answer, job_id = ANSWERS[system]
    said = on_path(command, answer)
    script = tmp_path / "run" / "a.sh"
    made = job_scripts.job(
        profile(system), name="a", command=["x"], log_directory=tmp_path / "run" / "logs"
    )
    assert queue.submit_job(made, script) == job_id
    assert script.read_text() == made.job_script()
    assert (tmp_path / "run" / "logs").is_dir()
    told = said.read_text()
    assert (made.job_script() if system == "lsf" else str(script)) in told


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("echo >&2; echo 'error: invalid partition' >&2; exit 1", "refused (error: invalid partition)"),
        ("exit 3", "refused (it said nothing, exit status 3)"),
        ("echo hello", "no job id in its answer (hello)"),
    ],
)
def test_a_refusal_is_told(profile, on_path, tmp_path, answer, said) -> None:
    on_path("sbatch", answer)
    made = job_scripts.job(profile("slurm"), name="a", command=["x"], log_directory=tmp_path)
    with pytest.raises(QueueError) as error:
        queue.submit_job(made, tmp_path / "a.sh")
    assert said in str(error.value)
    assert f"sbatch {tmp_path}/a.sh" in str(error.value)


def test_no_command_no_job(profile, tmp_path, monkeypatch) -> None:
    made = job_scripts.job(profile("slurm"), name="a", command=["x"], log_directory=tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(QueueError, match="sbatch: not on PATH"):
        queue.submit_job(made, tmp_path / "a.sh")
    assert queue.job_state("slurm", "12") is None


QSTAT = "Job Id: {}.head\n    Job_Name = a\n    job_state = {}\n    queue = long\n"
SGE = (
    "job-ID  prior   name user state submit/start at queue slots ja-task-ID\n-----\n"
    "     12 0.55500 a    root {}    10/01/2026 12:00:00 all.q@n1 1\n"
)
BJOBS = (
    "JOBID USER STAT QUEUE FROM_HOST EXEC_HOST JOB_NAME SUBMIT_TIME\n12 root {} normal a b c Oct 1\n"
)


@pytest.mark.parametrize(
    ("system", "command", "answer", "state"),
    [
        ("slurm", "squeue", "12,PENDING", "queued"),
        ("slurm", "squeue", "12,RUNNING", "running"),
        ("slurm", "squeue", "12,COMPLETING", "running"),
        ("slurm", "squeue", "12,CANCELLED", "gone"),
        ("slurm", "squeue", "", "gone"),
        ("pbs", "qstat", QSTAT.format(12, "H"), "queued"),
        ("pbs", "qstat", QSTAT.format(12, "R"), "running"),
        ("pbs", "qstat", QSTAT.format(12, "F"), "gone"),
        ("lsf", "bjobs", BJOBS.format("PEND"), "queued"),
        ("lsf", "bjobs", BJOBS.format("RUN"), "running"),
        ("lsf", "bjobs", BJOBS.format("EXIT"), "gone"),
        ("sge", "qstat", SGE.format("hqw"), "queued"),
        ("sge", "qstat", SGE.format("Eqw"), "queued"),
        ("sge", "qstat", SGE.format("r"), "running"),
        ("sge", "qstat", SGE.format("dr"), "running"),
        ("sge", "qstat", "", "gone"),
        ("oar", "oarstat", "12: Waiting", "queued"),
        ("oar", "oarstat", "12: Running", "running"),
        ("oar", "oarstat", "12: Terminated", "gone"),
        ("htcondor", "condor_q", "12 1", "queued"),
        ("htcondor", "condor_q", "12 2", "running"),
        ("htcondor", "condor_q", "12 4", "gone"),
        ("htcondor", "condor_q", "", "gone"),
    ],
)
def test_states_are_understood(on_path, tmp_path, system, command, answer, state) -> None:
    (tmp_path / "answer").write_text(answer)
    on_path(command, f"cat {tmp_path}/answer")
    job_id = "12.0" if system == "htcondor" else "12"
    assert queue.job_state(system, job_id) == state


@pytest.mark.parametrize(
    ("system", "command", "error", "state"),
    [
        ("slurm", "squeue", "slurm_load_jobs error: Invalid job id specified", "gone"),
        ("slurm", "squeue", "slurm_load_jobs error: Unable to contact slurm controller", None),
        ("pbs", "qstat", "qstat: Unknown Job Id 12.head", "gone"),
        ("pbs", "qstat", "qstat: 12.head Job has finished, use -x or -H", "gone"),
        ("pbs", "qstat", "Connection refused", None),
        ("lsf", "bjobs", "Job <12> is not found", "gone"),
        ("lsf", "bjobs", "LSF is down. Please wait ...", None),
        ("htcondor", "condor_q", "Failed to connect to schedd", None),
    ],
)
def test_no_answer_is_not_taken_for_the_end(on_path, system, command, error, state) -> None:
    on_path(command, f"echo '{error}' >&2; exit 1")
    assert queue.job_state(system, "12") == state


def test_a_slow_answer_is_none(on_path, monkeypatch) -> None:
    monkeypatch.setattr(queue, "ASK_SECONDS", 0.2)
    on_path("squeue", "exec sleep 5")
    assert queue.job_state("slurm", "12") is None


def test_several_jobs_are_asked_for_at_once(on_path) -> None:
    said = on_path("squeue", "echo 12,RUNNING; echo 14,PENDING")
    states = queue.job_states("slurm", ["12", "13", "14"])
    assert states == {"12": "running", "13": "gone", "14": "queued"}
    assert "--jobs=12,13,14" in said.read_text()
    on_path("oarstat", 'echo "$3: Running"')
    assert queue.job_states("oar", ["12", "13"]) == {"12": "running", "13": "running"}
    assert queue.job_states("slurm", []) == {}


def test_a_job_is_cancelled(on_path) -> None:
    said = on_path("condor_rm", "")
    queue.cancel_job("htcondor", "12.0")
    assert said.read_text() == "12.0\n"
    on_path("bkill", "echo 'Job <12>: No matching job found' >&2; exit 255")
    on_path("bjobs", "echo 'Job <12> is not found' >&2; exit 255")
    queue.cancel_job("lsf", "12")
    on_path("bjobs", "echo '12 root RUN normal a b c Oct 1'")
    with pytest.raises(
        QueueError, match=r"bkill 12: the job was not cancelled \(Job <12>: No matching"
    ):
        queue.cancel_job("lsf", "12")


@pytest.mark.parametrize("job_id", ["", "--all", "12 13", "a", "12;x"])
def test_what_is_no_job_id_comes_on_no_command_line(job_id) -> None:
    with pytest.raises(QueueError, match="not a job id"):
        queue.cancel_job("slurm", job_id)
