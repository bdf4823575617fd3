"""A private Slurm does what a large one does, among others of its kind, and leaves nothing behind."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ..waiting import PATIENCE, wait_until
from .private_slurm import PrivateSlurm

pytestmark = pytest.mark.cluster

ROOT = Path(__file__).parents[2]

SLEEP = "exec sleep 600"
STUBBORN = "trap '' TERM; setsid sleep 600 & while true; do sleep 1; done"
"""A job that does not mind SIGTERM, with a process that has left its session."""


def submit(slurm: PrivateSlurm, script: str) -> str:
    return slurm.run("sbatch", "--parsable", "--output=/dev/null", "--wrap", script).strip()


def running(slurm: PrivateSlurm, script: str) -> str:
    """A job that has begun, down to its processes."""
    job = submit(slurm, script)
    slurm.wait_for(job, "RUNNING")
    slurm.wait_until(lambda: slurm.pids_of_job(job), what=f"job {job} has processes")
    return job


def test_two_jobs_run_at_once_on_two_nodes_and_a_third_waits(slurm: PrivateSlurm) -> None:
    first, second, third = (submit(slurm, SLEEP) for _ in range(3))
    nodes = {slurm.wait_for(job, "RUNNING").node for job in (first, second)}
    assert nodes == {"n1", "n2"}
    assert slurm.jobs()[third].state == "PENDING"


def test_commands_of_the_tests_own_process_see_it(slurm: PrivateSlurm) -> None:
    listed = subprocess.run(["sinfo", "-h", "-o", "%D"], capture_output=True, text=True, check=True)
    assert listed.stdout.strip() == "2"
    assert slurm.node_states() == {"n1": "idle", "n2": "idle"}


def test_scancel_ends_a_job(slurm: PrivateSlurm) -> None:
    job, other = running(slurm, SLEEP), running(slurm, SLEEP)
    slurm.run("scancel", job)
    slurm.wait_for(job, "CANCELLED")
    slurm.wait_until(lambda: not slurm.pids_of_job(job), what="its processes have ended")
    assert slurm.jobs()[other].state == "RUNNING"
    assert slurm.pids_of_job(other)


@pytest.mark.parametrize("declared", [True, False], ids=["declared down", "found out"])
def test_job_of_a_killed_slurmd_runs_twice_until_slurmd_is_back(
    slurm: PrivateSlurm, tmp_path: Path, declared: bool
) -> None:
    file = tmp_path / "written"
    job = running(slurm, f"while true; do echo $SLURMD_NODENAME >>{file}; sleep 0.1; done")
    first = slurm.jobs()[job].node
    second = "n2" if first == "n1" else "n1"

    slurm.kill_slurmd(first)
    if declared:
        slurm.declare_down(first)
    slurm.wait_for(job, "RUNNING", node=second)

    def both_write() -> bool:
        return {first, second} <= set(file.read_text().split())

    slurm.wait_until(lambda: file.exists() and second in file.read_text(), what="the second one writes")
    file.write_text("")
    slurm.wait_until(both_write, what="both write")

    slurm.start_slurmd(first)
    slurm.wait_until(lambda: slurm.node_states()[first] == "idle", what=f"{first} is back")

    def second_writes_alone() -> bool:
        file.write_text("")
        slurm.wait_until(lambda: file.read_text().count(second) > 5, what="the second one writes")
        return first not in file.read_text()

    slurm.wait_until(second_writes_alone, what="the first one is ended")
    assert slurm.jobs()[job].node == second


def test_several_do_not_disturb_each_other(slurm: PrivateSlurm, short_folder: str) -> None:
    job = running(slurm, SLEEP)
    processes = slurm.processes()
    with PrivateSlurm(f"{short_folder}/other") as other:
        same = running(other, SLEEP)
        assert same == job
        assert not other.processes() & processes
        assert not other.pids_of_job(same) & slurm.pids_of_job(job)
        other.run("scancel", same)
        other.wait_for(same, "CANCELLED")
    assert not other.processes()
    assert slurm.processes() >= processes
    assert slurm.jobs()[job].state == "RUNNING"
    assert running(slurm, SLEEP) != job


@pytest.mark.usefixtures("slurm")
def test_none_of_its_processes_is_left(short_folder: str) -> None:
    with PrivateSlurm(f"{short_folder}/other") as other:
        jobs = [running(other, STUBBORN) for _ in range(2)]
        jobs.append(submit(other, SLEEP))
        other.kill_slurmd("n1")
        assert len(other.processes()) > 5
    assert not other.processes()
    assert not [pid for job in jobs for pid in other.pids_of_job(job)]


DIE = """
import os, signal, sys
from tests.cluster.private_slurm import PrivateSlurm
with PrivateSlurm(sys.argv[1]):
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.usefixtures("slurm")
def test_daemons_end_with_tests_that_are_killed(short_folder: str) -> None:
    folder = f"{short_folder}/other"
    done = subprocess.run([sys.executable, "-c", DIE, folder], cwd=ROOT, timeout=PATIENCE, check=False)
    assert done.returncode == -signal.SIGKILL
    assert "slurmd started" in Path(folder, "log", "n2.log").read_text()
    wait_until(lambda: not PrivateSlurm(folder).processes(), "its daemons have ended")


def test_failure_to_start_says_why_and_leaves_nothing(slurm: PrivateSlurm, short_folder: str) -> None:
    broken = PrivateSlurm(f"{short_folder}/other", cpus=-1)
    with pytest.raises(RuntimeError, match="ended with"), broken:
        pass
    assert not broken.processes()
    assert slurm.processes()


def test_folder_is_short_enough_for_sockets(short_folder: str) -> None:
    with pytest.raises(ValueError, match="too long"):
        PrivateSlurm(f"{short_folder}/{'long' * 20}")
