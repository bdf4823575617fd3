"""Options and arguments that several commands share, each defined once.

A decorator here gives a command its options and hands it one value for them.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

__all__ = ["FILE", "STORE", "computing", "judging", "listing"]


class _Store(click.ParamType):  # type: ignore[type-arg]
    """A store's path, or its URL as it stands: a Path would make one slash of two."""

    name = "path"

    def convert(self, value: Any, *_: Any) -> Any:
        return value if "://" in str(value) else Path(value)


STORE = _Store()
FILE = click.Path(path_type=Path)


def listing(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command --csv and --json; it gets the one that was asked for as `form`."""

    @click.option("--csv", is_flag=True, help="Print CSV.")
    @click.option("--json", is_flag=True, help="Print JSON.")
    @functools.wraps(command)
    def asked(*args: Any, csv: bool, json: bool, **kwargs: Any) -> None:
        if csv and json:
            raise click.UsageError("--csv and --json exclude each other; give one of them.")
        command(*args, form="csv" if csv else "json" if json else None, **kwargs)

    return asked


def computing(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command --workers, --scheduler and --profile, of which at most one is given."""

    @click.option(
        "--workers", type=click.IntRange(min=1), help="Worker processes.  [default: usable cores]"
    )
    @click.option(
        "--scheduler", metavar="ADDRESS", help="Use a running Dask scheduler, e.g. tls://10.0.0.1:8786."
    )
    @click.option(
        "--profile", help="Take workers or scheduler from a profile (see `widthlaw profiles`)."
    )
    @functools.wraps(command)
    def asked(
        *args: Any, workers: int | None, scheduler: str | None, profile: str | None, **kwargs: Any
    ) -> None:
        if scheduler is not None and not scheduler.strip():
            raise click.UsageError("--scheduler: no address; give one such as tls://10.0.0.1:8786.")
        given = {"workers": workers, "scheduler": scheduler, "profile": profile}
        told = [f"--{name}" for name, value in given.items() if value is not None]
        if len(told) > 1:
            raise click.UsageError(
                f"{' and '.join(told)} exclude each other: each says where the workers are."
            )
        command(*args, workplace=given, **kwargs)

    return asked


def judging(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command --threshold, --budget and --success; it gets one `analysis.success.Success`."""

    @click.option(
        "--threshold",
        type=click.FloatRange(0, 1, min_open=True, max_open=True),
        help="Success is sigma_min / sqrt(k) >= THRESHOLD * alpha; where trials descend it is refused."
        "  [default: 0.5]",
    )
    @click.option(
        "--budget",
        "budgets",
        type=click.IntRange(min=0),
        multiple=True,
        metavar="STEPS",
        help="Success is a loss at each tolerance within STEPS; may be repeated.  [default: all steps]",
    )
    @click.option(
        "--success",
        metavar="EXPRESSION",
        help="Success is what holds of a trial, such as 'steps_to_tolerance(1e-4) <= 20000'.",
    )
    @functools.wraps(command)
    def asked(
        *args: Any,
        threshold: float | None,
        budgets: tuple[int, ...],
        success: str | None,
        **kwargs: Any,
    ) -> None:
        if success is not None and (threshold is not None or budgets):
            raise click.UsageError("--success says it all: leave --threshold and --budget out.")
        from analysis.success import Success

        command(*args, success=Success(threshold, budgets or None, success), **kwargs)

    return asked
