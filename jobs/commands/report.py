"""The report of stores as a file: which stores are meant, what is judged, and where the page goes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from analysis import load_store
from analysis.claims import PARTS
from analysis.report import report_page, write_report
from analysis.study import Study
from analysis.success import Success
from jobs.output.records import asking, say_gaps
from pipeline.errors import InputError
from pipeline.store.location import Where, is_url

__all__ = ["report_stores", "save_report"]

IN_ORDER = [name for names in PARTS.values() for name in names]


def report_stores(given: Sequence[Where], success: Success, output: Path) -> int:
    """Write the report of stores and print its path; return the exit status.

    Parameters
    ----------
    given
        Stores, and folders that hold some: a folder's come in the order of the paper, then by name.
    success
        The success of a trial.
    output
        The file.

    Raises
    ------
    InputError
        Where one of `given` is no store and holds none, where the rule of success does not suit one
        of them, or where the file cannot be written.
    """
    stores = list(dict.fromkeys(store for where in given for store in _stores_in(where)))
    if output.is_dir() or output.suffix.lower() not in (".html", ".htm"):
        raise InputError(f"report -o {output}: expected a file that ends with .html")
    studies = {}
    for store in stores:
        study = Study(load_store(store), success)
        with asking("report", store):
            _check(study, success)
        studies[str(store)] = study
    save_report(report_page(studies), output)
    click.echo(output)
    return max(say_gaps(store, "told with what is there") for store in stores)


def _check(study: Study, success: Success) -> None:
    """Refuse a rule that does not suit a store before anything is drawn."""
    from analysis.success.rules import rule_for

    if not success.is_default:
        rule_for(study.ds, success)


def _stores_in(where: Where) -> Iterator[Where]:
    """The store that is meant, or all that lie in a folder; a bucket is not searched."""
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
    known = store.stem in IN_ORDER
    return (IN_ORDER.index(store.stem) if known else len(IN_ORDER)), store.name


def save_report(page: str, output: Path) -> None:
    """Write a page, or say why it cannot be written."""
    try:
        write_report(page, output)
    except OSError as error:
        raise InputError(
            f"report: cannot write {output} ({error.strerror or error}); give a file in a folder that "
            "may be written with -o"
        ) from None
