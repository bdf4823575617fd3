"""What the command line prints: records as aligned text, CSV or JSON on stdout."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from pipeline.sweep import Sweep

__all__ = [
    "aligned",
    "plan_records",
    "print_fit",
    "print_frame",
    "print_records",
    "status_records",
    "sweep_records",
]

Record = dict[str, Any]

CELL_COLUMNS = [
    "outcome",
    "k50",
    "k50_low",
    "k50_high",
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
        click.echo(json.dumps(records, indent=2))
    elif form == "csv":
        import csv

        writer = csv.DictWriter(sys.stdout, list(records[0]) if records else [])
        writer.writeheader()
        writer.writerows(records)
    else:
        click.echo(aligned(records))


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


def plan_records(sweep: Sweep, path: Path) -> list[Record]:
    """What a run of the sweep would do."""
    from pipeline.blocks import blocks, estimated_seconds, seeds_per_block, tasks, variables

    cut = list(blocks(sweep, seeds_per_block(sweep)))
    plan = {
        "store": str(path),
        "exists": path.exists(),
        "identity": sweep.identity[:12],
        "trials": sweep.trials,
        "blocks": len(cut),
        "tasks": sum(1 for _ in tasks(cut)),
        "longest block, s": round(max(block.seconds for block in cut), 2),
        "files, at most": len(cut) * (len(variables(sweep)) + 1) + 40,
        "core-hours": round(estimated_seconds(sweep) / 3600, 4),
    }
    return [{"plan": key, "value": str(value)} for key, value in plan.items()]


def status_records(path: Path) -> tuple[list[Record], bool]:
    """Trials by status, and whether none is pending."""
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
    }
    return [record], found["pending"] == 0


def print_frame(frame: pd.DataFrame, form: str | None) -> None:
    """Print a table as text, CSV or JSON."""
    if form == "csv":
        frame.to_csv(sys.stdout, index=False)
    elif form == "json":
        click.echo(frame.to_json(orient="records", indent=2, double_precision=15))
    else:
        click.echo(frame.to_string(index=False) if len(frame) else "(no trial)")


def print_fit(path: Path, threshold: float, form: str | None) -> bool:
    """Print critical widths and laws of a store; return whether all its trials were there."""
    from analysis import critical_widths, fit_laws, open_store
    from analysis.scaling import distinguishable
    from pipeline.store import counts

    widths = critical_widths(open_store(path), threshold)
    cells = _cell_frame(widths)
    laws: pd.DataFrame | None = None
    try:
        laws = fit_laws(widths)
        verdict = distinguishable(laws)
    except ValueError as error:
        verdict = str(error)
    if form == "csv":
        print_frame(cells, form)
    elif form == "json":
        parts = {"store": str(path), "critical_widths": _plain(cells), "verdict": verdict}
        click.echo(json.dumps(parts | {"laws": [] if laws is None else _plain(laws)}, indent=2))
    else:
        click.echo(f"{path}: critical widths at sigma_min/sqrt(k) >= {threshold:g} alpha")
        print_frame(cells.round(4), None)
        click.echo("\nlaws, by AICc")
        if laws is not None:
            print_frame(_compact(laws), None)
        click.echo(verdict)
    pending = counts(path)["pending"]
    if pending:
        click.echo(f"{path}: {pending} trials pending; fitted with what is there", err=True)
    return pending == 0


def _cell_frame(widths: xr.Dataset) -> pd.DataFrame:
    """One row per cell that the sweep asked for."""
    frame = widths[CELL_COLUMNS].to_dataframe().reset_index()
    return frame[(frame["outcome"] != "empty") | (frame["pending"] > 0)]


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


def _plain(frame: pd.DataFrame) -> list[Record]:
    records: list[Record] = json.loads(frame.to_json(orient="records", double_precision=15))
    return records
