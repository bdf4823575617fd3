"""HTCondor."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from jobs.cluster.systems.system import JobRequest, Options, System

__all__ = ["SYSTEM"]


def _options(request: JobRequest) -> Options:
    group = {"accounting_group": request.account} if request.account else {}
    over = f"(JobStatus == 2) && (time() - EnteredCurrentStatus > {request.walltime})"
    pairs = (line.split("=", 1) for line in request.directives)
    own = {key.strip(): value.strip() for key, value in pairs}
    return {
        "disk": "1 GB",
        "job_extra_directives": {"periodic_remove": over} | group | own,
        "job_script_prologue": [_no_macro(line) for line in request.prologue],
    }


def _no_macro(line: str) -> str:
    """Return a line in which HTCondor sees no $(macro) of its own."""
    return line.replace("$(", "$(DOLLAR)(")


def _line(prologue: Sequence[str], command: Sequence[str]) -> str:
    """Return prologue and command as one line: HTCondor's prologue is part of the command."""
    return "; ".join([*prologue, _no_macro(f"exec {shlex.join(command)}")])


SYSTEM = System(
    "HTCondorCluster",
    _options,
    submit="condor_submit",
    cancel="condor_rm",
    query="condor_q {ids} -af ClusterId JobStatus HoldReason",
    answer=r"^\s*(?P<id>\d+)\s+(?P<state>\d)[ \t]*(?P<reason>.*)$",
    queued="[15]",
    ended="[34]",
    prefix="#",
    lacks=frozenset({"queue", "launcher"}),
    directive=r"[\w.+-]+ *=",
    directive_example="a line of a submit file, such as 'getenv = True'",
    line=_line,
)
