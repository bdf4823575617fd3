"""Options and arguments that several commands share, each defined once.

A decorator adds options to a command and passes their values as one argument.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

__all__ = [
    "FILE",
    "PORT",
    "PROFILE",
    "SHARE",
    "STORE",
    "SWEEP",
    "WholeRange",
    "accept_option",
    "along_options",
    "among",
    "code_option",
    "complete_activation",
    "force_option",
    "lapse_option",
    "listing_options",
    "success_options",
    "width_only_option",
    "worker_options",
]


class _Store(click.ParamType):  # type: ignore[type-arg]
    """The path of a store, or its URL unchanged: a Path would merge the two slashes."""

    name = "path"

    def convert(self, value: Any, *_: Any) -> Any:
        return value if "://" in str(value) else Path(value)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        return [CompletionItem(incomplete, type="dir")]


class _Sweep(click.ParamType):  # type: ignore[type-arg]
    """The path of a sweep, or the name of a bundled one, which the shell completes."""

    name = "sweep"

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        from pipeline.sweep_files.load import bundled_sweeps

        known = [CompletionItem(name) for name in bundled_sweeps() if name.startswith(incomplete)]
        return known or [CompletionItem(incomplete, type="file")]


class _Profile(click.ParamType):  # type: ignore[type-arg]
    """The name of a profile, which the shell completes, or a file."""

    name = "profile"

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        from jobs.cluster.profile import profile_files

        names = [name for name in profile_files() if name.isprintable()]
        known = [CompletionItem(name) for name in names if name.startswith(incomplete)]
        return known or [CompletionItem(incomplete, type="file")]


class _Share(click.ParamType):  # type: ignore[type-arg]
    """A share of a whole, such as 2% or 0.02."""

    name = "share"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, float):
            return value
        text = str(value).strip()
        try:
            share = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
        except ValueError:
            self.fail(f"got {text!r}, expected a share such as 2% or 0.02.", param, ctx)
        if not 0 < share < 1:
            self.fail(f"got {text}, expected a share between 0 and 100%, such as 2%.", param, ctx)
        return share


class WholeRange(click.IntRange):
    """A whole number within a range, which may be written as 1e5."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return super().convert(_as_whole(value), param, ctx)


def _as_whole(value: Any) -> Any:
    """Return the whole number that a text such as 1e5 means; anything else unchanged."""
    if not (isinstance(value, str) and re.fullmatch(r"[+-]?[\d.]+[eE]\+?\d{1,3}", value.strip())):
        return value
    with suppress(ValueError, OverflowError):
        number = float(value)
        if number.is_integer() and abs(number) <= 2**53:
            return int(number)
    return value


def among(*names: str) -> Callable[..., list[str]]:
    """Return the completion of a value that is one of some names, for the shell."""
    return lambda ctx, param, incomplete: [name for name in names if name.startswith(incomplete)]


def complete_activation(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Return the activations that start with what is written, for the shell."""
    from pipeline.numerics.activations import ACTIVATIONS

    return [name for name in ACTIVATIONS if name.startswith(incomplete)]


STORE = _Store()
SWEEP = _Sweep()
PROFILE = _Profile()
SHARE = _Share()
FILE = click.Path(path_type=Path)
PORT = click.IntRange(0, 65535)


def listing_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add --csv and --json; the command gets `form`: "csv", "json", or None for text."""

    @click.option("--csv", is_flag=True, help="Print CSV.")
    @click.option("--json", is_flag=True, help="Print JSON.")
    @functools.wraps(command)
    def wrapped(*args: Any, csv: bool, json: bool, **kwargs: Any) -> None:
        if csv and json:
            raise click.UsageError("--csv and --json exclude each other; give one of them.")
        command(*args, form="csv" if csv else "json" if json else None, **kwargs)

    return wrapped


def code_option(command: Callable[..., None]) -> Callable[..., None]:
    """Add --code, the file of an experiment of one's own: the command gets its path, or None."""
    option = click.option(
        "--code",
        type=FILE,
        metavar="FILE",
        help="The file whose function the trials of STORE run; a store keeps no code.",
    )
    return option(command)


def accept_option(command: Callable[..., None]) -> Callable[..., None]:
    """Add --accept-code: the command gets `accept_code`."""
    option = click.option(
        "--accept-code",
        is_flag=True,
        help="Go on with code that has changed but gives the same values; the store records it.",
    )
    return option(command)


def worker_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add --workers, --scheduler and --profile, of which at most one may be given, and --dashboard.

    The command gets `workplace`, the keywords of `launch.cluster`.
    """

    @click.option(
        "--workers",
        type=click.IntRange(min=1),
        help="Worker processes.  [default: usable cores; none for trials of less than a second]",
    )
    @click.option(
        "--scheduler", metavar="ADDRESS", help="Use a running Dask scheduler, e.g. tls://10.0.0.1:8786."
    )
    @click.option(
        "--profile",
        type=PROFILE,
        metavar="PROFILE",
        help="Take workers or scheduler from a profile (see `widthlaw profiles`).",
    )
    @click.option(
        "--dashboard/--no-dashboard",
        default=None,
        help="Dask's dashboard of workers on this machine; any user of this machine can read it."
        "  [default: if the run takes long enough to look]",
    )
    @functools.wraps(command)
    def wrapped(
        *args: Any,
        workers: int | None,
        scheduler: str | None,
        profile: str | None,
        dashboard: bool | None,
        **kwargs: Any,
    ) -> None:
        if scheduler is not None and not scheduler.strip():
            raise click.UsageError("--scheduler: no address; give one such as tls://10.0.0.1:8786.")
        workplace = {"workers": workers, "scheduler": scheduler, "profile": profile}
        given = [f"--{name}" for name, value in workplace.items() if value is not None]
        if len(given) > 1:
            raise click.UsageError(
                f"{' and '.join(given)} exclude each other: each of them selects the workers."
            )
        command(*args, workplace={**workplace, "dashboard": dashboard}, **kwargs)

    return wrapped


force_option = click.option(
    "--force", is_flag=True, help="Start workers even if their memory is too small by the estimate."
)


def along_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add --along, --direction and --scale; the command gets one `Along`."""

    @click.option(
        "--along",
        default="width",
        show_default=True,
        metavar="AXIS",
        help="Axis of the transition: width, or n, angle, a parameter, ... at each fixed width.",
    )
    @click.option(
        "--direction",
        metavar="WORD",
        shell_complete=among("rising", "falling"),
        help="rising or falling success along AXIS.  [default: rising along width, else by the data]",
    )
    @click.option(
        "--scale",
        metavar="WORD",
        shell_complete=among("log", "linear"),
        help="Curve in the log of AXIS, or linear.  [default: log if all values are positive]",
    )
    @functools.wraps(command)
    def wrapped(
        *args: Any, along: str, direction: str | None, scale: str | None, **kwargs: Any
    ) -> None:
        from analysis.transitions.scales import Along

        command(*args, along=Along(along, direction, scale), **kwargs)

    return wrapped


def width_only_option(command: Callable[..., None]) -> Callable[..., None]:
    """Add --along to a command whose pages are along the width; it names the commands for others."""

    def check(ctx: click.Context, param: click.Parameter, value: str) -> None:
        if value != "width":
            raise click.UsageError(
                f"--along {value}: a page of `{ctx.info_name}` is along the width, as are its diagram, "
                f"laws and claims; `widthlaw fit STORE --along {value}` has the critical values of "
                f"another axis, and `widthlaw plot STORE --along {value}` their figures."
            )

    option = click.option(
        "--along",
        default="width",
        show_default=True,
        metavar="AXIS",
        expose_value=False,
        callback=check,
        help="Only width: `fit` and `plot` have the answer along another axis.",
    )
    return option(command)


def lapse_option(command: Callable[..., None]) -> Callable[..., None]:
    """Add --lapse and --lapse-each; the command gets `lapse`: False, True or "cell"."""

    @click.option(
        "--lapse",
        is_flag=True,
        help="Fit curves that end below 1, as some trials fail at any size: one rate for all n and d.",
    )
    @click.option("--lapse-each", is_flag=True, help="The same, with a rate for each cell.")
    @functools.wraps(command)
    def wrapped(*args: Any, lapse: bool, lapse_each: bool, **kwargs: Any) -> None:
        command(*args, lapse="cell" if lapse_each else lapse, **kwargs)

    return wrapped


def success_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add --threshold, --budget and --success; the command gets one `analysis.success.Success`."""

    @click.option(
        "--threshold",
        type=click.FloatRange(0, 1, min_open=True, max_open=True),
        help="Success is sigma_min / sqrt(k) >= THRESHOLD * alpha, or ntk_min >= THRESHOLD * "
        "ntk_population in stores of tangent; not valid for descent sweeps."
        "  [default: 0.5]",
    )
    @click.option(
        "--budget",
        "budgets",
        type=WholeRange(min=0),
        multiple=True,
        metavar="STEPS",
        help="Success is reaching each tolerance within STEPS steps; may be repeated."
        "  [default: all steps]",
    )
    @click.option(
        "--success",
        "condition",
        metavar="EXPRESSION",
        help="Success is a condition on the stored variables, such as"
        " 'steps_to_tolerance[1e-4] <= 20000'; replaces --threshold and --budget.",
    )
    @functools.wraps(command)
    def wrapped(
        *args: Any,
        threshold: float | None,
        budgets: tuple[int, ...],
        condition: str | None,
        **kwargs: Any,
    ) -> None:
        from analysis.success import Success

        if condition is not None and (threshold is not None or budgets):
            raise click.UsageError(
                "--success replaces --threshold and --budget; give one or the other."
            )
        command(*args, success=Success(threshold, budgets or None, condition), **kwargs)

    return wrapped
