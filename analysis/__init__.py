"""From a result store to an answer.

`open_store` opens what `pipeline` has written, `load_store` reads it whole and `open_stores` opens
several. `frame` is the table of all trials; `select` lists some of them (`frames` a few at a time) and
`summarise` describes them.
`critical_widths` turns them into the width at which success starts, `fit_laws` compares scaling laws
for that width, `collapse` scales all success curves onto one, and `success_counts` feeds the heat
maps; `infinite_budget` gives the width below which no budget of steps suffices; `compare` and
`compare_laws` lay the answers of several stores side by side. `watch` shows a store in a notebook while
it is filled. The names load on first use, so that importing the package costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from analysis.comparison import compare, compare_laws
    from analysis.live.notebook import watch
    from analysis.query import frame, frames, select, summarise
    from analysis.scaling import fit_laws
    from analysis.scaling.finite_size import collapse
    from analysis.slowing import infinite_budget
    from analysis.stores import load_store, open_store, open_stores
    from analysis.transitions import critical_widths, success_counts

__all__ = [
    "collapse",
    "compare",
    "compare_laws",
    "critical_widths",
    "fit_laws",
    "frame",
    "frames",
    "infinite_budget",
    "load_store",
    "open_store",
    "open_stores",
    "select",
    "success_counts",
    "summarise",
    "watch",
]

PACKAGES = ("claims", "figures", "report", "success")
"""The packages and modules below this one with documented names of their own."""

_HOMES = {
    "collapse": "analysis.scaling.finite_size",
    "compare": "analysis.comparison",
    "compare_laws": "analysis.comparison",
    "critical_widths": "analysis.transitions",
    "fit_laws": "analysis.scaling",
    "frame": "analysis.query",
    "frames": "analysis.query",
    "infinite_budget": "analysis.slowing.cells",
    "load_store": "analysis.stores",
    "open_store": "analysis.stores",
    "open_stores": "analysis.stores",
    "select": "analysis.query",
    "success_counts": "analysis.transitions",
    "summarise": "analysis.query",
    "watch": "analysis.live.notebook",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    if not name.startswith("_") and find_spec(f"{__name__}.{name}"):  # as in analysis.figures.save
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module 'analysis' has no attribute {name!r}; it has {__all__}")


def __dir__() -> list[str]:
    return sorted({*PACKAGES, *__all__, *(name for name in globals() if name.startswith("__"))})
