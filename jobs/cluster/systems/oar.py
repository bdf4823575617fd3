"""OAR."""

from __future__ import annotations

from jobs.cluster.systems.system import JobRequest, Options, System, hms

__all__ = ["SYSTEM"]


def _options(request: JobRequest) -> Options:
    logs = f"{request.log}/{request.name}-%jobid%"
    return {
        "queue": request.queue,
        "project": request.account,
        "walltime": hms(request.walltime),
        "resource_spec": f"/nodes={request.nodes or 1}/core={request.cores}",
        # the site chooses which property holds memory: a directive of the profile names it
        "memory_per_core_property_name": "not_applicable",
        "job_extra_directives": [f"-O {logs}.out", f"-E {logs}.err", *request.directives],
    }


SYSTEM = System(
    "OARCluster",
    _options,
    submit="oarsub -S",
    cancel="oardel",
    query="oarstat -s -j {id}",
    answer=r"^\s*(?P<id>\d+)\s*:\s*(?P<state>\w+)",
    queued=r"Waiting|Hold|Launching|to\w+",
    ended="Terminated|Error",
    prefix="#OAR",
    id_variable="OAR_JOB_ID",
)
