"""Gradient descent on networks: its result, its number of steps, and the distance it travels.

Public interface: `train` runs descent on any of the layers; `residual_norm` is the closed form for
the output layer.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipeline.descent.closed_form import residual_norm
    from pipeline.descent.loop import train

__all__ = ["residual_norm", "train"]

_HOMES = {
    "train": "pipeline.descent.loop",
    "residual_norm": "pipeline.descent.closed_form",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:  # imported on first use, so that one module does not cost the import of all
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
