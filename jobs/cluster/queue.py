"""The queue of a batch system: submit a job, cancel it, and query its state.

A state is None if the batch system gives no answer that can be understood; it is never "gone" then.
"""

from __future__ import annotations

import re
import shlex
import socket
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from jobs.cluster.systems import SYSTEMS, System
from pipeline.errors import InputError

if TYPE_CHECKING:
    from dask_jobqueue.core import Job


__all__ = ["QueueError", "State", "cancel_job", "cluster_name", "job_state", "job_states", "submit_job"]

State = Literal["queued", "running", "gone"]

SUBMIT_SECONDS = 120
QUERY_SECONDS = 10
"""Time limits of calls that change the queue, and of calls that only read it."""

JOB_UNKNOWN = re.compile(
    r"invalid job id|unknown job|has finished|is not found|does not exist", re.IGNORECASE
)
"""Messages on stderr that mean: this job does not exist, or no longer."""


class QueueError(InputError):
    """A batch system refused a request, or is not available."""


def submit_job(made: Job, script: Path) -> str:
    """Write the script of a job, submit it, and return its id.

    Parameters
    ----------
    made
        From `job`.
    script
        File of the script, on a file system that the nodes share; it is kept.

    Returns
    -------
    str
        The id from the batch system.

    Raises
    ------
    QueueError
        The batch system did not accept the job; the message quotes its answer.
    """
    system = SYSTEMS[str(made.config_name)]
    for folder in (Path(made.log_directory), script.parent):
        folder.mkdir(parents=True, exist_ok=True)
    script.write_text(made.job_script(), encoding="utf-8")
    script.chmod(0o755)  # oarsub runs it as it is
    line = shlex.split(system.submit)
    if system.stdin:
        done = _call(line, SUBMIT_SECONDS, stdin=script)
    else:
        done = _call([*line, str(script)], SUBMIT_SECONDS)
    if done.returncode:
        raise QueueError(
            f"{line[0]} {script}: the job was refused ({_first_line(done)}); correct the profile, and "
            "submit again"
        )
    try:
        return str(made._job_id_from_submit_output(done.stdout))
    except ValueError:
        raise QueueError(
            f"{line[0]} {script}: no job id in its answer ({_first_line(done)}); check whether the job "
            "is queued before submitting again"
        ) from None


def cancel_job(system: str, job_id: str) -> None:
    """Cancel a job; a job that is already gone is no error (scancel would not even report it).

    Raises
    ------
    QueueError
        The batch system did not cancel the job; the message quotes its answer.
    """
    line = [*shlex.split(SYSTEMS[system].cancel), _checked_id(job_id)]
    done = _call(line, SUBMIT_SECONDS)
    if done.returncode and job_state(system, job_id) != "gone":
        raise QueueError(
            f"{shlex.join(line)}: the job was not cancelled ({_first_line(done)}); try again, or "
            "contact your site's support"
        )


def cluster_name(system: str) -> str:
    """Return a name that distinguishes this cluster from others of the same batch system."""
    query = SYSTEMS[system].cluster_query
    if query:
        with suppress(QueueError):
            done = _call(shlex.split(query), QUERY_SECONDS)
            if found := re.search(SYSTEMS[system].cluster_answer, done.stdout, re.MULTILINE):
                return found[1]
    return socket.gethostname()


def job_state(system: str, job_id: str) -> State | None:
    """Return the state of a job; None if it is unknown here."""
    return job_states(system, [job_id])[job_id]


def job_states(system: str, job_ids: Sequence[str]) -> dict[str, State | None]:
    """Query the states of several jobs, in one call where the batch system allows it.

    Parameters
    ----------
    system
        A key of `SYSTEMS`.
    job_ids
        As `submit_job` returned them.

    Returns
    -------
    dict
        A state for each id; None if the batch system does not answer in time.
    """
    ids = [_checked_id(job_id) for job_id in job_ids]
    one_by_one = "{id}" in SYSTEMS[system].query
    found: dict[str, State | None] = {}
    for group in [[job_id] for job_id in ids] if one_by_one else [ids] if ids else []:
        found |= _query(SYSTEMS[system], group)
    return found


def _query(system: System, ids: list[str]) -> dict[str, State | None]:
    names = {"id": ids[0], "ids": " ".join(ids), "commas": ",".join(ids)}
    try:
        done = _call(shlex.split(system.query.format_map(names)), QUERY_SECONDS)
    except QueueError:
        return dict.fromkeys(ids)
    listed = {
        line["id"]: line["state"] for line in re.finditer(system.answer, done.stdout, re.MULTILINE)
    }
    absent: State | None = None
    if done.returncode == 0 or JOB_UNKNOWN.search(done.stderr):
        absent = "gone"
    heads = {job_id: job_id.split(".")[0] for job_id in ids}  # HTCondor's 12.0 is listed as 12
    return {
        job_id: _state(system, listed[head]) if head in listed else absent
        for job_id, head in heads.items()
    }


def _state(system: System, word: str) -> State:
    if re.fullmatch(system.queued, word):
        return "queued"
    return "gone" if re.fullmatch(system.ended, word) else "running"


def _checked_id(job_id: str) -> str:
    """Return a job id that is safe on a command line, where other text could be an option."""
    if not re.fullmatch(r"\d+(\.\d+)?", job_id):
        raise QueueError(f"job {job_id!r}: not a job id, expected a number such as 1234")
    return job_id


def _call(line: list[str], seconds: int, stdin: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run a command of a batch system to its end."""
    text = stdin.read_text(encoding="utf-8") if stdin else ""
    try:
        return subprocess.run(
            line, input=text, capture_output=True, text=True, timeout=seconds, check=False
        )
    except FileNotFoundError:
        raise QueueError(
            f"{line[0]}: not on PATH; use a login node of the cluster, or load its module"
        ) from None
    except subprocess.TimeoutExpired:
        raise QueueError(
            f"{shlex.join(line)}: no answer within {seconds} s; check the queue, then try again"
        ) from None
    except OSError as error:
        raise QueueError(f"{shlex.join(line)}: cannot be run ({error.strerror})") from None


def _first_line(done: subprocess.CompletedProcess[str]) -> str:
    lines = [line.strip() for line in f"{done.stderr}\n{done.stdout}".splitlines() if line.strip()]
    return lines[0] if lines else f"no output, exit status {done.returncode}"
