"""`widthlaw plot`: the figures of a store, each as PNG and SVG, or one figure as one file."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from jobs.options import FILE, STORE, success_options
from jobs.output.files import check_outputs, make_folder, overwrite_option
from jobs.output.records import naming_options, report_gaps

if TYPE_CHECKING:
    from analysis.study import Study
    from analysis.success import Success
    from pipeline.store.location import StorePath

__all__ = ["draw_store", "plot"]

FORMATS = (".png", ".svg")
ENDINGS = (*FORMATS, ".pdf")


@click.command()
@click.argument("store", type=STORE)
@click.option("--kind", help="Kind of figure.  [default: all that suit the store]")
@click.option("-o", "--output", type=FILE, help="File, or folder for several.  [default: beside STORE]")
@overwrite_option
@success_options
def plot(
    store: StorePath, kind: str | None, output: Path | None, overwrite: bool, success: Success
) -> None:
    """Draw the figures of STORE.

    Each figure is written as PNG and SVG. With --kind and -o FILE only one is drawn, in the format of
    the file's ending. Figures of widthlaw are replaced; any other file only with --overwrite.
    """
    from analysis.figures import kinds_for
    from analysis.stores import load_store
    from analysis.study import Study
    from pipeline.errors import CommandError
    from pipeline.store import Store

    study = Study(load_store(store), success)
    suited = kinds_for(study.ds)
    if not suited:
        raise CommandError(
            f"plot {store}: no figure suits a store of {study.ds.attrs['experiment']}; "
            "`widthlaw query` lists its trials"
        )
    if kind in (None, *suited) and not Store(store).counts()["done"]:
        code = report_gaps(store, "no figure before some are done")
        if not code:  # all diverged: an outcome, but there is nothing to draw
            click.echo(f"{store}: no figure: {_why_none_is_done(study, store)}", err=True)
        sys.exit(code)
    with naming_options("plot", store):
        files = draw_store(study, store, kind, output, overwrite=overwrite)
    for file in files:
        click.echo(file)
    sys.exit(report_gaps(store, "the figures show what is there"))


def draw_store(
    study: Study,
    store: StorePath,
    kind: str | None = None,
    output: Path | None = None,
    *,
    overwrite: bool = False,
) -> list[Path]:
    """Draw a store and return the files written.

    Parameters
    ----------
    study
        The opened store, and the success of a trial.
    store
        Path of the store; the files are named after it.
    kind
        A key of `FIGURES`; all that suit the store if None.
    output
        A file (with `kind`), or a folder; the folder of the store if None.
    overwrite
        Whether files that widthlaw did not make may be replaced.
    """
    from analysis.figures import FIGURES, kinds_for, save
    from pipeline.errors import CommandError
    from pipeline.store.location import beside
    from pipeline.trial_status import Status

    suited = kinds_for(study.ds)
    if kind is not None and kind not in suited:
        raise CommandError(
            f"plot {store}: no figure {kind!r} of a store of {study.ds.attrs['experiment']}; "
            f"expected one of {', '.join(suited) or '(none suits it)'}"
        )
    if not (study.ds.status == Status.DONE).any():
        raise CommandError(f"plot {store}: {_why_none_is_done(study, store)}")
    names = [kind] if kind else suited
    files = {name: _files(beside(store), name, output, alone=kind is not None) for name in names}
    _prepare([file for some in files.values() for file in some], output, overwrite)
    written = []
    for name in names:
        figure = FIGURES[name].draw(study)
        for file in files[name]:
            try:
                save(figure, file)
            except OSError as error:
                raise CommandError(
                    f"plot {store}: cannot write {file.name} into {file.parent} "
                    f"({error.strerror or error}); give a file or a writable folder with -o"
                ) from None
            written.append(file)
    return written


def _prepare(files: list[Path], output: Path | None, overwrite: bool) -> None:
    """Refuse files that may not be written, and make their folder."""
    folder = files[0].parent
    if output == folder:
        make_folder("plot -o", folder)
    check_outputs("plot -o", files, overwrite)


def _why_none_is_done(study: Study, store: StorePath) -> str:
    """Return the reason why no trial of a store is done, and the remedy."""
    from pipeline.trial_status import Status

    status = study.ds.status.values
    found = {
        word: int((status == word).sum()) for word in (Status.DIVERGED, Status.FAILED, Status.PENDING)
    }
    tally = ", ".join(f"{count} {word.word}" for word, count in found.items() if count)
    if found[Status.PENDING]:
        return f"no trial is done yet ({tally}); `widthlaw run` fills a store"
    if found[Status.FAILED]:
        return f"no trial is done ({tally}); `widthlaw query {store} \"status == 'failed'\"` shows why"
    return f"no trial is done ({tally}); a smaller step_size lets descent converge"


def _files(store: Path, name: str, output: Path | None, alone: bool) -> list[Path]:
    """Return the files of one figure: the given one, or PNG and SVG in a folder."""
    from pipeline.errors import CommandError

    if output is not None and output.suffix:
        if not alone or output.suffix not in ENDINGS:
            raise CommandError(
                f"plot -o {output}: one file needs --kind and an ending of "
                f"{', '.join(ENDINGS)}; or give a folder"
            )
        return [output]
    folder = store.parent if output is None else output
    return [folder / f"{store.stem}-{name}{ending}" for ending in FORMATS]
