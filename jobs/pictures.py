"""Figures of a store as files: PNG and SVG of every kind that suits it, or one kind as one file."""

from __future__ import annotations

from pathlib import Path

from analysis import open_store
from analysis.figures import FIGURES, kinds_for, save
from pipeline.errors import InputError

__all__ = ["draw_store"]

FORMATS = (".png", ".svg")
VECTOR_OR_PIXELS = (*FORMATS, ".pdf")


def draw_store(
    store: Path, kind: str | None = None, output: Path | None = None, threshold: float = 0.5
) -> list[Path]:
    """Draw a store and return the files written.

    Parameters
    ----------
    store
        Path of the store.
    kind
        A key of `FIGURES`; all that suit the store if None.
    output
        A file (with `kind`), or a folder; the folder of the store if None.
    threshold
        Success is sigma_min / sqrt(k) >= threshold * alpha.
    """
    ds = open_store(store)
    suited = kinds_for(ds)
    if kind is not None and kind not in suited:
        raise InputError(
            f"plot {store}: no figure {kind!r} of a store of {ds.attrs['experiment']}; "
            f"expected one of {', '.join(suited)}"
        )
    one_file = output is not None and output.suffix != ""
    if one_file and (kind is None or output.suffix not in VECTOR_OR_PIXELS):
        raise InputError(
            f"plot -o {output}: one file needs --kind and an ending of "
            f"{', '.join(VECTOR_OR_PIXELS)}; or give a folder"
        )
    folder = store.resolve().parent if output is None else output
    written = []
    for name in [kind] if kind else suited:
        figure = FIGURES[name].draw(ds, threshold)
        stem = folder / f"{store.resolve().stem}-{name}"
        files = [output] if one_file else [stem.with_name(stem.name + end) for end in FORMATS]
        for file in files:
            file.parent.mkdir(parents=True, exist_ok=True)
            save(figure, file)
            written.append(file)
    return written
