"""`widthlaw reproduce`: all sweeps of the paper, their figures, a table of claims, and a report.

Each row of the table has a claim of the paper or a finding, the measurement, and the verdict
(`analysis.claims`). The terminal gets one screenful, with the answer; the report has everything.
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
    from analysis.claims import Claim, Mark
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
    again replaces them. It ends with the number of claims that hold, are loose and depart, and with
    the numbers of the answer.
    """
    from analysis.claims import claims, place_of
    from analysis.stores import load_store
    from analysis.study import Study
    from jobs import launch
    from jobs.commands.plot import draw_store
    from pipeline.execution.memory import worker_memory

    began = time.perf_counter()
    sweeps = [_sweep(name, full) for name in PAPER]
    stores = {sweep.name: output / f"{sweep.name}.zarr" for sweep in sweeps}
    launch.check_memory(max(sweeps, key=worker_memory), workplace, force)
    make_folder("reproduce -o", output)
    own = any(store.exists() for store in stores.values())
    check_outputs("reproduce -o", [output / "claims.csv", output / "report.html"], overwrite or own)
    for sweep in sweeps:
        launch.is_complete(sweep, stores[sweep.name])
    with launch.cluster(**workplace) as client:
        codes = [
            launch.report_run(stores[sweep.name], launch.run_sweep(sweep, stores[sweep.name], client))
            for sweep in sweeps
        ]
    studies = {name: Study(load_store(stores[name])) for name in sorted(stores, key=place_of)}
    drawn = {
        name: draw_store(study, stores[name], output=output, overwrite=True)
        for name, study in studies.items()
    }
    rows = list(claims(studies.values()))
    (output / "claims.csv").write_text(_as_csv(rows))
    report = _report(studies, stores, drawn, output / "report.html")
    pictures = sum(len(files) for files in drawn.values())
    click.echo(_screenful(rows, report, f"{len(stores)} stores, {pictures} pictures"))
    click.echo(f"{time.perf_counter() - began:.0f} s", err=True)
    sys.exit(max(codes))


def _screenful(rows: list[Claim], report: Path, others: str) -> str:
    """Return the claims counted by verdict, the numbers of the answer, and where the rest is."""
    from analysis.claims import WORDS
    from analysis.claims.answer import headlines, tally

    found = tally(rows)
    numbers = headlines(rows)
    lines = [
        f"{found.total()} claims of the paper",
        *(f"  {count:>3}  {WORDS[mark]}" for mark, count in sorted(found.items(), key=_by_word)),
        "",
        "Numbers: median (least to largest)",
        *(f"  {number.label}\n      {number.text}" for number in numbers),
        "",
        f"{report}: all claims and findings, figures and data",
        f"{report.parent / 'claims.csv'}: the same rows; beside it {others}",
    ]
    return "\n".join(lines)


def _by_word(item: tuple[Mark, int]) -> int:
    """Return the place of a verdict: those that hold are first."""
    from analysis.claims import WORDS

    return list(WORDS).index(item[0])


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


def _as_csv(rows: list[Claim]) -> str:
    text = io.StringIO()
    cells = (
        [row.claim, row.measured, row.verdict, "paper" if row.of_paper else "finding", row.criterion]
        for row in rows
    )
    write_rows(["claim", "measured", "verdict", "kind", "criterion"], cells, text)
    return text.getvalue()
