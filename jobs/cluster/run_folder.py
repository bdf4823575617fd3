"""The folder of a submitted run: files that its jobs need, the state of the run, and logs.

    STORE.run/profile.toml       the profile as submitted
              run.json           the other options, and the state of the jobs
              tls/               certificate and key of this run, readable only by its owner
              code/              the file of an experiment of one's own, and what it imports
              environment.sh     credentials of an S3 store, readable only by its owner
              controller.sh      the script of the controller's job, which starts
              supervise.sh       a loop that restarts the controller after it was killed
              logs/              output of the jobs

It lies beside the store, or in the working folder if the store is in a bucket. All nodes must share it.
"""

from __future__ import annotations

import importlib.resources
import json
import os
import shlex
import shutil
import uuid
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from pathlib import Path
from stat import S_ISREG
from typing import Annotated, Any, Self

from pydantic import AliasChoices, Field, TypeAdapter

from jobs.cluster import queue
from jobs.cluster.profile import Profile, load_profile
from jobs.cluster.systems import SYSTEMS
from pipeline.errors import InputError
from pipeline.store import lease, stored_sweep
from pipeline.store.code import with_code
from pipeline.store.location import Location, beside, is_url, locate
from pipeline.sweep import Sweep

__all__ = ["Run", "drop_if_gone", "refuse_if_held", "run_message"]

PASSED_ON = ("AWS_", "WIDTHLAW_")
"""Prefixes of environment variables for a store in a bucket, which some batch systems drop."""

RUN_BYTES = 2**20
"""No run.json is longer, whatever the number of its jobs; no more is read."""


def drop_if_gone(where: Location) -> None:
    """Drop the lease of a job that is gone from its batch system, unless it was renewed recently."""
    found = lease.read(where)
    if found is not None and _is_gone(found):
        with suppress(OSError):  # without permission to write
            lease.drop(where, found)


def refuse_if_held(where: Location, *, dry_run: bool = False) -> None:
    """Raise StoreHeld if a run holds a store, after its lease was dropped if its job is gone.

    A dry run drops no lease, and goes on past that of a job that is gone.
    """
    if not dry_run:
        drop_if_gone(where)
    found = lease.read(where)
    if not (dry_run and found is not None and _is_gone(found)):
        lease.refuse(where)


def _is_gone(found: lease.Lease) -> bool:
    if found.job is None or not (found.renewed is None or found.stale):
        return False
    return _reports_of(found.job)[found.job.number].state == "gone"


def _reports_of(job: lease.Job, others: Sequence[str] = ()) -> dict[str, queue.Report]:
    """Return the reports on a job and on others of its cluster; empty ones if it is unknown here."""
    numbers = [job.number, *others]
    if job.system not in SYSTEMS or job.cluster != queue.cluster_name(job.system):
        return dict.fromkeys(numbers, queue.Report())
    return queue.job_reports(job.system, numbers)


def run_message(store: str, pending: int) -> str:
    """Return a line on the run that fills a store, with its user and the states of its jobs.

    If no run is in progress, return the reason why the last one ended early, or "-".
    """
    where = locate(store)
    drop_if_gone(where)
    found = lease.read(where)
    if found is None:
        return _last_message(store) if pending else "-"
    if found.job is None or found.job.system not in SYSTEMS:
        return found.who
    job = found.job
    workers = _workers(job, found.run)
    reports = _reports_of(job, workers)
    text = f"job {job.number} ({job.system}) of {found.user}: {reports[job.number]}"
    if found.renewed is not None:
        text += f", last heard of {found.age:.0f} s ago"
    count = Counter(reports[number].state or "unknown" for number in workers)
    summary = ", ".join(f"{number} {state}" for state, number in sorted(count.items()))
    return f"{text}; jobs of workers: {summary}" if summary else text


def _workers(job: lease.Job, name: str) -> tuple[str, ...]:
    with suppress(InputError):  # the folder may be on another machine
        run = Run.load(job.folder)
        return run.workers if run.run == name else ()
    return ()


def _last_message(store: str) -> str:
    with suppress(InputError):  # the store was never submitted
        run = Run.load(_run_folder(store))
        return run.message or f"its last job ended early; read {run.logs}"
    return "-"


def _run_folder(store: str) -> Path:
    """Return the folder of the run of a store."""
    path = beside(store)
    return path.with_name(f"{path.name}.run")


@dataclass(frozen=True)
class Run:
    """A submitted run.

    Attributes
    ----------
    run
        Identifier of the run in the lease of the store.
    store
        Absolute path or URL.
    data_folder
        Folder of relative paths of the sweep's data files.
    profile_folder
        Folder of relative paths of the profile's files.
    allocation
        True if the controller and all workers share one job of several nodes.
    dashboard
        True if the controller's scheduler has a dashboard, which any user of its host can read.
    pending
        Number of pending trials at the last start of a controller.
    starts
        Starts of controllers since the last progress.
    cluster
        Name of the cluster.
    workers
        Numbers of the workers' jobs of the last controller.
    message
        The reason why the run ended early, or ""; 0.4.0 wrote it as `said`.
    """

    run: str
    store: str
    data_folder: str
    profile_folder: str
    retry_failed: bool
    allocation: bool
    dashboard: bool = False
    pending: int = -1
    starts: int = 0
    cluster: str = ""
    workers: tuple[Annotated[str, Field(pattern=f"^{lease.JOB_NUMBER}$")], ...] = ()
    message: Annotated[str, Field(validation_alias=AliasChoices("message", "said"))] = ""
    folder: Path = field(default=Path(), compare=False)

    @classmethod
    def new(
        cls,
        store: str,
        *,
        data_folder: Path,
        profile: Profile,
        retry_failed: bool,
        allocation: bool,
        dashboard: bool = False,
    ) -> Self:
        """Return a new run, before its submission; nothing is written."""
        return cls(
            run=uuid.uuid4().hex,
            store=store,
            data_folder=str(data_folder.absolute()),
            profile_folder=str(profile.path.parent),
            folder=_run_folder(store),
            retry_failed=retry_failed,
            allocation=allocation,
            dashboard=dashboard,
        )

    @classmethod
    def load(cls, folder: str | Path) -> Run:
        """Read the run of a folder.

        Raises
        ------
        InputError
            The folder has no run, or its run cannot be read.
        """
        folder = Path(folder)
        try:
            text = _start_of(folder / "run.json")
            return replace(_form().validate_json(text, strict=True), folder=folder)
        except (OSError, ValueError):
            raise InputError(
                f"run folder {folder}: contains no readable run; `widthlaw submit` makes one"
            ) from None

    @property
    def logs(self) -> Path:
        return self.folder / "logs"

    @property
    def script(self) -> Path:
        """The script of the controller's job."""
        return self.folder / "controller.sh"

    @property
    def code(self) -> Path:
        """The sources of an experiment of one's own."""
        return self.folder / "code"

    @property
    def tls(self) -> Path:
        return self.folder / "tls"

    @property
    def environment(self) -> Path:
        return self.folder / "environment.sh"

    def prepare(self, profile: Profile, sweep: Sweep) -> None:
        """Make the folder with everything except the script of the controller's job."""
        from jobs.cluster import credentials

        self.folder.mkdir(exist_ok=True)
        self.logs.mkdir(exist_ok=True)
        (self.folder / "profile.toml").write_text(profile.text, encoding="utf-8")
        credentials.save(credentials.fresh(), self.tls)
        credentials.write_private(self.environment, _exports() if is_url(self.store) else "")
        supervise = importlib.resources.files("jobs.cluster") / "supervise.sh"
        (self.folder / "supervise.sh").write_text(supervise.read_text(), encoding="utf-8")
        self._keep_code(sweep)
        self.save()

    def _keep_code(self, sweep: Sweep) -> None:
        """Write the sources of functions of one's own, which the store does not keep."""
        shutil.rmtree(self.code, ignore_errors=True)
        sources = dict(sweep.own.sources if sweep.own is not None else ())
        for name in sweep.functions:
            sources |= dict(name.code.sources)
        for path, text in sources.items():
            file = self.code / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")

    def save(self) -> None:
        """Write run.json atomically."""
        fields = asdict(self)
        del fields["folder"]
        draft = self.folder / f".run.json.{os.getpid()}"
        draft.write_text(json.dumps(fields, indent=1), encoding="utf-8")
        draft.replace(self.folder / "run.json")

    def update(self, **changed: Any) -> Run:
        """Read the current run, change some fields, write it, and return it."""
        run = replace(self.load(self.folder), **changed)
        run.save()
        return run

    def forget_credentials(self) -> None:
        """Remove the credentials of a run that is over."""
        shutil.rmtree(self.tls, ignore_errors=True)
        self.environment.unlink(missing_ok=True)

    def sweep(self) -> Sweep:
        """Read the sweep from the store that was made for it, with the code that was submitted."""
        sweep = stored_sweep(self.store, Path(self.data_folder))
        files = [name.code.file for name in sweep.functions]
        if sweep.own is not None and sweep.own.file:
            files.append(sweep.own.file)
        return with_code(self.store, sweep, self.code / files[0]) if files else sweep

    def profile(self) -> Profile:
        """Read the profile as it was submitted."""
        return load_profile(self.folder / "profile.toml", folder=Path(self.profile_folder))

    def equipped(self, profile: Profile) -> Profile:
        """Return the profile with a prologue that sets the variables of the store."""
        source = f". {shlex.quote(str(self.environment))}"
        return profile.model_copy(update={"prologue": (*profile.prologue, source)})


@cache
def _form() -> TypeAdapter[Run]:
    """Return the form of run.json, which anybody may have written: it bounds types and depth."""
    return TypeAdapter(Run)


def _start_of(file: Path) -> bytes:
    """Return the first bytes of a file, b"" if it is no plain file; a pipe would make us wait."""
    handle = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(handle, "rb") as stream:
        return stream.read(RUN_BYTES) if S_ISREG(os.fstat(handle).st_mode) else b""


def _exports() -> str:
    """Return shell lines that set the variables of a store in a bucket."""
    passed = {name: value for name, value in os.environ.items() if name.startswith(PASSED_ON)}
    return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in sorted(passed.items()))
