"""Submit a sweep to a cluster, and cancel a run.

The submitted job is the controller (`controller`), on one core: it runs scheduler and client, starts
the workers' jobs and hands out the blocks, so the run continues after logout. With `allocation` the
controller and all workers share one job of several nodes. The run holds the lease of the store from
the submission on, also while its job is queued.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jobs.cluster import credentials, job_scripts, queue
from jobs.cluster.profile import Profile
from jobs.cluster.run_folder import Run, drop_if_gone, refuse_if_held
from jobs.cluster.systems import SYSTEMS
from pipeline import store as stores
from pipeline.blocks import chunk_extents, cut_to_requests, tiles
from pipeline.errors import InputError
from pipeline.execution import memory
from pipeline.printable import one_line
from pipeline.store import lease
from pipeline.store.location import Location, locate, normal
from pipeline.sweep import Sweep

if TYPE_CHECKING:
    from dask_jobqueue.core import Job

__all__ = ["cancel", "check", "controller_job", "scripts", "submit", "worker_name"]

NAMES = "widthlaw-"
"""Start of the name of every job."""

SLOWER = 3.0
"""Factor by which a block may exceed its estimated time, on a slow machine or a busy node."""

CANCEL_SECONDS = 90.0
"""Seconds that a cancelled run may take to finish the blocks in progress."""


def check(sweep: Sweep, run: Run, profile: Profile, *, dry_run: bool = False) -> None:
    """Refuse a run that a cluster could not finish; a dry run leaves the lease of a job that is gone.

    Raises
    ------
    InputError
        The profile does not name a batch system, or a block does not fit into a worker's lifetime.
    StoreError
        The store cannot take the sweep, or another run is filling it.
    """
    if profile.system not in SYSTEMS:
        raise InputError(
            f"profile {profile.name}: {profile.system} has no jobs to submit; use "
            "`widthlaw run SWEEP` with --workers or --scheduler"
        )
    if run.allocation:
        job_scripts.launcher(profile)
    stores.check_target(run.store, sweep)
    where = locate(run.store)
    if where.exists():
        refuse_if_held(where, dry_run=dry_run)
    _check_lifetime(sweep, run, profile)


def check_memory(sweep: Sweep, profile: Profile) -> None:
    """Refuse a sweep whose trials do not fit into the memory that the profile gives a worker.

    Raises
    ------
    InputError
        A worker needs more.
    """
    if profile.memory is not None:
        memory.check_memory(sweep, profile.memory, f"a worker of the profile {profile.name}")


def _check_lifetime(sweep: Sweep, run: Run, profile: Profile) -> None:
    longest = max((tile.seconds for tile in _todo(sweep, run)), default=0.0)
    shortest = job_scripts.lifetime_seconds(profile) - job_scripts.stagger_seconds(profile)
    if not run.allocation:
        shortest = min(shortest, job_scripts.lifetime_seconds(profile, profile.controller.walltime))
    if SLOWER * longest > shortest:
        raise InputError(
            f"profile {profile.name}: walltime {_shortest_walltime(run, profile)} s: a job may retire "
            f"after {shortest} s, but the longest block is estimated at {longest:.0f} s and may take "
            f"{SLOWER:g} times that; give a walltime of {_enough(SLOWER * longest)} or more"
        )


def _shortest_walltime(run: Run, profile: Profile) -> int:
    own = None if run.allocation else profile.controller.walltime
    return min(profile.job_walltime, own or profile.job_walltime)


def _todo(sweep: Sweep, run: Run) -> Iterator[Any]:
    if locate(run.store).exists():
        return stores.Store(run.store, sweep).pending_tiles(run.retry_failed)
    return cut_to_requests(sweep, tiles(sweep, chunk_extents(sweep)))


def _enough(seconds: float) -> str:
    """Return a walltime in whole minutes that gives at least this lifetime."""
    minutes = -(-int(4 * seconds + 60) // 60)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:00"


def controller_job(run: Run, sweep: Sweep, profile: Profile) -> Job:
    """Return the job of the controller, or with `allocation` the job of the whole run."""
    own = profile.controller
    common: dict[str, Any] = {
        "name": f"{NAMES}{sweep.name}",
        "command": ["bash", str(run.folder / "supervise.sh"), profile.python, str(run.folder)],
        "log_directory": run.logs,
    }
    if not run.allocation:
        return job_scripts.job(
            run.equipped(profile),
            **common,
            memory=own.memory,
            walltime=own.walltime,
            queue=own.queue,
            directives=own.directives,
        )
    return job_scripts.job(
        run.equipped(profile),
        **common,
        cores=profile.workers_per_job,
        memory=profile.workers_per_job * profile.job_memory + own.memory,
        nodes=-(-(profile.workers or 1) // profile.workers_per_job),
    )


def scripts(run: Run, sweep: Sweep, profile: Profile) -> dict[str, str]:
    """Return the scripts of the jobs, as `submit` and the controller would submit them."""
    made = {"controller": controller_job(run, sweep, profile).job_script()}
    if not run.allocation:
        options = job_scripts.worker_options(
            run.equipped(profile), name=worker_name(sweep), log_directory=run.logs
        )
        made["worker"] = job_scripts.worker_script(profile, options, credentials.load(run.tls))
    return made


def worker_name(sweep: Sweep) -> str:
    """Return the name of the workers' jobs."""
    return f"{NAMES}{sweep.name}-worker"


def submit(sweep: Sweep, run: Run, profile: Profile) -> str:
    """Submit a run, after making its store if needed, and return the number of its job.

    Raises
    ------
    InputError, StoreError
        As for `check`; or the batch system did not accept the job.
    """
    check(sweep, run, profile)
    why = job_scripts.why_unusable(profile)
    if why:
        raise InputError(f"profile {profile.name}: cannot be used here: {why}")
    stores.open_or_create(run.store, sweep)
    run = replace(run, cluster=queue.cluster_name(profile.system))
    with lease.hold(locate(run.store), run.run) as held:
        if run.retry_failed:
            stores.Store(run.store, holder=held.holder).reset_failed()
        run.prepare(profile, sweep)
        made = controller_job(run, sweep, profile)
        number = queue.submit_job(made, run.script)
        held.pass_on(lease.Job(profile.system, number, str(run.folder), run.cluster))
    return number


def cancel(store: str, *, force: bool = False) -> str:
    """End the run that fills a store, and return a message on it.

    Parameters
    ----------
    store
        Path or URL.
    force
        True to remove the lease of a run that cannot be ended from here. If that run still works, it
        stops when it next renews the lease.

    Raises
    ------
    InputError
        The run cannot be ended from here.
    """
    where = locate(store)
    stores.check_store(store)
    found = lease.read(where)
    if found is None:
        return "no run is in progress"
    try:
        return _end_job(where, found, found.job) if found.job else _end_process(where, found)
    except InputError as error:
        if force:
            return _without_lease(where, found)
        raise InputError(f"{error}; `widthlaw cancel --force {store}` only removes its lease") from None


def _end_job(where: Location, found: lease.Lease, job: lease.Job) -> str:
    _cancel_proven(where, found, job)
    _wait(where, found)
    _clear_up(job, found.run)
    return f"job {job.number} ({job.system}) cancelled"


def _end_process(where: Location, found: lease.Lease) -> str:
    if found.stale:
        lease.drop(where, found)
        return f"process {found.pid} had ended before"
    why = lease.end(where, found)
    if why:
        raise InputError(
            f"store {where.name}: {found.who}; it got no signal: {why}; "
            f"run the same command as {one_line(found.user)} on {one_line(found.host)}, or end the "
            "process there"
        )
    _wait(where, found)
    return f"process {found.pid} ended"


def _without_lease(where: Location, found: lease.Lease) -> str:
    """Remove the lease of a run that cannot be ended, and name what may go on."""
    now = lease.read(where)
    if now is not None and not (now.run == found.run and lease.drop(where, now)):
        raise InputError(f"store {where.name}: its lease has changed hands meanwhile; try again")
    user, job = one_line(found.user), found.job
    holder = f"process {found.pid} of {user} on {one_line(found.host)}"
    if job:
        holder = f"job {job.number} ({one_line(job.system)}) of {user}"
    return f"its lease is removed; {holder} was not ended: if it still exists, end it where it is"


def _cancel_proven(where: Location, found: lease.Lease, job: lease.Job) -> None:
    """Cancel the job of a lease, after proof that it is this run's: anybody may have written a number.

    Its folder must hold this run of this store, and belong to this user; the job's script, where the
    batch system tells it, must be the one in that folder.

    Raises
    ------
    InputError
        There is no proof, or the batch system cannot be reached from here.
    """
    start = f"store {where.name}: {found.who}"
    if job.system not in SYSTEMS:
        raise InputError(
            f"{start}; this widthlaw knows no batch system {job.system!r}, expected one of "
            f"{', '.join(SYSTEMS)}: cancel the job with the commands of its own cluster"
        )
    if job.cluster != queue.cluster_name(job.system):
        raise InputError(
            f"{start}; its cluster, {job.cluster or 'unknown'}, cannot be reached from here: "
            "cancel it there"
        )
    report = queue.job_reports(job.system, [job.number])[job.number]
    if report.state == "gone":
        return
    why = _why_foreign(where, found, Path(job.folder), report)
    if why:
        raise InputError(
            f"{start}; the job was not cancelled: {why}; if it is yours, cancel it yourself"
        )
    queue.cancel_job(job.system, job.number)


def _why_foreign(where: Location, found: lease.Lease, folder: Path, report: queue.Report) -> str:
    try:
        run = Run.load(folder)
    except InputError:
        return f"the run folder {folder} holds no readable run"
    if run.run != found.run or run.store != normal(where.name):
        return f"the run folder {folder} is of another run"
    if folder.stat().st_uid != os.geteuid():
        return f"the run folder {folder} belongs to another user"
    if report.script and Path(report.script) != run.script:
        return f"the job runs {report.script}, not {run.script}"
    return ""


def _wait(where: Location, found: lease.Lease) -> None:
    """Wait until a run has released the store after a signal; drop the lease of a dead run."""
    deadline = time.monotonic() + CANCEL_SECONDS
    while time.monotonic() < deadline:
        now = lease.read(where)
        if now is None or now.run != found.run:
            return
        if now.job and found.job and now.job.number != found.job.number:  # resubmitted itself
            _cancel_proven(where, now, now.job)
            found = now
        drop_if_gone(where)
        if now.here and now.stale:
            lease.drop(where, now)
        time.sleep(0.5)
    raise InputError(
        f"store {where.name}: the run got a signal to end, but was still in progress "
        f"after {CANCEL_SECONDS:.0f} s; see `widthlaw status {where.name}`"
    )


def _clear_up(job: lease.Job, name: str) -> None:
    """Cancel the leftover jobs of a killed controller, and remove the credentials."""
    with suppress(InputError):  # the folder cannot be read, or the batch system does not answer
        run = Run.load(job.folder)
        if run.run != name:  # the folder now belongs to another run
            return
        run.forget_credentials()
        for number, report in queue.job_reports(job.system, run.workers).items():
            ours = not report.name or report.name.startswith(NAMES)
            if report.state != "gone" and ours:
                queue.cancel_job(job.system, number)
