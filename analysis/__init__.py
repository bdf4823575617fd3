"""From a result store to an answer.

`open_store` opens what `pipeline` has written and `load_store` reads it whole, `select` lists its
trials, `critical_widths` turns them into the width at which success starts, `fit_laws` compares
scaling laws for that width, `collapse` scales all success curves onto one, and `success_counts` feeds
the heat maps. The names load on first use, so that importing the package costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from analysis.finite_size import collapse
    from analysis.query import select
    from analysis.scaling import fit_laws
    from analysis.stores import load_store, open_store
    from analysis.transitions import critical_widths, success_counts

__all__ = [
    "collapse",
    "critical_widths",
    "fit_laws",
    "load_store",
    "open_store",
    "select",
    "success_counts",
]

_HOMES = {
    "collapse": "analysis.finite_size",
    "critical_widths": "analysis.transitions",
    "fit_laws": "analysis.scaling",
    "load_store": "analysis.stores",
    "open_store": "analysis.stores",
    "select": "analysis.query",
    "success_counts": "analysis.transitions",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    if not name.startswith("_") and find_spec(f"{__name__}.{name}"):  # as in analysis.figures.save
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module 'analysis' has no attribute {name!r}; it has {__all__}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
