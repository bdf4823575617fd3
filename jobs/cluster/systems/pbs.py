"""PBS."""

from __future__ import annotations

from jobs.cluster.systems.system import JobRequest, Options, System, hms, mebibytes

__all__ = ["SYSTEM"]


def _options(request: JobRequest) -> Options:
    nodes = request.nodes or 1
    select = f"select={nodes}:ncpus={request.cores}:mem={mebibytes(request.memory)}MB"
    scatter = ["-l place=scatter"] if nodes > 1 else []
    return {
        "queue": request.queue,
        "account": request.account,
        "walltime": hms(request.walltime),
        "resource_spec": select,
        "job_extra_directives": ["-S /bin/bash", *scatter, *request.directives],
    }


SYSTEM = System(
    "PBSCluster",
    _options,
    submit="qsub",
    cancel="qdel",
    query="qstat -f {ids}",
    # a record ends where the next one begins; a long comment goes on in lines that start with a tab
    answer=r"^Job Id:\s*(?P<id>\d+)(?:(?!^Job Id:)[\s\S])*?job_state\s*=\s*(?P<state>\w)"
    r"(?:(?:(?!^Job Id:)[\s\S])*?^\s*comment\s*=\s*(?P<reason>.*(?:\n\t.*)*))?",
    queued="[QHWTM]",
    ended="[CFX]",
    prefix="#PBS",
    id_variable="PBS_JOBID",
)
