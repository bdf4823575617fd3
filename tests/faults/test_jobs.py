"""Jobs of a real Slurm that are cancelled, killed, run out of time, or run twice: the run goes on.

Every node has one CPU, so that what happens to a node happens to one job.
"""

from __future__ import annotations

import os
import shlex
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

import psutil
import pytest

from jobs.cluster.run_folder import Run
from pipeline.store import lease
from pipeline.store.location import locate

from ..cluster.private_slurm import Job, PrivateSlurm
from .stand import PATIENCE, TRIALS_PER_BLOCK, Processes, Row, begun, line_of, run_line, the_sweep
from .table import OF_ONES_OWN

T = TypeVar("T")

PROFILE = """
system = "slurm"
workers = {workers}
memory = "1 GB"
walltime = "{walltime}"
host = "127.0.0.1"

[controller]
memory = "1 GB"
walltime = "{controller}"
"""


@pytest.fixture
def slurm(monkeypatch: pytest.MonkeyPatch) -> Iterator[PrivateSlurm]:
    """Room for a controller, two workers, and one job that is started again elsewhere."""
    if reason := PrivateSlurm.missing():
        pytest.skip(reason)
    with (
        tempfile.TemporaryDirectory(prefix="wl-", ignore_cleanup_errors=True) as folder,
        PrivateSlurm(folder, nodes=4, cpus=1) as slurm,
    ):
        for name, value in slurm.env.items():
            monkeypatch.setenv(name, value)
        yield slurm


class Submitted:
    """`widthlaw submit` of the sweep into the row's store, and its jobs."""

    def __init__(self, slurm: PrivateSlurm, folder: Path, row: Row, command: str) -> None:
        self._slurm, self._row, self._profile = slurm, row, folder / "test.toml"
        _, _, *rest = run_line(command, folder, row)
        self.line = [command, "submit", *rest, "--profile", str(self._profile)]
        self.folder = Path(f"{row.path}.run")
        self.profile()

    def profile(
        self, workers: int = 2, walltime: str = "00:10:00", controller: str = "00:10:00"
    ) -> None:
        """Write what the jobs ask for."""
        self._row.workers = workers
        self._profile.write_text(
            PROFILE.format(workers=workers, walltime=walltime, controller=controller)
        )

    def submit(self) -> str:
        """Submit, and return the number of the controller's job."""
        self._row.begin()
        return self._slurm.run(*self.line).strip()

    def until(self, predicate: Callable[[], T], what: str, pause: float = 0.1) -> T:
        """Wait; what the jobs have said stands in the error if there is no end to it."""
        try:
            return self._slurm.wait_until(predicate, what, pause)
        except TimeoutError as error:
            said = "\n".join(f"-- {log.name}\n{log.read_text()[-3000:]}" for log in self.logs)
            raise TimeoutError(f"{error}\n{said}") from None

    @property
    def logs(self) -> list[Path]:
        return sorted((self.folder / "logs").glob("*"))

    def said(self) -> str:
        """What controllers have said, in the order of their jobs."""
        return "\n".join(
            log.read_text(errors="replace") for log in self.logs if "worker" not in log.name
        )

    def controllers(self) -> dict[str, Job]:
        return self._named("widthlaw-faults")

    def workers(self) -> dict[str, Job]:
        return self._named("widthlaw-faults-worker")

    def _named(self, name: str) -> dict[str, Job]:
        return {number: job for number, job in self._slurm.jobs().items() if job.name == name}

    def controller_pid(self, number: str) -> int:
        """The process of a controller, which its job may start anew."""
        for pid in self._slurm.pids_of_job(number):
            try:
                if "jobs.cluster.controller" in psutil.Process(pid).cmdline():
                    return pid
            except psutil.Error:
                continue
        return 0

    def wait_for_block(self, blocks: int = 4) -> None:
        """Wait until workers have begun so many blocks."""
        self.until(lambda: begun(self.logs) >= blocks * TRIALS_PER_BLOCK, f"{blocks} blocks are begun")

    def busy_worker(self) -> str:
        """The number of a worker's job that is at it."""

        def at_it() -> str:
            logs = {n: [log for log in self.logs if f"worker-{n}." in log.name] for n in self.workers()}
            return next((number for number, its in logs.items() if begun(its)), "")

        return self.until(at_it, "a worker has begun a block")

    def worker_pid(self, number: str) -> int:
        """The process of a worker, under the nanny in its job."""
        pids = self._slurm.pids_of_job(number)
        return next(pid for pid in pids if "spawn_main" in line_of(psutil.Process(pid)))

    def hangs(self, number: str) -> None:
        """Stop the process of a worker."""
        os.kill(self.worker_pid(number), signal.SIGSTOP)

    def worker_age(self, number: str) -> float:
        """Seconds since the process of a worker was started."""
        return time.time() - psutil.Process(self.worker_pid(number)).create_time()

    @contextmanager
    def rests(self, number: str) -> Iterator[None]:
        """Stop the process of a worker for a while, so that it does not end the run meanwhile."""
        pid = self.worker_pid(number)
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)

    def starts_twice(self, number: str) -> None:
        """Slurm loses sight of a job's node: the job runs on there, and once more on another."""
        node = self._slurm.jobs()[number].node
        self._slurm.kill_slurmd(node)
        self._slurm.declare_down(node)

        def elsewhere() -> bool:
            job = self._slurm.jobs()[number]
            return job.state == "RUNNING" and job.node != node

        self.until(elsewhere, "the job is started again", pause=0.5)

    def ends(self) -> None:
        """Wait until all is done, the store is given back, and no process of a job is left."""
        trials = the_sweep().trials
        self.until(lambda: self._row.done() == trials, "all trials are done", pause=0.5)
        self.until(self.given_back, "the store is given back")
        self._row.stop()
        self.until(self.gone, "the jobs are gone", pause=0.5)

    def judge(self) -> None:
        """The store is what it ought to be, and no controller has spoken in tracebacks."""
        self._row.finish(self.logs)
        assert "Traceback" not in self.said(), self.said()

    def given_back(self) -> bool:
        return lease.read(locate(self._row.path)) is None

    def gone(self) -> bool:
        jobs = self._slurm.jobs()
        waiting = [number for number, job in jobs.items() if job.state == "PENDING"]
        return not waiting and not any(self._slurm.pids_of_job(number) for number in jobs)


@pytest.fixture
def run(slurm: PrivateSlurm, tmp_path: Path, row: Row, command: str) -> Submitted:
    return Submitted(slurm, tmp_path, row, command)


@pytest.mark.fault("kill -9 of the controller")
def test_a_killed_controller_is_started_again_in_its_job(run: Submitted) -> None:
    number = run.submit()
    run.wait_for_block()
    killed = run.controller_pid(number)
    os.kill(killed, signal.SIGKILL)
    run.until(lambda: run.controller_pid(number) not in (0, killed), "it is started again")
    run.ends()
    run.judge()
    assert list(run.controllers()) == [number]


@pytest.mark.fault(f"kill -9 of worker and controller{OF_ONES_OWN}")
def test_trials_of_ones_own_survive_without_their_files(run: Submitted, tmp_path: Path) -> None:
    number = run.submit()
    for name in ("own.py", "faults.toml"):
        (tmp_path / name).unlink()
    worker = run.busy_worker()
    run.wait_for_block()
    os.kill(run.worker_pid(worker), signal.SIGKILL)
    killed = run.controller_pid(number)
    os.kill(killed, signal.SIGKILL)
    run.until(lambda: run.controller_pid(number) not in (0, killed), "it is started again")
    run.ends()
    run.judge()


@pytest.mark.fault("scancel of a worker's job")
def test_a_cancelled_worker_is_replaced(run: Submitted, slurm: PrivateSlurm) -> None:
    run.profile(workers=1)  # so that only a new worker can end the run
    run.submit()
    number = run.busy_worker()
    slurm.run("scancel", number)
    run.ends()
    run.judge()
    assert run.workers()[number].state == "CANCELLED"
    assert len(run.workers()) > 1


@pytest.mark.fault("scancel of the controller, submit again")
def test_a_cancelled_controller_gives_the_store_back_and_submit_goes_on(
    row: Row, run: Submitted, slurm: PrivateSlurm
) -> None:
    number = run.submit()
    run.wait_for_block()
    slurm.run("scancel", number)
    run.until(lambda: run.given_back() and run.gone(), "the store is given back")
    assert 0 < row.done() < the_sweep().trials
    assert run.submit() != number
    run.ends()
    run.judge()


@pytest.mark.fault("scancel of the controller, a worker hangs")
def test_a_cancelled_controller_ends_the_job_of_a_worker_that_hangs(
    row: Row, run: Submitted, slurm: PrivateSlurm
) -> None:
    number = run.submit()
    run.hangs(run.busy_worker())
    slurm.run("scancel", number)
    run.until(lambda: run.given_back() and run.gone(), "the store is given back, and no job is left")
    assert row.done() < the_sweep().trials
    assert run.submit() != number
    run.ends()
    run.judge()


@pytest.mark.fault("walltime of workers")
def test_a_worker_whose_walltime_ends_is_followed_by_another(
    run: Submitted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DASK_DISTRIBUTED__DEPLOY__LOST_WORKER_TIMEOUT", "2s")  # a gone one may return
    run.profile(workers=1, walltime="00:00:12")
    run.submit()
    number = run.busy_worker()
    with run.rests(number):  # so that its walltime ends first, on the fastest machine too
        run.until(lambda: run.worker_age(number) > 12, "its walltime has ended", pause=0.5)
    run.ends()
    run.judge()
    assert len(run.workers()) > len(run.controllers()) == 1


@pytest.mark.fault("walltime of the controller")
def test_a_controller_whose_walltime_ends_is_followed_by_another(run: Submitted) -> None:
    run.profile(workers=1, controller="00:00:28")
    run.submit()
    run.hangs(run.busy_worker())  # so that the walltime ends first, on the fastest machine too
    run.ends()
    run.judge()
    assert len(run.controllers()) > 1
    assert {job.state for job in run.controllers().values()} == {"COMPLETED"}


@pytest.mark.fault("slurmd killed, worker's job runs twice")
def test_a_worker_whose_job_is_started_twice_does_no_harm(run: Submitted) -> None:
    run.profile(workers=1)
    run.submit()
    number = run.busy_worker()
    with run.rests(number):
        run.starts_twice(number)
    run.ends()
    run.judge()


@pytest.mark.fault("slurmd killed, controller runs twice")
def test_a_controller_that_is_started_twice_stops_where_its_lease_was_taken(
    run: Submitted,
) -> None:
    run.profile(workers=1)
    number = run.submit()
    its_worker = run.busy_worker()
    first = run.controller_pid(number)
    with run.rests(its_worker):
        run.starts_twice(number)
    run.ends()
    run.judge()
    assert "taken over" in run.said()
    noted = Run.load(run.folder)
    assert noted.message == ""
    assert noted.workers
    assert its_worker not in noted.workers
    assert not psutil.pid_exists(first)


@pytest.mark.fault("login shell killed after submit")
def test_a_run_outlives_the_session_that_submitted_it(
    row: Row, run: Submitted, processes: Processes, tmp_path: Path
) -> None:
    said = tmp_path / "session.log"
    row.begin()
    shell = processes.start(["bash", "-c", f"{shlex.join(run.line)}; sleep 600"], said)
    number = run.until(lambda: said.read_text().partition("\n")[0].strip(), "the job's number is told")
    os.killpg(shell.pid, signal.SIGKILL)
    assert shell.wait(PATIENCE) == -signal.SIGKILL
    run.ends()
    run.judge()
    assert list(run.controllers()) == [number]
    assert not [log for log in run.logs if "still alive" in log.read_text()]  # of a nanny's worker
