"""The figures of a store. Each is a function from a `Study` to a matplotlib Figure.

`draw` draws any of them from an opened store, `save` writes it to a file, and `data_of` returns the
numbers that it shows. A notebook shows a figure as the value of a cell. The names load on first use, so
that the list of `KINDS` costs nothing.

    from analysis import figures, open_store
    from analysis.success import Success
    ds = open_store("theorem2.zarr")
    figure = figures.draw(ds, "phase", Success(threshold=0.7))
    figures.save(figure, Path("phase.pdf"))
    figures.data_of(figure).to_csv("phase.csv", index=False)
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from analysis.figures.kinds import KINDS

if TYPE_CHECKING:
    from analysis.figures.looks.data import data_of
    from analysis.figures.looks.style import save
    from analysis.figures.register import FIGURES, Picture, draw, kinds_for
    from analysis.study import Study

__all__ = ["FIGURES", "KINDS", "Picture", "Study", "data_of", "draw", "kinds_for", "save"]

_HOMES = dict.fromkeys(("FIGURES", "Picture", "draw", "kinds_for"), "analysis.figures.register") | {
    "Study": "analysis.study",
    "data_of": "analysis.figures.looks.data",
    "save": "analysis.figures.looks.style",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'analysis.figures' has no attribute {name!r}; it has {__all__}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
