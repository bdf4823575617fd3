"""Batch systems that a profile can name: one file and one line of `SYSTEMS` each.

Slurm 22.05 was run for real (submit, state, cancel, several nodes, workers that retire). PBS, LSF, SGE,
OAR and HTCondor follow their documentation. Whatever a profile leaves out, dask-jobqueue takes from
Dask's own configuration, where a site may have one.
"""

from __future__ import annotations

from jobs.cluster.systems import htcondor, lsf, oar, pbs, sge, slurm
from jobs.cluster.systems.system import JobRequest, Options, System

__all__ = ["SYSTEMS", "JobRequest", "Options", "System"]

SYSTEMS: dict[str, System] = {
    "slurm": slurm.SYSTEM,
    "pbs": pbs.SYSTEM,
    "lsf": lsf.SYSTEM,
    "sge": sge.SYSTEM,
    "oar": oar.SYSTEM,
    "htcondor": htcondor.SYSTEM,
}
