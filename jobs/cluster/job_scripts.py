"""Jobs of batch systems: made, submitted, cancelled and asked for.

The only file that knows dask-jobqueue, which writes the header of a job. It is imported inside
functions: the import takes its time, and leaves a file in the user's Dask folder. An answer of a batch
system that is not understood is None, never "gone".
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
from jobs.cluster.systems import SYSTEMS, Asked, Options, no_macro

if TYPE_CHECKING:
    from dask_jobqueue.core import Job
    from distributed import Security

    from jobs.cluster.profile import Profile
from jobs.cluster.queue import QueueError

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

SAFE_PATH = "export PYTHONSAFEPATH=1"
"""Else a pipeline.py in the working folder would be imported in place of the package."""


def cluster_class(profile: Profile) -> Any:
    """Return the class of dask-jobqueue that starts workers through a profile's batch system.

    Raises
    ------
    QueueError
        If dask-jobqueue is not installed.
    """
    try:
        import dask_jobqueue
    except ImportError:
        raise QueueError(f"profile {profile.name}: {_NOT_INSTALLED}") from None
    return getattr(dask_jobqueue, SYSTEMS[profile.system].cluster)


_NOT_INSTALLED = "dask-jobqueue is not installed; pip install 'widthlaw[cluster]'"


def why_unusable(profile: Profile) -> str | None:
    """Say why a profile cannot be used on this machine, and what would do; None if it can."""
    if profile.system == "kubernetes" and profile.address is None:
        return (
            "widthlaw starts no pods: start a cluster with dask-kubernetes, then "
            "`widthlaw run SWEEP --scheduler ADDRESS`, or write its address into a profile"
        )
    if profile.system == "address" and profile.address is None:
        return "needs an address: write it into a profile of your own, or take --scheduler ADDRESS"
    if profile.system not in SYSTEMS:
        return None
    submit = SYSTEMS[profile.system].submit.split()[0]
    if shutil.which(submit) is None:
        return f"no {submit} on PATH: take a login node of the cluster, or load its module"
    return None if find_spec("dask_jobqueue") else _NOT_INSTALLED


def lifetime_seconds(profile: Profile, walltime: int | None = None) -> int:
    """Return after how long a worker retires: before its walltime, so that its task comes to an end.

    Parameters
    ----------
    profile
        With a walltime.
    walltime
        In seconds, of a job that has one of its own, as the controller may.

    Returns
    -------
    int
        The walltime less a margin of 5%, at least a minute, at most half of the walltime.
    """
    walltime = walltime or profile.job_walltime
    return walltime - _margin(walltime)


def stagger_seconds(profile: Profile) -> int:
    """Return by how much lifetimes differ at most: workers that start together retire apart."""
    return _margin(profile.job_walltime) // 2


def _margin(walltime: int) -> int:
    return min(max(60, walltime // 20), walltime // 2)


def worker_options(profile: Profile, *, name: str, log_directory: Path) -> Options:
    """Return what the cluster class is called with, so that each job holds the profile's workers.

    Parameters
    ----------
    profile
        Of a batch system.
    name
        What the jobs are called.
    log_directory
        Where their output goes.

    Returns
    -------
    dict
        Keyword arguments; of `scheduler_options` the port is free, the dashboard on loopback.
    """
    processes = profile.workers_per_job
    asked = Asked(
        name=_job_name(name),
        log=_log(log_directory),
        cores=processes,
        memory=processes * profile.job_memory,
        walltime=profile.job_walltime,
        queue=profile.queue,
        account=profile.account,
        directives=profile.directives,
        prologue=(SAFE_PATH, *profile.prologue),
    )
    host = {"host": profile.host} if profile.host else {}
    return _options(profile, asked) | {
        "processes": processes,
        "interface": profile.interface,
        "scheduler_options": {"port": 0, "dashboard_address": "127.0.0.1:0"} | host,
        "worker_extra_args": _worker_arguments(profile),
    }


def worker_script(profile: Profile, options: Options, security: Security) -> str:
    """Return the script of one of the workers' jobs, for a look: the scheduler's address is missing."""
    told = {key: value for key, value in options.items() if key != "scheduler_options"}
    with _kept_away(Path(options["log_directory"])):
        made = cluster_class(profile).job_cls(
            "tls://CONTROLLER:PORT", name="NUMBER", security=security, protocol="tls://", **told
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
    """Return the words that start the workers of one node inside a job of several.

    They need no lifetime: the controller ends with the job, and ends them before.
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
    """Make a job that runs a command of ours; nothing is submitted or written.

    Parameters
    ----------
    profile
        Of a batch system; what is None below is as the profile says.
    name
        What the job is called.
    command
        The command and its arguments; the job's shell becomes it, so that signals reach it.
    log_directory
        Where the job's output goes; made as the job is submitted.
    cores, memory
        What the job asks for on each node, memory in bytes.
    walltime
        In seconds.
    queue, directives
        As in a profile.
    nodes
        How many nodes the job spans; one if None. The command runs on the first: `launcher` starts
        others on all.

    Returns
    -------
    dask_jobqueue.core.Job
        Its `job_script()` is what would be submitted.

    Raises
    ------
    QueueError
        If dask-jobqueue is not installed, or no job of several nodes is possible.
    """
    if nodes is not None:
        launcher(profile)  # refused before anything is made
    asked = Asked(
        name=_job_name(name),
        log=_log(log_directory),
        cores=cores,
        memory=profile.job_memory if memory is None else memory,
        walltime=profile.job_walltime if walltime is None else walltime,
        queue=profile.queue if queue is None else queue,
        account=profile.account,
        directives=profile.directives if directives is None else tuple(directives),
        prologue=(SAFE_PATH, *profile.prologue),
        nodes=nodes,
    )
    options = _options(profile, asked)
    job_class = cluster_class(profile).job_cls
    with _kept_away(asked.log):
        made = job_class("", name=asked.name, processes=1, worker_extra_args=[], **options)
    line = f"exec {shlex.join(command)}"
    if profile.system == "htcondor":  # its prologue is part of the command
        line = "; ".join([*options["job_script_prologue"], no_macro(line)])
    made._command_template = line
    return made


def launcher(profile: Profile) -> list[str]:
    """Return the words that start one command on every node of a job.

    Raises
    ------
    QueueError
        If neither the profile nor its batch system has them.
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
            f"profile {profile.name}: launcher: missing, the words that start a command on every node; "
            "write the site's, such as mpiexec with its options, or submit without --allocation"
        )
    return shlex.split(words)


def _options(profile: Profile, asked: Asked) -> Options:
    """What the job and the cluster class of dask-jobqueue are both called with."""
    common = {
        "cores": asked.cores,
        "memory": asked.memory,
        "job_name": asked.name,
        "log_directory": str(asked.log),
        "job_extra_directives": list(asked.directives),
        "job_script_prologue": list(asked.prologue),
        "python": shlex.quote(profile.python),
        "death_timeout": profile.death_timeout,
    }
    return common | SYSTEMS[profile.system].options(asked)


def _job_name(name: str) -> str:
    """A name that all batch systems take: SGE wants a letter first, and few other signs."""
    plain = re.sub(r"[^A-Za-z0-9_.-]", "-", name)
    return plain if plain[:1].isalpha() else f"w{plain}"


def _log(folder: Path) -> Path:
    path = Path(folder).absolute()
    if re.search(r"\s", str(path)):
        raise QueueError(
            f"{path}: batch systems take no blanks in the path of a job's output; take another folder"
        )
    return path


@contextmanager
def _kept_away(folder: Path) -> Iterator[None]:
    """Take back the folder that dask-jobqueue makes for a job's output, before there is any."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        yield
    finally:
        for path in missing:
            with suppress(OSError):
                path.rmdir()
