"""Batch systems: what each wants written into a job, and which commands it has.

What a profile leaves out dask-jobqueue takes from Dask's own configuration, where a site has one.
Slurm 22.05 was run for real (submit, state, cancel, several nodes, workers that retire). PBS, LSF, SGE,
OAR and HTCondor follow their documentation. A new one is a function of its options and an entry of
`SYSTEMS`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["SYSTEMS", "Asked", "Options", "System", "no_macro"]


@dataclass(frozen=True)
class Asked:
    """What one job asks for; sizes in bytes and seconds, memory and cores on each node."""

    name: str
    log: Path
    cores: int
    memory: int
    walltime: int
    queue: str | None
    account: str | None
    directives: tuple[str, ...]
    prologue: tuple[str, ...]
    nodes: int | None = None


Options = dict[str, Any]
"""What a job class and a cluster class of dask-jobqueue are called with."""


def hms(seconds: int) -> str:
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"


def _slurm(asked: Asked) -> Options:
    # a job that Slurm starts again, as its node has died, would lose what it has said so far
    directives = ["--open-mode=append", *asked.directives]
    common = {
        "queue": asked.queue,
        "account": asked.account,
        "walltime": hms(asked.walltime),
        "job_extra_directives": directives,
    }
    if asked.nodes is None:
        return common
    spread = [f"--nodes={asked.nodes}", "--ntasks-per-node=1"]
    return common | {
        "job_extra_directives": [*spread, *directives],
        "job_directives_skip": ["#SBATCH -n 1"],
        # srun does not take it over from sbatch, and would bind all workers of a node to one core
        "job_script_prologue": [*asked.prologue, "export SRUN_CPUS_PER_TASK=$SLURM_CPUS_PER_TASK"],
    }


def _pbs(asked: Asked) -> Options:
    memory = math.ceil(asked.memory / 2**20)
    nodes = asked.nodes or 1
    select = f"select={nodes}:ncpus={asked.cores}:mem={memory}MB"
    scatter = ["-l place=scatter"] if nodes > 1 else []
    return {
        "queue": asked.queue,
        "account": asked.account,
        "walltime": hms(asked.walltime),
        "resource_spec": select,
        "job_extra_directives": ["-S /bin/bash", *scatter, *asked.directives],
    }


def _lsf(asked: Asked) -> Options:
    minutes = math.ceil(asked.walltime / 60)  # LSF has no seconds
    common = {
        "queue": asked.queue,
        "project": asked.account,
        "walltime": f"{minutes // 60:02d}:{minutes % 60:02d}",
    }
    if asked.nodes is None:
        return common
    return common | {
        "ncpus": asked.cores * asked.nodes,
        "job_extra_directives": [f'-R "span[ptile={asked.cores}]"', *asked.directives],
        "job_directives_skip": ["span[hosts=1]"],
    }


def _sge(asked: Asked) -> Options:
    own = any(line.startswith("-pe") for line in asked.directives)
    slots = [f"-pe smp {asked.cores}"] if asked.cores > 1 and not own else []
    return {
        "queue": asked.queue,
        "project": asked.account,
        "walltime": hms(asked.walltime),
        "resource_spec": f"mem_free={math.ceil(asked.memory / 2**20)}M",
        "job_extra_directives": ["-S /bin/bash", *slots, *asked.directives],
    }


def _oar(asked: Asked) -> Options:
    logs = f"{asked.log}/{asked.name}-%jobid%"
    return {
        "queue": asked.queue,
        "project": asked.account,
        "walltime": hms(asked.walltime),
        "resource_spec": f"/nodes={asked.nodes or 1}/core={asked.cores}",
        # which property holds memory is the site's choice: a directive of the profile names it
        "memory_per_core_property_name": "not_applicable",
        "job_extra_directives": [f"-O {logs}.out", f"-E {logs}.err", *asked.directives],
    }


def _htcondor(asked: Asked) -> Options:
    group = {"accounting_group": asked.account} if asked.account else {}
    over = f"(JobStatus == 2) && (time() - EnteredCurrentStatus > {asked.walltime})"
    pairs = (line.split("=", 1) for line in asked.directives)
    own = {key.strip(): value.strip() for key, value in pairs}
    return {
        "disk": "1 GB",
        "job_extra_directives": {"periodic_remove": over} | group | own,
        "job_script_prologue": [no_macro(line) for line in asked.prologue],
    }


def no_macro(line: str) -> str:
    """A line for HTCondor, which would take $(this) for a macro of its own."""
    return line.replace("$(", "$(DOLLAR)(")


@dataclass(frozen=True)
class System:
    """A batch system. Its states that are in neither `queued` nor `ended` count as running."""

    cluster: str
    options: Callable[[Asked], Options]
    submit: str
    cancel: str
    ask: str
    answer: str
    queued: str
    ended: str
    prefix: str
    launcher: str | None = None
    lacks: frozenset[str] = frozenset()
    stdin: bool = False


SYSTEMS = {
    "slurm": System(
        "SLURMCluster",
        _slurm,
        submit="sbatch",
        cancel="scancel",
        ask="squeue --noheader --format=%i,%T --jobs={commas}",
        answer=r"^\s*(?P<id>\d+)\S*,(?P<state>\w+)",
        queued="PENDING|CONFIGURING|REQUEUE\\w*|SPECIAL_EXIT|RESV_DEL_HOLD",
        ended="COMPLETED|CANCELLED|FAILED|TIMEOUT|NODE_FAIL|OUT_OF_MEMORY|PREEMPTED|BOOT_FAIL|DEADLINE",
        prefix="#SBATCH",
        launcher="srun",
    ),
    "pbs": System(
        "PBSCluster",
        _pbs,
        submit="qsub",
        cancel="qdel",
        ask="qstat -f {ids}",
        answer=r"^Job Id:\s*(?P<id>\d+)[\s\S]*?job_state\s*=\s*(?P<state>\w)",
        queued="[QHWTM]",
        ended="[CFX]",
        prefix="#PBS",
    ),
    "lsf": System(
        "LSFCluster",
        _lsf,
        submit="bsub",
        cancel="bkill",
        ask="bjobs -w {ids}",
        answer=r"^\s*(?P<id>\d+)\s+\S+\s+(?P<state>\w+)",
        queued="PEND|WAIT|PSUSP",
        ended="DONE|EXIT",
        prefix="#BSUB",
        stdin=True,
    ),
    "sge": System(
        "SGECluster",
        _sge,
        submit="qsub",
        cancel="qdel",
        ask="qstat -u *",
        answer=r"^\s*(?P<id>\d+)\s+\S+\s+\S+\s+\S+\s+(?P<state>\w+)",
        queued=r"\w*w\w*",
        ended="z",
        prefix="#$",
        lacks=frozenset({"launcher"}),
    ),
    "oar": System(
        "OARCluster",
        _oar,
        submit="oarsub -S",
        cancel="oardel",
        ask="oarstat -s -j {id}",
        answer=r"^\s*(?P<id>\d+)\s*:\s*(?P<state>\w+)",
        queued=r"Waiting|Hold|Launching|to\w+",
        ended="Terminated|Error",
        prefix="#OAR",
    ),
    "htcondor": System(
        "HTCondorCluster",
        _htcondor,
        submit="condor_submit",
        cancel="condor_rm",
        ask="condor_q {ids} -af ClusterId JobStatus",
        answer=r"^\s*(?P<id>\d+)\s+(?P<state>\d)",
        queued="[15]",
        ended="[34]",
        prefix="#",
        lacks=frozenset({"queue", "launcher"}),
    ),
}
"""The batch systems that a profile can name."""
