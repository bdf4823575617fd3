"""Sun (or Open, or Univa) Grid Engine."""

from __future__ import annotations

from jobs.cluster.systems.system import JobRequest, Options, System, hms, mebibytes

__all__ = ["SYSTEM"]


def _options(request: JobRequest) -> Options:
    own = any(line.startswith("-pe") for line in request.directives)
    slots = [f"-pe smp {request.cores}"] if request.cores > 1 and not own else []
    return {
        "queue": request.queue,
        "project": request.account,
        "walltime": hms(request.walltime),
        "resource_spec": f"mem_free={mebibytes(request.memory)}M",
        "job_extra_directives": ["-S /bin/bash", *slots, *request.directives],
    }


SYSTEM = System(
    "SGECluster",
    _options,
    submit="qsub",
    cancel="qdel",
    query="qstat -u *",
    answer=r"^\s*(?P<id>\d+)\s+\S+\s+\S+\s+\S+\s+(?P<state>\w+)",
    queued=r"\w*w\w*",
    ended="z",
    prefix="#$",
    id_variable="JOB_ID",
    lacks=frozenset({"launcher"}),
)
