"""The record of a batch system, and the request that it turns into the options of a job."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["JobRequest", "Options", "System", "hms", "mebibytes"]


@dataclass(frozen=True)
class JobRequest:
    """The resources of one job: bytes and seconds; memory and cores on each node."""

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
"""Keyword arguments of a job class and a cluster class of dask-jobqueue."""


def hms(seconds: int) -> str:
    """Return seconds as HH:MM:SS."""
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"


def mebibytes(size: int) -> int:
    """Return a number of bytes in MiB, rounded up."""
    return -(-size // 2**20)


def _exec_line(prologue: Sequence[str], command: Sequence[str]) -> str:
    return f"exec {shlex.join(command)}"


@dataclass(frozen=True)
class System:
    """A batch system.

    Attributes
    ----------
    cluster
        Class of dask-jobqueue.
    options
        Turns a request into options of that class.
    submit, cancel
        Commands; the script or the job id is appended.
    query
        Command that lists jobs, with {id}, {ids} or {commas} for their ids.
    answer
        Regular expression of one job in its output, with groups `id` and `state`; and, where a record
        has them, `reason` (why it waits), `name`, and `script` (the file that was submitted).
    queued, ended
        Regular expressions of states; any other state counts as running.
    prefix
        Start of a directive in a job script.
    id_variable
        Environment variable in which a job finds its own id; "" if there is none.
    launcher
        Command that starts another on every node of a job; None where the profile must name one.
    lacks
        Keys of a profile that have no meaning for it.
    stdin
        True if the script is submitted on standard input.
    directive
        Regular expression of a directive of a profile; "" for any.
    directive_example
        A directive, for the message about one that does not match.
    line
        Turns prologue and command into the line of a job script that runs the command.
    cluster_query, cluster_answer
        Command that prints the name of the cluster, and the regular expression of that name; "" to use
        the name of the host.
    """

    cluster: str
    options: Callable[[JobRequest], Options]
    submit: str
    cancel: str
    query: str
    answer: str
    queued: str
    ended: str
    prefix: str
    id_variable: str = ""
    launcher: str | None = None
    lacks: frozenset[str] = frozenset()
    stdin: bool = False
    directive: str = ""
    directive_example: str = ""
    line: Callable[[Sequence[str], Sequence[str]], str] = _exec_line
    cluster_query: str = ""
    cluster_answer: str = ""
