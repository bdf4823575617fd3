"""Submit a sweep to a cluster, and cancel a run.

The submitted job is the controller (`controller`), on one core: it runs scheduler and client, starts
the workers' jobs and hands out the blocks, so the run continues after logout. With `allocation` the
controller and all workers share one job of several nodes. The run holds the lease of the store from
the submission on, also while its job is queued.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from jobs.cluster import credentials, job_scripts, queue
from jobs.cluster.profile import Profile
from jobs.cluster.run_folder import Run, drop_if_gone
from jobs.cluster.systems import SYSTEMS
from pipeline import store as stores
from pipeline.blocks import block_shape, blocks
from pipeline.errors import InputError
from pipeline.execution import memory
from pipeline.store import lease
from pipeline.store.location import Location, locate
from pipeline.sweep import Sweep

if TYPE_CHECKING:
    from dask_jobqueue.core import Job

__all__ = ["cancel", "check", "controller_job", "scripts", "submit", "worker_name"]

SLOWER = 3.0
"""Factor by which a block may exceed its estimated time, on a slow machine or a busy node."""

CANCEL_SECONDS = 90.0
"""Seconds that a cancelled run may take to finish the blocks in progress."""


def check(sweep: Sweep, run: Run, profile: Profile) -> None:
    """Refuse a run that a cluster could not finish.

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
        drop_if_gone(where)
        lease.refuse(where)
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
    longest = max((block.seconds for block in _todo(sweep, run)), default=0.0)
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
        return stores.Store(run.store, sweep).pending_blocks(run.retry_failed)
    return blocks(sweep, *block_shape(sweep))


def _enough(seconds: float) -> str:
    """Return a walltime in whole minutes that gives at least this lifetime."""
    minutes = -(-int(4 * seconds + 60) // 60)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:00"


def controller_job(run: Run, sweep: Sweep, profile: Profile) -> Job:
    """Return the job of the controller, or with `allocation` the job of the whole run."""
    own = profile.controller
    common: dict[str, Any] = {
        "name": f"widthlaw-{sweep.name}",
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
    return f"widthlaw-{sweep.name}-worker"


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
            stores.Store(run.store).reset_failed()
        run.prepare(profile)
        made = controller_job(run, sweep, profile)
        number = queue.submit_job(made, run.folder / "controller.sh")
        held.pass_on(lease.Job(profile.system, number, str(run.folder), run.cluster))
    return number


def cancel(store: str) -> str:
    """End the run that fills a store, and return a message on it.

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
    if found.job:
        _check_reachable(where, found, found.job)
        queue.cancel_job(found.job.system, found.job.number)
        _wait(where, found)
        _clear_up(found.job, found.run)
        return f"job {found.job.number} ({found.job.system}) cancelled"
    if not found.here:
        raise InputError(
            f"store {store}: {found.who}; it can be ended only on {found.host}: "
            f"run `kill {found.pid}` there"
        )
    if not found.stale:
        os.kill(found.pid, signal.SIGTERM)
        _wait(where, found)
    return f"process {found.pid} ended"


def _check_reachable(where: Location, found: lease.Lease, job: lease.Job) -> None:
    if job.system not in SYSTEMS or job.cluster != queue.cluster_name(job.system):
        raise InputError(
            f"store {where.name}: {found.who}; its cluster, {job.cluster or 'unknown'}, cannot be "
            "reached from here: cancel it there"
        )


def _wait(where: Location, found: lease.Lease) -> None:
    """Wait until a run has released the store after a signal; drop the lease of a dead run."""
    deadline = time.monotonic() + CANCEL_SECONDS
    while time.monotonic() < deadline:
        now = lease.read(where)
        if now is None or now.run != found.run:
            return
        if now.job and found.job and now.job.number != found.job.number:  # resubmitted itself
            queue.cancel_job(now.job.system, now.job.number)
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
        for number, state in queue.job_states(job.system, run.workers).items():
            if state != "gone":
                queue.cancel_job(job.system, number)
