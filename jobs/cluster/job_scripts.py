"""Scripts of jobs: of the controller, of workers, and of one job of several nodes.

Only this file uses dask-jobqueue, which writes the header of a script. The import is inside functions,
because it is slow and writes a file into the user's Dask folder.
"""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jobs.cluster.credentials import CERTIFICATE, KEY
from jobs.cluster.queue import QueueError
from jobs.cluster.systems import SYSTEMS, JobRequest, Options
from pipeline.errors import installing

if TYPE_CHECKING:
    from dask_jobqueue.core import Job
    from distributed import Security

    from jobs.cluster.profile import Profile

__all__ = [
    "cluster_class",
    "job",
    "launcher",
    "lifetime_seconds",
    "stagger_seconds",
    "why_unusable",
    "worker_command",
    "worker_options",
    "worker_script",
]

ENVIRONMENT = (
    "export PYTHONSAFEPATH=1",
    "export DASK_DISTRIBUTED__WORKER__PROFILE__ENABLED=False",
)
"""Keeps Python from importing a pipeline.py of the working folder instead of the package, and Dask's
profiler, whose samples fill a worker's memory, from starting."""

PRIVATE_SCRATCH = (
    "export DASK_TEMPORARY_DIRECTORY=`mktemp -d`",  # HTCondor would read $() as its own
    "trap 'rm -rf $DASK_TEMPORARY_DIRECTORY' EXIT",
)
"""Dask's own folder has a known name in /tmp, where another user can hold its lock for ever."""


def cluster_class(profile: Profile) -> Any:
    """Return the class of dask-jobqueue that starts workers through a profile's batch system.

    Raises
    ------
    QueueError
        dask-jobqueue is not installed.
    """
    try:
        import dask_jobqueue
    except ImportError:
        raise QueueError(f"profile {profile.name}: {_NOT_INSTALLED}") from None
    return getattr(dask_jobqueue, SYSTEMS[profile.system].cluster)


_NOT_INSTALLED = f"dask-jobqueue is not installed: {installing('cluster')}"


def why_unusable(profile: Profile) -> str | None:
    """Return why a profile cannot be used on this machine, and the remedy; None if it can."""
    if profile.system == "kubernetes" and profile.address is None:
        return (
            "widthlaw starts no pods: start a cluster with dask-kubernetes, then "
            "`widthlaw run SWEEP --scheduler ADDRESS`, or write its address into a profile"
        )
    if profile.system == "address" and profile.address is None:
        return "needs an address: write it into a copy of the profile, or use --scheduler ADDRESS"
    if profile.system not in SYSTEMS:
        return None
    submit = SYSTEMS[profile.system].submit.split()[0]
    if shutil.which(submit) is None:
        return f"no {submit} on PATH: use a login node of the cluster, or load its module"
    return None if find_spec("dask_jobqueue") else _NOT_INSTALLED


def lifetime_seconds(profile: Profile, walltime: int | None = None) -> int:
    """Return the lifetime of a worker, which retires before its walltime so that its task can finish.

    Parameters
    ----------
    profile
        A profile with a walltime.
    walltime
        Walltime in seconds, if it differs from that of the profile (as for the controller).

    Returns
    -------
    int
        The walltime less a margin: 5%, but at least a minute and at most half of the walltime.
    """
    walltime = walltime or profile.job_walltime
    return walltime - _margin(walltime)


def stagger_seconds(profile: Profile) -> int:
    """Return the largest difference of lifetimes: workers that start together retire one by one."""
    return _margin(profile.job_walltime) // 2


def _margin(walltime: int) -> int:
    return min(max(60, walltime // 20), walltime // 2)


def worker_options(profile: Profile, *, name: str, log_directory: Path) -> Options:
    """Return the options of the cluster class for jobs with the workers of a profile.

    Parameters
    ----------
    profile
        A profile of a batch system.
    name
        Name of the jobs.
    log_directory
        Folder of their output.

    Returns
    -------
    dict
        Keyword arguments; the scheduler takes a free port and has its dashboard on loopback.
    """
    processes = profile.workers_per_job
    request = JobRequest(
        name=_job_name(name),
        log=_log(log_directory),
        cores=processes,
        memory=processes * profile.job_memory,
        walltime=profile.job_walltime,
        queue=profile.queue,
        account=profile.account,
        directives=profile.directives,
        prologue=(*ENVIRONMENT, *PRIVATE_SCRATCH, *profile.prologue),
    )
    host = {"host": profile.host} if profile.host else {}
    return _options(profile, request) | {
        "processes": processes,
        "interface": profile.interface,
        "scheduler_options": {"port": 0, "dashboard_address": "127.0.0.1:0"} | host,
        "worker_extra_args": _worker_arguments(profile),
    }


def worker_script(profile: Profile, options: Options, security: Security) -> str:
    """Return the script of a workers' job for display; it lacks the scheduler's address."""
    arguments = {key: value for key, value in options.items() if key != "scheduler_options"}
    with _folders_removed(Path(options["log_directory"])):
        made = cluster_class(profile).job_cls(
            "tls://CONTROLLER:PORT", name="NUMBER", security=security, protocol="tls://", **arguments
        )
    return str(made.job_script())


_WORKER = [
    *["--no-dashboard", "--dashboard-address", "127.0.0.1:0"],  # its metrics would still be served
    *["--preload", "jobs.cluster.job_worker", "--preload-nanny", "jobs.cluster.job_worker"],
]


def _worker_arguments(profile: Profile) -> list[str]:
    lifetime = ["--lifetime", f"{lifetime_seconds(profile)}s"]
    stagger = ["--lifetime-stagger", f"{stagger_seconds(profile)}s"]
    host = ["--host", profile.host] if profile.host else []
    return [*lifetime, *stagger, *_WORKER, *host]


def worker_command(profile: Profile, scheduler: str, tls: Path) -> list[str]:
    """Return the command that starts the workers of one node inside a job of several nodes.

    They have no lifetime, because the controller ends them before the job ends.
    """
    network = ["--host", profile.host] if profile.host else []
    if profile.interface:
        network = ["--interface", profile.interface]
    return [
        *[profile.python, "-m", "distributed.cli.dask_worker", scheduler],
        *["--nworkers", str(profile.workers_per_job), "--nthreads", "1"],
        *["--memory-limit", str(profile.job_memory), "--death-timeout", str(profile.death_timeout)],
        *["--tls-ca-file", str(tls / CERTIFICATE)],
        *["--tls-cert", str(tls / CERTIFICATE), "--tls-key", str(tls / KEY)],
        *_WORKER,
        *network,
    ]


def job(
    profile: Profile,
    *,
    name: str,
    command: Sequence[str],
    log_directory: Path,
    cores: int = 1,
    memory: int | None = None,
    walltime: int | None = None,
    queue: str | None = None,
    directives: Sequence[str] | None = None,
    nodes: int | None = None,
) -> Job:
    """Return a job that runs one of our commands; nothing is submitted or written.

    Parameters
    ----------
    profile
        A profile of a batch system; it gives the values of arguments that are None.
    name
        Name of the job.
    command
        The command and its arguments. It replaces the job's shell, so that signals reach it.
    log_directory
        Folder of the job's output, made when the job is submitted.
    cores, memory
        Resources on each node, memory in bytes.
    walltime
        Walltime in seconds.
    queue, directives
        As in a profile.
    nodes
        Number of nodes; one if None. The command runs on the first; `launcher` reaches all of them.

    Returns
    -------
    dask_jobqueue.core.Job
        Its `job_script()` is the text to submit.

    Raises
    ------
    QueueError
        dask-jobqueue is not installed, or a job of several nodes is not possible.
    """
    if nodes is not None:
        launcher(profile)  # refused before anything is made
    request = JobRequest(
        name=_job_name(name),
        log=_log(log_directory),
        cores=cores,
        memory=profile.job_memory if memory is None else memory,
        walltime=profile.job_walltime if walltime is None else walltime,
        queue=profile.queue if queue is None else queue,
        account=profile.account,
        directives=profile.directives if directives is None else tuple(directives),
        prologue=(*ENVIRONMENT, *profile.prologue),
        nodes=nodes,
    )
    options = _options(profile, request)
    job_class = cluster_class(profile).job_cls
    with _folders_removed(request.log):
        made = job_class("", name=request.name, processes=1, worker_extra_args=[], **options)
    line = SYSTEMS[profile.system].line
    made._command_template = line(options["job_script_prologue"], command)
    return made


def launcher(profile: Profile) -> list[str]:
    """Return the command that starts another on every node of a job.

    Raises
    ------
    QueueError
        The batch system has no job of several nodes, or no launcher is known.
    """
    system = SYSTEMS[profile.system]
    if "launcher" in system.lacks:
        raise QueueError(
            f"profile {profile.name}: a job of several nodes is not possible on {profile.system}; "
            "submit without --allocation"
        )
    words = profile.launcher or system.launcher
    if words is None:
        raise QueueError(
            f"profile {profile.name}: launcher: missing; write the command that starts another on "
            "every node, such as mpiexec with its options, or submit without --allocation"
        )
    return shlex.split(words)


def _options(profile: Profile, request: JobRequest) -> Options:
    """Return the options that are common to the job and cluster classes of dask-jobqueue."""
    common = {
        "cores": request.cores,
        "memory": request.memory,
        "job_name": request.name,
        "log_directory": str(request.log),
        "job_extra_directives": list(request.directives),
        "job_script_prologue": list(request.prologue),
        "python": shlex.quote(profile.python),
        "death_timeout": profile.death_timeout,
    }
    return common | SYSTEMS[profile.system].options(request)


def _job_name(name: str) -> str:
    """Return a name that all batch systems accept: SGE requires a letter first."""
    plain = re.sub(r"[^A-Za-z0-9_.-]", "-", name)
    return plain if plain[:1].isalpha() else f"w{plain}"


def _log(folder: Path) -> Path:
    path = Path(folder).absolute()
    if re.search(r"\s", str(path)):
        raise QueueError(
            f"{path}: the path of a job's output cannot contain spaces; use another folder"
        )
    return path


@contextmanager
def _folders_removed(folder: Path) -> Iterator[None]:
    """Remove the folders for output that dask-jobqueue makes before the job is submitted."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        yield
    finally:
        for path in missing:
            with suppress(OSError):
                path.rmdir()
