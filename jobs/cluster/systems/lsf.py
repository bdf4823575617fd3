"""LSF."""

from __future__ import annotations

import math

from jobs.cluster.systems.system import JobRequest, Options, System

__all__ = ["SYSTEM"]


def _options(request: JobRequest) -> Options:
    minutes = math.ceil(request.walltime / 60)  # LSF has no seconds
    common = {
        "queue": request.queue,
        "project": request.account,
        "walltime": f"{minutes // 60:02d}:{minutes % 60:02d}",
    }
    if request.nodes is None:
        return common
    return common | {
        "ncpus": request.cores * request.nodes,
        "job_extra_directives": [f'-R "span[ptile={request.cores}]"', *request.directives],
        "job_directives_skip": ["span[hosts=1]"],
    }


SYSTEM = System(
    "LSFCluster",
    _options,
    submit="bsub",
    cancel="bkill",
    query="bjobs -w {ids}",
    answer=r"^\s*(?P<id>\d+)\s+\S+\s+(?P<state>\w+)",
    queued="PEND|WAIT|PSUSP",
    ended="DONE|EXIT",
    prefix="#BSUB",
    id_variable="LSB_JOBID",
    stdin=True,
)
