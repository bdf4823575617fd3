"""`widthlaw plot`: the figures of a store, each as PNG and SVG, or one figure as one file."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from analysis.figures.kinds import KINDS
from jobs.options import FILE, STORE, along_options, lapse_option, success_options
from jobs.output.files import check_outputs, make_folder, overwrite_option, write_text
from jobs.output.records import INCOMPLETE, naming_options, report_gaps

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from analysis.figures.looks.chart import Chart, Size
    from analysis.study import Study
    from analysis.success import Success
    from analysis.transitions.scales import Along
    from pipeline.store.location import StorePath

__all__ = ["Drawn", "draw_kinds", "draw_store", "plot"]

FORMATS = (".png", ".svg")
ENDINGS = (*FORMATS, ".pdf")
KINDS_OF_FIGURES = "\n".join(
    ["\b", "Kinds", *(f"  {kind:14}  {summary}" for kind, summary in KINDS.items())]
)


class _Size(click.ParamType):  # type: ignore[type-arg]
    """A width and a height in inches, such as 6x4, or a width, for which the panels set the height."""

    name = "W[xH]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        words = str(value).lower().split("x")
        try:
            width, height = map(float, words if len(words) > 1 else (words[0], "nan"))
        except ValueError:
            self.fail(
                f"got {value!r}, expected a width in inches, or a width and a height, as in 6x4.",
                param,
                ctx,
            )
        if not all(1 <= side <= 60 for side in (width, height)[: len(words)]):
            self.fail(f"got {value}, expected from 1 to 60 inches on each side.", param, ctx)
        return width, height if len(words) > 1 else None


def _kinds(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete the name of a kind of figure."""
    return [
        CompletionItem(kind, help=summary)
        for kind, summary in KINDS.items()
        if kind.startswith(incomplete)
    ]


@click.command(epilog=KINDS_OF_FIGURES)
@click.argument("store", type=STORE)
@click.option(
    "--kind", shell_complete=_kinds, help="Kind of figure (listed below).  [default: all that suit]"
)
@click.option("-o", "--output", type=FILE, help="File, or folder for several.  [default: beside STORE]")
@overwrite_option
@click.option(
    "--where",
    metavar="EXPRESSION",
    help="Draw only the trials that meet a condition, as of `query`: 'd == 20'.",
)
@click.option(
    "--data",
    type=FILE,
    help="Also write the numbers that the figures show, as .csv, .json or .parquet.",
)
@click.option(
    "--caption",
    is_flag=True,
    help="Also write each figure's caption, as text beside it; titles that repeat it are left out.",
)
@click.option(
    "--style",
    "styles",
    multiple=True,
    metavar="NAME",
    help="Style of Matplotlib, such as dark_background, or a .mplstyle file; may be repeated.",
)
@click.option(
    "--size",
    type=_Size(),
    help="Size of each figure in inches, such as 6x4; or its width, such as 3.4 for a column.",
)
@click.option(
    "--dpi", type=click.IntRange(20, 1200), help="Dots per inch of PNG.  [default: the style's, or 160]"
)
@success_options
@along_options
@lapse_option
def plot(
    store: StorePath,
    kind: str | None,
    output: Path | None,
    where: str | None,
    data: Path | None,
    caption: bool,
    styles: tuple[str, ...],
    size: Size | None,
    dpi: int | None,
    overwrite: bool,
    success: Success,
    along: Along,
    lapse: bool | str,
) -> None:
    """Draw the figures of STORE.

    Each figure is written as PNG and SVG. With --kind and -o FILE only one is drawn, in the format of
    the file's ending: .png, .svg or .pdf, whose fonts are embedded. A figure for which the store has
    too little is not written; the reason is told, and with --kind it is an error. Figures of widthlaw
    are replaced; any other file only with --overwrite.

    With --along AXIS the figures are those of its critical value: phase, success and laws.
    """
    from analysis.figures import kinds_for
    from analysis.figures.register import on_request
    from analysis.query.restriction import restrict
    from analysis.stores import load_store
    from analysis.study import Study
    from jobs.output.frames import check_output, write_rows
    from pipeline.errors import CommandError
    from pipeline.store import Store

    if data is not None:
        check_output("plot --data", data, overwrite)
    with naming_options("plot", store):
        study = Study(restrict(load_store(store), where), success, along, lapse)
    suited = kinds_for(study.ds, study.success, study.along, study.lapse)
    if not suited:
        raise CommandError(_none_suits(study, store, kind))
    if kind in (None, *on_request(suited, study.ds, study.along)) and not Store(store).counts()["done"]:
        code = report_gaps(store, "no figure before some are done")
        if not code:  # all diverged: an outcome, but there is nothing to draw
            click.echo(f"{store}: no figure: {_why_none_is_done(study, store)}", err=True)
        sys.exit(code)
    with naming_options("plot", store), _looks(styles, dpi, size):
        drawn = draw_kinds(
            study,
            store,
            kind,
            output,
            size,
            captions=caption,
            overwrite=overwrite,
            written=click.echo,
        )
    if data is not None and drawn.tables:
        write_rows([drawn.table()], data, "plot --data")
        click.echo(data)
    if words := _unused_success(study, list(drawn.tables)):
        click.echo(f"{store}: {words}", err=True)
    code = report_gaps(store, "the figures show what is there")
    for name, reason in drawn.left_out.items():
        click.echo(f"{store}: no figure {name}: {reason}", err=True)
    wanting = kind is not None and drawn.left_out and code != INCOMPLETE
    sys.exit(CANNOT if wanting else code)


CANNOT = 2
"""Exit status if a store cannot show the figure that was asked for, as of one that does not suit it."""


@contextmanager
def _looks(styles: Sequence[str], dpi: int | None, size: Size | None) -> Iterator[None]:
    """Apply styles of Matplotlib wholly, and a resolution and a size, which go before the styles'."""
    import matplotlib as mpl
    import matplotlib.style

    from analysis.figures.looks.chart import holding
    from pipeline.errors import ParameterError, nearest_name

    known = [name for name in mpl.style.available if not name.startswith("_")]
    for style in styles:  # Matplotlib would also fetch a URL and import a module
        if style not in ("default", *known) and not Path(style).is_file():
            raise ParameterError(
                "style",
                f"got {style!r}, which is no style of Matplotlib and no file"
                f"{nearest_name(style, known)}; expected one of {', '.join(known)}",
            )
    with mpl.rc_context():
        mpl.style.use(list(styles))
        if mpl.rcParams["text.usetex"]:
            raise ParameterError(
                "style",
                "got text.usetex: True, expected False: labels have letters such as σ, which LaTeX "
                "does not take; `mathtext.fontset: cm` and `font.family: serif` look like it",
            )
        if dpi is not None:
            mpl.rcParams["savefig.dpi"] = dpi
        if size is not None:
            mpl.rcParams["savefig.bbox"] = "standard"  # a tight one would change the size
        with holding(name for style in styles for name in _set_by(style)):
            yield


def _set_by(style: str) -> list[str]:
    """Return the parameters that a style sets, also those to which it gives Matplotlib's default."""
    import matplotlib as mpl
    import matplotlib.style

    if style == "default":
        return []  # it undoes other styles
    known: Any = mpl.style.library
    return list(known[style] if style in known else mpl.rc_params_from_file(style, False, False))


@dataclass(frozen=True)
class Drawn:
    """The figures of a store.

    Attributes
    ----------
    files
        The files written.
    tables
        The numbers that each figure shows, by kind.
    left_out
        The kinds for which the store has too little, with the reason. They have no file.
    """

    files: list[Path]
    tables: dict[str, pd.DataFrame]
    left_out: dict[str, str]

    def table(self) -> pd.DataFrame:
        """Return the numbers of all figures as one table."""
        import pandas as pd

        return pd.concat(
            [table.assign(figure=kind)[["figure", *table]] for kind, table in self.tables.items()]
        )


def draw_store(
    study: Study,
    store: StorePath,
    kind: str | None = None,
    output: Path | None = None,
    *,
    overwrite: bool = False,
) -> list[Path]:
    """Draw a store and return the files written; the parameters are those of `draw_kinds`."""
    return draw_kinds(study, store, kind, output, overwrite=overwrite).files


def draw_kinds(
    study: Study,
    store: StorePath,
    kind: str | None = None,
    output: Path | None = None,
    size: Size | None = None,
    *,
    captions: bool = False,
    overwrite: bool = False,
    written: Callable[[Path], None] = lambda file: None,
) -> Drawn:
    """Draw a store and write the files; a figure for which it has too little gets none.

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
    size
        Width and height of each figure in inches; their own if None.
    captions
        Whether to write the caption of each figure beside it, and to leave out titles that repeat it.
    overwrite
        Whether files that widthlaw did not make may be replaced.
    written
        Called with each file as soon as it is there.
    """
    from analysis.figures import data_of, kinds_for
    from analysis.figures.looks.chart import sized
    from analysis.figures.register import on_request, picture_of
    from pipeline.errors import CommandError, ParameterError
    from pipeline.store.location import beside
    from pipeline.trial_status import Status

    suited = kinds_for(study.ds, study.success, study.along, study.lapse)
    if kind is not None and kind not in (known := on_request(suited, study.ds, study.along)):
        raise CommandError(_unsuited(study, store, kind, known))
    if not (study.ds.status == Status.DONE).any():
        raise CommandError(f"plot {store}: {_why_none_is_done(study, store)}")
    names = [kind] if kind else suited
    files = {name: _files(beside(store), name, output, alone=kind is not None) for name in names}
    texts = {name: files[name][0].with_suffix(".txt") for name in names if captions}
    _prepare([*(file for some in files.values() for file in some), *texts.values()], output, overwrite)
    drawn = Drawn([], {}, {})
    for name in names:
        caption = ""
        with sized(size):
            if captions:
                figure, caption = picture_of(name, study).captioned(study)
            else:
                figure = picture_of(name, study).draw(study)
        if figure.sentence:
            drawn.left_out[name] = figure.sentence
            continue
        if size is not None and figure.is_cramped:
            raise ParameterError("size", _too_small(name, figure))
        for file in _write(figure, files[name], caption, texts.get(name), store):
            drawn.files.append(file)
            written(file)
        drawn.tables[name] = data_of(figure)
    return drawn


def _unused_success(study: Study, names: list[str]) -> str:
    """Return that no figure shows a success that was chosen, and why; "" if one does."""
    from analysis.figures.register import picture_of
    from analysis.transitions.scales import one_width_words

    if study.success.is_default or any(picture_of(name, study).counts is not None for name in names):
        return ""
    why = one_width_words(study.ds) if study.along.is_width else ""
    return f"no figure shows the success that is given{f': {why}' if why else ''}"


def _none_suits(study: Study, store: StorePath, kind: str | None) -> str:
    """Return that no figure suits a store: what it has too little of, or what else shows its trials."""
    from analysis.figures.register import lacking

    words = f"plot {store}: no figure suits a store of {study.ds.attrs['experiment']}"
    reasons = (lacking(study.ds, one) for one in (*([kind] if kind else []), *KINDS))
    if why := next(filter(None, reasons), ""):
        return f"{words}: {why}"
    defines = "own" in study.ds.attrs and study.success.condition is None
    remedy = "define a success with --success, or " if defines else ""
    return f"{words}; {remedy}`widthlaw query` lists its trials"


def _unsuited(study: Study, store: StorePath, kind: str, known: list[str]) -> str:
    """Return that a kind of figure does not suit a store, and the reason or the remedy."""
    from analysis.figures.register import lacking
    from analysis.transitions.scales import one_width_words

    refused, along = f"plot {store}: no figure {kind!r}", study.along
    expected = f"expected one of {', '.join(known) or '(none suits it)'}"
    if not along.is_width and kind in KINDS:
        return f"{refused} along {along.axis}; {expected}"
    if why := lacking(study.ds, kind):
        return f"{refused}: {why}" + (f"; figures that it has: {', '.join(known)}" if known else "")
    words = f"{refused} of a store of {study.ds.attrs['experiment']}; {expected}"
    if kind not in OF_TRANSITIONS:
        return words
    if why := one_width_words(study.ds):
        return f"{words}; {why}"
    defines = "own" in study.ds.attrs and not study.success.condition
    return f"{words}; define a success with --success" if defines else words


OF_TRANSITIONS = ("phase", "success", "laws")
"""Kinds of figures that any store with a transition has."""


def _too_small(name: str, figure: Figure) -> str:
    width, height = figure.get_size_inches()
    return (
        f"got {width:g}x{height:g}, which is too small for {name}: its labels leave the panels no "
        "room; expected a larger size, or fewer cells by --where"
    )


def _write(
    figure: Chart, files: list[Path], caption: str, text: Path | None, store: StorePath
) -> Iterator[Path]:
    """Write a figure in each of its formats, and its caption, and yield each file when it is there."""
    from analysis.figures import save
    from pipeline.errors import CommandError

    for file in [*files, text] if text else files:
        try:
            if file == text:
                write_text(file, caption)
            else:
                save(figure, file)
        except OSError as error:
            raise CommandError(
                f"plot {store}: cannot write {file.name} into {file.parent} "
                f"({error.strerror or error}); give a file or a writable folder with -o"
            ) from None
        yield file


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
    if not tally:
        return "no trial is done"
    if found[Status.PENDING]:
        return f"no trial is done yet ({tally}); `widthlaw run` fills a store"
    if found[Status.FAILED]:
        return f"no trial is done ({tally}); `widthlaw query {store} \"status == 'failed'\"` shows why"
    return f"no trial is done ({tally}); a smaller step_size lets descent converge"


def _files(store: Path, name: str, output: Path | None, alone: bool) -> list[Path]:
    """Return the files of one figure: the given one, or PNG and SVG in a folder."""
    from pipeline.errors import CommandError

    if output is not None and output.suffix and not output.is_dir():
        if not alone or output.suffix not in ENDINGS:
            raise CommandError(
                f"plot -o {output}: one file needs --kind and an ending of "
                f"{', '.join(ENDINGS)}; or give a folder"
            )
        return [output]
    folder = store.parent if output is None else output
    return [folder / f"{store.stem}-{name}{ending}" for ending in FORMATS]
