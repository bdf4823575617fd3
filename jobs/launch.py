"""Run a sweep at a terminal: workers, a progress bar, a clean end.

The dashboard's address and the bar go to stderr; there is no bar if stderr is not a terminal.
"""

from __future__ import annotations

import logging
import math
import os
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from jobs import interrupts
from jobs.ahead import Begun, wants_dashboard
from jobs.output.records import exit_status, print_damaged, print_failures
from jobs.output.terminal import bar_stream
from pipeline import store as stores
from pipeline.blocks import estimated_seconds
from pipeline.errors import InputError, WorkersLost
from pipeline.execution import forkserver, memory
from pipeline.execution.driver import run
from pipeline.execution.fill import Outcome
from pipeline.execution.local import local_client
from pipeline.execution.measure import with_cost
from pipeline.execution.pace import time_left
from pipeline.printable import one_line
from pipeline.store import lease
from pipeline.store.code import accept_code as record_code
from pipeline.store.code import with_code
from pipeline.store.location import StorePath, is_url, locate
from pipeline.sweep import Cell, Sweep
from pipeline.sweep_files.load import load_sweep
from pipeline.trial_status import requested_trials

if TYPE_CHECKING:
    from distributed import Client, Security

__all__ = [
    "cells_to_run",
    "check_memory",
    "check_workplace",
    "cluster",
    "filling",
    "is_complete",
    "is_short",
    "loaded_sweep",
    "remaining_seconds",
    "report_run",
    "require_memory",
    "run_sweep",
    "workers",
]

START_SECONDS = 1.0
"""Time in which two workers start on a quiet machine, from the command to their first trial."""


def loaded_sweep(
    sweep: str,
    store: StorePath | None = None,
    *,
    code: Path | None = None,
    accept_code: bool = False,
    runs: bool = True,
    dry_run: bool = False,
) -> tuple[Sweep, StorePath]:
    """Return the sweep that an argument names, and the store; a store names its own sweep.

    Parameters
    ----------
    sweep
        A sweep file, the name of a bundled sweep, or a store.
    store
        The store to fill; by default it is named after the sweep.
    code
        The file of an experiment of one's own, if `sweep` is a store of it.
    accept_code
        Whether code that has changed since the store was made is accepted, and recorded there.
    runs
        Whether trials are to run, for which their code is needed.
    dry_run
        Whether the store stays as it is: code that is accepted is not recorded.
    """
    if is_url(sweep) or os.path.isfile(Path(sweep, "zarr.json")):  # Path.is_file raises for long names
        there = sweep if is_url(sweep) else Path(sweep)
        stored = stores.stored_sweep(there)
        if runs or code is not None:
            stored = with_code(there, stored, code, accept_code, dry_run=dry_run)
        return stored, store or there
    if code is not None:
        raise InputError(f"--code {code}: the sweep {sweep} names its code itself; remove --code")
    loaded = load_sweep(sweep)
    path = store or Path(f"{loaded.name}.zarr")
    if runs and loaded.descent is not None and loaded.descent.steps == 0:
        click.echo(
            f"{sweep}: descent.steps: got 0, so no trial takes a step or reaches a tolerance; expected "
            "a budget such as steps = 20000, unless only the start is of interest",
            err=True,
        )
    if accept_code:
        loaded = record_code(path, loaded, dry_run=dry_run)
    if runs and not locate(path).exists():
        stores.check_target(path, loaded)  # before anything runs
        loaded, told = with_cost(loaded)
        if told:
            click.echo(told, err=True)
    return loaded, path


def check_workplace(workplace: Mapping[str, Any]) -> None:
    """Refuse a profile that cannot be used, also where no worker will start.

    Parameters
    ----------
    workplace
        Keywords of `cluster`.
    """
    if workplace.get("profile"):
        _from_profile(workplace["profile"])


def is_complete(
    sweep: Sweep, path: StorePath, retry_failed: bool = False, *, dry_run: bool = False
) -> bool:
    """Check that a path can take a sweep; return True if nothing is left to run.

    The lease of a job that is gone is removed, and new code of a store without results recorded, but
    for a dry run.
    """
    stores.check_target(path, sweep)
    where = locate(path)
    if not where.exists():
        return False
    if lease.read(where) is not None:
        from jobs.cluster.run_folder import refuse_if_held

        refuse_if_held(where, dry_run=dry_run)  # before any worker starts
    if not dry_run:
        stores.take_code(path, sweep)
    return _waiting(path, retry_failed) == 0


def require_memory(
    sweep: Sweep,
    workplace: Mapping[str, Any],
    force: bool = False,
    cells: Sequence[Cell] | None = None,
) -> None:
    """Refuse a sweep whose workers on this machine would need more memory than it has.

    Parameters
    ----------
    workplace
        Keywords of `cluster`. The memory of workers at a scheduler is not known here.
    force
        Whether workers that need too much are started nevertheless.
    cells
        The cells that run, with the widths that run in them; all of the sweep if None.
    """
    _, scheduler = _workers_of(workplace)
    if not scheduler and not force and (cells is None or cells):
        memory.check_memory(sweep, memory.machine_memory(), "this machine", cells)


def check_memory(
    sweep: Sweep,
    workplace: Mapping[str, Any],
    force: bool = False,
    quiet: bool = False,
    cells: Sequence[Cell] | None = None,
) -> None:
    """Print the memory that workers on this machine need, and refuse them if it has too little.

    Parameters
    ----------
    workplace, force, cells
        As for `require_memory`.
    quiet
        Whether to print nothing: no worker will start.
    """
    require_memory(sweep, workplace, force, cells)
    if quiet or (cells is not None and not cells):
        return
    from dask.system import CPU_COUNT
    from dask.utils import format_bytes

    workers, scheduler = _workers_of(workplace)
    limit, count = memory.machine_memory(), workers or CPU_COUNT
    needed = memory.worker_memory(sweep, cells)
    together = f"{format_bytes(int(needed))} for a worker"
    if not scheduler and count * needed > limit:
        fitting = max(1, int(limit // needed))
        together += (
            f"; {count} workers may need more together than this machine has "
            f"({format_bytes(limit)}): --workers {fitting} is safer"
        )
    trial = memory.trial_memory(sweep, cells)
    least = f"at most about {format_bytes(int(trial))}" if trial >= 2**20 else "less than 1 MiB"
    click.echo(f"memory: {least} for a trial, {together}", err=True)


def cells_to_run(sweep: Sweep, path: StorePath, retry_failed: bool = False) -> list[Cell]:
    """Return the cells that a run computes, each with the widths that run in it.

    In a refined store that is much less than its axes span.
    """
    if not locate(path).exists():
        return list(sweep.requested_cells())
    return stores.Store(path, stores.as_in_store(path, sweep)).pending_cells(retry_failed)


def _workers_of(workplace: Mapping[str, Any]) -> tuple[int | None, str | None]:
    """Return the number of workers and the scheduler of a workplace."""
    if workplace["profile"]:
        return _from_profile(workplace["profile"])[:2]
    return workplace["workers"], workplace["scheduler"]


def _waiting(path: StorePath, retry_failed: bool) -> int:
    found = stores.Store(path).counts()
    return found["pending"] + (found["failed"] if retry_failed else 0)


def is_short(workplace: Mapping[str, Any], seconds: float) -> bool:
    """Return whether trials run in this process: workers would start for longer than trials take.

    Parameters
    ----------
    workplace
        Keywords of `cluster`; whoever names workers gets them.
    seconds
        Estimated time of the trials on one core.
    """
    named = any(workplace[name] is not None for name in ("workers", "scheduler", "profile"))
    return not named and seconds < START_SECONDS


def remaining_seconds(sweep: Sweep, path: StorePath, retry_failed: bool = False) -> float:
    """Estimate the time of the trials that a store still lacks, on one core, by the times that it has.

    It is infinite if the last run on this store was killed: a trial may have killed it, and would end
    this process too, whereas workers find out which one it is. It is not short either where the code is
    a user's own and its cost is not known: some trial has ended the process that measured it, or the
    code has changed since.
    """
    where = locate(path)
    if where.exists() and lease.read(where) is not None:
        return math.inf
    sweep = stores.as_in_store(path, sweep)
    known = sweep.own.is_measured if sweep.own is not None else not sweep.functions
    least = 0.0 if known else START_SECONDS
    if not where.exists():
        return max(least, estimated_seconds(sweep))
    return max(least, time_left(stores.Store(path, sweep), retry_failed).seconds)


@contextmanager
def workers(
    workplace: Mapping[str, Any], seconds: float, begun: Begun | None = None
) -> Iterator[Client | None]:
    """Yield a client of the workers that a workplace names; None where this process is enough.

    Parameters
    ----------
    workplace
        Keywords of `cluster`.
    seconds
        Estimated time of the trials on one core.
    begun
        Workers that are starting already.
    """
    if is_short(workplace, seconds):
        click.echo(
            f"about {max(seconds, 0.1):.1f} s of trials run in this process: workers would take longer "
            "to start (--workers N starts them)",
            err=True,
        )
        yield None
        return
    wanted = wants_dashboard(workplace, seconds)
    with cluster(**{**workplace, "dashboard": wanted}, begun=begun) as client:
        yield client


@contextmanager
def filling(
    workplace: Mapping[str, Any], keeps: bool = True, code: Path | None = None
) -> Iterator[Callable[[StorePath], None]]:
    """Yield a function that runs the pending trials of a store.

    Workers start at the first call that takes longer than their start.

    Parameters
    ----------
    workplace
        Keywords of `cluster`.
    keeps
        Whether the stores stay after the command.
    code
        The file of an experiment of one's own.
    """
    check_workplace(workplace)  # before trials are added to a store
    with ExitStack() as stack:
        client: Client | None = None

        def fill(path: StorePath) -> None:
            nonlocal client
            sweep = with_code(path, stores.stored_sweep(path), code)
            if client is None:
                client = stack.enter_context(workers(workplace, remaining_seconds(sweep, path)))
            run_sweep(sweep, path, client, keeps=keeps)

        yield fill


@contextmanager
def cluster(
    workers: int | None = None,
    scheduler: str | None = None,
    profile: str | None = None,
    dashboard: bool | None = True,
    begun: Begun | None = None,
) -> Iterator[Client]:
    """Connect to a running scheduler, or start local workers, and print the dashboard's address.

    At most one of the first three may be given; a profile names one of the first two. Local workers
    have a dashboard unless it is not wanted.

    Interrupts are handled as `jobs.interrupts` says.
    """
    _silence_dask()
    security = None
    if profile:
        workers, scheduler, security = _from_profile(profile)
    with interrupts.starting():
        has_dashboard = dashboard is not False
        client = _connect(scheduler, security) if scheduler else _start(workers, has_dashboard, begun)
        try:
            line = _introduction(client, scheduler, has_dashboard)
            interrupts.started()
            click.echo(line, err=True)
            yield client
        finally:
            client.close()


def _silence_dask() -> None:
    """Silence Dask's messages on workers that start or stop slowly, or are lost.

    They would hide the one line that names the next step.
    """
    for name in ("nanny", "scheduler", "client", "comm", "deploy"):
        logging.getLogger(f"distributed.{name}").setLevel(logging.CRITICAL)
    for name in ("tornado.application", "asyncio"):  # of connections that close while others write
        logging.getLogger(name).setLevel(logging.CRITICAL)
    warnings.filterwarnings("ignore", category=UserWarning, module="contextlib")  # slow folders


def _start(workers: int | None, dashboard: bool, begun: Begun | None) -> Client:
    """Start workers on this machine; with more than one for each core, say why that takes long."""
    from dask.system import CPU_COUNT

    if workers and workers > CPU_COUNT:
        click.echo(
            f"{workers} workers share {CPU_COUNT} cores: they start slowly (about a second of a core "
            f"each) and compute no faster than --workers {CPU_COUNT}",
            err=True,
        )
    if begun is not None:
        return begun.client()
    forkserver.start(workers or CPU_COUNT)
    return local_client(workers, dashboard=dashboard)


def _introduction(client: Client, scheduler: str | None, dashboard: bool) -> str:
    """Return a line with the number of workers, the dashboard's address, and who can read it."""
    count = len(client.scheduler_info(n_workers=-1)["workers"])
    if not count:
        raise InputError(
            f"scheduler {scheduler}: has no workers; start one with `dask worker {scheduler}`"
        )
    plural = "" if count == 1 else "s"
    where = "no dashboard"
    if scheduler:
        where = f"dashboard at {client.dashboard_link}"
    elif dashboard:
        where = f"dashboard at {client.dashboard_link} (any user of this machine can read it)"
    return f"{count} worker{plural}, {where}"


def _from_profile(name: str) -> tuple[int | None, str | None, Security | None]:
    """Return the number of workers, the scheduler and the certificates that a profile names."""
    from jobs.cluster.job_scripts import why_unusable
    from jobs.cluster.profile import load_profile
    from jobs.cluster.systems import SYSTEMS

    profile = load_profile(name)
    why = why_unusable(profile)
    if profile.system in SYSTEMS:
        why = f"{profile.system} runs jobs: `widthlaw submit SWEEP --profile {name}` submits them"
    if why:
        raise InputError(f"profile {profile.name}: {why}")
    if profile.tls_cert is None and profile.tls_ca_file is None:
        return profile.workers, profile.address, None
    from distributed import Security

    own = {"tls_client_cert": profile.tls_cert, "tls_client_key": profile.tls_key}
    security = Security(tls_ca_file=profile.tls_ca_file, require_encryption=True, **own)
    return None, profile.address, security


def _connect(address: str, security: Security | None = None) -> Client:
    from distributed import Client

    if not address.startswith("tls://"):
        click.echo(
            f"scheduler {address}: not encrypted: anyone who reaches its port can run code as you; "
            "start it with certificates and give its tls:// address",
            err=True,
        )
    try:
        client = Client(address, timeout=10, security=security)
    except (OSError, ValueError, TypeError, ImportError, RuntimeError):
        raise InputError(
            f"scheduler {address}: no Dask scheduler answers there; start one "
            "with `dask scheduler`, or remove --scheduler"
        ) from None
    return client


def run_sweep(
    sweep: Sweep,
    path: StorePath,
    client: Client | None,
    *,
    retry_failed: bool = False,
    keeps: bool = True,
    meanwhile: Callable[[], object] = lambda: None,
) -> Outcome:
    """Run a sweep into its store with a bar of trials, trials/s and time left.

    Without a client, it runs in this process. A store that the command does not keep is not mentioned.
    `meanwhile` is called once a second and after every task; it must return soon.
    """
    left = (
        f"{path} keeps the finished trials; the same command resumes"
        if keeps
        else "nothing is kept without --store; the same command starts again"
    )
    try:
        return _run_with_bar(sweep, path, client, retry_failed, meanwhile)
    except WorkersLost as error:
        raise WorkersLost(f"lost the workers ({error}); {left}") from None
    except KeyboardInterrupt:
        click.echo(f"\ninterrupted; {left}", err=True)
        raise


@contextmanager
def _stdout_kept(own: bool) -> Iterator[None]:
    """Send to stderr what trials of one's own, and processes that they start, print on stdout."""
    if not own:
        yield
        return
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)


def _run_with_bar(
    sweep: Sweep,
    path: StorePath,
    client: Client | None,
    retry_failed: bool,
    meanwhile: Callable[[], object],
) -> Outcome:
    from tqdm import tqdm

    def draining() -> bool:
        meanwhile()
        return interrupts.check()

    interrupts.check()
    stores.open_or_create(path, sweep)
    waiting, found = _waiting(path, retry_failed), stores.Store(path).counts()
    requested = requested_trials(found)
    bar = tqdm(
        desc=one_line(sweep.name),
        file=bar_stream(),
        total=requested,
        initial=requested - waiting,
        unit="trial",
        disable=not sys.stderr.isatty(),
        smoothing=0.1,
    )
    with bar, interrupts.shielded(), _stdout_kept(client is None and sweep.runs_code):
        return run(
            sweep,
            path,
            client,
            retry_failed=retry_failed,
            progress=lambda done, total: bar.update(done.trials) and None,
            draining=draining,
        )


def report_run(path: StorePath, outcome: Outcome | None = None) -> int:
    """Report the result of a run, and return the exit status."""
    found = stores.Store(path).counts()
    failed = found["failed"]
    now = outcome or Outcome()
    others = "".join(
        f", {found[word]} {word}" for word in ("diverged", "pending", "damaged") if found[word]
    )
    compiling = f", besides {now.compiling:.1f} s of compiling" if now.compiling >= 1 else ""
    click.echo(
        f"{path}: {found['done']} trials done, {failed} failed{others}; {now.trials} computed now "
        f"in {now.seconds:.1f} s of numerics{compiling}",
        err=True,
    )
    print_damaged(path, found)
    print_failures(path)
    if failed:
        click.echo(
            f"`widthlaw query {path} \"status == 'failed'\"` lists them; "
            "`widthlaw run ... --retry-failed` computes them again",
            err=True,
        )
    return exit_status(found)
