"""The command line: every command parses its arguments and calls one function.

Data go to stdout, progress and logs to stderr. Exit status: 0, 1 failure (failed trials too),
2 usage, 3 store incomplete, 130 interrupted. Imports stand inside the commands, so that `--help`
answers at once.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Sequence


__all__ = ["main"]

INCOMPLETE = 3
INTERRUPTED = 130

STORE = click.Path(path_type=Path)

json_option = click.option("--json", "form", flag_value="json", help="Print JSON.")
csv_option = click.option("--csv", "form", flag_value="csv", help="Print CSV.")
workers_option = click.option(
    "--workers", type=click.IntRange(min=1), help="Worker processes.  [default: usable cores]"
)
scheduler_option = click.option(
    "--scheduler", metavar="ADDRESS", help="Use a running Dask scheduler, e.g. tcp://10.0.0.1:8786."
)
threshold_option = click.option(
    "--threshold",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    help="Success is sigma_min / sqrt(k) >= THRESHOLD * alpha; where trials descend it is refused."
    "  [default: 0.5]",
)
budget_option = click.option(
    "--budget",
    "budgets",
    type=click.IntRange(min=0),
    multiple=True,
    metavar="STEPS",
    help="Success is a loss at each tolerance within STEPS; may be repeated.  [default: all steps]",
)


class _Commands(click.Group):
    """One line for what the user can mend, a traceback with --debug."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        kwargs["standalone_mode"] = False
        debug = "--debug" in (kwargs.get("args") or sys.argv[1:])
        try:
            code = super().main(*args, **kwargs)
        except click.exceptions.Abort:
            code = INTERRUPTED
        except KeyboardInterrupt:
            code = INTERRUPTED
        except BrokenPipeError:  # `widthlaw query ... | head`
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            code = 0
        except click.ClickException as error:
            error.show()
            code = error.exit_code
        except Exception as error:
            if debug:
                raise
            code = _report(error)
        sys.exit(code if isinstance(code, int) else 0)


def _report(error: Exception) -> int:
    from pipeline.errors import InputError, StoreFull

    if isinstance(error, InputError):
        _say(f"widthlaw: {error}")
        return 2
    if isinstance(error, StoreFull):
        _say(
            f"widthlaw: store {error.filename}: stopped writing ({error.strerror}); what is written "
            "is valid: make room, or copy it elsewhere, and run the same command on it"
        )
        return 1
    text = str(error).splitlines()
    _say(f"widthlaw: {type(error).__name__}: {text[0] if text else ''} (--debug shows where)")
    return 1


def _say(text: str) -> None:
    click.echo(text, err=True)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="widthlaw")
@click.option("--debug", is_flag=True, help="Show tracebacks.")
def main(debug: bool) -> None:
    """How wide must a network be? Sweeps of random networks, their stores, and scaling laws.

    SWEEP is a TOML file or the name of a bundled sweep (see `widthlaw sweeps`).
    """


@main.command()
@csv_option
@json_option
def sweeps(form: str | None) -> None:
    """List the bundled sweeps."""
    from jobs.tables import print_records, sweep_records

    print_records(sweep_records(), form)


@main.command()
@click.argument("sweep")
@click.option("-o", "--output", "store", type=STORE, help="Store.  [default: NAME.zarr]")
@workers_option
@scheduler_option
@click.option("--retry-failed", is_flag=True, help="Compute failed trials again.")
@click.option("--dry-run", is_flag=True, help="Show what would be done and stop.")
def run(
    sweep: str,
    store: Path | None,
    workers: int | None,
    scheduler: str | None,
    retry_failed: bool,
    dry_run: bool,
) -> None:
    """Fill the store of SWEEP; the same command again resumes."""
    from jobs import launch
    from jobs.tables import plan_records, print_records
    from pipeline.sweep_file import load_sweep

    loaded = load_sweep(sweep)
    path = store or Path(f"{loaded.name}.zarr")
    if dry_run:
        print_records(plan_records(loaded, path), None)
        return
    if launch.is_complete(loaded, path, retry_failed):
        sys.exit(launch.report_run(path))
    with launch.cluster(workers, scheduler) as client:
        outcome = launch.run_sweep(loaded, path, client, retry_failed=retry_failed)
    sys.exit(launch.report_run(path, outcome))


@main.command()
@click.argument("store", type=STORE)
@csv_option
@json_option
def status(store: Path, form: str | None) -> None:
    """Show how many trials of STORE are done, failed and pending."""
    from jobs.tables import print_records, status_records

    records, complete = status_records(store)
    print_records(records, form)
    sys.exit(0 if complete else INCOMPLETE)


@main.command()
@click.argument("store", type=STORE)
@click.argument("expression", required=False)
@click.option("--columns", help="Variables to show, separated by commas.")
@click.option("--limit", type=click.IntRange(min=1), help="Show at most this many trials.")
@csv_option
@json_option
def query(
    store: Path, expression: str | None, columns: str | None, limit: int | None, form: str | None
) -> None:
    """List the trials of STORE for which EXPRESSION holds, e.g. 'n >= 200 and d == 20'."""
    from analysis import open_store, select
    from jobs.tables import print_frame

    names = None if columns is None else [name.strip() for name in columns.split(",")]
    print_frame(select(open_store(store), expression, names, limit), form)


@main.command()
@click.argument("stores", type=STORE, nargs=-1, required=True)
@threshold_option
@budget_option
@csv_option
@json_option
def fit(
    stores: Sequence[Path], threshold: float | None, budgets: tuple[int, ...], form: str | None
) -> None:
    """Fit the critical width of every cell of STORES, and rank the laws.

    With --csv the critical widths are printed alone; of several stores --json is a list.
    """
    from jobs.tables import print_fits

    sys.exit(0 if print_fits(stores, threshold, budgets or None, form) else INCOMPLETE)


@main.command()
@click.argument("store", type=STORE)
@click.option("--kind", help="Which picture; all that suit the store if left out.")
@click.option(
    "-o", "--output", type=STORE, help="File, or folder for several.  [default: beside STORE]"
)
@threshold_option
@budget_option
def plot(
    store: Path,
    kind: str | None,
    output: Path | None,
    threshold: float | None,
    budgets: tuple[int, ...],
) -> None:
    """Draw the figures of STORE as PNG and SVG, or one as -o FILE in the format of its ending."""
    from analysis import open_store
    from analysis.figures import Study
    from jobs.pictures import draw_store
    from pipeline.errors import InputError

    study = Study(open_store(store), threshold, budgets or None)
    files = draw_store(study, store, kind, output)
    if not files:
        raise InputError(
            f"plot {store}: no figure suits a store of {study.ds.attrs['experiment']}; "
            "`widthlaw query` lists its trials"
        )
    for file in files:
        click.echo(file)


@main.command()
@click.option(
    "-o", "--output", type=STORE, default=Path("reproduction"), show_default=True, help="Folder."
)
@click.option("--full", is_flag=True, help="Five times the seeds (about five times the time).")
@workers_option
@scheduler_option
def reproduce(output: Path, full: bool, workers: int | None, scheduler: str | None) -> None:
    """Run the paper: all named sweeps, their figures, and a table of claims."""
    from jobs.reproduce import reproduce as run_paper

    sys.exit(run_paper(output, full, workers, scheduler))
