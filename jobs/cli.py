"""The command line: the group of commands, and how it reports errors.

A command lives in a file of its own in `jobs.commands`, which is imported when the command is called:
`COMMANDS` lists them. Data go to stdout, progress and logs to stderr. Exit status: 0 success, 1 failure
(also of some trials), 2 wrong usage or input, 3 trials are pending, 130 interrupted.
"""

from __future__ import annotations

import logging
import os
import sys
import traceback
from contextlib import nullcontext
from importlib import import_module
from typing import TYPE_CHECKING, Any

import click

from jobs import interrupts
from jobs.interrupts import INTERRUPTED
from jobs.output.terminal import escaped_output

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["COMMANDS", "main"]

COMMANDS = {
    "sweeps": ("listing", "List the bundled sweeps."),
    "profiles": ("listing", "List the profiles, which describe where workers run."),
    "new": ("new", "Write the first files of an experiment of your own."),
    "run": ("run", "Fill the store of SWEEP; the same command again resumes."),
    "submit": ("submit", "Fill the store of SWEEP on a cluster."),
    "cancel": ("submit", "End the run that fills STORE, here or on a cluster."),
    "status": ("status", "Show how many trials of STORES are done, failed and pending."),
    "watch": ("watch", "Show STORES on a page that follows them while trials arrive."),
    "query": ("query", "List the trials of STORE that meet EXPRESSION, or statistics."),
    "fit": ("fit", "Fit the critical widths of STORES, and rank the laws."),
    "refine": ("refine", "Add trials to STORE until its critical values reach a precision."),
    "plot": ("plot", "Draw the figures of STORE."),
    "report": ("report", "Write a self-contained HTML report on STORES."),
    "width": ("width", "Measure how wide a network must be for your own data."),
    "verify": ("verify", "Find damage in STORES: check every chunk, coordinate and file."),
    "extend": ("extend", "Add seeds, n, d, widths or steps to STORE."),
    "merge": ("merge", "Join STORES of the same kind into one store."),
    "reproduce": ("reproduce", "Run all sweeps of the paper, and compare them with its claims."),
}
"""Commands in the order of the help: module and summary."""

READERS = frozenset({"status", "watch", "query", "fit", "plot", "report"})
"""Commands that only read stores: they use no Dask, and their matrices are small."""

EXIT_CODES = """
\b
Exit codes
  0    success
  1    failure, or some trials failed or are damaged
  2    wrong usage or input
  3    the store still has pending trials
  130  interrupted
"""


COMPLETE = "_WIDTHLAW_COMPLETE"
"""The variable by which a shell asks click to complete a line."""


class _Commands(click.Group):
    """A group that imports a command when it is called, and reports an error in one line.

    With --debug, anywhere on the line, a traceback precedes it.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        command: click.Command = getattr(import_module(f"jobs.commands.{COMMANDS[name][0]}"), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in COMMANDS.items()])

    def main(self, args: Sequence[str] | None = None, *rest: Any, **kwargs: Any) -> Any:
        kwargs["standalone_mode"] = False
        words, debug = _without_debug(sys.argv[1:] if args is None else args)
        if args is None:  # a process of its own
            _lighten(words)
        completing = COMPLETE in os.environ  # the shell gets names, as bytes and of printable letters
        with nullcontext() if completing else escaped_output():
            code = self._exit_status(words, debug, *rest, **kwargs)
        interrupts.leave()
        sys.exit(code if isinstance(code, int) else 0)

    def _exit_status(self, words: list[str], debug: bool, *rest: Any, **kwargs: Any) -> Any:
        try:
            with interrupts.handled():
                return super().main(words, *rest, **kwargs)
        except (click.exceptions.Abort, KeyboardInterrupt):
            return INTERRUPTED
        except click.ClickException as error:
            error.show()
            return error.exit_code
        except Exception as error:
            if debug:
                traceback.print_exc()
            return _report(error)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:  # `widthlaw query ... | head`; click would make it a failure
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 0


def _without_debug(args: Sequence[str]) -> tuple[list[str], bool]:
    """Remove --debug from anywhere before a bare `--`."""
    words = list(args)
    end = words.index("--") if "--" in words else len(words)
    kept = [word for word in words[:end] if word != "--debug"]
    return kept + words[end:], len(kept) < end


def _lighten(words: Sequence[str]) -> None:
    """Spare a command that reads stores what it does not need, before NumPy and xarray are imported.

    Where Dask is installed, xarray imports it to ask of each array whether it is one of Dask's; that is
    a third of the time of a short command. Threads that wait for their part of a small matrix product
    take as much of the processor as the product itself.
    """
    if next((word for word in words if not word.startswith("-")), None) in READERS:
        sys.modules["dask"] = None  # type: ignore[assignment]
        for name in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS"):
            os.environ.setdefault(name, "1")


def _report(error: Exception) -> int:
    """Print one line on an error, and return the exit status."""
    from pipeline.errors import (
        ChunkDamaged,
        InputError,
        LeaseLost,
        StoreDamaged,
        StoreFull,
        WorkersLost,
        remedy,
    )

    if isinstance(error, StoreDamaged):  # Zarr's other reads are still under way: they end with Python
        logging.getLogger("asyncio").setLevel(logging.CRITICAL)
        sys.unraisablehook = lambda _: None

    if isinstance(error, InputError):
        _print(f"widthlaw: {error}")
        return 1 if isinstance(error, ChunkDamaged) else 2
    if isinstance(error, WorkersLost | LeaseLost):
        _print(f"widthlaw: {error}")
        return 1
    if isinstance(error, StoreFull):
        _print(
            f"widthlaw: store {error.filename}: stopped writing ({error.strerror}); its content is "
            "valid: see that there is space (or raise the limit on it) and that you may write there, "
            "or copy it elsewhere, and run the same command on it"
        )
        return 1
    if isinstance(error, MemoryError):
        _print("widthlaw: there is not enough memory for this (--debug shows where)")
        return 1
    if (shortage := _shortage(error)) is not None:
        _print(f"widthlaw: {shortage.strerror}: {remedy(shortage)}, and run the same command again")
        return 1
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        return _report_file(error)
    text = (str(error).splitlines() or ["it has no message"])[0]
    _print(f"widthlaw: an error that was not foreseen: {text} (--debug shows where)")
    return 1


def _report_file(error: OSError) -> int:
    """Print one line on a file that the system refuses, and return the exit status."""
    reason = f"{error.filename}: {(error.strerror or '').lower()}"
    if isinstance(error, PermissionError):
        _print(
            f"widthlaw: {reason}; you need the permission to use it and to enter the folders above it"
        )
        return 2
    _print(f"widthlaw: {reason} (--debug shows where)")
    return 1


def _shortage(error: BaseException | None) -> OSError | None:
    """Return the shortage of a resource behind an error; Dask wraps it in errors of its own."""
    from pipeline.errors import remedy

    while error is not None:
        if isinstance(error, OSError) and remedy(error):
            return error
        error = error.__cause__ or error.__context__
    return None


def _print(text: str) -> None:
    """Print an error; its further lines are indented, so that no foreign text poses as one of ours."""
    first, *others = text.split("\n")
    click.echo(
        "\n  ".join([first, *(line.removeprefix("  ") for line in others)]), err=True, color=True
    )


SETTINGS = {
    "help_option_names": ["-h", "--help"],
    "color": True,  # click removes nothing then: `escaped_output` shows all that others wrote
}


@click.group(cls=_Commands, context_settings=SETTINGS, epilog=EXIT_CODES)
@click.version_option(package_name="widthlaw")
@click.option("--debug", is_flag=True, help="Show tracebacks; allowed anywhere on the line.")
def main(debug: bool) -> None:
    """Measure how wide a network must be: sweeps, result stores, critical widths, scaling laws.

    SWEEP is a TOML file or the name of a bundled sweep (see `widthlaw sweeps`).
    """
