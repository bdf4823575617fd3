"""Figures of a store as files: PNG and SVG of every kind that suits it, or one kind as one file."""

from __future__ import annotations

from pathlib import Path

from analysis.figures import FIGURES, kinds_for, save
from analysis.study import Study
from pipeline.errors import InputError
from pipeline.store.location import Where, beside
from pipeline.trial_status import Status

__all__ = ["draw_store", "why_none_is_done"]

FORMATS = (".png", ".svg")
ENDINGS = (*FORMATS, ".pdf")


def draw_store(
    study: Study, store: Where, kind: str | None = None, output: Path | None = None
) -> list[Path]:
    """Draw a store and return the files written.

    Parameters
    ----------
    study
        The opened store, with the threshold or the budgets that success is measured by.
    store
        Path of the store, after which the files are named.
    kind
        A key of `FIGURES`; all that suit the store if None.
    output
        A file (with `kind`), or a folder; the folder of the store if None.
    """
    suited = kinds_for(study.ds)
    if kind is not None and kind not in suited:
        raise InputError(
            f"plot {store}: no figure {kind!r} of a store of {study.ds.attrs['experiment']}; "
            f"expected one of {', '.join(suited) or '(none suits it)'}"
        )
    if not (study.ds.status == Status.DONE).any():
        raise InputError(f"plot {store}: {why_none_is_done(study, store)}")
    written = []
    for name in [kind] if kind else suited:
        figure = FIGURES[name].draw(study)
        for file in _files(beside(store), name, output, alone=kind is not None):
            try:
                file.parent.mkdir(parents=True, exist_ok=True)
                save(figure, file)
            except OSError as error:
                raise InputError(
                    f"plot {store}: cannot write {file.name} into {file.parent} "
                    f"({error.strerror or error}); give a file or a folder that may be written with -o"
                ) from None
            written.append(file)
    return written


def why_none_is_done(study: Study, store: Where) -> str:
    """Say what became of the trials of a store of which none is done, and what would help."""
    status = study.ds.status.values
    found = {
        word: int((status == word).sum()) for word in (Status.DIVERGED, Status.FAILED, Status.PENDING)
    }
    tally = ", ".join(f"{count} {word.word}" for word, count in found.items() if count)
    if found[Status.PENDING]:
        return f"no trial is done yet ({tally}); `widthlaw run` fills a store"
    if found[Status.FAILED]:
        return f"no trial is done ({tally}); `widthlaw query {store} \"status == 'failed'\"` says why"
    return f"no trial is done ({tally}); a smaller step_size lets descent converge"


def _files(store: Path, name: str, output: Path | None, alone: bool) -> list[Path]:
    """Where one figure goes: the file that was named, or PNG and SVG in a folder."""
    if output is not None and output.suffix:
        if not alone or output.suffix not in ENDINGS:
            raise InputError(
                f"plot -o {output}: one file needs --kind and an ending of "
                f"{', '.join(ENDINGS)}; or give a folder"
            )
        return [output]
    folder = store.parent if output is None else output
    return [folder / f"{store.stem}-{name}{ending}" for ending in FORMATS]
