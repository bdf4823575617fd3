"""`widthlaw submit` and `widthlaw cancel`: start a run on a cluster, and end a run."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from jobs.options import PROFILE, STORE, SWEEP, accept_option, code_option, force_option
from jobs.output.records import print_records

if TYPE_CHECKING:
    from pipeline.store.location import StorePath

__all__ = ["cancel", "submit"]


@click.command()
@click.argument("sweep", type=SWEEP)
@click.option(
    "--profile",
    type=PROFILE,
    metavar="PROFILE",
    required=True,
    help="Cluster: the name of a profile (`widthlaw profiles`) or a .toml file.",
)
@click.option("-o", "--output", "store", type=STORE, help="Store.  [default: NAME.zarr]")
@click.option(
    "--allocation", is_flag=True, help="Use one job of several nodes instead of many jobs of workers."
)
@click.option("--retry-failed", is_flag=True, help="Compute failed trials again.")
@code_option
@accept_option
@click.option(
    "--dashboard",
    is_flag=True,
    help="Dask's dashboard at the controller; any user of its host can read it.",
)
@click.option(
    "--dry-run", is_flag=True, help="Show job scripts, blocks, files, memory and core-hours, and stop."
)
@force_option
def submit(
    sweep: str,
    profile: str,
    store: StorePath | None,
    allocation: bool,
    retry_failed: bool,
    code: Path | None,
    accept_code: bool,
    dashboard: bool,
    dry_run: bool,
    force: bool,
) -> None:
    """Fill the store of SWEEP on a cluster.

    The command prints the number of a job and returns; the run continues after logout. SWEEP may also
    be a store, as for `widthlaw run`.

    `widthlaw status` shows progress, `widthlaw cancel` ends the run. The same command again resumes.
    """
    from jobs import launch
    from jobs.cluster import submission
    from jobs.cluster.profile import load_profile
    from jobs.cluster.run_folder import Run
    from jobs.commands.run import plan_records
    from pipeline.store.location import normal

    where = load_profile(profile)
    loaded, path = launch.loaded_sweep(
        sweep, store, code=code, accept_code=accept_code, dry_run=dry_run
    )
    run = Run.new(
        normal(path),
        data_folder=Path(sweep).parent if Path(sweep).is_file() else Path(),
        profile=where,
        retry_failed=retry_failed,
        allocation=allocation,
        dashboard=dashboard,
    )
    if not force:
        submission.check_memory(loaded, where)
    if dry_run:
        submission.check(loaded, run, where, dry_run=True)
        print_records(plan_records(loaded, path, retry_failed), None)
        for script, text in submission.scripts(run, loaded, where).items():
            click.echo(f"\n# ---- job script of the {script}\n{text}")
        return
    if launch.is_complete(loaded, path, retry_failed):
        sys.exit(launch.report_run(path))
    number = submission.submit(loaded, run, where)
    click.echo(number)
    click.echo(
        f"submitted; `widthlaw status {path}` shows progress, `widthlaw cancel {path}` ends the run, "
        f"logs are in {run.logs}",
        err=True,
    )


@click.command()
@click.argument("store", type=STORE)
@click.option("--force", is_flag=True, help="Remove the lease of a run that cannot be ended from here.")
def cancel(store: StorePath, force: bool) -> None:
    """End the run that fills STORE, here or on a cluster.

    Finished trials stay in the store. Only a process or a job that is proven to fill STORE is ended. If
    that is impossible from here, --force removes its lease, so that STORE can be filled again, and
    prints what was not ended. A run that still works notices within seconds, and stops.
    """
    from jobs.cluster import submission
    from pipeline.store.location import normal

    click.echo(f"{store}: {submission.cancel(normal(store), force=force)}", err=True)
