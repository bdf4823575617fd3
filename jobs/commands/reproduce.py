"""`widthlaw reproduce`: all sweeps of the paper, their figures, a table of claims, and a report.

Each row of the table has a claim of the paper, the measurement, and the verdict (`analysis.claims`).
"""

from __future__ import annotations

import io
import re
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from jobs.options import FILE, force_option, worker_options
from jobs.output.files import check_outputs, make_folder, overwrite_option
from jobs.output.spreadsheet import write_rows

if TYPE_CHECKING:
    from analysis.claims import Claim
    from analysis.study import Study
    from pipeline.sweep import Sweep

__all__ = ["PAPER", "reproduce"]

PAPER = (
    "linear-regression",
    "theorem1",
    "input-layer",
    "budget",
    "output-layer",
    "joint",
    "depth",
    "theorem2",
    "theorem2-proof",
    "alpha-stress",
    "figure1",
    "spectrum-evolution",
    "generalisation",
)
FULL_FACTOR = 5


@click.command()
@click.option(
    "-o", "--output", type=FILE, default=Path("reproduction"), show_default=True, help="Folder."
)
@click.option("--full", is_flag=True, help="Run five times the seeds, in about five times the time.")
@overwrite_option
@worker_options
@force_option
def reproduce(
    output: Path, full: bool, overwrite: bool, workplace: dict[str, Any], force: bool
) -> None:
    """Run all sweeps of the paper, and compare them with its claims.

    The folder gets a store and figures for each sweep, claims.csv and report.html. The same command
    again replaces them.
    """
    from analysis.claims import claims
    from analysis.scaling import distinguishable, fit_laws, rule_of_words
    from analysis.stores import load_store
    from analysis.study import Study
    from jobs import launch
    from jobs.commands.plot import draw_store
    from pipeline.execution.memory import worker_memory

    began = time.perf_counter()
    sweeps = [_sweep(name, full) for name in PAPER]
    stores = {sweep.name: output / f"{sweep.name}.zarr" for sweep in sweeps}
    make_folder("reproduce -o", output)
    own = any(store.exists() for store in stores.values())
    check_outputs("reproduce -o", [output / "claims.csv", output / "report.html"], overwrite or own)
    for sweep in sweeps:
        launch.is_complete(sweep, stores[sweep.name])
    launch.check_memory(max(sweeps, key=worker_memory), workplace, force)
    with launch.cluster(**workplace) as client:
        codes = [
            launch.report_run(stores[sweep.name], launch.run_sweep(sweep, stores[sweep.name], client))
            for sweep in sweeps
        ]
    studies = {name: Study(load_store(store)) for name, store in stores.items()}
    drawn = {
        name: draw_store(study, stores[name], output=output, overwrite=True)
        for name, study in studies.items()
    }
    pictures = [file for files in drawn.values() for file in files]
    click.echo("stores\n" + "\n".join(f"  {store}" for store in stores.values()))
    click.echo("pictures\n" + "\n".join(f"  {file}" for file in pictures) + "\n")
    rows = list(claims(studies.values()))
    click.echo(_as_text(rows))
    (output / "claims.csv").write_text(_as_csv(rows))
    for name in ("theorem2", "input-layer"):
        click.echo(f"\nlaws of {name}: {distinguishable(fit_laws(studies[name].widths))}")
    click.echo(rule_of_words())
    click.echo(f"\n{_report(studies, stores, drawn, output / 'report.html')}")
    click.echo(f"{time.perf_counter() - began:.0f} s", err=True)
    sys.exit(max(codes))


def _report(
    studies: Mapping[str, Study],
    stores: Mapping[str, Path],
    drawn: Mapping[str, list[Path]],
    file: Path,
) -> Path:
    """Write the report with the figures already drawn; it names stores without their folders."""
    from analysis.report import report_page
    from jobs.commands.report import save_report

    names = {name: f"{name}.zarr" for name in studies}
    svgs = {
        names[name]: {
            path.stem.removeprefix(f"{stores[name].stem}-"): path.read_text()
            for path in files
            if path.suffix == ".svg"
        }
        for name, files in drawn.items()
    }
    save_report(report_page({names[name]: study for name, study in studies.items()}, svgs), file)
    return file


def _sweep(name: str, full: bool) -> Sweep:
    from pipeline.sweep_files.load import load_sweep, parse_sweep

    sweep = load_sweep(name)
    if not full:
        return sweep
    text = re.sub(r"(?m)^seeds = .*$", f"seeds = {FULL_FACTOR * len(sweep.seeds)}", sweep.text)
    return parse_sweep(text, name)


def _as_text(rows: list[Claim]) -> str:
    """Return claims as text, with measurement and verdict on lines of their own to fit a terminal."""
    return "\n".join(
        f"{row.claim}\n    measured  {row.measured}\n    verdict   {row.verdict}" for row in rows
    )


def _as_csv(rows: list[Claim]) -> str:
    text = io.StringIO()
    cells = ([row.claim, row.measured, row.verdict] for row in rows)
    write_rows(["claim", "measured", "verdict"], cells, text)
    return text.getvalue()
