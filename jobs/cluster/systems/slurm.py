"""Slurm."""

from __future__ import annotations

from jobs.cluster.systems.system import JobRequest, Options, System, hms

__all__ = ["SYSTEM"]


def _options(request: JobRequest) -> Options:
    # a job that Slurm restarts after its node has died would overwrite its log
    directives = ["--open-mode=append", *request.directives]
    common = {
        "queue": request.queue,
        "account": request.account,
        "walltime": hms(request.walltime),
        "job_extra_directives": directives,
    }
    if request.nodes is None:
        return common
    spread = [f"--nodes={request.nodes}", "--ntasks-per-node=1"]
    return common | {
        "job_extra_directives": [*spread, *directives],
        "job_directives_skip": ["#SBATCH -n 1"],
        # srun does not inherit it from sbatch, and would bind all workers of a node to one core
        "job_script_prologue": [*request.prologue, "export SRUN_CPUS_PER_TASK=$SLURM_CPUS_PER_TASK"],
    }


SYSTEM = System(
    "SLURMCluster",
    _options,
    submit="sbatch",
    cancel="scancel",
    query="squeue --noheader --format=%i,%T,%r|%j|%o --jobs={commas}",
    answer=r"^\s*(?P<id>\d+)[^,\s]*,(?P<state>\w+)"
    r"(?:,(?P<reason>[^|\n]*)\|(?P<name>[^|\n]*)\|(?P<script>.*))?",
    queued=r"PENDING|CONFIGURING|REQUEUE\w*|SPECIAL_EXIT|RESV_DEL_HOLD",
    ended="COMPLETED|CANCELLED|FAILED|TIMEOUT|NODE_FAIL|OUT_OF_MEMORY|PREEMPTED|BOOT_FAIL|DEADLINE",
    prefix="#SBATCH",
    id_variable="SLURM_JOB_ID",
    launcher="srun",
    cluster_query="scontrol show config",
    cluster_answer=r"^ClusterName\s*=\s*(\S+)",
)
