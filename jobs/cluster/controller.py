"""The controller of a submitted run: its job executes `python -m jobs.cluster.controller RUN-FOLDER`.

It takes over the lease of `submit`, starts workers, fills the store, and releases the lease.
Workers that end (walltime, preemption, a dead node) are replaced while there is work. On a signal it
hands out no more blocks, waits for those in progress, and ends; before the end of its walltime it also
submits itself again. It gives up when it, or its workers' jobs, have started `FRUITLESS` times in a
row without finishing a block; run.json and the log then have the reason.
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Any, Protocol, Self

from jobs.cluster import credentials, job_scripts, queue
from jobs.cluster.profile import Profile
from jobs.cluster.queue import QueueError
from jobs.cluster.run_folder import Run
from jobs.cluster.submission import controller_job, worker_name
from jobs.cluster.systems import SYSTEMS
from jobs.output.terminal import escaped_output
from pipeline import store as stores
from pipeline.errors import InputError, LeaseLost, StoreFull
from pipeline.execution.driver import run as fill
from pipeline.execution.fill import Outcome
from pipeline.execution.local import DASK, without_dashboard
from pipeline.store import lease
from pipeline.store.location import locate
from pipeline.sweep import Sweep

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["main"]

FRUITLESS = 3
"""Limit on starts of a controller without a finished block; workers' jobs have twice as many."""

AGAIN = 75
"""Exit status after which `supervise.sh` restarts the controller (EX_TEMPFAIL in sysexits.h)."""

GRACE = 20.0
"""Seconds that a controller waits for blocks in progress after a signal; Slurm kills it after 30."""

QUERY_EVERY = 15.0
"""Seconds between queries of the batch system, which other users need too. They double while jobs end
before their workers connect, so that an outage of some minutes does not end a run."""

WAITING = "jobs of workers are still queued: this controller is not counted as one without progress"

log = logging.getLogger("widthlaw")


def main() -> int:
    """Run the controller of the run folder on the command line, and return the exit status."""
    with escaped_output():  # the log is read at a terminal
        return _logged()


def _logged() -> int:
    logging.basicConfig(format="%(asctime)s %(message)s", stream=sys.stderr)
    log.setLevel(logging.INFO)
    ending = Ending()
    try:
        run = Run.load(sys.argv[1])
        run = run.update(starts=run.starts + 1)  # before anything can go wrong
    except InputError as error:
        log.error("%s", error)
        return 1
    try:
        if run.starts > FRUITLESS:
            _give_up(run)
        return _hold(run, ending)
    except LeaseLost as error:  # run.json now belongs to another controller
        log.error("%s", error)
    except (InputError, StoreFull) as error:
        log.error("%s", error)
        run.update(message=str(error)).forget_credentials()
    except Exception as error:  # a restart may help, and their number is limited
        log.exception("an error in widthlaw or in a library")
        run.update(message=f"an error that was not foreseen: {error}")
        return AGAIN
    return 1


def _give_up(run: Run) -> None:
    """Release the store, which waits for this job, and raise the reason why the run ends."""
    with suppress(Exception), lease.hold(locate(run.store), run.run):
        pass
    raise InputError(
        f"stopped: {FRUITLESS} controllers in a row made no progress; read {run.logs}, fix the "
        "cause, and submit again"
    )


def _hold(run: Run, ending: Ending) -> int:
    """Hold the lease of the store while the controller runs.

    If the controller fails and its job restarts it, the job keeps the lease.
    """
    sweep, profile = run.sweep(), run.profile()
    job = _this_job(run, profile)
    with lease.hold(locate(run.store), run.run, job) as held:
        try:
            return _control(run, sweep, profile, held, ending)
        except (InputError, StoreFull, LeaseLost):
            raise
        except Exception:
            if job:
                held.pass_on(job)
            raise


def _this_job(run: Run, profile: Profile) -> lease.Job | None:
    """Return the job of this process, from its environment or from the lease that waits for it."""
    variable = SYSTEMS[profile.system].id_variable
    if variable and variable in os.environ:
        number = os.environ[variable].split(".")[0]
        return lease.Job(profile.system, number, str(run.folder), run.cluster)
    found = lease.read(locate(run.store))
    return found.job if found is not None and found.run == run.run else None


class Ending:
    """The end of the controller: on a signal, or before its walltime."""

    def __init__(self) -> None:
        self.signalled = False
        self.walltime = float("inf")
        self._since, self._grace = 0.0, GRACE
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._take)

    def _take(self, number: int, frame: object) -> None:
        self.signalled = True

    def limit(self, seconds: float, walltime: float) -> None:
        """End `seconds` after the start of the job, in time for its walltime."""
        began = float(os.environ.get("WIDTHLAW_JOB_BEGAN", time.time()))
        self.walltime = began + seconds
        self._grace = max(GRACE, (walltime - seconds) / 2)

    @property
    def due(self) -> bool:
        """True once the controller should end."""
        return self.signalled or time.time() > self.walltime

    def overdue(self) -> bool:
        """Return True once the blocks in progress have used up their grace period."""
        if self.due and not self._since:
            self._since = time.monotonic()
        grace = GRACE if self.signalled else self._grace
        return bool(self._since) and time.monotonic() - self._since > grace


def _control(run: Run, sweep: Sweep, profile: Profile, held: lease.Held, ending: Ending) -> int:
    run = _started(run)
    _cancel_old_workers(run, profile)
    own = None if run.allocation else profile.controller.walltime
    ending.limit(job_scripts.lifetime_seconds(profile, own), own or profile.job_walltime)
    with _workers(run, sweep, profile) as workers:
        watch = _Watch(run, workers, ending, held)
        with suppress(Overdue):
            fill(sweep, run.store, workers.client, progress=watch.count, held=held, draining=watch)
        waiting = workers.waiting
    left = _pending(run)
    log.info("%d trials pending", left)
    held.confirm()
    if waiting:  # no failure
        log.info("%s", WAITING)
        run.update(starts=0)
    if left and not ending.signalled:
        number = queue.submit_job(controller_job(run, sweep, profile), run.script)
        log.info("the walltime ends: job %s continues", number)
        held.pass_on(lease.Job(profile.system, number, str(run.folder), run.cluster))
        return 0
    if left:  # the job may have been preempted, and its batch system may restart it
        run.update(message="ended by a signal; the same `widthlaw submit` resumes")
    else:
        run.forget_credentials()
    return 0


def _started(run: Run) -> Run:
    """Record the number of pending trials; after progress, count this start as the first."""
    pending = _pending(run)
    starts = run.starts if pending == run.pending else 1
    return run.update(pending=pending, starts=starts, message="")


def _pending(run: Run) -> int:
    return stores.Store(run.store).counts()["pending"]


def _cancel_old_workers(run: Run, profile: Profile) -> None:
    """Cancel the workers' jobs of a killed controller, whose scheduler is gone."""
    for number in run.workers:
        with suppress(QueueError):
            queue.cancel_job(profile.system, number)
    run.update(workers=())


class Workers(Protocol):
    """The workers of a run; their number changes."""

    client: Client

    def look(self) -> None:
        """Replace workers that have ended."""

    @property
    def numbers(self) -> tuple[str, ...]:
        """The numbers of their jobs; () if they share the controller's job."""

    @property
    def generations(self) -> float:
        """The average number of starts of a worker so far."""

    @property
    def waiting(self) -> bool:
        """True while some of their jobs wait in the queue."""


class Overdue(Exception):
    """The blocks in progress have used up their grace period."""


class _Watch:
    """The controller's checks, once a second while blocks run; a call returns True to end the run."""

    def __init__(self, run: Run, workers: Workers, ending: Ending, held: lease.Held) -> None:
        self._run, self._workers, self._ending, self._held = run, workers, ending, held
        self._trials, self._logged, self._fruitful = 0, time.monotonic(), 0.0

    def count(self, done: Outcome, total: Outcome) -> None:
        """Count a finished task, and log the total every half minute."""
        self._trials = total.trials
        self._fruitful = self._workers.generations
        if time.monotonic() - self._logged > 30:
            self._logged = time.monotonic()
            log.info("%d trials computed, %d of them failed", total.trials, total.failed)

    def __call__(self) -> bool:
        if self._ending.overdue():
            raise Overdue
        self._workers.look()
        if self._workers.generations - self._fruitful > 2 * FRUITLESS:
            raise InputError(
                f"stopped: {2 * FRUITLESS} generations of the workers' jobs made no progress; "
                f"read {self._run.logs}, fix the cause, and submit again"
            )
        if self._workers.numbers != self._run.workers:
            self._held.confirm()
            self._run = self._run.update(workers=self._workers.numbers)
        return self._ending.due


@contextmanager
def _workers(run: Run, sweep: Sweep, profile: Profile) -> Iterator[Workers]:
    import dask
    from distributed import Client

    logging.getLogger("distributed").setLevel(logging.WARNING)
    settings = DASK | without_dashboard(run.dashboard)
    settings |= {"distributed.scheduler.worker-ttl": f"{profile.worker_ttl}s"}
    with dask.config.set(settings), ExitStack() as stack:
        make = _allocated if run.allocation else _queued
        cluster = stack.enter_context(_closing(make(run, sweep, profile)))
        client = stack.enter_context(Client(cluster))
        log.info("scheduler at %s", cluster.scheduler_address)
        if run.dashboard:
            log.info("dashboard at %s: any user of this host can read it", cluster.dashboard_link)
        if run.allocation:
            yield stack.enter_context(_Launched(client, cluster.scheduler_address, run, profile))
        else:
            yield _Queued(client, cluster, profile)


@contextmanager
def _closing(cluster: Any) -> Iterator[Any]:
    """Close a cluster and ignore its errors.

    Dask raises if a job was never accepted, and logs every connection that ends.
    """
    try:
        yield cluster
    finally:
        logging.getLogger("distributed").setLevel(logging.CRITICAL)
        with suppress(Exception):
            cluster.close()


def _queued(run: Run, sweep: Sweep, profile: Profile) -> Any:
    options = job_scripts.worker_options(
        run.equipped(profile), name=worker_name(sweep), log_directory=run.logs
    )
    options["scheduler_options"]["dashboard"] = run.dashboard
    return job_scripts.cluster_class(profile)(security=credentials.load(run.tls), **options)


class _Queued:
    """Workers in jobs of their own, through dask-jobqueue."""

    def __init__(self, client: Client, cluster: Any, profile: Profile) -> None:
        self.client, self._cluster, self._system = client, cluster, profile.system
        self._jobs = -(-(profile.workers or 1) // profile.workers_per_job)
        self._seen: set[Any] = set()
        self._queried, self._interval = time.monotonic(), QUERY_EVERY
        cluster.adapt(minimum_jobs=self._jobs, maximum_jobs=self._jobs)

    @property
    def numbers(self) -> tuple[str, ...]:
        jobs = list(self._cluster.workers.values())
        return tuple(sorted(str(job.job_id) for job in jobs if job.job_id))

    @property
    def waiting(self) -> bool:
        return "queued" in queue.job_states(self._system, self.numbers).values()

    @property
    def generations(self) -> float:
        self._seen.update(self._cluster.workers)
        return len(self._seen) / self._jobs

    def look(self) -> None:
        """Drop jobs that were refused, or ended before their workers connected: Dask would wait."""
        if time.monotonic() - self._queried < self._interval:
            return
        self._queried = time.monotonic()
        absent = self._absent()
        states = queue.job_states(self._system, [number for number in absent.values() if number])
        gone = [name for name, number in absent.items() if not number or states[number] == "gone"]
        self._interval = 2 * self._interval if gone else QUERY_EVERY
        if gone:
            self._cluster.sync(self._cluster.scale_down, gone)

    def _absent(self) -> dict[Any, str]:
        """Return jobs without a connected worker, name to number; "" if a job was refused."""
        info = self.client.scheduler_info(n_workers=-1)["workers"].values()
        connected = [str(worker["name"]) for worker in info]
        return {
            name: str(job.job_id or "")
            for name, job in list(self._cluster.workers.items())
            if not any(other == str(name) or other.startswith(f"{name}-") for other in connected)
        }


def _allocated(run: Run, sweep: Sweep, profile: Profile) -> Any:
    from distributed import LocalCluster
    from distributed.utils import get_ip, get_ip_interface

    host = profile.host or (get_ip_interface(profile.interface) if profile.interface else get_ip())
    return LocalCluster(
        n_workers=0,
        host=host,
        protocol="tls://",
        security=credentials.load(run.tls),
        dashboard_address="127.0.0.1:0",
        scheduler_kwargs={"dashboard": run.dashboard},
    )


class _Launched:
    """Workers on all nodes of the controller's own job, through the site's launcher."""

    numbers: tuple[str, ...] = ()
    waiting = False

    def __init__(self, client: Client, address: str, run: Run, profile: Profile) -> None:
        self.client, self._log = client, run.logs / "workers.log"
        self._line = [
            *job_scripts.launcher(profile),
            *job_scripts.worker_command(profile, address, run.tls),
        ]
        self._process: subprocess.Popen[bytes] | None = None
        self.generations = 0.0
        self._next, self._pause = 0.0, QUERY_EVERY

    def look(self) -> None:
        """Start the workers of all nodes; restart them with growing pauses if all have ended."""
        running = self._process is not None and self._process.poll() is None
        if running or time.monotonic() < self._next:
            return
        self._next, self._pause = time.monotonic() + self._pause, 2 * self._pause
        with self._log.open("ab") as file:
            self._process = subprocess.Popen(
                self._line, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT
            )
        self.generations += 1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        if self._process is not None:
            self._process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(GRACE)


if __name__ == "__main__":
    sys.exit(main())
