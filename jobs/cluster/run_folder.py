"""The folder of a submitted run: what its jobs need, and what they say of themselves.

    STORE.run/profile.toml       the profile as submitted
              run.json           the rest of what was asked for, and how the jobs fare
              tls/               certificate and key of this run, for its owner alone
              environment.sh     credentials of an S3 store, for its owner alone
              controller.sh      the script of the controller's job, which runs
              supervise.sh       the controller, again where it is killed
              logs/              what the jobs print

It lies beside the store, or for a store in a bucket in the working folder: all nodes must see it.
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
from pathlib import Path
from typing import Any, Self

from jobs.cluster import queue
from jobs.cluster.profile import Profile, load_profile
from jobs.cluster.systems import SYSTEMS
from pipeline.errors import InputError
from pipeline.store import lease, stored_sweep
from pipeline.store.location import Location, beside, is_url, locate
from pipeline.sweep import Sweep

__all__ = ["Run", "drop_if_gone", "run_folder", "run_message", "states_of"]

PASSED_ON = ("AWS_", "WIDTHLAW_")
"""Variables that a store in a bucket is reached by; batch systems need not hand them to jobs."""


def drop_if_gone(where: Location) -> None:
    """Take away the lease of a job that its batch system knows no more, unless it was just renewed."""
    found = lease.read(where)
    if found is None or found.job is None or not (found.renewed is None or found.stale):
        return
    if states_of(found.job)[found.job.number] == "gone":
        with suppress(OSError):  # one who may only read the store cannot
            lease.drop(where, found)


def states_of(job: lease.Job, others: Sequence[str] = ()) -> dict[str, queue.State | None]:
    """The states of a job and of others of its cluster; None where that cannot be asked here."""
    numbers = [job.number, *others]
    if job.system not in SYSTEMS or job.cluster != queue.cluster_name(job.system):
        return dict.fromkeys(numbers)
    return queue.job_states(job.system, numbers)


def run_message(store: str, pending: int) -> str:
    """Return who fills a store and the states of its jobs, as text; "-" if no run is in progress.

    For a run that ended early it is the reason.
    """
    where = locate(store)
    drop_if_gone(where)
    found = lease.read(where)
    if found is None:
        return _last_words(store) if pending else "-"
    if found.job is None or found.job.system not in SYSTEMS:
        return ("was left by " if found.stale else "") + found.who
    job = found.job
    workers = _workers(job, found.run)
    states = states_of(job, workers)
    text = f"job {job.number} ({job.system}) of {found.user}: {states[job.number] or 'state unknown'}"
    if found.renewed is not None:
        text += f", last heard of {found.age:.0f} s ago"
    count = Counter(states[number] or "unknown" for number in workers)
    fare = ", ".join(f"{number} {state}" for state, number in sorted(count.items()))
    return f"{text}; jobs of workers: {fare}" if fare else text


def _workers(job: lease.Job, name: str) -> tuple[str, ...]:
    with suppress(InputError):  # another machine's folder
        run = Run.load(job.folder)
        return run.workers if run.run == name else ()
    return ()


def _last_words(store: str) -> str:
    with suppress(InputError):  # it was never submitted
        run = Run.load(run_folder(store))
        return run.said or f"its last job has ended before its work; read {run.logs}"
    return "-"


def run_folder(store: str) -> Path:
    """Return where the run of a store has its files."""
    path = beside(store)
    return path.with_name(f"{path.name}.run")


@dataclass(frozen=True)
class Run:
    """A submitted run.

    Attributes
    ----------
    run
        Names it in the lease of the store.
    store
        Absolute path or URL.
    data_folder
        StorePath relative paths of the sweep's data files start.
    profile_folder
        StorePath relative paths of the profile's files start.
    allocation
        Whether one job of several nodes holds the controller and all workers.
    pending
        Trials that were pending when a controller last started.
    starts
        Of controllers, since one has made progress.
    cluster
        The name of the cluster that it was submitted to.
    workers
        Numbers of the workers' jobs that the last controller started.
    said
        Why the run has come to an end before its work did, or "".
    """

    run: str
    store: str
    data_folder: str
    profile_folder: str
    retry_failed: bool
    allocation: bool
    pending: int = -1
    starts: int = 0
    cluster: str = ""
    workers: tuple[str, ...] = ()
    said: str = ""
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
    ) -> Self:
        """Describe a run that is about to be submitted; nothing is written."""
        return cls(
            run=uuid.uuid4().hex,
            store=store,
            data_folder=str(data_folder.absolute()),
            profile_folder=str(profile.path.parent),
            folder=run_folder(store),
            retry_failed=retry_failed,
            allocation=allocation,
        )

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """Read the run of a folder.

        Raises
        ------
        InputError
            There is none, or it cannot be read.
        """
        folder = Path(folder)
        try:
            fields = json.loads((folder / "run.json").read_text(encoding="utf-8"))
            return cls(**fields | {"workers": tuple(fields["workers"]), "folder": folder})
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise InputError(
                f"run folder {folder}: no run can be read there ({type(error).__name__}); "
                "`widthlaw submit` makes one"
            ) from None

    @property
    def logs(self) -> Path:
        return self.folder / "logs"

    @property
    def tls(self) -> Path:
        return self.folder / "tls"

    @property
    def environment(self) -> Path:
        return self.folder / "environment.sh"

    def prepare(self, profile: Profile) -> None:
        """Make the folder, with everything but the job's script."""
        from jobs.cluster import credentials

        self.folder.mkdir(exist_ok=True)
        self.logs.mkdir(exist_ok=True)
        (self.folder / "profile.toml").write_text(profile.text, encoding="utf-8")
        credentials.save(credentials.fresh(), self.tls)
        credentials.write_private(self.environment, _exports() if is_url(self.store) else "")
        supervise = importlib.resources.files("jobs.cluster") / "supervise.sh"
        (self.folder / "supervise.sh").write_text(supervise.read_text(), encoding="utf-8")
        self.save()

    def save(self) -> None:
        """Write run.json, whole or not at all."""
        fields = asdict(self)
        del fields["folder"]
        draft = self.folder / f".run.json.{os.getpid()}"
        draft.write_text(json.dumps(fields, indent=1), encoding="utf-8")
        draft.replace(self.folder / "run.json")

    def having(self, **changed: Any) -> Self:
        """The run as it is written by now, with some fields changed, which is written as well."""
        run = replace(self.load(self.folder), **changed)
        run.save()
        return run

    def forget_credentials(self) -> None:
        """Remove what lets one into the run, which is over."""
        shutil.rmtree(self.tls, ignore_errors=True)
        self.environment.unlink(missing_ok=True)

    def sweep(self) -> Sweep:
        """Read the sweep from the store that was made for it."""
        return stored_sweep(self.store, Path(self.data_folder))

    def profile(self) -> Profile:
        """Read the profile as it was submitted."""
        return load_profile(self.folder / "profile.toml", folder=Path(self.profile_folder))

    def equipped(self, profile: Profile) -> Profile:
        """The profile whose jobs know what the store is reached by."""
        source = f". {shlex.quote(str(self.environment))}"
        return profile.model_copy(update={"prologue": (*profile.prologue, source)})


def _exports() -> str:
    """Lines of a shell that set what the store in a bucket is reached by."""
    told = {name: value for name, value in os.environ.items() if name.startswith(PASSED_ON)}
    return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in sorted(told.items()))
