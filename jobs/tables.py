"""What the command line prints: records as aligned text, CSV or JSON on stdout, gaps on stderr.

JSON is strict and in full precision: null where a number is missing. An infinite one is null too in a
list of trials, where the status tells the two apart; of a fit it is the string "inf".
"""

from __future__ import annotations

import json
import math
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from pipeline.places import Where
    from pipeline.sweep import Sweep

__all__ = [
    "INCOMPLETE",
    "Record",
    "aligned",
    "asking",
    "plan_records",
    "print_fits",
    "print_frame",
    "print_records",
    "profile_records",
    "say_gaps",
    "status_records",
    "sweep_records",
]

Record = dict[str, Any]

FAILED = 1
INCOMPLETE = 3
"""Exit statuses of a store with failed trials, and of one with pending trials."""

OPTIONS = {"budgets:": "--budget:", "threshold:": "--threshold:"}
"""What the parameters of the analysis are called on the command line."""

CELL_COLUMNS = [
    "outcome",
    "k50",
    "k50_low",
    "k50_high",
    "bracket_low",
    "bracket_high",
    "transition_width",
    "k_crossing",
    "k_edge",
    "k_edge_finite",
    "alpha",
    "seeds",
    "pending",
]


def print_records(records: list[Record], form: str | None) -> None:
    """Print records with the same keys, as text, CSV or JSON."""
    if form == "json":
        click.echo(_json(records))
    elif form == "csv":
        import csv

        columns = list(records[0]) if records else []
        writer = csv.DictWriter(sys.stdout, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(records)
    else:
        click.echo(aligned(records))


def _json(value: object) -> str:
    return json.dumps(value, indent=2, allow_nan=False)


def aligned(records: list[Record]) -> str:
    """Lay records out in columns, numbers to the right."""
    if not records:
        return "(nothing)"
    columns = [[name, *(_text(record[name]) for record in records)] for name in records[0]]
    numeric = [all(isinstance(record[name], int | float) for record in records) for name in records[0]]
    sides = [
        [
            cell.rjust(max(map(len, column))) if right else cell.ljust(max(map(len, column)))
            for cell in column
        ]
        for column, right in zip(columns, numeric, strict=True)
    ]
    return "\n".join("  ".join(row).rstrip() for row in zip(*sides, strict=True))


def _text(value: object) -> str:
    if isinstance(value, float):
        return "-" if value != value else f"{value:.4g}"
    return str(value)


def sweep_records() -> list[Record]:
    """One record per bundled sweep; the first comment of its file says what it is for."""
    from pipeline.blocks import estimated_seconds
    from pipeline.sweep_file import bundled_sweeps, load_sweep

    records = []
    for name, file in bundled_sweeps().items():
        sweep = load_sweep(file)
        records.append(
            {
                "sweep": name,
                "experiment": sweep.experiment,
                "trials": sweep.trials,
                "core-seconds": round(estimated_seconds(sweep), 1),
                "about": sweep.text.splitlines()[0].lstrip("# "),
            }
        )
    return records


def profile_records() -> list[Record]:
    """One record per profile; one that cannot be read is told among the others."""
    from jobs.profile import profile_files

    return [_profile_record(name, file) for name, file in profile_files().items()]


def _profile_record(name: str, file: Path) -> Record:
    from jobs.profile import ProfileError, is_bundled, load_profile
    from jobs.queues import why_unusable

    try:
        profile = load_profile(file)
        system, about, why_not = profile.system, profile.about, why_unusable(profile)
    except ProfileError as error:
        system, about, why_not = "-", "", "; ".join(map(str.strip, str(error).splitlines()))
    return {
        "profile": name,
        "system": system,
        "usable": "no" if why_not else "yes",
        "from": "bundled" if is_bundled(file) else str(file),
        "about": about,
        "why not": why_not or "",
    }


def plan_records(sweep: Sweep, path: Where, retry_failed: bool = False) -> list[Record]:
    """What a run of the sweep would do, where something is there already: what is left of it."""
    from pipeline.blocks import block_shape, blocks, tasks, variables
    from pipeline.places import place
    from pipeline.store import check_target, todo

    check_target(path, sweep)
    resumed = place(path).exists()
    cut = list(todo(path, sweep, retry_failed) if resumed else blocks(sweep, *block_shape(sweep)))
    plan = {
        "store": str(path),
        "exists": resumed,
        "identity": sweep.identity[:12],
        "trials": sweep.trials,
        "trials to compute": sum(block.trials for block in cut),
        "blocks": len(cut),
        "tasks": sum(1 for _ in tasks(cut)),
        "longest block, s": round(max((block.seconds for block in cut), default=0.0), 2),
        "new files, at most": len(cut) * (len(variables(sweep)) + 1) + 40,
        "core-hours": round(sum(block.seconds for block in cut) / 3600, 4),
    }
    return [{"plan": key, "value": str(value)} for key, value in plan.items()]


def status_records(path: Where) -> list[Record]:
    """Trials by status, the time that is left, and who is at it."""
    from jobs.runs import told
    from pipeline.places import normal
    from pipeline.store import check_store, counts

    attributes = check_store(path)
    found = counts(path)
    asked = sum(found.values()) - found["excluded"]
    share = found["pending"] / asked if asked else 0.0
    record = {
        "store": str(path),
        "name": attributes["name"],
        "experiment": attributes["experiment"],
        "trials": asked,
        **{word: found[word] for word in ("done", "failed", "diverged", "pending")},
        "core-seconds left": round(share * attributes["estimated_seconds"], 1),
        "run": told(normal(path), found["pending"]),
    }
    return [record]


def say_gaps(path: Where, then: str, *, explain: bool = True) -> int:
    """Say on stderr which trials of a store are missing, and return the exit status.

    Parameters
    ----------
    path
        The store.
    then
        What follows for the command where trials are pending.
    explain
        Whether to say why trials failed, and how to list them.
    """
    from pipeline.store import counts, messages

    found = counts(path)
    if found["pending"]:
        click.echo(f"{path}: {_trials(found['pending'])} pending; {then}", err=True)
    if found["failed"]:
        way = f"; `widthlaw query {path} \"status == 'failed'\"` lists them" if explain else ""
        click.echo(f"{path}: {_trials(found['failed'])} failed{way}", err=True)
        for message, times in messages(path) if explain else []:
            click.echo(f"  {times} x {message}", err=True)
    return INCOMPLETE if found["pending"] else FAILED if found["failed"] else 0


def _trials(number: int) -> str:
    return f"{number} trial" if number == 1 else f"{number} trials"


@contextmanager
def asking(command: str, path: Where) -> Iterator[None]:
    """Let errors of the input name the command, its options, and the store that was asked."""
    from pipeline.errors import InputError, StoreError

    try:
        yield
    except StoreError:
        raise  # it names the store
    except InputError as error:
        text = str(error)
        if text.startswith(f"{command} "):
            raise
        for parameter, option in OPTIONS.items():
            text = text.replace(parameter, option)
        raise InputError(f"{command} {path}: {text}") from error


def print_frame(frame: pd.DataFrame, form: str | None) -> None:
    """Print a table as text, CSV or JSON."""
    if form == "csv":
        frame.to_csv(sys.stdout, index=False, lineterminator="\n")
    elif form == "json":
        click.echo(_json(_plain(frame)))
    else:
        click.echo(frame.to_string(index=False) if len(frame) else "(no trial)")


def print_fits(paths: Sequence[Where], judged: Mapping[str, Any], form: str | None) -> int:
    """Print critical widths and laws of stores; return the exit status.

    `judged` says what success is, as keywords of `critical_widths`.
    """
    fits = [_Fit.of(path, judged) for path in paths]
    if form == "json":
        records = [fit.record() for fit in fits]
        click.echo(_json(records[0] if len(records) == 1 else records))
    elif form == "csv":
        import pandas as pd

        frames = [fit.cells.assign(store=str(fit.path)) for fit in fits]
        whole = pd.concat(frames, ignore_index=True)
        print_frame(whole if len(fits) > 1 else whole.drop(columns="store"), form)
    else:
        for fit in fits:
            fit.show()
    return max(say_gaps(path, "fitted with what is there") for path in paths)


@dataclass(frozen=True)
class _Fit:
    """The critical widths of a store, one row per cell, and the laws where there are enough."""

    path: Where
    rule: str
    cells: pd.DataFrame
    laws: pd.DataFrame | None
    verdict: str

    @classmethod
    def of(cls, path: Where, judged: Mapping[str, Any]) -> _Fit:
        from analysis import critical_widths, fit_laws, open_store
        from analysis.scaling import distinguishable

        ds = open_store(path)
        with asking("fit", path):
            if judged["success"] is None:
                _check_rule(ds, path)
            widths = critical_widths(ds, **judged)
        known = path, str(widths.attrs["rule"]), _cell_frame(widths)
        try:
            with warnings.catch_warnings(record=True) as notes:
                warnings.simplefilter("always", UserWarning)
                laws = fit_laws(widths)
        except ValueError as error:
            return cls(*known, None, str(error))
        for note in notes:
            click.echo(f"{path}: {note.message}", err=True)
        return cls(*known, laws, distinguishable(laws))

    def record(self) -> Record:
        laws = [] if self.laws is None else _plain(self.laws, "inf")
        cells = _plain(self.cells, "inf")
        parts = {"store": str(self.path), "rule": self.rule, "critical_widths": cells}
        return parts | {"verdict": self.verdict, "laws": laws}

    def show(self) -> None:
        click.echo(f"{self.path}: critical widths at {self.rule}")
        print_frame(_legible(self.cells), None)
        click.echo("\nlaws, by AICc")
        if self.laws is not None:
            print_frame(_legible(_compact(self.laws)), None)
        click.echo(self.verdict)


def _check_rule(ds: xr.Dataset, path: Where) -> None:
    """Refuse a store without success at the command line's own level: it can pass no other rule."""
    from pipeline.errors import InputError

    if "steps_to_tolerance" not in ds and not {"sigma_min", "alpha"} <= set(ds):
        raise InputError(
            f"a store of {ds.attrs['experiment']} has no success that a critical width could be "
            f"fitted to; say what it is with --success, or `widthlaw plot {path}` draws what it holds"
        )


def _cell_frame(widths: xr.Dataset) -> pd.DataFrame:
    """One row per cell that the sweep asked for."""
    frame = widths[[name for name in CELL_COLUMNS if name in widths]].to_dataframe().reset_index()
    for end in ("bracket_low", "bracket_high"):
        frame[end] = frame[end].round()  # widths, that went through a logarithm
    return frame[(frame["outcome"] != "empty") | (frame["pending"] > 0)]


def _legible(frame: pd.DataFrame) -> pd.DataFrame:
    """Four decimals, but a tolerance as it was written: 1e-8 is not 0."""
    written = {"tolerance": [f"{at:g}" for at in frame["tolerance"]]} if "tolerance" in frame else {}
    return frame.round(4).assign(**written)


def _compact(laws: pd.DataFrame) -> pd.DataFrame:
    """The columns of the laws that a terminal has room for; JSON has them all."""
    groups = list(laws.columns[: laws.columns.get_loc("law")])
    shown = laws[[*groups, "formula", "constant"]].copy()
    shown["constant"] = [f"{value:.3g}" for value in laws["constant"]]
    shown["exponents"] = [_exponents(row) for _, row in laws.iterrows()]
    shown["rms"] = laws["rms_log_residual"].round(3)
    shown["delta AICc"] = laws["delta_aicc"].round(1)
    shown["weight"] = laws["weight"].round(3)
    shown["rms, largest n left out"] = laws["error_largest_n"].round(3)
    return shown


def _exponents(law: pd.Series[Any]) -> str:
    """`a = 1.01 [0.98, 1.04]` for each exponent that was fitted."""
    known = [name for name in ("n", "d", "alpha") if law[f"exponent_{name}"] == law[f"exponent_{name}"]]
    return ", ".join(
        f"{name}^{law[f'exponent_{name}']:.2f} "
        f"[{law[f'exponent_{name}_low']:.2f}, {law[f'exponent_{name}_high']:.2f}]"
        for name in known
    )


def _plain(frame: pd.DataFrame, infinite: str | None = None) -> list[Record]:
    """Records of what JSON knows, to the last digit."""
    columns = [[_strict(value, infinite) for value in frame[name].tolist()] for name in frame]
    return [dict(zip(frame.columns, row, strict=True)) for row in zip(*columns, strict=True)]


def _strict(value: Any, infinite: str | None) -> Any:
    if not isinstance(value, float) or math.isfinite(value):
        return value
    if math.isnan(value) or infinite is None:
        return None
    return infinite if value > 0 else f"-{infinite}"
