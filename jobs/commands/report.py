"""`widthlaw report`: one HTML file on stores, or on folders of stores."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from jobs.options import FILE, STORE, success_options, width_only_option
from jobs.output.files import check_outputs, overwrite_option
from jobs.output.records import naming_options, report_gaps

if TYPE_CHECKING:
    from analysis.study import Study
    from analysis.success import Success
    from pipeline.store.location import StorePath

__all__ = ["report", "report_stores", "save_report"]


@click.command()
@click.argument("stores", type=STORE, nargs=-1, required=True)
@click.option(
    "-o", "--output", type=FILE, default=Path("report.html"), show_default=True, help="HTML file."
)
@overwrite_option
@success_options
@width_only_option
def report(stores: Sequence[StorePath], output: Path, overwrite: bool, success: Success) -> None:
    """Write a self-contained HTML report on STORES.

    The file contains the answer, the claims of the paper with verdicts and criteria, findings, figures
    with their data, and numbers with their origin; it needs no network. STORES may also be folders of
    stores; of several with the same trials, such as copies, one counts. A store of a published
    experiment (jobs/examples) has its published numbers beside its own. Answer, claims, findings and
    depth ratios come from stores of the bundled sweeps only, by name.
    --threshold, --budget and --success apply to the sections on the stores; the claims always
    use the paper's criteria. A report of widthlaw is replaced; any other file only with --overwrite.
    """
    sys.exit(report_stores(stores, success, output, overwrite=overwrite))


def report_stores(
    given: Sequence[StorePath], success: Success, output: Path, *, overwrite: bool = False
) -> int:
    """Write the report of stores and print its path; return the exit status.

    Parameters
    ----------
    given
        Stores, and folders of stores; those of a folder come with Theorem 2 first, then by name.
    success
        The success of a trial.
    output
        The file.
    overwrite
        Whether a file that widthlaw did not make may be replaced.

    Raises
    ------
    InputError
        An item of `given` is neither a store nor a folder of stores, `success` does not suit a store,
        or the file cannot be written.
    """
    from analysis.report import report_page, without_copies
    from analysis.stores import load_store
    from analysis.study import Study
    from jobs.published import published_numbers
    from pipeline.errors import InputError

    stores = list(dict.fromkeys(store for where in given for store in _stores_in(where)))
    if output.is_dir() or output.suffix.lower() not in (".html", ".htm"):
        raise InputError(f"report -o {output}: expected a file that ends with .html")
    check_outputs("report -o", [output], overwrite)
    studies = {}
    for store in stores:
        study = Study(load_store(store), success)
        with naming_options("report", store):
            _check(study, success)
        studies[str(store)] = study
    studies, notes = without_copies(studies)
    for note in notes:
        click.echo(f"report: {note}", err=True)
    save_report(report_page(studies, published_numbers(), notes), output)
    click.echo(output)
    shown = [store for store in stores if str(store) in studies]
    return max(report_gaps(store, "the report has what is there") for store in shown)


def _check(study: Study, success: Success) -> None:
    """Refuse a success that does not suit a store, before anything is drawn."""
    from analysis.success.rules import rule_for

    if not success.is_default:
        rule_for(study.ds, success)


def _stores_in(where: StorePath) -> Iterator[StorePath]:
    """Yield the given store, or all stores in a folder; buckets are not searched."""
    from pipeline.errors import InputError
    from pipeline.store.location import is_url

    folder = Path(where)
    if is_url(where) or not folder.is_dir() or (folder / "zarr.json").exists():
        yield where
        return
    found = [path for path in folder.iterdir() if (path / "zarr.json").is_file()]
    if not found:
        raise InputError(
            f"report {folder}: a folder without a store; expected a store, such as `widthlaw run` "
            "makes, or a folder of stores"
        )
    yield from sorted(found, key=_order)


def _order(store: Path) -> tuple[int, str]:
    from analysis.claims import place_of

    return place_of(store.stem), store.name


def save_report(page: str, output: Path) -> None:
    """Write a page, or report why it cannot be written."""
    from analysis.report import write_report
    from pipeline.errors import InputError

    try:
        write_report(page, output)
    except OSError as error:
        raise InputError(
            f"report: cannot write {output} ({error.strerror or error}); give a file in a "
            "writable folder with -o"
        ) from None
