"""`widthlaw reproduce`: all sweeps of the paper, their figures, a table of claims, and a report.

Each row of the table has a claim of the paper or a finding, the measurement, and the verdict
(`analysis.claims`). The workers draw the figures of a sweep while they compute the next one, and table
and report grow with each sweep (`jobs.gallery`). At the end the terminal gets one screenful, with the
answer; the report has everything.
"""

from __future__ import annotations

import io
import re
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from jobs.options import FILE, force_option, worker_options
from jobs.output.files import check_outputs, draft_of, make_folder, overwrite_option
from jobs.output.spreadsheet import write_rows

if TYPE_CHECKING:
    from analysis.claims import Claim, Mark
    from analysis.report.sections import Section
    from pipeline.sweep import Sweep

__all__ = ["PAPER", "reproduce"]

PAPER = (
    "theorem2-proof",
    "theorem2",
    "alpha-stress",
    "figure1",
    "spectrum-evolution",
    "linear-regression",
    "output-layer",
    "input-layer",
    "budget",
    "input-scaling-small",
    "joint",
    "depth",
    "theorem1",
    "generalisation",
)
"""The sweeps in the order in which they run.

The first takes a second and compiles nothing slow, so that a figure comes soon. The last has few
figures: nothing else is left to compute while they are drawn.
"""

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

    The folder gets a store and figures for each sweep, claims.csv and report.html, which are there from
    the first sweep on. The same command again resumes, and draws everything again. It ends with the
    number of claims that hold, are loose and depart, and with the numbers of the answer.
    """
    from analysis.claims import place_of
    from jobs import interrupts, launch
    from jobs.gallery import Gallery
    from pipeline.execution.memory import worker_memory

    began = time.perf_counter()
    sweeps = [_sweep(name, full) for name in PAPER]
    stores = {name: output / f"{name}.zarr" for name in sorted(PAPER, key=place_of)}
    launch.check_memory(max(sweeps, key=worker_memory), workplace, force)
    make_folder("reproduce -o", output)
    own = any(store.exists() for store in stores.values())
    check_outputs("reproduce -o", [output / "claims.csv", output / "report.html"], overwrite or own)
    for sweep in sweeps:
        launch.is_complete(sweep, stores[sweep.name])
    codes = []
    with launch.cluster(**workplace) as client:
        gallery = Gallery(client, stores, partial(_publish, output))
        for sweep in sweeps:
            store = stores[sweep.name]
            outcome = launch.run_sweep(sweep, store, client, meanwhile=gallery.collect)
            codes.append(launch.report_run(store, outcome))
            gallery.add(sweep.name)
        try:
            gallery.finish(interrupts.check)
        except KeyboardInterrupt:
            click.echo("\ninterrupted; all trials are stored; the same command draws them", err=True)
            raise
    for problem in gallery.problems:
        click.echo(problem, err=True)
    pictures = sum(len(shown.files) for shown in gallery.shown.values())
    others = f"{len(stores)} stores, {pictures} pictures"
    click.echo(_screenful(_rows(gallery.sections), output / "report.html", others))
    click.echo(f"{time.perf_counter() - began:.0f} s", err=True)
    sys.exit(max(*codes, bool(gallery.problems)))


def _rows(sections: Sequence[Section]) -> list[Claim]:
    return [row for section in sections for row in section.claims]


def _publish(output: Path, sections: Sequence[Section], coming: Sequence[str]) -> None:
    """Replace the report and the table of claims by those of the sections so far."""
    from analysis.report import page_of
    from jobs.commands.report import save_report

    save_report(page_of(sections, coming), output / "report.html")
    with draft_of("reproduce -o", output / "claims.csv") as draft:
        draft.write_text(_as_csv(_rows(sections)), encoding="utf-8")


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
        "Numbers: median over cells [range of their 95% intervals]",
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
