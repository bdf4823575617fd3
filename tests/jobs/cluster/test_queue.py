"""Every batch system gets the commands that it expects, and its answers are understood."""

from __future__ import annotations

from dataclasses import replace

import pytest

from jobs.cluster import job_scripts, queue
from jobs.cluster.profile import load_profile
from jobs.cluster.queue import QueueError
from jobs.cluster.systems import SYSTEMS as KNOWN
from pipeline.errors import InputError

SYSTEMS = ["slurm", "pbs", "lsf", "sge", "oar", "htcondor"]

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
    calls = on_path(command, answer)
    script = tmp_path / "run" / "a.sh"
    made = job_scripts.job(
        profile(system), name="a", command=["x"], log_directory=tmp_path / "run" / "logs"
    )
    assert queue.submit_job(made, script) == job_id
    assert script.read_text() == made.job_script()
    assert (tmp_path / "run" / "logs").is_dir()
    text = calls.read_text()
    assert (made.job_script() if system == "lsf" else str(script)) in text


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ("echo >&2; echo 'error: invalid partition' >&2; exit 1", "refused (error: invalid partition)"),
        ("exit 3", "refused (no output, exit status 3)"),
        ("echo hello", "no job id in its answer (hello)"),
    ],
)
def test_a_refusal_is_quoted(profile, on_path, tmp_path, answer, message) -> None:
    on_path("sbatch", answer)
    made = job_scripts.job(profile("slurm"), name="a", command=["x"], log_directory=tmp_path)
    with pytest.raises(QueueError) as error:
        queue.submit_job(made, tmp_path / "a.sh")
    assert message in str(error.value)
    assert f"sbatch {tmp_path}/a.sh" in str(error.value)


def test_a_missing_command_is_named(profile, tmp_path, monkeypatch) -> None:
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


COMMENT = "    comment = Not Running: would exceed the queue's\n\t limit of walltime\n    etime = now\n"
PBS_PAIR = QSTAT.format(12, "Q") + QSTAT.format(13, "Q") + COMMENT


@pytest.mark.parametrize(
    ("system", "command", "answer", "told"),
    [
        ("slurm", "squeue", "12,PENDING,Nodes are DOWN, DRAINED|a|/x", "Nodes are DOWN, DRAINED"),
        ("slurm", "squeue", "12,PENDING,None|a|/x", ""),
        ("pbs", "qstat", QSTAT.format(12, "Q") + COMMENT,
         "Not Running: would exceed the queue's limit of walltime"),
        ("pbs", "qstat", PBS_PAIR, ""),
        ("htcondor", "condor_q", "12 5 disk quota of the user", "disk quota of the user"),
        ("htcondor", "condor_q", "12 1 undefined", ""),
    ],
)  # fmt: skip
def test_the_reason_of_a_queued_job_is_told(on_path, tmp_path, system, command, answer, told) -> None:
    (tmp_path / "answer").write_text(answer)
    on_path(command, f"cat {tmp_path}/answer")
    report = queue.job_reports(system, ["12"])["12"]
    assert (report.state, report.reason) == ("queued", told)
    assert str(report) == (f"queued ({told})" if told else "queued")


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
def test_a_failed_query_does_not_mean_that_the_job_is_gone(
    on_path, system, command, error, state
) -> None:
    on_path(command, f"echo '{error}' >&2; exit 1")
    assert queue.job_state(system, "12") == state


def test_a_slow_answer_means_an_unknown_state(on_path, monkeypatch) -> None:
    monkeypatch.setattr(queue, "QUERY_SECONDS", 0.2)
    on_path("squeue", "exec sleep 5")
    assert queue.job_state("slurm", "12") is None


def test_several_jobs_are_queried_in_one_call(on_path) -> None:
    calls = on_path("squeue", "echo 12,RUNNING; echo 14,PENDING")
    states = queue.job_states("slurm", ["12", "13", "14"])
    assert states == {"12": "running", "13": "gone", "14": "queued"}
    assert "--jobs=12,13,14" in calls.read_text()
    on_path("oarstat", 'echo "$3: Running"')
    assert queue.job_states("oar", ["12", "13"]) == {"12": "running", "13": "running"}
    assert queue.job_states("slurm", []) == {}


def test_a_job_is_cancelled(on_path) -> None:
    calls = on_path("condor_rm", "")
    queue.cancel_job("htcondor", "12.0")
    assert calls.read_text() == "12.0\n"
    on_path("bkill", "echo 'Job <12>: No matching job found' >&2; exit 255")
    on_path("bjobs", "echo 'Job <12> is not found' >&2; exit 255")
    queue.cancel_job("lsf", "12")
    on_path("bjobs", "echo '12 root RUN normal a b c Oct 1'")
    with pytest.raises(
        QueueError, match=r"bkill 12: the job was not cancelled \(Job <12>: No matching"
    ):
        queue.cancel_job("lsf", "12")


@pytest.mark.parametrize("job_id", ["", "--all", "12 13", "a", "12;x"])
def test_only_job_ids_reach_a_command_line(job_id) -> None:
    with pytest.raises(QueueError, match="not a job id"):
        queue.cancel_job("slurm", job_id)


def test_a_batch_system_is_one_record_and_one_line(on_path, tmp_path, monkeypatch) -> None:
    """A system that is added to the register can be named in a profile, submitted to and queried."""
    mine = replace(
        KNOWN["slurm"],
        submit="mysub",
        query="myq {ids}",
        id_variable="MY_JOB",
        prefix="#MY",
        cluster_query="",
        launcher="myrun",
    )
    monkeypatch.setitem(KNOWN, "mine", mine)
    file = tmp_path / "mine.toml"
    text = 'system = "mine"\nworkers = 2\nmemory = "1 GB"\nwalltime = "00:10:00"\n'
    file.write_text(text + 'directives = ["#MY -x"]\n')
    with pytest.raises(InputError, match="expected it without #MY; write '-x'"):
        load_profile(file)
    file.write_text(text)
    profile = load_profile(file)
    made = job_scripts.job(profile, name="a", command=["true"], log_directory=tmp_path / "logs")
    monkeypatch.setattr(made, "config_name", "mine", raising=False)
    on_path("mysub", "echo Submitted batch job 12")
    assert queue.submit_job(made, tmp_path / "a.sh") == "12"
    on_path("myq", "echo 12,PENDING")
    assert queue.job_state("mine", "12") == "queued"
    assert job_scripts.launcher(profile) == ["myrun"]
    assert job_scripts.why_unusable(profile) is None
