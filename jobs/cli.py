"""The command line: every command parses its arguments and calls one function.

Data go to stdout, progress and logs to stderr. Exit status: 0, 1 failure (failed trials too),
2 usage, 3 store incomplete, 130 interrupted. Imports stand inside the commands, so that `--help`
answers at once.
"""

from __future__ import annotations

import os
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from jobs.cli_answers import refine, width
from jobs.options import FILE, STORE, computing, judging, listing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from analysis.success import Success
    from pipeline.store.location import Where


__all__ = ["main"]

INTERRUPTED = 130


class _Commands(click.Group):
    """One line for what the user can mend; with --debug, anywhere on the line, a traceback too."""

    def main(self, args: Sequence[str] | None = None, *rest: Any, **kwargs: Any) -> Any:
        kwargs["standalone_mode"] = False
        words, debug = _without_debug(sys.argv[1:] if args is None else args)
        try:
            code = super().main(words, *rest, **kwargs)
        except click.exceptions.Abort:
            code = INTERRUPTED
        except KeyboardInterrupt:
            code = INTERRUPTED
        except click.ClickException as error:
            error.show()
            code = error.exit_code
        except Exception as error:
            if debug:
                traceback.print_exc()
            code = _report(error)
        sys.exit(code if isinstance(code, int) else 0)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:  # `widthlaw query ... | head`; caught here, or click makes it a failure
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 0


def _without_debug(args: Sequence[str]) -> tuple[list[str], bool]:
    """Take --debug from wherever it stands, but not from what follows a bare `--`."""
    words = list(args)
    end = words.index("--") if "--" in words else len(words)
    kept = [word for word in words[:end] if word != "--debug"]
    return kept + words[end:], len(kept) < end


def _report(error: Exception) -> int:
    from pipeline.errors import ChunkDamaged, InputError, LeaseLost, StoreFull, WorkersLost

    if isinstance(error, InputError):
        _say(f"widthlaw: {error}")
        return 1 if isinstance(error, ChunkDamaged) else 2
    if isinstance(error, WorkersLost | LeaseLost):
        _say(f"widthlaw: {error}")
        return 1
    if isinstance(error, StoreFull):
        _say(
            f"widthlaw: store {error.filename}: stopped writing ({error.strerror}); what is written "
            "is valid: make room, or copy it elsewhere, and run the same command on it"
        )
        return 1
    if isinstance(error, ValueError) and "checksum" in str(error):  # zarr's, of a chunk that has rotted
        _say(
            f"widthlaw: a chunk of the store is damaged ({error}); `widthlaw verify STORE` finds it, "
            "and with --repair makes its trials pending"
        )
        return 1
    text = str(error).splitlines()
    _say(f"widthlaw: {type(error).__name__}: {text[0] if text else ''} (--debug shows where)")
    return 1


def _say(text: str) -> None:
    click.echo(text, err=True)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="widthlaw")
@click.option("--debug", is_flag=True, help="Show tracebacks; may stand anywhere on the line.")
def main(debug: bool) -> None:
    """How wide must a network be? Sweeps of random networks, their stores, and scaling laws.

    SWEEP is a TOML file or the name of a bundled sweep (see `widthlaw sweeps`).
    """


@main.command()
@listing
def sweeps(form: str | None) -> None:
    """List the bundled sweeps."""
    from jobs.output.records import print_records, sweep_records

    print_records(sweep_records(), form)


@main.command()
@listing
def profiles(form: str | None) -> None:
    """List the profiles: where workers can run, and whether they can from here.

    Copy one to a file of your own to change it, in the folder `profiles` of the configuration folder
    (~/.config/widthlaw, or WIDTHLAW_CONFIG) or anywhere else.
    """
    from jobs.output.records import print_records, profile_records

    print_records(profile_records(), form)


@main.command()
@click.argument("sweep")
@click.option("-o", "--output", "store", type=STORE, help="Store.  [default: NAME.zarr]")
@computing
@click.option("--retry-failed", is_flag=True, help="Compute failed trials again.")
@click.option("--dry-run", is_flag=True, help="Show what would be done and stop.")
def run(
    sweep: str,
    store: Where | None,
    workplace: dict[str, Any],
    retry_failed: bool,
    dry_run: bool,
) -> None:
    """Fill the store of SWEEP; the same command again resumes.

    SWEEP may also be a store, such as one that was extended or repaired: its own sweep is resumed.
    """
    from jobs import launch
    from jobs.commands.extend import loaded_sweep
    from jobs.output.records import plan_records, print_records

    loaded, usual = loaded_sweep(sweep)
    path = store or usual
    if dry_run:
        print_records(plan_records(loaded, path, retry_failed), None)
        return
    if launch.is_complete(loaded, path, retry_failed):
        sys.exit(launch.report_run(path))
    with launch.cluster(**workplace) as client:
        outcome = launch.run_sweep(loaded, path, client, retry_failed=retry_failed)
    sys.exit(launch.report_run(path, outcome))


@main.command()
@click.argument("sweep")
@click.option(
    "--profile", required=True, help="Where to run: a name (`widthlaw profiles`) or a .toml file."
)
@click.option("-o", "--output", "store", type=STORE, help="Store.  [default: NAME.zarr]")
@click.option(
    "--allocation", is_flag=True, help="One job of several nodes, not one for each of the workers."
)
@click.option("--retry-failed", is_flag=True, help="Compute failed trials again.")
@click.option("--dry-run", is_flag=True, help="Show scripts, blocks, files and core-hours, and stop.")
def submit(
    sweep: str, profile: str, store: Where | None, allocation: bool, retry_failed: bool, dry_run: bool
) -> None:
    """Fill the store of SWEEP on a cluster; prints the number of the job, which outlives the login.

    SWEEP may also be a store, as for `widthlaw run`.

    `widthlaw status` watches the store, `widthlaw cancel` ends the run; the same command again resumes.
    """
    from jobs.launch import submit_sweep

    sys.exit(submit_sweep(sweep, profile, store, allocation, retry_failed, dry_run))


@main.command()
@click.argument("store", type=STORE)
def cancel(store: Where) -> None:
    """End the run that fills STORE, here or on a cluster; what is done stays."""
    from jobs.cluster.submission import cancel as cancel_run
    from pipeline.store.location import normal

    _say(f"{store}: {cancel_run(normal(store))}")


@main.command()
@click.argument("store", type=STORE)
@listing
def status(store: Where, form: str | None) -> None:
    """Show how many trials of STORE are done, failed and pending."""
    from jobs.output.records import print_records, say_gaps, status_records
    from pipeline.store import lease
    from pipeline.store.location import place

    print_records(status_records(store), form)
    held = lease.read(place(store)) is not None
    sys.exit(say_gaps(store, "a run is at it" if held else f"`widthlaw run {store}` resumes"))


@main.command()
@click.argument("store", type=STORE)
@click.argument("expression", required=False)
@click.option(
    "--columns", metavar="LIST", help="What to show, separated by commas: names or expressions."
)
@click.option("--stat", "stats", metavar="LIST", help="Show statistics of the columns, not trials.")
@click.option("--by", metavar="LIST", help="A row of statistics for each value of these.")
@click.option("--limit", type=click.IntRange(min=1), help="Show at most this many rows.")
@click.option("-o", "--output", type=FILE, help="Write a .csv, .json or .parquet file.")
@listing
def query(
    store: Where,
    expression: str | None,
    columns: str | None,
    stats: str | None,
    by: str | None,
    limit: int | None,
    output: Path | None,
    form: str | None,
) -> None:
    """List the trials of STORE for which EXPRESSION holds, or statistics of them.

    EXPRESSION is such as 'n >= 200 and sigma_min < 0.1'. A variable with one more axis than a trial
    is taken at a value of it: 'steps_to_tolerance[0.01] <= 2000'. Text stands in quotes:
    "status == 'failed'". A column may be an expression too: --columns 'sigma_min/sqrt(k)/alpha,edge'.

    \b
    --stat         count, mean, std, sem, min, max, median; quantile: 5, 25, 50, 75
                   and 95%; quantile:0.1: one of them; share: of trials for which
                   a column that is a condition holds; several with commas
    --by           axes (d, n, width, seed, activation, tolerance, ...), k, status,
                   or any column; without --stat it counts trials

    Statistics are of the trials that came to an outcome (done or diverged) and of values that are not
    missing; count says of how many. In JSON null is what is missing or infinite, such as the steps of
    a trial that never came to its tolerance.
    """
    from jobs.commands.query import answer

    sys.exit(answer(store, expression, columns, stats, by, limit, output, form))


@main.command()
@click.argument("stores", type=STORE, nargs=-1, required=True)
@click.option("--link", default="logistic", show_default=True, help="The curve: logistic or probit.")
@click.option(
    "--interval",
    default="seeds",
    show_default=True,
    help="Of k50: seeds, or profile where widths do not nest.",
)
@judging
@listing
def fit(stores: Sequence[Where], success: Success, form: str | None, link: str, interval: str) -> None:
    """Fit the critical width of every cell of STORES, and rank the laws.

    Several stores make one table, with a column for whatever they differ in (activation, dataset,
    budget, ...). With --csv the critical widths are printed alone; of several stores --json is a list.

    \b
    outcome        fitted; separated: failures end where successes begin; censored:
                   the transition lies beyond the widths; unordered: success does
                   not rise with width; degenerate: alpha is 0; empty: nothing done
    k50            width at which half of the trials succeed, with its 95% interval
    bracket_low    most trials fail up to this width; 0: they succeed at all widths
    bracket_high   most succeed from this width on; inf: they fail at all widths
    transition_width  ratio of the widths of 90% and 10% success, with its interval
    fit_p          share of simulated tables that fit the curve no better: small where
                   success has another shape
    k50_isotonic   the same width as k50 without a curve
    k_crossing     median over seeds of the first width from which one never fails
    k_edge         width that the limiting spectrum of the kernel predicts
    k_edge_finite  the same, with the shift of the edge at finite n

    What is missing is NaN in the text, empty in CSV, null in JSON; infinity in JSON is "inf".
    """
    from jobs.commands.fit import print_fits

    sys.exit(print_fits(stores, success, link, interval, form))


@main.command()
@click.argument("store", type=STORE)
@click.option("--kind", help="Which picture; all that suit the store if left out.")
@click.option("-o", "--output", type=FILE, help="File, or folder for several.  [default: beside STORE]")
@judging
def plot(
    store: Where,
    kind: str | None,
    output: Path | None,
    success: Success,
) -> None:
    """Draw the figures of STORE as PNG and SVG, or one as -o FILE in the format of its ending."""
    from analysis import load_store
    from analysis.figures import kinds_for
    from analysis.study import Study
    from jobs.commands.plot import draw_store, why_none_is_done
    from jobs.output.records import asking, say_gaps
    from pipeline.errors import InputError
    from pipeline.store import counts

    study = Study(load_store(store), success)
    suited = kinds_for(study.ds)
    if not suited:
        raise InputError(
            f"plot {store}: no figure suits a store of {study.ds.attrs['experiment']}; "
            "`widthlaw query` lists its trials"
        )
    if kind in (None, *suited) and not counts(store)["done"]:
        code = say_gaps(store, "no figure before some are done")
        if not code:  # that they diverged is an outcome, of which there is no picture
            click.echo(f"{store}: no figure: {why_none_is_done(study, store)}", err=True)
        sys.exit(code)
    with asking("plot", store):
        files = draw_store(study, store, kind, output)
    for file in files:
        click.echo(file)
    sys.exit(say_gaps(store, "drawn with what is there"))


@main.command()
@click.argument("stores", type=STORE, nargs=-1, required=True)
@click.option(
    "-o", "--output", type=FILE, default=Path("report.html"), show_default=True, help="HTML file."
)
@judging
def report(stores: Sequence[Where], output: Path, success: Success) -> None:
    """Write one HTML file that tells STORES: claims and verdicts, figures, numbers and their origin.

    STORES may also be folders of stores. The file needs nothing beside it, nor a network. The sections
    of the stores are judged as the options say; the claims always by the paper's own criteria.
    """
    from jobs.commands.report import report_stores

    sys.exit(report_stores(stores, success, output))


@main.command()
@click.argument("stores", type=STORE, nargs=-1, required=True)
@click.option("--repair", is_flag=True, help="Make the trials pending that are damaged; tidy up.")
@click.option(
    "--sample",
    "number",
    type=click.IntRange(min=1),
    metavar="N",
    help="Also run N random trials again and compare them with what is stored.",
)
@listing
def verify(stores: Sequence[Where], repair: bool, number: int | None, form: str | None) -> None:
    """Find what is damaged in STORES: every chunk, coordinate and file is looked at.

    Exit status: 0 sound, 1 damaged or a trial came out otherwise, 3 sound but trials are pending. After
    --repair it is 0 or 3.
    """
    from jobs.commands.extend import verify_stores

    sys.exit(verify_stores(stores, repair, number, form))


@main.command()
@click.argument("store", type=STORE)
@click.argument("sweep", required=False)
@click.option("--seeds", type=click.IntRange(min=1, max=10**7), help="Seeds 0 to SEEDS - 1.")
@click.option("--n", "numbers", type=int, multiple=True, help="Samples; may be repeated.")
@click.option("--d", "dimensions", type=int, multiple=True, help="Input dimension; may be repeated.")
@click.option(
    "--width",
    "widths",
    type=float,
    multiple=True,
    help="Width, in the unit of the store; may be repeated.",
)
@click.option("-o", "--output", "out", type=STORE, help="New store.  [default: STORE grows at once]")
@click.option("--dry-run", is_flag=True, help="Show what would be done and stop.")
def extend(
    store: Where,
    sweep: str | None,
    seeds: int | None,
    numbers: tuple[int, ...],
    dimensions: tuple[int, ...],
    widths: tuple[float, ...],
    out: Path | None,
    dry_run: bool,
) -> None:
    """Add seeds, n, d or widths to STORE: those of SWEEP, or those given; nothing is computed again.

    A STORE that `widthlaw refine` has grown is asked for the trials of SWEEP; or for what is given, at
    the widths and seeds that its own sweep was written with.
    """
    from jobs.commands.extend import extend_store

    more: dict[str, Sequence[float]] = {
        "seeds": range(seeds or 0),
        "n": numbers,
        "d": dimensions,
        "width": widths,
    }
    if sweep is None and not any(more.values()) and out is None:
        raise click.UsageError("nothing to add; give a SWEEP, --seeds, --n, --d or --width.")
    sys.exit(extend_store(store, sweep, more, out, dry_run))


@main.command()
@click.argument("stores", type=STORE, nargs=-1, required=True)
@click.option(
    "-o", "--output", "out", type=STORE, required=True, help="New store, or the first of STORES."
)
@click.option("--dry-run", is_flag=True, help="Show what would be done and stop.")
def merge(stores: Sequence[Where], out: Path, dry_run: bool) -> None:
    """Join STORES of one kind into one that has the trials of all."""
    from jobs.commands.extend import merge_stores

    sys.exit(merge_stores(stores, out, dry_run))


@main.command()
@click.option(
    "-o", "--output", type=FILE, default=Path("reproduction"), show_default=True, help="Folder."
)
@click.option("--full", is_flag=True, help="Five times the seeds (about five times the time).")
@computing
def reproduce(output: Path, full: bool, workplace: dict[str, Any]) -> None:
    """Run the paper: all named sweeps, their figures, a table of claims, and a report of it all."""
    from jobs.commands.reproduce import reproduce as run_paper

    sys.exit(run_paper(output, full, workplace))


main.add_command(refine)
main.add_command(width)
