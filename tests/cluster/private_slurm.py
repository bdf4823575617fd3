"""A whole Slurm on this one host, for one test: its own munged, slurmctld and several slurmd.

Nothing is shared with a Slurm of the machine or with another such one at the same time: key, socket,
state and logs lie in one folder, ports are free ones, and the cluster has a name of its own, by which
its processes are found again. The daemons are our children and stay in the foreground. So a process
that we stop is the one that we started, none outlives the tests as a zombie, and the kernel ends them
if the tests are killed.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import uuid
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self, TypeVar

from ..waiting import PATIENCE, wait_until

T = TypeVar("T")

COMMANDS = (
    "munged",
    "slurmctld",
    "slurmd",
    "sbatch",
    "scancel",
    "scontrol",
    "sinfo",
    "squeue",
    "setpriv",
)

LONGEST_FOLDER = 60
"""A path of a Unix socket has at most 107 bytes, and Slurm puts sockets below the folder."""

CONFIGURATION = """
ClusterName={name}
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmUser=root
SlurmdUser=root

AuthType=auth/munge
CryptoType=crypto/munge
# A requeued job starts no sooner than its old credential expires: two minutes by default, at least 5 s.
AuthInfo=socket={folder}/munge/socket,cred_expire=5

StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool/%n
SlurmctldPidFile={folder}/run/slurmctld.pid
SlurmdPidFile={folder}/run/%n.pid
SlurmctldLogFile={folder}/log/slurmctld.log
SlurmdLogFile={folder}/log/%n.log

# Nodes are what their lines below say, whatever the machine has.
SlurmdParameters=config_overrides
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
DefMemPerCPU=1000
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
AccountingStorageType=accounting_storage/none
# Without cgroups, memory is looked at once a second, and a job over its limit is killed.
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=1
JobAcctGatherParams=OverMemoryKill

SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_min_interval=200000,sched_interval=1,bf_interval=1

# A node that is silent for so long is down, and its jobs are requeued. Pings are repeated, so that it
# takes twice as long; timeouts so short that a busy machine exceeds them would requeue jobs by chance.
SlurmdTimeout=10
MessageTimeout=5
SlurmctldTimeout=30
ReturnToService=2
JobRequeue=1
KillWait=30

{nodes}
PartitionName=debug Nodes=ALL Default=YES MaxTime=UNLIMITED DefaultTime=10 State=UP
"""


class Job(NamedTuple):
    """What squeue says of a job; of one that ended, too."""

    state: str
    name: str
    node: str


class PrivateSlurm:
    """Nodes n1, n2, ... of some CPUs each and 8000 MB, in one partition; up inside `with`."""

    @staticmethod
    def missing() -> str:
        """Why there can be none here; empty if there can."""
        if not sys.platform.startswith("linux"):
            return "a private Slurm needs Linux"
        if os.geteuid() != 0:
            return "a private Slurm needs root"
        absent = [command for command in COMMANDS if shutil.which(command) is None]
        return f"a private Slurm needs {', '.join(absent)}" if absent else ""

    def __init__(self, folder: str | Path, nodes: int = 2, cpus: int = 1) -> None:
        self.folder = Path(folder).absolute()
        if len(os.fsencode(self.folder)) > LONGEST_FOLDER:
            raise ValueError(f"{self.folder}: too long for the paths of Unix sockets")
        self.name = f"test{uuid.uuid4().hex[:12]}"
        self.nodes = tuple(f"n{number}" for number in range(1, nodes + 1))
        self.configuration = self.folder / "slurm.conf"
        self.env = {"SLURM_CONF": str(self.configuration)}
        self._cpus = cpus
        self._daemons: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    # What tests ask

    def run(self, *command: object) -> str:
        """Output of a command, of Slurm or any other, that sees this Slurm."""
        line = [str(part) for part in command]
        done = subprocess.run(
            line,
            env=os.environ | self.env,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"{' '.join(line)}: exit status {done.returncode}\n{done.stderr}")
        return done.stdout

    def jobs(self) -> dict[str, Job]:
        """State, name and node of each job by its id; those that ended are there for five minutes."""
        # The name comes last: it alone may hold the separator.
        lines = self.run("squeue", "-h", "-t", "all", "-o", "%A|%T|%N|%j").splitlines()
        jobs = {}
        for line in lines:
            number, state, node, name = line.split("|", 3)
            jobs[number] = Job(state, name, node)
        return jobs

    def active(self) -> dict[str, Job]:
        """The jobs that wait, run, or are being ended."""
        ended = {"COMPLETED", "CANCELLED", "FAILED", "TIMEOUT", "NODE_FAIL", "OUT_OF_MEMORY"}
        return {number: job for number, job in self.jobs().items() if job.state not in ended}

    def node_states(self) -> dict[str, str]:
        """State of each node; a star at its end: it does not answer."""
        lines = self.run("sinfo", "-h", "-N", "-o", "%N %T").splitlines()
        return dict(line.split() for line in lines)

    def wait_until(self, predicate: Callable[[], T], what: str, pause: float = 0.1) -> T:
        """The first true value of the predicate; the error, if there is none in time, has the logs."""
        try:
            return wait_until(predicate, what, pause)
        except TimeoutError as error:
            raise TimeoutError(f"{error}\n{self.logs()}") from None

    def wait_for(self, job: object, *states: str, node: str = "") -> Job:
        """The job as soon as it is in one of the states, on the node if one is given."""

        def there() -> Job | None:
            found = self.jobs().get(str(job))
            here = found is not None and found.state in states and node in ("", found.node)
            return found if here else None

        return self.wait_until(there, f"job {job} is {' or '.join(states)} {node}".rstrip())

    def pids_of_job(self, job: object) -> set[int]:
        """All processes of a job, also those that Slurm lost sight of.

        A job is RUNNING shortly before it has any.
        """
        return {pid for pid, number in self._pids_of_jobs().items() if number == str(job)}

    def processes(self) -> set[int]:
        """All its processes: daemons, steps and jobs."""
        return self._pids_of_slurm() | set(self._pids_of_jobs())

    def logs(self, files: str = "*.log", lines: int = 20) -> str:
        """Nodes, jobs and the end of each log, for the message of a failure."""
        parts = []
        for command in (["sinfo", "-N", "-l"], ["squeue", "-t", "all"]):
            try:
                parts.append(self.run(*command))
            except (RuntimeError, OSError, subprocess.TimeoutExpired) as error:
                parts.append(str(error))
        for file in sorted((self.folder / "log").glob(files)):
            end = file.read_text(errors="replace").splitlines()[-lines:]
            parts.append("\n".join([f"-- {file.name}", *end]))
        return "\n".join(parts)

    def kill_slurmd(self, node: str) -> None:
        """SIGKILL to the slurmd of a node: processes of its jobs run on, with nobody to end them.

        Slurm finds out by itself and requeues the jobs, after half a minute; `declare_down` is faster.
        """
        daemon = self._daemons.pop(node)
        daemon.kill()
        daemon.wait()

    def declare_down(self, node: str) -> None:
        """What an operator does with a dead node: its jobs are requeued at once."""
        self.run("scontrol", "update", f"NodeName={node}", "State=DOWN", "Reason=test")

    def start_slurmd(self, node: str) -> None:
        """Start the slurmd of a node again; it is not waited for."""
        if node in self._daemons:
            raise ValueError(f"{node} has a slurmd")
        self._daemon(node, "slurmd", "-D", "-f", str(self.configuration), "-N", node)

    # Up

    def _start(self) -> None:
        # munged wants folders that only their owner may write to, and that all may enter.
        for folder in (
            "",
            "munge",
            "state",
            "log",
            "run",
            "spool",
            *(f"spool/{n}" for n in self.nodes),
        ):
            path = self.folder / folder
            path.mkdir(parents=True, exist_ok=True)
            path.chmod(0o755)
        self._start_munged()
        port, *ports = free_ports(1 + len(self.nodes))
        host = socket.gethostname().split(".")[0]
        lines = [
            f"NodeName={node} NodeHostname={host} NodeAddr=127.0.0.1 Port={its} CPUs={self._cpus}"
            " RealMemory=8000 State=UNKNOWN"
            for node, its in zip(self.nodes, ports, strict=True)
        ]
        self.configuration.write_text(
            CONFIGURATION.format(
                name=self.name,
                host=host,
                port=port,
                folder=self.folder,
                nodes="\n".join(lines),
            )
        )
        self._daemon("slurmctld", "slurmctld", "-D", "-f", str(self.configuration))
        for node in self.nodes:
            self.start_slurmd(node)
        self.wait_until(self._all_idle, "all nodes are idle")

    def _start_munged(self) -> None:
        munge = self.folder / "munge"
        key = munge / "key"
        key.touch(mode=0o600)
        key.write_bytes(os.urandom(1024))
        self._daemon(
            "munged",
            "munged",
            "--foreground",
            f"--socket={munge / 'socket'}",
            f"--key-file={key}",
            f"--pid-file={munge / 'pid'}",
            f"--seed-file={munge / 'seed'}",
            "--num-threads=2",
        )
        self.wait_until(self._munged_answers, "munged answers")

    def _munged_answers(self) -> bool:
        self._check_daemons()
        with socket.socket(socket.AF_UNIX) as client:
            return client.connect_ex(str(self.folder / "munge" / "socket")) == 0

    def _all_idle(self) -> bool:
        self._check_daemons()
        try:
            states = self.node_states()
        except RuntimeError:  # slurmctld does not listen yet
            return False
        return set(states) == set(self.nodes) and set(states.values()) == {"idle"}

    def _check_daemons(self) -> None:
        for name, daemon in self._daemons.items():
            if daemon.poll() is not None:
                raise RuntimeError(f"{name} ended with {daemon.returncode}\n{self.logs('*')}")

    def _daemon(self, name: str, *command: str) -> None:
        with (self.folder / "log" / f"{name}.out").open("ab") as output:
            self._daemons[name] = subprocess.Popen(
                # The signal comes when we end, however we end: `with` does not see a SIGKILL.
                ["setpriv", "--pdeathsig", "TERM", *command],
                env=os.environ | self.env,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                # Control-C ends the tests, which then end the daemons in order.
                start_new_session=True,
            )

    # Down

    def _stop(self) -> None:
        """End jobs while there are daemons that can, then the daemons, then what is left."""
        try:
            if "slurmctld" in self._daemons:
                self._cancel_all()
        finally:
            for name in (*self.nodes, "slurmctld", "munged"):
                if (daemon := self._daemons.pop(name, None)) is not None:
                    stop(daemon)
            wait_until(self._kill_leftovers, f"all processes of {self.name} have ended")

    def _cancel_all(self) -> None:
        try:
            self.run("scancel", "--partition=debug")
            wait_until(self._jobs_ended, "jobs end", patience=15.0)
        except (RuntimeError, TimeoutError, subprocess.TimeoutExpired):
            pass  # A Slurm that is broken, or too slow: all its processes are killed anyway.

    def _jobs_ended(self) -> bool:
        """No job is where a slurmd could end it: one whose slurmd was killed completes for ever."""
        active = {"PENDING", "RUNNING", "COMPLETING"}
        return not any(
            job.state in active and (job.node in self._daemons or not job.node)
            for job in self.jobs().values()
        )

    def _kill_leftovers(self) -> bool:
        # The steps first: one of them would report the death of its job to a daemon that is gone.
        left = self._pids_of_slurm() or set(self._pids_of_jobs())
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        return not left

    def _pids_of_jobs(self) -> dict[int, str]:
        """Ids of jobs by process. Each Slurm counts from 1, so the name of the cluster decides."""
        found = {}
        for pid in pids():
            environment = environment_of(pid)
            number = environment.get("SLURM_JOB_ID")
            if number is not None and environment.get("SLURM_CLUSTER_NAME") == self.name:
                found[pid] = number
        return found

    def _pids_of_slurm(self) -> set[int]:
        """Daemons, their forks and each slurmstepd: all of them write into a log of ours.

        Their environment does not tell, as a slurmstepd overwrites it by its title.
        """
        log = f"{self.folder / 'log'}/"
        return {
            pid
            for pid in pids()
            if name_of(pid).startswith(("slurm", "munged"))
            and any(name.startswith(log) for name in open_files(pid))
        }


def stop(daemon: subprocess.Popen[bytes]) -> None:
    """SIGTERM to our child; SIGKILL if it does not mind."""
    daemon.terminate()
    try:
        daemon.wait(10)
    except subprocess.TimeoutExpired:
        daemon.kill()
        daemon.wait()


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens at, below those that the kernel gives to clients.

    They are drawn by the system's randomness: seeded workers of pytest would draw the same ones.
    """
    ports: set[int] = set()
    while len(ports) < count:
        port = random.SystemRandom().randrange(20_000, 32_000)
        with socket.socket() as probe:
            try:
                probe.bind(("", port))
            except OSError:
                continue
        ports.add(port)
    return sorted(ports)


# Of /proc: a process that ended meanwhile, or a zombie, has neither environment nor open files.


def pids() -> list[int]:
    return [int(entry) for entry in os.listdir("/proc") if entry.isdigit()]


def name_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().rstrip("\n")
    except OSError:
        return ""


def environment_of(pid: int) -> dict[str, str]:
    try:
        text = Path(f"/proc/{pid}/environ").read_bytes().decode(errors="replace")
    except OSError:
        return {}
    return dict(entry.split("=", 1) for entry in text.split("\0") if "=" in entry)


def open_files(pid: int) -> list[str]:
    files = []
    try:
        for descriptor in os.listdir(f"/proc/{pid}/fd"):
            files.append(os.readlink(f"/proc/{pid}/fd/{descriptor}"))
    except OSError:
        pass
    return files
