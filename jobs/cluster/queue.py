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
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from jobs.cluster.systems import SYSTEMS, System
from pipeline.errors import InputError
from pipeline.store.lease import JOB_NUMBER

if TYPE_CHECKING:
    from dask_jobqueue.core import Job


__all__ = [
    "QueueError",
    "Report",
    "State",
    "cancel_job",
    "cluster_name",
    "job_reports",
    "job_state",
    "job_states",
    "submit_job",
]

State = Literal["queued", "running", "gone"]


@dataclass(frozen=True)
class Report:
    """A batch system's answer on a job; "" stands for what it does not tell.

    Attributes
    ----------
    state
        None if it gave no answer.
    reason
        Why the job waits, in the words of the batch system.
    name
        Name of the job.
    script
        File of its script.
    """

    state: State | None = None
    reason: str = ""
    name: str = ""
    script: str = ""

    def __str__(self) -> str:
        state = self.state or "state unknown"
        return f"{state} ({self.reason})" if self.state == "queued" and self.reason else state


SUBMIT_SECONDS = 120
QUERY_SECONDS = 10
"""Time limits of calls that change the queue, and of calls that only read it."""

NO_REASON = ("none", "undefined")
"""Words of Slurm and HTCondor for a job without a reason to wait."""

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
    """Return the states of several jobs, as `job_reports` has them."""
    return {job_id: report.state for job_id, report in job_reports(system, job_ids).items()}


def job_reports(system: str, job_ids: Sequence[str]) -> dict[str, Report]:
    """Query several jobs, in one call where the batch system allows it.

    Parameters
    ----------
    system
        A key of `SYSTEMS`.
    job_ids
        As `submit_job` returned them.

    Returns
    -------
    dict
        A report for each id; its state is None if the batch system does not answer in time.
    """
    ids = [_checked_id(job_id) for job_id in job_ids]
    one_by_one = "{id}" in SYSTEMS[system].query
    found: dict[str, Report] = {}
    for group in [[job_id] for job_id in ids] if one_by_one else [ids] if ids else []:
        found |= _query(SYSTEMS[system], group)
    return found


def _query(system: System, ids: list[str]) -> dict[str, Report]:
    names = {"id": ids[0], "ids": " ".join(ids), "commas": ",".join(ids)}
    try:
        done = _call(shlex.split(system.query.format_map(names)), QUERY_SECONDS)
    except QueueError:
        return dict.fromkeys(ids, Report())
    found = re.finditer(system.answer, done.stdout, re.MULTILINE)
    listed = {line["id"]: _report(system, line.groupdict()) for line in found}
    known = done.returncode == 0 or JOB_UNKNOWN.search(done.stderr)
    absent = Report("gone" if known else None)
    heads = {job_id: job_id.split(".")[0] for job_id in ids}  # HTCondor's 12.0 is listed as 12
    return {job_id: listed.get(head, absent) for job_id, head in heads.items()}


def _report(system: System, words: dict[str, str | None]) -> Report:
    """Return the report in one record of an answer, whose parts but the state may be missing."""
    texts = {key: " ".join((words.get(key) or "").split()) for key in ("reason", "name", "script")}
    if texts["reason"].lower() in NO_REASON:
        texts["reason"] = ""
    return Report(_state(system, words["state"] or ""), **texts)


def _state(system: System, word: str) -> State:
    if re.fullmatch(system.queued, word):
        return "queued"
    return "gone" if re.fullmatch(system.ended, word) else "running"


def _checked_id(job_id: str) -> str:
    """Return a job id that is safe on a command line, where other text could be an option."""
    if not re.fullmatch(JOB_NUMBER, job_id):
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
